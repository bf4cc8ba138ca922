"""How surely do positions rise with time? Bits of evidence against chance, exact bounds.

Positions are in turns, from 0 to below 1. If they had nothing to do with time they would be uniform and independent,
and so would the n - 1 forward steps (modulo one turn) between packets that follow each other. The steps sum to F turns
or less with probability at most F^(n-1) / (n-1)!, the volume of a simplex: `order_bits`. For ranks (a permutation)
the same holds with F rounded up, by the count of permutations with few descents. If besides the rate is constant,
positions lie on a line: `linear_bits`. Both allow for foreign packets, up to a third of the rows: the sizes m and the
C(n, m) ways to choose the rows are paid for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

_LOG2 = math.log(2.0)
_MOST_TURNS = 16.0


@njit(cache=True, nogil=True)
def log2_factorial(n: Any) -> Any:
    """log2 of n!."""
    return math.lgamma(n + 1.0) / _LOG2


@njit(cache=True, nogil=True)
def _choose(n: Any, m: Any) -> Any:
    return log2_factorial(n) - log2_factorial(m) - log2_factorial(n - m)


@njit(cache=True, nogil=True)
def sort_order(values: Any, order: Any) -> None:
    """Fill ``order`` (int64) with the indices that sort ``values`` (Shell's sort). At a hundred rows as fast as the
    library's, which takes seconds to compile."""
    n = len(values)
    for i in range(n):
        order[i] = i
    gap = n // 2
    while gap:
        for i in range(gap, n):
            at = order[i]
            x = values[at]
            j = i
            while j >= gap and values[order[j - gap]] > x:
                order[j] = order[j - gap]
                j -= gap
            order[j] = at
        gap //= 2


@njit(cache=True, nogil=True)
def order_bits(phases: Any, by_rank: Any) -> Any:
    """-log2 of the chance that positions in order of time step forward as little as these, at best after leaving out
    rows that step far back."""
    kept = np.arange(len(phases))
    best, _ = best_chain(phases, by_rank, kept)
    return best


@njit(cache=True, nogil=True)
def best_chain(phases: Any, by_rank: Any, kept: Any) -> Any:
    """(bits, rows): ``kept[:rows]`` are then the rows of the best chain. ``kept``: int64, 0 to n - 1."""
    n = len(phases)
    m = n
    best = -1.0e9
    rows = 0
    work = np.arange(n)
    sizes = math.log(n // 3 + 3.0) / _LOG2
    while m >= 3:
        total = 0.0
        for i in range(m - 1):
            step = phases[work[i + 1]] - phases[work[i]]
            total += step + 1.0 if step < 0.0 else step
        turns = math.ceil(total) if by_rank else total
        turns = max(turns, 1e-9)
        seen = log2_factorial(m - 1) - (m - 1) * math.log(turns) / _LOG2 - _choose(n, m) - sizes
        if seen > best:
            best = seen
            rows = m
            kept[:m] = work[:m]
        # The row whose removal saves a whole turn and that lies farthest back or ahead of its neighbours.
        worst = -1
        most = 1.0
        for i in range(1, m - 1):
            a, x, c = phases[work[i - 1]], phases[work[i]], phases[work[i + 1]]
            inward = x - a if x >= a else x - a + 1.0
            outward = c - x if c >= x else c - x + 1.0
            both = inward + outward
            if both >= 1.0:
                # Among those that save a turn: the one whose neighbours fit together best.
                fit = 3.0 - both
                if fit > most:
                    most = fit
                    worst = i
        if worst < 0:
            lead = phases[work[1]] - phases[work[0]]
            trail = phases[work[m - 1]] - phases[work[m - 2]]
            lead = lead + 1.0 if lead < 0.0 else lead
            trail = trail + 1.0 if trail < 0.0 else trail
            if max(lead, trail) < 0.5:
                break
            worst = 0 if lead >= trail else m - 1
        for i in range(worst, m - 1):
            work[i] = work[i + 1]
        m -= 1
        if n - m > n // 3 + 1:
            break
    return best, rows


@njit(cache=True, nogil=True)
def line(t: Any, phases: Any, by_rank: Any, residual: Any) -> Any:
    """(turns over the span, rows near the line): a line through positions that rise with time; ``residual`` is filled
    with how far each row is from it (turns, -0.5 to 0.5)."""
    n = len(phases)
    kept = np.arange(n)
    # Always False here; a constant would have the function compiled once more.
    _, m = best_chain(phases, by_rank, kept)
    span = t[n - 1] - t[0]
    if span <= 0.0 or m < 4:
        return 0.0, 0
    x, y = np.empty(m), np.empty(m)
    at = 0.0
    for i in range(m):
        if i:
            step = phases[kept[i]] - phases[kept[i - 1]]
            at += step + 1.0 if step < 0.0 else step
        x[i] = (t[kept[i]] - t[0]) / span
        y[i] = at + phases[kept[0]]
    slope, level = _fit(x, y)
    for _ in range(3):
        for i in range(n):
            e = phases[i] - level - slope * (t[i] - t[0]) / span
            residual[i] = e - np.rint(e)
        away = np.abs(residual[:n])
        sort_order(away, kept)
        far = away[kept[min(n - 1, (4 * n) // 5)]]
        near = max(2.0 * far, 1e-9)
        x, y = np.empty(n), np.empty(n)
        m = 0
        for i in range(n):
            if abs(residual[i]) <= near:
                x[m] = (t[i] - t[0]) / span
                y[m] = residual[i]
                m += 1
        more, up = _fit(x[:m], y[:m])
        slope += more
        level += up
    for i in range(n):
        e = phases[i] - level - slope * (t[i] - t[0]) / span
        residual[i] = e - np.rint(e)
    return slope, m


@njit(cache=True, nogil=True)
def _fit(x: Any, y: Any) -> Any:
    n = len(x)
    mx, my = x.mean(), y.mean()
    sxx = sxy = 0.0
    for i in range(n):
        sxx += (x[i] - mx) * (x[i] - mx)
        sxy += (x[i] - mx) * (y[i] - my)
    slope = sxy / sxx if sxx > 0.0 else 0.0
    return slope, my - slope * mx


@njit(cache=True, nogil=True)
def linear_bits(t: Any, phases: Any, by_rank: Any) -> Any:
    """-log2 of the chance that so many positions lie so near a line over time (at most 16 turns).

    A line within d of m rows lies within 2 d of one of the (1/d)(16/d) lines of a grid, and a uniform position is
    there with probability 4 d. ``by_rank``: False; ranks lie on a line whatever the rate.
    """
    n = len(phases)
    residual = np.empty(n)
    slope, _ = line(t, phases, by_rank, residual)
    if slope <= 0.0 or slope > _MOST_TURNS:
        return 0.0
    best = 0.0
    for halvings in range(3, 17):
        d = 2.0**-halvings
        m = 0
        for i in range(n):
            if abs(residual[i]) <= d:
                m += 1
        if m < 4:
            break
        seen = m * (halvings - 2.0) - _choose(n, m) - 4.0 - 2.0 * halvings - 4.0
        best = max(best, seen)
    return best
