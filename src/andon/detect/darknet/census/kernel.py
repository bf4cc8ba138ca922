"""The census of one batch: one walk over the packets, four tables.

Every packet first gets its slots in all tables; only then is it counted. When a table is full the walk stops
before the packet, the caller makes room, and the walk goes on with that packet, so nothing is counted twice.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.detect.darknet.census.units import (
    ANY_IPV6,
    ECHO_REQUEST,
    HEADERLESS_AT,
    ICMP_AT,
    ICMP_BACK,
    ICMP_OTHER,
    NO_HEADER,
    OTHER_AT,
    OTHER_IPV4,
    TCP_OTHER,
    TCP_RST,
    TCP_SYN,
    TCP_SYNACK,
    UDP_ANY,
    UDP_AT,
)
from andon.records.packet import (
    ACK,
    FLAG_MASK,
    ICMP,
    IPV4,
    PROTO_ICMP,
    PROTO_TCP,
    PROTO_UDP,
    RST,
    SYN,
    TCP,
    UDP,
)
from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import EMPTY, find_or_add, is_kept

# Places in the array of fill states.
UNIT, SOURCE, TARGET, NET = range(4)
_AHEAD = 16  # packets between asking for a slot and using it
_32, _8, _6 = np.uint64(32), np.uint64(8), np.uint64(6)
_LOW8, _LOW6, _ONE = np.uint64(0xFF), np.uint64(63), np.uint64(1)
# Echo reply, unreachable, source quench, redirect, time exceeded, parameter problem, timestamp reply, ...
_ANSWERS = (
    (1 << 0) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 11) | (1 << 12) | (1 << 14) | (1 << 16) | (1 << 18)
)


@njit(cache=True, nogil=True, inline="always")
def _unit_and_class(proto: int, port: int, flags: int, layers: int, icmp_type: int) -> tuple[int, int]:
    if proto == PROTO_TCP and layers & TCP:
        if flags & FLAG_MASK == SYN:
            return port, TCP_SYN
        if flags & RST:
            return port, TCP_RST
        if flags & (SYN | ACK) == (SYN | ACK):
            return port, TCP_SYNACK
        return port, TCP_OTHER
    if proto == PROTO_UDP and layers & UDP:
        return UDP_AT + port, UDP_ANY
    if proto == PROTO_ICMP and layers & ICMP:
        if icmp_type == 8:
            return ICMP_AT + icmp_type, ECHO_REQUEST
        if icmp_type < 32 and (_ANSWERS >> icmp_type) & 1:
            return ICMP_AT + icmp_type, ICMP_BACK
        return ICMP_AT + icmp_type, ICMP_OTHER
    if proto in (PROTO_TCP, PROTO_UDP, PROTO_ICMP):
        return HEADERLESS_AT + proto, NO_HEADER
    return OTHER_AT + proto, OTHER_IPV4


@njit(cache=True, nogil=True)
def count_batch(
    ts: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    dst_port: np.ndarray,
    proto: np.ndarray,
    flags: np.ndarray,
    layers: np.ndarray,
    icmp_type: np.ndarray,
    start: int,
    unit_keys: np.ndarray,
    unit_packets: np.ndarray,
    source_keys: np.ndarray,
    source_packets: np.ndarray,
    target_keys: np.ndarray,
    net_keys: np.ndarray,
    net_seen: np.ndarray,
    net_packets: np.ndarray,
    used: np.ndarray,
    room: np.ndarray,
    level: np.ndarray,
    salt: np.uint64,
    classes: np.ndarray,
    protocols: np.ndarray,
    times: np.ndarray,
) -> tuple[int, int]:
    """Count packets from ``start`` on; gives the position reached and which table is full (-1: none).
    ``used``, ``classes`` (packets by class), ``protocols`` (packets by protocol number) and ``times``
    (first, last in ns) are changed in place."""
    first, last = times[0], times[1]
    units_used, sources_used, targets_used, nets_used = used[UNIT], used[SOURCE], used[TARGET], used[NET]
    source_level, target_level, net_level = level[SOURCE], level[TARGET], level[NET]
    mask = np.uint64(source_keys.shape[0] - 1)
    target_mask = np.uint64(target_keys.shape[0] - 1)
    unit_mask = np.uint64(unit_keys.shape[0] - 1)
    full = -1
    i = start
    while i < ts.shape[0]:
        j = i + _AHEAD
        if j < ts.shape[0] and layers[j] & IPV4:
            unit, kind = _unit_and_class(
                np.int64(proto[j]),
                np.int64(dst_port[j]),
                np.int64(flags[j]),
                np.int64(layers[j]),
                np.int64(icmp_type[j]),
            )
            prefetch(unit_keys, np.int64(mix64(np.uint64(unit), salt) & unit_mask))
            high = np.uint64(unit) << _32
            if target_level == 0:
                prefetch(target_keys, np.int64(mix64(high | np.uint64(dst[j]), salt) & target_mask))
            if source_level == 0:
                at = np.int64(mix64(high | np.uint64(src[j]), salt) & mask)
                prefetch(source_keys, at)
                prefetch(source_packets, at)
        if layers[i] & IPV4 == 0:
            classes[ANY_IPV6] += 1
        else:
            unit, kind = _unit_and_class(
                np.int64(proto[i]),
                np.int64(dst_port[i]),
                np.int64(flags[i]),
                np.int64(layers[i]),
                np.int64(icmp_type[i]),
            )
            key = np.uint64(unit)
            unit_slot, units_used = find_or_add(unit_keys, key, mix64(key, salt), units_used, room[UNIT])
            if unit_slot < 0:
                full = UNIT
                break
            high = key << _32
            address = np.uint64(dst[i])
            key = high | address
            hashed = mix64(key, salt)
            if is_kept(hashed, target_level):
                slot, targets_used = find_or_add(target_keys, key, hashed, targets_used, room[TARGET])
                if slot < 0:
                    full = TARGET
                    break
            key = address >> _8
            hashed = mix64(key, salt)
            net_slot = np.int64(-1)
            if is_kept(hashed, net_level):
                net_slot, nets_used = find_or_add(net_keys, key, hashed, nets_used, room[NET])
                if net_slot < 0:
                    full = NET
                    break
            source = np.uint64(src[i])
            if source_level == 0 or is_kept(mix64(source, salt), source_level):
                key = high | source
                slot, sources_used = find_or_add(
                    source_keys, key, mix64(key, salt), sources_used, room[SOURCE]
                )
                if slot < 0:
                    full = SOURCE
                    break
                source_packets[slot] += 1
            unit_packets[unit_slot] += 1
            if net_slot >= 0:
                low = address & _LOW8
                net_seen[net_slot, np.int64(low >> _6)] |= _ONE << (low & _LOW6)
                net_packets[net_slot] += 1
            classes[kind] += 1
        protocols[proto[i]] += 1
        first = min(first, ts[i])
        last = max(last, ts[i])
        i += 1
    used[UNIT], used[SOURCE], used[TARGET], used[NET] = units_used, sources_used, targets_used, nets_used
    times[0], times[1] = first, last
    return i, full


@njit(cache=True, nogil=True)
def rows_per_unit(keys: np.ndarray, out: np.ndarray) -> None:
    """Add to ``out`` (int64 by unit) the number of keys of each unit in an open hash table."""
    for i in range(keys.shape[0]):
        if keys[i] != EMPTY:
            out[np.int64(keys[i] >> _32)] += 1


@njit(cache=True, nogil=True)
def ones(words: np.ndarray) -> np.ndarray:
    """Number of one bits in each row of a (n, k) uint64 array, as int64."""
    out = np.zeros(words.shape[0], np.int64)
    for i in range(words.shape[0]):
        for j in range(words.shape[1]):
            x = words[i, j]
            x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
            x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
            x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
            out[i] += np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))
    return out
