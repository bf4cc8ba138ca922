"""One pass over a batch: three bounded tables, one filter, a few totals."""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.detect.darknet.backscatter.asked import note
from andon.detect.darknet.backscatter.classes import NONE, TALK, UDP_FRAGMENT, flavour_of, kind_of
from andon.records import packet
from andon.sketch.hashing import mix64
from andon.sketch.rows import find_or_add, is_kept

# Layout of the keys: the source stands above bit 30 in both, so that both tables sample the same sources.
SOURCE_SHIFT = 30
BIN_BITS = (1 << SOURCE_SHIFT) - 1
BY_SOURCE = 0xFFFFFFFF << SOURCE_SHIFT
BIN_NS = 10_000_000_000

PAIRS, BINS, ANSWERS = 0, 1, 2
NOT_IPV4 = 10  # place in ``totals`` after the flavours
TOTALS = 11

_S30, _S16, _S32, _S58 = np.uint64(30), np.uint64(16), np.uint64(32), np.uint64(58)
_ONE = np.uint64(1)
_BY_SOURCE = np.uint64(BY_SOURCE)
_BIN_BITS = np.int64(BIN_BITS)
_BIN_NS = np.int64(BIN_NS)
_TCP_UDP = packet.TCP | packet.UDP
_ICMP = packet.ICMP
_IPV4 = packet.IPV4


@njit(cache=True, nogil=True)
def walk(
    start: int,
    ts: np.ndarray, src: np.ndarray, dst: np.ndarray, src_port: np.ndarray, dst_port: np.ndarray,
    proto: np.ndarray, flags: np.ndarray, ttl: np.ndarray, layers: np.ndarray, icmp_type: np.ndarray,
    icmp_code: np.ndarray,
    services: np.ndarray, salt: np.uint64, totals: np.ndarray, asked: np.ndarray, note_asked: bool,
    pair_keys: np.ndarray, pair_used: int, pair_room: int, pair_level: int,
    p_src: np.ndarray, p_dst: np.ndarray, p_sport: np.ndarray, p_dport: np.ndarray, p_packets: np.ndarray,
    p_first: np.ndarray, p_last: np.ndarray, p_ttl_low: np.ndarray, p_ttl_high: np.ndarray,
    bin_keys: np.ndarray, bin_used: int, bin_room: int, bin_level: int,
    b_packets: np.ndarray, b_dsts: np.ndarray, b_ports: np.ndarray, b_first: np.ndarray, b_last: np.ndarray,
    b_dst_low: np.ndarray, b_dst_high: np.ndarray, b_port_low: np.ndarray, b_port_high: np.ndarray,
    answer_keys: np.ndarray, answer_used: int, answer_room: int, answer_level: int, a_packets: np.ndarray,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    """Add packets from ``start`` on.

    Gives (position reached, number of the table that is full, keys used in pairs, bins, answers). A packet is
    added to all of its tables or to none: the slots are found first, and only then is anything counted.
    """
    for i in range(start, ts.shape[0]):
        layer = np.int64(layers[i])
        if not layer & _IPV4:
            totals[NOT_IPV4] += 1
            continue
        source, target = np.uint64(src[i]), np.uint64(dst[i])
        sport, dport = np.int64(src_port[i]), np.int64(dst_port[i])
        flag, itype, icode = np.int64(flags[i]), np.int64(icmp_type[i]), np.int64(icmp_code[i])
        flavour = flavour_of(layer, np.int64(proto[i]), flag, itype, icode, sport, dport, services)
        answers = flavour not in (NONE, TALK)

        pair_key = mix64((source << _S32) | target, salt) >> _ONE
        hashed = mix64(pair_key, salt)
        pair = -1
        if is_kept(hashed, pair_level):
            pair, pair_used = find_or_add(pair_keys, pair_key, hashed, pair_used, pair_room)
            if pair < 0:
                return i, PAIRS, pair_used, bin_used, answer_used
        answer = row = -1
        if flavour != NONE:
            by_source = source << _S30
            chosen = mix64(by_source, salt)
            if is_kept(chosen, answer_level):
                what = np.uint64(0)
                if layer & _ICMP:
                    what = np.uint64(itype << 8 | icode)
                elif answers and flavour != UDP_FRAGMENT:
                    what = np.uint64(sport)
                key = by_source | (np.uint64(flavour) << _S16) | what
                answer, answer_used = find_or_add(
                    answer_keys, key, mix64(key, salt), answer_used, answer_room
                )
                if answer < 0:
                    return i, ANSWERS, pair_used, bin_used, answer_used
            if answers and is_kept(chosen, bin_level):
                key = by_source | np.uint64((ts[i] // _BIN_NS) & _BIN_BITS)
                row, bin_used = find_or_add(bin_keys, key, mix64(key, salt), bin_used, bin_room)
                if row < 0:
                    return i, BINS, pair_used, bin_used, answer_used

        totals[flavour] += 1
        if note_asked and not answers:
            note(asked, target, salt)
        if pair >= 0:
            p_src[pair] = np.uint32(source)
            p_dst[pair] = np.uint32(target)
            p_sport[pair] = max(p_sport[pair], np.uint16(sport))
            p_dport[pair] = max(p_dport[pair], np.uint16(dport))
            p_packets[pair, kind_of(layer, flag, flavour)] += np.uint32(1)
            p_first[pair] = min(p_first[pair], ts[i])
            p_last[pair] = max(p_last[pair], ts[i])
            p_ttl_low[pair] = min(p_ttl_low[pair], ttl[i])
            p_ttl_high[pair] = max(p_ttl_high[pair], ttl[i])
        if answer >= 0:
            a_packets[answer] += np.uint32(1)
        if row >= 0:
            b_packets[row] += np.uint32(1)
            b_dsts[row] |= _ONE << (mix64(target, salt) >> _S58)
            b_first[row] = min(b_first[row], ts[i])
            b_last[row] = max(b_last[row], ts[i])
            b_dst_low[row] = min(b_dst_low[row], np.uint32(target))
            b_dst_high[row] = max(b_dst_high[row], np.uint32(target))
            if layer & _TCP_UDP:
                b_ports[row] |= _ONE << (mix64(np.uint64(dport), salt) >> _S58)
                b_port_low[row] = min(b_port_low[row], np.uint16(dport))
                b_port_high[row] = max(b_port_high[row], np.uint16(dport))
    return ts.shape[0], -1, pair_used, bin_used, answer_used
