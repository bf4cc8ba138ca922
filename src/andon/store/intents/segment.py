"""Segments of the log: files of lines, the first of which says where everything stood when it was begun.

A segment is named for the number of its first line. Reading one gives its lines as far as they prove themselves and
follow one another, and names what does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from andon.store.errors import explained
from andon.store.intents.line import Line, Unproven, decode

PREFIX: Final = "intents-"
SUFFIX: Final = ".ndjson"


@dataclass(frozen=True)
class Damage:
    """Something that is not what was written. ``line``: in the file, from 1; 0: the file as a whole. ``number``: of the
    line in the chain, 0 if that is not known."""

    path: Path
    line: int
    number: int
    why: str

    def __str__(self) -> str:
        place = f"{self.path}, line {self.line}" if self.line else f"{self.path}"
        return f"{place}: {self.why}"

    def to_dict(self) -> dict[str, object]:
        return {"file": self.path.name, "line": self.line, "number": self.number, "why": self.why}


def file_name(first: int) -> str:
    """Of the segment whose first line has this number."""
    return f"{PREFIX}{first:015d}{SUFFIX}"


def segments_in(folder: Path) -> list[Path]:
    """In order. Raises StoreError."""
    with explained(folder, "listing the segments of the intent log"):
        return sorted(path for path in folder.glob(f"{PREFIX}*{SUFFIX}") if first_of(path))


def first_of(path: Path) -> int:
    """Number of its first line, by its name; 0 for a name that is none of ours."""
    digits = path.name[len(PREFIX) : -len(SUFFIX)]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


@dataclass
class Chain:
    """Where the chain stands: number and hash of the last line. ``number`` 0: take any line as the first."""

    number: int = 0
    hash: str = ""

    def take(self, line: Line) -> None:
        """Go on to ``line``. Raises Unproven if it does not follow."""
        if self.number:
            if line.number != self.number + 1:
                raise Unproven(
                    f"it is line {line.number} of the log and comes after line {self.number}: "
                    + ("lines in between are missing" if line.number > self.number else "lines were put in")
                )
            if line.prev != self.hash:
                raise Unproven(
                    f"it does not follow line {self.number} as that stands there: one of the two was changed"
                )
        self.number, self.hash = line.number, line.hash


@dataclass(frozen=True)
class Read:
    """One line as read. ``end``: offset after its newline. ``line``, ``damage`` or both are set: a line
    that proves itself but does not follow. ``whole``: it ends with a newline."""

    end: int
    line: Line | None
    damage: Damage | None
    whole: bool


def read_lines(
    path: Path, data: bytes, chain: Chain, key: bytes | None, first_line: int = 1
) -> Iterator[Read]:
    """The lines of ``data``, which stood in ``path`` from line ``first_line`` on; ``chain`` moves along. After a line
    that does not prove itself the chain goes on with the next one that does, so that every wrong line is named once."""
    at, number = 0, first_line
    while at < len(data):
        found = data.find(b"\n", at)
        end = len(data) if found < 0 else found
        text = data[at:end]
        at = end + (found >= 0)
        before = chain.number
        try:
            line = decode(text, key)
        except Unproven as error:
            chain.number, chain.hash = 0, ""
            yield Read(at, None, Damage(path, number, before + 1 if before else 0, str(error)), found >= 0)
            number += 1
            continue
        try:
            chain.take(line)
            yield Read(at, line, None, found >= 0)
        except Unproven as error:
            chain.number, chain.hash = line.number, line.hash
            yield Read(at, line, Damage(path, number, line.number, str(error)), found >= 0)
        number += 1
