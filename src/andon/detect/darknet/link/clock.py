"""How far a honeypot's clock is from the darknet's: the lag at which sources that visit both are seen most often.

Whoever scans both within a minute, as fast surveys do, gives a sharp peak in the histogram of (honeypot time - darknet
time); all others give a flat ground. The histogram has steps of one second over -24 h to 24 h. A peak counts if the
sources within 60 s of it are more than those within any other minute allow: expected from the hour around it, tail of
Poisson, corrected for the 172,801 places looked at.

Without such a peak a coarse estimate may do: a source that both sensors know for less than a day is active about the
same hours at both, so the middle of its sessions less the middle of its sightings scatters around the offset. The
median over such sources is corrected if it is two hours or more (bots may well come to honeypots an hour after their
first probe) and five times its standard error: enough to see a wrong time zone, not enough for minutes. Otherwise no
offset is claimed. Offsets are for the whole of what is remembered; a clock that drifts by minutes in a month blurs its
peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.darknet.link.history import History, spans
from andon.detect.darknet.link.match import candidates

REACH: Final = 86_400
PEAK, MIDDLE = "peak", "middle"
_LEAST_SHORT = 50  # sources known for less than a day
_LEAST_COARSE = 7_200
_ERRORS = 5.0
_ROUNDS = 8
_WIDTH = 60
_AROUND = 3_600
_SEEN = REACH + _AROUND  # lags that are counted: the ground of the farthest place too
_LEAST_SOURCES = 8
_LEAST_NETWORKS = 5
_CHANCE = 1e-3
_TOP = 20
_PAIRS_OF_AN_ADDRESS = 400


@dataclass(frozen=True)
class Offset:
    """Of a sensor ("" for all together): seconds its clock is ahead; by PEAK with the range of the middle half of the
    peak, the sources in it, and those that chance gives there; by MIDDLE with two standard errors to either side, the
    sources that it is the median of, and 0. Base-10 logarithm of its chance after correction, and how many sources were
    compared for a peak. ``method`` "": nothing was found, and ``seconds`` is 0."""

    sensor: str
    seconds: int
    low: int
    high: int
    sources: int
    expected: float
    log10_p: float
    compared: int
    method: str

    @property
    def found(self) -> bool:
        return bool(self.method)


def offsets(history: History) -> list[Offset]:
    """Of all sensors together, and of each sensor of which enough is seen."""
    dark, sessions = history.darknet, history.sessions
    rows = candidates(dark.src, [np.unique(sessions.address)])
    rows = rows[np.argsort(dark.src[rows], kind="stable")]
    address, begin, count = np.unique(dark.src[rows], return_index=True, return_counts=True)
    if not len(address) or not len(sessions):
        return [_none("", 0)]
    place = np.minimum(np.searchsorted(address, sessions.address), len(address) - 1)
    hit = np.flatnonzero(address[place] == sessions.address)
    size = count[place[hit]]
    # A source that comes all day long has every lag; it tells nothing of the clock.
    work = np.bincount(place[hit], weights=size, minlength=len(address))
    keep = work[place[hit]] <= _PAIRS_OF_AN_ADDRESS
    hit, size = hit[keep], size[keep]
    at = np.repeat(sessions.at[hit].astype(np.int64), size)
    row = rows[spans(begin[place[hit]], size)]
    source = np.repeat(sessions.address[hit], size)
    sensor = np.repeat(sessions.sensor[hit], size)
    lag = np.concatenate([at - dark.first[row].astype(np.int64), at - dark.last[row].astype(np.int64)])
    source, sensor = np.tile(source, 2), np.tile(sensor, 2)
    near = np.abs(lag) <= _SEEN
    lag, source, sensor = lag[near], source[near], sensor[near]
    made = [_peak("", lag, source)]
    for number, name in enumerate(history.sensors):
        of = sensor == number
        if len(history.sensors) > 1 and of.any():
            made.append(_peak(name, lag[of], source[of]))
    numbers = {name: number for number, name in enumerate(history.sensors)}
    return [one if one.found else _middle(history, rows, one, numbers.get(one.sensor, -1)) for one in made]


def _middle(history: History, rows: np.ndarray, without: Offset, sensor: int) -> Offset:
    """The coarse estimate for a sensor (its number; of all together for the name ""), else ``without``.

    ``rows``: darknet rows that can match, in order of their address."""
    dark, sessions = history.darknet, history.sessions
    rows = rows[dark.aside[rows] == 0]
    of = np.flatnonzero((sessions.aside == 0) & ((sessions.sensor == sensor) | (without.sensor == "")))
    of = of[np.argsort(sessions.address[of], kind="stable")]
    seen = _short_lived(dark.src[rows], dark.first[rows].astype(np.int64), dark.last[rows].astype(np.int64))
    met = _short_lived(sessions.address[of], *(sessions.at[of].astype(np.int64),) * 2)
    _, a, b = np.intersect1d(seen[0], met[0], assume_unique=True, return_indices=True)
    lag = met[1][b] - seen[1][a]
    middle = 0.0
    near = np.abs(lag) <= REACH
    for _ in range(_ROUNDS):
        if near.sum() < _LEAST_SHORT:
            return without
        middle = float(np.median(lag[near]))
        near = np.abs(lag - middle) <= REACH
    spread = 1.4826 * float(np.median(np.abs(lag[near] - middle)))
    error = max(1.2533 * spread / np.sqrt(near.sum()), 1.0)
    if abs(middle) < _LEAST_COARSE or abs(middle) < _ERRORS * error or abs(middle) > REACH:
        return without
    # Tail of the normal distribution beyond five standard errors, by its leading term.
    z = abs(middle) / error
    logarithm = float(-z * z / 2 / np.log(10) - np.log10(z * np.sqrt(np.pi / 2)))
    low, high = round(middle - 2 * error), round(middle + 2 * error)
    return Offset(
        without.sensor, round(middle), low, high, int(near.sum()), 0.0, logarithm, without.compared, MIDDLE
    )


def _short_lived(address: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(address, middle of its time) of those seen for a day at most; ``address`` is in order."""
    members, begin, count = np.unique(address, return_index=True, return_counts=True)
    if not len(members):
        return members, np.zeros(0)
    length = np.maximum.reduceat(last, begin) - np.minimum.reduceat(first, begin)
    middle = np.add.reduceat((first + last) / 2, begin) / count
    short = length <= REACH
    return members[short], middle[short]


def corrections(history: History, found: list[Offset]) -> np.ndarray:
    """Seconds to take from the time of each session: of its sensor where known, else of all together."""
    by_name = {offset.sensor: offset for offset in found}
    common = by_name[""].seconds
    of = np.full(len(history.sensors) + 1, common, np.int64)  # the last place answers for -1
    for number, name in enumerate(history.sensors):
        if name in by_name and by_name[name].found:
            of[number] = by_name[name].seconds
    return np.asarray(of[history.sessions.sensor])


def _none(sensor: str, compared: int) -> Offset:
    return Offset(sensor, 0, 0, 0, 0, 0.0, 0.0, compared, "")


def _peak(sensor: str, lag: np.ndarray, source: np.ndarray) -> Offset:
    pair = np.unique(source.astype(np.int64) << 18 | (lag + _SEEN))
    source, lag = pair >> 18, (pair & ((1 << 18) - 1)) - _SEEN
    compared = len(np.unique(source))
    if compared < _LEAST_SOURCES:
        return _none(sensor, compared)
    order = np.argsort(lag, kind="stable")
    source, lag = source[order], lag[order]
    sums = np.r_[0, np.cumsum(np.bincount(lag + _SEEN, minlength=2 * _SEEN + 1))]

    def within(half: int) -> np.ndarray:
        centre = np.arange(_AROUND, 2 * REACH + _AROUND + 1)
        return np.asarray(sums[centre + half + 1] - sums[centre - half])

    inner, outer = within(_WIDTH), within(_AROUND)
    ground = np.maximum((outer - inner) * (2 * _WIDTH + 1) / (2 * (_AROUND - _WIDTH)), 0.5)
    surprise = np.where(inner > ground, inner * np.log(np.maximum(inner, 1) / ground) - inner + ground, 0.0)
    best: Offset | None = None
    for centre in np.argsort(-surprise, kind="stable")[:_TOP].tolist():
        found = _judged(sensor, centre - REACH, lag, source, compared)
        if found is not None and (best is None or found.log10_p < best.log10_p):
            best = found
    return best or _none(sensor, compared)


def _judged(sensor: str, centre: int, lag: np.ndarray, source: np.ndarray, compared: int) -> Offset | None:
    """The peak at a lag, counting each source once in every two minutes; None if it may be chance."""
    from scipy.special import pdtrc

    low, high = np.searchsorted(lag, [centre - _WIDTH, centre + _WIDTH + 1])
    members = np.unique(source[low:high])
    if len(members) < _LEAST_SOURCES or len(np.unique(members >> 8)) < _LEAST_NETWORKS:
        return None
    a, b = np.searchsorted(lag, [centre - _AROUND, centre + _AROUND + 1])
    outside = np.r_[a:low, high:b]
    width = 2 * _WIDTH + 1
    window = (lag[outside] - centre + _AROUND) // width
    others = len(np.unique(window << 32 | source[outside]))
    expected = max(others / (2 * _AROUND / width - 1), 0.5)
    chance = float(pdtrc(len(members) - 1, expected)) * (2 * REACH + 1)
    if chance >= _CHANCE or len(members) < 2 * expected:
        return None
    inside = lag[low:high]
    quarter, middle, last = (round(float(np.quantile(inside, q))) for q in (0.25, 0.5, 0.75))
    logarithm = float(np.log10(max(chance, 1e-300)))
    return Offset(sensor, middle, quarter, last, len(members), expected, logarithm, compared, PEAK)
