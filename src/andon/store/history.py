"""The history: every packet ever received, as a Delta Lake table that other tools read too.

One commit per call of ``append`` holds the rows and, in the same commit, the number of the last journal segment
they come from; so a kill between writing and acknowledging can neither lose nor double a row. delta-rs neither
refuses an old transaction version nor syncs what it writes: the check and the sync are here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from andon.records.packet import COLUMNS
from andon.store.errors import StoreDamaged
from andon.store.history_files import ROW_GROUP, FileWriter, StoredFile, date_of, read_stored
from andon.store.history_log import APP, EXPIRED, ROWS, HistoryLog
from andon.store.history_schema import to_stored, to_wire
from andon.store.journal_segment import Segment

if TYPE_CHECKING:
    from andon.store.history_upkeep import Compacted, Expired
    from andon.store.history_verify import Report
    from andon.store.journal import Journal

_DAY_NS = 86_400 * 10**9
_WAITING = 4 * ROW_GROUP  # rows held for all files of a commit together
_DATES = 32  # files that one commit may open; rows of further dates share one


class History:
    """The Delta table ``folder/packets``; created by the first ``append``.

    Reading needs no lock and sees the commits made so far (``refresh``). One writer at a time: hold a ``StoreLock``; a
    second one is noticed at its commit, which then fails. ``level``: of zstd; ``clock``: ns, for the times in
    Delta's log.
    Raises StoreDamaged, StoreReadOnly, StoreFull, StoreError.

    Example::

        history = History(Path("store/history"))
        history.append(journal.segments(after=history.last_segment))
        journal.drop_through(history.last_segment)
    """

    def __init__(self, folder: Path, level: int = 1, clock: Callable[[], int] = time.time_ns) -> None:
        self.folder = folder
        self.level = level
        self.log = HistoryLog(folder / "packets", clock)
        self._appending = threading.Lock()

    @property
    def last_segment(self) -> int:
        """Number of the last journal segment whose rows are in; 0 if none is."""
        return self.log.transaction(APP) or 0

    @property
    def next_row(self) -> int:
        """Number of the row that comes next; 0 for an empty history."""
        return self.log.transaction(ROWS) or 0

    def refresh(self) -> None:
        """Sees what another process has committed since."""
        self.log.refresh()

    def files(self) -> list[StoredFile]:
        """The table's files in order of their rows."""
        return self.log.files()

    def check_journal(self, journal: Journal) -> None:
        """To be called once both are open, before anything is dropped. Raises StoreDamaged if the journal does not
        lead up to this history and on from it: it was lost, replaced, or is another store's."""
        last, next_row = self.last_segment, self.next_row
        if not last:
            return
        if journal.last < last:
            raise StoreDamaged(
                f"{journal.folder}: the journal ends with segment {journal.last}, but the history beside it holds "
                f"segment {last}: the journal was lost or is not this one. Put it back, or move {self.folder} away "
                "(it can still be queried there) to begin anew"
            )
        for segment in journal.segments():
            if segment.number == last and segment.end_row != next_row:
                raise self._apart(segment, last, next_row)
            if segment.number > last:
                if segment.number != last + 1 and segment.number == journal.first:
                    raise self._apart(segment, last, next_row)
                if segment.number == last + 1 and segment.first_row != next_row:
                    raise self._apart(segment, last, next_row)
                return

    def append(self, segments: Iterable[Segment]) -> int:
        """Rows of those segments that are not in yet, as one commit, on disk when this returns; gives their number.

        After it, the journal may drop these segments. Raises StoreDamaged if the segments do not go on where the
        history ends, StoreLocked if another writer came in between; nothing is written then."""
        with self._appending:
            return self._append(segments)

    def _append(self, segments: Iterable[Segment]) -> int:
        self.log.create()
        last, next_row = self.last_segment, self.next_row
        writers: dict[str | None, FileWriter] = {}
        done, rows, marks = last, 0, {}
        try:
            for segment in segments:
                if segment.number <= last:
                    if segment.end_row > next_row:
                        raise self._apart(segment, last, next_row)
                    continue
                if not last and not done:  # a new history begins where the journal still begins
                    next_row, done = segment.first_row, segment.number - 1
                    marks = {EXPIRED: next_row} if next_row else {}
                if segment.number != done + 1 or segment.first_row != next_row + rows:
                    raise self._apart(segment, done, next_row + rows)
                done = segment.number
                at = segment.first_row
                for _, batch in segment.batches():
                    self._write(writers, to_stored(batch, at), segment.clock)
                    at += batch.num_rows
                    if sum(writer.waiting_rows for writer in writers.values()) > _WAITING:
                        for writer in writers.values():
                            writer.flush()
                if at != segment.end_row:
                    raise StoreDamaged(f"{segment.path}: {at - segment.first_row} rows, not {segment.rows}")
                rows += segment.rows
            if done == last:
                return 0
            files = [writer.close() for writer in writers.values()]
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            raise
        self.log.commit(add=files, transactions={APP: done, ROWS: next_row + rows, **marks})
        return rows

    def _write(self, writers: dict[str | None, FileWriter], batch: pa.RecordBatch, clock: int) -> None:
        days = batch.column("ts").view(pa.int64()).to_numpy() // (_DAY_NS // 1000)
        if len(days) == 0:
            return
        low, high = int(days.min()), int(days.max())
        if low == high:
            self._writer(writers, low, clock).write(batch)
            return
        for writer, mask in self._by_writer(writers, days, clock):
            writer.write(batch.filter(pa.array(mask)))

    def _by_writer(
        self, writers: dict[str | None, FileWriter], days: np.ndarray, clock: int
    ) -> Iterator[tuple[FileWriter, np.ndarray]]:
        found: dict[int, tuple[FileWriter, list[int]]] = {}
        unique, where = np.unique(days, return_inverse=True)
        for number, day in enumerate(unique.tolist()):
            writer = self._writer(writers, day, clock)
            found.setdefault(id(writer), (writer, []))[1].append(number)
        for writer, numbers in found.values():
            chosen = np.zeros(len(unique), bool)
            chosen[numbers] = True
            yield writer, chosen[where]

    def _writer(self, writers: dict[str | None, FileWriter], day: int, clock: int) -> FileWriter:
        """The file of that day; dates far from the commit's own share one file once there are too many."""
        date: str | None = date_of(day * (_DAY_NS // 1000))
        if date not in writers and len(writers) >= _DATES and abs(day - clock // _DAY_NS) > 1:
            date = None
        if date not in writers:
            writers[date] = FileWriter(self.log.root, date, self.level)
        return writers[date]

    def _apart(self, segment: Segment, last: int, next_row: int) -> StoreDamaged:
        return StoreDamaged(
            f"{self.folder}: the history ends with segment {last} (next row {next_row:,}), but the journal gives "
            f"segment {segment.number} (rows {segment.first_row:,} to {segment.end_row:,}): journal and history do "
            "not belong together. Put back the ones that do, or start with an empty store folder"
        )

    def read(self, start_ns: int, end_ns: int, columns: Sequence[str] = COLUMNS) -> Iterator[pa.RecordBatch]:
        """Packets with start <= ts < end in wire types, in order of ``row``; batches of at most 64 Ki rows."""
        columns = tuple(columns)
        for batch in read_stored(self.log.root, self.files(), columns, start_ns, end_ns):
            yield to_wire(batch, columns)

    def query(self, sql: str, memory_limit: str = "1GB", tables: Path | None = None) -> pa.RecordBatchReader:
        """The answer of one SELECT over the view ``packets``; see ``andon.store.history_query``."""
        from andon.store.history_query import query

        return query(self, sql, memory_limit, tables)

    def compact(self, grace_hours: int = 1) -> Compacted:
        """Joins small files; see ``andon.store.history_upkeep``."""
        from andon.store.history_upkeep import compact

        return compact(self, grace_hours)

    def expire(
        self, *, before_ns: int | None = None, keep_bytes: int | None = None, grace_hours: int = 1
    ) -> Expired:
        """Drops the oldest rows; see ``andon.store.history_upkeep``."""
        from andon.store.history_upkeep import expire

        return expire(self, before_ns=before_ns, keep_bytes=keep_bytes, grace_hours=grace_hours)

    def vacuum(self, grace_hours: int = 1) -> int:
        """Removes files from the disk that left the table, or never came into it, more than ``grace_hours`` ago;
        gives their number."""
        with self._appending:
            return self.log.vacuum(grace_hours)

    def verify(self) -> Report:
        """Looks at every file; see ``andon.store.history_verify``."""
        from andon.store.history_verify import verify

        return verify(self)
