"""What lies in a folder of captures: which files are whole, when they begin, and which were read already.

The folder is listed about once a second, and less often the longer that takes: notifications are lost when too many
come, and do not work over a network. A file is known again by the time of its first packet together with its name
(without .gz, .zst, .lz4) or its inode; so one that is compressed or renamed after it was read is not read twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from andon.observe.live.source import SourceError
from andon.observe.reader import read
from andon.records.columns import column

RECENT = 100  # files that a position remembers one by one
_COMPRESSED = (".gz", ".zst", ".lz4")
_PEEK = 1 << 16  # bytes that are looked at for the first packet
_SHARE = 50  # a listing may take one part in so many of the time


@dataclass
class Seen:
    """A file as it was at the last look. ``since``: monotonic seconds, when it was first seen so; ``first``: ns, time
    of its first packet, None if not looked into yet; ``bad``: why it is not read."""

    name: str
    size: int
    mtime: int
    inode: int
    since: float
    first: int | None = None
    bad: str = ""


@dataclass(frozen=True)
class Mark:
    """A file that was read: so many rows of it, when it was so large."""

    first: int
    name: str
    rows: int
    size: int
    inode: int

    def is_of(self, seen: Seen) -> bool:
        """Is that the same file?"""
        return self.first == seen.first and (self.inode == seen.inode or plain(self.name) == plain(seen.name))


def plain(name: str) -> str:
    """The name without the ending that compression gives it."""
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return name


def shown(name: str) -> str:
    """A file name as it can be shown: no control characters, no bytes that are no text."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


@dataclass
class Listing:
    """The files of ``folder`` that match ``pattern``, by name, without hidden ones, pipes and second names of a file.
    ``settle``: seconds without growth after which a file is whole. ``now``: monotonic seconds."""

    folder: Path
    pattern: str
    settle: float
    now: Callable[[], float] = time.monotonic
    files: dict[str, Seen] = field(default_factory=dict)
    looks: int = 0
    _next: float = -1e9

    def look(self) -> None:
        """List the folder if it is time to. Raises SourceError (passing)."""
        begin = self.now()
        if begin < self._next:
            return
        self._next = begin + min(1.0, self.settle)
        try:
            with os.scandir(self.folder) as entries:
                found = list(self._found(entries))
        except OSError as error:
            raise SourceError(
                f"{self.folder} cannot be listed ({error.strerror}): it is tried again", passing=True
            ) from error
        present: dict[str, Seen] = {}
        inodes: set[int] = set()
        for link, seen in sorted(found, key=lambda item: (item[0], item[1].name)):
            if seen.inode in inodes and (link or seen.inode):
                continue
            inodes.add(seen.inode)
            before = self.files.get(seen.name)
            same = before is not None and (before.size, before.mtime) == (seen.size, seen.mtime)
            present[seen.name] = before if before is not None and same else seen
        self.files = present
        self.looks += 1
        self._next = max(self._next, self.now() + _SHARE * (self.now() - begin))

    def _found(self, entries: Iterable[os.DirEntry[str]]) -> Iterable[tuple[bool, Seen]]:
        for entry in entries:
            if entry.name.startswith(".") or not fnmatch(entry.name, self.pattern):
                continue
            try:
                stat = entry.stat()
                if entry.is_file():
                    seen = Seen(entry.name, stat.st_size, stat.st_mtime_ns, stat.st_ino, self.now())
                    yield entry.is_symlink(), seen
            except OSError:
                continue  # gone between listing and looking: rotated away

    def whole(self, patience: Callable[[Seen], float]) -> list[Seen]:
        """Files that have not grown for long enough. ``patience``: how many times ``settle`` that is for a file."""
        youngest = max((seen.mtime for seen in self.files.values()), default=0)
        now = self.now()
        return [
            seen
            for seen in self.files.values()
            if max(now - seen.since, (youngest - seen.mtime) / 1e9) >= self.settle * patience(seen)
        ]

    def peek(self, files: Iterable[Seen], seconds: float) -> list[tuple[Seen, str]]:
        """Look into those that were not looked into yet, for so long; gives those that cannot be read, and why."""
        end = self.now() + seconds
        bad: list[tuple[Seen, str]] = []
        for seen in files:
            if seen.first is None and not seen.bad:
                if self.now() >= end:
                    break
                why = self._first_packet(seen)
                if why:
                    bad.append((seen, why))
        return bad

    def _first_packet(self, seen: Seen) -> str:
        """Finds ``first``; else gives what is wrong, "" if the file is only empty so far."""
        try:
            with (self.folder / seen.name).open("rb", buffering=0) as file:
                reader = read(_Sips(file), columns=("ts",), eager=True)  # type: ignore[arg-type]
                for batch in reader:
                    seen.first = int(column(batch, "ts")[0])
                    return ""
        except FileNotFoundError:
            seen.bad = "gone"
            return ""
        except (OSError, ValueError) as error:
            seen.bad = str(error)
            return seen.bad if seen.size else ""
        seen.bad = "holds no IP packet"
        return seen.bad if reader.counts.packets or reader.damage_total else ""


class _Sips:
    """A file of which little is read at a time."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, n: int) -> bytes:
        return bytes(self._file.read(n))

    def readinto(self, view: Any) -> int:
        return int(self._file.readinto(view[:_PEEK]))
