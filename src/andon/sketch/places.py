"""Which cells of a large, mostly empty table are not zero.

Summaries of little traffic are tables of millions of cells with a few that count something, and they are saved at every
checkpoint and for every partition. Empty lines of the cache are told by one test for all their cells, which makes this
several times as fast as ``numpy.flatnonzero``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_LINE = 8  # words of 64 bits


def places_of(cells: np.ndarray) -> np.ndarray:
    """Positions (uint32, ascending) of the cells that are not zero in a flat, contiguous array of integers.

    >>> places_of(np.array([0, 0, 7, 0, 1], dtype=np.uint32)).tolist()
    [2, 4]
    """
    out = np.empty(cells.shape[0], np.uint32)  # its pages are taken as they are filled
    whole = cells.nbytes // (8 * _LINE) * _LINE
    per_word = 8 // cells.itemsize
    words = cells[: whole * per_word].view(np.uint64)
    return out[: _places(words, cells, per_word, out)].copy()


@njit(cache=True, nogil=True)
def _places(words: np.ndarray, cells: np.ndarray, per_word: int, out: np.ndarray) -> int:
    found = 0
    line = 8 * per_word
    lines = words.shape[0] // 8
    for k in range(lines):
        w = k * 8
        some = words[w] | words[w + 1] | words[w + 2] | words[w + 3]
        some |= words[w + 4] | words[w + 5] | words[w + 6] | words[w + 7]
        if some != 0:
            for at in range(k * line, (k + 1) * line):
                if cells[at] != 0:
                    out[found] = at
                    found += 1
    for at in range(lines * line, cells.shape[0]):
        if cells[at] != 0:
            out[found] = at
            found += 1
    return found
