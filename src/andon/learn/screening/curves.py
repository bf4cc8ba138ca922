"""An additive model by cyclic boosting: one step curve for each feature (explainable boosting; Lou, Caruana, Gehrke
2012; Nori et al. 2019), one compiled kernel.

Values are put into at most ``BINS`` bins at quantiles. Round after round, every feature in turn gets a tree of at most
three leaves over its bins, fitted to the gradient of the logistic loss by a Newton step and shrunk by ``RATE``, so that
features which say the same share the credit. Several bags, each without a hashed tenth of the rows, are averaged, which
smooths the curves. Curves are centred: what they add is relative to the mean row.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from andon.sketch.additive import Additive
from andon.sketch.hashing import mix64_array

BINS: Final = 32
RATE: Final = 0.08
ROUNDS: Final = 100
BAGS: Final = 3
RIDGE: Final = 2.0  # weight of rows that say nothing, added to every leaf
LEAST: Final = 8.0  # rows of a leaf


@njit(cache=True, nogil=True)
def _boost(
    bins: np.ndarray, starts: np.ndarray, label: np.ndarray, weight: np.ndarray, base: float, rounds: int,
    rate: float, ridge: float, least: float, curves: np.ndarray,
) -> None:  # fmt: skip
    """``bins`` (features, n) u1, ``starts`` (features + 1,): where each feature's curve begins in ``curves``."""
    n = label.shape[0]
    logit = np.full(n, base)
    widest = 0
    for f in range(starts.shape[0] - 1):
        widest = max(widest, starts[f + 1] - starts[f])
    g, h, many = np.zeros(widest + 1), np.zeros(widest + 1), np.zeros(widest + 1)
    step = np.zeros(widest)
    cuts = np.zeros(4, np.int64)
    for _ in range(rounds):
        for f in range(starts.shape[0] - 1):
            m = starts[f + 1] - starts[f]
            if m < 2:
                continue
            g[:], h[:], many[:] = 0.0, 0.0, 0.0
            for i in range(n):
                if weight[i] > 0.0:
                    p = 1.0 / (1.0 + np.exp(-logit[i]))
                    b = bins[f, i] + 1
                    g[b] += weight[i] * (label[i] - p)
                    h[b] += weight[i] * p * (1.0 - p)
                    many[b] += 1.0
            for b in range(1, m + 1):
                g[b] += g[b - 1]
                h[b] += h[b - 1]
                many[b] += many[b - 1]
            # Leaves are [cuts[j], cuts[j + 1]): the best split of the whole, then the best one of its parts.
            cuts[0], cuts[1], leaves = 0, m, 1
            while leaves < 3:
                best, at, where = 1e-9, -1, 0
                for j in range(leaves):
                    lo, hi = cuts[j], cuts[j + 1]
                    all_g, all_h = g[hi] - g[lo], h[hi] - h[lo]
                    whole = all_g * all_g / (all_h + ridge)
                    for c in range(lo + 1, hi):
                        if many[c] - many[lo] < least or many[hi] - many[c] < least:
                            continue
                        left_g, left_h = g[c] - g[lo], h[c] - h[lo]
                        right_g, right_h = all_g - left_g, all_h - left_h
                        gain = (
                            left_g * left_g / (left_h + ridge) + right_g * right_g / (right_h + ridge) - whole
                        )
                        if gain > best:
                            best, at, where = gain, c, j
                if at < 0:
                    break
                for j in range(leaves, where, -1):
                    cuts[j + 1] = cuts[j]
                cuts[where + 1] = at
                leaves += 1
            if leaves == 1:
                continue
            for j in range(leaves):
                lo, hi = cuts[j], cuts[j + 1]
                move = rate * (g[hi] - g[lo]) / (h[hi] - h[lo] + ridge)
                for b in range(lo, hi):
                    step[b] = move
                    curves[starts[f] + b] += move
            for i in range(n):
                logit[i] += step[bins[f, i]]


def fit(x: np.ndarray, label: np.ndarray, weight: np.ndarray, seed: int = 1) -> Additive:
    """From ``x`` (n, d), ``label`` (n,) 0..1, ``weight`` (n,) above 0. Raises ValueError without two classes."""
    if len(label) < 2 or not 0 < float((weight * label).sum()) < float(weight.sum()):
        raise ValueError("an additive model needs rows of both classes")
    x = np.asarray(x, np.float32)
    edges = [_borders(x[:, f]) for f in range(x.shape[1])]
    bins = np.stack([np.searchsorted(e, x[:, f], "left") for f, e in enumerate(edges)]).astype(np.uint8)
    starts = np.cumsum([0, *(len(e) + 1 for e in edges)])
    weight = weight / weight.mean()
    share = float((weight * label).sum() / weight.sum())
    base = float(np.log(share / (1 - share)))
    curves = np.zeros(int(starts[-1]))
    numbers = np.arange(len(label), dtype=np.uint64)
    for bag in range(BAGS):
        drawn = mix64_array(numbers, np.uint64(seed * 1_000_003 + bag)) % np.uint64(10) != 0
        one = np.zeros(len(curves))
        _boost(bins, starts, label.astype(np.float64), weight * drawn, base, ROUNDS, RATE, RIDGE, LEAST, one)
        curves += one / BAGS
    for f in range(len(edges)):
        part = slice(int(starts[f]), int(starts[f + 1]))
        mean = float(np.average(curves[part][bins[f]], weights=weight))
        curves[part] -= mean
        base += mean
    return Additive(np.concatenate(edges), np.cumsum([0, *(len(e) for e in edges)]), curves, base)


def _borders(values: np.ndarray) -> np.ndarray:
    """Borders between bins of about as many rows each, half-way between values that occur."""
    found = np.unique(values)
    if len(found) > BINS:
        found = np.unique(np.quantile(values, np.linspace(0, 1, BINS), method="nearest"))
    borders = np.unique(((found[1:].astype(np.float64) + found[:-1]) / 2).astype(np.float32))
    return np.asarray(borders, np.float32)
