"""Opening the log: what its newest segment says, whether that is whole, and where an append left off when it died.

Only the newest segment and the end of the one before are read: its first line says where everything stood. Two
kinds of trouble are told apart. A *torn tail*: bytes after the last proven line, none of which prove themselves,
beyond what the head says was committed. It is what a power cut in the middle of an append leaves, nobody was told
that it is there, and it is cut off. Everything else is *damage*: nothing is cut, and nothing is appended any more
until somebody has it set aside (``repair``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from andon.store.errors import explained
from andon.store.intents.head import NAME, Head, read_head
from andon.store.intents.known import Known, entry_of, known_of
from andon.store.intents.line import SEGMENT, Line, Unproven, decode
from andon.store.intents.segment import Chain, Damage, first_of, read_lines, segments_in
from andon.store.intents.state import Entry


@dataclass
class Loaded:
    """The log as found. ``chain``: its last proven line; ``end``: offset after that; ``torn``: bytes after it that may
    be cut off. ``header``: bytes of the first line. ``stale``: older segments that a repair had set aside already."""

    known: Known = field(default_factory=Known)
    chain: Chain = field(default_factory=Chain)
    path: Path | None = None
    end: int = 0
    header: int = 0
    lines: int = 0
    torn: bytes = b""
    head: Head | None = None
    signed: bool = False
    damage: list[Damage] = field(default_factory=list)
    stale: list[Path] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def load(folder: Path, key: bytes | None) -> Loaded:
    """Raises StoreError where the files cannot be read at all."""
    found = Loaded(head=read_head(folder, key))
    paths = segments_in(folder)
    if not paths:
        if (folder / NAME).exists():
            why = "there is a head and no segment: the log itself was taken away"
            found.damage.append(Damage(folder, 0, 0, why))
        return found
    at = len(paths) - 1
    while not _load_segment(found, paths[at], at == len(paths) - 1, key) and at:
        at -= 1
    for path in paths[at + 1 :] if at < len(paths) - 1 else ():
        _salvage(found, path, key)
    found.path = paths[-1]
    if key is not None and found.header and not found.signed:
        why = "it is not signed, and a key is given: it was put in place of a signed one, or signing is new here"
        found.damage.insert(0, Damage(paths[-1], 0, 0, why))
    _check_before(found, paths, key)
    _check_head(found, folder)
    return found


def _load_segment(found: Loaded, path: Path, newest: bool, key: bytes | None) -> bool:
    """Takes in a segment; False if its first line does not say where things stood."""
    with explained(path, "reading a segment of the intent log"):
        data = path.read_bytes()
    reads = list(read_lines(path, data, chain := Chain(), key))
    first = reads[0].line if reads else None
    try:
        if first is None:
            raise Unproven(reads[0].damage.why if reads and reads[0].damage else "it is empty")
        if first.number != first_of(path):
            raise Unproven(f"it begins with line {first.number}: it was renamed or copied")
        found.known = known_of(first)
    except Unproven as error:
        found.damage.append(Damage(path, 1, first_of(path), str(error)))
        return False
    if newest:
        found.signed = bool(first.mac)
        found.header = reads[0].end
    committed = found.head.number if found.head else 0
    proven = max((n for n, read in enumerate(reads) if read.line and read.whole), default=0)
    last = reads[proven].line
    assert last is not None
    cut = newest and last.number >= committed
    for read in reads[1 : proven + 1] if cut else reads[1:]:
        if read.damage is not None:
            found.damage.append(read.damage)
        if read.line is not None:
            _fold(found, path, read.line)
    if newest:
        found.chain, found.end, found.lines = Chain(last.number, last.hash), reads[proven].end, proven + 1
        found.torn = data[found.end :] if cut else b""
        if not cut and chain.number and not reads[-1].whole:
            found.damage.append(Damage(path, len(reads), chain.number, "its last line is cut off"))
    return True


def _salvage(found: Loaded, path: Path, key: bytes | None) -> None:
    """What proves itself in a segment whose first line is lost."""
    with explained(path, "reading a segment of the intent log"):
        data = path.read_bytes()
    for number, read in enumerate(read_lines(path, data, Chain(), key)):
        if read.line is not None and read.whole:
            found.chain, found.end = Chain(read.line.number, read.line.hash), read.end
            if number:
                _fold(found, path, read.line)


def _fold(found: Loaded, path: Path, line: Line) -> None:
    if line.body.get("kind") == SEGMENT:
        return
    try:
        entry = entry_of(line)
        found.known.add(entry)
        found.entries.append(entry)
    except (Unproven, KeyError) as error:
        if not found.damage:
            found.damage.append(Damage(path, 0, line.number, f"line {line.number}: {error}"))


def _check_before(found: Loaded, paths: list[Path], key: bytes | None) -> None:
    """The newest segment has to go on where the one before it ends."""
    if len(paths) < 2:
        return
    first = first_line(paths[-1], key)
    if first is not None and first.body.get("after"):
        found.stale = paths[:-1]
        return
    before = last_line(paths[-2], key)
    if first is not None and (
        before is None or before.hash != first.prev or before.number != first.number - 1
    ):
        why = f"{paths[-1].name} does not follow its end: lines of it are missing or were changed"
        found.damage.append(Damage(paths[-2], 0, first.number - 1, why))


def _check_head(found: Loaded, folder: Path) -> None:
    head, path = found.head, folder / NAME
    assert found.path is not None
    begun = first_of(found.path)
    if head is None:
        if (folder / NAME).exists() or found.lines > 1 or begun > 1:
            found.damage.append(Damage(path, 0, 0, "it is missing or does not prove itself"))
        return
    if head.number > found.chain.number:
        if not found.damage:
            lost = f"lines {found.chain.number + 1} to {head.number}" if found.chain.number else "all lines"
            why = f"the log ends with line {found.chain.number}; {lost} were there and are cut off"
            found.damage.append(Damage(found.path, 0, found.chain.number + 1, why))
        return
    if found.stale or found.damage:
        return
    if head.number < begun - 1 and not _after(found.path):
        found.damage.append(
            Damage(path, 0, head.number, f"it ends before {found.path.name} begins: it is an old one")
        )
        return
    said = _hash_of(found, head.number)
    if said and said != head.hash:
        why = f"line {head.number} is not the one that the head was written for: the log was written anew"
        found.damage.append(Damage(found.path, 0, head.number, why))


def _hash_of(found: Loaded, number: int) -> str:
    if number == found.chain.number:
        return found.chain.hash
    return next((entry.hash for entry in reversed(found.entries) if entry.number == number), "")


def _after(path: Path) -> bool:
    first = first_line(path, None)
    return first is not None and bool(first.body.get("after"))


def entries_in(paths: Sequence[Path], after: int, last: int, limit: int, key: bytes | None) -> list[Entry]:
    """Events with numbers above ``after`` up to ``last``, at most ``limit``, from the segments ``paths``; lines that
    do not prove themselves are left out. Raises StoreError."""
    found: list[Entry] = []
    for path, later in zip(paths, [*paths[1:], None], strict=True):
        if later is not None and first_of(later) <= after + 1:
            continue
        with explained(path, "reading a segment of the intent log"):
            data = path.read_bytes()
        for read in read_lines(path, data, Chain(), key):
            line = read.line
            if line is None or not after < line.number <= last or line.body.get("kind") == SEGMENT:
                continue
            with suppress(Unproven):
                found.append(entry_of(line))
            if len(found) >= limit:
                return found
    return found


def first_line(path: Path, key: bytes | None) -> Line | None:
    """The first line of a segment; None if it does not prove itself. Raises StoreError."""
    with explained(path, "reading a segment of the intent log"), path.open("rb") as file:
        text = file.readline()
    try:
        return decode(text.rstrip(b"\n"), key)
    except Unproven:
        return None


def last_line(path: Path, key: bytes | None) -> Line | None:
    """The last line of a segment; None if it does not prove itself. Raises StoreError."""
    with explained(path, "reading a segment of the intent log"), path.open("rb") as file:
        size, back = file.seek(0, 2), 1 << 16
        while True:
            file.seek(max(0, size - back))
            data = file.read()
            cut = data.rstrip(b"\n").rfind(b"\n")
            if cut >= 0 or back >= size:
                break
            back *= 16
    try:
        return decode(data.rstrip(b"\n")[cut + 1 :], key)
    except Unproven:
        return None
