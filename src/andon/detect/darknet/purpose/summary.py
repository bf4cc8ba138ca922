"""The summary of a day of sources: bounded rows, one for each source of scan packets."""

from __future__ import annotations

import struct
from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.purpose.kernel import BITS, COUNTS, DRAWN, LEAST, profile_batch
from andon.records.columns import column
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, pack, unpack

SPEC = {
    "bits": Column("<u8", "or", BITS),
    "counts": Column("<u8", "add", COUNTS),
    "least": Column("<u2", "min", LEAST),
    "drawn": Column("<u4", "lowest", DRAWN),
}
READ = ("ts", "src", "dst", "dst_port", "proto", "tcp_flags", "layers", "icmp_type")


class Profiles:
    """Rows by source (``rows``, see ``kernel``) and the number of scan packets of all sources, kept or not."""

    def __init__(self, sources: int, salt: int) -> None:
        self.rows = KeyedRows(SPEC, sources, salt)
        self.packets = 0

    def add(self, batch: pa.RecordBatch, attacked: np.ndarray) -> None:
        """Enter a batch of packets; ``attacked`` as in ``kernel.profile_batch``."""
        columns = [column(batch, name) for name in READ]
        at = 0
        while True:
            rows = self.rows
            at, rows.used, scans = profile_batch(
                *columns,
                at,
                attacked,
                rows.keys,
                rows.columns["bits"].reshape(-1),
                rows.columns["counts"].reshape(-1),
                rows.columns["least"].reshape(-1),
                rows.columns["drawn"].reshape(-1),
                rows.used,
                rows.room,
                rows.level,
                rows.salt,
            )
            self.packets += scans
            if at >= batch.num_rows:
                return
            rows.make_room()

    def merge(self, other: Profiles) -> None:
        self.rows.merge(other.rows)
        self.packets += other.packets

    def to_bytes(self) -> bytes:
        rows = self.rows.to_bytes()
        return struct.pack("<Q", len(rows)) + rows + pack("profiles", 1, {}, {"packets": self.packets})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        if len(data) < 8:
            raise StateError("damaged profiles: cut short")
        (length,) = struct.unpack_from("<Q", data)
        self = cls.__new__(cls)
        self.rows = KeyedRows.from_bytes(data[8 : 8 + length], SPEC)
        _, scalars = unpack("profiles", 1, data[8 + length :])
        self.packets = scalars["packets"]
        return self
