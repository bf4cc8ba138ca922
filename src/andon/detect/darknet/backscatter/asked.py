"""Which addresses were sent requests: a blocked Bloom filter of destinations.

A telescope never asks. If the sender of an "answer" was itself the destination of requests in the same capture,
then the capture holds both directions of live traffic there, and the answer is an answer. Putze, Sanders, Singler,
"Cache-, hash- and space-efficient Bloom filters", JEA 2009: all bits of one key lie in one word, so that an entry
costs one memory access. Merging is OR.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WORDS = 1 << 19  # 4 MiB
_WORDS_MASK = np.uint64(WORDS - 1)
_SIX = np.uint64(63)
_TOO_FULL = 0.02
_S20, _S26, _S32, _S38 = np.uint64(20), np.uint64(26), np.uint64(32), np.uint64(38)
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def place(hashed: np.uint64) -> tuple[np.int64, np.uint64]:
    """(word, bits) of a key from its 64-bit hash."""
    bits = _ONE << ((hashed >> _S20) & _SIX)
    bits |= _ONE << ((hashed >> _S26) & _SIX)
    bits |= _ONE << ((hashed >> _S32) & _SIX)
    bits |= _ONE << ((hashed >> _S38) & _SIX)
    return np.int64(hashed & _WORDS_MASK), bits


def was_asked(words: np.ndarray, hashed: np.ndarray) -> np.ndarray:
    """bool per hash: whether its address is in the filter, now and then one that is not (see ``false_share``).

    A filter so full that it errs for 1 in 50 says no to all: only a telescope of millions of addresses fills it."""
    if false_share(words) > _TOO_FULL:
        return np.zeros(len(hashed), np.bool_)
    bits = np.zeros(len(hashed), np.uint64)
    for shift in (20, 26, 32, 38):
        bits |= _ONE << ((hashed >> np.uint64(shift)) & _SIX)
    there = words[(hashed & _WORDS_MASK).astype(np.int64)] & bits
    return np.asarray(there == bits)


def false_share(words: np.ndarray) -> float:
    """Share of addresses that would be found though they never came."""
    full = np.bitwise_count(words).astype(np.float64) / 64.0
    return float(np.mean(full**4))
