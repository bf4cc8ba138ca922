"""The summary of a span: packets of each port exactly, sources of each port exactly or from a sample of sources."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.changefinder.kernel import CODES, SOURCE_BITS, SOURCE_SHIFT, count_ports
from andon.records.columns import column
from andon.sketch.rows import KeyedRows
from andon.sketch.state import StateError, join, pack, split, unpack

READ: Final = ("ts", "src", "dst_port", "proto", "tcp_flags", "layers")
_NEVER = np.iinfo(np.int64).max


class Ports:
    """``packets`` (uint64) by UDP << 16 | port; ``pairs`` of source and port, bounded: beyond the limit all pairs
    of a source stay or go together, and the numbers of sources are those of the sample times its rate. ``first`` and
    ``last`` are the times (ns) of the first and last packet of any kind."""

    def __init__(self, pairs: int, salt: int) -> None:
        self.packets = np.zeros(CODES, np.uint64)
        self.pairs = KeyedRows({}, pairs, salt, sampled_by=SOURCE_BITS)
        self.first, self.last = _NEVER, -_NEVER

    def add(self, batch: pa.RecordBatch, wanted: int) -> None:
        """Enter a batch of packets; ``wanted`` as in ``kernel.count_ports``."""
        if not batch.num_rows:
            return
        time = column(batch, "ts")
        self.first, self.last = min(self.first, int(time.min())), max(self.last, int(time.max()))
        columns = [column(batch, name) for name in READ[1:]]
        self.pairs.walk(count_ports, columns, wanted, self.packets)

    def merge(self, other: Ports) -> None:
        self.pairs.merge(other.pairs)
        self.packets += other.packets
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)

    def sources(self) -> tuple[np.ndarray, int]:
        """(sources of each code (int64), sources of all)."""
        keys, _ = self.pairs.table()  # ascending, so by source
        rate = 1 << self.pairs.level
        code = (keys & np.uint64(CODES - 1)).astype(np.int64)
        source = keys >> np.uint64(SOURCE_SHIFT)
        total = int(np.count_nonzero(source[1:] != source[:-1])) + 1 if len(source) else 0
        return np.bincount(code, minlength=CODES) * rate, total * rate

    def to_bytes(self) -> bytes:
        codes = np.flatnonzero(self.packets)
        arrays = {"codes": codes.astype("<u4"), "packets": self.packets[codes]}
        head = pack("changefinder-ports", 1, arrays, {"first": self.first, "last": self.last})
        return join(head, self.pairs.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        head, rest = split(data)
        arrays, scalars = unpack("changefinder-ports", 1, head)
        pairs = KeyedRows.from_bytes(rest, {})
        try:
            self = cls(pairs.limit, int(pairs.salt))
            self.pairs = pairs
            self.packets[arrays["codes"]] = arrays["packets"]
            self.first, self.last = scalars["first"], scalars["last"]
        except (KeyError, IndexError, ValueError) as error:
            raise StateError(f"damaged counts: {error}") from error
        return self
