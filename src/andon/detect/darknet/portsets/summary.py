"""The summary: bounded rows, one for each source of scan packets (see ``kernel``)."""

from __future__ import annotations

from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.portsets.kernel import ANSWERS, HEAD, PORTS, SCANS, enter_batch, enter_rows
from andon.records.columns import column
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, join, pack, split, unpack

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
        self.rows.walk(enter_batch, [column(batch, name) for name in READ], services, self.totals)

    def merge(self, other: Scans) -> None:
        """Take in another summary of the same limit and hash key."""
        if (self.rows.limit, self.rows.salt) != (other.rows.limit, other.rows.salt):
            raise ValueError("only summaries of the same limit and hash key can be merged")
        if not self.rows.used and self.rows.keys.shape[0] < other.rows.keys.shape[0]:
            level, capacity = self.rows.level, other.rows.keys.shape[0]
            self.rows = KeyedRows(SPEC, self.rows.limit, int(self.rows.salt), capacity)  # grown at once
            self.rows.raise_level(level)
        self.rows.raise_level(other.rows.level)
        flat = (array.reshape(-1) for array in other.rows.columns.values())
        self.rows.walk(enter_rows, (other.rows.keys, *flat))
        self.totals += other.totals

    def to_bytes(self) -> bytes:
        return join(self.rows.to_bytes(), pack("port-scans", 1, {"totals": self.totals}))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        rows, rest = split(data)
        self = cls.__new__(cls)
        self.rows = KeyedRows.from_bytes(rows, SPEC)
        arrays, _ = unpack("port-scans", 1, rest)
        self.totals = arrays.get("totals", np.zeros(0, np.int64))
        if self.totals.shape != (2,) or self.totals.dtype != np.int64:
            raise StateError("port scans without their totals")
        return self
