"""What a packet shows of its transport, and whether it asks for something."""

from __future__ import annotations

from numba import njit

from andon.records.packet import ACK, ICMP, IPV4, PROTO_ICMP, PROTO_TCP, PROTO_UDP, RST, TCP, UDP

KIND_TCP, KIND_UDP, KIND_ICMP = 0, 1, 2
_REQUESTS = (1 << 8) | (1 << 10) | (1 << 13) | (1 << 15) | (1 << 17)  # ICMP types that ask


@njit(cache=True, nogil=True, inline="always")
def transport(proto: int, layers: int) -> int:
    """Kind of a packet over IPv4 whose header of TCP, UDP or ICMP is there, -1 for any other."""
    if layers & IPV4 == 0:
        return -1
    if proto == PROTO_TCP and layers & TCP:
        return KIND_TCP
    if proto == PROTO_UDP and layers & UDP:
        return KIND_UDP
    if proto == PROTO_ICMP and layers & ICMP:
        return KIND_ICMP
    return -1


@njit(cache=True, nogil=True, inline="always")
def asks(proto: int, layers: int, flags: int, icmp_type: int) -> int:
    """Kind of a packet that asks (TCP without ACK and RST, UDP, ICMP requests), -1 for any other."""
    kind: int = transport(proto, layers)
    if kind == KIND_TCP:
        return KIND_TCP if flags & (ACK | RST) == 0 else -1
    if kind == KIND_ICMP:
        return KIND_ICMP if icmp_type < 32 and (_REQUESTS >> icmp_type) & 1 else -1
    return kind
