"""Connections to the outside that came to nothing, by terminal, destination and protocol, with when in the day.

For each: how many, first and last, least and greatest port, and a bit for each two minutes of the day that had one.
Of a terminal the ``MOST`` destinations with the lowest hashes are kept, so that a scan fills no room; beyond a bound on
all of them a sample of the terminals stays (``grouped``). What is kept is exact however the day was cut.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.detect.livenet.flowbaseline.grouped import Columns, Grouped
from andon.sketch.hashing import mix64_array

MOST: Final = 128  # destinations of a terminal
BIN: Final = 120  # s
BINS: Final = 86_400 // BIN
# What every machine asks by itself, mostly of servers that somebody else chose: DNS, NTP, DHCP, discovery.
OWN_SERVICES: Final = (53, 67, 68, 123, 137, 138, 546, 547, 1900, 3702, 5353, 5355)
_WORDS: Final = -(-BINS // 64)
_BITS: Final = tuple(f"b{n:02d}" for n in range(_WORDS))
_SPEC = {"owner": "same", "dst": "same", "protocol": "same", "tries": "sum", "first": "least", "last": "most"}
_SPEC |= {"low": "least", "high": "most"} | dict.fromkeys(_BITS, "or")
_UNBOUNDED: Final = 1 << 62
_PROTOCOLS: Final = ("tcp", "udp")


class Tries:
    """``rows``: most that are kept."""

    def __init__(self, rows: int, salt: int) -> None:
        self.most = max(1, rows)
        self.table = Grouped(_SPEC, _UNBOUNDED, salt)  # `_thin` bounds it

    def add(
        self, batch: pa.RecordBatch, owner: np.ndarray, dst: np.ndarray, rows: np.ndarray, key: np.ndarray
    ) -> None:
        """The flows ``rows`` (numbers) of a batch; ``owner``, ``dst``: keys of every flow; ``key``: of owner and
        destination, of every flow."""
        protocol = batch.column("protocol")
        words = protocol.dictionary.to_pylist()
        code = np.array([_PROTOCOLS.index(word) if word in _PROTOCOLS else -1 for word in words] or [-1])
        kind = code[protocol.indices.to_numpy()]
        port = batch.column("dst_port").to_numpy().astype(np.int64)
        rows = rows[(kind[rows] >= 0) & ~np.isin(port[rows], OWN_SERVICES)]
        if not len(rows):
            return
        kind = kind[rows].astype(np.uint64)
        ts, port = batch.column("ts").view(pa.int64()).to_numpy()[rows], port[rows]
        keys, at = np.unique(mix64_array(key[rows], np.uint64(0x7A1)) + kind, return_inverse=True)
        number = len(keys)
        first_row = np.zeros(number, np.int64)
        first_row[at] = np.arange(len(rows))
        bins = ts // (BIN * 10**9) % BINS
        bits = np.zeros((number, _WORDS), np.uint64)
        np.bitwise_or.at(bits, (at, bins // 64), np.uint64(1) << (bins % 64).astype(np.uint64))
        order = np.argsort(at, kind="stable")
        begin = np.searchsorted(at[order], np.arange(number))
        self.table.add(
            keys,
            {
                "owner": owner[rows][first_row],
                "dst": dst[rows][first_row],
                "protocol": kind[first_row],
                "tries": np.bincount(at, minlength=number).astype(np.int64),
                "first": np.minimum.reduceat(ts[order], begin),
                "last": np.maximum.reduceat(ts[order], begin),
                "low": np.minimum.reduceat(port[order], begin),
                "high": np.maximum.reduceat(port[order], begin),
            }
            | {name: np.ascontiguousarray(bits[:, n]) for n, name in enumerate(_BITS)},
        )
        if self.table.size > 2 * self.most:
            self._thin()

    def _thin(self) -> None:
        held = self.table.columns()
        hashed = mix64_array(held["key"], np.uint64(0xFA))
        order = np.lexsort((hashed, held["owner"]))
        owner = held["owner"][order]
        begin = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]]) if len(owner) else np.zeros(0, np.int64)
        rank = np.arange(len(owner)) - np.repeat(begin, np.diff(np.r_[begin, len(owner)]))
        if len(rank) and int(rank.max()) >= MOST:
            self.table.keep(np.sort(order[rank < MOST]))
        self.table.lower(self.most)

    def merge(self, other: Self) -> None:
        self.table.merge(other.table)
        self._thin()

    def columns(self) -> Columns:
        """Ascending by ``key``; ``active`` (rows, BINS) bool in place of the bits."""
        self._thin()
        held = dict(self.table.columns())
        words = np.column_stack([held.pop(name) for name in _BITS])
        little = words.astype("<u8").view(np.uint8).reshape(len(words), 8 * _WORDS)
        held["active"] = np.unpackbits(little, axis=1, bitorder="little")[:, :BINS].astype(np.bool_)
        return held

    def to_bytes(self) -> bytes:
        self._thin()
        return self.table.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, rows: int) -> Self:
        made = cls.__new__(cls)
        made.most = max(1, rows)
        made.table = Grouped.from_bytes(data, _SPEC)
        return made


def protocol_name(code: int) -> str:
    return _PROTOCOLS[code]
