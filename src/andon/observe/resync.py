"""Where the records of a damaged capture begin again.

After a length that cannot be, the next record is the first offset from which six record headers in a row are
plausible: captured length at most the length on the wire and the limit of the file, a fraction below one
second, and times within an hour of each other and of the last good packet (research note on capture speed,
section 7.4). Near the end of the input fewer than six will do, when the last one ends exactly there.
pcapng blocks repeat their length at the end, which is a stronger sign: three in a row of a known kind.
"""

from __future__ import annotations

from typing import Final

from andon.observe import framing as F
from andon.observe.framing import word
from andon.observe.kernel import entry

_CHAIN: Final = 6
_BLOCKS: Final = 3
_HOUR: Final = 3600
FOUND, NOT_FOUND, UNDECIDED = range(3)


@entry
def next_record(
    base: int,
    pos: int,
    end: int,
    last: int,
    swapped: int,
    max_captured: int,
    fraction_limit: int,
    seconds: int,
) -> tuple[int, int]:
    """First plausible offset from ``pos`` on, as (what, offset).

    ``last`` is 1 when no input follows ``end``; ``seconds`` the time of the last good packet, -1 for none.
    UNDECIDED means that the offset given looks good but the buffer ends before six headers are seen.
    """
    while pos + 16 <= end:
        at = pos
        before = seconds
        good = 0
        while good < _CHAIN:
            if at + 16 > end:
                if at == end and last and good > 0:
                    return FOUND, pos
                if not last:
                    return UNDECIDED, pos
                good = -1
                break
            h = base + at
            sec = word(h, swapped)
            cap = word(h + 8, swapped)
            wire = word(h + 12, swapped)
            if (
                cap == 0
                or cap > wire
                or cap > max_captured
                or wire > 0x100000
                or word(h + 4, swapped) >= fraction_limit
                or (before >= 0 and abs(sec - before) > _HOUR)
            ):
                good = -1
                break
            before = sec
            at += 16 + cap
            good += 1
        if good == _CHAIN and (at <= end or not last):
            return FOUND, pos
        pos += 1
    return (NOT_FOUND if last else UNDECIDED), pos


@entry
def next_block(base: int, pos: int, end: int, last: int, swapped: int) -> tuple[int, int]:
    """The same for pcapng: the first offset where three blocks of known kinds follow each other."""
    while pos + 12 <= end:
        at = pos
        good = 0
        while good < _BLOCKS:
            if at + 12 > end:
                if at == end and last and good > 0:
                    return FOUND, pos
                if not last:
                    return UNDECIDED, pos
                break
            h = base + at
            kind = word(h, swapped)
            size = word(h + 4, swapped)
            if kind == F.SECTION:
                # A section may turn the byte order; its own magic is sign enough.
                magic = word(h + 8, 0)
                if magic in (0x1A2B3C4D, 0x4D3C2B1A):
                    return FOUND, pos
                break
            if kind == 0 or kind > 10 or size < 12 or size > F.MAX_BLOCK or size & 3:
                break
            if at + size > end:
                if not last and size <= (1 << 20):
                    return UNDECIDED, pos
                break
            if word(h + size - 4, swapped) != size:
                break
            at += size
            good += 1
        if good == _BLOCKS:
            return FOUND, pos
        pos += 1
    return (NOT_FOUND if last else UNDECIDED), pos
