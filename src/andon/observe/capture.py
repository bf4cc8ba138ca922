"""The frame of every read of a capture: windows on the input, headers, damage, the end.

The packets themselves are done by a compiled kernel (``walk`` for ``read``, ``tally`` for ``count``), which
comes back here for what is rare: the next window, a pcapng header block, damage, the end of the input.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from andon.observe import framing as F
from andon.observe import reasons, resync
from andon.observe.headers import (
    InterfaceTable,
    Section,
    file_header,
    interface_block,
    section_block,
)
from andon.observe.sources import Source

MOST_DAMAGE: Final = 1000
Kernel = Callable[[int, int, NDArray[np.int64], NDArray[np.int64]], int]


@dataclass(frozen=True)
class Damage:
    """A place where the input is not what it should be. ``skipped`` bytes were passed over at ``offset``.

    Offsets are into the uncompressed input. ``bounded`` is True when reading went on behind the damage.
    """

    offset: int
    what: str
    skipped: int
    bounded: bool


class Capture:
    """One pass over one capture; ``advance`` runs a kernel until it has a batch or the input has ended.

    ``eager``: what there is counts as a batch when the source has to be waited for."""

    def __init__(self, source: Source, eager: bool = False) -> None:
        self.source = source
        self.eager = eager
        self.state = np.zeros(F.STATE_SIZE, dtype=np.int64)
        self.skipped = np.zeros(len(reasons.NAMES), dtype=np.int64)
        self.unknown = np.zeros(65536, dtype=np.int64)
        self.damage: list[Damage] = []
        self.damage_total = 0
        self.link_types: list[int] = []
        self._table = InterfaceTable()
        self.stopped = ""
        try:
            self._enter(file_header(source))
        except BaseException:
            source.close()
            raise
        self.state[F.POS] = 0 if self._section.ng else 24

    def _enter(self, section: Section) -> None:
        self._section = section
        s = self.state
        s[F.SWAPPED], s[F.NG] = section.swapped, section.ng
        s[F.MULTIPLY], s[F.FRACTION_LIMIT] = section.multiply, section.fraction_limit
        s[F.LINK], s[F.MAX_CAPTURED] = section.link, section.max_captured
        self._interfaces = self._table.of(section)
        if not section.ng:
            self.link_types.append(section.link)
        elif section.interfaces and section.interfaces[-1].link not in self.link_types:
            self.link_types.append(section.interfaces[-1].link)

    def reasons(self) -> dict[str, int]:
        """Packets that gave nothing, by reason."""
        named = {name: int(n) for name, n in zip(reasons.NAMES, self.skipped, strict=True) if n}
        for link in np.flatnonzero(self.unknown):
            named[f"unknown link type {link}"] = int(self.unknown[link])
        return named

    @property
    def first_ts(self) -> int | None:
        return int(self.state[F.FIRST_TS]) if self.state[F.BEGUN] else None

    @property
    def last_ts(self) -> int | None:
        return int(self.state[F.LAST_TS]) if self.state[F.BEGUN] else None

    @property
    def offset(self) -> int:
        """Bytes of the uncompressed input that were dealt with."""
        return self.source.origin + int(self.state[F.POS])

    def advance(self, kernel: Kernel) -> int:
        """Run ``kernel``; gives its status when that is for the caller, ``framing.ENDED`` at the end."""
        while True:
            status = kernel(self.source.address, self.source.length, self.state, self._interfaces)
            if status == F.NEED:
                if self.source.last:
                    self._end()
                    return F.ENDED
                if self.eager and self.state[F.ROW]:
                    return F.NEED
                self._next_window()
            elif status == F.HEADER_BLOCK:
                if not self._header_block():
                    return F.ENDED
            elif status == F.DAMAGE:
                if not self._recover():
                    return F.ENDED
            else:
                return status

    def close(self) -> None:
        self.source.close()

    def _next_window(self) -> None:
        consumed = int(self.state[F.POS])
        self.source.advance(consumed)
        self.state[F.POS] = 0
        self.state[F.PREVIOUS] -= consumed

    def _note(self, offset: int, what: str, skipped: int, bounded: bool) -> None:
        self.damage_total += 1
        if len(self.damage) < MOST_DAMAGE:
            self.damage.append(Damage(offset, what, skipped, bounded))

    def _end(self) -> None:
        rest = self.source.length - int(self.state[F.POS])
        if self.source.trouble:
            self._note(self.source.origin + self.source.length, self.source.trouble, 0, False)
        if rest:
            self._note(self.offset, "the input ends inside a record", rest, False)
            self.state[F.POS] += rest
        self.stopped = self.source.trouble or ("end of input inside a record" if rest else "end of input")

    def _header_block(self) -> bool:
        pos = int(self.state[F.POS])
        found = section_block(self.source, pos, self._section)
        if found is None:
            found = interface_block(self.source, pos, self._section)
        if found is None:
            return self._recover()
        if found.need:
            if self.source.last:
                self._end()
                return False
            self._next_window()
            return True
        self._enter(found)
        self.state[F.POS] = pos + found.size
        return True

    def _recover(self) -> bool:
        """Find the next plausible record after damage; False when there is none."""
        state, source = self.state, self.source
        begin = self.offset
        # When the header of the record before claims more than was on the wire, its length was part of the
        # damage and good records may lie inside what it swallowed.
        state[F.POS] = int(state[F.PREVIOUS]) + 17 if self._swallowed() else int(state[F.POS]) + 1
        while True:
            what, at = self._search(int(state[F.POS]))
            state[F.POS] = at
            if what != resync.UNDECIDED:
                break
            self._next_window()
        found: bool = what == resync.FOUND
        if not found:
            state[F.POS] = source.length
            self.stopped = "damage with no plausible record behind it"
        kind = "not a pcapng block" if self._section.ng else "not a record header"
        self._note(begin, kind, self.offset - begin, found)
        return found

    def _swallowed(self) -> bool:
        previous = int(self.state[F.PREVIOUS])
        if self._section.ng or not self.state[F.BEGUN] or previous < 0:
            return False
        order = ">" if self._section.swapped else "<"
        captured, wire = struct.unpack(order + "II", ctypes.string_at(self.source.address + previous + 8, 8))
        return bool(captured > wire)

    def _search(self, pos: int) -> tuple[int, int]:
        source, section = self.source, self._section
        result: Any
        if section.ng:
            result = resync.next_block(source.address, pos, source.length, source.last, section.swapped)
        else:
            seconds = int(self.state[F.LAST_TS]) // 1_000_000_000 if self.state[F.BEGUN] else -1
            result = resync.next_record(
                source.address,
                pos,
                source.length,
                source.last,
                section.swapped,
                section.max_captured,
                section.fraction_limit,
                seconds,
            )
        return int(result[0]), int(result[1])
