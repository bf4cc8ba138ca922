"""The files of one log: the one that grows, and what rotation makes of it.

Rotation renames (``cowrie.json.1``, ``cowrie.json.2026-01-01``, ``cowrie-20260101.json``), copies and truncates, and
compresses. A file is known again by its first bytes wherever they turn up: lines of a log hold times and numbers, so no
two files begin alike. What was read of it is counted in bytes of its uncompressed content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from andon.observe.compressed import compression, decompressor
from andon.observe.live.source import SourceError

HEAD: Final = 2048  # bytes by which a file is known again
_MOST: Final = 200  # files that are remembered


@dataclass
class Mark:
    """A file and how far it was read. ``head``: digest of its first ``known`` bytes; ``size`` and ``mtime``: as it was
    when there was nothing more to read."""

    name: str
    head: str
    known: int
    offset: int = 0
    size: int = -1
    mtime: int = -1


@dataclass(frozen=True)
class Found:
    """A file as it is now. ``packed``: how it is compressed, or ""."""

    name: str
    size: int
    mtime: int
    packed: str
    head: bytes


class LogFiles:
    """Files named ``path``, or ``path`` and a suffix that rotation gives. ``*`` and ``?`` in the last part of ``path``
    are wild."""

    def __init__(self, path: Path) -> None:
        self.folder, self.name = path.parent, path.name
        self.marks: list[Mark] = []
        self._heads: dict[tuple[str, int, int, int], tuple[str, bytes]] = {}

    def look(self) -> list[tuple[Found, Mark]]:
        """Files with something unread, the oldest first, each with its mark. Raises SourceError (passing)."""
        found = sorted(self._present(), key=lambda one: (one.mtime, one.name))
        unread, taken = [], set[int]()
        for one in found:
            mark = self._mark_of(one, taken)
            if mark is None:
                continue
            taken.add(id(mark))
            if (mark.size, mark.mtime) != (one.size, one.mtime):
                unread.append((one, mark))
        for old in self.marks[:-_MOST]:
            if id(old) not in taken:
                self.marks.remove(old)
        return unread

    def place_of(self, mark: Mark) -> Found | None:
        """Where the content of a mark is now."""
        taken: set[int] = set()
        for one in sorted(self._present(), key=lambda one: (one.mtime, one.name)):
            if self._mark_of(one, taken) is mark:
                return one
        return None

    def is_newest(self, one: Found) -> bool:
        """Is no file younger?"""
        return all((one.mtime, one.name) >= (other.mtime, other.name) for other in self._present())

    def read(self, one: Found, start: int, length: int) -> bytes:
        """Bytes of its content from ``start``. Raises OSError."""
        with (self.folder / one.name).open("rb") as raw:
            if not one.packed:
                raw.seek(start)
                return raw.read(length)
            stream: Any = decompressor(raw, one.packed)
            room, at, made = bytearray(1 << 16), 0, bytearray()
            while len(made) < length:
                try:
                    got = stream.readinto(memoryview(room))
                except OSError:
                    break  # cut: what there is
                if not got:
                    break
                made += room[max(0, start - at) : got] if at + got > start else b""
                at += got
            return bytes(made[:length])

    def state(self) -> list[dict[str, Any]]:
        return [asdict(mark) for mark in self.marks]

    def restore(self, state: list[dict[str, Any]]) -> None:
        self.marks = [Mark(**one) for one in state]

    def _present(self) -> Iterator[Found]:
        try:
            with os.scandir(self.folder) as entries:
                names = [entry.name for entry in entries if self._is_mine(entry.name)]
        except OSError as error:
            raise SourceError(f"{self.folder} cannot be listed ({error.strerror})", passing=True) from error
        for name in names:
            try:
                stat = (self.folder / name).stat()
                if not (self.folder / name).is_file():
                    continue
                packed, head = self._head(name, stat.st_ino, stat.st_size, stat.st_mtime_ns)
            except OSError:
                continue  # rotated away meanwhile
            yield Found(name, stat.st_size, stat.st_mtime_ns, packed, head)

    def _is_mine(self, name: str) -> bool:
        """The log itself, or its name with what rotation puts behind it or before its ending."""
        stem, dot, ending = self.name.rpartition(".")
        forms = [self.name, f"{self.name}.*", f"{self.name}-*"]
        if dot and stem:
            forms += [f"{stem}.[0-9]*.{ending}", f"{stem}-[0-9]*.{ending}", f"{stem}.[0-9]*.{ending}.*",
                      f"{stem}-[0-9]*.{ending}.*"]  # fmt: skip
        return not name.startswith(".") and any(fnmatch(name, form) for form in forms)

    def _head(self, name: str, inode: int, size: int, mtime: int) -> tuple[str, bytes]:
        key = (name, inode, size, mtime)
        held = self._heads.get(key)
        if held is None:
            with (self.folder / name).open("rb") as raw:
                packed = compression(raw.read(4))
            one = Found(name, size, mtime, packed, b"")
            held = packed, self.read(one, 0, HEAD)
            self._heads = {k: v for k, v in self._heads.items() if k[0] != name}
            self._heads[key] = held
        return held

    def _mark_of(self, one: Found, taken: set[int]) -> Mark | None:
        """Its mark, a new one for a new file; None while too little is in it, or for a second copy of the same."""
        if not _tells(one.head):
            return None
        for mark in self.marks:
            if mark.known <= len(one.head) and _digest(one.head[: mark.known]) == mark.head:
                if id(mark) in taken or (not one.packed and one.size < mark.offset):
                    return None  # a copy beside the original, perhaps not finished
                mark.name = one.name
                if mark.known < len(one.head):
                    mark.head, mark.known = _digest(one.head), len(one.head)
                return mark
        mark = Mark(one.name, _digest(one.head), len(one.head))
        self.marks.append(mark)
        return mark


def _tells(head: bytes) -> bool:
    """Is there enough to know it by? A line of JSON has a time in it; a heading is the same in every file, whether its
    lines begin with # or not."""
    if len(head) >= HEAD:
        return True
    lines = [line for line in head.split(b"\n")[:-1] if not line.startswith(b"#")]
    return len(lines) >= (1 if head.startswith((b"{", b"#")) else 2)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()
