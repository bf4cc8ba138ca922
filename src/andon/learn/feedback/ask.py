"""Queries of a store: ``queries.choose`` over the newest episodes, ``queries.seconds`` over what was judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from andon.learn.feedback import material
from andon.learn.feedback.labels import fold
from andon.learn.feedback.queries import Missed, choose, missed, seconds
from andon.records.triage import ACT, AUDIT, INSPECT, SCREENED

if TYPE_CHECKING:
    from andon.store.casebook import Casebook

_COLUMNS = ("id", "host", "product", "rule", "first", "last", "tier", "score", "audit_probability")


@dataclass(frozen=True)
class Asked:
    """``rows``: what to ask, best first, as JSON values; ``missed``: what the audit of these days says so far."""

    rows: tuple[dict[str, Any], ...]
    missed: Missed


def ask(book: Casebook, now: int, budget: int, days: float) -> Asked:
    """Raises StoreError. The second looks come on top of the budget: at most half of it, those under review first."""
    table = material.recent(book, now - round(days * 86_400e9), _COLUMNS)
    held = material.read(book)
    made = fold(held.verdicts, held.items).table
    known = dict(zip(made["id"].to_pylist(), made["label"].to_pylist(), strict=True))
    columns = {name: table[name].to_pylist() for name in ("id", "host", "product", "rule", "tier", "score")}
    names = [f"{p} {r}" for p, r in zip(columns["product"], columns["rule"], strict=True)]
    tier = np.array(columns["tier"], dtype=object)
    score = np.array(columns["score"], float)
    judged = np.array([id in known for id in columns["id"]], bool)
    chance = np.nan_to_num(table["audit_probability"].to_numpy(zero_copy_only=False).astype(float))
    audit = (tier == AUDIT) & (chance > 0) & (chance <= 1)
    decided = score[(tier == INSPECT) | (tier == ACT)]
    border = float(decided.min()) if len(decided) else math.nan
    signature = (
        np.unique(np.array(names, dtype=str), return_inverse=True)[1] if names else np.zeros(0, np.int64)
    )
    rows = [
        _row(
            columns["id"][q.row],
            columns["host"][q.row],
            names[q.row],
            float(score[q.row]),
            q.shown,
            False,
            (),
        )
        for q in choose(score, signature, judged, audit, budget, border)
    ]
    people = {verdict.analyst for verdict in held.verdicts}
    if len(people) > 1:
        place = {id: n for n, id in enumerate(held.items.id)}
        hosts, scores = held.episodes["host"].to_pylist(), held.episodes["score"].to_pylist()
        for query in seconds(made)[: max(1, budget // 2)]:
            id = made["id"][query.row].as_py()
            if people <= set(query.not_by):
                continue
            at = place[id]
            rows.append(
                _row(
                    id,
                    hosts[at],
                    held.items.signature[at],
                    float(scores[at]),
                    query.shown,
                    True,
                    query.not_by,
                )
            )
    drawn = np.flatnonzero(audit)
    true = np.array([known.get(columns["id"][row], 0) == 1 for row in drawn], bool)
    screened = int(np.count_nonzero((tier == AUDIT) | (tier == SCREENED)))
    return Asked(tuple(rows), missed(chance[drawn], judged[drawn], true, screened))


def _row(
    id: str, host: str, signature: str, score: float, shown: str, second: bool, not_by: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "episode": id, "host": host, "signature": signature, "score": round(score, 6), "shown": shown,
        "second": second, "not_by": list(not_by),
    }  # fmt: skip
