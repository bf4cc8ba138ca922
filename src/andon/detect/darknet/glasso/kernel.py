"""One walk over a batch: packets by /16 of the source and sample, and pairs of /16 and destination port."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from andon.records.packet import ACK, PROTO_UDP, RST
from andon.sketch.asks import KIND_TCP, KIND_UDP, transport
from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import find_or_add

DONE, MORE_HOSTS, MORE_PAIRS = 0, 1, 2
HOST_SHIFT: Final = 24  # a pair's key: /16 of the source << 24 | UDP << 16 | port
UDP_BIT: Final = 1 << 16
HOST_BITS: Final = 0xFFFF << HOST_SHIFT
SPAN_NS: Final = 600_000_000_000
_AHEAD = 12  # packets between asking for a slot and using it
_ALL = np.uint32(0xFFFFFFFF)
_SHIFT, _UDP = np.uint64(HOST_SHIFT), np.uint64(UDP_BIT)


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
    wanted: np.ndarray,
    listed: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    sample_ns: int,
    index: np.ndarray,
    hosts: np.ndarray,
    counts: np.ndarray,
    keys: np.ndarray,
    packets: np.ndarray,
    ends: np.ndarray,
    kept: np.ndarray,
    limits: np.ndarray,
    salt: np.uint64,
) -> tuple[int, int, int, int]:
    """Enter packets from ``start`` on; gives (position reached, why it stopped, packets entered, listed ones left out).

    ``wanted`` (uint8, 2 x 65536) marks the ports of TCP and of UDP that count, 2 instead of 1 if packets with ACK or
    RST do not. ``listed``, ``low``, ``high`` are those of ``Listed``. ``index`` (int32, 65536) gives the row of each
    /16 in ``hosts`` and ``counts``, -1 for none. ``keys``, ``packets``, ``ends`` are the table of pairs; ``kept``
    (bool, 65536) says whose pairs are in its sample. ``limits`` (int64) holds rows of hosts in use, pairs in use
    and room for pairs; the first two are written back."""
    rows, used, room = limits[0], limits[1], limits[2]
    mask = np.uint64(keys.shape[0] - 1)
    counts_flat = counts.reshape(-1)
    begin, sample = np.int64(0), np.int64(-1)
    entered, left_out = 0, 0
    stopped, position = DONE, ts.shape[0]
    for i in range(start, ts.shape[0]):
        j = i + _AHEAD
        if j < ts.shape[0]:
            host = np.int64(src[j] >> 16)
            if index[host] >= 0:
                prefetch(counts_flat, np.int64(index[host]) * counts.shape[1])
            if kept[host]:
                udp = _UDP if proto[j] == PROTO_UDP else np.uint64(0)
                key = np.uint64(host) << _SHIFT | udp | np.uint64(dst_port[j])
                at = np.int64(mix64(key, salt) & mask)
                prefetch(keys, at)
                prefetch(packets, at)
                prefetch(ends, at * 2)
        kind = transport(np.int64(proto[i]), np.int64(layers[i]))
        port = np.int64(dst_port[i])
        if kind == KIND_TCP:
            want = wanted[0, port]
            if want == 0 or (want == 2 and flags[i] & (ACK | RST)):
                continue
            key = np.uint64(port)
        elif kind == KIND_UDP:
            if wanted[1, port] == 0:
                continue
            key = np.uint64(port) | _UDP
        else:
            continue
        host = np.int64(src[i] >> 16)
        if listed[host]:
            a, b = 0, low.shape[0]
            while a < b:  # ranges that begin at or below the address
                middle = (a + b) // 2
                if low[middle] <= src[i]:
                    a = middle + 1
                else:
                    b = middle
            if a > 0 and src[i] <= high[a - 1]:
                left_out += 1
                continue
        row = np.int64(index[host])
        if row < 0 and rows >= counts.shape[0]:
            stopped, position = MORE_HOSTS, i
            break
        if kept[host]:
            key |= np.uint64(host) << _SHIFT
            slot, used = find_or_add(keys, key, mix64(key, salt), used, room)
            if slot < 0:
                stopped, position = MORE_PAIRS, i
                break
            packets[slot] += np.uint32(1)
            ends[slot * 2] = min(ends[slot * 2], dst[i])
            ends[slot * 2 + 1] = min(ends[slot * 2 + 1], np.uint32(dst[i] ^ _ALL))
        if row < 0:
            row = rows
            rows += 1
            index[host] = row
            hosts[row] = host
        if sample < 0 or not 0 <= ts[i] - begin < sample_ns:
            into = ts[i] % SPAN_NS
            sample = into // sample_ns
            begin = ts[i] - into % sample_ns
        counts[row, sample] += np.uint32(1)
        entered += 1
    limits[0], limits[1] = rows, used
    return position, stopped, entered, left_out
