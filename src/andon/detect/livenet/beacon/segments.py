"""Order statistics of many short lists at once: values one after another, ``offsets`` (int64) where each list
begins."""

from __future__ import annotations

import numpy as np


def owners(offsets: np.ndarray) -> np.ndarray:
    """Which list each value is of.

    >>> owners(np.array([0, 2, 2, 3])).tolist()
    [0, 0, 2]
    """
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def gaps(offsets: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(differences of neighbours within each list, whose they are)."""
    owner = owners(offsets)
    within = owner[1:] == owner[:-1]
    return np.diff(times)[within], owner[1:][within]


def quantiles(values: np.ndarray, owner: np.ndarray, number: int, shares: tuple[float, ...]) -> np.ndarray:
    """(shares, number) quantiles of each list, interpolated linearly; nan where it is empty. ``owner`` ascending.

    >>> quantiles(np.array([3.0, 1.0, 2.0, 9.0]), np.array([0, 0, 0, 2]), 3, (0.5,)).tolist()
    [[2.0, nan, 9.0]]
    """
    ordered = values[np.lexsort((values, owner))]
    counts = np.bincount(owner, minlength=number)
    begins = np.cumsum(counts) - counts
    out = np.full((len(shares), number), np.nan)
    some = np.flatnonzero(counts)
    for row, share in enumerate(shares):
        at = (counts[some] - 1) * share
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, counts[some] - 1)
        below, above = ordered[begins[some] + low], ordered[begins[some] + high]
        out[row, some] = below + (above - below) * (at - low)
    return out


def medians(values: np.ndarray, owner: np.ndarray, number: int) -> np.ndarray:
    """Median of each list, nan where it is empty."""
    middle: np.ndarray = quantiles(values, owner, number, (0.5,))[0]
    return middle


def over_day(offsets: np.ndarray, times: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Share of 24 equal parts of ``begin`` .. ``end`` that hold a time, of each list.

    >>> over_day(np.array([0, 12]), np.arange(0.0, 12.0), np.zeros(1), np.full(1, 24.0)).tolist()
    [0.5]
    """
    number = len(offsets) - 1
    owner = owners(offsets)
    at = np.clip((times - begin[owner]) / (end - begin)[owner] * 24, 0, 23).astype(np.int64)
    filled = np.zeros((number, 24), np.bool_)
    filled[owner, at] = True
    made: np.ndarray = filled.mean(axis=1)
    return made
