"""How common something is among the terminals that live like a given one, without cutting them into groups.

Departments visit sites of their own. If a spear-phishing campaign infects a sixth of a department, any site of that
department has infected visitors, and none of that is guilt. So we ask of each terminal how many of its like are
infected, and measure visitors against that. "Its like" is spanned by the leading left singular vectors of the
normalised matrix of terminals and destinations (spectral clustering of bipartite graphs: Dhillon, KDD 2001); instead of
cutting them into clusters (the number of which nobody knows) the values are projected onto their span, which for clear
departments is the mean over the department. Destinations of very few visitors are left out, or campaigns would be
communities of their own.

Subspace iteration from fixed signs, so the same graph gives the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from andon.sketch.bipartite.graph import Graph
from andon.sketch.hashing import mix64

_LEAST_VISITORS: Final = 5
_SHARE_OF_ALL: Final = 0.05  # destinations with more visitors tell no community
_EDGES_USED: Final = 1_500_000
_DIMENSIONS: Final = 48
_TERMINALS_EACH: Final = 40  # at least, for each dimension
_STEPS: Final = 8


@dataclass(frozen=True)
class Communities:
    """``basis`` (terminals, k), orthonormal columns; k may be 0."""

    basis: np.ndarray
    leverage: np.ndarray

    def around(self, values: np.ndarray) -> np.ndarray:
        """For each terminal the value that its like have, itself left out, between the least and the largest value."""
        if not self.basis.shape[1]:
            return np.full(len(values), values.mean() if len(values) else 0.0)
        # Column by column, in one fixed order of additions.
        weights = np.array([np.add.reduce(column * values) for column in self.basis.T])
        smooth = np.zeros(len(values))
        for weight, column in zip(weights, self.basis.T, strict=True):
            smooth += weight * column
        without = (smooth - self.leverage * values) / np.maximum(1 - self.leverage, 0.1)
        return np.asarray(np.clip(without, values.min(), values.max()))


@njit(cache=True, nogil=True)
def _gather(begin: np.ndarray, other: np.ndarray, scale: np.ndarray, x: np.ndarray, out: np.ndarray) -> None:
    """out[i] = scale[i] * sum of the rows x[other[j]] of the neighbours of i."""
    for i in range(begin.shape[0] - 1):
        out[i] = 0.0
        for j in range(begin[i], begin[i + 1]):
            row = other[j]
            for k in range(x.shape[1]):
                out[i, k] += x[row, k]
        for k in range(x.shape[1]):
            out[i, k] *= scale[i]


@njit(cache=True, nogil=True)
def _signs(terminals: int, width: int) -> np.ndarray:
    out = np.empty((terminals, width), np.float32)
    for i in range(terminals):
        for k in range(width):
            bit = mix64(np.uint64(i * width + k), np.uint64(0x51ED270B)) & np.uint64(1)
            out[i, k] = 1.0 if bit else -1.0
    return out


@njit(cache=True, nogil=True)
def _orthonormal(x: np.ndarray) -> np.ndarray:
    """Columns made orthonormal (modified Gram-Schmidt, twice), those that vanish zero; in one fixed order."""
    q = np.ascontiguousarray(x.T).astype(np.float64)
    n, length = q.shape
    for k in range(n):
        for _ in range(2):
            for j in range(k):
                dot = 0.0
                for i in range(length):
                    dot += q[j, i] * q[k, i]
                for i in range(length):
                    q[k, i] -= dot * q[j, i]
        norm = 0.0
        for i in range(length):
            norm += q[k, i] * q[k, i]
        norm = np.sqrt(norm)
        for i in range(length):
            q[k, i] = q[k, i] / norm if norm > 1e-9 else 0.0
    return np.ascontiguousarray(q.T)


def communities(graph: Graph, dimensions: int = _DIMENSIONS, steps: int = _STEPS) -> Communities:
    """From the destinations that 5 terminals to 5 % of them visit; of too many edges those to the most visited."""
    m = graph.terminals
    width = min(dimensions, m // _TERMINALS_EACH)
    visitors = graph.visitors()
    telling = (visitors >= _LEAST_VISITORS) & (visitors <= max(_SHARE_OF_ALL * m, 2 * _LEAST_VISITORS))
    if width < 2 or not telling.any():
        return Communities(np.zeros((m, 0)), np.zeros(m))
    chosen = np.flatnonzero(telling)
    chosen = chosen[np.argsort(-visitors[chosen], kind="stable")]
    chosen = np.sort(chosen[np.cumsum(visitors[chosen]) <= _EDGES_USED])
    number = np.full(graph.destinations, -1, np.int32)
    number[chosen] = np.arange(len(chosen), dtype=np.int32)
    to_terminal = np.r_[0, np.cumsum(visitors[chosen])]
    used = number[graph.destination] >= 0
    terminal_of = graph.visitor[used]
    place = graph.edge[used[graph.edge]]
    destination_of = number[graph.destination[place]]
    degree = np.bincount(terminal_of, minlength=m)
    to_destination = np.r_[0, np.cumsum(degree)]
    by_terminal = (1 / np.sqrt(np.maximum(degree, 1))).astype(np.float32)
    by_destination = (1 / visitors[chosen]).astype(np.float32)
    x = _signs(m, width) * by_terminal[:, None]
    between = np.empty((len(chosen), width), np.float32)
    for step in range(steps):
        _gather(to_terminal, terminal_of, by_destination, x * by_terminal[:, None], between)
        _gather(to_destination, destination_of, by_terminal, between, x)
        if step % 2 or step == steps - 1:
            x = _orthonormal(x).astype(np.float32)
    # In the span of the columns scaled back, indicators of communities are smooth.
    basis = _orthonormal(x * by_terminal[:, None])
    return Communities(basis, (basis**2).sum(axis=1))
