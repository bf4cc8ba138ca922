"""The summary: packets by minute, source, destination port and protocol, as bounded rows.

Counted are TCP SYNs (only SYN of the six flags; ECN bits are free) and UDP packets over IPv4; answers to forged
packets are not activity. A row holds its number of packets and, for the rule on traffic that goes to one dark
address only, which bits of the destination were ever 1 and ever 0: their intersection is empty exactly if there
was one destination.

Published methods count by /16 network of the source. Rows are by address all the same, because surveys are told
by address and have to be taken out before networks are added up.

At most ``limit`` rows are kept. Beyond that only the /16 networks whose hash lies below 2^-level stay, each with all
its rows: a uniform sample of networks in which every count is exact (``sketch.rows``). What that left out is known.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from andon.records.packet import FLAG_MASK, SYN
from andon.sketch.asks import KIND_TCP, KIND_UDP, transport
from andon.sketch.counted import CountedRows
from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import EMPTY, Column, find_or_add, is_kept

READ = ("ts", "src", "dst", "dst_port", "proto", "tcp_flags", "layers")
SPEC = {"packets": Column("<u4"), "bits": Column("<u4", "or", 2)}
NETWORK = 0xFFFF0000  # bits of the key that decide on the sample: the /16 of the source
MINUTES = 1440
CELLS = 1_300_000  # rows by default; what fits in 2^21 slots of 20 bytes
_MINUTE = 60_000_000_000
_AHEAD, _RING = 12, 16  # packets between asking for a slot and using it; a power of two above that
_NOT_COUNTED = np.uint64(0)
_MINUTE_AT, _UDP_AT, _PORT_AT = np.uint64(49), np.uint64(48), np.uint64(32)
_NETWORK = np.uint64(NETWORK)


@njit(cache=True, nogil=True, inline="always")
def _key(ts: int, src: int, port: int, proto: int, flags: int, layers: int) -> np.uint64:
    """minute of the day (11 bits) | UDP (1) | port (16) | source (32); 0 for a packet that is not counted."""
    kind = transport(proto, layers)
    if kind != KIND_UDP and (kind != KIND_TCP or flags & FLAG_MASK != SYN):
        return np.uint64(0)
    udp = np.uint64(kind == KIND_UDP)
    minute = np.uint64((ts // _MINUTE) % MINUTES + 1)  # from 1 on, so that no key is 0
    return minute << _MINUTE_AT | udp << _UDP_AT | np.uint64(port) << _PORT_AT | np.uint64(src)


@njit(cache=True, nogil=True)
def count_batch(
    ts: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    dst_port: np.ndarray,
    proto: np.ndarray,
    flags: np.ndarray,
    layers: np.ndarray,
    start: int,
    keys: np.ndarray,
    packets: np.ndarray,
    bits: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int, int]:
    """Enter packets from ``start`` on; gives (position reached, rows used, packets counted or left out)."""
    mask = np.uint64(keys.shape[0] - 1)
    size = ts.shape[0]
    ring = np.zeros(
        _RING, np.uint64
    )  # keys of packets between asking and using, or NOT_COUNTED, or EMPTY if left out
    hashes = np.zeros(_RING, np.uint64)
    seen = 0
    for i in range(start - _AHEAD, size):
        j = i + _AHEAD
        if j < size:
            key = _key(
                ts[j],
                np.int64(src[j]),
                np.int64(dst_port[j]),
                np.int64(proto[j]),
                np.int64(flags[j]),
                np.int64(layers[j]),
            )
            place = j & (_RING - 1)
            if key != _NOT_COUNTED:
                if is_kept(mix64(key & _NETWORK, salt), level):
                    hashed = mix64(key, salt)
                    hashes[place] = hashed
                    at = np.int64(hashed & mask)
                    prefetch(keys, at)
                    prefetch(packets, at)
                    prefetch(bits, 2 * at)
                else:
                    key = EMPTY
            ring[place] = key
        if i < start:
            continue
        key = ring[i & (_RING - 1)]
        if key == _NOT_COUNTED:
            continue
        if key != EMPTY:
            slot, used = find_or_add(keys, key, hashes[i & (_RING - 1)], used, room)
            if slot < 0:
                return i, used, seen
            packets[slot] += np.uint32(1)
            bits[2 * slot] |= np.uint32(dst[i])
            bits[2 * slot + 1] |= ~np.uint32(dst[i])
        seen += 1
    return size, used, seen


class Cells(CountedRows):
    """See the module text. ``packets``: all that asked, in the rows or left out.

    >>> Cells(1000, 7).packets
    0
    """

    kind = "cells"
    read = READ
    spec = SPEC
    sampled_by = NETWORK

    def add(self, batch: pa.RecordBatch) -> None:
        """Enter a batch of packets (columns ``READ``)."""
        self.enter(count_batch, batch)
