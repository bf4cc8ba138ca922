"""L5: the upper half of a product with an unknown factor: ``hi16(x * C)``, multiplicative hashing.

Knuth, The Art of Computer Programming, volume 3, 6.4. The upper half is no linear function of x, but if the lower half
of C is known it is one of the upper: hi16(x C) = hi16(x C_low) + lo16(x) C_high modulo 2^16, without a carry between
the two. So the 32,768 odd lower halves are tried; each fixes the upper half by two rows, and the other rows judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit

from .candidate import FULL, Candidate
from .words import BITS, DST, ID, NAMES, SEQ, SPORT

LEAST_ROWS = 8


@njit(cache=True, nogil=True)
def factor(x: Any, target: Any, rows: Any) -> Any:
    """C (odd, int64) with ``hi16(x C) - target`` constant modulo 2^16 over all rows, or -1. uint32 arrays."""
    low = np.uint32(0xFFFF)
    at = -1
    for r in range(1, rows):
        if (x[r] - x[0]) & np.uint32(1):
            at = r
            break
    if at < 0:
        return -1
    odd = np.uint32(x[at] - x[0]) & low
    inverse = odd
    for _ in range(4):
        inverse = np.uint32(inverse * np.uint32(np.uint32(2) - np.uint32(odd * inverse)))
    for guess in range(1, 65536, 2):
        c = np.uint32(guess)
        base = np.uint32(target[0] - np.uint32(np.uint32(x[0] * c) >> np.uint32(16)))
        left = np.uint32(np.uint32(target[at] - np.uint32(np.uint32(x[at] * c) >> np.uint32(16))) - base)
        high = np.uint32(left * inverse) & low
        good = True
        for r in range(1, rows):
            left = np.uint32(np.uint32(target[r] - np.uint32(np.uint32(x[r] * c) >> np.uint32(16))) - base)
            if np.uint32(left - np.uint32(np.uint32(x[r] - x[0]) * high)) & low:
                good = False
                break
        if good:
            return np.int64(high) << 16 | np.int64(guess)
    return -1


def high_candidates(fields: np.ndarray, target: int) -> Iterator[Candidate]:
    """Candidates ``target - hi16(x * C)`` from one unit's rows; ``fields`` (10, rows), 8 rows at least."""
    rows = min(fields.shape[1], 32)
    values = np.ascontiguousarray(fields[target, :rows])
    wide = BITS[target] == 32
    if wide and int(values.max()) > 0xFFFF:
        return
    words: list[tuple[str, np.ndarray]] = []
    for f in (DST, SEQ):
        if f != target:
            words.append((NAMES[f], fields[f, :rows]))
            words.append((f"bswap32({NAMES[f]})", fields[f, :rows].byteswap()))
    if target not in (SPORT, SEQ):
        words.append((NAMES[SPORT], fields[SPORT, :rows]))
    for f in (SPORT, ID):
        if f != target:
            words.append((f"(ip.dst ^ {NAMES[f]})", fields[DST, :rows] ^ fields[f, :rows]))
            words.append((f"(ip.dst + {NAMES[f]})", fields[DST, :rows] + fields[f, :rows]))
    for text, x in words:
        found = int(factor(np.ascontiguousarray(x), values, rows))
        if found >= 0:
            mask = FULL if wide else 0xFFFF
            yield Candidate(
                NAMES[target], "-", f"hi16({text} * {found})", mask, FULL, "L5", 5.0, NAMES[target]
            )
