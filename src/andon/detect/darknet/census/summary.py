"""The summary of a census: of ten minutes or of a day, the same type."""

from __future__ import annotations

import struct
from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.census.kernel import count_batch, ones, rows_per_unit
from andon.detect.darknet.census.units import CLASSES, UNITS
from andon.records.columns import column
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, pack, unpack

_UNIT_SPEC = {"packets": Column("<u8")}
_SOURCE_SPEC = {"packets": Column("<u8")}
_NET_SPEC = {"seen": Column("<u8", "or", 4), "packets": Column("<u8")}
_ADDRESS = 0xFFFFFFFF
_NET_LIMIT = 1 << 17  # /24s with packets: twice the 65,536 of a /8
_UNIT_LIMIT = 150_000  # above the number of units: never reached
SMALLEST_LIMIT = UNITS + 1  # so that one source on every port still fits


class Census:
    """Counts of packets, exact, and sets of (unit, source) and (unit, destination).

    The pair sets are exact up to ``pairs`` members each; beyond that the sources (all ports of a source stay
    or go together) or the pairs kept are a sample, at ``level`` one in 2^level.
    """

    def __init__(self, pairs: int, salt: int) -> None:
        self.units = KeyedRows(_UNIT_SPEC, _UNIT_LIMIT, salt)
        self.sources = KeyedRows(_SOURCE_SPEC, pairs, salt, sampled_by=_ADDRESS)
        self.targets = KeyedRows({}, pairs, salt)
        self.nets = KeyedRows(_NET_SPEC, _NET_LIMIT, salt)
        self.classes = np.zeros(len(CLASSES), np.int64)
        self.protocols = np.zeros(256, np.int64)
        self.times = np.array([np.iinfo(np.int64).max, np.iinfo(np.int64).min], np.int64)

    def _tables(self) -> tuple[KeyedRows, KeyedRows, KeyedRows, KeyedRows]:
        return self.units, self.sources, self.targets, self.nets

    @property
    def nbytes(self) -> int:
        return sum(rows.nbytes for rows in self._tables())

    @property
    def packets(self) -> int:
        return int(self.classes.sum())

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch of packets."""
        names = ("ts", "src", "dst", "dst_port", "proto", "tcp_flags", "layers", "icmp_type")
        columns = [column(batch, name) for name in names]
        tables = self._tables()
        at = 0
        while True:
            used = np.array([rows.used for rows in tables], np.int64)
            room = np.array([rows.room for rows in tables], np.int64)
            level = np.array([rows.level for rows in tables], np.int64)
            at, full = count_batch(
                *columns,
                at,
                self.units.keys,
                self.units.columns["packets"],
                self.sources.keys,
                self.sources.columns["packets"],
                self.targets.keys,
                self.nets.keys,
                self.nets.columns["seen"],
                self.nets.columns["packets"],
                used,
                room,
                level,
                self.units.salt,
                self.classes,
                self.protocols,
                self.times,
            )
            for rows, filled in zip(tables, used, strict=True):
                rows.used = int(filled)
            if full < 0:
                return
            tables[full].make_room()

    def merge(self, other: Census) -> None:
        for mine, theirs in zip(self._tables(), other._tables(), strict=True):
            mine.merge(theirs)
        self.classes += other.classes
        self.protocols += other.protocols
        self.times[0] = min(self.times[0], other.times[0])
        self.times[1] = max(self.times[1], other.times[1])

    def by_unit(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(units ascending, packets, distinct sources, distinct destinations), int64; the last two scaled
        up where the pair sets are samples."""
        units, columns = self.units.table()
        units = units.astype(np.int64)
        sources, targets = np.zeros(UNITS, np.int64), np.zeros(UNITS, np.int64)
        rows_per_unit(self.sources.keys, sources)
        rows_per_unit(self.targets.keys, targets)
        return (
            units,
            columns["packets"].astype(np.int64),
            sources[units] << self.sources.level,
            targets[units] << self.targets.level,
        )

    @property
    def exact(self) -> bool:
        """Whether the counts of distinct sources and destinations are exact."""
        return self.sources.level == 0 and self.targets.level == 0

    def by_source(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(sources ascending uint32, packets, distinct ports) of the sources kept; exact for each of them."""
        keys, columns = self.sources.table()
        address = (keys & np.uint64(_ADDRESS)).astype(np.uint32)
        order = np.argsort(address, kind="stable")
        sources, start = np.unique(address[order], return_index=True)
        if not len(sources):
            return sources, np.zeros(0, np.int64), np.zeros(0, np.int64)
        packets = np.add.reduceat(columns["packets"].astype(np.int64)[order], start)
        return sources, packets, np.diff(np.append(start, len(address)))

    def destinations(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(/24 numbers ascending, their seen addresses as (n, 4) uint64 bits, how many, packets)."""
        nets, columns = self.nets.table()
        seen, packets = columns["seen"], columns["packets"].astype(np.int64)
        return nets.astype(np.int64), seen, ones(seen), packets

    def to_bytes(self) -> bytes:
        parts = [rows.to_bytes() for rows in self._tables()]
        counts = {"classes": self.classes, "protocols": self.protocols, "times": self.times}
        parts.append(pack("census", 1, counts))
        return b"".join(struct.pack("<Q", len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        parts = []
        at = 0
        while at < len(data):
            if at + 8 > len(data):
                raise StateError("damaged census: cut short")
            (length,) = struct.unpack_from("<Q", data, at)
            parts.append(data[at + 8 : at + 8 + length])
            at += 8 + length
        if len(parts) != 5:
            raise StateError(f"damaged census: {len(parts)} parts, expected 5")
        arrays, _ = unpack("census", 1, parts[4])
        self = cls.__new__(cls)
        self.units = KeyedRows.from_bytes(parts[0], _UNIT_SPEC)
        self.sources = KeyedRows.from_bytes(parts[1], _SOURCE_SPEC)
        self.targets = KeyedRows.from_bytes(parts[2], {})
        self.nets = KeyedRows.from_bytes(parts[3], _NET_SPEC)
        try:
            self.classes, self.protocols, self.times = arrays["classes"], arrays["protocols"], arrays["times"]
        except KeyError as error:
            raise StateError(f"damaged census: no array {error}") from error
        return self
