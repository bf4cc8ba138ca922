"""File, section and interface headers of pcap and pcapng.

Rare, so plain Python over ``struct``. Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from andon.observe import framing as F
from andon.observe.sources import PCAP_MAGICS, PCAPNG_MAGIC, NotACapture, Source

_MAX_CAPTURED: Final = 262_144
_MOST_CAPTURED: Final = 1 << 20
_MOST_INTERFACES: Final = 16_384
_OPT_TSRESOL, _OPT_TSOFFSET = 9, 14


@dataclass(frozen=True)
class Interface:
    """One pcapng interface; see ``framing`` for ``kind`` and ``operand``."""

    link: int
    snap: int
    kind: int
    operand: int
    offset: int


@dataclass(frozen=True)
class Section:
    """What holds for the records that follow: a pcap file's header, or a pcapng section's."""

    ng: bool
    swapped: int
    multiply: int = 0
    fraction_limit: int = 0
    link: int = -1
    max_captured: int = _MAX_CAPTURED
    interfaces: list[Interface] = field(default_factory=list)
    size: int = 0
    need: bool = False


class InterfaceTable:
    """The interfaces of a section as the kernels want them, kept up to date in constant time per interface."""

    def __init__(self) -> None:
        self._of: list[Interface] | None = None
        self._used = 0
        self._rows = np.zeros((16, F.IF_WIDTH), dtype=np.int64)

    def of(self, section: Section) -> NDArray[np.int64]:
        if section.interfaces is not self._of:
            self._of, self._used = section.interfaces, 0
        count = len(section.interfaces)
        while len(self._rows) < count:
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        for at in range(self._used, count):
            i = section.interfaces[at]
            self._rows[at] = (i.link, i.kind, i.operand, i.offset, i.snap)
        self._used = count
        return self._rows[:count]


def _bytes(source: Source, pos: int, n: int) -> bytes:
    n = max(0, min(n, source.length - pos))
    return ctypes.string_at(source.address + pos, n)


def file_header(source: Source) -> Section:
    """Read the header at the start of the input; raises ``NotACapture``."""
    while source.length < 24 and not source.last:  # a pipe that has not said much yet
        source.advance(0)
    head = _bytes(source, 0, 24)
    if not head:
        raise NotACapture(source.trouble or "the input is empty")
    if head[:4] == PCAPNG_MAGIC:
        return Section(ng=True, swapped=0)
    known = PCAP_MAGICS.get(head[:4])
    if known is None:
        raise NotACapture(
            f"not a capture: it begins with {head[:4].hex(' ')}, which is no pcap or pcapng magic"
        )
    if len(head) < 24:
        raise NotACapture(f"the pcap file header is cut: {len(head)} of 24 bytes")
    swapped, multiply = known
    snap, network = struct.unpack(">II" if swapped else "<II", head[16:24])
    return Section(
        ng=False,
        swapped=swapped,
        multiply=multiply,
        fraction_limit=1_000_000_000 // multiply,
        link=network & 0xFFFF,
        max_captured=snap if _MAX_CAPTURED < snap <= _MOST_CAPTURED else _MAX_CAPTURED,
    )


def section_block(source: Source, pos: int, section: Section) -> Section | None:
    """The section header block at ``pos``; None if it is another block or damaged."""
    head = _bytes(source, pos, 12)
    if head[:4] != PCAPNG_MAGIC:
        return None
    magic = head[8:12]
    if magic == b"\x4d\x3c\x2b\x1a":
        swapped = 0
    elif magic == b"\x1a\x2b\x3c\x4d":
        swapped = 1
    else:
        return None
    (size,) = struct.unpack(">I" if swapped else "<I", head[4:8])
    if size < 28 or size > F.MAX_BLOCK or size & 3:
        return None
    if pos + size > source.length:
        return replace(section, need=True)
    return Section(ng=True, swapped=swapped, size=size)


def interface_block(source: Source, pos: int, section: Section) -> Section | None:
    """The section with the interface of the block at ``pos`` added; None if the block is damaged."""
    order = ">" if section.swapped else "<"
    head = _bytes(source, pos, 16)
    if len(head) < 16:
        return replace(section, need=True)
    kind, size, link, _, snap = struct.unpack(order + "IIHHI", head)
    if kind != F.INTERFACE or size < 20 or size > F.MAX_BLOCK or size & 3:
        return None
    if pos + size > source.length:
        return replace(section, need=True)
    if len(section.interfaces) >= _MOST_INTERFACES:
        return replace(section, size=size, need=False)  # passed over; its packets have an unknown interface
    body = _bytes(source, pos + 16, min(size - 20, 65_536))
    resolution, offset = 6, 0
    at = 0
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        if code == 0 or len(value) < length:
            break
        if code == _OPT_TSRESOL and length >= 1:
            resolution = value[0]
        elif code == _OPT_TSOFFSET and length >= 8:
            (offset,) = struct.unpack(order + "q", value[:8])
        at += 4 + (length + 3) // 4 * 4
    how, operand = _resolution(resolution)
    nanoseconds = (offset * 1_000_000_000 + (1 << 63)) % (1 << 64) - (1 << 63)
    # The list is the section's own and grows with it: copying it for each of many interfaces would be quadratic.
    section.interfaces.append(Interface(link, snap, how, operand, nanoseconds))
    return replace(section, size=size, need=False)


def _resolution(value: int) -> tuple[int, int]:
    """if_tsresol as (kind, operand): multiply, divide, or a power of two."""
    exponent = value & 0x7F
    if value & 0x80:
        return (2, exponent) if exponent < 64 else (1, 1 << 62)
    if exponent <= 9:
        return 0, 10 ** (9 - exponent)
    return 1, 10 ** min(exponent - 9, 18)
