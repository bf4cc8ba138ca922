"""Sources of one /24 that behave as one: the mark of an organisation with a block of its own.

In a /24 with at least four sources of 20 packets or more (over the days remembered), those whose number of
packets is within a factor 1.5 of the median are *alike* if they are at least four and 60 % of all, and if
their hours agree: with n packets on average, a source that shared all W ten-minute slots in which any of
them was active would be seen in W (1 - exp(-n/W)) of them; a quarter of that is asked for, since
retransmissions come together. Infected homes that share a /24 differ far more in their volume. Alike
sources are also judged together: packets summed, ports united.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.purpose.profile import Sources, ones

_LEAST_PACKETS = 20
_LEAST_SOURCES = 4
_LEAST_SHARE = 0.6
_FACTOR = 1.5
_LEAST_OVERLAP = 0.25


@dataclass(frozen=True)
class Neighbours:
    """For each source: how many alike sources its /24 has (0: it is not one of such), and of all of them
    together the packets, the number of ports (estimated) and the share of packets to ports mostly
    attacked."""

    alike: np.ndarray  # int64
    packets: np.ndarray  # int64
    ports: np.ndarray  # float64
    attacked: np.ndarray  # float64


def find(sources: Sources, ever: np.ndarray, excluded: np.ndarray) -> Neighbours:
    """``ever`` (int64): packets of each source over the days remembered; ``excluded`` (bool): sources known
    to run malware, which are left out."""
    size = len(sources)
    alike, packets = np.zeros(size, np.int64), np.zeros(size, np.int64)
    ports, attacked = np.zeros(size), np.zeros(size)
    able = np.flatnonzero((ever >= _LEAST_PACKETS) & ~excluded)
    net = sources.address[able] >> 8
    edges = np.flatnonzero(net[1:] != net[:-1]) + 1
    start, stop = np.r_[0, edges], np.r_[edges, len(net)]
    for a, b in zip(start.tolist(), stop.tolist(), strict=True):
        if b - a < _LEAST_SOURCES:
            continue
        rows = able[a:b]
        volume = np.log(ever[rows])
        rows = rows[np.abs(volume - np.median(volume)) <= np.log(_FACTOR)]
        if len(rows) < max(_LEAST_SOURCES, _LEAST_SHARE * (b - a)):
            continue
        union = int(ones(np.bitwise_or.reduce(sources.slots[rows], axis=0, keepdims=True))[0])
        shared = union * -np.expm1(-sources.packets[rows].mean() / union)
        if sources.active[rows].mean() < _LEAST_OVERLAP * shared:
            continue
        alike[rows] = len(rows)
        packets[rows] = sources.packets[rows].sum()
        ports[rows] = _united(sources, rows)
        attacked[rows] = sources.attacked[rows].sum() / sources.packets[rows].sum()
    return Neighbours(alike, packets, ports, attacked)


def _united(sources: Sources, rows: np.ndarray) -> float:
    """Ports of several sources together: single ports are told apart exactly, wide sets count by the
    largest of them."""
    single = sources.low[rows] == sources.high[rows]
    known = len(np.unique(np.r_[sources.low[rows], sources.high[rows]]))
    return float(max(known, sources.ports[rows][~single].max(initial=0.0)))
