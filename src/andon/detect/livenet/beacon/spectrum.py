"""Periodogram of an edge: power of the counts per bin, a line against its own neighbourhood.

The counts go into segments of 512 bins, six bins to the median interval, and the powers of up to four segments are
added (Bartlett): a schedule that drifts keeps its line for the 85 periods of a segment, where one transform over the
day would lose it. Bursts raise the power of whole stretches of the spectrum and a daily rhythm that of its low end; a
line is therefore divided by the mean power of its neighbourhood, and the four lowest frequencies do not count.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from andon.detect.livenet.beacon.segments import gaps, medians

POINTS: Final = 512
_SEGMENTS = 4
_BINS_TO_MEDIAN = 6.0
_LOWEST = 5
_AROUND = 12  # frequencies on each side that make the neighbourhood
_BESIDE = 2  # of these, those that belong to the line


@njit(cache=True, nogil=True)
def _transform(real: np.ndarray, imag: np.ndarray) -> None:
    """Discrete Fourier transform in place; the length is a power of two."""
    n = real.shape[0]
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            real[i], real[j] = real[j], real[i]
            imag[i], imag[j] = imag[j], imag[i]
    size = 2
    while size <= n:
        half = size >> 1
        for k in range(half):
            c, s = math.cos(-2.0 * math.pi * k / size), math.sin(-2.0 * math.pi * k / size)
            for a in range(k, n, size):
                b = a + half
                x, y = real[b] * c - imag[b] * s, real[b] * s + imag[b] * c
                real[b], imag[b] = real[a] - x, imag[a] - y
                real[a] += x
                imag[a] += y
        size <<= 1


@njit(cache=True, nogil=True)
def line(times: np.ndarray, width: float) -> tuple[float, float]:
    """(height of the strongest line over its neighbourhood, its period in s) of ascending times; ``width`` of a bin,
    s."""
    power = np.zeros(POINTS // 2)
    first, done = 0, 0
    while first < times.shape[0] and done < _SEGMENTS:
        real, imag = np.zeros(POINTS), np.zeros(POINTS)
        begin = times[first]
        held = 0
        while first < times.shape[0]:
            at = int((times[first] - begin) / width)
            if at >= POINTS:
                break
            real[at] += 1.0
            held += 1
            first += 1
        if held < 4:
            continue
        # The square root keeps one busy bin from being all there is.
        real = np.sqrt(real)
        real -= np.mean(real)
        _transform(real, imag)
        for k in range(POINTS // 2):
            power[k] += real[k] * real[k] + imag[k] * imag[k]
        done += 1
    best, at_best = 0.0, 0
    if done:
        upto = np.zeros(POINTS // 2 + 1)
        for k in range(POINTS // 2):
            upto[k + 1] = upto[k] + power[k]
        floor = 0.1 * upto[POINTS // 2] / (POINTS // 2)
        for k in range(_LOWEST, POINTS // 2):
            low, high = max(1, k - _AROUND), min(POINTS // 2, k + _AROUND + 1)
            near_low, near_high = max(1, k - _BESIDE), min(POINTS // 2, k + _BESIDE + 1)
            around = upto[high] - upto[low] - (upto[near_high] - upto[near_low])
            mean = around / max(1, (high - low) - (near_high - near_low))
            height = power[k] / max(mean, floor, 1e-12)
            if height > best:
                best, at_best = height, k
    period = POINTS * width / at_best if at_best else 0.0
    return best, period


def bin_widths(offsets: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Width of a bin of each edge for ``line``: a sixth of the median interval, at least 1 s."""
    between, owner = gaps(offsets, times)
    middle = medians(between, owner, len(offsets) - 1)
    made: np.ndarray = np.maximum(1.0, np.nan_to_num(middle) / _BINS_TO_MEDIAN)
    return made


@njit(cache=True, nogil=True)
def autocorrelation(times: np.ndarray, lag: float, tolerance: float) -> float:
    """Share of the times that another follows after ``lag`` (within ``tolerance``, s), less the mean of the shares at
    half of it and at one and a half of it: positive where the lag is a hill, not a slope."""
    total = np.zeros(3)
    for n in range(3):
        after = lag * (0.5 + 0.5 * n)
        j = 0
        for i in range(times.shape[0]):
            while j < times.shape[0] and times[j] < times[i] + after - tolerance:
                j += 1
            if j < times.shape[0] and times[j] <= times[i] + after + tolerance:
                total[n] += 1.0
    hill = (total[1] - 0.5 * (total[0] + total[2])) / max(1, times.shape[0] - 1)
    return float(hill)
