"""One span against the baselines: which ports have more new networks than they should, which lost active ones.

In a capture's first day ports are held against their levels (``baseline``), afterwards against their reference
(``reference``, ``stretches``), while the levels go on learning: they say what is usual in the words of a finding. In
the first day the null hypothesis is composite: the level of the last hours and that of the last days are both "nothing
happened", and a count must be surprising against the one that explains it best.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from andon.detect.darknet.synchrony import surprise
from andon.detect.darknet.synchrony.baseline import (
    DAY,
    FAST,
    HOUR,
    LONGER,
    MID,
    SLOW,
    SPAN,
    SPANS,
    A,
    B,
    Levels,
    common_factor,
)
from andon.detect.darknet.synchrony.groups import Counted, distinct, networks_of
from andon.detect.darknet.synchrony.kernel import UNITS
from andon.detect.darknet.synchrony.memory import Memory

LEAST_NEW = (4, 5, 5, 5, 6)  # networks: fewer are not looked at, by scale (1 min, 10 min, 1 h, 6 h, 1 d)
LEAST_LOST = 6.0  # expected active networks below which a stop cannot be told
STOP_WEIGHTS = np.array([0.0, 0.3, 0.25, 0.25, 0.2])
LARGEST_SHARE_LEFT = 0.85  # a stop leaves less than this of what was expected
NORMAL = (0.5, 2.0)  # common factor within which stops are judged
_HELD = 4.0  # standard deviations above the mean that a level learns from at most
_SHIFT = 0.05  # relative variance of a port's share per squared logarithm of the common factor
_MINUTE_PHI = 0.05
_LARGE, _SEVERAL = 5.0, 5  # networks expected of a large port; ports that can speak for all large ones
_HISTORY = (0.9, 3.0, 8.0, 36.0)  # exposure behind a level before its scale is judged
_FIRST = 0.25  # weight of the first span, in which every source is new
_LEARNT = 12  # spans after which overdispersion is learned
_NOVEL = 18  # spans in which what is new wanes by itself
_PHI_USUAL = 0.05  # squared relative standard deviation beyond which a level no longer follows its port
RECOUNTED = 1e-4  # tail probability below which the networks of an hour or day are counted as a set


@dataclass(frozen=True)
class Judged:
    """Parallel arrays over units that were looked at, and the bar they were held to."""

    unit: np.ndarray
    count: np.ndarray  # of the ten minutes
    mean: np.ndarray  # what was expected of it
    e: np.ndarray
    tails: np.ndarray  # (units, scales)
    total: np.ndarray  # (units, 3) count of the hour, the quarter and the day so far
    expected: np.ndarray  # (units, 3)
    alerted: np.ndarray  # bool
    bar: surprise.Bar
    common: float  # common factor
    begins: tuple[int, ...] = ()  # span in which the stretch of each scale begins
    names: tuple[str, ...] = ()  # of the scales
    weights: np.ndarray = field(default_factory=lambda: surprise.WEIGHTS)  # of the scales
    usual: np.ndarray = field(
        default_factory=lambda: np.zeros(0)
    )  # of ten minutes, in the order of the levels


def _shape(level: np.ndarray, phi: np.ndarray, more: float) -> np.ndarray:
    found: np.ndarray = 1.0 / (1.0 / np.maximum(level, 1e-12) + phi + more)
    return found


def _common(levels: Levels, count: np.ndarray, higher: bool) -> tuple[float, float]:
    """The common factor and its relative variance. Large ports and the tail do not always move together (a survey's
    new ports wane, residents stay): the ``higher`` or the lower of what all ports and what large ones say."""
    if levels.rate[FAST] <= 0:
        return 1.0, 1.0
    # The prior is left out: it would shrink all levels, and all factors would make up for it.
    mean = levels.level[:, FAST] / levels.rate[FAST]
    value, spread = common_factor(levels.unit, count, mean)
    if not np.isfinite(value):
        return value, 1.0
    large = mean >= _LARGE
    if large.sum() < _SEVERAL:
        return value, spread
    of_large, spread_of_large = common_factor(levels.unit[large], count[large], mean[large])
    if not np.isfinite(of_large) or (value >= of_large) == higher:
        return value, spread
    return of_large, spread_of_large


def align(levels: Levels, unit: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of ``unit`` (all of which ``levels`` has) in the order of ``levels``, 0 elsewhere."""
    out = np.zeros((len(levels.unit), *values.shape[1:]))
    out[np.searchsorted(levels.unit, unit)] = values
    return out


def advance(levels: Levels, before: int | None, span: int, calm: np.ndarray, learning: bool) -> None:
    """Let hours and days begin and end as ``span`` (number of the ten minutes) begins; ``before`` was the last one.
    Overdispersion is learned of ``calm`` units only, and only while the levels are what ports are held against."""
    ended = [scale for scale in LONGER if before is None or before // SPANS[scale] != span // SPANS[scale]]
    for scale in ended if learning else ():
        # A level that was itself hardly known when the hour began says nothing about its ports.
        if levels.began_rate[scale - 1] >= _HISTORY[scale] and levels.exposure[scale - 1] > 0:
            count, mean, _ = levels.so_far(scale)
            levels.learn(scale, count, mean, calm)
    if before is not None and HOUR in ended:
        levels.regauge()
    for scale in ended:
        levels.begin(scale, SLOW if scale == DAY else FAST)


def starts(
    levels: Levels,
    counted: Counted,
    span: int,
    age: int,
    budget: float,
    held_back: np.ndarray,
    memory: Memory,
    judged: bool,
) -> Judged | None:
    """Let ``levels`` learn new networks, and judge them before if ``judged``. ``age``: spans since the first;
    ``held_back``: units whose activity is known to be extraordinary at present, of which the level learns little."""
    count = align(levels, counted.unit, counted.new)
    minute = align(levels, counted.unit, counted.minutes.max(axis=1, initial=0))
    history = float(levels.rate[FAST])
    common, spread = _common(levels, count, higher=True)
    # In a capture's first hours every source is new that was there all along: what is new grows less by itself, on
    # some ports sooner than on others, and only what is above all that came before is news.
    young = age < _NOVEL
    if not np.isfinite(common) or (young and common < 1):
        common = 1.0
    spread += _SHIFT * np.log(max(common, 0.02)) ** 2
    # The rhythm of the day is not known yet: the level has to follow it.
    mean, shape = levels.of(MID)
    for other in (FAST, SLOW) if judged else ():
        level, of_level = levels.of(other)
        higher = level > mean
        mean, shape = np.where(higher, level, mean), np.where(higher, of_level, shape)
    mean = mean * common
    exposure, weight = (1.0 if young else common), (_FIRST if history == 0 else 1.0)
    if not judged:
        deviation = np.sqrt(mean + (_PHI_USUAL + 1 / shape) * mean**2)
        most = np.where(held_back, mean + deviation, mean + _HELD * deviation + 3)
        levels.take(count, np.minimum(count, most) * weight, exposure * weight)
        return None
    phi = levels.phi(SPAN, mean)
    tails = np.ones((len(count), 5))
    full = _shape(shape, phi, spread)
    if history >= _HISTORY[SPAN]:
        rows = np.flatnonzero((count >= LEAST_NEW[1]) & (count > mean))
        tails[rows, 1] = surprise.at_least(count[rows], mean[rows], full[rows])
        rows = np.flatnonzero((minute >= LEAST_NEW[0]) & (minute > mean / 10))
        sharp = _shape(shape[rows], phi[rows], spread + _MINUTE_PHI)
        tails[rows, 0] = np.minimum(10 * surprise.at_least(minute[rows], mean[rows] / 10, sharp), 1.0)
    reachable = np.zeros((len(count), 5))
    reachable[:, 1] = surprise.reachable(LEAST_NEW[1], mean, full)
    reachable[:, 0] = np.minimum(10 * surprise.reachable(LEAST_NEW[0], mean / 10, full), 1.0)
    # What the span adds to the hour and the day is judged before the levels learn it.
    unseen = float(surprise.reachable(LEAST_NEW[1], np.array([A / (history + B) * common]), np.array([A]))[0])
    deviation = np.sqrt(mean + (1 / full) * mean**2)
    most = np.where(held_back, mean + deviation, mean + _HELD * deviation + 3)
    if age >= _LEARNT:
        levels.learn(SPAN, count, mean, ~held_back)
    levels.take(count, np.minimum(count, most if history > 0 else np.inf) * weight, exposure * weight)
    totals, expected = np.zeros((len(count), 3)), np.zeros((len(count), 3))
    for scale in LONGER:
        total, due, level = levels.so_far(scale)
        totals[:, scale - 1], expected[:, scale - 1] = total, due
        if levels.began_rate[scale - 1] < _HISTORY[scale]:
            continue
        over = _shape(level, levels.phi(scale, due), 0.0)
        least = LEAST_NEW[scale + 1]
        reachable[:, scale + 1] = surprise.reachable(least, due, over)
        if scale > HOUR and span % 6 != 5:
            continue
        tails[:, scale + 1], totals[:, scale - 1] = _more(levels, scale, total, due, over, span, memory)
    number = UNITS - len(levels.unit)
    held_to = surprise.bar(reachable, (unseen, number), budget)
    begins = (span, span, *(span // SPANS[scale] * SPANS[scale] for scale in LONGER))
    return conclude(
        levels, count, mean, tails, totals, expected, held_to, common, surprise.WEIGHTS, begins, surprise.SCALE_NAMES
    )  # fmt: skip


def _more(
    levels: Levels,
    scale: int,
    total: np.ndarray,
    due: np.ndarray,
    over: np.ndarray,
    span: int,
    memory: Memory,
) -> tuple[np.ndarray, np.ndarray]:
    """Tail probabilities of what the hour (quarter, day) so far has more than its due, and the totals. Candidates are
    counted again as a set: networks that came again and again in that time are one each."""
    tails, totals = np.ones(len(total)), total.copy()
    least = LEAST_NEW[scale + 1]
    rows = np.flatnonzero((total >= least) & (total > due))
    tails[rows] = surprise.at_least(total[rows], due[rows], over[rows])
    rows = rows[tails[rows] < RECOUNTED]
    some = memory.of_units(levels.unit[rows])
    begin = span // SPANS[scale] * SPANS[scale]
    for i in rows.tolist():
        totals[i] = min(total[i], networks_of(some.since(int(levels.unit[i]), begin)))
        enough = totals[i] >= least
        tails[i] = surprise.at_least(totals[i : i + 1], due[i : i + 1], over[i : i + 1])[0] if enough else 1.0
    return tails, totals


def stops(
    levels: Levels,
    counted: Counted,
    span: int,
    age: int,
    budget: float,
    held_back: np.ndarray,
    memory: Memory,
    judged: bool,
) -> Judged | None:
    """Let ``levels`` learn active networks, and judge them before if ``judged``; overdispersion is not learned where
    activity is extraordinary (``held_back``); ``age`` as for ``starts``.

    A network that is active in every span counts six times in an hour. So an hour's or a day's candidates are judged
    again by distinct networks: those of as long a time before, and those of them that still came."""
    count = align(levels, counted.unit, counted.active)
    level, shape = levels.of(FAST)
    history = float(levels.rate[FAST])
    common, spread = _common(levels, count, higher=False)
    known = bool(np.isfinite(common))
    if not known:
        common = 1.0
    spread += _SHIFT * np.log(max(common, 0.02)) ** 2
    weight = _FIRST if history == 0 else 1.0
    exposure = (1.0 if age < _NOVEL else common) * weight
    if not judged:
        levels.take(count, count * weight, exposure)
        return None
    low = mean = level * common
    phi = levels.phi(SPAN, mean)
    if age >= _LEARNT:
        levels.learn(SPAN, count, mean, ~held_back)
    full = _shape(shape, phi, spread)
    normal = known and NORMAL[0] <= common <= NORMAL[1] and history >= _HISTORY[HOUR]
    tails, reachable = np.ones((len(count), 5)), np.zeros((len(count), 5))
    if normal:
        rows = np.flatnonzero((low >= LEAST_LOST) & (count < LARGEST_SHARE_LEFT * low))
        tails[rows, 1] = surprise.at_most(count[rows], low[rows], full[rows])
        reachable[:, 1] = low >= LEAST_LOST
    levels.take(count, count * weight, exposure)
    totals, expected = np.zeros((len(count), 3)), np.zeros((len(count), 3))
    for scale in LONGER:
        total, due, of_level = levels.so_far(scale)
        totals[:, scale - 1], expected[:, scale - 1] = total, due
        ready = span % 6 >= 2 if scale == HOUR else span % 6 == 5
        if not normal or not ready or levels.began_rate[scale - 1] < 2 * _HISTORY[scale]:
            continue
        over = _shape(of_level, levels.phi(scale, due), 0.0)
        reachable[:, scale + 1] = due >= LEAST_LOST
        tails[:, scale + 1] = _less(levels, scale, total, due, over, span, memory)
    held_to = surprise.bar(reachable, (0.0, 0), budget, STOP_WEIGHTS)
    begins = (span, span, *(span // SPANS[scale] * SPANS[scale] for scale in LONGER))
    return conclude(
        levels, count, mean, tails, totals, expected, held_to, common, STOP_WEIGHTS, begins, surprise.SCALE_NAMES
    )  # fmt: skip


def _less(
    levels: Levels,
    scale: int,
    total: np.ndarray,
    due: np.ndarray,
    over: np.ndarray,
    span: int,
    memory: Memory,
) -> np.ndarray:
    """Tail probabilities of what the hour (quarter, day) so far has less than its due."""
    tails = np.ones(len(total))
    rows = np.flatnonzero((due >= LEAST_LOST) & (total < LARGEST_SHARE_LEFT * due))
    tails[rows] = surprise.at_most(total[rows], due[rows], over[rows])
    rows = rows[tails[rows] < RECOUNTED]
    some = memory.of_units(levels.unit[rows])
    length = SPANS[scale]
    begin = span // length * length
    for i in rows.tolist():
        there = distinct(some.between(int(levels.unit[i]), begin - length, begin))
        usual = levels.began[i, scale - 1] / max(levels.began_rate[scale - 1], 1e-9) * length
        each = max(float(usual) / max(there, 1), 1.0)
        networks = due[i : i + 1] / each
        enough = networks[0] >= LEAST_LOST
        tails[i] = surprise.at_most(total[i : i + 1] / each, networks, over[i : i + 1])[0] if enough else 1.0
    return tails


def settle(levels: Levels, units: np.ndarray) -> None:
    """After a stop was told: the level of these units is what they have now."""
    at = np.searchsorted(levels.unit, units)
    now = levels.total[at, 0] / max(float(levels.exposure[0]), 1e-9)
    levels.level[at] = np.minimum(levels.level[at], now[:, None] * levels.rate)
    levels.began[at] = np.minimum(levels.began[at], now[:, None] * levels.began_rate)


def conclude(
    levels: Levels,
    count: np.ndarray,
    mean: np.ndarray,
    tails: np.ndarray,
    totals: np.ndarray,
    expected: np.ndarray,
    held_to: surprise.Bar,
    common: float,
    weights: np.ndarray,
    begins: tuple[int, ...],
    names: tuple[str, ...],
) -> Judged:
    """Of what was looked at, the units worth a row, with their e-values."""
    rows = np.flatnonzero(tails.min(axis=1, initial=1.0) < 1e-3)
    e = surprise.combine(tails[rows], held_to.threshold, weights)
    return Judged(
        levels.unit[rows],
        count[rows],
        mean[rows],
        e,
        tails[rows],
        totals[rows],
        expected[rows],
        surprise.discoveries(e, held_to.threshold),
        held_to,
        common,
        begins,
        names,
        weights,
        mean,
    )
