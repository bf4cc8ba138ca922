"""Which sources the operator's lists name: lists of prefixes with the organisation behind each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Listed:
    """For each source: index into ``organisations`` and ``lists``, -1 where no list names it."""

    organisation: np.ndarray  # int64
    which: np.ndarray  # int64
    organisations: tuple[str, ...]
    lists: tuple[str, ...]


class ScannerLists:
    """All lists as one prefix table; the longest prefix wins, then the first list by name.

    >>> table = pa.table({"cidr": ["192.0.2.0/24"], "organisation": ["Example Survey"]})
    >>> found = ScannerLists({"mine 2026-06": table}).find(np.array([0xC0000205, 5], np.uint32))
    >>> found.organisations[found.organisation[0]], found.organisation[1]
    ('Example Survey', np.int64(-1))
    """

    def __init__(self, lists: Mapping[str, pa.Table]) -> None:
        self.unreadable = 0  # entries that are no IPv4 prefix
        self._lists = tuple(sorted(lists))
        organisations: dict[str, int] = {}
        by_length: dict[int, dict[int, tuple[int, int]]] = {}
        for which, name in enumerate(self._lists):
            table = lists[name]
            pairs = zip(table["cidr"].to_pylist(), table["organisation"].to_pylist(), strict=True)
            for cidr, organisation in pairs:
                try:
                    network = ip_network(str(cidr).strip(), strict=False)
                except ValueError:
                    self.unreadable += 1
                    continue
                if not isinstance(network, IPv4Network):
                    continue
                number = organisations.setdefault(str(organisation), len(organisations))
                prefixes = by_length.setdefault(network.prefixlen, {})
                prefixes.setdefault(int(network.network_address) >> (32 - network.prefixlen), (number, which))
        self._organisations = tuple(organisations)
        self._by_length = {
            length: (
                np.array(sorted(prefixes), np.int64),
                np.array([prefixes[prefix] for prefix in sorted(prefixes)], np.int64),
            )
            for length, prefixes in by_length.items()
        }

    def find(self, address: np.ndarray) -> Listed:
        """Look up addresses (uint32)."""
        wide = address.astype(np.int64)
        found = np.full((len(address), 2), -1, np.int64)
        for length in sorted(self._by_length):  # longer prefixes overwrite shorter ones
            prefixes, values = self._by_length[length]
            mine = wide >> (32 - length)
            at = np.minimum(np.searchsorted(prefixes, mine), len(prefixes) - 1)
            hit = prefixes[at] == mine
            found[hit] = values[at[hit]]
        return Listed(found[:, 0], found[:, 1], self._organisations, self._lists)
