"""The tables of ``livenet.url``: its hosts are in ``records.livenet`` (URL_HOSTS), here are its URLs."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")
_FIELDS: list[pa.Field[Any]] = [
    pa.field("rank", pa.int64(), nullable=False),
    pa.field("url", pa.string(), nullable=False),  # "host/path?query", no scheme
    pa.field("destination", pa.string(), nullable=False),
    pa.field("colour", pa.string(), nullable=False),  # of the destination
    pa.field("score", pa.float64(), nullable=False),  # probability where both kinds are as frequent
    pa.field(
        "evidence", pa.float64(), nullable=False
    ),  # log of the ratio of the tails, of the organisation's traffic
    pa.field("false_share", pa.float64(), nullable=False),  # of harmless URLs that reach this score
    pa.field("contacts", pa.int64(), nullable=False),
    pa.field("refused", pa.int64(), nullable=False),
    pa.field("visitors", pa.int64(), nullable=False),  # terminals, estimated above a dozen
    pa.field("terminals", pa.list_(pa.string()), nullable=False),  # at most 8 of them
    pa.field("first", _TIME, nullable=False),
    pa.field("last", _TIME, nullable=False),
]
URLS: Final = pa.schema(_FIELDS)
