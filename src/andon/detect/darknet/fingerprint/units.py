"""What is looked at together: the rows of one source that one program seems to have sent.

An address often speaks with several voices (a NAT, several infections, foreign packets), and one foreign row hides
every bit relation. Programs differ in TTL, header length (options) and window, so a source's rows are split by
these in several ways and each part that is large enough is searched by itself. Retransmissions say nothing new and
are left out: of the packets that share ports, addresses and sequence number, the first counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .sample import Sample
from .verify import Rows

MOST_ROWS = 128


@dataclass(frozen=True)
class Units:
    """``rows[starts[u]:starts[u + 1]]`` are the rows of unit u, in arrival order; ``source`` its source's index."""

    source: np.ndarray
    starts: np.ndarray
    rows: np.ndarray

    @classmethod
    def none(cls) -> Units:
        """No units."""
        return cls(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))

    def chosen(self, which: np.ndarray) -> Units:
        """The given units alone."""
        parts = [self.rows[self.starts[u] : self.starts[u + 1]] for u in which.tolist()]
        rows = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return Units(self.source[which], np.r_[0, np.cumsum(self.sizes[which])], rows)

    @property
    def sizes(self) -> np.ndarray:
        sizes: np.ndarray = np.diff(self.starts)
        return sizes


def fresh_rows(sample: Sample) -> np.ndarray:
    """Indices of rows that do not repeat (destination, ports, sequence number) of an earlier row of their source."""
    c = sample.columns
    mixed = c["dst"].astype(np.uint64) << np.uint64(32) | c["tcp_seq"].astype(np.uint64)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed += c["src_port"].astype(np.uint64) << np.uint64(16) | c["dst_port"].astype(np.uint64)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    mixed += sample.of_row.astype(np.uint64) * np.uint64(0x94D049BB133111EB)
    first: np.ndarray = np.sort(np.unique(mixed, return_index=True)[1])
    return first


def make_units(packets: Rows, rows: np.ndarray, least: int) -> Units:
    """All units with at least ``least`` rows, made of ``rows`` (ascending indices)."""
    source = packets.source[rows]
    ttl = packets.columns["ttl"][rows].astype(np.int64)
    length = packets.columns["ip_len"][rows].astype(np.int64) & 0xFF
    window = packets.columns["tcp_window"][rows].astype(np.int64)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    seen: set[tuple[int, int, int]] = set()
    for key in (
        source << 32 | ttl << 24 | length << 16 | window,
        source << 32 | ttl << 24 | length << 16,
        source << 32 | length << 16 | window,
        source << 32,
    ):
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        first = (
            np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else np.zeros(0, np.int64)
        )
        sizes = np.diff(np.r_[first, len(order)])
        for begin, size in zip(first[sizes >= least].tolist(), sizes[sizes >= least].tolist(), strict=True):
            mine = order[begin : begin + size]
            mark = (int(mine[0]), int(mine[-1]), size)
            if mark not in seen:
                seen.add(mark)
                parts.append((source[mine[:1]], np.array([min(size, MOST_ROWS)]), rows[mine[:MOST_ROWS]]))
    if not parts:
        return Units.none()
    return Units(
        np.concatenate([p[0] for p in parts]),
        np.r_[0, np.cumsum(np.concatenate([p[1] for p in parts]))],
        np.concatenate([p[2] for p in parts]),
    )
