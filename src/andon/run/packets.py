"""Packets from a file, whatever kind of file it is: a capture, or a file of the packet history.

Rows of the history are in the order in which they were received, which need not be that of their times: sources lag
behind one another, captures are taken in one after the other. So its row groups are read in the order of their first
times, side by side where they overlap, and the reader knows exactly how far back anything still to come can lie
(``ahead``). What is read is what was received, and the findings are those of the captures it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from andon.observe import read
from andon.observe.capture import Damage
from andon.observe.reader import Counts
from andon.records.columns import column
from andon.records.packet import COLUMNS
from andon.run.order import astray
from andon.store.errors import StoreError
from andon.store.history_groups import MAGIC, Group, StoredGroups

_BATCH = 65_536
_LEAST = 4_096  # rows that are given at once where pieces of the file overlap in time
_STEP = (
    60_000_000_000  # ns: as far ahead of the others as a piece may run, and as far back as rows of one may be
)
_OPEN = 8  # row groups that are held at once, a few megabytes each
_DAMAGED = "damaged row group"
_PLACES = 1000


class NoPackets(ValueError):
    """A file of the history that is gone, is damaged as a whole, or is none. The text does not name it again."""


class Packets(Protocol):
    """What Feed needs of whatever gives packets; see ``andon.observe.read`` and ``HistoryPackets``."""

    @property
    def counts(self) -> Counts: ...
    @property
    def damage(self) -> Sequence[Any]: ...
    @property
    def damage_total(self) -> int: ...
    @property
    def link_types(self) -> Sequence[int]: ...
    def __iter__(self) -> Iterator[pa.RecordBatch]: ...
    def close(self) -> None: ...


def open_packets(
    path: str | Path,
    columns: Sequence[str] | None = None,
    start: int | None = None,
    end: int | None = None,
    check: bool = True,
    meets: Callable[[int, int], bool] | None = None,
) -> Packets:
    """Read a capture (``andon.observe.read``) or a file of the history, each told by its first bytes.

    Only packets with start <= ts < end (ns; None: no bound). ``check``: whether the checksum of a file of the history
    is compared. ``meets``: of a file of the history, whether rows with times in low <= ts <= high are of interest; row
    groups that are not are left out before they are read. Raises ``NotACapture`` and ``NoPackets`` (both ValueError),
    ``OSError``, and ``KeyError`` for a column that does not exist. Damage inside raises nothing: see ``damage``.

    >>> reader = open_packets("store/history/packets/date=2026-01-01/1f-0a.parquet", ["ts", "src"])  # doctest: +SKIP
    >>> sum(batch.num_rows for batch in reader), reader.counts.rows                                  # doctest: +SKIP
    (10043, 10043)
    """
    names = COLUMNS if columns is None else tuple(columns)
    for name in names:
        if name not in COLUMNS:
            raise KeyError(f"no column {name!r} in the packet record; it has: {', '.join(COLUMNS)}")
    if is_history(path):
        return HistoryPackets(Path(path), names, start, end, check, meets)
    if start is None and end is None:
        return read(path, columns=names)
    return _Bounded(path, names, start, end)


def is_history(path: str | Path) -> bool:
    """Is it a Parquet file, or the name of one that is gone? Raises OSError, NoPackets."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError as error:
        if Path(path).suffix != ".parquet":
            raise
        raise NoPackets(
            "this file is gone. If it was one of the packet history, a compaction has replaced it or retention has "
            "dropped it while it was still to be read: run the analysis again, or give them a longer grace "
            "(andon history compact --grace-hours)"
        ) from error


@dataclass
class _Run:
    """A row group in memory, and how far it has been given. ``low``: of each row, the least time from it on."""

    batch: pa.RecordBatch
    low: np.ndarray
    at: int = 0

    @property
    def ahead(self) -> int:
        return int(self.low[self.at])


class HistoryPackets:
    """An iterable of batches over one file of the history; made by ``open_packets``, can be run through once.

    As ``observe.Reader``, and besides: ``ahead``, ns before which nothing is still to come (None: nothing is);
    ``astray``: rows left out because their times do not fit those around them (``run.order``), which only files of
    mixed dates can hold; ``left``: rows of groups that were left out, at most. Memory: at most eight row groups, of the
    columns asked for.
    """

    def __init__(
        self,
        path: Path,
        columns: tuple[str, ...],
        start: int | None,
        end: int | None,
        check: bool,
        meets: Callable[[int, int], bool] | None = None,
    ) -> None:
        self.link_types: tuple[int, ...] = ()  # a history holds IP packets, whatever they came in
        self.damage: list[Damage] = []
        self.damage_total = self.astray = 0
        self._start = -(2**63) if start is None else start
        self._end = 2**63 - 1 if end is None else end
        self._rows = 0
        self._skipped: dict[str, int] = {}
        try:
            self._file = StoredGroups(path, columns, check)
        except StoreError as error:
            raise NoPackets(str(error).removeprefix(f"{path}: ")) from error
        inside = [g for g in self._file.groups if g.rows and g.low < self._end and g.high >= self._start]
        wanted = [
            g for g in inside if meets is None or meets(max(g.low, self._start), min(g.high, self._end - 1))
        ]
        self.left = sum(g.rows for g in inside) - sum(g.rows for g in wanted)
        self._waiting = sorted(wanted, key=lambda group: (group.low, group.number), reverse=True)
        self._runs: list[_Run] = []
        self._batches = self._given()

    @property
    def counts(self) -> Counts:
        return Counts(self._rows + sum(self._skipped.values()), self._rows, dict(self._skipped))

    @property
    def ahead(self) -> int | None:
        lows = [run.ahead for run in self._runs]
        if self._waiting:
            lows.append(max(self._waiting[-1].low, self._start))
        return min(lows, default=None)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def close(self) -> None:
        """Let go of the file before its end."""
        self._waiting.clear()
        self._runs.clear()
        self._file.close()

    def _given(self) -> Iterator[pa.RecordBatch]:
        try:
            while self._waiting or self._runs:
                self._hold()
                if not self._runs:
                    continue
                run = min(self._runs, key=lambda run: run.ahead)
                stop = min(self._stop(run), run.at + _BATCH, run.batch.num_rows)
                batch = run.batch.slice(run.at, stop - run.at)
                run.at = stop
                if stop == run.batch.num_rows:
                    self._runs.remove(run)
                if not self._waiting:
                    self._file.close()
                yield batch
        finally:
            self.close()

    def _hold(self) -> None:
        """Read what begins before anything that is held; one that reads nothing takes no place."""
        while self._waiting and len(self._runs) < _OPEN:
            if self._runs and min(run.ahead for run in self._runs) < self._waiting[-1].low:
                return
            group = self._waiting.pop()
            try:
                run = self._read(group)
            except StoreError as error:
                self._damaged(group, error)
                continue
            if run is not None:
                self._runs.append(run)

    def _stop(self, run: _Run) -> int:
        """Up to which row a piece may be given before it is another one's turn."""
        others: list[int] = [other.ahead for other in self._runs if other is not run]
        if self._waiting:
            others.append(self._waiting[-1].low)
        if not others:
            return int(run.batch.num_rows)
        level = int(np.searchsorted(run.low, min(min(others) + _STEP, 2**63 - 1)))
        return max(level, run.at + _LEAST)

    def _read(self, group: Group) -> _Run | None:
        """The rows of a group that are wanted, in the order of their times where they are not nearly so already."""
        batch, ts = self._file.read(group)
        inside = (ts >= self._start) & (ts < self._end)
        if not inside.all():
            batch, ts = batch.filter(pa.array(inside)), ts[inside]
        self._rows += len(ts)
        gone = astray(ts)
        if gone is not None:
            self.astray += int(gone.sum())
            batch, ts = batch.filter(pa.array(~gone)), ts[~gone]
        if not len(ts):
            return None
        low = np.minimum.accumulate(ts[::-1])[::-1]
        if int((ts - low).max()) > _STEP:
            order = np.argsort(ts, kind="stable")
            batch, low = batch.take(pa.array(order)), ts[order]
        return _Run(batch, low)

    def _damaged(self, group: Group, error: StoreError) -> None:
        self.damage_total += 1
        self._skipped[_DAMAGED] = self._skipped.get(_DAMAGED, 0) + group.rows
        if len(self.damage) < _PLACES:
            what = f"row group {group.number} of {group.rows:,} packets is left out: {error}"
            self.damage.append(Damage(group.offset, what, 0, True))


@dataclass
class _Bounded:
    """A capture, between two times."""

    path: str | Path
    columns: tuple[str, ...]
    start: int | None
    end: int | None
    _rows: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._reader = read(self.path, columns=tuple(dict.fromkeys((*self.columns, "ts"))))

    @property
    def counts(self) -> Counts:
        skipped: Mapping[str, int] = self._reader.counts.skipped
        return Counts(self._rows + sum(skipped.values()), self._rows, dict(skipped))

    @property
    def damage(self) -> Sequence[Damage]:
        return self._reader.damage

    @property
    def damage_total(self) -> int:
        return self._reader.damage_total

    @property
    def link_types(self) -> Sequence[int]:
        return self._reader.link_types

    def close(self) -> None:
        self._reader.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._reader:
            ts = column(batch, "ts")
            inside = np.ones(len(ts), np.bool_)
            if self.start is not None:
                inside &= ts >= self.start
            if self.end is not None:
                inside &= ts < self.end
            batch = batch.select(list(self.columns))
            kept = batch if inside.all() else batch.filter(pa.array(inside))
            self._rows += kept.num_rows
            if kept.num_rows:
                yield kept
