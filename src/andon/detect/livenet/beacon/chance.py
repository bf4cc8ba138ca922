"""Could it be chance? The same search on times that were dealt out anew, many times.

What is dealt anew, and why that is fair to people: an edge is cut into stretches of activity, at pauses of more than
eight periods, and inside a stretch all visits but the first and the last get new places, evenly. When a user works,
pauses and sleeps is left as it is, and with it the rhythm of day and night; what is lost is any order within a
stretch. Dealing bins anew over the whole day (as a plain permutation of the counts does) would call every working day
significant. Shuffling the intervals would be no test at all of a beacon: its intervals, in any order, still are a
beacon's. Visits of an edge that is followed over days (``slow``) come hours apart and have no stretches; each gets a
new place, evenly, in the hours of its day in which the terminal was active.

Two statistics are compared with what the same search gives on the dealt times: the likelihood ratio of the intervals
(``intervals``: finds jitter and losses that leave no line) and the strongest line of the periodogram (``spectrum``:
finds order that the intervals alone do not show). It ends early when three of the dealt ones are as good in both
(Besag and Clifford, Biometrika 78, 1991). With few dealings a small chance is read off the Gumbel distribution that
has their mean and spread, the limit law of maxima over many periods; twice the smaller of the two is the p-value.

An even spread is not as bursty as people are. Readers who turn a page every half minute can therefore be significant
too; that and only that is why a p-value alone is no finding here (``score`` weighs it with the rest).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from andon.detect.livenet.beacon.intervals import BINS, SHORTEST, WIDTH, fit, refine, templates
from andon.detect.livenet.beacon.spectrum import autocorrelation, bin_widths, line
from andon.sketch.hashing import mix64

PERMUTATIONS: Final = 20
PAUSE: Final = 8.0  # periods without a visit end a stretch
_ENOUGH = 3
_SMALLEST = 1e-15
_UNIT = 1.0 / (1 << 53)
_DAY = 86400.0


@njit(cache=True, nogil=True)
def _random(seed: np.uint64, at: int) -> float:
    """Evenly in (0, 1]."""
    return (float(mix64(np.uint64(at), seed) >> np.uint64(11)) + 1.0) * _UNIT


@njit(cache=True, nogil=True)
def _deal(times: np.ndarray, pause: float, seed: np.uint64, out: np.ndarray) -> None:
    """Inner visits of each stretch in new places; spacings of a Poisson process need no sorting."""
    n = times.shape[0]
    first = 0
    while first < n:
        last = first
        while last + 1 < n and times[last + 1] - times[last] <= pause:
            last += 1
        total = 0.0
        for i in range(first, last):
            total += -math.log(_random(seed, i))
            out[i + 1] = total
        out[first] = times[first]
        if last > first:
            scale = (times[last] - times[first]) / total
            for i in range(first + 1, last):
                out[i] = times[first] + out[i] * scale
            out[last] = times[last]
        first = last + 1


@njit(cache=True, nogil=True)
def _deal_hours(times: np.ndarray, hours: int, seed: np.uint64, out: np.ndarray) -> None:
    """Each visit in a new place of its day, evenly over the hours (bits) and its own."""
    for i in range(times.shape[0]):
        day = math.floor(times[i] / _DAY)
        mask = hours | (1 << int((times[i] - day * _DAY) / 3600.0))
        number = 0
        for h in range(24):
            number += (mask >> h) & 1
        place = _random(seed, i) * number * 0.999999
        whole = int(place)
        for h in range(24):
            if (mask >> h) & 1:
                if whole == 0:
                    out[i] = day * _DAY + (h + place - int(place)) * 3600.0
                    break
                whole -= 1
    out.sort()


@njit(cache=True, nogil=True)
def _tail(value: float, total: float, squares: float, number: int, above: int) -> float:
    """Chance of a value as high, from ``number`` dealings: counted where it can be, else Gumbel."""
    if above > 0:
        return (above + 1.0) / (number + 1.0)
    mean = total / number
    spread = math.sqrt(max(squares / number - mean * mean, 1e-6) * number / max(1, number - 1))
    z = (value - mean) / spread
    x = math.exp(-(1.2825498 * z + 0.5772157))
    return min(1.0 / (number + 1.0), max(_SMALLEST, -math.expm1(-x)))


@njit(cache=True, nogil=True)
def _fit_all(
    offsets: np.ndarray, times: np.ndarray, shapes: np.ndarray, ratio: np.ndarray, place: np.ndarray
) -> None:
    counts, taken = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for edge in range(offsets.shape[0] - 1):
        own = times[offsets[edge] : offsets[edge + 1]]
        ratio[edge], place[edge], _ = fit(own, shapes, counts, taken)


@njit(cache=True, nogil=True)
def _judge_all(
    offsets: np.ndarray,
    times: np.ndarray,
    hours: np.ndarray,
    seeds: np.ndarray,
    shapes: np.ndarray,
    permutations: int,
    ratio: np.ndarray,
    period: np.ndarray,
    width: np.ndarray,
    out: np.ndarray,
) -> None:
    counts, taken = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for edge in range(offsets.shape[0] - 1):
        own = times[offsets[edge] : offsets[edge + 1]]
        pause = PAUSE * period[edge]
        height, line_period = line(own, width[edge])
        dealt = np.empty(own.shape[0])
        sums, above, done = np.zeros(4), np.zeros(2, np.int64), 0
        for n in range(permutations):
            seed = mix64(np.uint64(n), seeds[edge])
            if hours[edge] != 0:
                _deal_hours(own, hours[edge], seed, dealt)
            else:
                _deal(own, pause, seed, dealt)
            chance, _, _ = fit(dealt, shapes, counts, taken)
            bright, _ = line(dealt, width[edge])
            done += 1
            sums[0] += chance
            sums[1] += chance * chance
            sums[2] += bright
            sums[3] += bright * bright
            above[0] += chance >= ratio[edge]
            above[1] += bright >= height
            if above[0] >= _ENOUGH and above[1] >= _ENOUGH:
                break
        stretches = 1
        for i in range(own.shape[0] - 1):
            stretches += own[i + 1] - own[i] > pause
        out[0, edge] = own.shape[0] / stretches
        out[1, edge] = autocorrelation(own, period[edge], max(2.0, 0.12 * period[edge]))
        out[2, edge] = _tail(ratio[edge], sums[0], sums[1], done, above[0])
        out[3, edge] = _tail(height, sums[2], sums[3], done, above[1])
        out[4, edge], out[5, edge] = line_period, height


@dataclass(frozen=True)
class Judged:
    """Of each edge: ``ratio`` of the intervals (nats), ``period`` and ``line_period`` (s; 0: none), ``jitter`` and
    ``covered`` (0..1, ``intervals.refine``), visits to a ``stretch``, ``again`` (autocorrelation), the p-values, the
    ``height`` of the line, and how many ``visits`` there were."""

    ratio: np.ndarray
    period: np.ndarray
    jitter: np.ndarray
    covered: np.ndarray
    stretch: np.ndarray
    again: np.ndarray
    ratio_p: np.ndarray
    line_p: np.ndarray
    line_period: np.ndarray
    height: np.ndarray
    visits: np.ndarray

    @property
    def p_value(self) -> np.ndarray:
        made: np.ndarray = np.minimum(1.0, 2.0 * np.minimum(self.ratio_p, self.line_p))
        return made


def screen(offsets: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(likelihood ratio, first guess of the period in s) of each edge's visits: cheap, no dealing."""
    ratio, place = np.zeros(len(offsets) - 1), np.zeros(len(offsets) - 1)
    _fit_all(offsets, times, templates(), ratio, place)
    return ratio, SHORTEST * np.exp(place * WIDTH)


def judge(
    offsets: np.ndarray,
    times: np.ndarray,
    hours: np.ndarray,
    seeds: np.ndarray,
    permutations: int = PERMUTATIONS,
) -> Judged:
    """Everything that takes dealing, for edges of at least four visits. ``hours``: int64, bits of the terminal's
    active hours for edges followed over days, 0 for those of one day; ``seeds``: uint64 of each edge, from its
    names."""
    ratio, guess = screen(offsets, times)
    period, jitter, covered = refine(offsets, times, guess)
    out = np.zeros((6, len(ratio)))
    given = (templates(), permutations, ratio, period, bin_widths(offsets, times), out)
    _judge_all(offsets, times, hours.astype(np.int64), seeds.astype(np.uint64), *given)
    stretch, again, ratio_p, line_p, line_period, height = out
    visits = np.diff(offsets).astype(np.float64)
    known = (ratio, period, jitter, covered, stretch, again, ratio_p, line_p, line_period, height, visits)
    return Judged(*known)
