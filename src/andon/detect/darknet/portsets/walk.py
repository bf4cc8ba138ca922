"""The walks over the sources: how likely each is under every family, and what follows from it.

A row begins with what all its packets are worth as leaks, for all families at once, and each of its ports then corrects
those that have it. Families lie side by side in memory, padded with some that no source can have, so that a processor
takes several in one instruction; of those that are left (one in eight), a list is kept. ``step`` is one round of EM and
no more; what only the end of a fit asks for, what a family is worth and how many sources should have
each port, is ``judge``; ``place`` says to which family each source belongs. Sums run over the rows in their order, so
that the answer does not depend on which of the walks asks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from andon.detect.darknet.portsets.kernel import PORTS
from andon.detect.darknet.portsets.rows import LEAK, LOG_FACTORIAL, VOLUMES, Packed

_NOTHING = 21.0  # log: a posterior below 1e-9 is none
_ABREAST = 16  # families are padded to a multiple of this
_SOME = 0.01  # posterior from which a source is asked which ports it lacks


class Tally(NamedTuple):
    """Of the background: expected sources ``one`` by place of the single code (``Packed.codes``), and ``by_size``
    (number of ports, volume)."""

    one: np.ndarray
    by_size: np.ndarray


class Law(NamedTuple):
    """Logs of the densities. ``background``, with its share, of each row; ``share`` (volume, family); ``weight`` (port,
    family), below 0 where the family has the port, else 0, where ``held`` is 0 and not 1. ``families`` of the columns
    are families, the others padding."""

    background: np.ndarray
    share: np.ndarray
    weight: np.ndarray
    held: np.ndarray
    families: int


def all_background(rows: Packed) -> Tally:
    """The tally where no source belongs to a family."""
    single = rows.single >= 0
    flat = np.bincount(
        rows.sizes * VOLUMES + rows.volume, rows.times, minlength=(PORTS + 1) * VOLUMES
    ).reshape(PORTS + 1, VOLUMES)
    one = np.bincount(rows.single[single], rows.times[single], minlength=len(rows.codes))
    return Tally(one.astype(float), flat.astype(float))


def law_of(rows: Packed, weights: np.ndarray, size: np.ndarray, tally: Tally, popularity: np.ndarray) -> Law:
    """What a walk asks for: from ``weights`` (families, ports), ``size`` (families, volumes), expected sources, the
    ``tally`` of the background and the ``popularity`` of the ports."""
    one, by_size = tally
    whole = float(by_size.sum() + size.sum()) or 1.0  # nobody yet: nothing is divided by none
    volumes = (by_size[1] + 0.5) / (by_size[1] + 0.5).sum()
    # A family of which no source of some volume was seen yet may have one: as background sources are, but rarely.
    every = by_size.sum(axis=0) + 0.5
    rare = size + every / every.sum()
    rare *= size.sum(axis=1, keepdims=True) / rare.sum(axis=1, keepdims=True)
    mixed = (1 - LEAK) * weights + LEAK * np.maximum(popularity, 1e-9)
    held = weights > 0
    return Law(
        _background(
            rows,
            np.log(np.maximum(one, 0.5) / whole),
            np.log(volumes),
            np.log(np.maximum(by_size, 0.5) / whole),
        ),
        _side_by_side(np.log(np.maximum(rare, 1e-9) / whole), -np.inf),
        _side_by_side(np.where(held, np.log(mixed), 0.0), 0.0),
        _side_by_side(held.astype(float), 0.0),
        len(weights),
    )


def _side_by_side(table: np.ndarray, padding: float) -> np.ndarray:
    """Transposed, with the padding."""
    families, length = table.shape
    made = np.full((length, -(-families // _ABREAST) * _ABREAST), padding)
    made[:, :families] = table.T
    return made


@njit(cache=True, nogil=True)
def _background(rows: Packed, one: np.ndarray, volumes: np.ndarray, by_size: np.ndarray) -> np.ndarray:
    density = np.empty(rows.single.shape[0])
    for i in range(density.shape[0]):
        if rows.single[i] >= 0:
            density[i] = one[rows.single[i]] + volumes[rows.volume[i]]
        else:
            density[i] = rows.several[i] + by_size[rows.sizes[i], rows.volume[i]]
    return density


# In what is done for every row, arrays are passed one by one and never cut: each part of an array, and each array of a
# tuple, is counted as in use, which can take longer than the sums. What a loop over the families does not change is
# taken out of the arrays before it, or the loop is not made to take several at a time.


@njit(cache=True, nogil=True)
def _densities(
    density: np.ndarray,
    leaks: np.ndarray,
    first: int,
    last: int,
    at: np.ndarray,
    packets: np.ndarray,
    gain: np.ndarray,
    ways: np.ndarray,
    more: np.ndarray,
    volume: int,
    base: float,
    fewest: int,
    share: np.ndarray,
    weight: np.ndarray,
    held: np.ndarray,
    log_factorial: np.ndarray,
) -> None:
    """Fills ``density`` with the log-densities of a row, with their shares: its entries are ``first`` to ``last``.
    ``leaks`` is room to work in."""
    loud = False
    v = np.uint64(volume)
    for k in range(density.shape[0]):
        density[k] = share[v, k] + base
    for j in range(first, last):
        loud |= more[j] > 0
        u, n, gained, ordered = np.uint64(at[j]), float(packets[j]), gain[j], ways[j]
        # Products and not a choice, which would be made for one family after the other.
        for k in range(density.shape[0]):
            density[k] += n * weight[u, k] + held[u, k] * gained - held[u, k] * ordered
    if not loud:
        every = log_factorial[fewest]
        for k in range(density.shape[0]):
            density[k] += every
        return
    for k in range(density.shape[0]):
        leaks[k] = float(fewest)
    for j in range(first, last):
        u, over = np.uint64(at[j]), float(more[j])
        for k in range(density.shape[0]):
            leaks[k] += over * held[u, k]
    for k in range(density.shape[0]):
        density[k] += log_factorial[int(leaks[k])]


@njit(cache=True, nogil=True)
def _highest(density: np.ndarray, background: float) -> float:
    # Four at a time: each comparison waits for the one before.
    a = b = c = d = background
    for k in range(0, density.shape[0], 4):
        a, b = max(a, density[k]), max(b, density[k + 1])
        c, d = max(c, density[k + 2]), max(d, density[k + 3])
    return max(a, b, c, d)


@njit(cache=True, nogil=True)
def _above(density: np.ndarray, floor: float, left: np.ndarray) -> int:
    """Fills ``left`` with the families above ``floor``, and gives their number."""
    count = 0
    for k in range(density.shape[0]):
        left[count] = np.uint64(k)
        count += density[k] > floor
    return count


@njit(cache=True, nogil=True)
def _shares(
    density: np.ndarray, background: float, high: float, left: np.ndarray, share: np.ndarray
) -> tuple[int, float]:
    """Fills ``left`` with the families that are left and ``share`` with what they have of a row, before it is divided
    by the sum; gives their number and this sum."""
    count = _above(density, high - _NOTHING, left)
    mass = np.exp(background - high)
    for n in range(count):
        share[n] = np.exp(density[left[n]] - high)
        mass += share[n]
    return count, mass


@njit(cache=True, nogil=True)
def _room(law: Law) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Density, packets that leak, families left and their shares, of a row."""
    width = law.share.shape[1]
    return np.empty(width), np.empty(width), np.empty(width + 1, np.uint64), np.empty(width)


@njit(cache=True, nogil=True)
def _step(
    rows: Packed,
    law: Law,
    log_factorial: np.ndarray,
    size: np.ndarray,
    packets: np.ndarray,
    sources: np.ndarray,
    one: np.ndarray,
    by_size: np.ndarray,
) -> float:
    begin, at, sent, gain, ways, more = rows.begin, rows.at, rows.weight, rows.gain, rows.ways, rows.more
    base, fewest, volume = rows.base, rows.leaks, rows.volume
    prior, weight, held = law.share, law.weight, law.held
    background, times, single, sizes = law.background, rows.times, rows.single, rows.sizes
    density, leaks, left, share = _room(law)
    total = 0.0
    for i in range(begin.shape[0] - 1):
        mine = 1.0
        if begin[i] == begin[i + 1]:
            total += times[i] * background[i]
        else:
            _densities(
                density, leaks, begin[i], begin[i + 1], at, sent, gain, ways, more, volume[i], base[i], fewest[i],
                prior, weight, held, log_factorial,
            )  # fmt: skip
            high = _highest(density, background[i])
            count, mass = _shares(density, background[i], high, left, share)
            total += times[i] * (high + np.log(mass))
            mine = np.exp(background[i] - high) / mass
            for n in range(count):
                share[n] = times[i] * (share[n] / mass)
                size[volume[i], left[n]] += share[n]
            for j in range(begin[i], begin[i + 1]):
                u, number = np.uint64(at[j]), float(sent[j])
                for n in range(count):
                    if weight[u, left[n]] < 0.0:
                        packets[u, left[n]] += share[n] * number
                        sources[u, left[n]] += share[n]
        if single[i] >= 0:
            one[single[i]] += mine * times[i]
        by_size[sizes[i], volume[i]] += mine * times[i]
    return total


class Step(NamedTuple):
    """What a round of EM gives: ``size`` (families, volumes), expected sources; ``packets`` and ``sources`` (families,
    ports); the background's ``tally``; the ``log_likelihood``."""

    size: np.ndarray
    packets: np.ndarray
    sources: np.ndarray
    tally: Tally
    log_likelihood: float


def step(rows: Packed, law: Law) -> Step:
    """One round of EM."""
    size, packets, sources = (np.zeros(table.shape) for table in (law.share, law.weight, law.weight))
    one, by_size = np.zeros(len(rows.codes)), np.zeros((PORTS + 1, VOLUMES))
    total = _step(rows, law, LOG_FACTORIAL, size, packets, sources, one, by_size)
    size, packets, sources = (
        np.ascontiguousarray(table[:, : law.families].T) for table in (size, packets, sources)
    )
    return Step(size, packets, sources, Tally(one, by_size), total)


@njit(cache=True, nogil=True)
def _judge(
    rows: Packed,
    law: Law,
    log_factorial: np.ndarray,
    of_family: np.ndarray,
    port: np.ndarray,
    log_miss: np.ndarray,
    worth: np.ndarray,
    due: np.ndarray,
) -> None:
    begin, at, sent, gain, ways, more = rows.begin, rows.at, rows.weight, rows.gain, rows.ways, rows.more
    base, fewest, volume = rows.base, rows.leaks, rows.volume
    prior, weight, held = law.share, law.weight, law.held
    background, times = law.background, rows.times
    density, leaks, left, share = _room(law)
    for i in range(begin.shape[0] - 1):
        if begin[i] == begin[i + 1]:
            continue
        _densities(
            density, leaks, begin[i], begin[i + 1], at, sent, gain, ways, more, volume[i], base[i], fewest[i],
            prior, weight, held, log_factorial,
        )  # fmt: skip
        high = _highest(density, background[i])
        count, mass = _shares(density, background[i], high, left, share)
        for n in range(count):
            k, mine = left[n], share[n] / mass
            if mine < 0.999999:
                worth[k] -= times[i] * np.log(1.0 - mine)
            else:
                worth[k] += times[i] * _lost(density, k, background[i], high, mass)
            if mine > _SOME:
                inside = 0.0
                for j in range(begin[i], begin[i + 1]):
                    if weight[at[j], k] < 0.0:
                        inside += sent[j]
                for u in range(of_family[k], of_family[k + 1]):
                    due[k, port[u]] += times[i] * mine * (1.0 - np.exp(inside * log_miss[u]))


@njit(cache=True, nogil=True)
def _lost(density: np.ndarray, without: np.uint64, background: float, high: float, mass: float) -> float:
    """Log-likelihood that a source loses without one family, where the others have next to nothing."""
    other = background
    for k in range(density.shape[0]):
        if np.uint64(k) != without:
            other = max(other, density[k])
    lost: float = high + np.log(mass) - other
    return lost


def judge(rows: Packed, law: Law, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(worth, due) under the law of these ``weights``: log-likelihood lost without each family; sources of it that
    should have each port by its weight, (families, ports)."""
    families, ports = weights.shape
    family, port = np.nonzero(weights > 0)
    of_family = np.searchsorted(family, np.arange(families + 1))
    log_miss = np.log1p(-np.minimum(weights, 1 - 1e-9))[family, port]
    worth, due = np.zeros(families), np.zeros((families, ports))
    _judge(rows, law, LOG_FACTORIAL, of_family, port, log_miss, worth, due)
    return worth, due


@njit(cache=True, nogil=True)
def _place(
    rows: Packed,
    law: Law,
    log_factorial: np.ndarray,
    best: np.ndarray,
    posterior: np.ndarray,
    of_background: np.ndarray,
) -> None:
    begin, at, sent, gain, ways, more = rows.begin, rows.at, rows.weight, rows.gain, rows.ways, rows.more
    base, fewest, volume = rows.base, rows.leaks, rows.volume
    prior, weight, held = law.share, law.weight, law.held
    background = law.background
    density, leaks, left, share = _room(law)
    for i in range(begin.shape[0] - 1):
        best[i] = -1
        if begin[i] == begin[i + 1]:
            posterior[i] = of_background[i] = 1.0
            continue
        _densities(
            density, leaks, begin[i], begin[i + 1], at, sent, gain, ways, more, volume[i], base[i], fewest[i],
            prior, weight, held, log_factorial,
        )  # fmt: skip
        high = background[i]
        for k in range(density.shape[0]):
            if density[k] > high:
                high, best[i] = density[k], k
        _, mass = _shares(density, background[i], high, left, share)
        posterior[i] = 1.0 / mass
        of_background[i] = np.exp(background[i] - high) / mass


class Placed(NamedTuple):
    """Of each source the ``best`` family (-1: the background is likelier than any), its ``posterior`` and that
    ``of_background``."""

    best: np.ndarray
    posterior: np.ndarray
    of_background: np.ndarray


def place(rows: Packed, law: Law) -> Placed:
    """Where each source belongs."""
    count = len(rows.sizes)
    placed = Placed(np.zeros(count, np.int64), np.zeros(count), np.zeros(count))
    _place(rows, law, LOG_FACTORIAL, *placed)
    return placed
