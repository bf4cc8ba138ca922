"""Upper bounds on the counts of many keys in fixed memory: the count-min sketch.

Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and its applications",
J. Algorithms 55, 2005; here with two rows whose cells for a key lie side by side, so that counting costs one
access to memory and not two. A count is never too low; it is too high by what other keys put into both of its
cells. The share of empty cells of one row also tells how many distinct keys came (linear
counting: Whang, Vander-Zanden, Taylor, ACM TODS 15, 1990). Cells add up, so merging is exact.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numba import njit

from andon.sketch.hashing import mix64, mix64_array
from andon.sketch.places import places_of
from andon.sketch.state import StateError, pack, unpack

_ROW = 8  # cells of a row in one line of 64 bytes
_FIRST, _SECOND, _SEVEN = np.uint64(40), np.uint64(50), np.uint64(7)


@njit(cache=True, nogil=True, inline="always")
def count_one(cells: np.ndarray, key: np.uint64, salt: np.uint64) -> None:
    """Add one to the two cells of a key."""
    hashed = mix64(key, salt)
    line = hashed & np.uint64(cells.shape[0] - 1)
    cells[line, (hashed >> _FIRST) & _SEVEN] += np.uint32(1)
    cells[line, np.uint64(_ROW) + ((hashed >> _SECOND) & _SEVEN)] += np.uint32(1)


class CountMin:
    """Counts of uint64 keys in two rows of ``width`` cells, a power of two; kernels use ``count_one``. ``cells``
    is uint32[width / 8, 16]: eight cells of the first row and eight of the second in each line.

    >>> counts = CountMin(1024)
    >>> counts.add(np.array([7, 9, 7], dtype=np.uint64))
    >>> counts.at_most(np.array([7, 9, 8], dtype=np.uint64)).tolist(), round(counts.distinct())
    ([2, 1, 0], 2)
    """

    def __init__(self, width: int, salt: int = 0x9E3779B97F4A7C15) -> None:
        if width < _ROW or width & (width - 1):
            raise ValueError(f"width {width} is not a power of two from {_ROW} on")
        self.cells = np.zeros((width // _ROW, 2 * _ROW), np.uint32)
        self.salt = np.uint64(salt)

    def add(self, keys: np.ndarray) -> None:
        _count_all(self.cells, keys, self.salt)

    def at_most(self, keys: np.ndarray) -> np.ndarray:
        """For each key a count that the true one does not exceed (int64)."""
        hashed = mix64_array(keys, self.salt)
        line = (hashed & np.uint64(self.cells.shape[0] - 1)).astype(np.int64)
        first = self.cells[line, ((hashed >> _FIRST) & _SEVEN).astype(np.int64)]
        second = self.cells[line, _ROW + ((hashed >> _SECOND) & _SEVEN).astype(np.int64)]
        return np.asarray(np.minimum(first, second), np.int64)

    @property
    def row(self) -> np.ndarray:
        """The cells of one row: counts of keys, or of several that share a cell."""
        return self.cells[:, :_ROW]

    def distinct(self) -> float:
        """Estimated number of distinct keys; infinite when every cell of the row is used."""
        width = self.row.size
        empty = width - int(np.count_nonzero(self.row))
        return float("inf") if empty == 0 else float(width * np.log(width / empty))

    def merge(self, other: CountMin) -> None:
        if (self.cells.shape, self.salt) != (other.cells.shape, other.salt):
            raise ValueError("only sketches of the same width and hash key can be merged")
        self.cells += other.cells

    def to_bytes(self) -> bytes:
        flat = self.cells.reshape(-1)
        places = places_of(flat).astype("<u4", copy=False)
        scalars = {"width": self.row.size, "salt": int(self.salt)}
        return pack("countmin", 1, {"places": places, "counts": flat[places]}, scalars)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("countmin", 1, data)
        try:
            sketch = cls(scalars["width"], scalars["salt"])
            sketch.cells.reshape(-1)[arrays["places"]] = arrays["counts"]
        except (KeyError, IndexError, ValueError) as error:
            raise StateError(f"damaged count-min state: {error}") from error
        return sketch


@njit(cache=True, nogil=True)
def _count_all(cells: np.ndarray, keys: np.ndarray, salt: np.uint64) -> None:
    for i in range(keys.shape[0]):
        count_one(cells, keys[i], salt)
