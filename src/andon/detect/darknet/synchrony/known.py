"""What lists and other engines know of sources: survey scanners, fingerprints, tools, port sets."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network

import numpy as np
import pyarrow as pa

_MOST_SHARE = 0.3  # of the sources must carry a name for it to be told


class Listed:
    """Which addresses the operator's lists of acknowledged scanners name."""

    def __init__(self, lists: Mapping[str, pa.Table]) -> None:
        by_length: dict[int, set[int]] = {}
        for name in sorted(lists):
            for cidr in lists[name]["cidr"].to_pylist():
                try:
                    network = ip_network(str(cidr).strip(), strict=False)
                except ValueError:
                    continue  # darknet.purpose says how many entries are unreadable
                if isinstance(network, IPv4Network):
                    shift = 32 - network.prefixlen
                    by_length.setdefault(shift, set()).add(int(network.network_address) >> shift)
        self._prefixes = {
            shift: np.array(sorted(found), np.int64) for shift, found in sorted(by_length.items())
        }

    def find(self, source: np.ndarray) -> np.ndarray:
        """bool for each address (int64)."""
        found = np.zeros(len(source), np.bool_)
        for shift, prefixes in self._prefixes.items():
            found |= np.isin(source >> shift, prefixes)
        return found


def surveys(purposes: pa.Table | None) -> np.ndarray:
    """Addresses (int64, ascending) that ``darknet.purpose`` calls survey scanners."""
    if purposes is None or not purposes.num_rows:
        return np.zeros(0, np.int64)
    chosen = np.array([p == "survey" for p in purposes["purpose"].to_pylist()], np.bool_)
    return np.unique(purposes["src"].to_numpy()[chosen].astype(np.int64))


def shared_name(table: pa.Table | None, column: str, sources: np.ndarray) -> tuple[str, float]:
    """(name, share) that most of the sources (int64, ascending) have in a table with columns ``src`` and ``column``;
    ("", 0) if none has a clear share."""
    if table is None or not table.num_rows or not len(sources) or column not in table.schema.names:
        return "", 0.0
    src = table["src"].to_numpy().astype(np.int64)
    rows = np.flatnonzero(np.isin(src, sources))
    if not len(rows):
        return "", 0.0
    names = np.array([str(x) for x in table[column].take(pa.array(rows)).to_pylist()], dtype=object)
    found, place = np.unique(names, return_inverse=True)
    # A source may stand in several rows of one name.
    pairs = np.unique(np.stack([place, src[rows]], axis=1), axis=0)
    count = np.bincount(pairs[:, 0], minlength=len(found))
    count[found == ""] = 0
    best = int(np.argmax(count))
    share = float(count[best]) / len(sources)
    return (str(found[best]), share) if share >= _MOST_SHARE else ("", 0.0)
