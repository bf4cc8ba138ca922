"""L2: words that agree with a target on bits nobody told us, among packets that are mostly somebody else's.

A mask that only the sender knows hides a relation from a count of equal values. Let x be the exclusive-or of a
16-bit target and some words, over a pool of rows. Of the Walsh-Hadamard transform W of the histogram of x, the sum of
W(m)^2 over all m within a mask F is 2^|F| times the number of ordered pairs of rows that agree on F; a subset-sum
transform gives it for all 65,536 masks together. So two butterflies answer for every mask and every constant at once
whether some rows agree there too often. Pairs of rows of one source are left out (their counters agree), and of W the
product of the transforms of target and words, divided by the number of rows, is subtracted: what remains is
dependence, not that some values are common. n rows of a family among N stand out from about n^2 = 6 N / 2^(|F|/2),
where a single bit parity needs n = 7.5 N^(1/2) (darknet notes 1.3, layer L2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

SIZE = 65536


@njit(cache=True, nogil=True)
def _transform(a: Any) -> None:
    """Walsh-Hadamard transform of int32 in place; the first three steps at once, in registers."""
    for i in range(0, SIZE, 8):
        a0, a1, a2, a3 = a[i] + a[i + 1], a[i] - a[i + 1], a[i + 2] + a[i + 3], a[i + 2] - a[i + 3]
        a4, a5, a6, a7 = a[i + 4] + a[i + 5], a[i + 4] - a[i + 5], a[i + 6] + a[i + 7], a[i + 6] - a[i + 7]
        b0, b1, b2, b3 = a0 + a2, a1 + a3, a0 - a2, a1 - a3
        b4, b5, b6, b7 = a4 + a6, a5 + a7, a4 - a6, a5 - a7
        a[i], a[i + 1], a[i + 2], a[i + 3] = b0 + b4, b1 + b5, b2 + b6, b3 + b7
        a[i + 4], a[i + 5], a[i + 6], a[i + 7] = b0 - b4, b1 - b5, b2 - b6, b3 - b7
    h = 8
    while h < SIZE:
        for i in range(0, SIZE, 2 * h):
            x = a[i : i + h]
            y = a[i + h : i + 2 * h]
            for j in range(h):
                u = x[j]
                v = y[j]
                x[j] = u + v
                y[j] = u - v
        h *= 2


@njit(cache=True, nogil=True)
def _within(a: Any) -> None:
    """a[F] = sum of a[m] over m within F, in place (float32)."""
    for i in range(0, SIZE, 8):
        a1, a3, a5, a7 = a[i] + a[i + 1], a[i + 2] + a[i + 3], a[i + 4] + a[i + 5], a[i + 6] + a[i + 7]
        b2, b3, b6, b7 = a[i] + a[i + 2], a1 + a3, a[i + 4] + a[i + 6], a5 + a7
        a[i + 5], a[i + 6], a[i + 7] = a1 + a5, b2 + b6, b3 + b7
        a[i + 4] += a[i]
        a[i + 1], a[i + 2], a[i + 3] = a1, b2, b3
    h = 8
    while h < SIZE:
        for i in range(0, SIZE, 2 * h):
            x = a[i : i + h]
            y = a[i + h : i + 2 * h]
            for j in range(h):
                y[j] += x[j]
        h *= 2


@njit(cache=True, nogil=True)
def masks_shared(
    values: Any, source: Any, sums: Any, size_of: Any, least_bits: Any, z_out: Any, mask_out: Any
) -> None:
    """For every sum the mask on which pairs of rows of different sources agree most beyond chance, and how far.

    ``values`` (w, n) uint16: words; ``source`` (n) ascending; ``sums`` (s, 5): target and up to four words (-1 =
    none); ``size_of`` (65536) float64: 2^-bits of every mask. ``z_out`` float32: standard deviations; ``mask_out``.
    """
    n = values.shape[1]
    joint = np.empty(SIZE, np.int32)
    first = np.empty(SIZE, np.int32)
    rest = np.empty(SIZE, np.int32)
    power = np.empty(SIZE, np.float32)
    own = np.empty(SIZE, np.int32)
    x = np.empty(n, np.uint16)
    r = np.empty(n, np.uint16)
    last = -1
    for s in range(len(sums)):
        target = sums[s, 0]
        if target != last:
            first[:] = 0
            for i in range(n):
                first[values[target, i]] += 1
            _transform(first)
            last = target
        joint[:] = 0
        rest[:] = 0
        own[:] = 0
        for i in range(n):
            v = np.uint16(0)
            for k in range(1, 5):
                if sums[s, k] >= 0:
                    v ^= values[sums[s, k], i]
            r[i] = v
            x[i] = v ^ values[target, i]
            rest[r[i]] += 1
            joint[x[i]] += 1
        pairs = 0
        for i in range(n):
            j = i + 1
            while j < n and source[j] == source[i]:
                own[x[i] ^ x[j]] += 1
                pairs += 1
                j += 1
        _transform(joint)
        _transform(rest)
        if pairs:
            _transform(own)
        each = np.float32(1.0 / n)
        for m in range(SIZE):
            w = np.float32(joint[m]) - np.float32(first[m]) * np.float32(rest[m]) * each
            power[m] = w * w - np.float32(2 * own[m])
        power[0] = np.float32(0.0)
        _within(power)
        best = np.float64(0.0)
        at = 0
        for m in range(SIZE):
            share = size_of[m]
            if share > least_bits:
                continue
            excess = power[m] * share - n * (1.0 - share)
            z = excess / np.sqrt(2.0 * (np.float64(n) * n * share + n * 0.05) + 200.0)
            if z > best:
                best = z
                at = m
        z_out[s] = best
        mask_out[s] = at
