"""The threads of the live runner and what they hand on.

- *readers*, one per source: poll, put pieces into a bounded queue;
- *the pump* (caller's thread): queue -> journal, a commit about every second;
- *engines*: the journal's segments through the ledger, checkpoints;
- *upkeep*: segments into the history, old ones dropped, retention, compaction;
- *delivery*: the outbox.

A thread that fails stops the runner with its error; what was committed is replayed at the next start.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from andon.observe.live.source import Piece, Source, SourceError
from andon.records.columns import column
from andon.run.live.ledger import Ledger
from andon.run.live.shed import Shedder
from andon.store.errors import StoreError, StoreFull, StoreReadOnly
from andon.store.journal import Journal
from andon.store.journal_segment import Segment

_SECOND = 1_000_000_000
_HELD_ROWS = (
    400_000  # rows of fresh segments that are handed on in memory; older ones are read again from disk
)
_RETRY = (StoreFull, StoreReadOnly)


@dataclass
class Counters:
    """What a person looks at. Rows are of all time since the start of this process."""

    received: int = 0
    journaled: int = 0
    shed: int = 0
    lost: int = 0
    trouble: str = ""
    level: int = 0
    stalled: bool = False
    by_source: dict[str, int] = field(default_factory=dict)


@dataclass
class Pump:
    """``commit_ns`` and ``commit_rows``: when a segment is closed. ``clock``: ns since 1970."""

    sources: Sequence[Source]
    journal: Journal
    ledger: Ledger
    shedder: Shedder
    clock: Callable[[], int]
    commit_ns: int = _SECOND
    commit_rows: int = 50_000
    checkpoint_ns: int = 60 * _SECOND
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        self.stopping = threading.Event()
        self.halting = threading.Event()
        self.ledger.wait_for_room = self._wait_for_room
        self.failure: BaseException | None = None
        self._pieces: queue.Queue[tuple[Source, Piece | None]] = queue.Queue(maxsize=64)
        self._segments: queue.SimpleQueue[Segment | None] = queue.SimpleQueue()
        self._handed = 0  # rows of segments in memory that the engines have not seen
        self._told_shed: dict[tuple[str, int], int] = {}
        self._unkept: dict[str, tuple[int, int, int]] = {}
        self._ended: set[str] = set()
        self._beat: dict[str, int] = {}
        self._threads: list[threading.Thread] = []

    # Called by the owner

    def run(self, replay: Sequence[Segment]) -> None:
        """Until ``stop`` is called or every source has ended. ``replay``: segments the ledger has not seen yet.

        Raises what a thread raised."""
        for segment in replay:
            self._segments.put(segment)
        positions = self.journal.positions
        for source in self.sources:
            if not source.replayable and source.name in positions:
                last = int(positions[source.name].get("clock", 0))
                self.journal.event(
                    {"type": "gap", "source": source.name, "from": last, "to": self.clock(), "why": "restart"}
                )
            source.open(positions.get(source.name))
        self._start("engines", self._engines)
        for source in self.sources:
            self._start(f"source {source.name}", partial(self._read, source))
        try:
            self._pump()
        finally:
            self.stopping.set()
            self._segments.put(None)
            for thread in self._threads:
                thread.join()
            for source in self.sources:
                source.close()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Stop cleanly: what is queued is journalled, the engines save where they stand, however far behind."""
        self.halting.set()
        self.stopping.set()

    @property
    def backlog(self) -> int:
        """Rows that are in the journal and not yet in the engines."""
        return max(0, self.journal.next_row - self.ledger.rows)

    def _start(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self.failure = self.failure or error
                self.stop()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    # Sources -> queue

    def _read(self, source: Source) -> None:
        while not self.stopping.is_set():
            # A source that can wait is not asked for more while the engines are behind.
            if source.can_wait and (self.shedder.level(self.backlog) or self.counters.stalled):
                time.sleep(0.05)
                continue
            pieces = source.poll(0.2)
            for piece in pieces:
                self._put(source, piece)
            if source.finished:
                self._put(source, None)
                return

    def _put(self, source: Source, piece: Piece | None) -> None:
        while True:
            try:
                self._pieces.put((source, piece), timeout=0.2)
                return
            except queue.Full:
                if self.stopping.is_set() and source.replayable:
                    return

    # Queue -> journal

    def _pump(self) -> None:
        due = self.clock() + self.commit_ns
        while True:
            try:
                source, piece = self._pieces.get(timeout=0.1)
                self._take(source, piece)
            except queue.Empty:
                if self.stopping.is_set() and not any(
                    t.name.startswith("source") and t.is_alive() for t in self._threads
                ):
                    break
                if len(self._ended) == len(self.sources):
                    break
            now = self.clock()
            if now >= due or due - now > 2 * self.commit_ns or self.journal.pending_rows >= self.commit_rows:
                self._commit(now)
                due = now + self.commit_ns
        self._commit(self.clock())

    def _take(self, source: Source, piece: Piece | None) -> None:
        for event in source.events():
            self.journal.event(event)
        if piece is None:
            self._ended.add(source.name)
            self.journal.event({"type": "finished", "source": source.name})
            return
        batch = piece.batch
        self.counters.received += batch.num_rows
        self.counters.by_source[source.name] = self.counters.by_source.get(source.name, 0) + batch.num_rows
        if not source.can_wait:
            if self.counters.stalled and self.journal.pending_rows > 4 * self.commit_rows:
                self._not_kept(source.name, batch)
                return
            level = self.shedder.level(self.backlog)
            if level:
                kept = self.shedder.keep(batch, level)
                gone = batch.num_rows - kept.num_rows
                self.counters.shed += gone
                key = (source.name, level)
                self._told_shed[key] = self._told_shed.get(key, 0) + gone
                batch = kept
            self.counters.level = level
        self.journal.append(source.name, batch, {**piece.position, "clock": self.clock()})

    def _not_kept(self, name: str, batch: Any) -> None:
        """The store takes nothing and the source cannot wait: count what goes by."""
        ts = column(batch, "ts")
        if len(ts):
            rows, first, last = self._unkept.get(name, (0, int(ts.min()), int(ts.max())))
            self._unkept[name] = (rows + len(ts), min(first, int(ts.min())), max(last, int(ts.max())))
            self.counters.lost += len(ts)

    def _commit(self, now: int) -> None:
        self._heartbeats(now)
        for (name, level), rows in self._told_shed.items():
            self.journal.event({"type": "shed", "source": name, "rows": rows, "one_in": 2**level})
        self._told_shed.clear()
        for name, (rows, first, last) in self._unkept.items():
            self.journal.event(
                {
                    "type": "lost",
                    "source": name,
                    "rows": rows,
                    "from": first,
                    "to": last,
                    "why": "the store was full",
                }
            )
        self._unkept.clear()
        try:
            segment = self.journal.commit(now)
        except _RETRY as error:
            self.counters.trouble, self.counters.stalled = str(error), True
            time.sleep(0.2)
            return
        self.counters.trouble, self.counters.stalled = "", False
        if segment is None:
            return
        self.counters.journaled += segment.rows
        if self._handed + segment.rows > _HELD_ROWS:
            segment = segment.on_disk()
        else:
            self._handed += segment.rows
        self._segments.put(segment)

    def _heartbeats(self, now: int) -> None:
        """An interface or a pipe that is silent has nothing older than the clock, less a second."""
        for source in self.sources:
            if not source.live or source.name in self._ended or self.journal.pending_rows:
                continue
            if now - self._beat.get(source.name, 0) >= _SECOND:
                self._beat[source.name] = now
                self.journal.event({"type": "heartbeat", "source": source.name, "time": now - _SECOND})

    # Journal -> engines

    def _engines(self) -> None:
        due = time.monotonic_ns() + self.checkpoint_ns
        while True:
            segment = self._segments.get()
            if segment is None or self.halting.is_set():
                break
            held = segment._held is not None
            self.ledger.take(segment)
            if held:
                self._handed -= segment.rows
            if time.monotonic_ns() >= due:
                spent = self.checkpoint()
                # Saving large states must not eat more than a fiftieth of a core.
                due = time.monotonic_ns() + max(self.checkpoint_ns, int(50 * spent * 1e9))
        self.checkpoint()

    def checkpoint(self) -> float:
        """Save where the engines stand; a full disk is tried again."""
        while True:
            try:
                return self.ledger.checkpoint(self.clock())
            except _RETRY as error:
                if not self._wait_for_room(str(error)):
                    raise

    def _wait_for_room(self, why: str) -> bool:
        """Say what is in the way and wait a second; False once the runner is told to stop."""
        self.counters.trouble = why
        return not self.halting.wait(1.0)


def why(error: BaseException) -> str:
    """A failure of a thread in words."""
    if isinstance(error, StoreError | SourceError | ValueError):
        return str(error)
    return f"{type(error).__name__}: {error}"
