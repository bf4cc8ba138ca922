"""What to ask whom: the next episodes for a verdict, and what the audit says of those nobody was asked about.

Half of the budget goes to the highest scores, half to those nearest the threshold, as in triage.md 7.2 (cold start over
eight networks: 30 of 65 steps at 10 labels a day, against 23 by score alone and 6 at random). The audit sample is not
drawn here but by screening, one in a hundred of what it screened out, with the chance written beside each: what was
drawn is asked about first, else the estimate is worth nothing. Of what has a verdict already, every "true" and one in
``SECOND`` of the rest are shown to a second analyst who does not see the first verdict: without doubles nobody knows
whom to trust, and slips make more "true" labels than attacks do.

No signature gets more than a quarter of the budget: thirty labels of one noisy rule teach no more than eight.

The estimate is Horvitz & Thompson's (JASA 47, 1952): every verdict of the audit stands for 1 / chance episodes. Its
interval is Fay & Feuer's (Statistics in Medicine 16, 1997) for weighted sums of rare counts, which covers when nothing
was found; a normal interval does not.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

SECOND: Final = 10  # one in so many
QUARTER: Final = 0.25  # of the budget, for one signature
_KEY: Final = b"andon.learn.feedback.queries/1"
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Query:
    """Ask about this row. ``shown``: as records.case.SHOWN; ``second``: another analyst than ``not_by``."""

    row: int
    shown: str
    not_by: tuple[str, ...] = ()


def choose(
    score: np.ndarray,
    signature: np.ndarray,
    judged: np.ndarray,
    audit: np.ndarray,
    budget: int,
    threshold: float,
    uncertain: float = 0.5,
) -> list[Query]:
    """The next queries, best first: the audit sample, then top and uncertain in turn.

    ``score``: float64[n]; ``signature``: int64[n]; ``judged``, ``audit``: bool[n]; ``budget``: queries besides the
    audit; ``threshold``: of the score, where screening decides; ``uncertain``: share of the budget for its neighbours.
    Ties go to the earlier row.

    >>> score = np.array([9.0, 8, 5.1, 4.9, 1, 0])
    >>> none = np.zeros(6, bool)
    >>> [(q.row, q.shown) for q in choose(score, np.arange(6), none, np.arange(6) == 5, 4, 5.0)]
    [(5, 'audit'), (0, 'top'), (2, 'uncertain'), (1, 'top'), (3, 'uncertain')]
    """
    if budget < 0 or not 0 <= uncertain <= 1:
        raise ValueError("a budget is not negative, and a share lies between 0 and 1")
    out = [Query(int(row), "audit") for row in np.flatnonzero(audit & ~judged)]
    open_ = ~judged & ~audit
    rows = np.flatnonzero(open_)
    top = rows[np.argsort(-score[rows], kind="stable")]
    near = (
        rows[np.argsort(np.abs(score[rows] - threshold), kind="stable")]
        if math.isfinite(threshold)
        else rows[:0]
    )
    most = max(1, math.ceil(QUARTER * budget))
    taken: set[int] = set()
    per: dict[int, int] = {}
    wanted = {"top": budget - round(uncertain * budget), "uncertain": round(uncertain * budget)}
    if not len(near):
        wanted = {"top": budget, "uncertain": 0}
    streams = {"top": iter(top.tolist()), "uncertain": iter(near.tolist())}
    passed: dict[str, list[int]] = {"top": [], "uncertain": []}
    while any(wanted.values()):
        for kind in ("top", "uncertain"):
            if not wanted[kind]:
                continue
            row = _next(streams[kind], signature, per, most, taken, passed[kind])
            if row is None:  # nothing else is left: the quarter gives way
                row = next((each for each in passed[kind] if each not in taken), None)
            if row is None:
                wanted[kind] = 0
                continue
            wanted[kind] -= 1
            taken.add(row)
            per[int(signature[row])] = per.get(int(signature[row]), 0) + 1
            out.append(Query(row, kind))
    return out


def _next(
    stream: Any, signature: np.ndarray, per: dict[int, int], most: int, taken: set[int], passed: list[int]
) -> int | None:
    for row in stream:
        if row in taken:
            continue
        if per.get(int(signature[row]), 0) >= most:
            passed.append(row)
            continue
        return int(row)
    return None


def doubled(id: str, one_in: int = SECOND) -> bool:
    """Is this one to be judged by two? The same answer everywhere, and nobody can tell beforehand from the episode.

    >>> sum(doubled(str(n)) for n in range(10_000)) // 100
    10
    """
    digest = hashlib.blake2b(id.encode("utf-8", "replace"), key=_KEY, digest_size=8).digest()
    return int.from_bytes(digest, "big") % one_in == 0


def seconds(labels: pa.Table) -> list[Query]:
    """Judged episodes (labels.LABELS) that want a second analyst, rows of the table: first what is under review
    (flips, floods, conflicts, disagreements), then every "true" with one witness alone, then what was audited, then one
    in ``SECOND`` of the rest. Who has judged it already is in ``not_by``."""
    by: tuple[list[Query], ...] = ([], [], [], [])
    columns = (labels[name].to_pylist() for name in ("id", "label", "state", "shown", "provenance"))
    for row, (name, label, state, shown, provenance) in enumerate(zip(*columns, strict=True)):
        people = tuple(sorted({each["analyst"] for each in json.loads(provenance)}))
        if state != "counts":
            by[0].append(Query(row, "manual", people))
        elif len(people) == 1:
            place = 1 if label == 1 else 2 if shown == "audit" else 3 if doubled(name) else -1
            if place > 0:
                by[place].append(Query(row, "audit" if place == 2 else "manual", people))
    return [query for each in by for query in each]


@dataclass(frozen=True)
class Missed:
    """True episodes among those that were screened out, estimated. ``low``, ``high``: two-sided interval at
    CONFIDENCE. ``rate``: of all screened out; NaN where their number is not given."""

    missed: float
    low: float
    high: float
    drawn: int
    judged: int
    found: int
    rate: float

    def text(self) -> str:
        """One sentence."""
        if not self.judged:
            return "nothing of the audit sample was judged: how much is missed is not known"
        return (
            f"{self.found} of {self.judged} audited episodes were true ({self.drawn} were drawn): about "
            f"{self.missed:,.0f} missed, {self.low:,.0f} to {self.high:,.0f} with {CONFIDENCE:.0%} confidence"
        )


def missed(chance: np.ndarray, judged: np.ndarray, true: np.ndarray, screened: int | None = None) -> Missed:
    """Estimate from the audit sample: ``chance`` (float64[n], 0..1] with which each was drawn, whether it was judged,
    and whether it was true.

    Those that were drawn and not judged are taken to be like those that were: each chance is multiplied by the share
    that was judged.

    >>> found = missed(np.full(200, 0.01), np.ones(200, bool), np.arange(200) < 2)
    >>> round(found.missed), round(found.low), round(found.high)
    (200, 24, 722)
    """
    from scipy.special import gammaincinv

    if ((chance <= 0) | (chance > 1)).any():
        raise ValueError("chances of the audit lie above 0 and at most at 1")
    drawn, count = len(chance), int(np.count_nonzero(judged))
    if not count:
        return Missed(math.nan, 0.0, math.inf, drawn, 0, 0, math.nan)
    weight = (drawn / count) / chance[judged]
    hits = weight[true[judged]]
    total, spread = float(hits.sum()), float((hits**2).sum())
    tail = (1 - CONFIDENCE) / 2
    low = 0.0
    if total > 0:
        low = spread / (2 * total) * 2 * float(gammaincinv(total**2 / spread, tail))
    most = float(weight.max())
    upper, wide = total + most, spread + most**2
    high = wide / (2 * upper) * 2 * float(gammaincinv(upper**2 / wide, 1 - tail))
    rate = total / screened if screened else math.nan
    return Missed(total, low, high, drawn, count, len(hits), rate)
