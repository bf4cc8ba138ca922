"""The summary of a day: bounded rows, one for each source of scan packets."""

from __future__ import annotations

import struct
from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.campaigns.kernel import WORDS, enter_batch
from andon.records.columns import column
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, pack, unpack

SPEC = {
    "packets": Column("<u8", "add"),
    "hours": Column("<u8", "or"),
    "drawn": Column("<u8", "lowest", WORDS, 2),
}
READ = (
    "ts", "src", "dst", "dst_port", "proto", "tcp_flags", "layers", "icmp_type", "tcp_seq", "tcp_window", "ttl",
    "frag", "tcp_options", "tcp_mss",
)  # fmt: skip


class DaySources:
    """Rows by source (``rows``, see ``kernel``) and the number of scan packets of all sources, kept or not."""

    def __init__(self, sources: int, salt: int) -> None:
        self.rows = KeyedRows(SPEC, sources, salt)
        self.packets = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Enter a batch of packets."""
        columns = [column(batch, name) for name in READ]
        at = 0
        while True:
            rows = self.rows
            at, rows.used, scans = enter_batch(
                *columns,
                at,
                rows.keys,
                rows.columns["packets"],
                rows.columns["hours"],
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

    def merge(self, other: DaySources) -> None:
        self.rows.merge(other.rows)
        self.packets += other.packets

    def to_bytes(self) -> bytes:
        rows = self.rows.to_bytes()
        return struct.pack("<Q", len(rows)) + rows + pack("day-sources", 1, {}, {"packets": self.packets})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        if len(data) < 8:
            raise StateError("damaged sources of a day: cut short")
        (length,) = struct.unpack_from("<Q", data)
        self = cls.__new__(cls)
        self.rows = KeyedRows.from_bytes(data[8 : 8 + length], SPEC)
        if np.any(self.rows.table()[0] >> np.uint64(32)):
            raise StateError("damaged sources of a day: a key is no IPv4 address")
        _, scalars = unpack("day-sources", 1, data[8 + length :])
        self.packets = scalars["packets"]
        return self
