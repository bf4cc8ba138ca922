"""How well intervals fit a poll with lost contacts: a likelihood ratio over periods, jitters and losses.

The intervals of an edge go into a histogram of their logarithms, bins of 5 %. A beacon of period P whose polls are
lost with probability q has intervals near kP with probability (1 - q) q^(k-1), spread sigma P sqrt(k) around it: the
schedule of most implants, which sleep a random time after each poll. Its shape in the logarithm does not depend on P,
so each (sigma, q) is one template, and a shift of it over the histogram is a period. The other side of the ratio
spreads the intervals evenly over five units of the natural logarithm (from one to 150 times the shortest), about as
broad as a Poisson process; one interval in twenty may come from it within a beacon, so that a laptop's sleep or a
stray visit costs three nats and not everything. ``fit`` gives the largest sum over all shifts and templates.

The ratio is a statistic, no probability: how large it gets without a beacon is what ``chance`` finds out.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from andon.detect.livenet.beacon.segments import gaps, medians

WIDTH: Final = 0.05  # of a bin, natural logarithm
SHORTEST: Final = 8.0  # s, middle of the first bin
BINS: Final = 210  # up to 2.9 days
_LOW, _HIGH = 16, 38  # bins of a template below and above the period: 0.45 P .. 6.7 P
_REACH = _LOW + _HIGH + 1
_FLAT = 0.2  # density of the other side per unit of the logarithm
STRAY: Final = math.log(0.05)
JITTERS: Final = (0.012, 0.08, 0.2, 0.29)  # standard deviations over the period; 0.29: even over +-50 %
LOSSES: Final = (0.02, 0.25, 0.5)


def templates() -> np.ndarray:
    """(jitters x losses, offsets) log-likelihood ratio of an interval in a bin, above that of a stray one."""
    edges = np.exp((np.arange(-_LOW, _HIGH + 2) - 0.5) * WIDTH)
    rows = []
    for sigma in JITTERS:
        for loss in LOSSES:
            below = np.zeros(_REACH + 1)
            for k in range(1, 7):
                # The half bin: a period lies anywhere within its bin.
                spread = math.hypot(sigma * math.sqrt(k), 0.4 * WIDTH * k)
                z = (edges - k) / (spread * math.sqrt(2.0))
                below += (1 - loss) * loss ** (k - 1) * np.array([0.5 * (1 + math.erf(v)) for v in z])
            mass = np.maximum(np.diff(below), 0.0)
            stray = math.exp(STRAY)
            rows.append(np.log((1 - stray) * mass / (_FLAT * WIDTH) + stray) - STRAY)
    return np.array(rows)


@njit(cache=True, nogil=True)
def fit(
    times: np.ndarray, shapes: np.ndarray, counts: np.ndarray, taken: np.ndarray
) -> tuple[float, int, int]:
    """(log-likelihood ratio, bin of the period, row of the template) of ascending times in s.

    ``counts`` (BINS, zeros; zeros again after) and ``taken`` (BINS) are room to work in."""
    used = 0
    gaps = times.shape[0] - 1
    for i in range(gaps):
        gap = times[i + 1] - times[i]
        at = 0
        if gap > SHORTEST:
            at = min(BINS - 1, int(math.log(gap / SHORTEST) / WIDTH + 0.5))
        if counts[at] == 0:
            taken[used] = at
            used += 1
        counts[at] += 1
    best, period, row = -1e300, 0, 0
    low, high = BINS, -1
    for n in range(used):
        low, high = min(low, taken[n]), max(high, taken[n])
    sums = np.empty(shapes.shape[0])
    for p in range(max(0, low - _HIGH // 2), high + 1):
        sums[:] = 0.0
        for n in range(used):
            offset = taken[n] - p + _LOW
            if 0 <= offset < _REACH:
                weight = counts[taken[n]]
                for s in range(shapes.shape[0]):
                    sums[s] += weight * shapes[s, offset]
        for s in range(shapes.shape[0]):
            if sums[s] > best:
                best, period, row = sums[s], p, s
    for n in range(used):
        counts[taken[n]] = 0
    return best + STRAY * gaps, period, row


def refine(
    offsets: np.ndarray, times: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(period, jitter, share of intervals that are a multiple of it) of each edge from a first guess, s.

    The period is the median of the intervals over their multiple (up to three); jitter is twice the median distance
    of the single ones from it, over it: j for a sleep that is even over P (1 - j) .. P (1 + j)."""
    number = len(offsets) - 1
    between, owner = gaps(offsets, times)
    multiple = np.floor(between / guess[owner] + 0.5)
    fits = (multiple >= 1) & (multiple <= 6)
    few = fits & (multiple <= 3)
    period = medians(between[few] / multiple[few], owner[few], number)
    period = np.where(np.isnan(period), guess, period)
    single = (between > 0.4 * period[owner]) & (between < 1.6 * period[owner])
    far = medians(np.abs(between - period[owner])[single], owner[single], number)
    counts = np.maximum(np.bincount(owner, minlength=number), 1)
    known = np.bincount(owner[single], minlength=number) >= 2
    jitter = np.where(known, np.minimum(1.0, 2.0 * np.nan_to_num(far) / period), 1.0)
    return period, jitter, np.bincount(owner[fits], minlength=number) / counts
