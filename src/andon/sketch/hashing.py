"""Keyed 64-bit mixing for bounded tables.

The finaliser is the one of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), a bijection on 64-bit words, so
distinct keys never collide as hashes, only as slots. The low bits choose a slot, the high bits a sample.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


@njit(cache=True, nogil=True, inline="always")
def mix64(key: np.uint64, salt: np.uint64) -> np.uint64:
    """Hash of one 64-bit key under a 64-bit salt."""
    x = key ^ salt
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@njit(cache=True, nogil=True)
def mix64_array(keys: np.ndarray, salt: np.uint64) -> np.ndarray:
    """``mix64`` of each element of a uint64 array."""
    out = np.empty(keys.shape[0], np.uint64)
    for i in range(keys.shape[0]):
        out[i] = mix64(keys[i], salt)
    return out
