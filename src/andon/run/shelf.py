"""Records of other kinds than packets, put in the order of time.

Logs are in no order one could stream them by: a honeypot writes a session down when it ends, logs of several sensors
are put behind one another, and T-Pot's are weeks out of order. So files are read to their end and their records put
away by day (of ``Kind.time``), in memory up to a budget and beyond it as Arrow files in a temporary folder; then the
days are taken out one after another, each put in order.

*Wild times* must not open windows without end. Records before 1990 or from 2100 on are left out; so are those of a log
that lie more than 90 days from all others and are fewer than one in a thousand of its records; and of a kind that
still has more than ``MOST_DAYS`` days, those farthest from the middle. All are counted (``FileReport.astray``). Reports
are few and years apart by nature: of these three rules only the first and the last hold for them. Sensors that read a
capture may count from its begin: a log of contacts or flows whose times are all before 1990 is taken as it is.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa

from andon.records.kinds import CONTACT, FLOW, KINDS, REPORT, kind_of, marked
from andon.run.feed import FileReport
from andon.run.inputs import kinds_of, note_skipped

if TYPE_CHECKING:
    from andon.observe.sensors import Sensor

DAY: Final = 86_400_000_000_000
MOST_DAYS: Final = 3_660
ROWS: Final = 65_536  # of a piece
EARLIEST: Final = 631_152_000_000_000_000  # 1990
_RELATIVE: Final = (CONTACT, FLOW)
_LATEST: Final = 4_102_444_800_000_000_000  # 2100
_LONELY: Final = 90  # days
_RARE: Final = 1000

Piece = tuple[str, pa.RecordBatch, np.ndarray, int | None]


@dataclass
class _Chunk:
    """Records of one file and day, in memory or in a file."""

    file: int
    rows: int
    nbytes: int
    batch: pa.RecordBatch | None = None
    path: Path | None = None

    def load(self) -> list[pa.RecordBatch]:
        if self.batch is not None:
            return [self.batch]
        assert self.path is not None
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file) as reader:
            return [reader.get_batch(number) for number in range(reader.num_record_batches)]


@dataclass
class _Day:
    """What is known of one file's records of a day."""

    rows: int
    first: int
    last: int


@dataclass
class Shelf:
    """``kinds``: those that are kept; others are counted and let go. ``budget``: bytes in memory before the disk is
    used; ``step``: ns that one piece covers at most. A context manager: the temporary folder goes with it.

    ``add`` every file, then iterate ``pieces``."""

    kinds: Collection[str]
    budget: int = 256 << 20
    step: int = DAY
    reports: list[FileReport] = field(default_factory=list)
    _chunks: dict[tuple[str, int], list[_Chunk]] = field(default_factory=dict)
    _seen: list[dict[int, _Day]] = field(default_factory=list)  # by file
    _held: int = 0
    _folder: Any = None
    _files: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._chunks = {}
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, sensor: Sensor, report: FileReport) -> Iterator[int]:
        """Read a file; gives the numbers of records as they come. What is wrong with it stands in the report."""
        from andon.observe.jsonlines import Skipped

        kinds = kinds_of(sensor)
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            report.error = f"sensor {sensor.name} gives records of an unknown kind {unknown[0]!r}"
            return
        number, skipped = len(self.reports), Skipped()
        self.reports.append(report)
        self._seen.append({})
        try:
            for batch in sensor.read(report.path, skipped):
                if not batch.num_rows:
                    continue
                kind = KINDS[kind_of(batch) if len(kinds) > 1 else kinds[0]]
                if kind.name not in kinds or not batch.schema.equals(kind.schema):
                    raise ValueError(f"sensor {sensor.name} gives no records of kind {kind.name}")
                report.records += batch.num_rows
                self._put(number, kind.name, batch, times(batch, kind.time))
                yield batch.num_rows
        except (OSError, ValueError) as error:
            if report.records:
                report.damage.append(f"reading stopped: {error}")
                report.places += 1
            else:
                report.error = f"{error}"
        note_skipped(report, skipped)

    def _put(self, file: int, kind: str, batch: pa.RecordBatch, ts: np.ndarray) -> None:
        good = (ts >= (0 if kind in _RELATIVE else EARLIEST)) & (ts < _LATEST)
        if not good.all():
            self.reports[file].astray += int((~good).sum())
            batch, ts = batch.filter(pa.array(good)), ts[good]
        days = ts // DAY
        if np.any(days[1:] < days[:-1]):
            order = np.argsort(days, kind="stable")
            batch, ts, days = batch.take(pa.array(order)), ts[order], days[order]
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
        for start, end in pairwise(edges if len(days) else []):
            day, piece = int(days[start]), batch.slice(start, end - start)
            first, last = int(ts[start:end].min()), int(ts[start:end].max())
            seen = self._seen[file].setdefault(day, _Day(0, first, last))
            seen.rows += end - start
            seen.first, seen.last = min(seen.first, first), max(seen.last, last)
            if kind in self.kinds:
                chunk = _Chunk(file, end - start, piece.nbytes, piece)
                self._chunks.setdefault((kind, day), []).append(chunk)
                self._held += chunk.nbytes
        if self._held > self.budget:
            self._spill()

    def _spill(self) -> None:
        """Everything in memory to disk: one file a day and a kind."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="andon-records-")
        folder = Path(self._folder.name)
        for chunks in self._chunks.values():
            for file in sorted({chunk.file for chunk in chunks if chunk.batch is not None}):
                mine = [chunk for chunk in chunks if chunk.batch is not None and chunk.file == file]
                path = folder / f"{self._files}.arrow"
                self._files += 1
                table = pa.Table.from_batches([chunk.batch for chunk in mine]).combine_chunks()
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                with (
                    pa.OSFile(str(path), "wb") as out,
                    pa.ipc.new_file(out, table.schema, options=options) as made,
                ):
                    made.write_table(table)
                whole = _Chunk(file, table.num_rows, sum(chunk.nbytes for chunk in mine), path=path)
                chunks[:] = [*(chunk for chunk in chunks if chunk not in mine), whole]
        self._held = 0

    def pieces(self) -> Iterator[Piece]:
        """(kind, marked batch, times in ns ascending, time of the next piece or None) in the order of time."""
        gone = self._wild()
        streams = {kind: self._kind(kind, gone) for kind in sorted({kind for kind, _ in self._chunks})}
        heap = []
        for kind, stream in streams.items():
            piece = next(stream, None)
            if piece is not None:
                heap.append((int(piece[1][0]), kind, *piece))
        heapq.heapify(heap)
        while heap:
            _, kind, batch, ts = heap[0]
            piece = next(streams[kind], None)
            if piece is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (int(piece[1][0]), kind, *piece))
            yield kind, batch, ts, heap[0][0] if heap else None

    def _kind(
        self, kind: str, gone: Collection[tuple[int, int]]
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        column = KINDS[kind].time
        for day in sorted(day for name, day in self._chunks if name == kind):
            chunks = [chunk for chunk in self._chunks[kind, day] if (chunk.file, day) not in gone]
            # A day too large for memory is taken out in parts.
            size = sum(chunk.nbytes for chunk in chunks)
            parts = int(min(1440, max(1, -(-4 * size // self.budget)))) if size > self.budget // 2 else 1
            for part in range(parts):
                low, high = (day * DAY + DAY * n // parts for n in (part, part + 1))
                batches = []
                for chunk in chunks:
                    for batch in chunk.load():
                        ts = times(batch, column)
                        inside = (ts >= low) & (ts < high)
                        kept = batch if inside.all() else batch.filter(pa.array(inside))
                        batches += [kept] if kept.num_rows else []
                yield from self._in_order(kind, batches, column)

    def _in_order(
        self, kind: str, batches: list[pa.RecordBatch], column: str
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        if not batches:
            return
        whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
        ts = times(whole, column)
        if np.any(ts[1:] < ts[:-1]):
            order = np.argsort(ts, kind="stable")
            whole, ts = whole.take(pa.array(order)), ts[order]
        whole = marked(whole, kind)
        edges = {
            0,
            len(ts),
            *range(0, len(ts), ROWS),
            *(np.flatnonzero(np.diff(ts // self.step)) + 1).tolist(),
        }
        for start, end in pairwise(sorted(edges)):
            yield whole.slice(start, end - start), ts[start:end]

    def _wild(self) -> set[tuple[int, int]]:
        """(file, day) of records that are left out, after saying so; sets ``first`` and ``last`` of the reports."""
        gone: set[tuple[int, int]] = set()
        for file, days in enumerate(self._seen):
            if any(one.last >= EARLIEST for one in days.values()):
                gone |= {(file, day) for day, one in days.items() if one.first < EARLIEST}
            if self.reports[file].kind != REPORT:
                left = {day: one.rows for day, one in days.items() if (file, day) not in gone}
                gone |= {(file, day) for day in _lonely(left)}
        for kind in {report.kind for report in self.reports}:
            # A file is judged as a whole by the first kind that it holds.
            mine = [file for file, report in enumerate(self.reports) if report.kind == kind]
            held: dict[int, int] = {}
            for file in mine:
                for day, one in self._seen[file].items():
                    if (file, day) not in gone:
                        held[day] = held.get(day, 0) + one.rows
            far = _far(held)
            gone |= {(file, day) for file in mine for day in far & self._seen[file].keys()}
        for file, report in enumerate(self.reports):
            days = self._seen[file]
            kept = [one for day, one in days.items() if (file, day) not in gone]
            report.astray += sum(one.rows for day, one in days.items() if (file, day) in gone)
            if report.astray:
                report.damage.append(
                    f"{report.astray:,} records have times that cannot be true (before 1990, after 2099, or far from "
                    "all others): left out"
                )
                report.places += 1
            report.first = min((one.first for one in kept), default=None)
            report.last = max((one.last for one in kept), default=None)
        return gone


def times(batch: pa.RecordBatch, column: str) -> np.ndarray:
    """int64 ns of a record's time."""
    return np.asarray(batch.column(column).view(pa.int64()).to_numpy(zero_copy_only=False))


def _lonely(rows: dict[int, int]) -> set[int]:
    """Days of groups that are far from all others and hold next to nothing.

    >>> sorted(_lonely({10: 5000, 11: 7000, 400: 2, 500: 3000}))
    [400]
    """
    days, total = sorted(rows), sum(rows.values())
    groups: list[list[int]] = []
    for day in days:
        if groups and day - groups[-1][-1] <= _LONELY:
            groups[-1].append(day)
        else:
            groups.append([day])
    return {day for group in groups if _RARE * sum(rows[day] for day in group) < total for day in group}


def _far(rows: dict[int, int]) -> set[int]:
    """Days beyond ``MOST_DAYS``: those farthest from the day in the middle of the records."""
    if len(rows) <= MOST_DAYS:
        return set()
    days = np.array(sorted(rows))
    counted = np.cumsum([rows[int(day)] for day in days])
    middle = days[np.searchsorted(counted, counted[-1] / 2)]
    order = np.lexsort((days, np.abs(days - middle)))
    return set(days[order[MOST_DAYS:]].tolist())
