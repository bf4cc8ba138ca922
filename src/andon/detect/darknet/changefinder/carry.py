"""What is remembered between spans: the series that are followed, at most so many ports.

Row 0 is the whole telescope and row 1 a port that is always silent: a port that is heard for the first time goes
on from there, as if its zeros had been written down all along, so that its birth is a change.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np

from andon.detect.darknet.changefinder.sdar import STATE
from andon.sketch.state import StateError, pack, unpack

TOTAL, SILENT = -2, -1  # codes of the first two rows
SERIES: Final = 2  # of each row: packets, sources
_FORGOTTEN: Final = 0.01  # mean sources below which a silent port is dropped


class Followed:
    """``codes`` (int64, n): TOTAL, SILENT, then UDP << 16 | port, ascending; ``state`` (n, 2, STATE); ``seen`` (n)
    points so far; ``high`` (n) whether the score of the last span was above the threshold."""

    def __init__(self, codes: np.ndarray, state: np.ndarray, seen: np.ndarray, high: np.ndarray) -> None:
        self.codes, self.state, self.seen, self.high = codes, state, seen, high

    @classmethod
    def empty(cls) -> Self:
        return cls(
            np.array([TOTAL, SILENT]),
            np.zeros((2, SERIES, STATE)),
            np.zeros(2, np.int64),
            np.zeros(2, np.bool_),
        )

    def copy(self) -> Followed:
        return Followed(self.codes.copy(), self.state.copy(), self.seen.copy(), self.high.copy())

    def follow(self, heard: np.ndarray, sources: np.ndarray, most: int) -> tuple[Followed, int]:
        """With the ports ``heard`` (codes) added and, beyond ``most``, those with fewest sources dropped; gives
        (all that are followed now, how many were dropped for want of room). ``sources`` (by code) are those of the
        span."""
        codes = np.union1d(self.codes[2:], heard)
        at = np.searchsorted(self.codes, codes)
        at[at == len(self.codes)] = 1
        row = np.where(self.codes[at] == codes, at, 1)
        usual = np.where(row > 1, self.state[row, 1, 0], 0.0)  # mean number of sources
        rank = np.maximum(usual, sources[codes])
        keep = (rank >= _FORGOTTEN) | (self.seen[row] < 2)
        codes, row, rank = codes[keep], row[keep], rank[keep]
        dropped = max(len(codes) - most, 0)
        if dropped:
            stay = np.sort(np.lexsort((codes, -rank))[:most])
            codes, row = codes[stay], row[stay]
        row = np.concatenate([[0, 1], row])
        return (
            Followed(
                np.concatenate([[TOTAL, SILENT], codes]),
                self.state[row].copy(),
                self.seen[row].copy(),
                self.high[row].copy(),
            ),
            dropped,
        )

    def to_bytes(self) -> bytes:
        arrays = {"codes": self.codes, "state": self.state, "seen": self.seen, "high": self.high.astype("u1")}
        return pack("changefinder-series", 1, arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, _ = unpack("changefinder-series", 1, data)
        try:
            codes, state, seen, high = (arrays[name] for name in ("codes", "state", "seen", "high"))
        except KeyError as error:
            raise StateError(f"damaged series: no {error}") from error
        n = len(codes)
        if n < 2 or state.shape != (n, SERIES, STATE) or seen.shape != (n,) or high.shape != (n,):
            raise StateError("damaged series: the arrays do not fit together")
        return cls(codes, state, seen, high.astype(np.bool_))
