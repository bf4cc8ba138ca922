"""ZMap's address order: x -> g x modulo p = 2^32 + 15, and when it visits each address of a telescope.

ZMap (Durumeric, Wustrow, Halderman 2013, section 3.1; cyclic.c and shard.c of its source) walks the
multiplicative group modulo p with a random generator g below 2^22 from a random offset and probes the address
x - 1 (with a blocklist: the (x - 1)-th address that is not on it). With N shards of T threads each, every thread
walks a contiguous piece of floor((p-1)/(N T)) exponents.

Walking 4.3 billion steps a scan is out of the question; instead we turn the question round. The position of
address a in a scan is log_g(a + 1) - offset, and log_g = log_3 / log_3(g) modulo p - 1. The logarithms to base 3 of
the telescope's addresses are computed once: p - 1 = 364289 x 11790 is smooth, so two table look-ups and the
Chinese remainder theorem give each (Pohlig & Hellman 1978).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from .ordering import stable_order

P = 2**32 + 15
ORDER = P - 1
ROOT = 3
BIG, SMALL = 364289, 11790  # coprime, BIG * SMALL == ORDER
FACTORS = (2, 3, 5, 131, 364289)
LARGEST_GENERATOR = 1 << 22

_INVERSE_BIG = pow(BIG, -1, SMALL)


@njit(cache=True, nogil=True, inline="always")
def _mulmod(a: np.uint64, b: np.uint64, m: np.uint64) -> np.uint64:
    """a * b modulo m for m below 2^34; the product itself would not fit into 64 bits."""
    high = (a * (b >> np.uint64(17))) % m
    return ((high << np.uint64(17)) + a * (b & np.uint64(0x1FFFF))) % m


@njit(cache=True, nogil=True)
def _powmod(a, e, m):  # type: ignore[no-untyped-def]
    result = np.uint64(1)
    while e:
        if e & np.uint64(1):
            result = _mulmod(result, a, m)
        a = _mulmod(a, a, m)
        e >>= np.uint64(1)
    return result


@njit(cache=True, nogil=True)
def _powers(base, count):  # type: ignore[no-untyped-def]
    out = np.empty(count, np.uint64)
    x = np.uint64(1)
    for i in range(count):
        out[i] = x
        x = _mulmod(x, base, np.uint64(P))
    return out


@njit(cache=True, nogil=True)
def _raise(values, exponent):  # type: ignore[no-untyped-def]
    out = np.empty(len(values), np.uint64)
    for i in range(len(values)):
        out[i] = _powmod(values[i], exponent, np.uint64(P))
    return out


@njit(cache=True, nogil=True)
def _times(values, factor, offset):  # type: ignore[no-untyped-def]
    out = np.empty(len(values), np.int64)
    m = np.uint64(ORDER)
    for i in range(len(values)):
        out[i] = np.int64((_mulmod(values[i], factor, m) + m - offset) % m)
    return out


class Logarithms:
    """Discrete logarithms to base 3 modulo p; holds the two tables (3 MB) that make each a pair of look-ups.

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


# ZMap's default blocklist (its blocklist.conf) as first address and size. Its index of allowed addresses is built of
# whole /20s first (constraint.c), so a /20 that holds a blocked /24 is left out here as a whole; telescopes in one
# of those four /20s are placed as if it were not blocked.
_BLOCKED = (
    (0x00000000, 1 << 24), (0x0A000000, 1 << 24), (0x64400000, 1 << 22), (0x7F000000, 1 << 24), (0xA9FE0000, 1 << 16),
    (0xAC100000, 1 << 20), (0xC0000000, 1 << 12), (0xC0586000, 1 << 12), (0xC0A80000, 1 << 16), (0xC6120000, 1 << 17),
    (0xC6336000, 1 << 12), (0xCB007000, 1 << 12), (0xE0000000, 1 << 29),
)  # fmt: skip


def elements(addresses: np.ndarray, blocklist: bool) -> np.ndarray:
    """Group elements (uint64) at which ZMap probes ``addresses`` (uint32): one more than their index."""
    x: np.ndarray = addresses.astype(np.uint64)
    if blocklist:
        for first, size in _BLOCKED:
            x = x - np.where(addresses >= np.uint32(first), np.uint64(size), np.uint64(0))
    return x + np.uint64(1)


def is_generator(g: int) -> bool:
    """Whether ``g`` generates the whole group modulo p."""
    return all(pow(g, ORDER // q, P) != 1 for q in FACTORS)


@dataclass(frozen=True)
class Scan:
    """One run of the scanner: a generator and the exponent at which it starts."""

    generator: int
    offset: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Scan:
        """A new run, as ``zmap`` without ``--seed`` starts it."""
        candidate = int(rng.integers(2, LARGEST_GENERATOR))
        while not is_generator(candidate):
            candidate = candidate % (LARGEST_GENERATOR - 1) + 1
        return cls(candidate, int(rng.integers(0, ORDER)))

    def positions(self, logs: np.ndarray, logarithms: Logarithms) -> np.ndarray:
        """How many steps after its start the run reaches elements with these base-3 logarithms (int64)."""
        of_generator = int(logarithms.of(np.array([self.generator], np.uint64))[0])
        found: np.ndarray = _times(logs, np.uint64(pow(of_generator, -1, ORDER)), np.uint64(self.offset))
        return found


def visits(
    positions: np.ndarray, shard: int, shards: int, threads: int, begin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which addresses one shard reaches and when, in steps of its threads, sorted by time.

    ``begin`` in [0, 1): the share of the shard's walk that lies before what we look at. Returns (indices into
    ``positions``, steps since ``begin``).
    """
    piece = ORDER // (shards * threads)
    thread = positions // piece
    mine = np.flatnonzero((thread >= shard * threads) & (thread < (shard + 1) * threads))
    steps = positions[mine] % piece - int(begin * piece)
    ahead = np.flatnonzero(steps >= 0)
    order = ahead[stable_order(steps[ahead])]
    return mine[order], steps[order]
