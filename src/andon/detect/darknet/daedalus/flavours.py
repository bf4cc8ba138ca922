"""What a packet from a member's address is: a request that looks for something, or an answer to a packet that the
address received from somebody who forged a dark address.

Answers are the classes of Moore, Voelker and Savage, "Inferring Internet denial-of-service activity", USENIX
Security 2001, table 1, and UDP from a service port to a high port (a reflector's answer).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.records import packet

# Columns of a row's counts by flavour.
SYN, TCP_OTHER, UDP, ICMP, OTHER, SYN_ACK, RST, UNREACHABLE, ICMP_ANSWER, UDP_ANSWER = range(10)
FLAVOURS = (
    "TCP SYN", "other TCP", "UDP", "ICMP echo", "other protocol", "SYN-ACK", "RST", "ICMP error", "ICMP answer",
    "UDP answer",
)  # fmt: skip
NUMBER = len(FLAVOURS)
FIRST_ANSWER = SYN_ACK

# Classes of row: a source's requests to dark addresses of its own organisation, to others, and its answers.
INSIDE, OUTSIDE, ANSWERS = range(3)

# UDP services whose answers are seen from reflectors and from attacked servers (US-CERT alert TA14-017A).
_SERVICES = (7, 17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1434, 1900, 3702, 5353, 11211, 27015)
_LEAST_HIGH = 1024

_TCP, _UDP, _ICMP, _ICMP6 = packet.TCP, packet.UDP, packet.ICMP, packet.ICMP6
_FLAGS = packet.SYN | packet.RST | packet.ACK | packet.FIN
_F_SYN, _F_RST, _F_ACK = packet.SYN, packet.RST, packet.ACK


def service_ports() -> np.ndarray:
    """bool[65536]: UDP source ports that mark an answer."""
    known = np.zeros(65536, np.bool_)
    known[list(_SERVICES)] = True
    return known


@njit(cache=True, nogil=True)
def flavour_of(
    layers: int, flags: int, icmp_type: int, src_port: int, dst_port: int, services: np.ndarray
) -> int:
    """The flavour of a packet; -1 for what a live IPv6 address sends by itself (neighbour discovery and the like)."""
    if layers & _TCP:
        kind = flags & _FLAGS
        if kind == _F_SYN:
            return SYN
        if kind == _F_SYN | _F_ACK:
            return SYN_ACK
        return RST if kind & _F_RST and not kind & _F_SYN else TCP_OTHER
    if layers & _UDP:
        return UDP_ANSWER if services[src_port] and dst_port >= _LEAST_HIGH else UDP
    if layers & _ICMP:
        if icmp_type in (3, 4, 5, 11, 12):
            return UNREACHABLE
        return ICMP_ANSWER if icmp_type in (0, 14, 16, 18) else ICMP
    if layers & _ICMP6:
        if icmp_type < 128:
            return UNREACHABLE
        if icmp_type == 128:
            return ICMP
        return ICMP_ANSWER if icmp_type == 129 else -1
    return OTHER
