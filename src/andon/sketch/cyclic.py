"""The multiplicative group modulo p = 2^32 + 15 in which ZMap walks, and discrete logarithms in it.

ZMap (Durumeric, Wustrow, Halderman 2013, section 3.1; cyclic.c and shard.c of its source) walks x -> g x modulo p and
probes the address x - 1; with a blocklist the (x - 1)-th address that is not on it. Which generators it draws depends
on its age: any below 2^32 (2013), any at all, and below 2^22 now.

p - 1 = 364289 x 11790 is smooth, so two table look-ups and the Chinese remainder theorem give a logarithm
(Pohlig & Hellman 1978). The simulator places probes with it, the search for address orders finds them again.

>>> int(log3(np.array([9], np.uint64))[0])
2
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

P = 2**32 + 15
ORDER = P - 1
ROOT = 3
BIG, SMALL = 364289, 11790  # coprime, BIG * SMALL == ORDER
FACTORS = (2, 3, 5, 131, 364289)
LARGEST_GENERATOR = 1 << 22

_INVERSE_BIG = pow(BIG, -1, SMALL)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@njit(cache=True, nogil=True, inline="always")
def _product(a, b):  # type: ignore[no-untyped-def]
    """a * b modulo p without a division: 2^32 is -15 modulo p."""
    p, fifteen = np.uint64(P), np.uint64(15)
    if (a | b) >> _HALF:
        # 2^32 + h, h below 15: the product would not fit into 64 bits.
        ah, bh = a >> _HALF, b >> _HALF
        al, bl = a & _LOW, b & _LOW
        if ah & bh:
            return (np.uint64(225) + (p - fifteen) * (al + bl) % p + al * bl) % p
        x = bl if bh else al  # the larger factor's rest is below 15
        y = a if bh else b
        return (y * x % p + (p - fifteen) * y % p) % p
    c = a * b
    y = (c & _LOW) + fifteen * (p - (c >> _HALF))
    return ((y & _LOW) + fifteen * (p - (y >> _HALF))) % p


@njit(cache=True, nogil=True)
def _power(a, e):  # type: ignore[no-untyped-def]
    result = np.uint64(1)
    while e:
        if e & np.uint64(1):
            result = _product(result, a)
        a = _product(a, a)
        e >>= np.uint64(1)
    return result


@njit(cache=True, nogil=True)
def _powers(base, count):  # type: ignore[no-untyped-def]
    out = np.empty(count, np.uint64)
    x = np.uint64(1)
    for i in range(count):
        out[i] = x
        x = _product(x, base)
    return out


@njit(cache=True, nogil=True)
def _raise(values, exponent):  # type: ignore[no-untyped-def]
    out = np.empty(len(values), np.uint64)
    for i in range(len(values)):
        out[i] = _power(values[i], exponent)
    return out


@njit(cache=True, nogil=True, inline="always")
def mulmod(a: np.uint64, b: np.uint64, m: np.uint64) -> np.uint64:
    """a * b modulo m for m below 2^34; the product itself would not fit into 64 bits."""
    high = (a * (b >> np.uint64(17))) % m
    return ((high << np.uint64(17)) + a * (b & np.uint64(0x1FFFF))) % m


@njit(cache=True, nogil=True)
def scaled(values, factor, offset):  # type: ignore[no-untyped-def]
    """``values * factor - offset`` modulo p - 1 (int64) of uint64 values: positions from logarithms."""
    out = np.empty(len(values), np.int64)
    m = np.uint64(ORDER)
    for i in range(len(values)):
        out[i] = np.int64((mulmod(values[i], factor, m) + m - offset) % m)
    return out


class Logarithms:
    """Discrete logarithms to base 3 modulo p; holds the two tables (6 MB) that make each a pair of look-ups.

    >>> Logarithms().of(np.array([1, 3, 9], np.uint64)).tolist()
    [0, 1, 2]
    """

    def __init__(self) -> None:
        self._big = _table(SMALL, BIG)
        self._small = _table(BIG, SMALL)

    def of(self, elements: np.ndarray) -> np.ndarray:
        """Logarithms (uint64, below p - 1) of ``elements`` (uint64, 1 to p - 1)."""
        x = np.ascontiguousarray(elements, np.uint64)
        in_big = _look_up(self._big, _raise(x, np.uint64(SMALL)))
        in_small = _look_up(self._small, _raise(x, np.uint64(BIG)))
        # Chinese remainder: l = b + BIG * ((s - b) / BIG modulo SMALL)
        step = ((in_small - in_big) % SMALL * _INVERSE_BIG) % SMALL
        found: np.ndarray = (in_big + BIG * step).astype(np.uint64)
        return found


Table = tuple[np.ndarray, np.ndarray]


def _table(cofactor: int, order: int) -> Table:
    """All elements of the subgroup of that order, sorted, and their exponents to the base 3^cofactor."""
    powers = _powers(np.uint64(pow(ROOT, cofactor, P)), order)
    exponents = np.argsort(powers)
    return powers[exponents], exponents.astype(np.int64)


def _look_up(table: Table, values: np.ndarray) -> np.ndarray:
    powers, exponents = table
    found: np.ndarray = exponents[np.searchsorted(powers, values)]
    return found


@lru_cache(maxsize=1)
def _logarithms() -> Logarithms:
    return Logarithms()


def log3(elements: np.ndarray) -> np.ndarray:
    """``Logarithms().of`` with tables made once."""
    return _logarithms().of(elements)


# ZMap's default blocklist (its blocklist.conf) as first address and size. Its index of allowed addresses is built of
# whole /20s first (constraint.c), so a /20 that holds a blocked /24 is left out here as a whole; telescopes in one
# of those four /20s are placed as if it were not blocked.
BLOCKED = (
    (0x00000000, 1 << 24), (0x0A000000, 1 << 24), (0x64400000, 1 << 22), (0x7F000000, 1 << 24), (0xA9FE0000, 1 << 16),
    (0xAC100000, 1 << 20), (0xC0000000, 1 << 12), (0xC0586000, 1 << 12), (0xC0A80000, 1 << 16), (0xC6120000, 1 << 17),
    (0xC6336000, 1 << 12), (0xCB007000, 1 << 12), (0xE0000000, 1 << 29),
)  # fmt: skip


def elements(addresses: np.ndarray, blocklist: bool) -> np.ndarray:
    """Group elements (uint64) at which ZMap probes ``addresses`` (uint32): one more than their index.

    >>> elements(np.array([0x01000000], np.uint32), True).tolist()
    [1]
    """
    x: np.ndarray = addresses.astype(np.uint64)
    if blocklist:
        for first, size in BLOCKED:
            x = x - np.where(addresses >= np.uint32(first), np.uint64(size), np.uint64(0))
    return x + np.uint64(1)


def is_generator(g: int) -> bool:
    """Whether ``g`` generates the whole group modulo p."""
    return all(pow(g, ORDER // q, P) != 1 for q in FACTORS)
