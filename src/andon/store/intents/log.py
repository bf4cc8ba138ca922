"""The intent log: what was decided and done about whose traffic, added to and never changed.

It is written ahead: an enforcer is told only what is in here already. ``append`` returns when the lines are on disk.
Several processes may append; a short lock on the file ``lock`` puts them in order, and under it each event is checked
against what the log says by then (``Conflict``). Lines are chained (``line``), the head says how far they go
(``head``), a segment begins with the state of everything (``segment``, ``known``), so that opening costs one segment
however long the log is.
"""

from __future__ import annotations

import os
import threading
import time as clocks
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from andon.records.finding import nanoseconds
from andon.records.intent import EXPIRED, FAILED, PROPOSED, REFUSED, REVOKED, Intent, IntentEvent
from andon.store.durable import make_folder, sync_path, write_durable
from andon.store.errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
    explained,
    translated,
)
from andon.store.intents import reserve
from andon.store.intents.head import NAME, Head, create_head, read_head, write_head
from andon.store.intents.known import Known, entry_of, event_body, header_body
from andon.store.intents.line import FIRST, LONGEST, Unproven, decode, encode
from andon.store.intents.loading import Loaded, entries_in, first_line, load
from andon.store.intents.locking import LogLock
from andon.store.intents.segment import Chain, Damage, file_name, first_of, read_lines, segments_in
from andon.store.intents.state import NOBODY, NOTE, SITE, Entry, Hold, State, check, folded
from andon.store.intents.uptime import boot_id, uptime
from andon.store.intents.verifying import Verification, verify

_RECENT: Final = 8192  # entries kept in memory for those that follow
_ENDINGS: Final = frozenset((EXPIRED, REVOKED, REFUSED, FAILED))


class IntentLog:
    """The log in ``folder``. With ``key`` every line is signed. Safe for threads; close it when done.

    A damaged log opens too: ``damage`` says what is wrong, the states are what the proven lines say, and ``append``
    raises StoreDamaged. ``repaired`` says what a torn append left and was cut off. ``generation`` changes when the
    log was set aside and begun anew by another process. ``up`` and ``boot``: the clock since boot (ns) and its id.
    Raises StoreError.

    Example::

        log = IntentLog(Path("/var/lib/andon/contain"))
        log.append([IntentEvent(intent.id, "proposed", "alice", now)], {intent.id: intent})
        log.get(intent.id).state
    """

    def __init__(
        self,
        folder: Path,
        key: bytes | None = None,
        read_only: bool = False,
        *,
        up: Callable[[], int] = uptime,
        boot: str | None = None,
        segment_bytes: int = 4 << 20,
    ) -> None:
        self.folder = folder
        self.read_only = read_only
        self.damage: tuple[Damage, ...] = ()
        self.repaired = ""
        self.generation = 0
        self._key = key or None
        self._up = up
        self._boot = boot_id() if boot is None else boot
        self._segment_bytes = segment_bytes
        self._mutex = threading.RLock()
        self._file = self._head_file = -1
        self._lock = LogLock(folder, read_only)
        self._known = Known()
        self._chain = Chain()
        self._path = folder / file_name(1)
        self._end = self._header = self._lines = 0
        self._recent: deque[Entry] = deque(maxlen=_RECENT)
        if not read_only:
            make_folder(folder)
        with self._lock.held():
            self._open()

    # ------------------------------------------------------------------ reading

    @property
    def head(self) -> Head:
        """The last line there is."""
        with self._mutex:
            return Head(self._chain.number, self._chain.hash, first_of(self._path))

    @property
    def hold(self) -> Hold | None:
        """Set while the kill switch is pulled."""
        return self._known.hold

    @property
    def latest(self) -> int:
        """The latest time that any event says, ns."""
        return self._known.latest

    @property
    def signed(self) -> bool:
        return self._key is not None

    @property
    def boot(self) -> str:
        return self._boot

    def intents(self) -> Mapping[int, State]:
        """All that have not ended, and the newest that have."""
        with self._mutex:
            return {**self._known.ended, **self._known.live}

    def live(self) -> Sequence[State]:
        """Those that have not ended."""
        with self._mutex:
            return list(self._known.live.values())

    def rested(self, case: str) -> Sequence[State]:
        """Of a case, those that were refused or that a person took back."""
        with self._mutex:
            return [self._known.ended[one] for one in self._known.rested.get(case, ())]

    def get(self, intent: int) -> State | None:
        """None: never there, or ended a while ago."""
        with self._mutex:
            return self._known.get(intent)

    def refresh(self) -> bool:
        """Take in what others appended; whether there was anything. Cheap if not. Raises StoreError."""
        with self._mutex:
            with suppress(OSError):
                now = self._path.stat()
                moved = now.st_ino != os.fstat(self._file).st_ino if self._file >= 0 else True
                if not moved and now.st_size == self._end and not self._next().exists():
                    return False
            before = self._chain.number, self.generation
            with self._lock.held():
                self._follow()
            return before != (self._chain.number, self.generation)

    def since(self, number: int, limit: int = 100_000) -> list[Entry]:
        """Events with a number above ``number``, in order, at most ``limit``; what was taken in last, see
        ``refresh``. Lines that do not prove themselves are left out (``verify`` names them). Raises StoreError."""
        with self._mutex:
            if number >= self._chain.number:
                return []
            if self._recent and self._recent[0].number <= number + 1:
                found = [entry for entry in self._recent if entry.number > number]
                return found[:limit]
            last, paths = self._chain.number, segments_in(self.folder)
        return entries_in(paths, number, last, limit, self._key)

    # ------------------------------------------------------------------ appending

    def append(self, events: Sequence[IntentEvent], intents: Mapping[int, Intent]) -> int:
        """The events in order, all or none, on disk when this returns; gives the number of the last line. ``intents``
        holds the intent of each first event (PROPOSED). Raises Conflict, ValueError, StoreDamaged, StoreFull (the
        last room is kept for endings), StoreError; then nothing was written."""
        if self.read_only:
            raise StoreReadOnly(f"{self.folder}: the intent log was opened to be read only")
        with self._mutex, self._lock.held():
            self._follow()
            if self.damage:
                raise StoreDamaged(self.trouble())
            if not events:
                return self._chain.number
            ending = all(event.intent == SITE or event.state in _ENDINGS for event in events)
            if not ending and not reserve.keep(self.folder):
                raise StoreFull(self._no_room())
            try:
                return self._append(events, intents)
            except StoreFull:
                if not ending or not reserve.give(self.folder):
                    raise
                return self._append(events, intents)

    def _no_room(self) -> str:
        return f"{self.folder}: no room left for more than endings: free space; until then nothing new is enforced"

    def trouble(self) -> str:
        """What is wrong with the log and what to do, in words; "" if nothing is."""
        if not self.damage:
            return ""
        more = f" (and {len(self.damage) - 1} more)" if len(self.damage) > 1 else ""
        return (
            f"the intent log is damaged: {self.damage[0]}{more}. Nothing new is enforced; what is in force ends by its "
            "own time. See `andon contain audit verify`; put back a good copy, or set this one aside with "
            "`andon contain audit repair`"
        )

    def _append(self, events: Sequence[IntentEvent], intents: Mapping[int, Intent]) -> int:
        if self._end - self._header > max(self._segment_bytes, 2 * self._header):
            with suppress(StoreFull):  # then this segment grows on
                self._roll(max(event.time for event in events))
        number, prev = self._chain.number, self._chain.hash
        staged: dict[int, State] = {}
        pieces, entries, up = [], [], self._up()
        for event in events:
            document = intents.get(event.intent) if event.state == PROPOSED else None
            state = staged.get(event.intent) or self._known.get(event.intent)
            check(state, event, document)
            number += 1
            text, digest = encode(event_body(number, prev, event, document, up, self._boot), self._key)
            if len(text) > LONGEST:
                raise ValueError(
                    f"an event of {len(text):,} bytes: {LONGEST:,} are the most that the log takes"
                )
            prev = digest
            try:  # what was written is what will be read
                entry = entry_of(decode(text[:-1], None))
            except Unproven as error:
                raise ValueError(f"event {event.state} of intent {event.intent:016x}: {error}") from error
            if event.intent != SITE:
                staged[event.intent] = folded(state, entry)
            pieces.append(text)
            entries.append(entry)
        self._write(b"".join(pieces))
        self._chain.number, self._chain.hash = number, prev
        self._lines += len(pieces)
        for entry in entries:
            self._known.add(entry)
            self._recent.append(entry)
        with suppress(OSError):  # the lines are there; a head that lags is caught up by the next
            write_head(self._head_file, self.head, self._key)
        return number

    def _write(self, data: bytes) -> None:
        """All of it on disk, or the file as it was."""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise translated(error, self._path, "appending to the intent log") from error
        self._end += len(data)

    # ------------------------------------------------------------------ upkeep

    def sync(self) -> None:
        """Now and then: the head on disk, and room for endings kept again. Raises StoreFull where there is none, and
        StoreError."""
        with self._mutex:
            if self.read_only or self._head_file < 0:
                return
            with explained(self.folder / NAME, "syncing the head of the intent log"):
                os.fdatasync(self._head_file)
            if not reserve.keep(self.folder):
                raise StoreFull(self._no_room())

    def retire(self, before: int, actor: str = NOBODY, now: int | None = None) -> int:
        """Remove segments whose events all lie before ``before`` (ns), oldest first; says so in the log. The newest
        stays. Gives how many. Raises StoreError."""
        with self._mutex:
            paths = segments_in(self.folder)
            gone = []
            for path, later in pairwise(paths):
                line = first_line(later, self._key)
                if line is None or nanoseconds(line.body["time"]) >= before:
                    break
                gone.append((path, line.number, line.prev))
            if gone:
                detail = {"retired": {"through": gone[-1][1] - 1, "hash": gone[-1][2]}}
                moment = now if now is not None else clocks.time_ns()
                self.append(
                    [IntentEvent(SITE, NOTE, actor, moment, ("old segments were removed",), detail)], {}
                )
                with explained(self.folder, "removing old segments of the intent log"):
                    for path, _, _ in gone:
                        path.unlink(missing_ok=True)
                    sync_path(self.folder)
            return len(gone)

    def verify(self) -> Verification:
        """Read all of it and prove every line; others may append meanwhile. Raises StoreError."""
        with self._mutex, self._lock.held():
            head = read_head(self.folder, self._key)
            sizes = [(path, path.stat().st_size) for path in segments_in(self.folder)]
        return verify(self.folder, sizes, head, self._key)

    def close(self) -> None:
        """Gives the files back. May be called twice."""
        with self._mutex:
            with suppress(StoreError):
                self.sync()
            self._close_files()
            self._lock.close()

    def __del__(self) -> None:
        """Who forgets to close it keeps no files open for good."""
        with suppress(Exception):
            self._close_files()

    # ------------------------------------------------------------------ inside

    def _open(self) -> None:
        """Under the lock."""
        found = load(self.folder, self._key)
        self._close_files()
        if found.path is None and not found.damage:
            if self.read_only:
                self._take(found)
                return
            self._begin(1, FIRST, clocks.time_ns(), None)
            found = load(self.folder, self._key)
        if found.path is not None and not self.read_only and not found.damage:
            self._check_key(found)
            self._mend(found)
        self._take(found)
        if found.path is not None and not self.read_only:
            with explained(found.path, "opening the intent log"):
                self._file = os.open(found.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                if not found.damage:
                    if not (self.folder / NAME).exists():
                        create_head(self.folder, self.head, self._key)
                    self._head_file = os.open(self.folder / NAME, os.O_RDWR | os.O_CLOEXEC)
                    write_head(self._head_file, self.head, self._key)
            if found.torn and not found.damage:
                moment = found.path.stat().st_mtime_ns
                self._append(
                    [IntentEvent(SITE, NOTE, NOBODY, moment, (self.repaired,), {"torn": len(found.torn)})], {}
                )
            reserve.keep(self.folder)
        elif found.path is not None:
            with explained(found.path, "opening the intent log"):
                self._file = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC)

    def _take(self, found: Loaded) -> None:
        self._known, self._chain = found.known, found.chain
        self._path = found.path or self.folder / file_name(1)
        self._end, self._header, self._lines = found.end, found.header, found.lines
        self.damage = tuple(found.damage)
        self._recent = deque(found.entries, maxlen=_RECENT)

    def _check_key(self, found: Loaded) -> None:
        if found.signed and self._key is None:
            raise StoreError(
                f"{found.path}: this intent log is signed: give its key, or open it to be read only"
            )

    def _mend(self, found: Loaded) -> None:
        """Finish what a process that died left half done."""
        assert found.path is not None
        with explained(found.path, "mending the end of the intent log"):
            for path in found.stale:
                path.unlink(missing_ok=True)
            if found.torn:
                with found.path.open("r+b") as file:
                    file.truncate(found.end)
                    os.fsync(file.fileno())
                self.repaired = (
                    f"{found.path.name}: {len(found.torn)} bytes of an append that was never finished were cut off "
                    f"after line {found.chain.number}"
                )
            if found.stale:
                create_head(
                    self.folder, Head(found.chain.number, found.chain.hash, first_of(found.path)), self._key
                )
                sync_path(self.folder)

    def _follow(self) -> None:
        """Take in what others wrote. Under the lock."""
        while True:
            try:
                now = self._path.stat()
                moved = self._file < 0 or now.st_ino != os.fstat(self._file).st_ino
            except OSError:
                moved = True
            if moved or now.st_size < self._end:
                if self._chain.number or self.damage or segments_in(self.folder):
                    self._reopen()
                return
            if self.damage:
                return
            if now.st_size > self._end and not self._read_on():
                self._reopen()
                return
            if not self._next().exists():
                return
            after = load(self.folder, self._key)
            if after.damage or after.path != self._next() or after.stale:
                self._reopen()
                return
            self._switch(after)

    def _read_on(self) -> bool:
        with explained(self._path, "reading the intent log"), self._path.open("rb") as file:
            file.seek(self._end)
            data = file.read()
        for read in read_lines(self._path, data, self._chain, self._key, self._lines + 1):
            if read.line is None or read.damage is not None or not read.whole:
                return False
            try:
                entry = entry_of(read.line)
                self._known.add(entry)
            except (Unproven, KeyError):
                return False
            self._recent.append(entry)
            self._lines += 1
        self._end += len(data)
        return True

    def _switch(self, found: Loaded) -> None:
        """To the segment that another process began."""
        earlier = list(self._recent)
        self._take(found)
        self._recent = deque((*earlier, *found.entries), maxlen=_RECENT)
        if self._file >= 0:
            os.close(self._file)
        flags = os.O_RDONLY if self.read_only else os.O_WRONLY | os.O_APPEND
        with explained(self._path, "opening the intent log"):
            self._file = os.open(self._path, flags | os.O_CLOEXEC)

    def _reopen(self) -> None:
        self.generation += 1
        self._open()

    def _next(self) -> Path:
        return self.folder / file_name(self._chain.number + 1)

    def _begin(self, number: int, prev: str, time: int, after: Mapping[str, Any] | None) -> None:
        body = header_body(number, prev, self._known, time, self._up(), self._boot, after)
        text, digest = encode(body, self._key)
        write_durable(self.folder / file_name(number), [text])
        create_head(self.folder, Head(number, digest, number), self._key)

    def _roll(self, time: int) -> None:
        body = header_body(
            self._chain.number + 1, self._chain.hash, self._known, time, self._up(), self._boot, None
        )
        text, digest = encode(body, self._key)
        path = self._next()
        write_durable(path, [text])
        with explained(path, "opening the intent log"):
            made = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.close(self._file)
        self._file, self._path = made, path
        self._chain.number, self._chain.hash = self._chain.number + 1, digest
        self._end = self._header = len(text)
        self._lines = 1
        with suppress(OSError):
            write_head(self._head_file, self.head, self._key)
            os.fdatasync(self._head_file)

    def _close_files(self) -> None:
        for file in (self._file, self._head_file):
            if file >= 0:
                os.close(file)
        self._file = self._head_file = -1
