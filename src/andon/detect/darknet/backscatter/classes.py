"""What a packet is to a telescope: a request, or the answer to a packet that nobody there sent.

Answers are the classes of Moore, Voelker and Savage, "Inferring Internet denial-of-service activity", USENIX
Security 2001, table 1 (the same as in CAIDA's corsaro ``dos`` plugin): SYN-ACK, RST, RST-ACK, ICMP answers and ICMP
errors; and UDP from a service port to another port. An ICMP error quotes the packet that caused it. Only outer
headers are read, so the sender of the error stands for the victim, which is right for "port unreachable" and may be
a router in front of the victim for the others; whatever names such a victim says so.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.records import packet

# Flavours of an answer. 0 is no answer; TALK is TCP of an established conversation, which is no answer either
# but tells a live host from an attacked one.
NONE, SYN_ACK, RST, RST_ACK, ICMP_ANSWER, PORT_UNREACHABLE, ICMP_ERROR, UDP_ANSWER, UDP_FRAGMENT, TALK = (
    range(10)
)
FLAVOURS = (
    "none",
    "SYN-ACK",
    "RST",
    "RST-ACK",
    "ICMP answer",
    "ICMP port unreachable",
    "other ICMP error",
    "UDP answer",
    "UDP fragment",
    "conversation",
)

# Kinds of packet between one source and one destination.
SYN_KIND, TCP_KIND, UDP_KIND, ICMP_KIND, OTHER_KIND, ANSWER_KIND = range(6)
KINDS = ("TCP SYN", "other TCP", "UDP", "ICMP", "other protocol", "answer")

_TCP, _UDP, _ICMP, _LATER = packet.TCP, packet.UDP, packet.ICMP, packet.LATER_FRAGMENT
_P_UDP = packet.PROTO_UDP
_SYN, _RST, _ACK, _FIN = packet.SYN, packet.RST, packet.ACK, packet.FIN


@njit(cache=True, nogil=True)
def flavour_of(
    layers: int,
    proto: int,
    flags: int,
    icmp_type: int,
    icmp_code: int,
    src_port: int,
    dst_port: int,
    services: np.ndarray,
) -> int:
    """The flavour of an IPv4 packet."""
    if layers & _TCP:
        kind = flags & (_SYN | _RST | _ACK | _FIN)
        if kind == _SYN:
            return NONE
        if kind == _SYN | _ACK:
            return SYN_ACK
        if kind == _RST:
            return RST
        if kind == _RST | _ACK:
            return RST_ACK
        return TALK if kind & _ACK and not kind & (_SYN | _RST) else NONE
    if layers & _UDP:
        return UDP_ANSWER if services[src_port] and src_port != dst_port else NONE
    if layers & _ICMP:
        if icmp_type == 3:
            return PORT_UNREACHABLE if icmp_code == 3 else ICMP_ERROR
        if icmp_type in (0, 14, 16, 18):
            return ICMP_ANSWER
        return ICMP_ERROR if icmp_type in (4, 5, 11, 12) else NONE
    return UDP_FRAGMENT if layers & _LATER and proto == _P_UDP else NONE


@njit(cache=True, nogil=True)
def kind_of(layers: int, flags: int, flavour: int) -> int:
    """The kind of an IPv4 packet whose flavour is known."""
    if flavour not in (NONE, TALK):
        return ANSWER_KIND
    if layers & _TCP:
        return SYN_KIND if flags & (_SYN | _RST | _ACK | _FIN) == _SYN else TCP_KIND
    if layers & _UDP:
        return UDP_KIND
    return ICMP_KIND if layers & _ICMP else OTHER_KIND
