"""Which intents the lists hold, on disk: lines that are only added to, each with its checksum.

    CRC32  #  EPOCH                                          a new epoch: versions begin again
    CRC32  =  LIST  VERSION  SHA-256  SECONDS  CROWDED       what was published
    CRC32  +  ID  UNTIL  DIGEST  (LIST  TEXT  VERSION)...    an intent is held
    CRC32  -  ID                                             and no more

Fields are parted by tabs, which no entry has. Half a line at the end is a write that was cut off, and was never
acknowledged: it is dropped. A line whose checksum is wrong anywhere else is damage; what else can be read is kept,
and the reconciler brings the rest. When most lines are of the past, the file is written anew.
"""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from andon.contain.enforcers.edl.entries import LISTS, Entry
from andon.store.durable import write_durable
from andon.store.errors import explained

NAME: Final = "intents.log"
_SPARE: Final = 1_000  # lines of the past before the file is written anew


@dataclass(frozen=True)
class Held:
    """An intent on the lists. ``since``: for each entry, the version of its list that had it first."""

    intent: int
    until: int
    digest: str
    entries: tuple[Entry, ...]
    since: tuple[int, ...] = ()


@dataclass(frozen=True)
class Published:
    """``crowded``: another version was published in the same second, so that a date does not tell them apart."""

    version: int = 0
    digest: str = ""
    seconds: int = 0
    crowded: bool = False


@dataclass
class Journal:
    """The file and what it says. ``whole``: it was there and nothing in it was damaged."""

    path: Path
    epoch: str = ""
    whole: bool = True
    held: dict[int, Held] = field(default_factory=dict)
    published: dict[str, Published] = field(default_factory=dict)
    _lines: int = 0
    _size: int = 0

    def load(self) -> None:
        """Read the file. Raises StoreError where it cannot be read at all."""
        with explained(self.path, "reading"):
            try:
                data = self.path.read_bytes()
            except FileNotFoundError:
                self.whole, self.epoch = False, secrets.token_hex(6)
                return
        lines = data.split(b"\n")
        if lines[-1]:
            lines.pop()  # cut off
            self._size = data.rfind(b"\n") + 1
        else:
            self._size = len(data)
        for line in lines:
            if line and not self._take(line):
                self.whole = False
        self._lines = len(lines)
        if not self.epoch:
            self.whole, self.epoch = False, secrets.token_hex(6)

    def _take(self, line: bytes) -> bool:
        checksum, _, rest = line.partition(b"\t")
        if checksum != b"%08x" % zlib.crc32(rest):
            return False
        try:
            kind, *fields = rest.decode("utf-8").split("\t")
            if kind == "#":
                self.epoch = fields[0]
            elif kind == "=":
                name, version, digest, seconds, crowded = fields
                self.published[name] = Published(int(version), digest, int(seconds), crowded == "1")
            elif kind == "+":
                made = _held(fields)
                self.held[made.intent] = made
            elif kind == "-":
                self.held.pop(int(fields[0], 16), None)
            else:
                return False
        except (ValueError, IndexError):
            return False
        return True

    def append(
        self, held: Mapping[int, Held], added: Iterable[int], removed: Iterable[int],
        published: Mapping[str, Published],
    ) -> None:  # fmt: skip
        """``held``: all that is held from now on, ``added`` and ``removed`` what of it changed. On disk when this
        returns; a failure leaves the file as it was. Raises StoreError."""
        lines = [f"-\t{intent:x}" for intent in removed]
        lines += [_line(held[intent]) for intent in added]
        lines += [_published(name, one) for name, one in published.items()]
        every = {**self.published, **published}
        if not self.whole or self._lines + len(lines) > 2 * len(held) + _SPARE:
            self.rewrite(held, every)
            return
        data = _framed(lines)
        with explained(self.path, "writing"):
            fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.lseek(fd, self._size, os.SEEK_SET)
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(fd, rest) :]
                os.ftruncate(fd, self._size + len(data))
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, self._size)
                raise
            finally:
                os.close(fd)
        self._size, self._lines = self._size + len(data), self._lines + len(lines)
        self.held, self.published = dict(held), every

    def rewrite(self, held: Mapping[int, Held], published: Mapping[str, Published]) -> None:
        """The file anew, with nothing of the past. Raises StoreError."""
        lines = [f"#\t{self.epoch}"]
        lines += [_published(name, one) for name, one in published.items()]
        lines += [_line(one) for one in held.values()]
        data = _framed(lines)
        write_durable(self.path, [data])
        self._size, self._lines = len(data), len(lines)
        self.held, self.published, self.whole = dict(held), dict(published), True


def _framed(lines: Iterable[str]) -> bytes:
    made = []
    for line in lines:
        data = line.encode("utf-8")
        made.append(b"%08x\t%s\n" % (zlib.crc32(data), data))
    return b"".join(made)


def _line(one: Held) -> str:
    entries = "\t".join(
        f"{entry.list}\t{entry.text}\t{version}"
        for entry, version in zip(one.entries, one.since, strict=True)
    )
    return f"+\t{one.intent:x}\t{one.until}\t{one.digest}\t{entries}"


def _published(name: str, one: Published) -> str:
    return f"=\t{name}\t{one.version}\t{one.digest}\t{one.seconds}\t{int(one.crowded)}"


def _held(fields: list[str]) -> Held:
    intent, until, digest, *rest = fields
    entries = tuple(map(Entry, rest[::3], rest[1::3]))
    if not entries or len(rest) != 3 * len(entries) or not all(entry.list in LISTS for entry in entries):
        raise ValueError("an entry has a list, a text and a version")
    return Held(int(intent, 16), int(until), digest, entries, tuple(map(int, rest[2::3])))
