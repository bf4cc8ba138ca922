"""A folder that a capture program rotates its files into.

A file is taken when it has not grown for a while, or when a younger one is there. Files are read in the order of
their first packets. The folder is listed about once a second: notifications are lost when too many come and do not
work over a network. Where the source stands is the file it is in, how many rows of it were given, and the files done
lately; so a restart goes on at the row, and a file that turns up late is still read.
"""

from __future__ import annotations

import bisect
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from andon.observe.live.source import Piece, SourceError
from andon.observe.reader import Reader, read
from andon.records.columns import column
from andon.records.packet import COLUMNS, SCHEMA

RECENT = 200  # files whose names a position remembers
_EMPTY = pa.RecordBatch.from_pylist([], schema=SCHEMA)
_Key = tuple[int, str]  # time of the first packet (ns), name


@dataclass
class _Seen:
    """A file as it was at the last look."""

    size: int
    mtime: int
    since: float  # monotonic seconds: when it was first seen so
    key: _Key | None = None  # None: not looked into yet
    bad: str = ""


@dataclass
class _Open:
    name: str
    key: _Key
    reader: Reader
    batches: Iterator[pa.RecordBatch]
    skip: int
    rows: int = 0


@dataclass
class FolderSource:
    """``settle``: seconds without growth after which a file is whole. ``once``: finished when every file is read.

    Files that are no captures, or damaged, are told in ``events`` and passed over."""

    name: str
    folder: Path
    pattern: str = "*.pcap*"
    settle: float = 5.0
    once: bool = False
    now: Callable[[], float] = time.monotonic
    replayable: bool = field(default=True, init=False)
    can_wait: bool = field(default=True, init=False)
    live: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._recent: list[_Key] = []  # ascending
        self._after: _Key | None = None
        self._open: _Open | None = None
        self._resume: tuple[str, int] | None = None
        self._events: list[dict[str, Any]] = []
        self._looked = -1e9
        self._drained = False
        self._told: set[str] = set()

    def open(self, position: Mapping[str, Any] | None) -> None:
        if not self.folder.is_dir():
            raise SourceError(
                f"source {self.name}: {self.folder} is not a folder: make it, or mend [[source]] path"
            )
        if position:
            self._recent = sorted((int(first), str(name)) for first, name in position["recent"])
            self._after = self._recent[-1] if self._recent else None
            if position.get("file"):
                self._resume = (str(position["file"]), int(position["rows"]))

    @property
    def finished(self) -> bool:
        return self.once and self._drained

    def events(self) -> list[dict[str, Any]]:
        told, self._events = self._events, []
        return told

    def close(self) -> None:
        self._open = None

    def poll(self, timeout: float) -> list[Piece]:
        if self._open is None:
            self._look()
            chosen = self._next()
            if chosen is None:
                self._drained = self.once and not self._waiting()
                if not self._drained and timeout > 0:
                    time.sleep(min(timeout, 0.5))
                return []
            self._begin(*chosen)
        return self._read()

    def _look(self) -> None:
        if self.now() - self._looked < min(1.0, self.settle):
            return
        self._looked = self.now()
        present: dict[str, _Seen] = {}
        try:
            entries = list(os.scandir(self.folder))
        except OSError as error:
            raise SourceError(
                f"source {self.name}: {self.folder} cannot be listed: {error.strerror}"
            ) from error
        for entry in entries:
            if entry.name.startswith(".") or not fnmatch(entry.name, self.pattern):
                continue
            try:
                stat = entry.stat()
                if not entry.is_file():
                    continue
            except OSError:
                continue  # gone between listing and looking: rotated away
            before = self._seen.get(entry.name)
            if before is None or (before.size, before.mtime) != (stat.st_size, stat.st_mtime_ns):
                before = _Seen(stat.st_size, stat.st_mtime_ns, self.now())
            present[entry.name] = before
        self._seen = present

    def _next(self) -> tuple[str, _Key] | None:
        youngest = max((seen.mtime for seen in self._seen.values()), default=0)
        ready: list[_Key] = []
        for name, seen in self._seen.items():
            whole = self.now() - seen.since >= self.settle or seen.mtime < youngest or self.once
            if not whole or seen.bad:
                continue
            if seen.key is None:
                self._peek(name, seen)
            if seen.key is not None and self._is_new(seen.key):
                ready.append(seen.key)
        if not ready:
            return None
        if self._resume is not None:
            mine = [key for key in ready if key[1] == self._resume[0]]
            if mine:
                return mine[0][1], mine[0]
        return min(ready)[1], min(ready)

    def _waiting(self) -> bool:
        return any(seen.key is None and not seen.bad for seen in self._seen.values())

    def _is_new(self, key: _Key) -> bool:
        if self._after is None or key > self._after:
            return True
        at = bisect.bisect_left(self._recent, key)
        known = at < len(self._recent) and self._recent[at] == key
        return not known and (len(self._recent) < RECENT or key > self._recent[0])

    def _peek(self, name: str, seen: _Seen) -> None:
        try:
            for batch in read(self.folder / name, columns=("ts",)):
                if batch.num_rows:
                    seen.key = (int(column(batch, "ts").min()), name)
                    return
            seen.bad = "holds no IP packet"
        except (OSError, ValueError) as error:
            seen.bad = str(error)
        if name not in self._told:
            self._told.add(name)
            self._events.append({"type": "damage", "source": self.name, "file": name, "what": seen.bad[:300]})

    def _begin(self, name: str, key: _Key) -> None:
        skip = 0
        if self._resume is not None and self._resume[0] == name:
            skip = self._resume[1]
        self._resume = None
        reader = read(self.folder / name, columns=COLUMNS)
        self._open = _Open(name, key, reader, iter(reader), skip)

    def _read(self) -> list[Piece]:
        current = self._open
        if current is None:
            return []
        try:
            batch = next(current.batches, None)
        except (OSError, ValueError) as error:
            self._damage(current.name, f"reading stopped: {error}", 1)
            batch = None
        if batch is None:
            return [self._end(current)]
        before = current.rows
        current.rows += batch.num_rows
        if current.rows <= current.skip:
            return []
        if before < current.skip:
            batch = batch.slice(current.skip - before)
        return [Piece(batch, self._position(current))]

    def _end(self, current: _Open) -> Piece:
        reader = current.reader
        if reader.damage_total:
            first = reader.damage[0]
            self._damage(current.name, f"at byte {first.offset:,}: {first.what}", reader.damage_total)
        skipped = reader.counts.skipped
        if skipped:
            self._events.append(
                {"type": "skipped", "source": self.name, "file": current.name, "reasons": skipped}
            )
        bisect.insort(self._recent, current.key)
        del self._recent[:-RECENT]
        self._after = self._recent[-1]
        self._open = None
        return Piece(_EMPTY, self._position(None))

    def _damage(self, name: str, what: str, places: int) -> None:
        self._events.append(
            {"type": "damage", "source": self.name, "file": name, "what": what[:300], "places": places}
        )

    def _position(self, current: _Open | None) -> dict[str, Any]:
        position: dict[str, Any] = {"recent": [list(key) for key in self._recent]}
        if current is not None:
            position |= {"file": current.name, "rows": current.rows}
        return position


def rows_of(pieces: list[Piece]) -> int:
    """Rows in all pieces."""
    return int(np.sum([piece.batch.num_rows for piece in pieces], dtype=np.int64))
