"""Which addresses were sent requests: a Bloom filter of destinations with 64 neighbours to a word.

A telescope never asks. If the sender of an "answer" was itself the destination of requests in the same capture,
then the capture holds both directions of live traffic there, and the answer is an answer.

A Bloom filter (Bloom, CACM 13, 1970) with two places, hashed from the upper 26 bits of the address; the lower six
choose the bit in both words. So a telescope, whose addresses are neighbours, fills few words, which stay in the
cache (spread over the whole filter, as usual, one packet cost 60 ns more). Merging is OR.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.hashing import mix64, mix64_array

WORDS = 1 << 19  # 4 MiB
_WORDS_MASK = np.uint64(WORDS - 1)
_SIX, _S6, _S32, _ONE = np.uint64(63), np.uint64(6), np.uint64(32), np.uint64(1)
_TOO_FULL = 0.02


@njit(cache=True, nogil=True)
def note(words: np.ndarray, address: np.uint64, salt: np.uint64) -> None:
    """Add an address."""
    hashed = mix64(address >> _S6, salt)
    bit = _ONE << (address & _SIX)
    words[hashed & _WORDS_MASK] |= bit
    words[(hashed >> _S32) & _WORDS_MASK] |= bit


def was_asked(words: np.ndarray, addresses: np.ndarray, salt: np.uint64) -> np.ndarray:
    """bool per address: whether it is in the filter, now and then one that is not (see ``false_share``).

    A filter so full that it errs for 1 in 50 says no to all: only a telescope of millions of addresses fills it."""
    if false_share(words) > _TOO_FULL:
        return np.zeros(len(addresses), np.bool_)
    address = addresses.astype(np.uint64)
    hashed = mix64_array(address >> _S6, salt)
    both = (
        words[(hashed & _WORDS_MASK).astype(np.int64)]
        & words[((hashed >> _S32) & _WORDS_MASK).astype(np.int64)]
    )
    return np.asarray((both >> (address & _SIX)) & _ONE != 0)


def false_share(words: np.ndarray) -> float:
    """Share of addresses that would be found though they never came."""
    full = float(np.bitwise_count(words).mean()) / 64.0
    return full**2
