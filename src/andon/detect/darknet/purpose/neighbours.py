"""Sources of one /24 that behave as one: the mark of an organisation with a block of its own.

In a /24 with at least four sources of five packets or more, those whose number of packets is within a
factor 1.5 of the median are *alike* if they are at least four and 60 % of all, and were active in about the
same ten-minute slots (mean number of active slots over the number of slots in which any was active >= 0.5).
Infected homes that share a /24 differ far more in their volume. Alike sources are also judged together:
their packets summed, their ports united.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.purpose.profile import Sources, ones

_LEAST_PACKETS = 5
_LEAST_SOURCES = 4
_LEAST_SHARE = 0.6
_FACTOR = 1.5
_LEAST_OVERLAP = 0.5


@dataclass(frozen=True)
class Neighbours:
    """For each source: how many alike sources its /24 has (0: it is not one of such), and of all of them
    together the packets and the (estimated, at most summed) number of ports."""

    alike: np.ndarray  # int64
    packets: np.ndarray  # int64
    ports: np.ndarray  # float64


def find(sources: Sources, excluded: np.ndarray) -> Neighbours:
    """``excluded`` (bool): sources known to run malware, which are left out."""
    size = len(sources)
    alike, packets, ports = np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size)
    able = np.flatnonzero((sources.packets >= _LEAST_PACKETS) & ~excluded)
    net = sources.address[able] >> 8
    edges = np.flatnonzero(net[1:] != net[:-1]) + 1
    start, stop = np.r_[0, edges], np.r_[edges, len(net)]
    for a, b in zip(start.tolist(), stop.tolist(), strict=True):
        if b - a < _LEAST_SOURCES:
            continue
        rows = able[a:b]
        volume = np.log(sources.packets[rows])
        rows = rows[np.abs(volume - np.median(volume)) <= np.log(_FACTOR)]
        if len(rows) < max(_LEAST_SOURCES, _LEAST_SHARE * (b - a)):
            continue
        union = np.bitwise_or.reduce(sources.slots[rows], axis=0)
        if sources.active[rows].mean() < _LEAST_OVERLAP * ones(union[None, :])[0]:
            continue
        alike[rows] = len(rows)
        packets[rows] = sources.packets[rows].sum()
        ports[rows] = _united(sources, rows)
    return Neighbours(alike, packets, ports)


def _united(sources: Sources, rows: np.ndarray) -> float:
    """Ports of several sources together: single ports are told apart exactly, wide sets count by the
    largest of them."""
    single = sources.low[rows] == sources.high[rows]
    known = len(np.unique(np.r_[sources.low[rows], sources.high[rows]]))
    return float(max(known, sources.ports[rows][~single].max(initial=0.0)))
