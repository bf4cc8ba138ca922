"""The header fields that an expression may name, and where each is found in every target.

One table, so that a field is described once: its width, its column in the packet record, the headers that
must be there for it to exist, and its place in tcpdump's byte notation. The order of the table is the
*header order* of the canonical form.
"""

from __future__ import annotations

from dataclasses import dataclass

from andon.records.packet import IPV4, TCP, UDP


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One header field: ``bits`` wide, in ``column`` of the packet record, real when ``needs`` are in ``layers``."""

    name: str
    column: str
    bits: int
    needs: int
    bpf: str
    number: int

    @property
    def mask(self) -> int:
        """The bits that the field can have set."""
        return (1 << self.bits) - 1


_ROWS = (
    ("ip.src", "src", 32, IPV4, "ip[12:4]"),
    ("ip.dst", "dst", 32, IPV4, "ip[16:4]"),
    ("ip.id", "ip_id", 16, IPV4, "ip[4:2]"),
    ("ip.ttl", "ttl", 8, IPV4, "ip[8]"),
    ("ip.len", "ip_len", 16, IPV4, "ip[2:2]"),
    ("tcp.srcport", "src_port", 16, IPV4 | TCP, "tcp[0:2]"),
    ("tcp.dstport", "dst_port", 16, IPV4 | TCP, "tcp[2:2]"),
    ("tcp.seq", "tcp_seq", 32, IPV4 | TCP, "tcp[4:4]"),
    ("tcp.ack", "tcp_ack", 32, IPV4 | TCP, "tcp[8:4]"),
    ("tcp.window", "tcp_window", 16, IPV4 | TCP, "tcp[14:2]"),
    ("tcp.flags", "tcp_flags", 8, IPV4 | TCP, "tcp[13]"),
    ("udp.srcport", "src_port", 16, IPV4 | UDP, "udp[0:2]"),
    ("udp.dstport", "dst_port", 16, IPV4 | UDP, "udp[2:2]"),
)

FIELDS: dict[str, FieldInfo] = {row[0]: FieldInfo(*row, number) for number, row in enumerate(_ROWS)}
