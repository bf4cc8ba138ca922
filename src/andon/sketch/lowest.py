"""Bottom-k of distinct items: a vector column that keeps the k items with the lowest keyed hashes.

What is kept depends only on the set of items offered, so it is a uniform sample of the *distinct* items, the
same however the input was split (Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007). An
item is one or more words of which the first is its hash; a free place holds all ones. Items stand in ascending
order of the first word and are told apart by it, so it must be a good hash of everything that matters.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def keep_lowest(kept: np.ndarray, item: np.ndarray, words: int) -> bool:
    """Offer one item (``words`` words) to a list of kept items; True if it was taken in."""
    places = kept.shape[0] // words
    hashed = item[0]
    if hashed >= kept[(places - 1) * words]:
        return False
    at = 0
    while kept[at * words] < hashed:
        at += 1
    if kept[at * words] == hashed:
        return False
    for i in range(places * words - 1, (at + 1) * words - 1, -1):
        kept[i] = kept[i - words]
    for i in range(words):
        kept[at * words + i] = item[i]
    return True


@njit(cache=True, nogil=True)
def fold_lowest(into: np.ndarray, slots: np.ndarray, values: np.ndarray, words: int) -> None:
    """Merge row i of ``values`` into row ``slots[i]`` of ``into``."""
    for i in range(slots.shape[0]):
        for start in range(0, values.shape[1], words):
            item = values[i, start : start + words]
            if not keep_lowest(into[slots[i]], item, words) and item[0] >= into[slots[i], -words]:
                break  # the rest is higher still
