"""Rows of a batch in time order, without those whose timestamps cannot be true.

A damaged or hostile capture may carry timestamps anywhere in 136 years. Each would open windows of its own. A
row is *astray* if it has to be left out for the rest of its batch to run forward in time, but for ``SLACK``: the
rows that stay are a longest increasing subsequence (Fredman, "On computing the length of longest increasing
subsequences", 1975) of the times in steps of ``SLACK``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SLACK = 86_400_000_000_000  # a day: files that are out of order by hours are not astray


@njit(cache=True, nogil=True)
def _runs_forward(ts: np.ndarray, slack: int) -> bool:
    latest = ts[0]
    for i in range(1, ts.shape[0]):
        if ts[i] < latest - slack:
            return False
        latest = max(latest, ts[i])
    return True


@njit(cache=True, nogil=True)
def _longest_forward(steps: np.ndarray) -> np.ndarray:
    """Which rows belong to a longest non-decreasing subsequence (patience sorting with back pointers)."""
    n = steps.shape[0]
    tails = np.empty(n, np.int64)  # row that ends the best subsequence of each length
    before = np.full(n, -1, np.int64)
    length = 0
    for i in range(n):
        low, high = 0, length
        while low < high:
            middle = (low + high) // 2
            if steps[tails[middle]] <= steps[i]:
                low = middle + 1
            else:
                high = middle
        if low:
            before[i] = tails[low - 1]
        tails[low] = i
        length = max(length, low + 1)
    kept = np.zeros(n, np.bool_)
    row = tails[length - 1] if length else -1
    while row >= 0:
        kept[row] = True
        row = before[row]
    return kept


def astray(ts: np.ndarray) -> np.ndarray | None:
    """Rows (bool) whose times do not fit those around them; None if there is none.

    >>> day = SLACK
    >>> astray(np.array([0, 1, 900 * day, 2, 3], dtype=np.int64)).tolist()
    [False, False, True, False, False]
    """
    if not len(ts) or _runs_forward(ts, SLACK):
        return None
    kept: np.ndarray = _longest_forward(ts // SLACK)
    # What is within the slack of the rows kept before it is fine too.
    latest = np.maximum.accumulate(np.where(kept, ts, np.iinfo(np.int64).min))
    coming = np.minimum.accumulate(np.where(kept, ts, np.iinfo(np.int64).max)[::-1])[::-1]
    fits = (ts >= latest - SLACK) & ((ts <= coming) | (ts - SLACK <= coming))
    gone: np.ndarray = ~(kept | fits)
    return gone if gone.any() else None
