"""The ports of a span by the share of networks that sent to them, and the published levels.

Level 1 "attack": at least 10 % of the networks and at least 20 of them; level 2 "survey": at least 10 % but fewer
than 20; level 3: the first port below 10 %, with those that tie; level 4 "one point" in place of these: more than
70 % of the port's packets and of its networks go to one dark address. The shares to one address are counted from
below: packets of networks that sent to that address alone, and networks whose lowest or highest address on the
port it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.darknet.glasso.hosts import Chosen
from andon.detect.darknet.glasso.kernel import UDP_BIT
from andon.detect.darknet.glasso.summary import Counts
from andon.records.packet import PROTO_TCP, PROTO_UDP

LEAST_SHARE: Final = 0.10
LEAST_NETWORKS: Final = 20
ONE_POINT: Final = 0.70
MOST_PORTS: Final = 200
ATTACK, SURVEY, NEXT, ONE = 1, 2, 3, 4


@dataclass(frozen=True)
class Port:
    """A port of a span. ``host`` (int64): networks that sent to it, most packets first, and their ``packets``;
    ``point``: the one dark address, -1 if it is not of level 4."""

    port: int
    protocol: int
    level: int
    share: float
    host: np.ndarray
    packets: np.ndarray
    point: int


def ports_of(summary: Counts, chosen: Chosen) -> tuple[list[Port], int]:
    """(ports with a level, most networks first, at most 200; how many were left out)."""
    host, port, packets, ends = summary.pair_table()
    mine = np.isin(host, chosen.host)
    host, port, packets, ends = host[mine], port[mine], packets[mine], ends[mine]
    number = np.bincount(port, minlength=2 * UDP_BIT)
    total = max(len(chosen.host), 1)
    enough = number >= LEAST_SHARE * total
    below = int(number[~enough].max(initial=0))
    taken = np.flatnonzero((number > 0) & (enough | (number == below)))
    taken = taken[np.lexsort((taken, -number[taken]))]
    left_out = max(len(taken) - MOST_PORTS, 0)
    order = np.lexsort((host, -packets, port))
    bounds = np.searchsorted(port[order], np.arange(2 * UDP_BIT + 1))
    made = []
    for code in taken[:MOST_PORTS].tolist():
        rows = order[bounds[code] : bounds[code + 1]]
        point = _one_point(packets[rows], ends[rows])
        share = len(rows) / total
        level = NEXT if not enough[code] else ATTACK if len(rows) >= LEAST_NETWORKS else SURVEY
        made.append(
            Port(
                port=code & 0xFFFF,
                protocol=PROTO_UDP if code & UDP_BIT else PROTO_TCP,
                level=ONE if point >= 0 else level,
                share=share,
                host=host[rows],
                packets=packets[rows],
                point=point,
            )
        )
    return made, left_out


def _one_point(packets: np.ndarray, ends: np.ndarray) -> int:
    """The dark address that gets more than 70 % of packets and of networks of a port, or -1."""
    alone = ends[:, 0] == ends[:, 1]
    if not alone.any():
        return -1
    address, which = np.unique(ends[alone, 0], return_inverse=True)
    weight = np.bincount(which, packets[alone])
    best = int(np.argmax(weight))
    point = address[best]
    networks = np.count_nonzero((ends[:, 0] == point) | (ends[:, 1] == point))
    if weight[best] > ONE_POINT * packets.sum() and networks > ONE_POINT * len(packets):
        return int(point)
    return -1
