"""Record and block headers of pcap and pcapng, inside the compiled kernels.

Formats: draft-ietf-opsawg-pcap (file magic, record header) and draft-ietf-opsawg-pcapng (section header,
interface description, enhanced, simple and old packet blocks). The Python side (``capture.py``) reads file,
section and interface headers, which are rare; the kernels read what comes once per packet.

A *state* is an ``int64`` array that both sides know by the positions below. Positions in the file are offsets
from the start of the present buffer.
"""

from __future__ import annotations

from typing import Any, Final

from andon.observe.kernel import inner
from andon.observe.load import be16, be32, le16, le32

# Positions in the state array. Set by Python:
SWAPPED, NG, MULTIPLY, LINK, MAX_CAPTURED, FRACTION_LIMIT, FULL, TRANSPORTS = range(8)
# Kept by the kernels:
POS, ROW, BEGUN, FIRST_TS, LAST_TS, PREVIOUS, BAD_FRACTION, V6_ROWS, FRAME = range(8, 17)
STATE_SIZE: Final = 17

# Why a kernel came back.
BATCH_FULL, NEED, DAMAGE, HEADER_BLOCK, ENDED, FRAGMENT = range(6)

# Columns of the interface table: link type, kind of resolution (0: multiply, 1: divide, 2: power of two), its
# operand, offset in nanoseconds, snap length.
IF_LINK, IF_KIND, IF_OPERAND, IF_OFFSET, IF_SNAP, IF_WIDTH = range(6)

MAX_BLOCK: Final = 16 << 20
SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
# What a frame function says besides BATCH_FULL.. above: a packet, or a block without one.
PACKET, OTHER = 10, 11


@inner
def word(p: int, swapped: int) -> int:
    return be32(p) if swapped else le32(p)


@inner
def half(p: int, swapped: int) -> int:
    return be16(p) if swapped else le16(p)


@inner
def ticks_to_ns(high: int, low: int, kind: int, operand: int) -> int:
    ticks = (high << 32) | low
    if kind == 0:
        return ticks * operand
    if kind == 1:
        return ticks // operand
    if operand > 30:
        # Beyond 2**-30 s the low bits are below a nanosecond; dropping them keeps the product in 64 bits.
        ticks = (ticks >> (operand - 30)) & ((1 << (94 - operand)) - 1)
        operand = 30
    return (ticks >> operand) * 1_000_000_000 + (((ticks & ((1 << operand) - 1)) * 1_000_000_000) >> operand)


@inner
def record(base: int, pos: int, end: int, state: Any) -> tuple[int, int, int, int, int, int, int]:
    """One pcap record, as ``block`` gives one of pcapng."""
    if pos + 16 > end:
        return NEED, 0, 0, 0, 0, 0, pos
    h = base + pos
    swapped = state[SWAPPED]
    sec = word(h, swapped)
    fraction = word(h + 4, swapped)
    cap = word(h + 8, swapped)
    wire = word(h + 12, swapped)
    after = pos + 16 + cap
    # A header of zeros is a hole in the file, as a crash leaves it, not a packet.
    if cap > state[MAX_CAPTURED] or (cap == 0 and sec == 0 and wire == 0 and fraction == 0):
        return DAMAGE, 0, 0, 0, 0, 0, pos
    if after > end:
        return NEED, 0, 0, 0, 0, 0, pos
    state[BAD_FRACTION] += fraction >= state[FRACTION_LIMIT]
    return PACKET, pos + 16, cap, wire, sec * 1_000_000_000 + fraction * state[MULTIPLY], state[LINK], after


@inner
def block(
    base: int, pos: int, end: int, swapped: int, interfaces: Any
) -> tuple[int, int, int, int, int, int, int]:
    """One pcapng block: (what, frame position, captured, on the wire, time, link type or -1, next position)."""
    if pos + 12 > end:
        return NEED, 0, 0, 0, 0, 0, pos
    h = base + pos
    kind = word(h, swapped)
    if kind in (SECTION, INTERFACE):
        return HEADER_BLOCK, 0, 0, 0, 0, 0, pos
    size = word(h + 4, swapped)
    if size < 12 or size > MAX_BLOCK or size & 3:
        return DAMAGE, 0, 0, 0, 0, 0, pos
    after = pos + size
    if after > end:
        return NEED, 0, 0, 0, 0, 0, pos
    if word(h + size - 4, swapped) != size:
        return DAMAGE, 0, 0, 0, 0, 0, pos
    if kind in (ENHANCED_PACKET, OLD_PACKET):
        if size < 32:
            return DAMAGE, 0, 0, 0, 0, 0, pos
        which = word(h + 8, swapped) if kind == ENHANCED_PACKET else half(h + 8, swapped)
        cap = word(h + 20, swapped)
        wire = word(h + 24, swapped)
        if cap > size - 32:
            return DAMAGE, 0, 0, 0, 0, 0, pos
        if which >= interfaces.shape[0]:
            return PACKET, pos + 28, cap, wire, 0, -1, after
        ts = ticks_to_ns(
            word(h + 12, swapped),
            word(h + 16, swapped),
            interfaces[which, IF_KIND],
            interfaces[which, IF_OPERAND],
        )
        ts += interfaces[which, IF_OFFSET]
        return PACKET, pos + 28, cap, wire, ts, interfaces[which, IF_LINK], after
    if kind == SIMPLE_PACKET:
        if size < 16:
            return DAMAGE, 0, 0, 0, 0, 0, pos
        wire = word(h + 8, swapped)
        cap = min(wire, size - 16)
        if interfaces.shape[0] == 0:
            return PACKET, pos + 12, cap, wire, 0, -1, after
        if interfaces[0, IF_SNAP] > 0:
            cap = min(cap, interfaces[0, IF_SNAP])
        return PACKET, pos + 12, cap, wire, 0, interfaces[0, IF_LINK], after
    return OTHER, 0, 0, 0, 0, 0, after


@inner
def step(
    base: int, pos: int, end: int, state: Any, interfaces: Any
) -> tuple[int, int, int, int, int, int, int]:
    """The next packet at or after ``pos``, as ``block`` says it; keeps the times and position in ``state``."""
    if state[NG]:
        found: tuple[int, int, int, int, int, int, int] = block(base, pos, end, state[SWAPPED], interfaces)
        while found[0] == OTHER:
            found = block(base, found[6], end, state[SWAPPED], interfaces)
        if found[0] != PACKET:
            # Blocks without packets that were passed stay passed.
            state[POS] = found[6]
            return found
    else:
        found = record(base, pos, end, state)
        if found[0] != PACKET:
            return found
    if not state[BEGUN]:
        state[FIRST_TS] = found[4]
        state[BEGUN] = 1
    state[LAST_TS] = found[4]
    state[PREVIOUS] = pos
    state[POS] = found[6]
    return found
