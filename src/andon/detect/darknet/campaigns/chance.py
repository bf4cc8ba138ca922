"""How many packets of a check come from others: what unrelated senders ask for on the same ports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from andon.detect.darknet.campaigns.profile import Profiles, kind_of


class Others:
    """Packets of a day by kind and port, estimated from the drawn packets of each source."""

    def __init__(self, day: Profiles) -> None:
        self._day = day
        there = day.ports >= 0
        self._each = day.packets / np.maximum(there.sum(axis=1), 1)
        self._kind = np.array([kind_of(int(k)) if k >= 0 else 3 for k in np.unique(day.klass)], np.int64)
        self._kind = self._kind[np.unique(day.klass, return_inverse=True)[1]]
        rows, slots = np.nonzero(there)
        self._by_port = np.bincount(
            self._kind[rows] << 16 | day.ports[rows, slots], self._each[rows], minlength=4 << 16
        )

    def on_ports(self, klass: int, ports: Sequence[int], members: np.ndarray) -> float:
        """Packets of sources that are no members on these ports, whatever their header; on all if there are none."""
        kind = kind_of(klass)
        if ports:
            total = float(self._by_port[[kind << 16 | port for port in ports]].sum())
        else:
            total = float(self._by_port[kind << 16 : (kind + 1) << 16].sum())
        return max(total - self._sum(members, ports), 0.0) * self._day.one_in

    def of_class(self, klass: int, ports: Sequence[int], members: np.ndarray) -> float:
        """The same of sources of the same header class only."""
        rows = np.flatnonzero(self._day.klass == klass)
        return max(self._sum(rows, ports) - self._sum(members, ports), 0.0) * self._day.one_in

    def _sum(self, rows: np.ndarray, ports: Sequence[int]) -> float:
        drawn = self._day.ports[rows]
        wanted = np.isin(drawn, ports) if ports else drawn >= 0
        return float((wanted.sum(axis=1) * self._each[rows]).sum())
