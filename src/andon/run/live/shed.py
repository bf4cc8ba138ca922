"""What is given up when the engines cannot keep up: whole sources, by a keyed hash, counted.

Sources that can be read again are made to wait instead. For the others, once more rows than the backlog allows wait
for the engines, packets of one source in 2, 4, 8, ... are kept: what is left is whole sources, so what engines say
of a kept source stays right. Which sources are kept depends on the key alone, so levels nest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from andon.records.columns import column
from andon.sketch.hashing import mix64_array

MOST = 10  # levels


@dataclass
class Shedder:
    """``limit``: rows that may wait before anything is shed."""

    limit: int
    key: int

    def level(self, backlog: int) -> int:
        """0: all is kept; each further quarter of the limit halves the sources.

        >>> Shedder(1000, 7).level(999), Shedder(1000, 7).level(1000), Shedder(1000, 7).level(1600)
        (0, 1, 3)
        """
        if backlog < self.limit:
            return 0
        return min(MOST, 1 + int((backlog - self.limit) // max(1, self.limit // 4)))

    def keep(self, batch: pa.RecordBatch, level: int) -> pa.RecordBatch:
        """The packets of one source in 2^level (IPv6 sources by their last eight bytes)."""
        if level == 0 or not batch.num_rows:
            return batch
        src = column(batch, "src").astype(np.uint64)
        six = src == 0
        if six.any():
            tail = np.frombuffer(b"".join(batch.column("src6").to_pylist()), dtype=">u8")[1::2]
            src = np.where(six, tail.astype(np.uint64), src)
        kept = mix64_array(src, np.uint64(self.key)) & np.uint64((1 << level) - 1) == 0
        return batch.filter(pa.array(kept))
