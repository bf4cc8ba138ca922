"""An asset: which system had which address from when to when, as an owner's list, a scan or a lease says.

Assets are no events but what is known of the world, so they come to engines in ``Site.assets`` and not in batches.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")
SERVICE: Final = pa.struct(
    [
        ("port", pa.int32()),
        ("transport", pa.string()),  # "tcp" or "udp"
        ("protocol", pa.string()),  # "http", "telnet"; "" if unknown
        ("banner", pa.string()),
    ]
)
LEASE, LIST, SCAN = (
    "lease",
    "list",
    "scan",
)  # how good the address is: given for this time; written once; seen once

_FIELDS: list[pa.Field[Any]] = [
    pa.field(
        "asset", pa.string(), nullable=False
    ),  # its number in the list, or "" (then the address stands for it)
    pa.field(
        "first", pa.int64(), nullable=False
    ),  # IPv4 addresses as numbers, both ends included; -1 for IPv6
    pa.field("last", pa.int64(), nullable=False),
    pa.field("address", pa.string(), nullable=False),  # as text: address, range or prefix
    pa.field("valid_from", _TIME),  # of the lease or of the scan; null: not said
    pa.field("valid_to", _TIME),  # null: open
    pa.field("basis", pa.string(), nullable=False),  # LEASE, LIST or SCAN
    pa.field("hostname", pa.string(), nullable=False),
    pa.field("mac", pa.string(), nullable=False),  # "00:11:22:33:44:55"
    pa.field("vendor", pa.string(), nullable=False),
    pa.field("product", pa.string(), nullable=False),
    pa.field("version", pa.string(), nullable=False),
    pa.field(
        "device", pa.string(), nullable=False
    ),  # class: "Router", "IP Camera", "DVR", as Recog names them
    pa.field("os", pa.string(), nullable=False),
    pa.field("cpe", pa.string(), nullable=False),
    pa.field(
        "owner", pa.string(), nullable=False
    ),  # organisation it is told to: name of an Organisation, or ""
    pa.field("contact", pa.string(), nullable=False),
    pa.field("services", pa.list_(SERVICE), nullable=False),
    pa.field("source", pa.string(), nullable=False),  # file and place it was read from
]
ASSET: Final = pa.schema(_FIELDS)
