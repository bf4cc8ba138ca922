"""How surprising a count is: tail probabilities, e-values, and the threshold that keeps the budget of alerts.

An e-value is a nonnegative statistic whose mean is at most one when nothing happens (Vovk and Wang, "E-values:
calibration, combination and applications", Ann. Stat. 49, 2021). Averages of e-values are e-values whatever
depends on what, so the scales of a port are combined by their weighted mean, and by Markov's inequality the mean
number of false alerts among K ports at a threshold C is at most K / C.

Each scale's tail probability p becomes an e-value by a calibrator (a density on [0, 1]) of which half lies evenly on
[0, t] and half as 1/p on [1e-30, 0.05]. The first half makes it decide as sharply as a test at level t, where
t is the level that the budget allows; the second grades what is beyond, and what is below for the record. Counts are
whole numbers, so on the many ports where next to nothing comes a test at level t is really one at a much lower level.
``threshold`` adds up the levels that are really attained and gives the smallest C with which the mean number of
false alerts stays in the budget; on independent predictions that is far less wasteful than K / C.

Several ports at once are judged by e-BH (Wang and Ramdas, "False discovery rate control with e-values", JRSS-B 84,
2022): the k largest are alerted if the k-th is at least C / k. It controls the false discovery rate under any
dependence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

SCALE_NAMES: Final = ("1min", "10min", "1h", "6h", "1d")
WEIGHTS: Final = np.array([0.1, 0.35, 0.2, 0.15, 0.2])
LOOKS: Final = np.array([1.0, 1.0, 1.0, 1 / 6, 1 / 6])  # how often a span each scale is judged
_LOW, _HIGH = 1e-30, 0.05
_GRADED = 0.5 / np.log(_HIGH / _LOW)
SHARP: Final = 0.5  # share of the calibrator that lies on [0, t]
LARGEST_LEVEL: Final = 5e-6  # of all scales together, however few ports there are
SMALLEST_LEVEL: Final = 1e-12
_NEGLIGIBLE = 1e-10  # of one unit


def at_least(count: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """P(X >= count) of negative binomial X with this mean and variance mean + mean^2 / shape.

    >>> bool(abs(at_least(np.array([1]), np.array([0.5]), np.array([1e9]))[0] - (1 - np.exp(-0.5))) < 1e-6)
    True
    """
    from scipy.special import betainc

    tail = betainc(np.maximum(count, 1e-9), shape, mean / (mean + shape))
    found: np.ndarray = np.where(count <= 0, 1.0, tail)
    return found


def reachable(least: int, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """An upper bound of P(X >= least): by Markov's inequality on X (X - 1) ... (X - least + 1), whose mean is known.

    >>> float(reachable(2, np.array([0.01]), np.array([1e9]))[0]) < 5.1e-5
    True
    """
    bound = np.ones(len(mean))
    for j in range(least):
        bound = bound * mean * (1 + j / shape) / (j + 1)
    return np.minimum(bound, 1.0)


def at_most(count: np.ndarray, mean: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """P(X <= count) of the same."""
    from scipy.special import betainc

    found: np.ndarray = np.where(
        count < 0, 0.0, betainc(shape, np.maximum(count, 0.0) + 1.0, shape / (mean + shape))
    )
    return found


def e_value(p: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """The calibrator of the module text; ``level`` is t.

    >>> float(e_value(np.array([1e-6]), 1e-6)[0]) > 5e5
    True
    """
    bounded = np.maximum(p, _LOW)
    graded = np.where(p <= _HIGH, _GRADED / bounded, 0.0)
    found: np.ndarray = graded + np.where(p <= level, SHARP / np.maximum(level, _LOW), 0.0)
    return found


def combine(tails: np.ndarray, threshold: float, weights: np.ndarray = WEIGHTS) -> np.ndarray:
    """e-values of units from tail probabilities (units, scales); 1 stands for a scale that was not looked at."""
    levels = SHARP * weights / threshold
    found: np.ndarray = np.sum(weights * e_value(tails, levels), axis=1)
    return found


@dataclass(frozen=True)
class Bar:
    """What an e-value must reach, and what that costs."""

    threshold: float  # C
    false_alerts: float  # mean number a span, of this direction


def bar(
    attainable: np.ndarray,
    unseen: tuple[float, int],
    budget: float,
    weights: np.ndarray = WEIGHTS,
    looks: np.ndarray = LOOKS,
    largest: float = LARGEST_LEVEL,
) -> Bar:
    """The smallest threshold that keeps to ``budget`` (mean false alerts a span).

    ``attainable`` (units, scales) is the probability that a unit's count is large enough to be looked at;
    ``unseen`` the same for ten minutes of one unit of which nothing is kept, and how many of these there are;
    ``looks``: how often a span each scale is judged anew; ``largest``: level of all scales together at most."""
    # Units that no threshold in question would limit add what they can to the mean, whatever the threshold.
    limited = attainable.max(axis=1, initial=0.0) > _NEGLIGIBLE
    rest = float((attainable[~limited] * looks).sum())
    attainable = attainable[limited]
    lowest, highest = np.log(SHARP / largest), np.log(SHARP / SMALLEST_LEVEL)

    # min(attainable, level), summed over units: those below the level as they are, the others at the level.
    columns = [np.sort(attainable[:, j][attainable[:, j] > 0.0]) for j in range(attainable.shape[1])]
    below = [np.concatenate([[0.0], np.cumsum(column)]) for column in columns]

    def cost(threshold: float) -> float:
        levels = SHARP * weights / threshold
        sums = 0.0
        for j, level in enumerate(levels.tolist()):
            k = int(np.searchsorted(columns[j], level))
            sums += float(looks[j]) * (float(below[j][k]) + (len(columns[j]) - k) * level)
        return sums + rest + unseen[1] * min(unseen[0], float(levels[1]))

    if cost(float(np.exp(lowest))) <= budget:
        threshold = float(np.exp(lowest))
        return Bar(threshold, cost(threshold))
    for _ in range(20):
        middle = (lowest + highest) / 2
        if cost(float(np.exp(middle))) <= budget:
            highest = middle
        else:
            lowest = middle
    threshold = float(np.exp(highest))
    return Bar(threshold, cost(threshold))


def discoveries(e: np.ndarray, threshold: float) -> np.ndarray:
    """e-BH: which of the units are alerted."""
    order = np.argsort(-e, kind="stable")
    enough = e[order] * np.arange(1, len(e) + 1) >= threshold
    found = np.zeros(len(e), np.bool_)
    if enough.any():
        found[order[: int(np.flatnonzero(enough)[-1]) + 1]] = True
    return found
