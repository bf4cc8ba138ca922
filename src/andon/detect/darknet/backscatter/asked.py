"""Which addresses were sent requests: a blocked Bloom filter of destinations.

A telescope never asks. If the sender of an "answer" was itself the destination of requests in the same capture,
then the capture holds both directions of live traffic there, and the answer is an answer. Putze, Sanders, Singler,
"Cache-, hash- and space-efficient Bloom filters", JEA 2009: all bits of one key lie in one word, so that an entry
costs one memory access. Merging is OR.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WORDS = 1 << 18  # 2 MiB
_WORDS_MASK = np.uint64(WORDS - 1)
_SIX = np.uint64(63)
_S18, _S24, _S30, _S36 = np.uint64(18), np.uint64(24), np.uint64(30), np.uint64(36)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def place(hashed: np.uint64) -> tuple[np.int64, np.uint64]:
    """(word, bits) of a key from its 64-bit hash."""
    bits = _ONE << ((hashed >> _S18) & _SIX)
    bits |= _ONE << ((hashed >> _S24) & _SIX)
    bits |= _ONE << ((hashed >> _S30) & _SIX)
    bits |= _ONE << ((hashed >> _S36) & _SIX)
    return np.int64(hashed & _WORDS_MASK), bits


def was_asked(words: np.ndarray, hashed: np.ndarray) -> np.ndarray:
    """bool per hash: whether its address is in the filter (now and then one that is not: see ``false_share``)."""
    bits = np.zeros(len(hashed), np.uint64)
    for shift in (18, 24, 30, 36):
        bits |= _ONE << ((hashed >> np.uint64(shift)) & _SIX)
    there = words[(hashed & _WORDS_MASK).astype(np.int64)] & bits
    return np.asarray(there == bits)


def false_share(words: np.ndarray) -> float:
    """Share of addresses that would be found though they never came."""
    full = np.bitwise_count(words).astype(np.float64) / 64.0
    return float(np.mean(full**4))
