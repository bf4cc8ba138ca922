"""One pass over the packets of one organisation: a bounded table of its sources, by what they send.

A packet is kept as six words in the row of its source, the eight with the lowest keyed hashes of a tile: its hash;
time; destination and sequence number; acknowledgement and ports; identification, length, window, TTL and flags;
layers, protocol, ICMP type and flavour. At up to eight packets a tile, as nearly always on a darknet, that is all of
them; beyond, it is a uniform sample.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.detect.darknet.daedalus.flavours import ANSWERS, FIRST_ANSWER, INSIDE, OUTSIDE, flavour_of
from andon.detect.darknet.daedalus.members import find, find4, word
from andon.records import packet
from andon.sketch.hashing import mix64
from andon.sketch.lowest import keep_lowest
from andon.sketch.rows import find_or_add, is_kept

WORDS = 6  # of a kept packet
SAMPLE = 8  # packets kept of a row
DESTINATIONS = 16  # hashes of dark addresses kept of a row: exact up to 15

# Keys: bit 62 says IPv6, the class stands in the lowest two bits, between them the address or 60 bits of its hash.
V6 = 1 << 62
BY_SOURCE = 0xFFFFFFFFFFFFFFFC
# Counts of packets that were passed over. A source in the darknet is forged, and may not be told to anybody.
NOT_DARK, NO_MATTER, FORGED_DARK = range(3)

_V6, _4, _2, _ONE = np.uint64(V6), np.uint64(4), np.uint64(2), np.uint64(1)
_BY_SOURCE = np.uint64(BY_SOURCE)
_HASH_BITS = np.uint64((1 << 62) - 4)
_8, _16, _24, _32, _48 = np.uint64(8), np.uint64(16), np.uint64(24), np.uint64(32), np.uint64(48)
_MAPPED = np.uint64(0xFFFF << 32)
_IPV6 = packet.IPV6
_FIRST_MULTICAST = np.uint32(0xE0000000)


@njit(cache=True, nogil=True)
def walk(
    start: int, chosen: np.ndarray, organisation: int,
    ts: np.ndarray, src: np.ndarray, dst: np.ndarray, src_port: np.ndarray, dst_port: np.ndarray,
    proto: np.ndarray, flags: np.ndarray, seq: np.ndarray, ack: np.ndarray, ip_id: np.ndarray, ttl: np.ndarray,
    window: np.ndarray, length: np.ndarray, layers: np.ndarray, icmp_type: np.ndarray, src6: np.ndarray,
    dst6: np.ndarray,
    starts4: np.ndarray, owner4: np.ndarray, hi6: np.ndarray, lo6: np.ndarray, owner6: np.ndarray,
    dark_starts4: np.ndarray, dark4: np.ndarray, dark_hi6: np.ndarray, dark_lo6: np.ndarray, dark6: np.ndarray,
    services: np.ndarray, salt: np.uint64, passed_over: np.ndarray, totals: np.ndarray,
    keys: np.ndarray, used: int, room: int, level: int,
    r_hi: np.ndarray, r_lo: np.ndarray, r_packets: np.ndarray, r_flags: np.ndarray, r_first: np.ndarray,
    r_last: np.ndarray, r_dsts: np.ndarray, r_sample: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """Add the packets ``chosen[start:]``; gives (position reached, keys used); short of the end the table is full."""
    item = np.empty(WORDS, np.uint64)
    for at in range(start, chosen.shape[0]):
        i = chosen[at]
        layer = layers[i]
        if layer & _IPV6:
            hi, lo = word(src6[i], 0), word(src6[i], 8)
            d_hi, d_lo = word(dst6[i], 0), word(dst6[i], 8)
            dark = (
                d_hi >> np.uint64(56) != np.uint64(0xFF) and find(dark_hi6, dark_lo6, dark6, d_hi, d_lo) == 0
            )
            inside = dark and find(hi6, lo6, owner6, d_hi, d_lo) == organisation
            nobody = dark_hi6.shape[0] > 1 and find(dark_hi6, dark_lo6, dark6, hi, lo) == 0
            by_source = _V6 | (mix64(hi ^ mix64(lo, salt), salt) & _HASH_BITS)
            target = mix64(d_hi ^ mix64(d_lo, salt), salt)
        else:
            hi, lo = np.uint64(0), _MAPPED | np.uint64(src[i])
            d_lo = np.uint64(dst[i])
            dark = dst[i] < _FIRST_MULTICAST and find4(dark_starts4, dark4, dst[i]) == 0
            inside = dark and find4(starts4, owner4, dst[i]) == organisation
            nobody = dark_starts4.shape[0] > 1 and find4(dark_starts4, dark4, src[i]) == 0
            by_source = np.uint64(src[i]) * _4
            target = mix64(d_lo, salt)
        if not dark:
            passed_over[NOT_DARK] += 1
            continue
        if nobody:  # only where a telescope was given: without one, everything counts as dark
            passed_over[FORGED_DARK] += 1
            continue
        flavour = flavour_of(layer, flags[i], icmp_type[i], src_port[i], dst_port[i], services)
        if flavour < 0:
            passed_over[NO_MATTER] += 1
            continue
        kind = ANSWERS if flavour >= FIRST_ANSWER else (INSIDE if inside else OUTSIDE)
        if is_kept(mix64(by_source & _BY_SOURCE, salt), level):
            key = by_source | np.uint64(kind)
            row, used = find_or_add(keys, key, mix64(key, salt), used, room)
            if row < 0:
                return at, used
            when = np.uint64(ts[i])
            fields = (np.uint64(ack[i]) << _32) | (np.uint64(src_port[i]) << _16) | np.uint64(dst_port[i])
            head = (
                (np.uint64(ip_id[i]) << _48) | (np.uint64(length[i]) << _32) | (np.uint64(window[i]) << _16)
                | (np.uint64(ttl[i]) << _8) | np.uint64(flags[i])
            )  # fmt: skip
            aims = ((np.uint64(0) if layer & _IPV6 else d_lo) << _32) | np.uint64(seq[i])
            item[1], item[2], item[3], item[4] = when, aims, fields, head
            item[5] = (
                (np.uint64(layer) << _24) | (np.uint64(proto[i]) << _16) | (np.uint64(icmp_type[i]) << _8)
                | np.uint64(flavour)
            )  # fmt: skip
            hashed = target
            for k in range(1, WORDS):
                hashed = mix64(hashed ^ item[k], salt)
            item[0] = hashed
            r_hi[row], r_lo[row] = hi, lo
            r_packets[row, flavour] += np.uint32(1)
            r_flags[row] |= flags[i]
            r_first[row] = min(r_first[row], ts[i])
            r_last[row] = max(r_last[row], ts[i])
            keep_lowest(r_dsts[row], np.array([target], np.uint64), 1)
            keep_lowest(r_sample[row], item, WORDS)
        totals[flavour] += 1
    return chosen.shape[0], used
