"""The order in which an analyst should look: the score, less what the queue already shows.

A hundred rules fire on the same host in the same minute when something happens, and a queue by score alone spends a
day's looks on one event. As in maximal marginal relevance (Carbonell, Goldstein 1998) the queue is filled greedily,
and what resembles an episode that is in it is worth less: ``SAME_RULE`` times for each one of the same signature of
the site, ``SAME_MOMENT`` times for each one on the same host that began within a minute. Scores are never changed;
only ranks are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

SAME_RULE: Final = 0.5
SAME_MOMENT: Final = 0.7
MOMENT: Final = 60_000_000_000  # ns
DEPTH: Final = 200  # places that are filled so; the others follow by score


@njit(cache=True, nogil=True)
def _greedy(
    score: np.ndarray, signature: np.ndarray, host: np.ndarray, first: np.ndarray, rule: float, moment: float,
    near: int, depth: int, out: np.ndarray, worth: np.ndarray,
) -> int:  # fmt: skip
    """Places 0, 1, ... into ``out`` (-1: not placed); ``worth`` ends as what each was worth when it was placed. Gives
    how many were placed."""
    n = score.shape[0]
    worth[:] = score
    for place in range(min(depth, n)):
        best, at = -np.inf, -1
        for i in range(n):
            if out[i] < 0 and worth[i] > best:
                best, at = worth[i], i
        if at < 0:
            return place
        out[at] = place
        for i in range(n):
            if out[i] < 0:
                if signature[i] == signature[at]:
                    worth[i] *= rule
                elif host[i] == host[at] and abs(first[i] - first[at]) <= near:
                    worth[i] *= moment
    placed: int = min(depth, n)
    return placed


def ranks(
    score: np.ndarray, signature: np.ndarray, host: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(rank from 1, worth of a look at that place) of the episodes of one site and day. ``score`` (n,) at least 0;
    ``signature``, ``host`` (n,) keys; ``first`` (n,) ns. Equal ones keep their order.

    >>> ranks(np.array([0.9, 0.8, 0.6]), np.array([1, 1, 2]), np.array([1, 2, 3]), np.array([0, 0, 0]))[0].tolist()
    [1, 3, 2]
    """
    n = len(score)
    order = np.argsort(-score, kind="stable")
    # Whoever is far behind cannot be reached by what the first places lose.
    some = np.sort(order[: 4 * DEPTH])
    placed, worth = np.full(len(some), -1, np.int64), np.empty(len(some))
    many = _greedy(
        score[some].astype(np.float64), signature[some].astype(np.uint64), host[some].astype(np.uint64),
        first[some].astype(np.int64), SAME_RULE, SAME_MOMENT, MOMENT, DEPTH, placed, worth,
    )  # fmt: skip
    rank, value = np.zeros(n, np.int64), np.zeros(n)
    value[:] = score
    value[some] = worth
    chosen = some[placed >= 0]
    rank[chosen] = placed[placed >= 0] + 1
    rest = order[rank[order] == 0]
    rest = rest[np.argsort(-value[rest], kind="stable")]
    rank[rest] = many + 1 + np.arange(len(rest))
    return rank, value
