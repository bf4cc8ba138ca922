"""A honeypot session: what one visitor did between connecting and leaving, whatever honeypot wrote it down.

Commands, credentials, URLs, hashes and requests are data about an attacker. They are never run, fetched or looked up,
and whoever shows them to a person neutralises them first.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")
CREDENTIAL: Final = pa.struct(
    [("username", pa.string()), ("password", pa.string()), ("accepted", pa.bool_()), ("at", _TIME)]
)
COMMAND: Final = pa.struct([("input", pa.string()), ("at", _TIME)])
REQUEST: Final = pa.struct([("method", pa.string()), ("uri", pa.string()), ("body", pa.string())])
PAYLOAD: Final = pa.struct(  # what was sent where the honeypot knows no protocol; digests as it gives them
    [
        ("length", pa.int64()),
        ("md5", pa.string()),
        ("sha256", pa.string()),
        ("sha512", pa.string()),
        ("hex", pa.string()),
    ]
)
OUTCOME: Final = pa.struct([("step", pa.string()), ("detail", pa.string())])

_FIELDS: list[pa.Field[Any]] = [
    pa.field("honeypot", pa.string(), nullable=False),  # "cowrie", "dionaea", ...
    pa.field("sensor", pa.string(), nullable=False),  # its name in the log, or ""
    pa.field(
        "session", pa.string(), nullable=False
    ),  # its number in the log, or ""; unique within a sensor only
    pa.field("protocol", pa.string(), nullable=False),  # "telnet", "smb", "http"; "" if unknown
    pa.field("start", _TIME, nullable=False),
    pa.field("end", _TIME, nullable=False),
    pa.field("closed", pa.bool_(), nullable=False),  # the log says that it ended
    pa.field("src", pa.string(), nullable=False),  # address as text, IPv4 or IPv6
    pa.field("address", pa.int64(), nullable=False),  # the same if it is IPv4, else -1
    pa.field("src_port", pa.int32(), nullable=False),  # -1 if unknown
    pa.field("dst", pa.string(), nullable=False),  # often the address of a container
    pa.field("dst_port", pa.int32(), nullable=False),
    pa.field("client", pa.string(), nullable=False),  # banner of the client, user agent
    pa.field("hassh", pa.string(), nullable=False),
    pa.field("events", pa.int64(), nullable=False),  # lines of the log
    pa.field("login", pa.bool_(), nullable=False),  # somebody got in
    pa.field("relayed", pa.int64(), nullable=False),  # connections through the honeypot to third parties
    pa.field("credentials", pa.list_(CREDENTIAL), nullable=False),
    pa.field("commands", pa.list_(COMMAND), nullable=False),
    pa.field("urls", pa.list_(pa.string()), nullable=False),  # of downloads
    pa.field("hashes", pa.list_(pa.string()), nullable=False),  # of files downloaded and uploaded
    pa.field("requests", pa.list_(REQUEST), nullable=False),
    pa.field("payloads", pa.list_(PAYLOAD), nullable=False),
    # What came of it, where the honeypot itself says so (physical devices do): "scan", "login", "download", "delivery",
    # "execution", "command-and-control"; a step is there as often as it was seen.
    pa.field("outcomes", pa.list_(OUTCOME), nullable=False),
]
SESSION: Final = pa.schema(_FIELDS)
