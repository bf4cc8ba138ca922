"""One span against the reference: sliding stretches of ten minutes to a day, starts and stops (see ``reference``)."""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.detect.darknet.synchrony import regulars, surprise
from andon.detect.darknet.synchrony.baseline import Levels
from andon.detect.darknet.synchrony.groups import Counted, distinct, networks_of
from andon.detect.darknet.synchrony.judge import (
    LARGEST_SHARE_LEFT,
    LEAST_LOST,
    NORMAL,
    RECOUNTED,
    Judged,
    align,
    conclude,
)
from andon.detect.darknet.synchrony.kernel import UNITS
from andon.detect.darknet.synchrony.memory import Memory
from andon.detect.darknet.synchrony.reference import SCALES, STARTS, STOPS, Expected, Reference, Spec

LARGEST_START: Final = 2e-6  # level of all scales together, however few ports there are
LARGEST_STOP: Final = 1e-5
# Stretches slide, and one that shares most of its time with the one before is hardly another look.
_LOOKS: Final = np.array([1.0, 1.0, 1 / 3, 1 / 9, 1 / 36])
_STOP_LOOKS: Final = np.array([1 / 6, 1.0, 1 / 3, 1 / 3, 1 / 9])
_STOP_CHECKS: Final = np.array([1.0, *_STOP_LOOKS[1:]])  # regulars are judged at the end of an hour alone
# Part of what the sum of levels promises that is seen on simulated telescopes (starts, 0.3 at a /24 and 0.45 at a /20):
# counts are whole numbers, and doubt about the day is the same from hour to hour. Where more is seen of a level that is
# passed often, more is reckoned with: the telescope at hand may keep its predictions worse than simulated ones.
_ATTAINED: Final = 0.4
_MOST_ATTAINED: Final = 16.0
_CHECKED: Final = 1e-3  # the level that is passed often: by chance far more than by what happens
_KEEP: Final = 1 - 1 / 72  # an hour
_PRIOR: Final = 30.0  # passes behind ``_ATTAINED``
LEAST: Final = (
    4,
    5,
    6,
    7,
    8,
)  # new networks: fewer are not looked at, by scale (1 and 10 min, 2 h, 6 h, 1 d)
STOP_WEIGHTS: Final = np.array([0.25, 0.2, 0.2, 0.15, 0.2])
START_WEIGHTS: Final = np.array([0.05, 0.3, 0.2, 0.25, 0.2])
LEAST_SILENT: Final = 8  # networks that fell silent: fewer are no stop
_MORE = 1.3  # a stretch of hours that brings less than so much more than its due is never news
_MINUTE_PHI = 0.05


def _at(ref: Reference, units: np.ndarray) -> np.ndarray:
    """Places of units (ascending) in ``ref``, -1 where nothing is kept of them."""
    at = np.minimum(np.searchsorted(ref.unit, units), max(len(ref.unit) - 1, 0))
    if not len(ref.unit):
        return np.full(len(units), -1)
    found: np.ndarray = np.where(ref.unit[at] == units, at, -1)
    return found


def _expected(
    spec: Spec, ref: Reference, levels: Levels, counts: np.ndarray, span: int
) -> tuple[np.ndarray, list[Expected], list[Expected]]:
    """Places of the levels' units in ``ref``, and by scale what is expected of those of ``ref`` and of all."""
    at = _at(ref, levels.unit)
    kept = np.flatnonzero(at >= 0)
    of_span, so_far = np.zeros(len(ref.unit)), np.zeros(len(ref.unit))
    of_span[at[kept]], so_far[at[kept]] = counts[kept], levels.total[kept, 0]
    inner, outer = [], []
    for j in range(SCALES):
        given = ref.expect(spec, j, span, of_span, so_far)
        mean, spread = ref.unknown(spec, j, span, given.common)
        count = (counts if j == 0 else levels.total[:, 0]).astype(np.float64)
        every = Expected(count.copy(), np.full(len(at), mean), np.full(len(at), spread), given.common)
        every.count[kept], every.mean[kept], every.spread[kept] = (
            x[at[kept]] for x in (given.count, given.mean, given.spread)
        )
        inner.append(given)
        outer.append(every)
    return at, inner, outer


def _learn(
    spec: Spec, ref: Reference, given: list[Expected], span: int, held_back: np.ndarray, at: np.ndarray
) -> None:
    trusted = np.ones(len(ref.unit), np.bool_)
    trusted[at[held_back & (at >= 0)]] = False
    for j in range(SCALES):
        if (j == 0 or span % 6 == 5) and NORMAL[0] < given[j].common < NORMAL[1]:
            ref.learn(spec, j, given[j], trusted)


def _begins(spec: Spec, span: int) -> tuple[int, ...]:
    return (span, span, *((span // 6 - hours + 1) * 6 for hours in spec.hours[1:]))


def _bar(
    ref: Reference,
    reachable: np.ndarray,
    unseen: tuple[float, int],
    budget: float,
    weights: np.ndarray,
    looks: np.ndarray,
    largest: float,
) -> surprise.Bar:
    """The threshold of an hour: it is found once."""
    if ref.clock[2] < 0:
        promised = float((np.minimum(reachable, _CHECKED) * looks).sum()) + unseen[1] * min(
            unseen[0], _CHECKED
        )
        ref.kept = ref.kept * _KEEP + np.array([0.0, 6 * promised])
        share = attained(ref)
        found = surprise.bar(reachable, unseen, budget / share, weights, looks, largest)
        ref.clock = np.array([*ref.clock[:2], found.threshold, found.false_alerts * share])
    return surprise.Bar(float(ref.clock[2]), float(ref.clock[3]))


def attained(ref: Reference) -> float:
    """Part of what the levels promise that is seen, ``_ATTAINED`` or more; measured at ``_CHECKED`` over days."""
    seen, promised = ref.kept.tolist()
    share = (seen + _PRIOR * _ATTAINED) / (promised + _PRIOR)
    return float(np.clip(share, _ATTAINED, _MOST_ATTAINED))


def _check(ref: Reference, tails: np.ndarray, held_back: np.ndarray, looks: np.ndarray) -> None:
    """Count passes of ``_CHECKED``, but for ports of which an alert is open: these are no chance."""
    passed = float(((tails[~held_back] <= _CHECKED) * looks).sum())
    ref.kept = ref.kept + np.array([passed, 0.0])


def starts(
    ref: Reference,
    levels: Levels,
    counted: Counted,
    span: int,
    budget: float,
    held_back: np.ndarray,
    memory: Memory,
) -> Judged:
    """Judge new networks, which ``levels`` have taken in already; arrays are in the order of ``levels``."""
    count = align(levels, counted.unit, counted.new)
    minute = align(levels, counted.unit, counted.minutes.max(axis=1, initial=0))
    at, inner, outer = _expected(STARTS, ref, levels, count, span)
    tails, totals, expected = np.ones((len(count), 5)), np.zeros((len(count), 3)), np.zeros((len(count), 3))
    begins = _begins(STARTS, span)
    for j, given in enumerate(outer):
        most = given.mean if j == 0 else _MORE * given.mean
        rows = np.flatnonzero((given.count >= LEAST[j + 1]) & (given.count > most))
        tails[rows, j + 1] = surprise.at_least(given.count[rows], given.mean[rows], 1 / given.spread[rows])
        if j:
            totals[:, j - 1], expected[:, j - 1] = given.count, given.mean
            _recount(levels, given, tails[:, j + 1], totals[:, j - 1], begins[j + 1], LEAST[j + 1], memory)
    mean, spread = outer[0].mean, outer[0].spread
    rows = np.flatnonzero((minute >= LEAST[0]) & (minute > mean / 10))
    sharp = 1 / (spread[rows] + _MINUTE_PHI)
    tails[rows, 0] = np.minimum(10 * surprise.at_least(minute[rows], mean[rows] / 10, sharp), 1.0)
    unseen, number = 0.0, 0
    reachable = np.zeros((0, 5))
    if ref.clock[2] < 0:
        reachable = np.zeros((len(count), 5))
        for j, given in enumerate(outer):
            whole = (
                given.mean
                if j == 0
                else given.mean * STARTS.hours[j] / (STARTS.hours[j] - 1 + (span % 6 + 1) / 6)
            )
            reachable[:, j + 1] = surprise.reachable(LEAST[j + 1], whole, 1 / given.spread)
        reachable[:, 0] = np.minimum(10 * surprise.reachable(LEAST[0], mean / 10, 1 / spread), 1.0)
        nothing, doubt = ref.unknown(STARTS, 0, span, outer[0].common)
        unseen = float(surprise.reachable(LEAST[1], np.array([nothing]), np.array([1 / doubt]))[0])
        number = UNITS - len(count)
    held_to = _bar(ref, reachable, (unseen, number), budget, START_WEIGHTS, _LOOKS, LARGEST_START)
    _check(ref, tails, held_back, _LOOKS)
    _learn(STARTS, ref, inner, span, held_back, at)
    return conclude(
        levels, count, mean, tails, totals, expected, held_to, outer[0].common, START_WEIGHTS, begins,
        ("1min", *STARTS.name),
    )  # fmt: skip


def _recount(
    levels: Levels,
    given: Expected,
    tails: np.ndarray,
    totals: np.ndarray,
    begin: int,
    least: int,
    memory: Memory,
) -> None:
    """Candidates are counted again as a set: networks that came again and again in that time are one each."""
    rows = np.flatnonzero(tails < RECOUNTED)
    some = memory.of_units(levels.unit[rows])
    for i in rows.tolist():
        totals[i] = min(totals[i], networks_of(some.since(int(levels.unit[i]), begin)))
        one = slice(i, i + 1)
        enough = totals[i] >= least
        tails[i] = (
            surprise.at_least(totals[one], given.mean[one], 1 / given.spread[one])[0] if enough else 1.0
        )


def stops(
    ref: Reference,
    levels: Levels,
    counted: Counted,
    span: int,
    budget: float,
    held_back: np.ndarray,
    memory: Memory,
) -> Judged:
    """Judge active networks, which ``levels`` have taken in already."""
    count = align(levels, counted.unit, counted.active)
    at, inner, outer = _expected(STOPS, ref, levels, count, span)
    tails, totals, expected = np.ones((len(count), 5)), np.zeros((len(count), 4)), np.zeros((len(count), 4))
    reachable = np.zeros((len(count), 5))
    begins = (span // 6 * 6, *_begins(STOPS, span)[1:])
    for j, given in enumerate(outer):
        if j:
            totals[:, j - 1], expected[:, j - 1] = given.count, given.mean
        if not NORMAL[0] <= given.common <= NORMAL[1]:
            continue
        reachable[:, j + 1] = given.mean >= LEAST_LOST
        rows = np.flatnonzero((given.mean >= LEAST_LOST) & (given.count < LARGEST_SHARE_LEFT * given.mean))
        tails[rows, j + 1] = surprise.at_most(given.count[rows], given.mean[rows], 1 / given.spread[rows])
        _not_few(levels, tails[:, j + 1], begins[j + 1], max(span + 1 - begins[j + 1], 6), memory)
    if span % 6 == 5:
        trusted = np.ones(len(ref.unit), np.bool_)
        trusted[at[held_back & (at >= 0)]] = False
        found = regulars.again(ref, span, memory, trusted, LEAST_SILENT)
        kept = np.flatnonzero(at >= 0)
        tails[kept, 0] = found.tail[at[kept]]
        totals[kept, 3], expected[kept, 3] = found.came[at[kept]], found.due[at[kept]]
    reachable[:, 0] = reachable[:, 2]
    held_to = _bar(ref, reachable, (0.0, 0), budget, STOP_WEIGHTS, _STOP_LOOKS, LARGEST_STOP)
    _check(ref, tails, held_back, _STOP_CHECKS)
    _learn(STOPS, ref, inner, span, held_back, at)
    return conclude(
        levels, count, outer[0].mean, tails, totals, expected, held_to, outer[0].common, STOP_WEIGHTS, begins,
        ("regulars", *STOPS.name),
    )  # fmt: skip


def _not_few(levels: Levels, tails: np.ndarray, begin: int, length: int, memory: Memory) -> None:
    """A network that is active in every span counts six times in an hour: a stop is none where those that came
    before and came no more are so few that a handful of them is all that is missing."""
    rows = np.flatnonzero(tails < RECOUNTED)
    some = memory.of_units(levels.unit[rows])
    for i in rows.tolist():
        if distinct(some.silent(int(levels.unit[i]), begin - length, begin)) < LEAST_SILENT:
            tails[i] = 1.0
