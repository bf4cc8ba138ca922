"""Sequentially discounting autoregressive learning, twice: ChangeFinder on many series at once.

For each point x (Takeuchi and Yamanishi, section 3 and 4; forgetting r, order 2):

    mu  = (1 - r) mu + r x
    c_k = (1 - r) c_k + r (x_t - mu)(x_{t-k} - mu)          k = 0, 1, 2
    w   from the Yule-Walker equations of c
    S   = (1 - r) S + r (x - xhat)^2                        xhat = mu + sum w_k (x_{t-k} - mu)
    score = (ln(2 pi S) + (x - xhat)^2 / S) / 2

The mean of the last 10 scores is a series of its own, learned in the same way; the mean of the last 5 scores of
that is the change score. Where the published form leaves something open: mu begins at the first point and c and S
at 0, so that nothing is random; the variance S counts as at least ``LEAST``, since a series that never moved has S
= 0 and no score; equations that are singular or nearly so (|c_1| close to c_0) are solved by the pseudo-inverse,
as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

FIRST_MEAN, SECOND_MEAN = 10, 5
LEAST: Final = (1.0, 1e-2)  # variance: of counts, one count; of mean scores
_MU, _C, _S, _X = 0, slice(1, 4), 4, slice(5, 7)
WIDTH: Final = 7  # numbers of a learner: mu, c_0, c_1, c_2, S, x_{t-1}, x_{t-2}
_FIRST = slice(0, WIDTH)
_SECOND = slice(WIDTH, 2 * WIDTH)
_SCORES = slice(2 * WIDTH, 2 * WIDTH + FIRST_MEAN)  # oldest first
_CHANGES = slice(_SCORES.stop, _SCORES.stop + SECOND_MEAN)
_MISSES = slice(_CHANGES.stop, _CHANGES.stop + FIRST_MEAN)  # x - xhat, oldest first
STATE: Final = _MISSES.stop  # numbers of a series


@dataclass(frozen=True)
class Step:
    """What a point said: change ``score``; ``expected``, the mean before it; ``ago``, how many points ago the largest
    score of the first stage was (0: now; at most 9); ``rising``: that point lay above what was predicted."""

    score: np.ndarray
    expected: np.ndarray
    ago: np.ndarray
    rising: np.ndarray


def learn(
    state: np.ndarray, seen: np.ndarray, x: np.ndarray, forgetting: float, early: bool, least: float
) -> Step:
    """Take in one point of each series; changes ``state`` (float64, (n, STATE)).

    ``seen`` (int64, n) is the number of points before this one. ``early``: forget by 1 / (points so far) while
    that is more than ``forgetting``, so that the first points are plain means. ``least`` is the least variance of
    the first stage."""
    expected = np.where(seen > 0, state[:, _MU], x)
    score, miss = _sdar(state[:, _FIRST], seen, x, forgetting, early, least)
    _push(state[:, _SCORES], score)
    _push(state[:, _MISSES], miss)
    # Until ten scores have come their mean is over those there are.
    count = np.minimum(seen + 1, FIRST_MEAN)
    mean = state[:, _SCORES].sum(axis=1) / count
    change, _ = _sdar(state[:, _SECOND], seen, mean, forgetting, early, LEAST[1])
    _push(state[:, _CHANGES], change)
    smoothed = state[:, _CHANGES].sum(axis=1) / np.minimum(seen + 1, SECOND_MEAN)
    ago = np.minimum(np.argmax(state[:, _SCORES][:, ::-1], axis=1), count - 1)
    at = FIRST_MEAN - 1 - ago
    rising = state[:, _MISSES][np.arange(len(x)), at] > 0
    return Step(smoothed, expected, ago, rising)


def _push(ring: np.ndarray, value: np.ndarray) -> None:
    ring[:, :-1] = ring[:, 1:].copy()
    ring[:, -1] = value


def _sdar(
    state: np.ndarray, seen: np.ndarray, x: np.ndarray, forgetting: float, early: bool, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """One learner's step; gives (score, x - xhat)."""
    r = np.maximum(forgetting, 1.0 / (seen + 1)) if early else np.full(len(x), forgetting)
    first = seen == 0
    state[first, _MU] = x[first]
    state[first, _X] = x[first, None]
    mu = (1 - r) * state[:, _MU] + r * x
    past = state[:, _X] - mu[:, None]
    now = x - mu
    lagged = np.column_stack([now, past])
    c = (1 - r)[:, None] * state[:, _C] + (r * now)[:, None] * lagged
    xhat = mu + np.sum(_coefficients(c) * past, axis=1)
    miss = x - xhat
    variance = (1 - r) * state[:, _S] + r * miss**2
    state[:, _MU], state[:, _C], state[:, _S] = mu, c, variance
    state[:, _X.stop - 1] = state[:, _X.start]
    state[:, _X.start] = x
    taken = np.maximum(variance, least)
    return (np.log(2 * np.pi * taken) + miss**2 / taken) / 2, miss


def _coefficients(c: np.ndarray) -> np.ndarray:
    """(n, 2) answers of [[c0, c1], [c1, c0]] w = [c1, c2], by the pseudo-inverse.

    The matrix has eigenvalues c0 + c1 and c0 - c1 for the vectors (1, 1) and (1, -1) over the root of 2; one that
    is zero but for rounding is left out."""
    plus, minus = c[:, 0] + c[:, 1], c[:, 0] - c[:, 1]
    small = 1e-12 * np.maximum(np.abs(plus), np.abs(minus))
    along = np.where(
        np.abs(plus) > small, (c[:, 1] + c[:, 2]) / np.where(np.abs(plus) > small, plus, 1.0), 0.0
    )
    across = np.where(
        np.abs(minus) > small, (c[:, 1] - c[:, 2]) / np.where(np.abs(minus) > small, minus, 1.0), 0.0
    )
    return np.column_stack([(along + across) / 2, (along - across) / 2])
