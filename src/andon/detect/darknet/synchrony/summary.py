"""The summary of ten minutes: bounded rows by (source, protocol, port), and packets by minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.synchrony.kernel import BY_SOURCE, COUNTS, LEAST, UNIT_BITS, UNIT_MASK, enter_batch
from andon.records.columns import column
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, join, pack, split, unpack

SPEC = {"least": Column("<u4", "min", LEAST), "counts": Column("<u4", "add", COUNTS)}
_CAPACITY = 16384  # slots at first: a small telescope's ten minutes need no growing
READ = (
    "ts",
    "src",
    "dst",
    "src_port",
    "dst_port",
    "proto",
    "tcp_flags",
    "tcp_seq",
    "layers",
    "icmp_type",
)


@dataclass(frozen=True)
class Pairs:
    """Parallel arrays, one row for each (source, unit), ascending by source, then unit."""

    key: np.ndarray  # uint64: source << 18 | unit
    source: np.ndarray  # int64
    unit: np.ndarray  # int64
    first: np.ndarray  # int64, ms of the tile
    target: np.ndarray  # int64: the dark address if there was only one, else -1
    packets: np.ndarray  # int64
    mirai: np.ndarray  # int64, SYNs with seq == dst

    def __len__(self) -> int:
        return len(self.key)

    def where(self, chosen: np.ndarray) -> Pairs:
        return Pairs(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


class Tile:
    """Rows (see ``kernel``), packets by minute, and scan packets of all sources, kept or not.

    With more than ``limit`` rows one source in 2^level is kept, with all it asks for."""

    def __init__(self, limit: int, salt: int) -> None:
        self.rows = KeyedRows(SPEC, limit, salt, capacity=_CAPACITY, sampled_by=BY_SOURCE)
        self.minutes = np.zeros(10, np.int64)
        self.scans = 0

    def add(self, batch: pa.RecordBatch, answers: np.ndarray) -> None:
        columns = [column(batch, name) for name in READ]
        self.scans += self.rows.walk(enter_batch, columns, answers, beside=(self.minutes,))

    def merge(self, other: Tile) -> None:
        self.rows.merge(other.rows)
        self.minutes += other.minutes
        self.scans += other.scans

    def pairs(self) -> Pairs:
        keys, columns = self.rows.table()
        least, counts = columns["least"].astype(np.int64), columns["counts"].astype(np.int64)
        one = least[:, 1] == (0xFFFFFFFF - least[:, 2])
        return Pairs(
            keys,
            (keys >> np.uint64(UNIT_BITS)).astype(np.int64),
            (keys & np.uint64(UNIT_MASK)).astype(np.int64),
            least[:, 0],
            np.where(one, least[:, 1], -1),
            counts[:, 0],
            counts[:, 1],
        )

    def to_bytes(self) -> bytes:
        rest = pack("synchrony-tile", 1, {"minutes": self.minutes}, {"scans": self.scans})
        return join(self.rows.to_bytes(), rest)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        rows, rest = split(data)
        self = cls.__new__(cls)
        self.rows = KeyedRows.from_bytes(rows, SPEC)
        arrays, scalars = unpack("synchrony-tile", 1, rest)
        if arrays.get("minutes", np.zeros(0)).shape != (10,) or "scans" not in scalars:
            raise StateError("damaged tile: no packets by minute")
        self.minutes, self.scans = arrays["minutes"], scalars["scans"]
        return self
