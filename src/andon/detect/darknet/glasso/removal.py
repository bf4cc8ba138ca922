"""Which of the last densities stand out: remove the largest while that lessens the variance enough.

The published rule: of the last 432 densities take the largest away while the variance after is at most theta =
0.98 of the variance before (population variances); those taken away are alerts. With n densities before, taking
away one that lies d standard deviations above the mean leaves ``n / (n - 1) * (1 - d^2 / (n - 1))`` of the
variance, so theta is a distance in disguise: 0.98 of 432 is 3.10 standard deviations. That is how the rule is
applied to fewer than 432 here: at equal distance. And it gives a score: the distance at which the newest density
would just have been an alert.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

PUBLISHED_LENGTH: Final = 432  # densities that theta refers to: three days of ten minutes


@dataclass(frozen=True)
class Removal:
    """``removed``: how many of the largest are alerts. ``newest``: whether the last one of the series is among
    them. ``score``: largest distance (standard deviations) at which it would be; 0.0 if at none."""

    removed: int
    newest: bool
    score: float


def distance_of(theta: float, n: int = PUBLISHED_LENGTH) -> float:
    """Distance in standard deviations that ``theta`` stands for with ``n`` densities; 0 if below.

    >>> round(distance_of(0.98), 2)
    3.1
    """
    return math.sqrt(max((n - 1) * (1 - theta * (n - 1) / n), 0.0))


def theta_at(distance: float, n: int) -> float:
    """The other way round; not below 0, where nothing can be removed."""
    return max(n / (n - 1) * (1 - distance**2 / (n - 1)), 0.0)


def remove(densities: np.ndarray, theta: float) -> Removal:
    """Apply the rule to densities (float64, oldest first, at least three); of equal ones the oldest goes first."""
    n = len(densities)
    middle = float(densities.mean())
    ordered = np.sort(densities - middle)  # the prefix sums keep their digits near zero
    sizes = np.arange(1, n + 1)
    mean = np.cumsum(ordered) / sizes
    variance = np.maximum(np.cumsum(ordered**2) / sizes - mean**2, 0.0)
    # Ratio of the k-th removal, k from 0; a variance that is zero but for rounding cannot be lessened.
    before, after = variance[:1:-1], variance[-2:0:-1]
    able = before > 1e-12 * max(float(np.max(np.abs(densities))), 1e-300) ** 2
    ratio = np.where(able, after / np.where(able, before, 1.0), np.inf)
    needed = np.maximum.accumulate(ratio)
    removed = int(np.count_nonzero(needed <= theta))
    place = int(np.count_nonzero(densities >= densities[-1])) - 1
    at = float(needed[place]) if place < len(needed) else math.inf
    return Removal(removed, place < removed, distance_of(at, n) if math.isfinite(at) else 0.0)
