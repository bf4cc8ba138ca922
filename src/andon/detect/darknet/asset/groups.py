"""Sums, extremes and distinct counts of groups of rows, all groups at once. Rows are numbered by their group; sums are
of integers, so their order does not matter."""

from __future__ import annotations

from typing import Final

import numpy as np

MOST_PAIRS: Final = 5_000_000  # of stretches and rows, looked at in one go


def grouped(*keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(number of each row's group in the order of the keys, one row of each group).

    >>> [a.tolist() for a in grouped(np.array([7, 3, 7]), np.array([0, 0, 0]))]
    [[1, 0, 1], [1, 0]]
    """
    order = np.lexsort(keys[::-1])
    new = np.zeros(len(order), np.bool_)
    new[:1] = True
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(new) - 1
    return number, order[new]


def distinct(group: np.ndarray, count: int, *keys: np.ndarray) -> np.ndarray:
    """How many distinct keys each of ``count`` groups has."""
    _, one = grouped(group, *keys)
    return np.bincount(group[one], minlength=count)


def total(group: np.ndarray, count: int, values: np.ndarray) -> np.ndarray:
    found = np.zeros(count, np.int64)
    np.add.at(found, group, values)
    return found


def largest(group: np.ndarray, count: int, values: np.ndarray) -> np.ndarray:
    """Of each group; 0 where all are negative or there are none."""
    found = np.zeros(count, np.int64)
    np.maximum.at(found, group, values)
    return found


def marked(group: np.ndarray, count: int, values: np.ndarray) -> np.ndarray:
    """bool: whether any row of a group is true."""
    return np.bincount(group[values], minlength=count) > 0


def within(keys: np.ndarray, wanted: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(number of the wanted key, place among the sorted ``keys``) of all that are equal, in parts of bounded size."""
    low, high = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, "right")
    parts, begin = [], 0
    while begin < len(wanted):
        sums = np.cumsum(high[begin:] - low[begin:])
        end = begin + max(int(np.searchsorted(sums, MOST_PAIRS, "right")), 1)
        of = (high - low)[begin:end]
        which = np.repeat(np.arange(begin, end), of)
        step = np.arange(len(which)) - np.repeat(np.cumsum(of) - of, of)
        parts.append((which, low[which] + step))
        begin = end
    return parts
