"""The packet record: one row per IP packet, outer headers only, in wire types.

A row is what an observer at the telescope can know about a packet without its payload. Rows exist for
IPv4 and IPv6 packets; frames that carry neither are counted by the reader under a named reason, not given
as rows. Multi-byte fields are in host order, so ``src`` of 192.0.2.1 is ``0xC0000201``.

A field that a packet does not have is 0 in its column; ``layers`` tells an absent field from a zero one.
"""

from __future__ import annotations

import pyarrow as pa

# Bits of ``layers``: which headers of the packet are present and whole.
IPV4 = 1
IPV6 = 2
TCP = 4  # the fixed 20 bytes were captured: ports, seq, ack, flags, window are real
UDP = 8  # the 8 bytes were captured
ICMP = 16  # ICMP type and code were captured (IPv4)
ICMP6 = 32  # the same for ICMPv6
LATER_FRAGMENT = 64  # not the first piece: there is no transport header to look at
CUT = 128  # the transport header is cut short by the capture or by the fragment

# TCP flag bits, as in the header.
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
FLAG_MASK = 0x3F  # "SYN only" looks at these six: ECN set-up (ECE, CWR) is still a SYN

PROTO_ICMP, PROTO_TCP, PROTO_UDP, PROTO_ICMP6 = 1, 6, 17, 58

NO_VLAN = 0xFFFF

SCHEMA = pa.schema(
    [
        pa.field("ts", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("src", pa.uint32(), nullable=False),  # IPv4; 0 for IPv6
        pa.field("dst", pa.uint32(), nullable=False),
        pa.field("src_port", pa.uint16(), nullable=False),  # TCP and UDP; 0 otherwise
        pa.field("dst_port", pa.uint16(), nullable=False),
        pa.field("proto", pa.uint8(), nullable=False),  # IPv4 protocol, or last IPv6 next header
        pa.field("tcp_flags", pa.uint8(), nullable=False),
        pa.field("tcp_seq", pa.uint32(), nullable=False),
        pa.field("tcp_ack", pa.uint32(), nullable=False),
        pa.field("ip_id", pa.uint16(), nullable=False),  # IPv4 only
        pa.field("ttl", pa.uint8(), nullable=False),  # TTL or hop limit
        pa.field("tcp_window", pa.uint16(), nullable=False),
        pa.field(
            "ip_len", pa.uint16(), nullable=False
        ),  # IPv4 total length; IPv6 payload length + 40, capped
        # --- up to here: the thirteen core columns (37 bytes a row); the rest on request or by default
        pa.field("layers", pa.uint8(), nullable=False),  # bits above
        pa.field("tos", pa.uint8(), nullable=False),  # DSCP and ECN byte; IPv6 traffic class
        pa.field("frag", pa.uint16(), nullable=False),  # IPv4 bytes 6-7 as they stand; IPv6: offset<<3 | M
        pa.field("icmp_type", pa.uint8(), nullable=False),
        pa.field("icmp_code", pa.uint8(), nullable=False),
        pa.field("tcp_hlen", pa.uint8(), nullable=False),  # TCP header length in bytes
        pa.field("tcp_mss", pa.uint16(), nullable=False),  # value of the MSS option; 0 if none
        # Option kinds in order, first one in the lowest byte, at most eight; end-of-list is written 0xFF.
        pa.field("tcp_options", pa.uint64(), nullable=False),
        pa.field("vlan_tags", pa.uint8(), nullable=False),  # number of tags in front of the IP header
        pa.field("vlan_id", pa.uint16(), nullable=False),  # outermost VLAN id; NO_VLAN if untagged
        pa.field("cap_len", pa.uint32(), nullable=False),  # bytes of the frame that were captured
        pa.field("wire_len", pa.uint32(), nullable=False),  # bytes of the frame on the wire
        pa.field("src6", pa.binary(16), nullable=False),  # IPv6 address; 16 zero bytes for IPv4
        pa.field("dst6", pa.binary(16), nullable=False),
    ]
)

CORE = tuple(SCHEMA.names[:13])
COLUMNS = tuple(SCHEMA.names)
