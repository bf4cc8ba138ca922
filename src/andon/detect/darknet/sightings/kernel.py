"""Rows of sightings: one for each (source, protocol, port) of scan packets, and for each fingerprint given with it.

A key is ``source << 31 | lower``. For packets, and for sources that come without a fingerprint, ``lower`` is
``protocol << 16 | port``: no two of them share a row. A source that comes with a fingerprint (kind ``darknet-source``)
has 2^30 plus 30 bits of a hash of protocol, port and fingerprint there.

A row is 84 bytes. The day is cut into quarters of six hours; ``times`` holds the first millisecond of the day and, as
its complement, the last one of each quarter (merged by minimum), ``packets`` the packets of each quarter (added).
``what`` and ``mark`` say what the key is of; they are equal in all rows of one key.

Scan packets are those that ask: TCP without ACK and RST, UDP that is no answer of a service, ICMP requests, IPv4 only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.asks import KIND_ICMP, KIND_UDP, asks
from andon.sketch.hashing import mix64
from andon.sketch.rows import find_or_add, is_kept

QUARTERS = 4
QUARTER_MS = 6 * 3600 * 1000
DAY_MS = 86_400_000
LATEST = 0xFFFFFFFF  # what the complement of a last time is taken from
SOURCE_SHIFT = 31
GIVEN = 1 << 30  # bit of a key that has a fingerprint
_MILLION = 1_000_000
_SHIFT = np.uint64(SOURCE_SHIFT)


@njit(cache=True, nogil=True)
def requests(
    ts: np.ndarray,
    src: np.ndarray,
    src_port: np.ndarray,
    dst_port: np.ndarray,
    proto: np.ndarray,
    flags: np.ndarray,
    layers: np.ndarray,
    icmp_type: np.ndarray,
    keys: np.ndarray,
    lower: np.ndarray,
    millisecond: np.ndarray,
) -> int:
    """Key, lower part and millisecond of the day of each scan packet, in order; gives how many there are.

    UDP from a service (a port below 1,024) to a high port is an answer to a forged request."""
    found = 0
    for i in range(ts.shape[0]):
        kind = asks(proto[i], layers[i], flags[i], np.int64(icmp_type[i]))
        port = np.int64(0) if kind == KIND_ICMP else np.int64(dst_port[i])
        if kind < 0 or (kind == KIND_UDP and src_port[i] < 1024 <= port):
            continue
        what = np.uint64(np.int64(proto[i]) << 16 | port)
        keys[found] = np.uint64(src[i]) << _SHIFT | what
        lower[found] = np.uint32(what)
        millisecond[found] = np.uint32((ts[i] // _MILLION) % DAY_MS)
        found += 1
    return found


@njit(cache=True, nogil=True)
def enter(
    new: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    count: np.ndarray,
    what: np.ndarray,
    mark: np.ndarray,
    start: int,
    sampled_by: np.uint64,
    keys: np.ndarray,
    times: np.ndarray,
    packets: np.ndarray,
    whats: np.ndarray,
    marks: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int]:
    """Enter sightings from ``start`` on; gives (position reached, rows used), as
    ``KeyedRows.walk`` wants it. ``first`` decides on the quarter."""
    for i in range(start, new.shape[0]):
        key = new[i]
        if level > 0 and not is_kept(mix64(key & sampled_by, salt), level):
            continue
        slot, used = find_or_add(keys, key, mix64(key, salt), used, room)
        if slot < 0:
            return i, used
        quarter = np.int64(first[i]) // QUARTER_MS
        at = 2 * (QUARTERS * slot + quarter)
        times[at] = min(times[at], first[i])
        times[at + 1] = min(times[at + 1], np.uint32(LATEST - last[i]))
        packets[QUARTERS * slot + quarter] += count[i]
        whats[slot] = max(whats[slot], what[i])
        marks[slot] = max(marks[slot], mark[i])
    return new.shape[0], used
