"""What a port should bring now, from before: its day as it was more than a day ago, and how it stood against that day
just before the time in question.

A level that follows its port learns whatever grows slowly enough. So the mean of a stretch of time is made of two
things that the stretch itself has no part in. *The day*: counts by hour of day, older than 24 hours, days weighted
with 0.4 to 0.6 for the newest, smoothed over neighbouring hours and shrunk to an even day (gamma, weight 16: hours
of most ports differ by a quarter). *The ratio*: what came in the hours before the stretch, against what the day
lets expect of them. All ports together (``common_ratio``) say what moves all alike, anew for each stretch, so no
error of this adds up over days.

The stretches slide: ten minutes, and the hour so far with some whole hours before it. A day of new networks has no
ratio; it is held against the days before as they were. Counts are negative binomial about the mean: to the doubt
about day and ratio comes phi, the squared relative standard deviation that neither explains. It is learned from each
port's own misses, each at most 1.5 standard deviations, and is at most twice that of ports of its size: an anomaly that
grows over a day would else pass for a port that sways. A baseline frozen where the anomaly may have begun is that of
CUSUM (Page, "Continuous inspection schemes", Biometrika 41, 1954); the beginnings looked at are those of the stretches.

For stops the mean is the lower one of this and of what came in the three hours before: what began only a day ago has a
day with an edge in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np

from andon.detect.darknet.synchrony.baseline import admit_units
from andon.detect.darknet.synchrony.kernel import UNITS
from andon.sketch.state import StateError

HOURS: Final = 24
SCALES: Final = 4
_A = 0.02  # least shape of a level before anything is known of its port
_QUIET, _ALIKE = (
    20.0,
    10.0,
)  # networks of a port that says what quiet ports are like; largest shape they can have
_EVEN = 16.0  # weight, in networks, of an even day
_NEWEST: Final = (1.0, 0.6, 0.5, 0.4)  # weight of the newest day among one, two, three, more
_DAYS_WORTH: Final = (0.0, 1.0, 1.9, 2.6, 3.5)  # days of counts behind such a mean
_SEEN = 0.3  # of what an hour should have brought: with less its counts are no part of the day
_KEPT = 1.0  # networks in what is remembered of a unit, below which it is dropped
_CLASSES: Final = (0.1, 1.0, 10.0, 100.0)  # of expected counts
_OWN, _POOLED = 12.0, 5.0  # as in ``baseline``
_MOST_OVER_POOL = 2.0
_STRETCH = 1.5
_SHIFT = (
    0.05  # squared relative standard deviation of a port's share per squared logarithm of the common ratio
)
_BUSY, _FEW = 5.0, 5  # networks expected of a port that says what is common; so many of them are enough
_PHI_MOST = 2.0


@dataclass(frozen=True)
class Spec:
    """What is looked at: whole hours of each stretch with the hour so far as the last (the first is of ten minutes),
    hours before it that say how the port stands, and their weight against the day, in networks."""

    name: tuple[str, ...]
    hours: tuple[int, ...]
    before: tuple[int, ...]
    even: float
    stop: bool
    first: tuple[float, ...]  # phi before anything is learned
    least: tuple[float, ...]  # no port is steadier
    memory: tuple[int, ...] = (288, 96, 96, 120)  # predictions


STARTS: Final = Spec(
    ("10min", "2h", "6h", "1d"), (1, 2, 6, 24), (12, 12, 18, 0), 25.0, False, (0.02, 0.02, 0.03, 0.04),
    (0.0025, 0.005, 0.007, 0.01),
)  # fmt: skip
STOPS: Final = Spec(
    ("10min", "1h", "2h", "6h"), (1, 1, 2, 6), (3, 3, 3, 3), 0.0, True, (0.02, 0.02, 0.03, 0.04),
    (0.0025, 0.005, 0.007, 0.01),
)  # fmt: skip
_WIDTHS: Final = {
    "ring": HOURS, "past": HOURS, "miss": SCALES, "size": SCALES, "full": SCALES, "due": SCALES, "ratio": SCALES,
    "doubt": SCALES, "plain": SCALES, "phi": SCALES, "now": 1, "stay": 4,
}  # fmt: skip
_SHARED: Final = {
    "commons": HOURS, "days": HOURS, "pool": SCALES * (len(_CLASSES) + 1), "clock": 4, "kept": 2,
}  # fmt: skip
_LATER: Final = frozenset({"kept"})  # not in states of version 2


@dataclass(frozen=True)
class Expected:
    """Of some units at one scale, float64: networks that came, mean of what should have, its squared relative standard
    deviation beyond Poisson; and the common ratio."""

    count: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    common: float


@dataclass
class Reference:
    """Parallel float32 arrays over ``unit`` (int64, ascending), and what all units share."""

    unit: np.ndarray
    ring: np.ndarray  # (units, 24): counts of the last 24 whole hours, by hour of day
    past: np.ndarray  # (units, 24): counts of ten minutes at a common ratio of one, older than that
    miss: np.ndarray  # (units, 4): discounted sums of what squared misses leave for phi
    size: np.ndarray  # (units, 4): of mean^2
    # Of the hour in progress, by scale: counts of the whole hours of the stretch, what the day lets expect of them,
    # ratio, its and the day's squared relative standard deviation, counts of an hour before the stretch, phi
    full: np.ndarray
    due: np.ndarray
    ratio: np.ndarray
    doubt: np.ndarray
    plain: np.ndarray
    phi: np.ndarray
    now: np.ndarray  # (units, 1): what the day lets expect of ten minutes now
    # (units, 4): discounted sums of regulars that came again, of regulars, and for their phi, see ``regulars``
    stay: np.ndarray
    commons: np.ndarray = field(default_factory=lambda: np.zeros(HOURS))  # of the hours of ``ring``
    days: np.ndarray = field(default_factory=lambda: np.zeros(HOURS))  # in ``past``
    pool: np.ndarray = field(default_factory=lambda: np.zeros(SCALES * (len(_CLASSES) + 1)))
    # First hour, the one in progress, its threshold of e-values (-1: not yet known) and what that costs.
    clock: np.ndarray = field(default_factory=lambda: np.full(4, -1.0))
    # Discounted sums of how often a tail probability fell below a level, and of how often it was to, see ``stretches``
    kept: np.ndarray = field(default_factory=lambda: np.zeros(2))

    @classmethod
    def empty(cls) -> Self:
        return cls(np.zeros(0, np.int64), *(np.zeros((0, width), np.float32) for width in _WIDTHS.values()))

    def copy(self) -> Reference:
        """For a conclusion to change. All but these two are replaced, never written into."""
        return replace(self, miss=self.miss.copy(), size=self.size.copy())

    @property
    def ready(self) -> bool:
        """Whether there is a day before to be held against."""
        return bool(self.clock[0] >= 0 and self.clock[1] - self.clock[0] >= HOURS)

    def turn(self, units: np.ndarray, counts: np.ndarray, spans: int, hour: int, spec: Spec) -> None:
        """``hour`` (number since 1970) begins. ``units`` (ascending), ``counts``: those of the hour that has ended, of
        which ``spans`` were seen."""
        last = int(self.clock[1])
        if last < 0:
            self.clock = np.array([hour, hour, -1.0, 0.0])
            return
        admit_units(self, _WIDTHS, units[counts > 0])
        entered = np.zeros(len(self.unit), np.float32)
        mine = counts > 0
        entered[np.searchsorted(self.unit, units[mine])] = counts[mine]
        common = spans / 6
        if self.ready:
            of_all, _ = common_ratio(entered.astype(float), 6.0 * self.now[:, 0].astype(float))
            common = of_all if np.isfinite(of_all) else common
        self.ring, self.past = self.ring.copy(), self.past.copy()
        self.commons, self.days = self.commons.copy(), self.days.copy()
        self._enter(last, entered, common)
        for g in range(max(last + 1, hour - 2 * HOURS), hour + 1):
            self._fold(g % HOURS)
            if g < hour:
                self._enter(g, np.zeros(len(self.unit), np.float32), 0.0)
        self.clock = np.array([self.clock[0], hour, -1.0, 0.0])
        self._forget()
        if self.ready:
            self._plan(hour, spec)

    def _enter(self, hour: int, counts: np.ndarray, common: float) -> None:
        self.ring[:, hour % HOURS] = counts
        self.commons[hour % HOURS] = common

    def _fold(self, k: int) -> None:
        """The hour of a day ago is now part of the past."""
        common = self.commons[k]
        if common >= _SEEN:
            weight = _NEWEST[min(int(self.days[k]), len(_NEWEST) - 1)]
            now = self.ring[:, k] / np.float32(6 * common)
            self.past[:, k] = (1 - weight) * self.past[:, k] + weight * now
            self.days[k] += 1

    def _forget(self) -> None:
        keep = self.ring.sum(axis=1) + 6 * self.past.sum(axis=1) >= _KEPT
        for name in ("unit", *_WIDTHS):
            setattr(self, name, getattr(self, name)[keep])

    def _day(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(counts of ten minutes by hour of day, squared relative standard deviation of the day's mean, and of an hour
        against that)."""
        known = self.days > 0
        worth = np.array(_DAYS_WORTH)[np.minimum(self.days, len(_DAYS_WORTH) - 1).astype(int)]
        days = float(worth.mean()) if known.all() else 1.0
        past = self.past.astype(np.float64)
        for k in np.flatnonzero(~known).tolist():
            if self.commons[k] >= _SEEN:
                past[:, k] = self.ring[:, k] / (6 * self.commons[k])
            elif known.any():
                past[:, k] = self.past[:, known].mean(axis=1)
        mean = past.mean(axis=1)
        behind = 6 * HOURS * days * mean
        a, b = self._prior(behind, 6 * HOURS * days)
        level = (behind + a) / (6 * HOURS * days + b)
        smooth = (np.roll(past, 1, axis=1) + 2 * past + np.roll(past, -1, axis=1)) / 4
        weight = 6 * days * 8 / 3  # ten-minute counts behind a smoothed hour
        shape = (weight * smooth + _EVEN) / (weight * mean + _EVEN)[:, None]
        return shape * level[:, None], 1 / (behind + a), 0.5 / (weight * mean + _EVEN)

    @staticmethod
    def _prior(behind: np.ndarray, exposure: float) -> tuple[float, float]:
        """Shape and exposure (spans) of the gamma prior of a level, by the moments of the counts of quiet ports, those
        included of which nothing is kept (empirical Bayes, Robbins 1956). On a large telescope every port has a source
        or two a day, and one that had none yesterday is no stranger to them; on a small one most have none ever, and
        then the least shape holds."""
        quiet = behind[behind < _QUIET]
        number = max(len(quiet) + UNITS - len(behind), 1)
        mean = float(quiet.sum()) / number
        above = float((quiet**2).sum()) / number - mean**2 - mean
        shape = min(mean**2 / above, _ALIKE) if above > 0 else _ALIKE
        return (shape, shape * exposure / mean) if mean > 0 and shape > _A else (_A, 1.0)

    def _plan(self, hour: int, spec: Spec) -> None:
        """What holds throughout an hour."""
        day, of_level, of_hour = self._day()
        # A ratio without a weight against the day has taken the day's level out.
        doubt = of_hour + (of_level if spec.even else 0.0)
        n = len(self.unit)
        made = {name: np.zeros((n, SCALES)) for name in ("full", "due", "ratio", "doubt", "plain", "phi")}
        ring = self.ring.astype(np.float64)
        now = day[:, hour % HOURS]
        for j, (hours, before) in enumerate(zip(spec.hours, spec.before, strict=True)):
            first = hour - hours + 1
            inside = np.arange(first, hour) % HOURS
            made["full"][:, j] = ring[:, inside].sum(axis=1)
            made["due"][:, j] = 6 * day[:, inside].sum(axis=1)
            earlier = np.arange(max(hour - HOURS + 1, first - before), first) % HOURS
            came = ring[:, earlier].sum(axis=1)
            should = 6 * day[:, earlier] @ self.commons[earlier]
            if len(earlier):
                made["ratio"][:, j] = (came + spec.even) / np.maximum(should + spec.even, 1e-9)
                made["doubt"][:, j] = doubt + 1 / (came + max(spec.even, 1.0))
                made["plain"][:, j] = came / max(float(self.commons[earlier].sum()), 0.1)
            else:
                made["ratio"][:, j] = 1.0
                made["doubt"][:, j] = doubt
            spans = 1 if j == 0 else 6
            mean = self._mean(
                spec, j, spans, now, made["due"][:, j], made["ratio"][:, j], made["plain"][:, j]
            )
            made["phi"][:, j] = self._phi(spec, j, mean)
        for name, values in made.items():
            setattr(self, name, values.astype(np.float32))
        self.now = now.astype(np.float32)[:, None]

    def _mean(
        self,
        spec: Spec,
        j: int,
        spans: int,
        now: np.ndarray,
        due: np.ndarray,
        ratio: np.ndarray,
        plain: np.ndarray,
    ) -> np.ndarray:
        mean = ratio * (due + spans * now)
        if spec.stop:
            mean = np.minimum(mean, plain * (spec.hours[j] - 1 + spans / 6))
        found: np.ndarray = np.maximum(mean, 1e-9)
        return found

    def _phi(self, spec: Spec, j: int, mean: np.ndarray) -> np.ndarray:
        which = np.searchsorted(_CLASSES, mean)
        classes = len(_CLASSES) + 1
        miss, size = (np.bincount(which, x[:, j], minlength=classes) for x in (self.miss, self.size))
        first = np.bincount(which, mean**2, minlength=classes) * _POOLED
        pooled = np.clip((spec.first[j] * first + miss) / (first + size + 1e-12), spec.least[j], _PHI_MOST)
        self.pool = self.pool.copy()
        self.pool.reshape(SCALES, -1)[j] = np.where(first > 0, pooled, spec.first[j])
        prior = _OWN * np.maximum(mean, 0.3) ** 2
        own = (prior * pooled[which] + self.miss[:, j]) / (prior + self.size[:, j])
        found: np.ndarray = np.clip(
            own, spec.least[j], np.minimum(_MOST_OVER_POOL * pooled[which], _PHI_MOST)
        )
        return found

    def expect(self, spec: Spec, j: int, span: int, counts: np.ndarray, so_far: np.ndarray) -> Expected:
        """Of all units at scale ``j``: ``counts`` of the span and of the hour so far are in their order."""
        spans = 1 if j == 0 else span % 6 + 1
        count = counts if j == 0 else so_far + self.full[:, j]
        mean = self._mean(
            spec, j, spans, self.now[:, 0].astype(np.float64), self.due[:, j], self.ratio[:, j], self.plain[:, j]
        )  # fmt: skip
        common, doubt = common_ratio(count, mean)
        if not np.isfinite(common):
            common, doubt = 1.0, 1.0
        if spec.hours[j] < HOURS:
            doubt += _SHIFT * float(np.log(max(common, 0.02))) ** 2
        spread = self.doubt[:, j].astype(np.float64) + self.phi[:, j] + doubt
        return Expected(count, np.maximum(mean * common, 1e-9), spread, common)

    def unknown(self, spec: Spec, j: int, span: int, common: float) -> tuple[float, float]:
        """(mean, squared relative standard deviation) of a unit of which nothing is kept."""
        spans = 1 if j == 0 else 6 * (spec.hours[j] - 1) + span % 6 + 1
        worth = np.array(_DAYS_WORTH)[np.minimum(self.days, len(_DAYS_WORTH) - 1).astype(int)]
        days = float(worth.mean()) if self.days.all() else 1.0
        phi = float(self.pool.reshape(SCALES, -1)[j, 0])
        behind = 6 * HOURS * days * self.past.mean(axis=1, dtype=np.float64)
        a, b = self._prior(behind, 6 * HOURS * days)
        return common * spans * a / (6 * HOURS * days + b), 1 / a + 0.5 / _EVEN + phi

    def learn(self, spec: Spec, j: int, given: Expected, trusted: np.ndarray) -> None:
        """Learn phi of ``trusted`` units (bool) from a prediction that has come to its end."""
        rows = np.flatnonzero(trusted & (given.mean > 0.05))
        count, mean, spread = (x[rows] for x in (given.count, given.mean, given.spread))
        keep = 1 - 1 / spec.memory[j]
        explained = np.maximum(spread - self.phi[rows, j], 0.0)
        most = _STRETCH * np.sqrt(mean + spread * mean**2) + 1
        miss = np.clip(count - mean, -most, most) ** 2 - mean - explained * mean**2
        self.miss[rows, j] = self.miss[rows, j] * keep + miss
        self.size[rows, j] = self.size[rows, j] * keep + mean**2

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """For a state, which knows no 32-bit floats: theirs are written as the whole numbers of the same bits."""
        found = {f"{prefix}.{name}": getattr(self, name) for name in ("unit", *_SHARED)}
        return found | {
            f"{prefix}.{name}": np.ascontiguousarray(getattr(self, name)).view(np.uint32) for name in _WIDTHS
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], prefix: str) -> Self:
        """From what ``arrays`` gave. Raises StateError."""
        try:
            made = cls(
                arrays[f"{prefix}.unit"],
                *(arrays[f"{prefix}.{name}"].view(np.float32) for name in _WIDTHS),
                **{
                    name: arrays[f"{prefix}.{name}"]
                    for name in _SHARED
                    if name not in _LATER or f"{prefix}.{name}" in arrays
                },
            )
        except KeyError as error:
            raise StateError(f"damaged reference: no {error}") from error
        except ValueError as error:
            raise StateError(f"damaged reference: {error}") from error
        for name, width in _WIDTHS.items():
            if getattr(made, name).shape != (len(made.unit), width):
                raise StateError(f"damaged reference: {name} has the wrong shape")
        for name, width in _SHARED.items():
            if getattr(made, name).shape != (width,):
                raise StateError(f"damaged reference: {name} has the wrong shape")
        return made


def common_ratio(count: np.ndarray, mean: np.ndarray) -> tuple[float, float]:
    """By how much all units together are above or below their means, and the squared relative standard deviation of
    that: weighted median of busy units' ratios, then the sums of those that agree with it. (nan, inf) if too little is
    expected to tell."""
    busy = mean >= _BUSY
    if busy.sum() < _FEW:
        busy = mean >= 1.0
    if mean[busy].sum() < 20:
        total = float(mean.sum())
        return (
            (float(count.sum()) / total, 1 / max(float(count.sum()), 1.0)) if total > 5 else (np.nan, np.inf)
        )
    count, mean = count[busy], mean[busy]
    ratio = count / mean
    order = np.argsort(ratio, kind="stable")
    weight = np.cumsum(np.minimum(mean, max(mean.sum() / 8, 1.0))[order])
    about = max(float(ratio[order][np.searchsorted(weight, weight[-1] / 2)]), 0.02) * mean
    agrees = np.abs(count - about) <= 3.5 * np.sqrt(about + 0.02 * about**2) + 1
    if not agrees.any():
        return float(about[0] / mean[0]), 0.05
    kept = float(count[agrees].sum())
    return kept / float(mean[agrees].sum()), 1 / max(kept, 1.0) + 0.02 / int(agrees.sum())
