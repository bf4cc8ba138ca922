"""What a port's next count should be: a gamma-Poisson level that forgets, with overdispersion learned on the way.

A port's count in a span is Poisson about ``level * exposure``; the level is gamma distributed with shape S + A and
rate R + B, where S is the discounted sum of past counts and R that of past exposures (Harvey and Fernandes, "Time
series models for count or qualitative observations", JBES 7, 1989). The prediction is negative binomial. To the
variance that the level's uncertainty gives comes phi * mean^2, phi being learned from each port's own past
misses and shrunk to that of ports of its size.

Ports that were never seen have S = 0, so nothing is kept of them; R is common to all. Levels of three memories are
kept: ``fast`` (three hours), ``mid`` (twelve hours), ``slow`` (two days). Longer scales count from when an aligned
hour, quarter of a day or day began, against a level as it was then. All this judges a capture's first day alone;
later ``reference`` does.

``Levels`` holds one kind of count (new or active networks) of all ports. Levels and exposures are known up to a common
factor only; ``regauge`` chooses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np

from andon.sketch.state import StateError

A, B = 0.02, 1.0  # prior of a level: shape, and rate in spans
SPAN, HOUR, QUARTER, DAY = 0, 1, 2, 3  # scales
SPANS: Final = (1, 6, 36, 144)  # of ten minutes, by scale
LONGER: Final = (HOUR, QUARTER, DAY)
FAST, MID, SLOW = 0, 1, 2  # memories
_MEMORY: Final = (18, 72, 288)  # spans
_PHI_FIRST: Final = (0.1, 0.06, 0.05, 0.04)  # before anything is learned
# No port is steadier than this, however steady it was while it was learned: relative standard deviations of 5 % in ten
# minutes, 10 % in an hour or more. On busy ports, where counting alone varies little, this decides.
_PHI_LEAST: Final = (0.0025, 0.01, 0.01, 0.01)
_PHI_MOST: Final = 2.0
_OWN = 12.0  # predictions after which a port's own phi weighs as much as that of its class
_POOLED = 5.0  # predictions after which a class's phi weighs as much as the first guess
_CLASSES: Final = (0.1, 1.0, 10.0)  # of expected counts
_PHI_MEMORY: Final = (288, 96, 40, 14)  # predictions
_STRETCH = 2.5  # misses count as at most so many standard deviations: an event is no overdispersion
_FORGET = 1e-4  # a port whose level is below this is no longer kept
_WIDTHS: Final = {"level": 3, "began": 3, "total": 3, "miss": 4, "size": 4}
_SHARED: Final = ("rate", "began_rate", "exposure", "spans")


def admit_units(held: Any, arrays: Iterable[str], units: np.ndarray) -> None:
    """Make room in ``held.unit`` (ascending) and the arrays of these names for units (ascending) that are not there."""
    at = np.searchsorted(held.unit, units)
    there = at < len(held.unit)
    there[there] = held.unit[at[there]] == units[there]
    at, fresh = at[~there], units[~there]
    if len(fresh):
        held.unit = np.insert(held.unit, at, fresh)
        for name in arrays:
            setattr(held, name, np.insert(getattr(held, name), at, 0.0, axis=0))


@dataclass
class Levels:
    """Parallel float64 arrays over ``unit`` (int64, ascending), and what all units share."""

    unit: np.ndarray
    level: np.ndarray  # (units, 3): S by memory
    began: np.ndarray  # (units, 3): S when the hour, the quarter, the day began
    total: np.ndarray  # (units, 3): counts of these so far
    miss: np.ndarray  # (units, 4): discounted sums of (count - mean)^2 - mean, by scale
    size: np.ndarray  # (units, 4): of mean^2
    rate: np.ndarray = field(default_factory=lambda: np.zeros(3))  # R by memory
    began_rate: np.ndarray = field(default_factory=lambda: np.zeros(3))  # R of ``began``
    exposure: np.ndarray = field(default_factory=lambda: np.zeros(3))  # of the hour, quarter, day so far
    spans: np.ndarray = field(default_factory=lambda: np.zeros(1))  # behind ``rate[FAST]``

    @classmethod
    def empty(cls) -> Self:
        return cls(np.zeros(0, np.int64), *(np.zeros((0, width)) for width in _WIDTHS.values()))

    def copy(self) -> Levels:
        return replace(self, **{name: getattr(self, name).copy() for name in self.__dataclass_fields__})

    def admit(self, units: np.ndarray) -> None:
        """Make room for units (ascending) that are not there yet."""
        admit_units(self, _WIDTHS, units)

    def forget(self) -> None:
        """Drop units of which nothing worth keeping is known."""
        keep = self.level[:, SLOW] > _FORGET * (self.rate[SLOW] + B)
        keep |= (self.level[:, FAST] > 0.01) | (self.total[:, DAY - 1] > 0)
        for name in ("unit", *_WIDTHS):
            setattr(self, name, getattr(self, name)[keep])

    def of(self, memory: int) -> tuple[np.ndarray, np.ndarray]:
        """(mean count of a span at exposure 1, gamma shape)."""
        shape = self.level[:, memory] + A
        return shape / (self.rate[memory] + B), shape

    def so_far(self, scale: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(count, mean it should have, gamma shape) of the hour, quarter or day so far."""
        k = scale - 1
        shape = self.began[:, k] + A
        return self.total[:, k], shape / (self.began_rate[k] + B) * self.exposure[k], shape

    def phi(self, scale: int, mean: np.ndarray) -> np.ndarray:
        """Overdispersion of each unit for counts with these means."""
        which = np.searchsorted(_CLASSES, mean)
        miss = np.bincount(which, self.miss[:, scale], minlength=len(_CLASSES) + 1)
        size = np.bincount(which, self.size[:, scale], minlength=len(_CLASSES) + 1)
        first = np.bincount(which, mean**2, minlength=len(_CLASSES) + 1) * _POOLED
        pooled = np.clip(
            (_PHI_FIRST[scale] * first + miss) / (first + size + 1e-12), _PHI_LEAST[scale], _PHI_MOST
        )
        prior = _OWN * np.maximum(mean, 0.3) ** 2
        own = (prior * pooled[which] + self.miss[:, scale]) / (prior + self.size[:, scale])
        clipped: np.ndarray = np.clip(own, _PHI_LEAST[scale], _PHI_MOST)
        return clipped

    def begin(self, scale: int, memory: int) -> None:
        """A new hour, quarter or day begins: the level of this memory is what it is measured against."""
        k = scale - 1
        self.began[:, k] = self.level[:, memory]
        self.began_rate[k] = self.rate[memory]
        self.exposure[k] = 0.0
        self.total[:, k] = 0.0

    def regauge(self) -> None:
        """Choose the common factor so that exposure was one of late."""
        if self.rate[FAST] > 0:
            factor = self.rate[FAST] / self.spans[0]
            for shared in (self.rate, self.began_rate, self.exposure):
                shared /= factor

    def take(self, count: np.ndarray, held: np.ndarray, exposure: float) -> None:
        """Enter a span: its counts, and the counts that the levels are to learn (surprises held back)."""
        keep = 1 - 1 / np.array(_MEMORY)
        self.level = self.level * keep + held[:, None]
        self.rate = self.rate * keep + exposure
        self.spans = self.spans * keep[FAST] + 1.0
        self.total += count[:, None]
        self.exposure += exposure

    def learn(self, scale: int, count: np.ndarray, mean: np.ndarray, trusted: np.ndarray) -> None:
        """Learn overdispersion from a prediction that has come to its end; only of ``trusted`` units."""
        keep = 1 - 1 / _PHI_MEMORY[scale]
        phi = self.phi(scale, mean)
        most = _STRETCH * np.sqrt(mean + phi * mean**2) + 1
        miss = np.clip(count - mean, -most, most) ** 2 - mean
        self.miss[:, scale] = np.where(trusted, self.miss[:, scale] * keep + miss, self.miss[:, scale])
        self.size[:, scale] = np.where(trusted, self.size[:, scale] * keep + mean**2, self.size[:, scale])

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        return {f"{prefix}.{name}": getattr(self, name) for name in ("unit", *_WIDTHS, *_SHARED)}

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], prefix: str) -> Self:
        """From what ``arrays`` gave. Raises StateError."""
        try:
            levels = cls(*(arrays[f"{prefix}.{name}"] for name in ("unit", *_WIDTHS, *_SHARED)))
        except KeyError as error:
            raise StateError(f"damaged levels: no {error}") from error
        fresh = cls.empty()
        for name, width in _WIDTHS.items():
            if getattr(levels, name).shape != (len(levels.unit), width):
                raise StateError(f"damaged levels: {name} has the wrong shape")
        for name in _SHARED:
            if getattr(levels, name).shape != getattr(fresh, name).shape:
                raise StateError(f"damaged levels: {name} has the wrong shape")
        return levels


def common_factor(unit: np.ndarray, count: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
    """By how much all ports together are above or below their levels in this span, and the relative variance of that.

    A sensor's outage, a block's, the hour of the day and the day of the week move all ports alike; one port's event
    moves one port. Ports with a mean of at least five stand for themselves, the others by sixteen groups; their
    ratios' weighted median gives a first value, the sum over those that agree with it (3.5 standard deviations) the
    second. (nan, inf) if too little is expected to tell.
    """
    large = mean >= 5.0
    group = np.where(large, 16 + np.cumsum(large) - 1, unit * 2654435761 % 4294967296 >> 28)
    total = np.bincount(group, count, minlength=16)
    expected = np.bincount(group, mean, minlength=16)
    used = expected >= 1.0
    if not used.any() or expected[used].sum() < 20:
        return float("nan"), float("inf")
    total, expected = total[used], expected[used]
    ratio = total / expected
    order = np.argsort(ratio, kind="stable")
    weight = np.minimum(expected, max(expected.sum() / 8, 1.0))[order]
    middle = float(ratio[order][np.searchsorted(np.cumsum(weight), weight.sum() / 2)])
    about = max(middle, 0.02) * expected
    agrees = np.abs(total - about) <= 3.5 * np.sqrt(about + 0.01 * about**2) + 1
    if not agrees.any():
        return middle, 0.05
    kept = float(expected[agrees].sum())
    value = float(total[agrees].sum()) / kept
    return value, 1 / max(value * kept, 1.0) + 1e-4
