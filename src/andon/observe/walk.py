"""The walk: capture bytes in, rows of a batch out, at the speed of copying the bytes.

One compiled loop over record headers. The commonest packet (Ethernet, IPv4 without options, not a fragment)
is decoded in the loop without a branch on its transport protocol: the TCP fields are loaded for every packet
and masked to zero where the protocol says that they are something else, since a mispredicted branch costs
more than the loads. Everything else goes to ``decode.decode``.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from andon.observe import decode as D
from andon.observe import framing as F
from andon.observe import reasons as R
from andon.observe.load import be16, be32, le16, le32, le64, put8, put16, put32, put64, swap32, u8
from andon.records import packet as K


@njit(cache=True, nogil=True)
def _common_options(p: int, hlen: int, avail: int) -> tuple[int, int]:
    """Kinds and MSS of the layouts that make up nearly all traffic, without a branch; kinds -1 for others.

    MSS alone (Masscan), MSS SACK-permitted timestamps NOP scale (Linux), MSS NOP scale NOP NOP SACK-permitted
    (Windows), NOP NOP timestamps (an established connection). Twenty bytes at ``p`` must be in the buffer; a
    layout counts only when the header length says so and all of it was captured.
    """
    there = hlen & -(avail >= hlen)
    first = le64(p)
    starts_mss = (first & 0xFFFF) == 0x0402
    alone = (there == 24) & starts_mss
    linux = (there == 40) & ((first & -0xFFFF0001) == 0x0A08020400000402) & ((le32(p + 16) & 0xFFFFFF) == 0x030301)
    windows = (
        (there == 32) & ((first & 0x00FFFFFF0000FFFF) == 0x0003030100000402) & (le32(p + 8) == 0x02040101)
    )
    running = (there == 32) & ((first & 0xFFFFFFFF) == 0x0A080101)
    mss = be16(p + 2) & -(alone | linux | windows)
    kinds = (2 & -alone) | (0x0301080402 & -linux) | (0x040101030102 & -windows) | (0x080101 & -running)
    kinds |= -((hlen > 20) & (kinds == 0))
    return kinds, mss


@njit(cache=True, nogil=True)
def walk(
    base: int, end: int, state: Any, interfaces: Any, arena: int, v6: int, skipped: Any, unknown: Any
) -> int:
    """Decode records from ``state[POS]`` on until the batch is full or the buffer has no whole record left.

    ``base`` is the address of the buffer, ``end`` the bytes in it; ``arena`` and ``v6`` the addresses of the
    column arenas. Returns why it stopped (``framing.BATCH_FULL`` ...); ``state`` then tells where.
    """
    swapped = state[F.SWAPPED]
    ng = state[F.NG]
    multiply = state[F.MULTIPLY]
    link = state[F.LINK]
    max_captured = state[F.MAX_CAPTURED]
    fraction_limit = state[F.FRACTION_LIMIT]
    full = state[F.FULL]
    pos = state[F.POS]
    row = state[F.ROW]
    packets = state[F.PACKETS]
    first_ts = state[F.FIRST_TS]
    ts = state[F.LAST_TS]
    previous = state[F.PREVIOUS]
    bad_fraction = state[F.BAD_FRACTION]
    v6_rows = state[F.V6_ROWS]
    safe = base + end - 54
    safe_options = safe - 20
    status = F.BATCH_FULL
    while row < D.ROWS:
        if ng:
            status, at, cap, wire, when, link, after = F.block(base, pos, end, swapped, interfaces)
            if status == F.OTHER:
                pos = after
                status = F.BATCH_FULL
                continue
            if status != F.PACKET:
                break
            p = base + at
            ts = when
        else:
            h = base + pos
            if pos + 16 > end:
                status = F.NEED
                break
            sec = le32(h)
            fraction = le32(h + 4)
            cap = le32(h + 8)
            wire = le32(h + 12)
            if swapped:
                sec = swap32(sec)
                fraction = swap32(fraction)
                cap = swap32(cap)
                wire = swap32(wire)
            after = pos + 16 + cap
            if after > end or cap > max_captured:
                status = F.DAMAGE if cap > max_captured else F.NEED
                break
            if cap == 0 and sec == 0 and wire == 0 and fraction == 0:
                status = F.DAMAGE
                break
            bad_fraction += fraction >= fraction_limit
            ts = sec * 1_000_000_000 + fraction * multiply
            p = h + 16
        status = F.BATCH_FULL
        previous = pos
        pos = after
        if packets == 0:
            first_ts = ts
        packets += 1
        if (
            link == 1
            and cap >= 34
            and p <= safe
            and (le32(p + 12) & 0x00FFFFFF) == 0x00450008
            and (le16(p + 20) & 0xFF3F) == 0
            and le16(p + 16) != 0
        ):
            length = be16(p + 16)
            proto = u8(p + 23)
            avail = min(cap - 14, length) - 20
            tcp = -((proto == 6) & (avail >= 20))
            udp = -((proto == 17) & (avail >= 8))
            ports = tcp | udp
            put64(arena + D.TS + row * 8, ts)
            put32(arena + D.SRC + row * 4, be32(p + 26))
            put32(arena + D.DST + row * 4, be32(p + 30))
            put16(arena + D.SRC_PORT + row * 2, be16(p + 34) & ports)
            put16(arena + D.DST_PORT + row * 2, be16(p + 36) & ports)
            put8(arena + D.PROTO + row, proto)
            put8(arena + D.TCP_FLAGS + row, u8(p + 47) & tcp)
            put32(arena + D.TCP_SEQ + row * 4, be32(p + 38) & tcp)
            put32(arena + D.TCP_ACK + row * 4, be32(p + 42) & tcp)
            put16(arena + D.IP_ID + row * 2, be16(p + 18))
            put8(arena + D.TTL + row, u8(p + 22))
            put16(arena + D.TCP_WINDOW + row * 2, be16(p + 48) & tcp)
            put16(arena + D.IP_LEN + row * 2, length)
            if full:
                icmp = -((proto == 1) & (avail >= 2))
                known = (proto == 6) | (proto == 17) | (proto == 1)
                hlen = ((u8(p + 46) >> 4) * 4) & tcp
                kinds = 0
                mss = 0
                if p <= safe_options:
                    kinds, mss = _common_options(p + 54, hlen, avail)
                    if kinds < 0:
                        kinds, mss = D.options(p + 54, min(hlen, avail) - 20)
                elif hlen > 20:
                    kinds, mss = D.options(p + 54, min(hlen, avail) - 20)
                layers = K.IPV4 | (K.TCP & tcp) | (K.UDP & udp) | (K.ICMP & icmp)
                layers |= K.CUT & -(known & ((ports | icmp) == 0))
                put8(arena + D.LAYERS + row, layers)
                put8(arena + D.TOS + row, u8(p + 15))
                put16(arena + D.FRAG + row * 2, be16(p + 20))
                put8(arena + D.ICMP_TYPE + row, u8(p + 34) & icmp)
                put8(arena + D.ICMP_CODE + row, u8(p + 35) & icmp)
                put8(arena + D.TCP_HLEN + row, hlen)
                put16(arena + D.TCP_MSS + row * 2, mss)
                put64(arena + D.TCP_OPTIONS + row * 8, kinds)
                put8(arena + D.VLAN_TAGS + row, 0)
                put16(arena + D.VLAN_ID + row * 2, K.NO_VLAN)
                put32(arena + D.CAP_LEN + row * 4, cap)
                put32(arena + D.WIRE_LEN + row * 4, wire)
            row += 1
            continue
        if link < 0:
            skipped[R.UNKNOWN_INTERFACE] += 1
            continue
        reason = D.decode(p, cap, wire, link, ts, row, arena, v6, full)
        if reason == R.ROW:
            v6_rows += full and u8(arena + D.LAYERS + row) & K.IPV6 != 0
            row += 1
        elif reason == R.UNKNOWN_LINK:
            unknown[link & 0xFFFF] += 1
        else:
            skipped[reason] += 1
    state[F.POS] = pos
    state[F.ROW] = row
    state[F.PACKETS] = packets
    state[F.FIRST_TS] = first_ts
    state[F.LAST_TS] = ts
    state[F.PREVIOUS] = previous
    state[F.BAD_FRACTION] = bad_fraction
    state[F.V6_ROWS] = v6_rows
    return status
