"""Proving the whole log: every line, from the first segment that is there to the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon.store.errors import explained
from andon.store.intents.head import NAME, Head
from andon.store.intents.line import SEGMENT, Line
from andon.store.intents.segment import Chain, Damage, first_of, read_lines

_MOST_DAMAGE = 100  # that are listed


@dataclass(frozen=True)
class Verification:
    """``first`` and ``last``: numbers of the lines that are there; ``head``: hash of the last. ``signed``: lines whose
    signature was checked, ``unchecked``: lines with one for which no key was given. ``torn``: bytes of an append that
    is under way or was never finished. ``set_aside``: the folder of the damaged log that this one goes on from."""

    damage: tuple[Damage, ...]
    damaged: int
    segments: int
    lines: int
    first: int
    last: int
    head: str
    signed: int
    unchecked: int
    torn: int = 0
    retired: int = 0
    set_aside: str = ""

    @property
    def whole(self) -> bool:
        return not self.damaged

    def to_dict(self) -> dict[str, Any]:
        return {
            "whole": self.whole, "damaged": self.damaged, "damage": [one.to_dict() for one in self.damage],
            "segments": self.segments, "lines": self.lines, "first": self.first, "last": self.last,
            "head": self.head, "signed": self.signed, "unchecked": self.unchecked, "torn": self.torn,
            "retired": self.retired, "set_aside": self.set_aside,
        }  # fmt: skip


def verify(
    folder: Path, sizes: Sequence[tuple[Path, int]], head: Head | None, key: bytes | None
) -> Verification:
    """The segments up to the given sizes, against ``head``. Memory: one segment. Raises StoreError."""
    chain, damage = Chain(), []
    count = signed = unchecked = first = torn = retired = segments = 0
    set_aside, at_head = "", ""
    begun: Line | None = None
    for index, (path, size) in enumerate(sizes):
        try:
            with explained(path, "reading a segment of the intent log"), path.open("rb") as file:
                data = file.read(size)
        except Exception:
            if not path.exists() and not segments:  # retired in the meantime
                continue
            raise
        segments += 1
        reads = list(read_lines(path, data, chain, key))
        if not reads:
            damage.append(Damage(path, 0, first_of(path), "it is empty"))
        newest = index == len(sizes) - 1
        for number, read in enumerate(reads):
            end = newest and number == len(reads) - 1
            if end and not read.whole and (head is None or chain.number <= head.number or read.line is None):
                committed = head.number if head else 0
                before = reads[number - 1].line if number else None
                if before is not None and before.number >= committed:
                    torn = read.end - (reads[number - 1].end if number else 0)
                    chain = Chain(before.number, before.hash)
                    continue
            if read.damage is not None:
                damage.append(read.damage)
            if read.line is None:
                continue
            line = read.line
            count += 1
            if number == 0:
                begun = begun or line
                if line.body.get("kind") != SEGMENT:
                    damage.append(Damage(path, 1, line.number, "it is not the first line of a segment"))
                elif line.number != first_of(path):
                    damage.append(
                        Damage(path, 1, line.number, "the file was renamed: this is another segment")
                    )
            if line.mac:
                signed, unchecked = signed + (key is not None), unchecked + (key is None)
            elif key is not None or unchecked:
                damage.append(Damage(path, number + 1, line.number, "it is not signed"))
            if head is not None and line.number == head.number:
                at_head = line.hash
            detail = line.body.get("detail")
            if isinstance(detail, dict) and isinstance(detail.get("retired"), dict):
                retired = max(retired, int(detail["retired"].get("through", 0)))
    if begun is not None:
        first = begun.number
        after = begun.body.get("after")
        set_aside = str(after.get("set_aside", "")) if isinstance(after, dict) else ""
        if first > 1 and not set_aside and first != retired + 1:
            why = f"the log begins with line {first}, and nothing in it says that older lines were removed"
            damage.append(Damage(sizes[0][0], 0, first, why))
    damage.extend(_against_head(folder, sizes, head, chain, at_head))
    return Verification(
        tuple(damage[:_MOST_DAMAGE]), len(damage), segments, count, first, chain.number, chain.hash, signed,
        unchecked, torn, retired, set_aside,
    )  # fmt: skip


def _against_head(
    folder: Path, sizes: Sequence[tuple[Path, int]], head: Head | None, chain: Chain, at_head: str
) -> list[Damage]:
    if head is None:
        if not sizes:
            return []
        return [Damage(folder / NAME, 0, 0, "it is missing or does not prove itself")]
    if not sizes:
        return [
            Damage(folder, 0, head.number, "there is a head and no segment: the log itself was taken away")
        ]
    if head.number > chain.number:
        why = f"it ends with line {chain.number}; lines up to {head.number} were there and are cut off"
        return [Damage(sizes[-1][0], 0, chain.number + 1, why)]
    if at_head and at_head != head.hash:
        why = f"line {head.number} is not the one that the head was written for: the log was written anew"
        return [Damage(sizes[-1][0], 0, head.number, why)]
    return []
