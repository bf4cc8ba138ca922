"""The summary: bounded rows, one for each source of scan packets (see ``kernel``)."""

from __future__ import annotations

import struct
from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.portsets.kernel import ANSWERS, HEAD, PORTS, SCANS, enter_batch, enter_rows
from andon.records.columns import column
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, pack, unpack

# "lowest" only fills free places with ones: rows are merged here, see ``Scans.merge``.
SPEC = {"ports": Column("<u8", "lowest", PORTS), "head": Column("<u8", "lowest", HEAD)}
READ = ("ts", "src", "dst", "src_port", "dst_port", "proto", "tcp_flags", "layers")
_SERVICES = (
    1194, 1434, 1604, 1701, 1900, 3283, 3478, 3702, 4500, 5060, 5093, 5351, 5353, 5683, 6881, 10001, 11211, 17185,
    27015, 27960, 32414, 37810, 47808,
)  # fmt: skip


def services() -> np.ndarray:
    """uint8[65536]: 1 for UDP ports of services, whose answers are not scans: the system ports and the known ones that
    are abused for amplification (US-CERT TA14-017A; Rossow, "Amplification hell", NDSS 2014)."""
    marks = np.zeros(1 << 16, np.uint8)
    marks[:1024] = 1
    marks[list(_SERVICES)] = 1
    return marks


class Scans:
    """``rows`` by source, and ``totals``: scan packets of all sources, kept or not, and answers that were left out."""

    def __init__(self, sources: int, salt: int) -> None:
        self.rows = KeyedRows(SPEC, sources, salt)
        self.totals = np.zeros(2, np.int64)

    @property
    def packets(self) -> int:
        return int(self.totals[SCANS])

    @property
    def answers(self) -> int:
        return int(self.totals[ANSWERS])

    def add(self, batch: pa.RecordBatch, services: np.ndarray) -> None:
        """Enter a batch of packets; ``services`` as the function above gives it."""
        columns = [column(batch, name) for name in READ]
        at = 0
        while True:
            rows = self.rows
            at, rows.used = enter_batch(
                *columns, at, services, self.totals, rows.keys, *self._flat(), rows.used, rows.room, rows.level,
                rows.salt,
            )  # fmt: skip
            if at >= batch.num_rows:
                return
            rows.make_room()

    def merge(self, other: Scans) -> None:
        """Take in another summary of the same limit and hash key."""
        if (self.rows.limit, self.rows.salt) != (other.rows.limit, other.rows.salt):
            raise ValueError("only summaries of the same limit and hash key can be merged")
        if not self.rows.used and self.rows.keys.shape[0] < other.rows.keys.shape[0]:
            level, capacity = self.rows.level, other.rows.keys.shape[0]
            self.rows = KeyedRows(SPEC, self.rows.limit, int(self.rows.salt), capacity)  # grown at once
            self.rows.raise_level(level)
        self.rows.raise_level(other.rows.level)
        at = 0
        while True:
            rows = self.rows
            at, rows.used = enter_rows(
                other.rows.keys, *other._flat(), at, rows.keys, *self._flat(), rows.used, rows.room, rows.level,
                rows.salt,
            )  # fmt: skip
            if at >= other.rows.keys.shape[0]:
                break
            rows.make_room()
        self.totals += other.totals

    def _flat(self) -> tuple[np.ndarray, np.ndarray]:
        return self.rows.columns["ports"].reshape(-1), self.rows.columns["head"].reshape(-1)

    def to_bytes(self) -> bytes:
        rows = self.rows.to_bytes()
        return struct.pack("<Q", len(rows)) + rows + pack("port-scans", 1, {"totals": self.totals})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        if len(data) < 8:
            raise StateError("damaged port scans: cut short")
        (length,) = struct.unpack_from("<Q", data)
        self = cls.__new__(cls)
        self.rows = KeyedRows.from_bytes(data[8 : 8 + length], SPEC)
        arrays, _ = unpack("port-scans", 1, data[8 + length :])
        self.totals = arrays.get("totals", np.zeros(0, np.int64))
        if self.totals.shape != (2,) or self.totals.dtype != np.int64:
            raise StateError("port scans without their totals")
        return self
