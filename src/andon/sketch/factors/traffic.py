"""The cells of one span and protocol, ready to be factorised: who is left out, which networks and ports there are.

"Host" is what the published methods call a column: a /16 network of the source by default (``octets`` 2), a /24 (3)
or an address (4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from andon.records.packet import PROTO_TCP, PROTO_UDP
from andon.sketch.factors.cells import MINUTES, Cells

MINUTE = 60_000_000_000


@dataclass(frozen=True)
class Traffic:
    """Cells of one protocol within a span, one row per (minute, source, port), all int64 but ``one``.

    ``one``: -1, or the dark address if all packets of the cell went to it."""

    protocol: int
    start: int  # ns
    minutes: int  # of the span
    minute: np.ndarray  # from 0
    source: np.ndarray
    port: np.ndarray
    packets: np.ndarray
    one: np.ndarray

    def __len__(self) -> int:
        return len(self.minute)

    def take(self, which: np.ndarray) -> Traffic:
        """Those cells only (mask or indices)."""
        cut = [array[which] for array in (self.minute, self.source, self.port, self.packets, self.one)]
        return Traffic(self.protocol, self.start, self.minutes, *cut)

    def host(self, octets: int = 2) -> np.ndarray:
        """Network of each cell's source: its first octets, as a number."""
        return self.source >> (8 * (4 - octets))

    def without_ports(self, ports: Sequence[int]) -> Traffic:
        return self.take(~np.isin(self.port, np.asarray(ports, np.int64))) if len(ports) else self

    def without_sources(self, sources: np.ndarray) -> Traffic:
        """Without these addresses (any integer type)."""
        return self.take(~np.isin(self.source, sources.astype(np.int64))) if len(sources) else self


def traffic(cells: Cells, start: int, end: int, protocol: int) -> Traffic:
    """The cells of a protocol between two times (ns, whole minutes, at most a day apart)."""
    keys, columns = cells.rows.table()
    minute = (keys >> np.uint64(49)).astype(np.int64) - 1
    minutes = min((end - start) // MINUTE, MINUTES)
    minute = (minute - (start // MINUTE) % MINUTES) % MINUTES
    udp = (keys >> np.uint64(48) & np.uint64(1)).astype(np.bool_)
    mine = (udp == (protocol == PROTO_UDP)) & (minute < minutes)
    keys = keys[mine]
    ever = columns["bits"][mine]
    return Traffic(
        protocol=protocol,
        start=int(start),
        minutes=int(minutes),
        minute=minute[mine],
        source=(keys & np.uint64(0xFFFFFFFF)).astype(np.int64),
        port=(keys >> np.uint64(32) & np.uint64(0xFFFF)).astype(np.int64),
        packets=columns["packets"][mine].astype(np.int64),
        one=np.where(ever[:, 0] & ever[:, 1], -1, ever[:, 0].astype(np.int64)),
    )


def protocols(udp: bool) -> tuple[int, ...]:
    return (PROTO_TCP, PROTO_UDP) if udp else (PROTO_TCP,)


@dataclass(frozen=True)
class Pairs:
    """Which hosts asked for which ports in a span: distinct pairs, as indices into ``hosts`` and ``ports``."""

    hosts: np.ndarray  # int64, ascending
    ports: np.ndarray
    host_at: np.ndarray  # of each pair
    port_at: np.ndarray

    def hosts_of_ports(self) -> np.ndarray:
        """Number of hosts of each port (int64)."""
        return np.bincount(self.port_at, minlength=len(self.ports))


def pairs(cells: Traffic, octets: int = 2) -> Pairs:
    """The distinct (host, port) of the cells."""
    hosts, host_at = np.unique(cells.host(octets), return_inverse=True)
    ports, port_at = np.unique(cells.port, return_inverse=True)
    codes = np.unique(host_at.astype(np.int64) * max(len(ports), 1) + port_at)
    return Pairs(hosts, ports, codes // max(len(ports), 1), codes % max(len(ports), 1))


def asked(pairs: Pairs, hosts: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Of each port and group the number of hosts that asked for it, int64 (ports, groups). ``hosts``: ascending;
    ``members``: bool (hosts, groups). Pairs of other hosts count for nothing."""
    from scipy.sparse import csr_matrix

    column = np.minimum(np.searchsorted(hosts, pairs.hosts), len(hosts) - 1)
    mine = (hosts[column] == pairs.hosts)[pairs.host_at]
    matrix = csr_matrix(
        (np.ones(int(mine.sum()), np.int32), (pairs.port_at[mine], column[pairs.host_at[mine]])),
        shape=(len(pairs.ports), len(hosts)),
    )
    return np.asarray(matrix @ members.astype(np.int32), np.int64)
