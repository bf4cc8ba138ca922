"""Orders without an unknown: counting up or down, octets or bits reversed, the generators of well-known libraries.

Each is a function of the address whose values rise with time: the address itself (sequential), the address with its
octets (or bits) reversed (all networks, host by host), the last octet first (one host of every /24, then the next), and
for a linear congruential generator x -> a x + c modulo 2^32 the number of steps from 0 to x, found bit by bit (the
low k bits of such a generator have period 2^k; O'Neill 2014, section 4.3.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from andon.detect.darknet.fingerprint.order_lattice import evidence

# Multiplier and increment of rand() in Microsoft's C library, of the C standard's example, of "Numerical Recipes", and
# of Borland's C library.
GENERATORS = ((214013, 2531011), (1103515245, 12345), (1664525, 1013904223), (22695477, 1))
WORD = 1 << 32


@dataclass(frozen=True)
class Value:
    """An order of known kind. ``text`` names it; ``of`` gives the value (uint32) of addresses (uint32); ``sql``
    computes it from the column ``dst``, or for a generator (``lcg``: multiplier and increment) gives the state that
    ``dst`` stands for."""

    text: str
    of: Callable[[np.ndarray], np.ndarray]
    sql: str
    lcg: tuple[int, int] | None = None


def _swap(x: np.ndarray) -> np.ndarray:
    return x.byteswap()


def _bits(x: np.ndarray) -> np.ndarray:
    v = x.astype(np.uint32)
    for shift, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F)):
        m = np.uint32(mask)
        v = ((v >> np.uint32(shift)) & m) | ((v & m) << np.uint32(shift))
    return v.byteswap()


def _last_first(x: np.ndarray) -> np.ndarray:
    v: np.ndarray = (x << np.uint32(24)) | (x >> np.uint32(8))
    return v


def steps(x: np.ndarray, a: int, c: int) -> np.ndarray:
    """Steps (uint32) of x -> a x + c modulo 2^32 from 0 to each ``x`` (uint32); full period is assumed.

    >>> steps(np.array([0, 12345], np.uint32), 1103515245, 12345).tolist()
    [0, 1]
    """
    at = np.zeros(len(x), np.uint32)
    done = np.zeros(len(x), np.uint32)
    for bit in range(32):
        wrong = ((at ^ x) >> np.uint32(bit)) & np.uint32(1)
        at = np.where(wrong == 1, at * np.uint32(a) + np.uint32(c), at)
        done |= wrong << np.uint32(bit)
        a, c = a * a % WORD, c * (a + 1) % WORD
    return done


def _generator(a: int, c: int, swapped: bool) -> Value:
    def of(x: np.ndarray) -> np.ndarray:
        return steps(_swap(x) if swapped else x, a, c)

    inner, sql = ("bswap32(ip.dst)", _SWAP_SQL) if swapped else ("ip.dst", "dst")
    return Value(f"order({inner}) == lcg(multiplier {a}, increment {c}, modulus {WORD})", of, sql, (a, c))


# Every operation in brackets: in SQL shifts, "and" and "or" of bits bind equally.
def _halves(x: str, shift: int, mask: int) -> str:
    return f"((({x} >> {shift}) & {mask}) | (({x} & {mask}) << {shift}))"


_SWAP_SQL = "(((dst & 255) << 24) | (((dst >> 8) & 255) << 16) | (((dst >> 16) & 255) << 8) | (dst >> 24))"
_LAST_SQL = "(((dst & 255) << 24) | (dst >> 8))"
_BITS_SQL = _halves(_halves(_halves(_SWAP_SQL, 4, 0x0F0F0F0F), 2, 0x33333333), 1, 0x55555555)
VALUES: tuple[Value, ...] = (
    Value("order(ip.dst) == sequential", lambda x: x, "dst"),
    Value("order(bswap32(ip.dst)) == sequential", _swap, _SWAP_SQL),
    Value("order(rotr32(ip.dst, 8)) == sequential", _last_first, _LAST_SQL),
    Value("order(reverse_bits32(ip.dst)) == sequential", _bits, _BITS_SQL),
    *(_generator(a, c, swapped) for swapped in (False, True) for a, c in GENERATORS),
)


@njit(cache=True, nogil=True)
def _judge(t: Any, values: Any, starts: Any, by_rank: Any, bits: Any, down: Any) -> None:
    phases = np.zeros(512)
    for s in range(len(starts) - 1):
        low, high = starts[s], starts[s + 1]
        up = evidence(t[low:high], values[low:high], np.uint64(1) << np.uint64(32), by_rank, phases)
        # Modulo 2^64, -2^32 times the value: the same order walked backwards.
        back = evidence(t[low:high], values[low:high], ~(np.uint64(0xFFFFFFFF)), by_rank, phases)
        bits[s] = max(up, back)
        down[s] = back > up


def judge(t: np.ndarray, values: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bits of evidence, whether the values fall) for each series; ``values``: uint32, parallel to ``t``. By ranks:
    values are not spread evenly over a telescope."""
    bits, down = np.zeros(len(starts) - 1), np.zeros(len(starts) - 1, np.bool_)
    _judge(t, values.astype(np.uint64), starts, True, bits, down)
    return bits, down
