"""Personalised PageRank from seeds by local pushes: what is near, in which order, without touching the rest.

The push of Andersen, Chung, Lang (Local Graph Partitioning using PageRank Vectors, FOCS 2006, section 3), on ties
weighted
by how much they say (tie x value of both ends), so that hubs neither receive nor pass on anything. Work is at most
1 / (epsilon * alpha) pushes, and never more than ``most``. With the sweep of the same paper (section 4: the prefix of
nodes, by score over volume, of least conductance) it is also one of the benchmark's baselines.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def push(
    ptr: np.ndarray,
    other: np.ndarray,
    weight: np.ndarray,
    volume: np.ndarray,
    seeds: np.ndarray,
    alpha: float,
    epsilon: float,
    most: int,
) -> tuple[np.ndarray, np.ndarray, int]:
    """(entities reached, their scores, pushes). ``volume``: float64 sum of the weights at each entity; scores sum to
    at most
    one."""
    n = ptr.shape[0] - 1
    score, rest = np.zeros(n), np.zeros(n)
    waiting = np.zeros(n, np.bool_)
    queue = np.empty(max(most, 1) + seeds.shape[0] + 1, np.int64)
    seen = np.empty(n, np.int64)
    known = np.zeros(n, np.bool_)
    head, tail, reached, pushes = 0, 0, 0, 0
    for s in seeds:
        rest[s] += 1.0 / seeds.shape[0]
        if not waiting[s]:
            waiting[s], queue[tail] = True, s
            tail += 1
        if not known[s]:
            known[s], seen[reached] = True, s
            reached += 1
    while head < tail and pushes < most:
        u = queue[head]
        head += 1
        waiting[u] = False
        mass = rest[u]
        if volume[u] <= 0.0:
            score[u] += mass
            rest[u] = 0.0
            continue
        if mass < epsilon * volume[u]:
            continue
        pushes += 1
        score[u] += alpha * mass
        rest[u] = 0.0
        for i in range(ptr[u], ptr[u + 1]):
            if weight[i] <= 0.0:
                continue
            v = other[i]
            rest[v] += (1.0 - alpha) * mass * weight[i] / volume[u]
            if not known[v]:
                known[v], seen[reached] = True, v
                reached += 1
            if not waiting[v] and rest[v] >= epsilon * volume[v] and tail < queue.shape[0]:
                waiting[v], queue[tail] = True, v
                tail += 1
    out = np.empty(reached)
    for i in range(reached):
        out[i] = score[seen[i]] + alpha * rest[seen[i]]
    return seen[:reached].copy(), out, pushes


@njit(cache=True, nogil=True)
def sweep(
    ptr: np.ndarray,
    other: np.ndarray,
    weight: np.ndarray,
    volume: np.ndarray,
    order: np.ndarray,
    total: float,
) -> tuple[int, float]:
    """(length of the prefix of ``order`` with the least conductance, that conductance)."""
    inside = np.zeros(volume.shape[0], np.bool_)
    held, cut, best, at = 0.0, 0.0, 2.0, 0
    for k in range(order.shape[0]):
        u = order[k]
        inside[u] = True
        held += volume[u]
        for i in range(ptr[u], ptr[u + 1]):
            cut += -weight[i] if inside[other[i]] else weight[i]
        small = min(held, total - held)
        if small > 0.0 and cut / small < best:
            best, at = cut / small, k + 1
    return at, best
