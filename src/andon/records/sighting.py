"""A darknet source: what one address sent to one port of the telescope within a while, without its packets.

It is what the joint analysis needs of the darknet side, what the engine ``darknet.sightings`` makes of packets, and
what operators of telescopes can give one another where captures may not leave the house.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")
_FIELDS: list[pa.Field[Any]] = [
    pa.field("first", _TIME, nullable=False),
    pa.field("last", _TIME, nullable=False),
    pa.field("src", pa.uint32(), nullable=False),
    pa.field("dst_port", pa.uint16(), nullable=False),  # 0: protocol without ports, or unknown
    pa.field("protocol", pa.uint8(), nullable=False),  # IP protocol number; 0: unknown
    pa.field("fingerprint", pa.string(), nullable=False),  # relation, tool or number; "" where none was found
    pa.field("packets", pa.int64(), nullable=False),
]
SIGHTING: Final = pa.schema(_FIELDS)
