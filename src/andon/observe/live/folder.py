"""A folder that a capture program rotates its files into.

A file is read when it has not grown for a while. Files are read in the order of their first packets; one that turns
out to have grown after it was read is read on from where it ended then. Where the source stands is the file it is in,
how many rows of it were given, and the files read last; so a restart goes on at the row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from andon.observe.live.folder_files import RECENT, Listing, Mark, Seen, plain, shown
from andon.observe.live.source import Piece, SourceError
from andon.observe.reader import Reader, read
from andon.records.columns import column
from andon.records.packet import COLUMNS, SCHEMA

_EMPTY = pa.RecordBatch.from_pylist([], schema=SCHEMA)
_MOST_PATIENCE = 128  # times ``settle``
_TORN_TAIL = 60.0  # ... times ``settle`` that a record cut in two at the end of a file may still become whole


@dataclass
class _Open:
    seen: Seen
    file: BinaryIO
    reader: Reader
    batches: Iterator[pa.RecordBatch]
    skip: int
    rows: int = 0

    @property
    def mark(self) -> Mark:
        return Mark(self.seen.first or 0, self.seen.name, self.rows, self.seen.size, self.seen.inode)


@dataclass
class FolderSource:
    """``settle``: seconds without growth after which a file is whole. ``once``: finished when every file is read.
    ``idle``: seconds without a new file after which other sources are not held up. ``now``: monotonic seconds.

    Files that are no captures, or damaged, are told in ``events`` and passed over."""

    name: str
    folder: Path
    pattern: str = "*.pcap*"
    settle: float = 5.0
    once: bool = False
    idle: float = 3600.0
    now: Callable[[], float] = time.monotonic
    clock: Callable[[], int] = time.time_ns
    trouble: str = field(default="", init=False)
    replayable: bool = field(default=True, init=False)
    can_wait: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.listing = Listing(self.folder, self.pattern, self.settle, self.now)
        self._done: dict[int, list[Mark]] = {}  # by ``first``, in its order
        self._floor: int | None = None  # files that begin by then are done, though nobody remembers them
        self._open: _Open | None = None
        self._resume: Mark | None = None
        self._ready: list[Seen] = []  # last one next
        self._looked = 0
        self._old: set[str] | None = None  # names that were there at the start, or were told to be too late
        self._grown: dict[int, int] = {}  # inode -> how often it has grown after it was read
        self._torn: dict[str, tuple[str, float]] = {}
        self._events: list[dict[str, Any]] = []
        self._drained = False
        self._told: set[str] = set()
        self._given = self.now()
        self._told_idle = self._in_step = False

    def open(self, position: Mapping[str, Any] | None) -> None:
        if not self.folder.is_dir():
            raise SourceError(
                f"source {self.name}: {self.folder} is not a folder: make it, or mend [[source]] path"
            )
        if position:
            for mark in (Mark(*one) for one in position["done"]):
                self._done.setdefault(mark.first, []).append(mark)
            self._floor = position["floor"]
            self._resume = Mark(*position["in"]) if position["in"] else None

    @property
    def finished(self) -> bool:
        return self.once and self._drained

    def events(self) -> list[dict[str, Any]]:
        told, self._events = self._events, []
        return told

    def quiet(self) -> int | None:
        """Where files have come with packets of just now, a long silence means that there are none."""
        return self.clock() - int(self.idle * 1e9) if self._in_step and self._told_idle else None

    def close(self) -> None:
        if self._open is not None:
            self._open.reader.close()
            self._open.file.close()
        self._open = None

    def poll(self, timeout: float) -> list[Piece]:
        if self._open is None and not self._choose():
            self._check_silence()
            if not self._drained and timeout > 0:
                time.sleep(min(timeout, 0.5))
            return []
        return self._read()

    # Which file

    def _choose(self) -> bool:
        """Open the next file; False if there is none."""
        try:
            self.listing.look()
        except SourceError as error:
            self.trouble = f"source {self.name}: {error}"
            raise SourceError(self.trouble, passing=True) from error
        if self._old is None:
            self._old = set(self.listing.files)
        self.trouble = self._growing()
        if self._looked != self.listing.looks and not self._sort():
            return False
        while self._ready:
            seen = self._ready.pop()
            if not seen.bad and self._wanted(seen) and self._begin(seen):
                return True
        self._drained = self.once
        return False

    def _sort(self) -> bool:
        """Put what can be read in order; False while that is not known."""
        files = list(self.listing.files.values()) if self.once else self.listing.whole(self._patience)
        bad = self.listing.peek(files, 0.2)
        for seen, why in bad:
            if shown(seen.name) not in self._told:
                self._told.add(shown(seen.name))
                self._damage(seen.name, why, 1)
        if any(seen.first is None and not seen.bad for seen in files):
            return False
        whole = [seen for seen in files if seen.first is not None]
        if not self._resumes(whole):
            return False
        self._looked = self.listing.looks
        self._old = (self._old or set()) & self.listing.files.keys()
        self._grown = {s.inode: self._grown[s.inode] for s in whole if s.inode in self._grown}
        self._ready = [seen for seen in whole if self._wanted(seen)]
        self._ready.sort(key=lambda seen: (not self._in_hand(seen), seen.first or 0, seen.name), reverse=True)
        self._drained = False
        return True

    def _in_hand(self, seen: Seen) -> bool:
        return self._resume is not None and self._resume.is_of(seen)

    def _resumes(self, whole: list[Seen]) -> bool:
        """The file that was half read comes first; False while it is there and not whole yet."""
        if self._resume is None or any(self._in_hand(seen) for seen in whole):
            return True
        left = self._resume
        if any(plain(name) == plain(left.name) for name in self.listing.files):
            seen = next(s for n, s in self.listing.files.items() if plain(n) == plain(left.name))
            if seen not in whole and not seen.bad:
                return False
        self._gap(
            left.name, f"{shown(left.name)} went away, or became another file, before it was read to its end"
        )
        self._keep_mark(left)
        self._resume = None
        return True

    def _wanted(self, seen: Seen) -> bool:
        mark = self._mark_of(seen)
        if mark is not None:
            return seen.name == mark.name and seen.size > mark.size and plain(seen.name) == seen.name
        if self._floor is None or self._in_hand(seen) or (seen.first or 0) > self._floor:
            return True
        if self._old is not None and seen.name not in self._old:
            self._old.add(seen.name)
            self._damage(
                seen.name,
                f"begins before the {RECENT} files that were read last, and came after them: not read",
                1,
            )
        return False

    def _mark_of(self, seen: Seen) -> Mark | None:
        return next((mark for mark in self._done.get(seen.first or 0, ()) if mark.is_of(seen)), None)

    def _patience(self, seen: Seen) -> float:
        """A file that grows on and on after it was read is read at longer and longer intervals."""
        return float(min(_MOST_PATIENCE, 2 ** self._grown.get(seen.inode, 0)))

    def _growing(self) -> str:
        if self.once or self.now() - self._given < self.idle or not self.listing.files:
            return ""
        youngest = max(self.listing.files.values(), key=lambda seen: seen.mtime)
        if self.now() - youngest.since >= self.settle or youngest.bad:
            return ""
        return (
            f"source {self.name}: {shown(youngest.name)} grows and grows, so it is never read: rotate captures "
            "(tcpdump -G, dumpcap -b)"
        )

    # Reading it

    def _begin(self, seen: Seen) -> bool:
        mark = self._resume if self._in_hand(seen) else self._mark_of(seen)
        try:
            file = (self.folder / seen.name).open("rb", buffering=0)
        except OSError as error:
            self._gap(seen.name, f"{shown(seen.name)} could not be read: {error.strerror}")
            seen.bad = str(error)
            return False
        try:
            # Not mapped into memory: a mapped file that is cut short kills its reader.
            reader = read(file, columns=COLUMNS)
        except (OSError, ValueError) as error:
            file.close()
            self._damage(seen.name, str(error), 1)
            seen.bad = str(error)
            return False
        if mark is not None and mark is not self._resume:
            self._grown[seen.inode] = self._grown.get(seen.inode, 0) + 1
            self._done[mark.first].remove(mark)
        self._torn.pop(seen.name, None)
        self._resume = None
        self._open = _Open(seen, file, reader, iter(reader), mark.rows if mark else 0)
        return True

    def _read(self) -> list[Piece]:
        current = self._open
        if current is None:
            return []
        try:
            batch = next(current.batches, None)
        except (OSError, ValueError) as error:
            self._damage(current.seen.name, f"reading stopped: {error}", 1)
            batch = None
        if batch is None:
            return [self._end(current)]
        before = current.rows
        current.rows += batch.num_rows
        if current.rows <= current.skip:
            return []
        if before < current.skip:
            batch = batch.slice(current.skip - before)
        self._given, self._told_idle = self.now(), False
        self._in_step = self.clock() - int(column(batch, "ts").max()) < self.idle * 1e9
        return [Piece(batch, self._position(current.mark))]

    def _end(self, current: _Open) -> Piece:
        name = current.seen.name
        if current.rows < current.skip:
            what = f"holds {current.rows:,} packets, of which {current.skip:,} were read before: it was cut short"
            self._damage(name, what, 1)
        reader = current.reader
        if reader.damage_total:
            first = reader.damage[0]
            what = f"at byte {first.offset:,}: {first.what}"
            if reader.damage_total == 1 and reader.stopped.endswith("inside a record") and not self.once:
                self._torn[name] = what, self.now() + _TORN_TAIL * self.settle
            else:
                self._damage(name, what, reader.damage_total)
        skipped = reader.counts.skipped
        if skipped:
            self._events.append(
                {"type": "skipped", "source": self.name, "file": shown(name), "reasons": skipped}
            )
        self._keep_mark(replace(current.mark, rows=max(current.rows, current.skip)))
        self.close()
        return Piece(_EMPTY, self._position(None))

    def _keep_mark(self, mark: Mark) -> None:
        marks = sorted([*self._marks(), mark], key=lambda one: one.first)
        for old in marks[:-RECENT]:
            self._floor = old.first if self._floor is None else max(self._floor, old.first)
        self._done = {}
        for one in marks[-RECENT:]:
            self._done.setdefault(one.first, []).append(one)

    def _marks(self) -> list[Mark]:
        return [mark for marks in self._done.values() for mark in marks]

    def _check_silence(self) -> None:
        for name, (what, until) in list(self._torn.items()):
            if self.now() >= until:
                del self._torn[name]
                self._damage(name, what, 1)
        if not self._told_idle and self.now() - self._given >= self.idle:
            self._told_idle = True
            self._events.append({"type": "idle", "source": self.name})

    def _gap(self, name: str, why: str) -> None:
        self._events.append({"type": "gap", "source": self.name, "file": shown(name), "why": why[:300]})

    def _damage(self, name: str, what: str, places: int) -> None:
        self._events.append(
            {"type": "damage", "source": self.name, "file": shown(name), "what": what[:300], "places": places}
        )

    def _position(self, current: Mark | None) -> dict[str, Any]:
        return {
            "done": [list(vars(mark).values()) for mark in self._marks()],
            "floor": self._floor,
            "in": None if current is None else list(vars(current).values()),
        }
