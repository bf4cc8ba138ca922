"""Families that are none of their own: doubles, unions of two, and neighbours behind the same address."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from andon.detect.darknet.portsets.starts import SAME

_LEAST_DUE = 0.6
_BUSY, _MOST_FOREIGN = 0.02, 0.1
_TIMES = 4.0


def odd_ports(weights: np.ndarray, sources: np.ndarray, due: np.ndarray) -> np.ndarray:
    """Foreign ports, (families, ports): few of the sources scan them, and these often. ``sources`` that have each
    port, and those that are ``due`` by its weight."""
    odd: np.ndarray = (weights > 0) & (sources < _LEAST_DUE * due)
    return odd


def join(weights: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Families of one set with nearly the same weights become one."""
    of_set: dict[bytes, list[int]] = {}
    for a, held in enumerate(weights > 0):
        of_set.setdefault(held.tobytes(), []).append(a)
    for a, b in sorted(pair for same in of_set.values() for pair in combinations(same, 2)):
        if np.abs(weights[a] - weights[b]).sum() / 2 < SAME:
            of_a, of_b = size[a].sum(), size[b].sum()
            weights[a] = (weights[a] * of_a + weights[b] * of_b) / (of_a + of_b)
            size[a] = size[a] + size[b]
            return np.delete(weights, b, 0), np.delete(size, b, 0), True
    return weights, size, False


def foreign(weights: np.ndarray, size: np.ndarray, popularity: np.ndarray) -> int:
    """A family that is another one with a busy port of a neighbour behind the same address, or two larger ones in one
    host; -1 if there is none."""
    held = weights > 0
    many = held.sum(axis=1)
    # Of a and b: the ports of a that b does not have, counted in numbers that floats hold exactly.
    within = (held.astype(float) @ (~held).astype(float).T == 0) & (many[:, None] < many)
    order: list[int] = np.argsort(size, kind="stable").tolist()
    for b in order:
        inside: list[int] = np.flatnonzero(within[:, b]).tolist()
        for a in inside:
            more = held[b] & ~held[a]
            if more.sum() == 1 and popularity[more][0] >= _BUSY and weights[b][more][0] <= _MOST_FOREIGN:
                rest = np.where(held[a], weights[b], 0.0)
                if np.abs(rest / rest.sum() - weights[a]).sum() / 2 < SAME:
                    return b
        large = [a for a in inside if size[a] >= _TIMES * size[b]]
        if any(np.array_equal(held[a] | held[c], held[b]) for a in large for c in large if a < c):
            return b
    return -1
