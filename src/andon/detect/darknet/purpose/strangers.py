"""Sources in step with strangers: many unrelated networks that start and stop a port together.

Bots of one controller wake and stop together; independent scanners do not. The span observed is cut into at
most 144 bins of at least 30 seconds; a source is a point (bin of its first packet, bin of its last). For
each lowest port with enough sources, the number of points in a window of 3 x 3 bins is compared with the
number under independence: the ordinary rate of births on this port (running median over 17 bins, so that a
burst does not raise what it is compared with) times the share of its sources with such a lifetime. Sources
that were there when the observation began or ended are compared in the one direction that was seen.

A window stands out if Chernoff's bound on the Poisson tail is below 10^-4 over all windows looked at, it
holds three times what was expected, and its sources are in at least eight /16, numbering at least half of
the sources: a survey that scans from one block in step is no crowd of strangers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from andon.detect.darknet.purpose.kernel import TICK_SECONDS
from andon.detect.darknet.purpose.profile import Sources

_BINS = 144
_SHORTEST_BIN = 30  # seconds
_LEAST_BINS = 12
_LEAST_PACKETS = 6
_PAUSES = 7.0  # mean pauses without a packet after which a source is gone (chance e^-7)
_LEAST_NETWORKS = 8
_MOST_PORTS = 1000
_MOST_CROWDS = 200  # on one port and scale; those that stand out most
_RATIO = 3.0
_CHANCE = 1e-4
_HALF_MEDIAN = 8  # bins to either side


def in_step(sources: Sources, begin: int, end: int) -> np.ndarray:
    """How many strangers each source is in step with (int64, 0: none); ``begin`` and ``end`` are the first
    and last second of the day with traffic."""
    found = np.zeros(len(sources), np.int64)
    length = max(end - begin, 1)
    bins = int(min(_BINS, length // _SHORTEST_BIN))
    if bins < _LEAST_BINS:
        return found  # too short to tell waking from the start of the capture
    able = np.flatnonzero(sources.packets >= _LEAST_PACKETS)
    first, last = sources.first[able] - begin, sources.last[able] - begin
    # A source that sends every ten minutes and was first seen after five was there from the beginning.
    pause = _PAUSES * (last - first) / (sources.packets[able] - 1)
    there = first <= np.maximum(pause, _SHORTEST_BIN)
    staying = length - last <= np.maximum(pause, _SHORTEST_BIN)
    seen = ~(there & staying)
    able, first, last, pause = able[seen], first[seen], last[seen], pause[seen]
    there, staying = there[seen], staying[seen]
    if not len(able):
        return found
    _, group, size = np.unique(sources.main[able], return_inverse=True, return_counts=True)
    common = np.argsort(-size, kind="stable")[:_MOST_PORTS]
    common = common[size[common] >= _LEAST_NETWORKS]
    scales = [number for number in (bins, bins // 4) if number >= _LEAST_BINS]
    tests = len(common) * sum(number**2 for number in scales)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(size)
    for number in common:
        rows = order[ends[number] - size[number] : ends[number]]
        for cut in scales:
            born = np.clip(first[rows] * cut / length, 0, cut - 1).astype(np.int64)
            gone = np.clip(last[rows] * cut / length, 0, cut - 1).astype(np.int64)
            network = sources.address[able[rows]] >> 16
            sharp = 3 * pause[rows] / _PAUSES <= length / cut / 2
            for crowd, expected in _crowds(born, gone, there[rows], staying[rows], network, cut, tests):
                core = rows[_core(crowd, expected, sharp)]
                core = core[_together(first[core], last[core], pause[core], there[core], staying[core])]
                if len(core) and _unrelated(sources.address[able[core]] >> 16):
                    found[able[core]] = np.maximum(found[able[core]], len(core))
    return found


def _ordinary(counts: np.ndarray) -> np.ndarray:
    """Ordinary number per bin: running median, but at least the mean without the fullest tenth, and 1/2."""
    padded = np.pad(counts, _HALF_MEDIAN, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _HALF_MEDIAN + 1)
    trimmed = np.sort(counts)[: max(1, len(counts) * 9 // 10)].mean()
    return np.asarray(np.maximum(np.median(windows, axis=1), max(float(trimmed), 0.5)))


def _sum3(values: np.ndarray) -> np.ndarray:
    """Sums over three neighbours along the last axis."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(1, 1)])
    return np.asarray(padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:])


def _crowds(
    born: np.ndarray,
    gone: np.ndarray,
    there: np.ndarray,
    staying: np.ndarray,
    network: np.ndarray,
    bins: int,
    tests: int,
) -> Iterator[tuple[np.ndarray, float]]:
    """Crowds among the sources of one port: positions of the sources, and how many would be there by chance.
    Crowds may overlap."""
    whole = ~there & ~staying & (gone - born >= 2)  # a short burst has no waking and stopping of its own
    cells = np.zeros((bins, bins))
    np.add.at(cells, (born[whole], gone[whole]), 1)
    window = _sum3(_sum3(cells).T).T
    births = _sum3(_ordinary(np.bincount(born[~there], minlength=bins).astype(float)))
    deaths = _sum3(_ordinary(np.bincount(gone[~staying], minlength=bins).astype(float)))
    lifetime = np.bincount((gone - born)[whole], minlength=bins) / max(int(whole.sum()), 1)
    lasting = _sum3(lifetime)
    threshold = np.log(tests / _CHANCE)
    # Each source looks at the window around its own point.
    expected = np.where(
        whole,
        births[born] * lasting[np.clip(gone - born, 0, bins - 1)],
        np.where(staying & ~there, births[born], deaths[gone]),
    )
    seen = np.where(
        whole,
        window[born, gone],
        np.where(
            staying & ~there,
            _sum3(np.bincount(born[staying & ~there], minlength=bins).astype(float))[born],
            _sum3(np.bincount(gone[there & ~staying], minlength=bins).astype(float))[gone],
        ),
    )
    seen[~whole & ~there & ~staying] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        surprise = seen * np.log(seen / expected) - seen + expected
    out = np.flatnonzero((seen >= _LEAST_NETWORKS) & (seen >= _RATIO * expected) & (surprise >= threshold))
    case = np.select([whole, staying, there], [0, 1, 2], 3)
    point = (case * bins + np.where(case == 2, 0, born)) * bins + np.where(case == 1, 0, gone)
    _, which = np.unique(point[out], return_index=True)
    strongest = out[which[np.argsort(-surprise[out[which]], kind="stable")[:_MOST_CROWDS]]]
    for at in strongest.tolist():
        near = case == case[at]
        if case[at] != 2:
            near &= np.abs(born - born[at]) <= 1
        if case[at] != 1:
            near &= np.abs(gone - gone[at]) <= 1
        if _unrelated(network[near]):
            yield np.flatnonzero(near), float(expected[at])


def _unrelated(network: np.ndarray) -> bool:
    """Whether sources are strangers by the /16 they are in."""
    networks = len(np.unique(network))
    return networks >= _LEAST_NETWORKS and 2 * networks >= len(network)


def _core(crowd: np.ndarray, expected: float, sharp: np.ndarray) -> np.ndarray:
    """A crowd without those of its sources that may well be chance company.

    Sources whose times are sharp (packets follow closely) and those whose times are not are compared with chance
    apart, by their shares outside the crowd."""
    outside = np.ones(len(sharp), np.bool_)
    outside[crowd] = False
    keep = []
    for kind in (True, False):
        part = crowd[sharp[crowd] == kind]
        share = (np.count_nonzero(sharp[outside] == kind) + 1) / (np.count_nonzero(outside) + 2)
        if len(part) >= _RATIO * expected * share:
            keep.append(part)
    return np.concatenate(keep) if keep else crowd[:0]


def _together(
    first: np.ndarray, last: np.ndarray, pause: np.ndarray, there: np.ndarray, staying: np.ndarray
) -> np.ndarray:
    """Which sources of a crowd belong to its core: chance company starts and stops at other times in the window.

    The core is within three robust standard deviations (1.4826 times the median absolute deviation) of the
    medians; three of a source's own mean pauses are granted, and never less than a tick."""
    inside = np.ones(len(first), np.bool_)
    for times, unseen in ((first, there), (last, staying)):
        if unseen.all():
            continue
        middle = np.median(times[~unseen])
        spread = 3 * 1.4826 * float(np.median(np.abs(times[~unseen] - middle)))
        inside &= unseen | (
            np.abs(times - middle) <= np.maximum(spread, 2.0 * TICK_SECONDS) + 3 * pause / _PAUSES
        )
    return inside
