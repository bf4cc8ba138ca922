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
from typing import Any, TypeVar

import pyarrow as pa

from andon.observe.live.source import Piece, Source, SourceError
from andon.records.columns import column
from andon.records.kinds import PACKET, kind_of
from andon.records.packet import SCHEMA
from andon.run.live.ledger import Ledger
from andon.run.live.records import RecordFiles
from andon.run.live.saving import Saving
from andon.run.live.shed import Shedder
from andon.run.live.trouble import Troubles, passes
from andon.store.errors import StoreError
from andon.store.journal import Journal
from andon.store.journal_segment import Segment

T = TypeVar("T")

_SECOND = 1_000_000_000
_SEGMENTS = 16  # that wait for the engines before sources of other records than packets are made to wait
_NO_PACKETS = pa.RecordBatch.from_pylist([], schema=SCHEMA)
_PIECES = 16  # that wait for the journal; what waits longer stays in pipes, files and rings
# Rows of fresh segments that are handed on in memory; older ones are read again from disk.
_HELD_ROWS = 400_000
_RECENT = 10.0  # seconds: a lag that was measured longer ago says nothing any more
_LAST_TRIES = (
    5  # seconds, about, to get the last rows of a source that cannot be asked again onto a full disk
)


@dataclass
class Counters:
    """What a person looks at. Rows are of all time since the start of this process. ``lag``: seconds from the
    commit of a segment until the engines had seen it, ``seen``: when it was committed (ns)."""

    received: int = 0
    journaled: int = 0
    shed: int = 0
    lost: int = 0
    level: int = 0
    stalled: bool = False
    lag: float | None = None
    seen: int = 0
    records: dict[str, int] = field(default_factory=dict)  # of other kinds than packets, by kind
    by_source: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Given:
    """What one poll of a source gave. ``ended``: and nothing will come any more."""

    source: Source
    pieces: Sequence[Piece] = ()
    events: Sequence[dict[str, Any]] = ()
    ended: bool = False


@dataclass
class Pump:
    """``commit_ns`` and ``commit_rows``: when a segment is closed. ``clock``: ns since 1970. ``tell`` hears of what
    sources say happened (gaps, damage)."""

    sources: Sequence[Source]
    journal: Journal
    ledger: Ledger
    shedder: Shedder
    clock: Callable[[], int]
    commit_ns: int = _SECOND
    commit_rows: int = 50_000
    checkpoint_ns: int = 60 * _SECOND
    counters: Counters = field(default_factory=Counters)
    troubles: Troubles = field(default_factory=Troubles)
    tell: Callable[[dict[str, Any]], None] = lambda event: None
    records: RecordFiles | None = None

    def __post_init__(self) -> None:
        self.stopping = threading.Event()
        self.halting = threading.Event()
        self.ledger.wait_for_room = self._wait_for_room
        self.failure: BaseException | None = None
        self._given: queue.Queue[_Given] = queue.Queue(maxsize=_PIECES)
        self._segments: queue.SimpleQueue[tuple[Segment, bool] | None] = queue.SimpleQueue()
        self._handed = 0  # rows of segments in memory that were given to the engines, in all time; the pump's
        self._taken = 0  # ... and that those have seen; the engines' own
        self._told_shed: dict[tuple[str, int], int] = {}
        self._unkept: dict[str, tuple[int, int, int]] = {}
        self._beats: dict[str, int] = {}
        self._ended: set[str] = set()
        self._threads: list[threading.Thread] = []

    # Called by the owner

    def run(self, replay: Sequence[Segment]) -> None:
        """Until ``stop`` is called or every source has ended. ``replay``: segments the ledger has not seen yet.

        Raises what a thread raised."""
        for segment in replay:
            self._segments.put((segment, False))
        positions = self.journal.positions
        alive = max((segment.clock for segment in self.journal.segments(self.journal.last - 1)), default=0)
        for source in self.sources:
            if not source.replayable and source.name in positions:
                last = max(alive, int(positions[source.name].get("clock", 0)))
                self._event(
                    {"type": "gap", "source": source.name, "from": last, "to": self.clock(), "why": "restart"}
                )
            source.open(positions.get(source.name))
        self._start("engines", self._engines)
        readers = [
            self._start(f"source {source.name}", partial(self._read, source)) for source in self.sources
        ]
        try:
            self._pump(readers)
        except BaseException:
            self.stop()
            raise
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

    @property
    def lag(self) -> float | None:
        """Seconds that the engines are behind the journal; None before their first segment."""
        seen = self.counters.seen
        if not seen or self.backlog:
            return self._since(seen) if seen else None
        return self.counters.lag if self._since(seen) < _RECENT else 0.0

    def _since(self, time_ns: int) -> float:
        return max(0.0, (self.clock() - time_ns) / 1e9)

    def _start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self.failure = self.failure or error
                self.stop()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    # Sources -> queue

    def _read(self, source: Source) -> None:
        beat, part, kind = 0.0, f"source {source.name}", getattr(source, "kind", PACKET)
        while not self.stopping.is_set():
            # A source that can wait is not asked for more while the engines are behind.
            behind = self.shedder.level(self.backlog) or self.counters.stalled
            # Of other records than packets no backlog is counted: what they fill is segments.
            behind = behind or (kind != PACKET and self._segments.qsize() > _SEGMENTS)
            if source.can_wait and behind:
                self.stopping.wait(0.05)
                continue
            pieces, pause = [], 0.0
            try:
                pieces = source.poll(0.2)
                self.troubles.say(part, source.trouble)
            except SourceError as error:
                if not error.passing:
                    raise
                self.troubles.say(part, str(error))
                pause = 1.0
            events = source.events()
            if not pieces and time.monotonic() - beat >= 0.5:
                quiet = source.quiet()
                if quiet is not None:
                    beat = time.monotonic()
                    events.append({"type": "heartbeat", "source": source.name, "time": quiet})
            ended = source.finished
            if pieces or events or ended:
                self._put(_Given(source, pieces, events, ended))
            if ended:
                return
            self.stopping.wait(pause)

    def _put(self, given: _Given) -> None:
        while True:
            try:
                self._given.put(given, timeout=0.2)
                return
            except queue.Full:
                if self.stopping.is_set() and given.source.replayable:
                    return

    # Queue -> journal

    def _pump(self, readers: Sequence[threading.Thread]) -> None:
        due = self.clock() + self.commit_ns
        while True:
            try:
                self._take(self._given.get(timeout=0.1))
            except queue.Empty:
                if self.stopping.is_set() and not any(thread.is_alive() for thread in readers):
                    break
                if len(self._ended) == len(self.sources):
                    break
            now = self.clock()
            if now >= due or due - now > 2 * self.commit_ns or self.journal.pending_rows >= self.commit_rows:
                self._commit(now)
                due = now + self.commit_ns
        self._last_commit()

    def _take(self, given: _Given) -> None:
        for event in given.events:
            self._event(event)
        for piece in given.pieces:
            self._append(given.source, piece)
        if given.ended:
            self._ended.add(given.source.name)
            self._event({"type": "finished", "source": given.source.name})

    def _event(self, event: dict[str, Any]) -> None:
        if event["type"] == "heartbeat":
            self._beats[event["source"]] = event["time"]
            return
        self.journal.event(event)
        self.tell(event)

    def _append(self, source: Source, piece: Piece) -> None:
        if kind_of(piece.batch) != PACKET:
            self._append_records(source, piece)
        else:
            self._append_packets(source, piece)
        for event in piece.events:
            self._event(dict(event))

    def _append_packets(self, source: Source, piece: Piece) -> None:
        batch, name = piece.batch, piece.of or source.name
        self.counters.received += batch.num_rows
        self.counters.by_source[source.name] = self.counters.by_source.get(source.name, 0) + batch.num_rows
        if batch.num_rows or not piece.of:
            self._beats.pop(name, None)
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
        self._moved_to(source, piece, batch)

    def _moved_to(self, source: Source, piece: Piece, batch: pa.RecordBatch) -> None:
        """The rows into the journal, with where the source stands after them; that of a member is said later."""
        position = None if piece.of else {**piece.position, "clock": self.clock()}
        self.journal.append(piece.of or source.name, batch, position)

    def _append_records(self, source: Source, piece: Piece) -> None:
        """Records of another kind: into a file of their own, which the segment names."""
        if self.records is None:
            raise ValueError(f"source {source.name} gives records, and there is no folder for them")
        rows, kind, name = piece.batch.num_rows, kind_of(piece.batch), piece.of or source.name
        if not source.can_wait and self.counters.stalled and self.records.staged > 4 * self.commit_rows:
            self._not_kept(source.name, piece.batch)
            return
        self.counters.records[kind] = self.counters.records.get(kind, 0) + rows
        self.counters.by_source[source.name] = self.counters.by_source.get(source.name, 0) + rows
        self._beats.pop(name, None)
        if rows:
            self.journal.event(self.records.stage(name, piece))
        elif piece.position.get("promise") is not None:
            self._beats[name] = int(piece.position["promise"])
        self._moved_to(source, piece, _NO_PACKETS)

    def _not_kept(self, name: str, batch: Any) -> None:
        """The store takes nothing and the source cannot wait: count what goes by."""
        ts = column(batch, "ts")
        if len(ts):
            rows, first, last = self._unkept.get(name, (0, int(ts.min()), int(ts.max())))
            self._unkept[name] = (rows + len(ts), min(first, int(ts.min())), max(last, int(ts.max())))
            self.counters.lost += len(ts)

    def _commit(self, now: int) -> bool:
        """A segment of what is buffered; False if the disk does not take it now."""
        if not self.counters.stalled:  # else it was said once, and grows until there is room
            self._say_what_is_missing()
        try:
            if self.records is not None:
                self.records.write(self.journal.last + 1)
            segment = self.journal.commit(now)
        except StoreError as error:
            if not passes(error):
                raise
            self.troubles.say("journal", str(error))
            self.counters.stalled = True
            time.sleep(0.2)
            return False
        if self.records is not None:
            self.records.committed()
        self.troubles.say("journal", "")
        self.counters.stalled = False
        if segment is None:
            return True
        self.counters.journaled += segment.rows
        for source in self.sources:  # a listener that answers only for what is on disk
            kept: Callable[[Any], None] | None = getattr(source, "kept", None)
            if kept is not None and source.name in segment.positions:
                kept(segment.positions[source.name])
        if self._handed - self._taken + segment.rows > _HELD_ROWS:
            self._segments.put((segment.on_disk(), False))
        else:
            self._handed += segment.rows
            self._segments.put((segment, True))
        return True

    def _last_commit(self) -> None:
        """What is left, before the end; where it cannot be asked for again, a full disk gets some time."""
        for _ in range(5 * _LAST_TRIES):
            if self._commit(self.clock()) and not self._told_shed and not self._unkept:
                return
            if all(source.replayable for source in self.sources):
                return
        if self.journal.pending_rows:
            raise StoreError(
                f"{self.journal.pending_rows:,} packets that came last could not be kept: "
                + "; ".join(self.troubles.texts())
            )

    def _say_what_is_missing(self) -> None:
        for source, time_ns in self._beats.items():
            self.journal.event({"type": "heartbeat", "source": source, "time": time_ns})
        self._beats.clear()
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

    # Journal -> engines

    def _engines(self) -> None:
        saving = Saving(self.checkpoint_ns / 1e9)
        saved, reported, at = time.monotonic(), time.monotonic(), self.ledger.segment
        while not self.halting.is_set():
            try:
                given = self._segments.get(timeout=1.0)
                if given is None:
                    break
                segment, held = given
                self.ledger.take(segment)
                self._taken += segment.rows if held else 0
                self.counters.lag, self.counters.seen = self._since(segment.clock), segment.clock
            except queue.Empty:
                pass
            now = time.monotonic()
            if self.ledger.segment > at and saving.due(now - saved, self.ledger.again):
                saving.cost, at = self.checkpoint(), self.ledger.segment
                saved = reported = time.monotonic()
            elif now - reported >= saving.every:
                self._stored(self.ledger.report)
                reported = time.monotonic()
        self.checkpoint()

    def checkpoint(self) -> float:
        """Save where the engines stand; a full disk is tried again. Gives the CPU seconds that it took."""
        return self._stored(self.ledger.checkpoint)

    def _stored(self, store: Callable[[int], T]) -> T:
        """What ``store`` gives for the time it is now; what passes by itself is waited for."""
        while True:
            try:
                given = store(self.clock())
                self.troubles.say("engines", "")
                return given
            except StoreError as error:
                if not passes(error) or not self._wait_for_room(str(error)):
                    raise

    def _wait_for_room(self, why: str) -> bool:
        """Say what is in the way and wait a second; False once the runner is told to stop. "": it is gone."""
        self.troubles.say("engines", why)
        return not why or not self.halting.wait(1.0)
