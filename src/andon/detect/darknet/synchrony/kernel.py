"""One walk over a batch: each scan packet is entered in the row of its source and port.

Scan packets ask for something: a TCP SYN without ACK or RST, an ICMP echo request, a UDP packet that does not look
like an answer. Answers come to a telescope when somebody forged its addresses (backscatter): SYN-ACK and RST,
ICMP errors, and UDP from the port of a service. UDP counts as an answer if it comes from a port below 1024 or
from one of ``SERVICES`` and goes to another port, unless that is itself below 1024.

The key of a row is ``source << 18 | protocol code << 16 | port``: rows in order of their keys are in order of their
sources. The lower 18 bits are the *unit*, what a source asks for. Columns:

- ``least`` (minimum): first time in ms of the tile, lowest destination, and highest destination inverted; a row
  whose two destinations differ asked more than one dark address;
- ``counts`` (added): packets; SYNs whose sequence number is the destination, as Mirai's are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from andon.records.packet import ACK, ICMP, IPV4, PROTO_ICMP, PROTO_TCP, PROTO_UDP, RST, SYN, TCP, UDP
from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import find_or_add, is_kept

LEAST, COUNTS = 3, 2  # words of each column
UNIT_BITS: Final = 18
UNIT_MASK: Final = (1 << UNIT_BITS) - 1
TCP_CODE, UDP_CODE, ICMP_CODE = 0, 1, 2
PROTOCOLS: Final = (PROTO_TCP, PROTO_UDP, PROTO_ICMP)  # by code
UNITS: Final = 2 * 65536 + 1  # ports of TCP and UDP, and the echo request
BY_SOURCE: Final = 0xFFFFFFFF << UNIT_BITS
# Services above port 1023 that answer forged requests: SSDP, WS-Discovery, mDNS, CoAP, memcached, SIP, STUN, games,
# media servers, video recorders, QUIC-like and chat services.
SERVICES: Final = (
    1194, 1434, 1604, 1701, 1900, 2302, 3074, 3283, 3389, 3478, 3702, 4500, 5060, 5093, 5351, 5353, 5683, 6881,
    7001, 8443, 9987, 10001, 10074, 11211, 19132, 25565, 26000, 27005, 27015, 27016, 27960, 28015, 30120, 30303,
    32414, 33848, 34567, 37020, 37810, 47808,
)  # fmt: skip
_AHEAD = 12  # packets between asking for a slot and using it
_ECHO_REQUEST = 8
_TILE_NS = 600_000_000_000
_CODE_SHIFT, _SOURCE_SHIFT = np.uint64(16), np.uint64(UNIT_BITS)
_SOURCE_BITS = np.uint64(BY_SOURCE)


def answering() -> np.ndarray:
    """uint8[65536]: 1 for UDP source ports whose packets are taken for answers."""
    table = np.zeros(65536, np.uint8)
    table[:1024] = 1
    table[list(SERVICES)] = 1
    return table


@njit(cache=True, nogil=True, inline="always")
def _code(
    proto: int, layers: int, flags: int, icmp_type: int, src_port: int, dst_port: int, answers: np.ndarray
) -> int:
    """Protocol code of a scan packet, -1 for any other."""
    if layers & IPV4 == 0:
        return -1
    if proto == PROTO_TCP and layers & TCP:
        return TCP_CODE if flags & (SYN | ACK | RST) == SYN else -1
    if proto == PROTO_UDP and layers & UDP:
        return -1 if answers[src_port] and dst_port != src_port and dst_port >= 1024 else UDP_CODE
    if proto == PROTO_ICMP and layers & ICMP and icmp_type == _ECHO_REQUEST:
        return ICMP_CODE
    return -1


@njit(cache=True, nogil=True)
def enter_batch(
    ts: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    src_port: np.ndarray,
    dst_port: np.ndarray,
    proto: np.ndarray,
    flags: np.ndarray,
    tcp_seq: np.ndarray,
    layers: np.ndarray,
    icmp_type: np.ndarray,
    start: int,
    answers: np.ndarray,
    keys: np.ndarray,
    least: np.ndarray,
    counts: np.ndarray,
    minutes: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int, int]:
    """Enter packets from ``start`` on; gives (position reached, rows used, scan packets entered or left out).

    ``minutes`` (int64[10]) counts packets of every kind by minute of the tile; ``least`` and ``counts`` are flat."""
    mask = np.uint64(keys.shape[0] - 1)
    scans = 0
    for i in range(start, ts.shape[0]):
        j = i + _AHEAD
        if j < ts.shape[0]:
            # Whether it is a scan packet is not looked at here: most are.
            proto_j = np.int64(proto[j])
            code = TCP_CODE if proto_j == PROTO_TCP else UDP_CODE if proto_j == PROTO_UDP else ICMP_CODE
            port = np.uint64(dst_port[j]) if code != ICMP_CODE else np.uint64(0)
            unit = (np.uint64(code) << _CODE_SHIFT) | port
            at = np.int64(mix64((np.uint64(src[j]) << _SOURCE_SHIFT) | unit, salt) & mask)
            prefetch(keys, at)
            prefetch(least, at * LEAST)
            prefetch(counts, at * COUNTS)
        code = _code(
            np.int64(proto[i]),
            np.int64(layers[i]),
            np.int64(flags[i]),
            np.int64(icmp_type[i]),
            np.int64(src_port[i]),
            np.int64(dst_port[i]),
            answers,
        )
        slot = -1
        offset = np.int64(ts[i]) % _TILE_NS
        if code >= 0:
            port = np.uint64(dst_port[i]) if code != ICMP_CODE else np.uint64(0)
            key = (np.uint64(src[i]) << _SOURCE_SHIFT) | (np.uint64(code) << _CODE_SHIFT) | port
            if level == 0 or is_kept(mix64(key & _SOURCE_BITS, salt), level):
                slot, used = find_or_add(keys, key, mix64(key, salt), used, room)
                if slot < 0:
                    return i, used, scans
            scans += 1
        minutes[offset // 60_000_000_000] += 1
        if slot >= 0:
            row = slot * LEAST
            target = np.uint32(dst[i])
            least[row] = min(least[row], np.uint32(offset // 1_000_000))
            least[row + 1] = min(least[row + 1], target)
            least[row + 2] = min(least[row + 2], ~target)
            row = slot * COUNTS
            counts[row] += np.uint32(1)
            if code == TCP_CODE and tcp_seq[i] == target:
                counts[row + 1] += np.uint32(1)
    return ts.shape[0], used, scans
