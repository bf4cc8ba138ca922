"""Messages and flows of the lab. A message names its flow, its number and when it was sent (ns, UTC).

Flows of the infected client are every way to its C2; those of the clean client and the critical server are what must
not suffer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

MARK: Final = b"ANDN"
MESSAGE: Final = struct.Struct("!4sHHQQ")  # mark, flow, 0, number, sent
# A QUIC version 1 Initial begins so (RFC 9000, 17.2.2): long header, version, two connection ids; the rest of the
# 1,200 bytes is ours.
QUIC: Final = bytes.fromhex("c300000001") + b"\x08andnlab1" + b"\x08andnlab2" + b"\x00\x44\xb0"


@dataclass(frozen=True)
class Flow:
    """``way``: "udp", "quic", "session" (one connection that stays), "http", "tls" (a connection a message), "names"
    (asks the resolver first, then one address after the other), "proxy" (HTTP through the proxy)."""

    name: str
    space: str
    way: str
    to: str
    port: int
    rate: float

    @property
    def end(self) -> str:
        """The namespace in which its messages arrive; anywhere else they were steered to."""
        return {"10.10.0.20": "web", "2001:db8:10::20": "web", "10.10.0.11": "c1"}.get(self.to, "c2srv")


_C2: Final = "203.0.113.10"
FLOWS: Final = (
    # the infected client to its C2, by every path
    Flow("c2-udp4", "c2", "udp", _C2, 5000, 3600),
    Flow("c2-udp6", "c2", "udp", "2001:db8:66::10", 5000, 200),
    Flow("c2-quic4", "c2", "quic", _C2, 443, 100),
    Flow("c2-quic6", "c2", "quic", "2001:db8:66::10", 443, 100),
    Flow("c2-http4", "c2", "http", _C2, 80, 20),
    Flow("c2-http6", "c2", "http", "2001:db8:66::10", 80, 20),
    Flow("c2-tls4", "c2", "tls", _C2, 443, 20),
    Flow("c2-tls6", "c2", "tls", "2001:db8:66::10", 443, 20),
    Flow("c2-session4", "c2", "session", "203.0.113.11", 4444, 100),
    Flow("c2-session6", "c2", "session", "2001:db8:66::11", 4444, 100),
    Flow("c2-names", "c2", "names", "cdn.bad.example", 80, 20),
    Flow("c2-proxy", "c2", "proxy", "cdn.bad.example", 80, 10),
    # the same client elsewhere
    Flow("c2-web4", "c2", "http", "10.10.0.20", 80, 5),
    Flow("c2-good4", "c2", "http", "198.51.100.80", 80, 5),
    # the clean client and the critical server
    Flow("c1-web-udp4", "c1", "udp", "10.10.0.20", 5000, 200),
    Flow("c1-web-udp6", "c1", "udp", "2001:db8:10::20", 5000, 200),
    Flow("c1-web-http4", "c1", "http", "10.10.0.20", 80, 10),
    Flow("c1-web-http6", "c1", "http", "2001:db8:10::20", 80, 10),
    Flow("c1-good4", "c1", "http", "198.51.100.80", 80, 10),
    Flow("c1-names", "c1", "names", "news.good.example", 80, 5),
    Flow("c1-proxy", "c1", "proxy", "news.good.example", 80, 5),
    Flow("c1-session4", "c1", "session", "10.10.0.20", 4444, 100),
    Flow("web-c1-udp4", "web", "udp", "10.10.0.11", 5000, 200),
    Flow("web-good-udp4", "web", "udp", "198.51.100.80", 5000, 100),
)  # fmt: skip
BY_NAME: Final = {flow.name: (number, flow) for number, flow in enumerate(FLOWS)}
TO_C2: Final = tuple(f.name for f in FLOWS if f.space == "c2" and f.name not in ("c2-web4", "c2-good4"))
# Without a resolver and a proxy running.
TO_C2_DIRECT: Final = tuple(name for name in TO_C2 if name not in ("c2-names", "c2-proxy"))
CLEAN: Final = tuple(f.name for f in FLOWS if f.space != "c2")
CLEAN_DIRECT: Final = tuple(name for name in CLEAN if name not in ("c1-names", "c1-proxy"))


def message(flow: int, number: int, sent: int) -> bytes:
    return MESSAGE.pack(MARK, flow, 0, number, sent)
