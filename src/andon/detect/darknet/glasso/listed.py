"""Which sources the operator's lists of acknowledged scanners name, quick enough to ask for every packet."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network

import numpy as np
import pyarrow as pa


class Listed:
    """All prefixes of all lists as disjoint ranges of addresses.

    ``by_network`` (uint8, 65536) is 0 for a /16 without a listed address, 1 for one with some; ``low`` and ``high``
    (uint32, ascending, inclusive) are the ranges. ``unreadable`` counts entries that are no prefix.

    >>> lists = Listed({"mine": pa.table({"cidr": ["192.0.2.0/24", "?"], "organisation": ["A", "B"]})})
    >>> int(lists.by_network[0xC000]), lists.unreadable
    (1, 1)
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
        self.by_network = np.zeros(1 << 16, np.uint8)
        for low, high in merged:
            self.by_network[low >> 16 : (high >> 16) + 1] = 1
