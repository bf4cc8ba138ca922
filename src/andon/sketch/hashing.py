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
_S60, _S54, _S62 = np.uint64(60), np.uint64(54), np.uint64(62)
_U1, _U2 = (
    np.uint64(0x96DE1B173F119089),
    np.uint64(0x319642B2D24D8EC3),
)  # inverses of the two factors modulo 2^64


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


@njit(cache=True, nogil=True, inline="always")
def unmix64(hashed: np.uint64, salt: np.uint64) -> np.uint64:
    """The key whose ``mix64`` under this salt is ``hashed``: a hash can stand for its key in a table."""
    x = (hashed ^ (hashed >> _S31) ^ (hashed >> _S62)) * _U2
    x = (x ^ (x >> _S27) ^ (x >> _S54)) * _U1
    return (x ^ (x >> _S30) ^ (x >> _S60)) ^ salt


@njit(cache=True, nogil=True)
def unmix64_array(hashes: np.ndarray, salt: np.uint64) -> np.ndarray:
    """``unmix64`` of each element of a uint64 array."""
    out = np.empty(hashes.shape[0], np.uint64)
    for i in range(hashes.shape[0]):
        out[i] = unmix64(hashes[i], salt)
    return out
