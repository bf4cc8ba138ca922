"""Families of sources by their ports: a mixture of multinomials over a background of independent scanners.

A family is a set of ports with weights; its sources draw the port of every packet by them, with a leak of five percent
to other ports, as often as the background scans them (an address has other hosts behind it). The background scans
one port per source, or several that have nothing to do with one another (``chance``). Maximum likelihood by EM
(Dempster, Laird, Rubin, J. R. Stat. Soc. B 39, 1977), started from the sets that stand out (``candidates``); a family
stays if the likelihood it adds is worth its description (Rissanen, Automatica 14, 1978: half a log of the number of
sources for each weight, and the log of the number of ports for each port).

How many packets a source sends tells families apart too: each has its own distribution over powers of two, and so has
the background, else every faint scanner of a busy port would be divided among the families that have the port.

Nothing is drawn at random: rows in order of address, starts in order of their surprise.

Rows are those of ``rows``, the walks over them those of ``walk``; which families are none of their own is in ``prune``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.portsets.candidates import Candidates
from andon.detect.darknet.portsets.chance import Popularity
from andon.detect.darknet.portsets.kernel import CODES
from andon.detect.darknet.portsets.prune import foreign, join, odd_ports
from andon.detect.darknet.portsets.rows import LEAK, VOLUMES, Packed, Rows, rows_of
from andon.detect.darknet.portsets.scanners import Scanners
from andon.detect.darknet.portsets.starts import MOST_PACKETS, starts_of
from andon.detect.darknet.portsets.walk import (
    Law,
    Placed,
    Step,
    Tally,
    all_background,
    judge,
    law_of,
    place,
    step,
)

_LEAST_WEIGHT = 0.004
_LEAST_SOURCES = 3.0
_ABOVE_LEAK = 3.0
_ROUNDS, _ENOUGH = 40, 1e-6


@dataclass(frozen=True)
class Mixture:
    """``ports`` are codes; ``weights`` (families, ports) sum to one in each row; ``size`` (families,
    volumes): expected sources. Of the background ``singles``: expected sources by code; ``by_size``: by number of
    ports and volume. ``popularity``: what leaks, share of packets by code."""

    ports: np.ndarray
    weights: np.ndarray
    size: np.ndarray
    singles: np.ndarray
    by_size: np.ndarray
    popularity: np.ndarray  # float64[CODES], share of packets of each code

    def __len__(self) -> int:
        return len(self.size)

    def sets(self) -> list[tuple[int, ...]]:
        """The set of ports of each family."""
        return [tuple(self.ports[row > 0].tolist()) for row in self.weights]


def popular(scanners: Scanners) -> np.ndarray:
    """float64[CODES]: share of each code in the packets of these sources, of which at most 48 count of a port."""
    packets = np.bincount(scanners.codes, np.minimum(scanners.counts, MOST_PACKETS), minlength=CODES)
    shares: np.ndarray = packets / max(float(packets.sum()), 1.0)
    return shares


def fit(
    scanners: Scanners,
    found: Candidates,
    chosen: np.ndarray,
    by_class: list[Popularity],
    popularity: np.ndarray,
) -> Mixture:
    """The families among these sources; ``chosen``: the candidates that stand out (a mask); ``popularity``: share of
    each code in the packets that leak."""
    starts, size = starts_of(scanners, found, chosen)
    ports = np.array(sorted({code for start in starts for code in start}), np.int64)
    rows = rows_of(scanners, ports, popularity, by_class).grouped().packed()
    weights = np.zeros((len(starts), len(ports)))
    for k, start in enumerate(starts):
        weights[k, np.searchsorted(ports, list(start))] = list(start.values())
    ways = float(np.log(max(2.0, len(np.unique(scanners.codes)))))
    volumes = np.bincount(rows.volume, rows.times, minlength=VOLUMES) / max(1.0, float(rows.times.sum()))
    return _em(rows, ports, weights, np.array(size, float)[:, None] * volumes, popularity, ways)


def _em(
    rows: Packed,
    ports: np.ndarray,
    weights: np.ndarray,
    size: np.ndarray,
    popularity: np.ndarray,
    ways: float,
) -> Mixture:
    """EM to a standstill; then the family that is least worth its description goes, and so on."""
    count = float(rows.times.sum())
    tally, shares = all_background(rows), popularity[ports]
    while True:
        law, used, seen, weights = _converge(rows, weights, size, tally, shares)
        size, tally = seen.size, seen.tally
        worth, due = judge(rows, law, used)
        odd = odd_ports(weights, seen.sources, due)
        if odd.any():
            weights = np.where(odd, 0.0, weights)
            alive = (weights > 0).sum(axis=1) >= 2
            weights, size = weights[alive], size[alive]
            weights /= weights.sum(axis=1, keepdims=True)
            continue
        weights, size, merged = join(weights, size)
        if merged:
            continue
        none = foreign(weights, size.sum(axis=1), shares)
        if none < 0:
            cost = (weights > 0).sum(axis=1) * (0.5 * np.log(max(count, 2)) + ways)
            least = int(np.argmin(worth - cost)) if len(weights) else -1
            none = least if least >= 0 and worth[least] < cost[least] else -1
        if none < 0:
            break
        weights, size = np.delete(weights, none, 0), np.delete(size, none, 0)
    singles = np.zeros(CODES)
    singles[rows.codes] = tally.one
    held = (weights > 0).any(axis=0)
    return Mixture(ports[held], weights[:, held], size, singles, tally.by_size, popularity)


def _converge(
    rows: Packed, weights: np.ndarray, size: np.ndarray, tally: Tally, popularity: np.ndarray
) -> tuple[Law, np.ndarray, Step, np.ndarray]:
    """(law and weights of the last walk, what it gave, weights) at the maximum; families that starve go."""
    count = float(rows.times.sum())
    before = -np.inf
    while True:
        for _ in range(_ROUNDS):
            law = law_of(rows, weights, size, tally, popularity)
            seen = step(rows, law)
            tally, size = seen.tally, seen.size
            new, alive = _maximise(seen, popularity)
            if not alive.all():
                break
            used = weights
            if seen.log_likelihood - before < _ENOUGH * count:
                return law, used, seen, weights
            before, weights = seen.log_likelihood, new
        else:
            return law, used, seen, weights
        weights, size, before = new[alive], size[alive], -np.inf


def _maximise(seen: Step, popularity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(new weights, families that have two ports left). A port with little more than leaks would give is none."""
    packets = np.where(seen.sources >= _LEAST_SOURCES, seen.packets, 0.0)
    weights = packets / np.maximum(packets.sum(axis=1, keepdims=True), 1e-12)
    weights = np.where(weights >= np.maximum(_LEAST_WEIGHT, _ABOVE_LEAK * LEAK * popularity), weights, 0.0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return weights, (weights > 0).sum(axis=1) >= 2


def assign(mixture: Mixture, rows: Rows, times: float) -> Placed:
    """Where sources belong under a mixture that was fitted to one in ``times`` of them."""
    packed = rows.packed()
    tally = Tally(mixture.singles[packed.codes] * times, mixture.by_size * times)
    law = law_of(packed, mixture.weights, mixture.size * times, tally, mixture.popularity[mixture.ports])
    return place(packed, law)
