"""The loops over packets: counting lanes, recording hits, sampling the packets that nothing explains.

``marks`` has one uint32 a packet (``Catalogue.bundle``): bit 0 SYN lane, bit 1 UDP lane, bit 2 passes the guard
of a guarded session signature, then for each global signature three bits: tried, hit, hit with second property.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.countmin import count_one
from andon.sketch.hashing import mix64
from andon.sketch.lowest import keep_lowest
from andon.sketch.rows import find_or_add, is_kept

_ONE = np.uint64(1)
_U3 = np.uint32(3)
_U7 = np.uint32(7)


@njit(cache=True, nogil=True)
def count_lanes(
    marks: np.ndarray,
    src: np.ndarray,
    syn: np.ndarray,
    udp: np.ndarray,
    salt: np.uint64,
    packets: np.ndarray,
) -> None:
    """Add each packet to its source's count in its lane."""
    for i in range(marks.shape[0]):
        lane = marks[i] & _U3
        if lane == 1:
            count_one(syn, np.uint64(src[i]), salt)
            packets[0] += 1
        elif lane == 2:
            count_one(udp, np.uint64(src[i]), salt)
            packets[1] += 1


@njit(cache=True, nogil=True)
def record_hits(
    start: int,
    marks: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    seq: np.ndarray,
    sport: np.ndarray,
    dport: np.ndarray,
    ip_id: np.ndarray,
    ts: np.ndarray,
    identity: np.ndarray,
    keys: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
    counts: np.ndarray,
    times: np.ndarray,
    distinct: np.ndarray,
    totals: np.ndarray,
    by_port: np.ndarray,
) -> tuple[int, int]:
    """Record the hits from ``start`` on; gives (position reached, used). It stops before a packet whose rows
    do not fit, with nothing of that packet recorded."""
    slots = np.empty(identity.shape[0], np.int64)
    item = np.empty(1, np.uint32)
    for i in range(start, marks.shape[0]):
        rest = marks[i] >> _U3
        if rest == 0:
            continue
        here = rest
        e = -1
        while here:
            e += 1
            slots[e] = -1
            if here & _U7:
                key = (np.uint64(e) << np.uint64(32)) | np.uint64(src[i])
                if level == 0 or is_kept(mix64(np.uint64(src[i]), salt), level):
                    slot, used = find_or_add(keys, key, mix64(key, salt), used, room)
                    if slot < 0:
                        return i, used
                    slots[e] = slot
            here >>= _U3
        e = -1
        while rest:
            e += 1
            bits = rest & _U7
            rest >>= _U3
            if bits == 0:
                continue
            if bits & 2:
                totals[e] += 1
                by_port[e, dport[i]] += 1
            slot = slots[e]
            if slot < 0:
                continue
            counts[slot, 0] += 1
            if bits & 2:
                counts[slot, 1] += 1
                counts[slot, 2] += np.int64(bits >> np.uint32(2))
                times[slot, 0] = min(times[slot, 0], ts[i])
                times[slot, 1] = min(times[slot, 1], -ts[i])
                what = identity[e]
                a, b = np.uint64(0), np.uint64(0)
                if what & 1:
                    a = np.uint64(dst[i])
                if what & 2:
                    a |= np.uint64(seq[i]) << np.uint64(32)
                if what & 4:
                    b = np.uint64(ip_id[i])
                if what & 8:
                    b |= (np.uint64(sport[i]) << np.uint64(32)) | (np.uint64(dport[i]) << np.uint64(48))
                hashed = np.uint32(mix64(a ^ mix64(b, salt), salt) >> np.uint64(32))
                if hashed < distinct[slot, distinct.shape[1] - 1]:
                    item[0] = hashed
                    keep_lowest(distinct[slot], item, 1)
    return marks.shape[0], used


@njit(cache=True, nogil=True)
def take_samples(
    start: int,
    marks: np.ndarray,
    wanted: int,
    explains: np.uint32,
    src: np.ndarray,
    dst: np.ndarray,
    seq: np.ndarray,
    sport: np.ndarray,
    dport: np.ndarray,
    window: np.ndarray,
    ip_id: np.ndarray,
    ts: np.ndarray,
    keys: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
    packets: np.ndarray,
    times: np.ndarray,
    sample: np.ndarray,
    sequences: np.ndarray,
    ttl: np.ndarray,
    ttls: np.ndarray,
) -> tuple[int, int]:
    """Sample the packets whose lane and guard bits are ``wanted`` and that no hit in ``explains`` explains; as
    ``record_hits`` for the rest. ``sequences`` has no rows where distinct sequence numbers and TTLs are not
    kept. The hash of destination and sequence number can be undone (``unmix64``)."""
    item = np.empty(2, np.uint64)
    one = np.empty(1, np.uint64)
    top = sample.shape[1] - 2
    for i in range(start, marks.shape[0]):
        if (marks[i] & _U7) != wanted or marks[i] & explains:
            continue
        key = np.uint64(src[i])
        hashed = mix64(key, salt)
        if not is_kept(hashed, level):
            continue
        slot, used = find_or_add(keys, key, hashed, used, room)
        if slot < 0:
            return i, used
        packets[slot] += 1
        times[slot, 0] = min(times[slot, 0], ts[i])
        times[slot, 1] = min(times[slot, 1], -ts[i])
        others = (np.uint64(sport[i]) << np.uint64(48)) | (np.uint64(dport[i]) << np.uint64(32))
        others |= (np.uint64(window[i]) << np.uint64(16)) | np.uint64(ip_id[i])
        word = ((np.uint64(dst[i]) << np.uint64(32)) | np.uint64(seq[i])) ^ mix64(others, salt)
        item[0] = mix64(word, salt)
        if item[0] < sample[slot, top]:
            item[1] = others
            keep_lowest(sample[slot], item, 2)
        if sequences.shape[0]:
            one[0] = mix64(np.uint64(seq[i]), salt)
            if one[0] < sequences[slot, sequences.shape[1] - 1]:
                keep_lowest(sequences[slot], one, 1)
            ttls[slot] |= _ONE << np.uint64(ttl[i] & np.uint8(63))
    return marks.shape[0], used
