"""Polls of an edge: contacts that come within seconds of one another are one visit, and visits make the intervals.

A page is dozens of requests, a poll often two or three; what can be periodic is when they begin. A contact begins a
new visit when more than ``apart`` seconds passed since the contact before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from andon.detect.livenet.beacon.segments import owners

APART = 3.0  # s
SIZE_WIDTH = 0.05  # sizes within so much of one another are one size


@dataclass(frozen=True)
class Edges:
    """Times of edges, one after another. ``offsets``: int64, one more than there are edges; ``times``: float64 s
    since the start of the span, ascending within an edge; ``sizes``: float64 bytes, beside ``times``."""

    offsets: np.ndarray
    times: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: np.ndarray) -> Edges:
        """The edges of these rows (int64), in that order."""
        counts = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        at = np.repeat(self.offsets[rows] - offsets[:-1], counts) + np.arange(offsets[-1])
        return Edges(offsets, self.times[at], self.sizes[at])


@njit(cache=True, nogil=True)
def _polls(offsets: np.ndarray, times: np.ndarray, apart: float, out: np.ndarray, ends: np.ndarray) -> None:
    filled = 0
    ends[0] = 0
    for edge in range(offsets.shape[0] - 1):
        last = -1e300
        for i in range(offsets[edge], offsets[edge + 1]):
            if times[i] - last > apart:
                out[filled] = times[i]
                filled += 1
            last = times[i]
        ends[edge + 1] = filled


def visits_of(edges: Edges, apart: float = APART) -> tuple[np.ndarray, np.ndarray]:
    """(begin times of the visits of each edge one after another, offsets into them).

    >>> edges = Edges(np.array([0, 4]), np.array([0.0, 1.0, 60.0, 120.5]), np.zeros(4))
    >>> visits_of(edges)[0].tolist()
    [0.0, 60.0, 120.5]
    """
    out, ends = np.empty(len(edges.times)), np.empty(len(edges) + 1, np.int64)
    _polls(edges.offsets, edges.times, apart, out, ends)
    return out[: ends[-1]].copy(), ends


def modes(edges: Edges) -> tuple[np.ndarray, np.ndarray]:
    """(most frequent size in bytes, share of the contacts that have it, give or take 5 %) of each edge.

    >>> modes(Edges(np.array([0, 4]), np.zeros(4), np.array([500.0, 9.0, 505.0, 510.0])))
    (array([505.]), array([0.75]))
    """
    number = len(edges)
    size, share = np.zeros(number), np.zeros(number)
    if not len(edges.sizes):
        return size, share
    owner = owners(edges.offsets)
    held = edges.sizes[np.lexsort((edges.sizes, owner))]
    # Sizes are below 2^32: an owner's numbers do not reach the next one's.
    line = owner * 2.0**33 + held
    low = np.searchsorted(line, owner * 2.0**33 + held * (1.0 - SIZE_WIDTH) - 1.0)
    low = np.maximum(low, edges.offsets[:-1][owner])
    at = np.arange(len(held))
    alike = at - low + 1
    # The first of the longest: ties go to the smaller size.
    best = np.lexsort((at, -alike, owner))
    some = np.flatnonzero(np.diff(edges.offsets))
    chosen = best[edges.offsets[:-1][some]]
    size[some] = held[(low[chosen] + chosen) // 2]
    share[some] = alike[chosen] / np.diff(edges.offsets)[some]
    return size, share
