"""Edges between terminals and destinations, laid out twice: by destination and by terminal.

Both layouts are made by counting (two stable passes of a radix sort), O(edges) and without comparing. Edge e is the
e-th in order of (destination, terminal); all arrays "by edge" are in that order. Sums over a node's edges therefore
have one fixed order however the edges came in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True)
class Graph:
    """``visitor[begin[d]:begin[d + 1]]`` are the terminals of destination d, ascending; ``edge[start[u]:start[u + 1]]``
    the edges of terminal u, by destination; ``destination[e]`` the destination of edge e."""

    begin: np.ndarray  # int64, destinations + 1
    visitor: np.ndarray  # int32, edges
    destination: np.ndarray  # int32, edges
    start: np.ndarray  # int64, terminals + 1
    edge: np.ndarray  # int32, edges

    @property
    def edges(self) -> int:
        return len(self.visitor)

    @property
    def destinations(self) -> int:
        return len(self.begin) - 1

    @property
    def terminals(self) -> int:
        return len(self.start) - 1

    def visitors(self) -> np.ndarray:
        """How many terminals each destination has."""
        return np.diff(self.begin)

    def degrees(self) -> np.ndarray:
        """How many destinations each terminal has."""
        return np.diff(self.start)


@njit(cache=True, nogil=True)
def _count_sort(keys: np.ndarray, given: np.ndarray, begin: np.ndarray, order: np.ndarray) -> None:
    """``order``: the items of ``given`` in order of their keys, stable; ``begin``: where each key begins."""
    for i in range(keys.shape[0]):
        begin[keys[i] + 1] += 1
    for k in range(begin.shape[0] - 1):
        begin[k + 1] += begin[k]
    at = begin[:-1].copy()
    for i in range(given.shape[0]):
        item = given[i]
        key = keys[item]
        order[at[key]] = item
        at[key] += 1


def build(
    terminal: np.ndarray, destination: np.ndarray, terminals: int, destinations: int
) -> tuple[Graph, np.ndarray]:
    """The graph, and for each of its edges the row it came from. Pairs must not repeat; fewer than 2^31 of them.

    >>> graph, row = build(np.array([1, 0, 1]), np.array([0, 1, 1]), 2, 2)
    >>> graph.visitor.tolist(), graph.destination.tolist(), row.tolist()
    ([1, 0, 1], [0, 1, 1], [0, 1, 2])
    """
    terminal = np.ascontiguousarray(terminal, np.int32)
    destination = np.ascontiguousarray(destination, np.int32)
    for name, values, limit in (
        ("terminal", terminal, terminals),
        ("destination", destination, destinations),
    ):
        if len(values) and (values.min() < 0 or values.max() >= limit):
            raise ValueError(f"a {name} of an edge is not in 0..{limit - 1}")
    rows = np.arange(len(terminal), dtype=np.int32)
    by_terminal, row = np.empty_like(rows), np.empty_like(rows)
    start = np.zeros(terminals + 1, np.int64)
    _count_sort(terminal, rows, start, by_terminal)
    begin = np.zeros(destinations + 1, np.int64)
    _count_sort(destination, by_terminal, begin, row)
    visitor = terminal[row]
    edge = np.empty_like(rows)
    _count_sort(visitor, rows, np.zeros(terminals + 1, np.int64), edge)
    graph = Graph(begin, visitor, destination[row], start, edge)
    if len(rows) > 1:
        twice = (np.diff(graph.destination) == 0) & (np.diff(graph.visitor) == 0)
        if twice.any():
            raise ValueError("a pair of terminal and destination is given twice")
    return graph, row
