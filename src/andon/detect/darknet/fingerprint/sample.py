"""The packets a search works on: a bounded sample, grouped by source.

What the layers of the search agree on. The engine makes a ``Sample`` from its summary; tests make one from arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Packet-record columns a sample carries, in header order. All TCP SYN packets of IPv4.
COLUMNS = ("dst", "ip_id", "ttl", "ip_len", "src_port", "dst_port", "tcp_seq", "tcp_ack", "tcp_window")


@dataclass(frozen=True)
class Sample:
    """``src``: uint32, distinct sources ascending. ``starts``: int64, len(src) + 1: rows of source i are
    ``starts[i]:starts[i + 1]``, in arrival order. ``columns``: arrays of equal length in their wire types, by
    packet-record name, and ``ts`` (int64 ns). ``packets``: int64, how many packets each source sent in all (>= rows
    in the sample)."""

    src: np.ndarray
    starts: np.ndarray
    columns: Mapping[str, np.ndarray]
    packets: np.ndarray

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    @property
    def of_row(self) -> np.ndarray:
        """For each row the index of its source."""
        return np.repeat(np.arange(len(self.src)), np.diff(self.starts))

    @classmethod
    def of_packets(cls, columns: Mapping[str, np.ndarray], most: int = 1 << 62) -> Sample:
        """A sample of all the packets given (columns with ``src`` and ``ts``), the earliest ``most`` per source."""
        order = np.lexsort((columns["ts"], columns["src"]))
        src, starts = np.unique(columns["src"][order], return_index=True)
        counts = np.diff(np.r_[starts, len(order)])
        rank = np.arange(len(order)) - np.repeat(starts, counts)
        kept = order[rank < most]
        sizes = np.minimum(counts, most)
        return cls(
            src=src,
            starts=np.r_[0, np.cumsum(sizes)].astype(np.int64),
            columns={name: columns[name][kept] for name in (*COLUMNS, "ts")},
            packets=counts.astype(np.int64),
        )


@dataclass(frozen=True)
class Family:
    """A relation that many sources share. ``relation`` is a canonical expression of ``records.expression`` (with
    ``key16`` or ``key32`` when ``scope`` is "session"); ``sources`` are indices into ``Sample.src`` of the sources that
    carry it; ``bits`` is -log2 of the share of unrelated packets that satisfy it; ``layer`` names the layer that
    found it; ``proven`` maps a field to the mask of its bits that varied among the evidence."""

    relation: str
    scope: str
    sources: np.ndarray
    bits: float
    layer: str
    proven: Mapping[str, int]
