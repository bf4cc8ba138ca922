"""Packets by hand for the tests of engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from andon.records import packet

DARK = 0x0A000000  # dark addresses begin here
LINUX = 0x0301080402  # an option layout as the packet record has it: kinds, first in the lowest byte
_USUAL = {
    "src": 1,
    "dst": DARK,
    "src_port": 40_000,
    "dst_port": 80,
    "proto": packet.PROTO_TCP,
    "tcp_flags": packet.SYN,
    "layers": packet.IPV4 | packet.TCP,
    "icmp_type": 0,
    "tcp_seq": 7,
    "tcp_window": 64240,
    "ttl": 50,
    "frag": 0,
    "tcp_options": LINUX,
    "tcp_mss": 1460,
}


def packets(
    columns: Sequence[str], start: int = 0, second: npt.ArrayLike = 0, **given: Any
) -> pa.RecordBatch:
    """TCP SYNs over IPv4 unless said otherwise, at ``ts`` or so many seconds after ``start`` (ns), to the microsecond;
    scalars are repeated."""
    shape = np.broadcast_shapes((1,), *(np.shape(values) for values in (second, *given.values())))
    ts = start + (np.asarray(second, np.float64) * 1e9).astype(np.int64) // 1000 * 1000
    values = {**_USUAL, "ts": ts, **given}
    fields = [packet.SCHEMA.field(name) for name in columns]
    return pa.record_batch(
        [
            pa.array(np.broadcast_to(np.asarray(values[field.name]), shape).astype(np.int64)).cast(field.type)
            for field in fields
        ],
        schema=pa.schema(fields),
    )


def summary_of(engine: Any, *batches: pa.RecordBatch) -> Any:
    summary = engine.empty()
    for part in batches:
        summary = engine.summarise(part, summary)
    return summary
