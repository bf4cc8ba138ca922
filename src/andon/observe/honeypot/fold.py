"""Events of a log folded into sessions, columns in and columns out.

An event belongs to a session by a key (a 64-bit hash of the session's number and sensor, or of the addresses where a
honeypot numbers nothing). Within a key a new session begins at an event that opens one, or after a silence longer than
``gap``. A session is given out when an event closes it, when it has been silent for ``idle``, or at the end.

Events of sessions that are not over are held. If there are more than ``MOST_HELD`` of them, the sessions that have
been silent longest are given out as they are and counted in ``cut``: a log that never closes anything cannot take all
memory. Binaries that were sent are cut out of what is given out (``scrub``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.honeypot.scrub import scrubbed
from andon.records.honeypot import SESSION

MOST_HELD: Final = 1_000_000
_TEXTS: Final = tuple(f.name for f in SESSION if f.type == pa.string() and f.name not in ("honeypot",))
_LARGEST: Final = {"src_port": 0xFFFF, "dst_port": 0xFFFF, "address": 0xFFFFFFFF}
_LISTS: Final = {f.name: f.type.value_type for f in SESSION if pa.types.is_list(f.type)}
_TIME: Final = SESSION.field("start").type


@dataclass(frozen=True)
class Part:
    """Values that some events carry: ``rows`` (int64, ascending) says which, ``values`` (array) what."""

    rows: np.ndarray
    values: Any


@dataclass
class Events:
    """Events in the order of the log. ``key`` uint64; ``ts`` int64 ns; ``opens`` and ``closes`` bool. ``facts``: what a
    session has one of (the first stands), by column of ``SESSION``; ``lists``: what it has many of. ``login`` bool,
    ``relayed`` int64 and ``lines`` int64 (of the log) are per event."""

    key: np.ndarray
    ts: np.ndarray
    opens: np.ndarray
    closes: np.ndarray
    login: np.ndarray
    relayed: np.ndarray
    lines: np.ndarray
    facts: Mapping[str, Part]
    lists: Mapping[str, Part]

    def __len__(self) -> int:
        return len(self.key)


class Fold:
    """Folds the events of one log. ``gap`` and ``idle`` in ns; gap 0: only an opening event begins a new session."""

    def __init__(self, honeypot: str, gap: int = 0, idle: int = 3_600_000_000_000) -> None:
        self.honeypot = honeypot
        self.gap, self.idle = gap, idle
        self.cut = 0
        self._held: list[Events] = []

    @property
    def held(self) -> int:
        """Events of sessions that are not over."""
        return sum(map(len, self._held))

    def add(self, events: Events) -> None:
        if len(events):
            self._held.append(events)

    def sessions(self, final: bool = False) -> pa.RecordBatch:
        """Sessions that are over, in the order of their start; all of them if ``final``."""
        events = _joined(self._held)
        self._held = []
        if not len(events):
            return _empty()
        order, first = self._groups(events)
        group = np.cumsum(first) - 1  # of order[i]
        count = int(group[-1]) + 1
        end = np.full(count, np.iinfo(np.int64).min)
        start = np.full(count, np.iinfo(np.int64).max)
        np.maximum.at(end, group, events.ts[order])
        np.minimum.at(start, group, events.ts[order])
        closed = np.zeros(count, np.bool_)
        closed[group[events.closes[order]]] = True
        over = closed | (end < int(events.ts.max()) - self.idle) | final
        sizes = np.bincount(group, minlength=count)
        if (left := int(sizes[~over].sum())) > MOST_HELD:
            oldest = np.flatnonzero(~over)[np.argsort(end[~over], kind="stable")]
            enough = np.searchsorted(np.cumsum(sizes[oldest]), left - MOST_HELD // 2) + 1
            over[oldest[:enough]] = True
            self.cut += int(enough)
        of_event = np.empty(len(events), np.int64)
        of_event[order] = group
        if not over.all():
            self._held = [_taken(events, np.flatnonzero(~over[of_event]))]
        ranked = np.lexsort((np.arange(count), start))
        ranked = ranked[over[ranked]]
        place = np.full(count, -1, np.int64)
        place[ranked] = np.arange(len(ranked))
        return scrubbed(self._table(events, place[of_event], start[ranked], end[ranked], closed[ranked]))

    def _groups(self, events: Events) -> tuple[np.ndarray, np.ndarray]:
        """(order of the events by session, which of these begin one)."""
        order = np.lexsort((events.ts, events.key)) if self.gap else np.argsort(events.key, kind="stable")
        key, ts = events.key[order], events.ts[order]
        first = np.ones(len(order), np.bool_)
        first[1:] = key[1:] != key[:-1]
        again = events.opens[order] & ~first
        if self.gap:
            again[1:] |= np.diff(ts) > self.gap
        return order, first | again

    def _table(
        self, events: Events, place: np.ndarray, start: np.ndarray, end: np.ndarray, closed: np.ndarray
    ) -> pa.RecordBatch:  # fmt: skip
        count = len(start)
        mine = place >= 0
        login = np.zeros(count, np.bool_)
        login[place[mine & events.login]] = True

        def total(values: np.ndarray) -> np.ndarray:
            return np.bincount(place[mine], weights=values[mine], minlength=count).astype(np.int64)

        columns: dict[str, Any] = {
            "honeypot": pa.array([self.honeypot]).take(pa.array(np.zeros(count, np.int64))),
            "start": pa.array(start).cast(_TIME),
            "end": pa.array(end).cast(_TIME),
            "closed": closed,
            "events": total(events.lines),
            "login": login,
            "relayed": total(events.relayed),
        }
        for name in _TEXTS:
            columns[name] = pc.fill_null(_first(events.facts.get(name), place, count, pa.string()), "")
        for name in _LARGEST:
            kind = SESSION.field(name).type
            columns[name] = _number(events.facts.get(name), place, count, kind, _LARGEST[name])
        for name, kind in _LISTS.items():
            columns[name] = _many(events.lists.get(name), place, count, kind)
        arrays = [pa.array(columns[f.name], f.type) if isinstance(columns[f.name], np.ndarray) else columns[f.name]
                  for f in SESSION]  # fmt: skip
        return pa.RecordBatch.from_arrays(arrays, schema=SESSION)


def _number(part: Part | None, place: np.ndarray, count: int, kind: pa.DataType, largest: int) -> pa.Array:
    """As ``_first``; -1 where a session has none, or one that cannot be."""
    found = _first(part, place, count, pa.int64())
    there = pc.and_kleene(pc.greater_equal(found, 0), pc.less_equal(found, largest))
    return pc.if_else(pc.fill_null(there, False), found, pa.scalar(-1, pa.int64())).cast(kind)


def _first(part: Part | None, place: np.ndarray, count: int, kind: pa.DataType) -> pa.Array:
    """The first value of each session, null where it has none."""
    if part is None or not len(part.rows):
        return pa.nulls(count, kind)
    at = place[part.rows]
    chosen = np.full(count, -1, np.int64)
    backwards = np.flatnonzero(at >= 0)[::-1]
    chosen[at[backwards]] = backwards  # the earliest is written last
    return part.values.take(pa.array(chosen, mask=chosen < 0)).cast(kind)


def _many(part: Part | None, place: np.ndarray, count: int, kind: pa.DataType) -> pa.ListArray:
    """The values of each session in the order of the log."""
    if part is None or not len(part.rows):
        return pa.ListArray.from_arrays(pa.array(np.zeros(count + 1, np.int32)), pa.nulls(0, kind))
    at = place[part.rows]
    kept = np.flatnonzero(at >= 0)
    order = kept[np.argsort(at[kept], kind="stable")]
    offsets = np.searchsorted(at[order], np.arange(count + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), part.values.take(pa.array(order)))


def _taken(events: Events, rows: np.ndarray) -> Events:
    """These events alone."""
    number = np.full(len(events), -1, np.int64)
    number[rows] = np.arange(len(rows))

    def part(old: Part) -> Part:
        at = number[old.rows]
        kept = np.flatnonzero(at >= 0)
        return Part(at[kept], old.values.take(pa.array(kept)))

    return Events(
        events.key[rows], events.ts[rows], events.opens[rows], events.closes[rows], events.login[rows],
        events.relayed[rows], events.lines[rows], {name: part(old) for name, old in events.facts.items()},
        {name: part(old) for name, old in events.lists.items()},
    )  # fmt: skip


def _joined(held: Sequence[Events]) -> Events:
    starts = np.cumsum([0, *map(len, held)])

    def numbers(name: str, kind: type) -> np.ndarray:
        return np.concatenate([getattr(one, name) for one in held] or [np.empty(0, kind)])

    def parts(name: str) -> dict[str, Part]:
        made = {}
        for column in sorted({column for one in held for column in getattr(one, name)}):
            own = [(start, getattr(one, name)[column]) for start, one in zip(starts, held, strict=False)
                   if column in getattr(one, name)]  # fmt: skip
            made[column] = Part(
                np.concatenate([start + part.rows for start, part in own]),
                pa.concat_arrays([part.values for _, part in own]),
            )
        return made

    return Events(
        numbers("key", np.uint64), numbers("ts", np.int64), numbers("opens", np.bool_), numbers("closes", np.bool_),
        numbers("login", np.bool_), numbers("relayed", np.int64), numbers("lines", np.int64), parts("facts"),
        parts("lists"),
    )  # fmt: skip


def _empty() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in SESSION], schema=SESSION)
