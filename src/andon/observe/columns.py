"""Where the columns of a batch lie in memory.

A batch is one *arena*: all columns for ``ROWS`` rows in one allocation, each column at a fixed offset that is
a constant inside the compiled kernels, so a kernel needs one base address instead of a table of pointers.
Columns are staggered by a few cache lines; without that, equal-width columns compete for the same cache sets.

The two 16-byte IPv6 columns live in an arena of their own that is all zero unless a batch holds IPv6 rows,
so IPv4 traffic never pays for writing 32 zero bytes a packet.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from andon.records import packet

ROWS: Final = 65536
_STAGGER: Final = 1344

WIDTH: Final[dict[str, int]] = {
    name: 16 if pa.types.is_fixed_size_binary(kind) else kind.bit_width // 8
    for name, kind in zip(packet.SCHEMA.names, packet.SCHEMA.types, strict=True)
}
V6_COLUMNS: Final = ("src6", "dst6")


def _lay_out(names: tuple[str, ...]) -> tuple[dict[str, int], int]:
    offsets: dict[str, int] = {}
    at = 0
    for name in names:
        offsets[name] = at
        at += ROWS * WIDTH[name] + _STAGGER
    return offsets, at


_PLAIN: Final = tuple(name for name in packet.COLUMNS if name not in V6_COLUMNS)
OFFSET, ARENA_BYTES = _lay_out(_PLAIN)
CORE_BYTES: Final = OFFSET[packet.CORE[-1]] + ROWS * WIDTH[packet.CORE[-1]]
V6_OFFSET, V6_BYTES = _lay_out(V6_COLUMNS)


def transports() -> NDArray[np.uint16]:
    """For each IPv4 protocol: bytes its header needs (low byte) and its bit of ``layers`` (high byte)."""
    table = np.zeros(256, dtype=np.uint16)
    table[packet.PROTO_TCP] = 20 | packet.TCP << 8
    table[packet.PROTO_UDP] = 8 | packet.UDP << 8
    table[packet.PROTO_ICMP] = 2 | packet.ICMP << 8
    return table
