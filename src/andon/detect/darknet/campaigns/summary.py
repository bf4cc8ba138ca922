"""The summary of a day: bounded rows, one for each source of scan packets."""

from __future__ import annotations

from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.campaigns.kernel import WORDS, enter_batch
from andon.sketch.counted import CountedRows
from andon.sketch.rows import Column
from andon.sketch.state import StateError

SPEC = {
    "packets": Column("<u8", "add"),
    "hours": Column("<u8", "or"),
    "drawn": Column("<u8", "lowest", WORDS, 2),
}
READ = (
    "ts", "src", "dst", "dst_port", "proto", "tcp_flags", "layers", "icmp_type", "tcp_seq", "tcp_window", "ttl",
    "frag", "tcp_options", "tcp_mss",
)  # fmt: skip


class DaySources(CountedRows):
    """Rows by source (see ``kernel``) and the number of scan packets of all sources, kept or not."""

    kind = "day-sources"
    read = READ
    spec = SPEC

    def add(self, batch: pa.RecordBatch) -> None:
        """Enter a batch of packets."""
        self.enter(enter_batch, batch)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        self = super().from_bytes(data)
        if np.any(self.rows.table()[0] >> np.uint64(32)):
            raise StateError("damaged sources of a day: a key is no IPv4 address")
        return self
