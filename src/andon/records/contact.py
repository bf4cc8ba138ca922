"""A contact: a terminal of the organisation asked for a destination, as one line of a log says.

Lines of web proxies, HTTP, TLS and DNS logs become contacts, whatever wrote them. Texts that repeat are
dictionary-encoded, so that whoever reads a batch looks at each of them once. URLs, agents and names are data of third
parties: they are never fetched, and whoever shows them to a person neutralises them first (``records.neutral``).
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")
WORDS: Final = pa.dictionary(pa.int32(), pa.string())  # texts that repeat
LONGEST_URL: Final = 2048  # bytes of `path` and `referer` that are kept
# What kind of contact the line shows.
HTTP, TUNNEL, TLS, DNS = "http", "tunnel", "tls", "dns"

_FIELDS: list[pa.Field[Any]] = [
    pa.field("ts", _TIME, nullable=False),  # begin of the transaction (logs that give the end: end - elapsed)
    # Who: the user where the log names one, else the address (setting of the reader); after pseudonymisation.
    pa.field("terminal", WORDS, nullable=False),
    pa.field("address", WORDS, nullable=False),  # of the client, as text; "" if not logged
    pa.field("user", WORDS, nullable=False),  # "" if not logged
    # Where to: name or address in lower case, no port, no brackets, no dot at its end; IDNs as they are on the wire.
    pa.field("host", WORDS, nullable=False),
    pa.field("port", pa.int32(), nullable=False),  # -1 if unknown
    pa.field("server", WORDS, nullable=False),  # that answered (DNS: first answer); "" if unknown
    pa.field("via", WORDS, nullable=False),  # HTTP, TUNNEL (CONNECT: nothing but the host is seen), TLS, DNS
    pa.field("scheme", WORDS, nullable=False),  # "http", "https"; "" if unknown
    pa.field("method", WORDS, nullable=False),  # "GET", "CONNECT"; of DNS the type asked for; "" if unknown
    pa.field("path", pa.string(), nullable=False),  # path and query, from "/" on; "" if not seen
    pa.field("status", pa.int32(), nullable=False),  # of HTTP; of DNS the rcode; -1 if unknown
    pa.field("action", WORDS, nullable=False),  # what the proxy says it did: "TCP_DENIED", "OBSERVED"; ""
    pa.field("refused", pa.bool_(), nullable=False),  # the proxy did not let it through
    pa.field("bytes_in", pa.int64(), nullable=False),  # to the terminal; -1 if unknown
    pa.field("bytes_out", pa.int64(), nullable=False),  # from it; -1 if unknown
    pa.field("duration", pa.int64(), nullable=False),  # ns; -1 if unknown
    # null: the log has no such field; "": it has, and it was empty.
    pa.field("referer", pa.string()),
    pa.field("agent", WORDS),
    pa.field("mime", WORDS),
    pa.field("location", pa.string()),  # where a redirect points to
    pa.field("category", WORDS),  # as the proxy names it
    pa.field("source", WORDS, nullable=False),  # format of the log: "squid", "zeek-http", "suricata-tls"
]
CONTACT: Final = pa.schema(_FIELDS)
