"""The summary of a day of sources: bounded rows, one for each source of scan packets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from andon.detect.darknet.purpose.kernel import BITS, COUNTS, DRAWN, LEAST, profile_batch
from andon.sketch.counted import CountedRows
from andon.sketch.rows import Column

SPEC = {
    "bits": Column("<u8", "or", BITS),
    "counts": Column("<u8", "add", COUNTS),
    "least": Column("<u2", "min", LEAST),
    "drawn": Column("<u4", "lowest", DRAWN),
}
READ = ("ts", "src", "dst", "dst_port", "proto", "tcp_flags", "layers", "icmp_type")


class Profiles(CountedRows):
    """Rows by source (see ``kernel``) and the number of scan packets of all sources, kept or not."""

    kind = "profiles"
    read = READ
    spec = SPEC

    def add(self, batch: pa.RecordBatch, attacked: np.ndarray) -> None:
        """Enter a batch of packets; ``attacked`` as in ``kernel.profile_batch``."""
        self.enter(profile_batch, batch, attacked)
