"""Candidate against what is in use: on the frozen set and on the last 30 days, with intervals by case.

Figures of one ranker on one set (all weighted by 1 / inclusion, so that audited episodes speak for those nobody saw):

- average precision;
- cases found: share of the groups with a true episode of which one is among the first looks of its site: ``looks`` a
  day over the days of the set, times the share of groups that are held for evaluation;
- miss: share of true episodes that score below the threshold. The threshold is set on one set, conformally, at
  ``ALPHA`` (triage.md 7.1: the k-th smallest true score, k = floor(alpha (n + 1))), and tested on the other.

Differences are paired: both rankers see the same resamples of groups (bootstrap by group, Efron & Tibshirani 1993,
ch. 8), because the episodes of a case are one piece of luck. The candidate is taken if it is *not worse* with 95 %
confidence: the lower end of each difference lies above minus its margin (non-inferiority, CONSORT extension, Piaggio et
al., JAMA 308, 2012). Too few cases give wide intervals, and wide intervals refuse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from andon.learn.feedback.datasets import DataSet

LOOKS: Final = 10  # a day and site
ALPHA: Final = 0.1
RESAMPLES: Final = 400
CONFIDENCE: Final = 0.95  # one-sided
MARGIN: Final = {"ap": 0.05, "found": 0.05, "miss": 0.05}
LEAST_GROUPS: Final = {"frozen": 10, "recent": 5}  # with a true episode
LEAST_OTHERS: Final = 50  # episodes that are not true
DAY: Final = 86_400_000_000_000


@dataclass(frozen=True)
class Difference:
    """Candidate minus current, with its one-sided bounds."""

    candidate: float
    current: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        return {k: (None if math.isnan(v) else round(v, 4)) for k, v in vars(self).items()}


@dataclass(frozen=True)
class OnSet:
    """What was seen on one set. ``figures``: "ap", "found", "miss"; ``why``: in words, why it speaks against the
    candidate (empty: it does not)."""

    name: str
    data: str
    episodes: int
    true: int
    groups: int
    figures: Mapping[str, Difference] = field(default_factory=dict)
    sites: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # AP of candidate, current
    why: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "set": self.name,
            "data": self.data,
            "episodes": self.episodes,
            "true": self.true,
            "true_groups": self.groups,
            "figures": {name: each.to_dict() for name, each in self.figures.items()},
            "sites": {
                s: [None if math.isnan(v) else round(v, 4) for v in pair] for s, pair in self.sites.items()
            },
            "against": list(self.why),
        }


@dataclass(frozen=True)
class Comparison:
    """``promote``: not worse on any set."""

    candidate: str
    current: str
    sets: tuple[OnSet, ...]
    looks: int

    @property
    def promote(self) -> bool:
        return bool(self.sets) and not any(each.why for each in self.sets)

    @property
    def reasons(self) -> tuple[str, ...]:
        if not self.sets:
            return ("nothing to compare on",)
        return tuple(f"{each.name}: {why}" for each in self.sets for why in each.why)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": "andon.comparison/1",
            "candidate": self.candidate,
            "current": self.current,
            "promote": self.promote,
            "reasons": list(self.reasons),
            "looks": self.looks,
            "confidence": CONFIDENCE,
            "margins": dict(MARGIN),
            "sets": [each.to_dict() for each in self.sets],
        }


def average_precision(score: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    """Weighted average precision; ties share one threshold. NaN without a true one.

    >>> average_precision(np.array([3.0, 2, 1]), np.array([1, 0, 1]), np.ones(3)).__round__(4)
    0.8333
    """
    order, last = _order(score)
    return float(_precisions(label[order], weight[order][None, :], last)[0])


def _order(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return order, last


def _precisions(label: np.ndarray, weight: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Average precision per row of ``weight`` [resamples, n], everything in order of the score."""
    true = np.cumsum(weight * (label == 1), axis=1)[:, last]
    whole = np.cumsum(weight, axis=1)[:, last]
    gained = np.diff(true, axis=1, prepend=0.0)
    precision = np.divide(true, whole, out=np.zeros_like(true), where=whole > 0)
    total = true[:, -1]
    made = np.sum(gained * precision, axis=1)
    return np.asarray(np.divide(made, total, out=np.full(len(total), np.nan), where=total > 0))


def threshold(score: np.ndarray, label: np.ndarray, alpha: float = ALPHA) -> float:
    """Score below which at most ``alpha`` of true ones fall; -inf while there are too few to say so.

    >>> threshold(np.arange(20.0), np.ones(20), 0.1)
    1.0
    """
    own = np.sort(score[label == 1])
    k = math.floor(alpha * (len(own) + 1))
    return float(own[k - 1]) if k >= 1 else -math.inf


def looked_at(
    score: np.ndarray, site: np.ndarray, day: np.ndarray, looks: float, weight: np.ndarray | None = None
) -> np.ndarray:
    """bool[n]: within the budget of its site, best first: ``looks`` times the site's days. ``weight``: how many
    episodes each stands for. The best of a site is always looked at.

    >>> looked_at(np.array([3.0, 1, 2]), np.array(["a"] * 3), np.array([0, 0, 1]), 1).tolist()
    [True, False, True]
    """
    weight = np.ones(len(score)) if weight is None else weight
    out = np.zeros(len(score), bool)
    for name in set(site.tolist()):
        own = np.flatnonzero(site == name)
        ordered = own[np.argsort(-score[own], kind="stable")]
        before = np.cumsum(weight[ordered]) - weight[ordered]
        out[ordered] = before < looks * len(np.unique(day[own]))
    return out


def on_set(
    name: str,
    data: DataSet,
    candidate: np.ndarray,
    current: np.ndarray,
    looks: int = LOOKS,
    thresholds: tuple[float, float] | None = None,
    seed: int = 1,
) -> OnSet:
    """Compare two scores of the same episodes. ``thresholds``: of the candidate and of what is in use, set elsewhere.

    Raises ValueError if a score is not finite."""
    if not (np.isfinite(candidate).all() and np.isfinite(current).all()):
        raise ValueError(f"{name}: a model gave a score that is not a number")
    label = data.column("label")
    groups = data.true_groups()
    true = int((label == 1).sum())
    least, why = LEAST_GROUPS.get(name, 1), []
    if groups < least:
        why.append(f"{groups} true cases are too few to judge by ({least} needed)")
    if len(label) - true < LEAST_OTHERS:
        why.append(
            f"{len(label) - true} episodes that are not true are too few to judge by ({LEAST_OTHERS} needed)"
        )
    if groups == 0:
        return OnSet(name, data.hash, len(label), true, groups, why=tuple(why))
    figures = _paired(data, candidate, current, looks, thresholds, seed)
    for figure, words, sign in (
        ("ap", "average precision", 1), ("found", f"share of cases found at {looks} looks a day", 1),
        ("miss", "share of true episodes below the threshold", -1),
    ):  # fmt: skip
        if figure not in figures:
            continue
        seen = figures[figure]
        worst = seen.low if sign > 0 else -seen.high
        if not worst >= -MARGIN[figure]:
            why.append(
                f"{words} {seen.candidate:.3f} against {seen.current:.3f}; a loss of more than {MARGIN[figure]:.2f} "
                f"cannot be ruled out (difference {seen.low:+.3f} to {seen.high:+.3f})"
            )
    weight, site = data.importance(), data.column("site")
    sites = {
        str(each): (
            average_precision(candidate[site == each], label[site == each], weight[site == each]),
            average_precision(current[site == each], label[site == each], weight[site == each]),
        )
        for each in sorted(set(site))
    }
    return OnSet(name, data.hash, len(label), true, groups, figures, sites, tuple(why))


def _paired(
    data: DataSet, candidate: np.ndarray, current: np.ndarray, looks: int,
    thresholds: tuple[float, float] | None, seed: int,
) -> dict[str, Difference]:  # fmt: skip
    label, weight = data.column("label"), data.importance()
    _, group = np.unique(data.column("group").astype(str), return_inverse=True)
    day = data.column("time") // DAY
    site = data.column("site")
    rng = np.random.default_rng(seed)
    people = int(group.max()) + 1
    # Cases with a true episode and the rest are drawn apart: otherwise some resamples have hardly a true one.
    has = np.bincount(group, label == 1, minlength=people) > 0
    draws = np.ones((RESAMPLES + 1, people))
    for kind in (has, ~has):
        own = np.flatnonzero(kind)
        if len(own):
            draws[1:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), RESAMPLES)
    hits = [
        np.bincount(
            group, looked_at(x, site, day, looks, weight / data.share()) & (label == 1), minlength=people
        )
        > 0
        for x in (candidate, current)
    ]
    orders = [_order(x) for x in (candidate, current)]
    out: dict[str, list[list[np.ndarray]]] = {"ap": [[], []], "found": [[], []], "miss": [[], []]}
    block = max(1, _CELLS // len(label))
    for start in range(0, len(draws), block):
        drawn = draws[start : start + block]
        rows = drawn[:, group] * weight
        true = rows * (label == 1)
        for side, score in enumerate((candidate, current)):
            order, last = orders[side]
            out["ap"][side].append(_precisions(label[order], rows[:, order], last))
            out["found"][side].append(
                (drawn[:, has] * hits[side][has]).sum(axis=1) / drawn[:, has].sum(axis=1)
            )
            if thresholds is not None:
                out["miss"][side].append((true * (score < thresholds[side])).sum(axis=1) / true.sum(axis=1))
    return {
        name: _difference(np.concatenate(pair[0]), np.concatenate(pair[1]))
        for name, pair in out.items()
        if pair[0]
    }


_CELLS: Final = 4_000_000  # of resamples times episodes held at once


def _difference(candidate: np.ndarray, current: np.ndarray) -> Difference:
    """The first is the sample itself, the rest are resamples."""
    apart = (candidate - current)[1:]
    tail = 1 - CONFIDENCE
    low, high = (
        np.quantile(apart[np.isfinite(apart)], [tail, 1 - tail])
        if np.isfinite(apart).any()
        else (np.nan,) * 2
    )
    return Difference(float(candidate[0]), float(current[0]), float(low), float(high))
