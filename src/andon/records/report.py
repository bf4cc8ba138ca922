"""A report (an article, an advisory, a post) as the things it mentions and where.

A mention is data: a URL in it is never fetched. Values are normalised so that equal things are equal text: indicators
refanged, hashes in lower case, CVE in capitals, ports as ``"23"`` or ``"udp/53"``, port sets in ascending order.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")

MALWARE, CVE, PORT, PORT_SET = "malware", "cve", "port", "port-set"
URL, DOMAIN, ADDRESS, HASH = "url", "domain", "ipv4-addr", "hash"
TOKEN, CREDENTIAL = "token", "credential"  # "DLALXLA"; "user/password"
DEVICE, VENDOR, REQUEST, RELATION = (
    "device",
    "vendor",
    "request",
    "relation",
)  # request: "/cgi-bin/mainfunction.cgi"
MENTION_TYPES: Final = (
    MALWARE, CVE, PORT, PORT_SET, URL, DOMAIN, ADDRESS, HASH, TOKEN, CREDENTIAL, DEVICE, VENDOR, REQUEST, RELATION,
)  # fmt: skip

MENTION: Final = pa.struct(
    [
        ("type", pa.string()),  # one of MENTION_TYPES
        ("value", pa.string()),  # normalised
        ("text", pa.string()),  # as it stands in the report
        ("at", pa.int32()),  # character of the text it begins at
    ]
)
_FIELDS: list[pa.Field[Any]] = [
    pa.field("id", pa.string(), nullable=False),  # given, or a hash of the text
    pa.field("published", _TIME, nullable=False),
    pa.field(
        "dated", pa.bool_(), nullable=False
    ),  # False: no date in it, `published` is the time of the file
    pa.field("title", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),  # file it was read from
    pa.field("language", pa.string(), nullable=False),  # "en", "ja", or "" if neither
    pa.field("characters", pa.int64(), nullable=False),
    pa.field("mentions", pa.list_(MENTION), nullable=False),
]
REPORT: Final = pa.schema(_FIELDS)
