"""Drift of a store: the streams of ``drift`` read from the casebook, for the model in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.compute as pc

from andon.learn.feedback import drift, material
from andon.learn.feedback.labels import fold
from andon.learn.feedback.queries import Missed, missed
from andon.records.triage import AUDIT, SCREENED

if TYPE_CHECKING:
    import pyarrow as pa

    from andon.learn.feedback.drift import Drift
    from andon.store.casebook import Casebook

COLUMNS: Final = ("id", "first", "last", "tier", "score", "model", "features", "audit_probability")
REFERENCE: Final = 28 * 86_400_000_000_000  # ns before the model came


@dataclass(frozen=True)
class Watched:
    """``alarms`` in order of time; ``missed``: what the audit says; ``model``: digest that ranked the newest episode;
    ``episodes``: looked at."""

    alarms: tuple[Drift, ...]
    missed: Missed
    model: str
    episodes: int

    @property
    def retrain(self) -> bool:
        """Did the score, the rate or the miss rate move?"""
        return any(alarm.stream != "feature" for alarm in self.alarms)

    def to_dict(self) -> dict[str, Any]:
        whole = {
            k: (None if isinstance(v, float) and not np.isfinite(v) else v)
            for k, v in vars(self.missed).items()
        }
        return {
            "model": self.model,
            "episodes": self.episodes,
            "retrain": self.retrain,
            "alarms": [alarm.to_dict() for alarm in self.alarms],
            "audit": whole,
        }


def watch(book: Casebook, since: int, delta: float = drift.DELTA) -> Watched:
    """Everything since a time (ns). Raises StoreError."""
    table = material.recent(book, since, COLUMNS)
    if not table.num_rows:
        return Watched((), missed(np.ones(0), np.zeros(0, bool), np.zeros(0, bool)), "", 0)
    time = material.times(table, "first")
    models = np.array(table["model"].to_pylist(), dtype=object)
    newest = str(models[-1])
    own = models == newest
    score = table["score"].to_numpy()
    alarms = drift.scores(time[own], score[own], delta)
    alarms += drift.rates(time, delta)
    alarms += _features(table, time, own)
    told, audit_time, true = _audit(book, table, time)
    alarms += drift.audits(audit_time, true, delta)
    return Watched(tuple(sorted(alarms, key=lambda a: (a.time, a.stream))), told, newest, table.num_rows)


def _features(table: pa.Table, time: np.ndarray, own: np.ndarray) -> list[Drift]:
    """Weeks under the newest model against the four weeks before it, or its own first week."""
    from andon.triage.screening.features import FEATURES

    lists = table["features"].combine_chunks()
    width = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    fits = width == len(FEATURES)
    if not fits.any():
        return []
    flat = lists.filter(fits).flatten().to_numpy(zero_copy_only=False).reshape(-1, len(FEATURES))
    when, new = time[fits], own[fits]
    begun = int(when[new].min(initial=int(when.max())))
    before = (when < begun) & (when >= begun - REFERENCE)
    if np.count_nonzero(before) < 200:
        before = when // drift.WEEK == begun // drift.WEEK
    after = new & ~before
    return drift.stability(flat[before], when[after], flat[after], FEATURES)


def _audit(book: Casebook, table: pa.Table, time: np.ndarray) -> tuple[Missed, np.ndarray, np.ndarray]:
    """Of the episodes drawn for the audit: estimate, and (time, true) of those that have a label."""
    tier = np.array(table["tier"].to_pylist(), dtype=object)
    chance = np.nan_to_num(table["audit_probability"].to_numpy(zero_copy_only=False).astype(float))
    rows = np.flatnonzero((tier == AUDIT) & (chance > 0) & (chance <= 1))
    screened = int(np.count_nonzero((tier == AUDIT) | (tier == SCREENED)))
    ids = np.array(table["id"].to_pylist(), dtype=object)
    labels = fold(*_material(book)).table
    known = dict(
        zip(
            labels["id"].to_pylist(),
            zip(labels["label"].to_pylist(), labels["state"].to_pylist(), strict=True),
            strict=True,
        )
    )
    judged = np.array([ids[row] in known for row in rows], bool)
    true = np.array([bool(known[ids[row]][0]) if ids[row] in known else False for row in rows], bool)
    return missed(chance[rows], judged, true, screened), time[rows][judged], true[judged]


def _material(book: Casebook) -> tuple[Any, Any]:
    held = material.read(book)
    return held.verdicts, held.items
