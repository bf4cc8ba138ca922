"""What lists say of names and addresses: black, white, by whom, since when.

A rank on a popularity list is no innocence and a place on a black list is no proof; so every entry keeps where it comes
from, and engines say what they made of it.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

BLACK, WHITE = "black", "white"
# DOMAIN matches the name and every name below it; HOST the name alone; ADDRESS one address; PREFIX a CIDR prefix;
# URL host and path as "host/path?query" without scheme.
DOMAIN, HOST, ADDRESS, PREFIX, URL = "domain", "host", "address", "prefix", "url"

_FIELDS: list[pa.Field[Any]] = [
    pa.field("value", pa.string(), nullable=False),  # lower case (URL: its host), no dot at the end
    pa.field("type", pa.string(), nullable=False),
    pa.field("colour", pa.string(), nullable=False),  # BLACK or WHITE
    pa.field("port", pa.int32(), nullable=False),  # the entry holds for this port alone; -1: for all
    pa.field("list", pa.string(), nullable=False),  # name of the list
    pa.field("family", pa.string(), nullable=False),  # of malware, or category; ""
    pa.field("added", pa.timestamp("ns", tz="UTC")),  # since when it stands there; null: not said
    pa.field("rank", pa.int64(), nullable=False),  # on a popularity list; -1
]
REPUTATION: Final = pa.schema(_FIELDS)
