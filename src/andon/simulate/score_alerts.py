"""Scoring alerts of coordinated activity against planted events: recall, false alerts, delay, at any threshold.

Matching. A row of ``records.coordination.ALERTS`` belongs to an event if its port and protocol are among the event's,
its direction is the event's, and its span ends after the event begins and at most TOLERANCE after the change is over
(a day, so that an engine that looks once a day is heard). The event is found at the earliest such end; several rows of
one event count once. A row may find several events that overlap on a port. Rows on decoys, and rows of no event, are
false. Rows on the same port, protocol and direction whose spans end within REPEAT of one that counted, as true or
as false, repeat it and are not counted.

Delay is from the event's first bot to the end of the span that was concluded: nobody could have been told before.

A threshold on ``score`` replaces the engine's own (``alerted``) to compare engines at one rate of false alerts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.contract import SECOND
from andon.records.coordination import START, STOP

TOLERANCE: Final = 86400 * SECOND
REPEAT: Final = 86400 * SECOND
OWN: Final = "own"  # the engine's own threshold
_Port = tuple[int, int, str]  # port, protocol, direction


@dataclass(frozen=True)
class Event:
    """A row of ``simulate.coordination.EVENTS`` in numbers (ns)."""

    name: str
    kind: str
    direction: str
    ports: tuple[tuple[int, int], ...]
    begins: int
    ends: int
    decoy: bool
    above: bool
    excess: float


@dataclass(frozen=True)
class Run:
    """One engine on one capture: its alerts, the events, and the time (ns) that is judged: spans that end after
    ``since`` and not after ``until``, events that begin in it."""

    alerts: pa.Table
    events: pa.Table
    since: int
    until: int


@dataclass(frozen=True)
class Found:
    """What became of an event: ``delay`` in ns, None if nobody said so. ``run`` numbers the capture."""

    run: int
    event: Event
    delay: int | None


@dataclass
class AlertScore:
    """All runs of one engine at one threshold."""

    threshold: float | None  # None: the engine's own
    days: float
    events: list[Found] = field(default_factory=list)
    false: int = 0
    on_decoys: Counter[str] = field(default_factory=Counter)  # of the false ones, by kind of decoy

    @property
    def false_a_day(self) -> float:
        return self.false / self.days if self.days else 0.0

    def recall(self, kind: str = "", above: bool | None = True) -> tuple[int, int]:
        """(found, events) of a kind ("" all) above or below the limit (None: both)."""
        rows = [
            f for f in self.events if kind in ("", f.event.kind) and (above is None or f.event.above == above)
        ]
        return sum(f.delay is not None for f in rows), len(rows)

    def delays(self, kind: str = "", above: bool | None = True) -> np.ndarray:
        """Delays (float64, seconds) of what was found."""
        return np.array(
            [
                f.delay / SECOND
                for f in self.events
                if f.delay is not None
                and kind in ("", f.event.kind)
                and (above is None or f.event.above == above)
            ],
            np.float64,
        )


def read_events(table: pa.Table) -> list[Event]:
    """Rows of a table of events."""
    begins, ends = (table[name].cast(pa.int64()).to_pylist() for name in ("begins", "ends"))
    ports = table["ports"].to_pylist()
    rest = zip(
        *(table[n].to_pylist() for n in ("name", "kind", "direction", "decoy", "above_limit", "excess")),
        strict=True,
    )
    return [
        Event(name, kind, direction, tuple((p["port"], p["protocol"]) for p in ports[i]), begins[i], ends[i],
              decoy, above, excess)
        for i, (name, kind, direction, decoy, above, excess) in enumerate(rest)
    ]  # fmt: skip


@dataclass(frozen=True)
class _Rows:
    """Rows of one engine's alerts in columns, in order of the end of their span."""

    end: np.ndarray
    key: list[_Port]
    score: np.ndarray
    alerted: np.ndarray

    @classmethod
    def of(cls, run: Run) -> _Rows:
        end = run.alerts["end"].cast(pa.int64()).to_numpy()
        score = run.alerts["score"].to_numpy()
        if not np.isfinite(score).all():
            raise ValueError("an alert's score is not a number")
        kept = np.flatnonzero((end > run.since) & (end <= run.until))
        kept = kept[np.argsort(end[kept], kind="stable")]
        names = [run.alerts[n].to_pylist() for n in ("port", "protocol", "direction")]
        unknown = set(names[2]) - {START, STOP}
        if unknown:
            raise ValueError(f"a direction is {START} or {STOP}, not {sorted(unknown)[0]!r}")
        key = [(names[0][i], names[1][i], names[2][i]) for i in kept.tolist()]
        return cls(end[kept], key, score[kept], run.alerts["alerted"].to_numpy(zero_copy_only=False)[kept])


def score(runs: Sequence[Run], threshold: float | None = None) -> AlertScore:
    """Judge one engine over all ``runs``; ``threshold`` None: rows that the engine alerted, else those whose score
    reaches it."""
    result = AlertScore(threshold, sum(r.until - r.since for r in runs) / (86400 * SECOND))
    for number, run in enumerate(runs):
        _judge(result, number, run, _Rows.of(run), threshold)
    return result


def _judge(result: AlertScore, number: int, run: Run, rows: _Rows, threshold: float | None) -> None:
    listed = [e for e in read_events(run.events) if run.since <= e.begins < run.until]
    by_port: dict[_Port, list[Event]] = {}
    for event in listed:
        for port, protocol in event.ports:
            by_port.setdefault((port, protocol, event.direction), []).append(event)
    found: dict[str, int] = {}
    counted: dict[_Port, int] = {}
    passed = rows.alerted if threshold is None else rows.score >= threshold
    for i in np.flatnonzero(passed).tolist():
        end, key = int(rows.end[i]), rows.key[i]
        hit = [e for e in by_port.get(key, ()) if e.begins < end <= e.ends + TOLERANCE]
        true = [e for e in hit if not e.decoy]
        for event in true:
            found.setdefault(event.name, end - event.begins)
        if true:
            counted[key] = end
        elif key not in counted or end - counted[key] >= REPEAT:
            counted[key] = end
            result.false += 1
            result.on_decoys.update(
                {e.kind for e in hit} or {e.kind for e in listed if e.decoy and not e.ports and _near(e, end)}
            )
    result.events += [Found(number, e, found.get(e.name)) for e in listed if not e.decoy]


def _near(event: Event, end: int) -> bool:
    """A sensor's failure is blamed for what is said during it and in the two hours after."""
    return event.begins < end <= event.ends + 7200 * SECOND


def threshold_for(runs: Sequence[Run], false_a_day: float = 1.0) -> float:
    """The lowest score threshold at which false alerts over all ``runs`` stay within ``false_a_day``; -inf if they do
    with every row the engine gave."""
    tables = [_Rows.of(run) for run in runs]
    scores = np.unique(np.concatenate([t.score for t in tables])) if tables else np.zeros(0)

    def rate(threshold: float) -> float:
        result = AlertScore(threshold, sum(r.until - r.since for r in runs) / (86400 * SECOND))
        for number, (run, rows) in enumerate(zip(runs, tables, strict=True)):
            _judge(result, number, run, rows, threshold)
        return result.false_a_day

    if not len(scores) or rate(-np.inf) <= false_a_day:
        return float("-inf")
    # False alerts fall with the threshold but for repeats that lose their first row: the bisection's answer is checked.
    low, high = 0, len(scores)
    while low < high:
        middle = (low + high) // 2
        if rate(float(scores[middle])) <= false_a_day:
            high = middle
        else:
            low = middle + 1
    return float(scores[low]) if low < len(scores) else float("inf")


def lead(ours: AlertScore, other: AlertScore) -> dict[str, Any]:
    """How much earlier ``ours`` was than ``other``, over events that both found (seconds; positive: earlier)."""
    theirs = {(f.run, f.event.name): f.delay for f in other.events}
    both = [
        (theirs[(f.run, f.event.name)], f.delay)
        for f in ours.events
        if f.delay is not None and theirs.get((f.run, f.event.name)) is not None
    ]
    gain = np.array([(a - b) / SECOND for a, b in both if a is not None], np.float64)
    missed = sum(
        f.delay is None and theirs.get((f.run, f.event.name)) is not None
        for f in ours.events
        if f.event.above
    )
    return {
        "events": len(gain),
        "mean": float(gain.mean()) if len(gain) else None,
        "latest": float(-gain.min()) if len(gain) else None,
        "only_other": missed,
    }
