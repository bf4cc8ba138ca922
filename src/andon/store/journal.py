"""The journal: what was received is on disk before anything is done with it.

Rows, positions of their sources and events (heartbeats, gaps, what was shed) are buffered and committed together as
one segment file: written under a temporary name, synced, renamed, the folder synced. So a segment is there whole
or not at all, and what ``commit`` returned survives a kill and a power cut. The number of a segment is the
clock of recovery: everything else in the store says up to which segment it has seen.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from andon.records.packet import SCHEMA
from andon.store.durable import TEMPORARY, make_folder, sync_path, write_durable
from andon.store.errors import StoreDamaged, StoreFull, explained
from andon.store.journal_segment import SUFFIX, Segment, check_sequence, encode, file_name, load

_SMALL = 8192  # batches below this are joined: a batch costs 27 buffers' worth of headers
_LARGE = 65_536


class Journal:
    """The segments in ``folder``, and a buffer of what is not committed yet.

    Opening recovers: temporary files of a writer that died are removed, every segment's checksum is verified
    and their numbers must follow one another (the oldest may be gone). ``limit_bytes``: at that size ``commit``
    raises StoreFull, until ``drop_through`` made room. One writer at a time: hold a ``StoreLock``. Another
    thread than the one that appends and commits may call ``segments`` and ``drop_through``.
    Raises StoreDamaged, StoreReadOnly, StoreError.

    Example::

        journal = Journal(Path("store/journal"))
        journal.append("eth0", batch, {"offset": 4711})
        segment = journal.commit(clock=time.time_ns())
    """

    def __init__(self, folder: Path, limit_bytes: int = 4 << 30, codec: str | None = "lz4") -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._codec = codec
        self._lock = threading.Lock()
        make_folder(folder)
        with explained(folder, "recovering the journal"):
            names = sorted(folder.iterdir())
            for path in names:
                if path.name.endswith(SUFFIX + TEMPORARY):
                    path.unlink()
        self._segments = [load(path) for path in names if path.suffix == SUFFIX]
        check_sequence(self._segments)
        self._nbytes = sum(segment.nbytes for segment in self._segments)
        last = self._segments[-1] if self._segments else None
        self.last = last.number if last else 0
        self.next_row = last.end_row if last else 0
        self._positions: dict[str, dict[str, Any]] = dict(last.positions) if last else {}
        self._moved: dict[str, dict[str, Any]] = {}
        self._batches: list[tuple[str, pa.RecordBatch]] = []
        self._events: list[dict[str, Any]] = []
        self.pending_rows = 0

    @property
    def positions(self) -> dict[str, dict[str, Any]]:
        """Where each source stands after the last commit: what it is opened with after a restart."""
        return dict(self._positions)

    @property
    def nbytes(self) -> int:
        """Bytes of all segments on disk."""
        return self._nbytes

    @property
    def first(self) -> int:
        """Number of the oldest segment still there; 0 if there is none."""
        return self._segments[0].number if self._segments else 0

    def append(self, source: str, batch: pa.RecordBatch, position: Mapping[str, Any] | None) -> None:
        """Buffers rows of ``source`` and where it stands after them (JSON; None: that comes with another source, of
        which this is a member). A batch without rows moves the position alone. The batch must not change afterwards.
        Raises ValueError if it is not in the wire schema."""
        if not batch.schema.equals(SCHEMA):
            raise ValueError(f"source {source}: not a batch of packet records: {batch.schema}")
        if any(column.null_count for column in batch.columns):
            raise ValueError(f"source {source}: a batch of packet records has no nulls")
        if position is not None:
            self._moved[source] = json.loads(json.dumps(dict(position)))
        if batch.num_rows:
            self._batches.append((source, batch))
            self.pending_rows += batch.num_rows

    def event(self, event: Mapping[str, Any]) -> None:
        """Buffers a JSON dict: {"type": "heartbeat", "source": s, "time": ns}, a gap, a shed count, a restart."""
        self._events.append(json.loads(json.dumps(dict(event))))

    def commit(self, clock: int) -> Segment | None:
        """Everything buffered as one segment, on disk when this returns; None if there was nothing.

        On StoreFull, StoreReadOnly or StoreError nothing was written and the buffer is kept: commit again later."""
        if not self._batches and not self._events and not self._moved:
            return None
        if self._nbytes >= self.limit_bytes:
            raise StoreFull(
                f"{self.folder}: the journal holds {self._nbytes:,} bytes, its limit is {self.limit_bytes:,}: "
                "the history does not keep up or cannot be written (see its messages)"
            )
        batches = tuple(_joined(self._batches))
        low, high = _time_range(batches)
        number = self.last + 1
        positions = {**self._positions, **self._moved}
        header = {
            "number": number,
            "first_row": self.next_row,
            "rows": self.pending_rows,
            "clock": clock,
            "positions": positions,
            "events": self._events,
            "ts_min": low,
            "ts_max": high,
        }
        path = self.folder / file_name(number)
        pieces = encode(header, batches, self._codec)
        write_durable(path, pieces)
        segment = Segment(
            number=number,
            path=path,
            first_row=self.next_row,
            rows=self.pending_rows,
            clock=clock,
            positions=positions,
            events=tuple(self._events),
            ts_min=low,
            ts_max=high,
            nbytes=sum(len(piece) for piece in pieces),
            _held=batches,
        )
        with self._lock:
            self._segments.append(segment.on_disk())
            self._nbytes += segment.nbytes
        self.last, self.next_row = number, segment.end_row
        self._positions = dict(segment.positions)
        self._batches, self._events, self._moved, self.pending_rows = [], [], {}, 0
        return segment

    def segments(self, after: int = 0) -> Iterator[Segment]:
        """Committed segments with numbers above ``after``, in order, without their batches in memory.
        Raises StoreDamaged if segments between ``after`` and the oldest one were dropped."""
        if after and self._segments and after + 1 < self.first:
            raise StoreDamaged(
                f"{self.folder}: segments {after + 1} to {self.first - 1} are asked for but gone: the journal "
                "and the state or history beside it do not belong together; put back the ones that do"
            )
        with self._lock:
            found = [segment for segment in self._segments if segment.number > after]
        yield from found

    def drop_through(self, number: int) -> None:
        """Removes segments up to ``number``, oldest first. The last one always stays: it knows the positions."""
        with self._lock:
            drop = [segment for segment in self._segments[:-1] if segment.number <= number]
        with explained(self.folder, "dropping old segments"):
            for segment in drop:
                segment.path.unlink(missing_ok=True)
                with self._lock:
                    self._segments.remove(segment)
                    self._nbytes -= segment.nbytes
            if drop:
                sync_path(self.folder)


def _joined(batches: list[tuple[str, pa.RecordBatch]]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Neighbours of one source as larger batches; the order of rows stays."""
    for source, group in groupby(batches, key=lambda item: item[0]):
        parts = [batch for _, batch in group]
        if len(parts) == 1 or sum(part.num_rows for part in parts) >= _SMALL * len(parts):
            yield from ((source, part) for part in parts)
            continue
        table = pa.Table.from_batches(parts).combine_chunks()
        yield from ((source, part) for part in table.to_batches(max_chunksize=_LARGE))


def _time_range(batches: tuple[tuple[str, pa.RecordBatch], ...]) -> tuple[int | None, int | None]:
    found = [pc.min_max(batch.column("ts").view(pa.int64())).as_py() for _, batch in batches]
    if not found:
        return None, None
    return min(item["min"] for item in found), max(item["max"] for item in found)
