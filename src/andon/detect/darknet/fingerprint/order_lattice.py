"""Which multiplier turns a source's addresses into positions that rise with time: a short vector of a lattice.

A scanner that walks a cyclic order reaches address i at position k_i = u v_i modulo m: for ZMap v is the discrete
logarithm of the address to a fixed base, m = p - 1 and 1/u the logarithm of its unknown generator; for a stride s
modulo 2^32, v is the address itself and u = 1/s. Between two packets that are close in time the position moves by
little, k_j - k_i = rate (t_j - t_i), and the rate is one number for the scan. So the vector

    (u dv_1 - q dt_1, ..., u dv_d - q dt_d,  small * u,  small * q)      all modulo m

is unusually short for the true (u, q) among all vectors of the lattice spanned by (dv), (dt) and m times the axes: the
hidden number problem (Boneh & Venkatesan 1996) with the clock as one more generator. Lattice reduction (Lenstra,
Lenstra, Lovasz 1982; Cohen 1993, algorithm 2.6.3, in double precision, which nine dimensions of 32 bits allow) finds
it in microseconds, whatever the generator. T threads that walk T pieces of the order in step make the vector of T u
short instead: T u is what is found.

Darknet notes 1.6 propose ratios of pairs; Mazel & Strullu (arXiv 1908.04193) recover the generator by iterating.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from andon.detect.darknet.fingerprint.order_score import linear_bits, log2_factorial, order_bits, sort_order

GAPS = 7  # differences in a lattice
LAST_TRY = 10
# Share of the evidence of a perfect order from which nothing better is looked for: multipliers that are simply related
# to the true one show some order too.
CLEAR = 0.6
_D = GAPS + 2
_MIDDLE = 99
_U_SCALE = 2.0**-12
_Q_BITS = 12
# A multiplier that shares more than this with the modulus leaves few positions: they are no longer uniform.
_MOST_PIECES = 4096
_CLOSE = 0.35  # forward steps of random positions sum to half a turn each


@njit(cache=True, nogil=True)
def phase_factor(u: np.uint64, modulus: np.uint64) -> np.uint64:
    """u / modulus as a fraction of 2^64, so that a wrapping product with it is a position in turns."""
    whole = u << np.uint64(32)
    high = whole // modulus
    rest = whole - high * modulus
    if rest >> np.uint64(32):
        rest = np.uint64(0xFFFFFFFF)
    return (high << np.uint64(32)) + (rest << np.uint64(32)) // modulus


@njit(cache=True, nogil=True)
def reduce(b: Any, modulus: Any) -> None:
    """Reduce in place the rows of the basis ``b`` that ``_basis`` made; short ones come first."""
    g = np.zeros((_D, _D))
    norm = np.zeros(_D)
    # Written down, not computed: b_u leaves 2^-76 of its square outside the span of the axes, which no sum would show.
    for i in range(GAPS):
        norm[i] = modulus * modulus
        g[GAPS, i] = b[GAPS, i] / modulus
        g[GAPS + 1, i] = b[GAPS + 1, i] / modulus
    norm[GAPS] = b[GAPS, GAPS + 1] * b[GAPS, GAPS + 1]
    norm[GAPS + 1] = b[GAPS + 1, GAPS] * b[GAPS + 1, GAPS]
    _walk(b, g, norm)
    for i in range(_D):
        _orthogonalise(b, g, norm, i, _D)
    _walk(b, g, norm)


@njit(cache=True, nogil=True)
def _walk(b: Any, g: Any, norm: Any) -> None:
    d = _D
    k = 1
    for _ in range(4000):
        if k >= d:
            break
        # Without a call: one with arrays costs two locked instructions an array.
        good = False
        for other in range(k - 1, -1, -1):
            q = np.rint(g[k, other])
            if q != 0.0:
                for j in range(d):
                    b[k, j] -= q * b[other, j]
                for j in range(other):
                    g[k, j] -= q * g[other, j]
                g[k, other] -= q
            if other == k - 1:
                good = norm[k] >= (0.98 - g[k, k - 1] * g[k, k - 1]) * norm[k - 1]
                if not good:
                    break
        if good:
            k += 1
            continue
        for j in range(d):
            b[k, j], b[k - 1, j] = b[k - 1, j], b[k, j]
        for j in range(k - 1):
            g[k, j], g[k - 1, j] = g[k - 1, j], g[k, j]
        mu = g[k, k - 1]
        below = norm[k] + mu * mu * norm[k - 1]
        g[k, k - 1] = mu * norm[k - 1] / below
        norm[k] = norm[k - 1] * norm[k] / below
        norm[k - 1] = below
        for i in range(k + 1, d):
            t = g[i, k]
            g[i, k] = g[i, k - 1] - mu * t
            g[i, k - 1] = t + g[k, k - 1] * g[i, k]
        k = max(1, k - 1)


@njit(cache=True, nogil=True)
def _orthogonalise(b: Any, g: Any, norm: Any, i: Any, d: Any) -> None:
    total = 0.0
    for j in range(d):
        total += b[i, j] * b[i, j]
    for j in range(i):
        s = 0.0
        for x in range(d):
            s += b[i, x] * b[j, x]
        for x in range(j):
            s -= g[j, x] * g[i, x] * norm[x]
        g[i, j] = s / norm[j]
        total -= g[i, j] * g[i, j] * norm[j]
    norm[i] = max(total, 1e-30)


@njit(cache=True, nogil=True)
def _basis(t: Any, v: Any, first: Any, chosen: Any, modulus: Any, b: Any) -> Any:
    """Fill ``b`` from the differences between rows ``first + chosen`` and the next; False if the clock stands still."""
    m = np.float64(modulus)
    b[:] = 0.0
    longest = 0.0
    for i in range(GAPS):
        at = first + chosen[i]
        longest = max(longest, t[at + 1] - t[at])
    if longest <= 0.0:
        return False
    for i in range(GAPS):
        at = first + chosen[i]
        b[i, i] = m
        dv = np.float64(np.int64(v[at + 1]) - np.int64(v[at]))
        b[GAPS + 1, i] = dv
        b[GAPS, i] = np.rint(m * 2.0**-_Q_BITS * (t[at + 1] - t[at]) / longest)
    b[GAPS + 1, GAPS] = _U_SCALE
    b[GAPS, GAPS + 1] = np.rint(m * 2.0 ** -(_Q_BITS + 4))
    return True


@njit(cache=True, nogil=True)
def search(
    t: Any,
    v: Any,
    starts: Any,
    modulus: Any,
    by_rank: Any,
    begin: Any,
    end: Any,
    needed: Any,
    found: Any,
    bits: Any,
    window: Any,
) -> None:
    """For each series the multiplier with most evidence.

    ``t``: float64 times, ``v``: uint64 values below ``modulus`` (uint64), rows of series i are
    ``starts[i]:starts[i+1]`` in order of time, at most 512. ``by_rank``: judge positions by their ranks (values that
    are not spread evenly). ``begin``, ``end``: which tries (`_window`); the search of a series ends with
    ``needed`` bits that leave nothing to be desired (``CLEAR``).
    Filled: ``found`` (uint64 multiplier), ``bits`` (float64 evidence before any correction, 0 if none), ``window``
    (int64, two columns: rows of the series it was found in).
    """
    b = np.zeros((_D, _D))
    chosen = np.zeros(GAPS, np.int64)
    order = np.zeros(512, np.int64)
    phases = np.zeros(512)
    for s in range(len(starts) - 1):
        n = min(starts[s + 1] - starts[s], 512)
        bits[s] = 0.0
        for attempt in range(begin, end):
            low, high, skip = _window(n, attempt)
            if high - low < GAPS + 3 or (skip < _MIDDLE and high - low - 1 < GAPS * (skip + 1)):
                continue
            first = starts[s] + low
            size = high - low
            sort_order(t[first + 1 : first + size] - t[first : first + size - 1], order)
            lead = skip * GAPS if skip < _MIDDLE else (size - 1 - GAPS) // 2
            for i in range(GAPS):
                chosen[i] = order[lead + i]
            if not _basis(t, v, first, chosen, modulus, b):
                continue
            reduce(b, np.float64(modulus))
            for row in range(3):
                u = np.int64(np.rint(b[row, GAPS] / _U_SCALE)) % np.int64(modulus)
                if u == 0 or _common(u, np.int64(modulus)) > _MOST_PIECES:
                    continue
                for sign in range(2):
                    if sign == 1:
                        u = np.int64(modulus) - u
                    factor = phase_factor(np.uint64(u), modulus)
                    seen = evidence(t[first : first + size], v[first : first + size], factor, by_rank, phases)
                    if seen > bits[s]:
                        bits[s] = seen
                        found[s] = np.uint64(u)
                        window[s, 0] = low
                        window[s, 1] = high
            if bits[s] >= max(needed, CLEAR * log2_factorial(n - 1)):
                break


@njit(cache=True, nogil=True)
def _common(a: Any, b: Any) -> Any:
    while b:
        a, b = b, a % b
    return a


@njit(cache=True, nogil=True)
def _window(n: Any, attempt: Any) -> Any:
    """(first row, end, how many sets of shortest gaps to pass over) of a try."""
    if attempt < 3:
        return 0, n, (0, _MIDDLE, 1)[attempt]
    if attempt == 3:
        return 0, n // 2, 0
    if attempt == 4:
        return n // 2, n, 0
    third = n // 3
    at = (attempt - 5) * third // 2
    if at + third > n:
        return 0, 0, 0
    return at, at + third, 0


@njit(cache=True, nogil=True)
def evidence(t: Any, v: Any, factor: Any, by_rank: Any, phases: Any) -> Any:
    """Bits of evidence that the positions (``factor`` times ``v``) rise with time."""
    n = len(v)
    for i in range(n):
        phases[i] = np.float64((factor * v[i]) >> np.uint64(11)) * 2.0**-53
    if by_rank:
        order = np.empty(n, np.int64)
        sort_order(phases[:n], order)
        for i in range(n):
            phases[order[i]] = i / n
    total = 0.0
    for i in range(n - 1):
        step = phases[i + 1] - phases[i]
        total += step + 1.0 if step < 0.0 else step
    if total > _CLOSE * (n - 1):
        return 0.0
    best = order_bits(phases[:n], by_rank)
    if not by_rank:
        best = max(best, linear_bits(t, phases[:n], by_rank))
    return best
