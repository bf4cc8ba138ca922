"""What the census counts by: one small number (a *unit*) for each protocol and port.

TCP and UDP have a unit for each destination port, ICMP one for each type, every other protocol one. Packets
of TCP, UDP and ICMP whose transport header is not there (later fragments, cut captures) have a unit of their
own for each protocol, so that every IPv4 packet is counted under exactly one unit.
"""

from __future__ import annotations

import numpy as np

from andon.records.packet import PROTO_ICMP, PROTO_TCP, PROTO_UDP

TCP_AT = 0
UDP_AT = 1 << 16
ICMP_AT = 2 << 16
OTHER_AT = ICMP_AT + 256
HEADERLESS_AT = OTHER_AT + 256
UNITS = HEADERLESS_AT + 256

# Classes of packet, in the order in which they are counted.
CLASSES = (
    "tcp syn",
    "tcp syn-ack",
    "tcp rst",
    "tcp other",
    "udp",
    "icmp echo request",
    "icmp reply or error",
    "icmp other",
    "other ipv4",
    "no transport header",
    "ipv6",
)
(
    TCP_SYN,
    TCP_SYNACK,
    TCP_RST,
    TCP_OTHER,
    UDP_ANY,
    ECHO_REQUEST,
    ICMP_BACK,
    ICMP_OTHER,
    OTHER_IPV4,
    NO_HEADER,
    ANY_IPV6,
) = range(len(CLASSES))

PROTOCOL_NAMES = {
    1: "ICMP",
    2: "IGMP",
    6: "TCP",
    17: "UDP",
    41: "IPv6-in-IPv4",
    47: "GRE",
    50: "ESP",
    132: "SCTP",
}


def split(units: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(protocol uint8, port uint16, whether there was a transport header) of units.

    >>> [part.tolist() for part in split(np.array([23, UDP_AT + 53, ICMP_AT + 8, OTHER_AT + 47]))]
    [[6, 17, 1, 47], [23, 53, 8, 0], [True, True, True, True]]
    """
    units = np.asarray(units, np.int64)
    proto = np.full(units.shape, PROTO_TCP, np.uint8)
    proto[units >= UDP_AT] = PROTO_UDP
    proto[units >= ICMP_AT] = PROTO_ICMP
    rest = units >= OTHER_AT
    proto[rest] = (units[rest] & 0xFF).astype(np.uint8)
    port = np.where(units < ICMP_AT, units & 0xFFFF, units & 0xFF).astype(np.uint16)
    port[rest] = 0
    return proto, port, units < HEADERLESS_AT


def protocol_name(proto: int) -> str:
    """
    >>> protocol_name(6), protocol_name(99)
    ('TCP', 'protocol 99')
    """
    return PROTOCOL_NAMES.get(proto, f"protocol {proto}")


def unit_name(unit: int) -> str:
    """
    >>> unit_name(23), unit_name(UDP_AT + 53), unit_name(ICMP_AT + 8), unit_name(HEADERLESS_AT + 17)
    ('TCP 23', 'UDP 53', 'ICMP type 8', 'UDP without header')
    """
    proto, port, header = (part[0] for part in split(np.array([unit])))
    name = protocol_name(int(proto))
    if not header:
        return f"{name} without header"
    if unit < ICMP_AT:
        return f"{name} {port}"
    return f"{name} type {port}" if unit < OTHER_AT else name
