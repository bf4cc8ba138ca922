"""How surprising are k hits among n packets, and how many sources would be that surprising by chance?

A source that has nothing to do with a tool still hits its relation now and then: Binomial(n, p) times. A source
is believed when P(X >= k) is at most ``budget / sources tested`` (Bonferroni), so that at most ``budget`` sources
a day are named by chance, whatever their packet counts. The tail is bounded from above, never approximated from
below: by the union bound C(n, k) p^k and by Chernoff's exp(-n KL(k/n || p)), whichever is smaller.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def log_tail(trials: np.ndarray, hits: np.ndarray, rate: float) -> np.ndarray:
    """Natural logarithm of an upper bound on P(Binomial(trials, rate) >= hits), one per element.

    >>> round(math.exp(log_tail(np.array([2]), np.array([2]), 2.0**-16)[0]) * 2**32, 6)
    1.0
    """
    out = np.zeros(trials.shape[0])
    for i in range(trials.shape[0]):
        n, k = float(trials[i]), float(hits[i])
        if k <= 0.0 or k / n <= rate:
            continue
        union = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(rate)
        share = k / n
        chernoff = -k * math.log(share / rate)
        if share < 1.0:
            chernoff -= (n - k) * math.log((1.0 - share) / (1.0 - rate))
        out[i] = min(0.0, union, chernoff)
    return out


def distinct_hits(sample: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """How many different hits there were, at least: exact while the sample (uint32[n, k], ascending, all ones
    where free) is not full, then half of the bottom-k estimate, so that it is rarely too high."""
    places = sample.shape[1]
    kept = np.count_nonzero(sample != 0xFFFFFFFF, axis=1)
    highest = sample[:, -1].astype(np.float64) + 1.0
    estimate = (places - 1) * 2.0**32 / highest / 2.0
    many = np.minimum(hits, np.maximum(places, estimate)).astype(np.int64)
    return np.asarray(np.where(kept < places, kept, many))


def expected_by_chance(trials: np.ndarray, rate: float, threshold: float) -> float:
    """Expected number of unrelated sources that pass ``threshold`` (a probability), given the packet count of
    each source tested (0 counts nothing). Never above ``threshold * sources``."""
    positive = trials[trials > 0]
    small = np.bincount(positive[positive < 65536], minlength=1)
    counts = np.flatnonzero(small)
    values = np.concatenate([counts, positive[positive >= 65536]]).astype(np.int64)
    weights = np.concatenate([small[counts], np.ones(len(values) - len(counts), np.int64)])
    return float((_lowest_tail(values, rate, math.log(threshold)) * weights).sum())


@njit(cache=True, nogil=True)
def _lowest_tail(trials: np.ndarray, rate: float, limit: float) -> np.ndarray:
    """For each number of trials the largest tail bound that still passes ``limit`` (a logarithm)."""
    out = np.zeros(trials.shape[0])
    one_n, one_k = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for i in range(trials.shape[0]):
        low, high = np.int64(1), trials[i]
        one_n[0], one_k[0] = trials[i], trials[i]
        if log_tail(one_n, one_k, rate)[0] > limit:
            continue  # not even all hits would do
        while low < high:
            middle = (low + high) // 2
            one_k[0] = middle
            if log_tail(one_n, one_k, rate)[0] <= limit:
                high = middle
            else:
                low = middle + 1
        one_k[0] = low
        out[i] = math.exp(log_tail(one_n, one_k, rate)[0])
    return out


def log2_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """log2 of the binomial coefficients, for small whole numbers."""
    table = np.array([[math.log2(math.comb(a, b)) if b <= a else 0.0 for b in range(65)] for a in range(65)])
    return np.asarray(table[n, k])
