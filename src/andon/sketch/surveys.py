"""Which sources are known to be survey scanners: by the operator's lists, and by ``darknet.purpose``."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network

import numpy as np
import pyarrow as pa


class Listed:
    """Addresses in the operator's lists of acknowledged scanners (tables with a column ``cidr``).

    ``low`` and ``high`` (uint32, ascending, inclusive) are disjoint ranges; ``by_network`` (uint8, 65536) is 1 for
    each /16 with some listed address, to be asked for every packet. ``unreadable`` counts entries that are no prefix.

    >>> listed = Listed({"mine": pa.table({"cidr": ["192.0.2.0/24", "?"]})})
    >>> listed.find(np.array([0xC0000205, 5])).tolist(), int(listed.by_network[0xC000]), listed.unreadable
    ([True, False], 1, 1)
    """

    def __init__(self, lists: Mapping[str, pa.Table]) -> None:
        self.unreadable = 0
        ranges: list[tuple[int, int]] = []
        for name in sorted(lists):
            for cidr in lists[name]["cidr"].to_pylist():
                try:
                    network = ip_network(str(cidr).strip(), strict=False)
                except ValueError:
                    self.unreadable += 1
                    continue
                if isinstance(network, IPv4Network):
                    ranges.append((int(network.network_address), int(network.broadcast_address)))
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        self.low = np.array([low for low, _ in merged], np.uint32)
        self.high = np.array([high for _, high in merged], np.uint32)
        self._edges = np.array([(low, high + 1) for low, high in merged], np.int64).ravel()
        self.by_network = np.zeros(1 << 16, np.uint8)
        for low, high in merged:
            self.by_network[low >> 16 : (high >> 16) + 1] = 1

    def find(self, address: np.ndarray) -> np.ndarray:
        """Which of the addresses (any integer type) are listed (bool)."""
        return np.asarray(np.searchsorted(self._edges, address.astype(np.int64), "right") % 2 == 1)


def surveys(table: pa.Table | None) -> np.ndarray:
    """Addresses that ``darknet.purpose:sources`` calls a survey (int64, in the order of the table)."""
    if table is None or not table.num_rows:
        return np.empty(0, np.int64)
    purpose = np.array(table["purpose"].to_pylist(), dtype=object)
    return np.asarray(table["src"].to_numpy()[purpose == "survey"], np.int64)
