"""One frame to one row: the general decoder, for every link type and both IP versions.

The walk (``walk.py``) decodes the commonest frame, an unfragmented IPv4 packet without options straight behind
an Ethernet header, by itself and calls this for all others. Header layouts: IEEE 802.1Q/802.1ad tags, VN-Tag
(0x8926), Marvell DSA and EDSA tags, PPPoE (RFC 2516), MPLS (RFC 3032), LLC/SNAP (RFC 1042), Linux cooked
captures v1 and v2, BSD loopback, PPP (RFC 1661), IPv4 (RFC 791), IPv6 and its extension headers (RFC 8200).

Bounds: a load happens only after the captured length was compared with its last byte. ``p`` is the address of
the frame's first byte, ``cap`` the bytes captured; nothing at or beyond ``p + cap`` is looked at.
"""

from __future__ import annotations

from typing import Final

from andon.observe import reasons as R
from andon.observe import tunnels as T
from andon.observe.columns import OFFSET, V6_OFFSET
from andon.observe.kernel import inner
from andon.observe.load import be16, be32, le64, put8, put16, put32, put64, u8
from andon.records import packet as K

_MAX_TAGS: Final = 32
_MAX_EXTENSIONS: Final = 16

TS, SRC, DST = OFFSET["ts"], OFFSET["src"], OFFSET["dst"]
SRC_PORT, DST_PORT, PROTO = OFFSET["src_port"], OFFSET["dst_port"], OFFSET["proto"]
TCP_FLAGS, TCP_SEQ, TCP_ACK = OFFSET["tcp_flags"], OFFSET["tcp_seq"], OFFSET["tcp_ack"]
IP_ID, TTL, TCP_WINDOW, IP_LEN = OFFSET["ip_id"], OFFSET["ttl"], OFFSET["tcp_window"], OFFSET["ip_len"]
LAYERS, TOS, FRAG = OFFSET["layers"], OFFSET["tos"], OFFSET["frag"]
ICMP_TYPE, ICMP_CODE, TCP_HLEN = OFFSET["icmp_type"], OFFSET["icmp_code"], OFFSET["tcp_hlen"]
TCP_MSS, TCP_OPTIONS = OFFSET["tcp_mss"], OFFSET["tcp_options"]
VLAN_TAGS, VLAN_ID = OFFSET["vlan_tags"], OFFSET["vlan_id"]
CAP_LEN, WIRE_LEN = OFFSET["cap_len"], OFFSET["wire_len"]
SRC6, DST6 = V6_OFFSET["src6"], V6_OFFSET["dst6"]


@inner
def _reason_of_ethertype(et: int) -> int:
    if et == 0x0806:
        return R.ARP
    if et == 0x8035:
        return R.RARP
    if et < 0x0600:
        return R.LLC
    if et == 0x88CC:
        return R.LLDP
    if et == 0x8809:
        return R.SLOW
    if et == 0x8863:
        return R.PPPOE_DISCOVERY
    if et == 0x8137:
        return R.IPX
    if et == 0x888E:
        return R.EAPOL
    if et == 0x88E5:
        return R.MACSEC
    if et == 0x88F7:
        return R.PTP
    if et == 0x9000:
        return R.ETHERNET_LOOPBACK
    return R.OTHER_ETHERTYPE


@inner
def _ethertype_of_ppp(protocol: int) -> int:
    if protocol == 0x0021:
        return 0x0800
    if protocol == 0x0057:
        return 0x86DD
    return -1


@inner
def _start(p: int, cap: int, link: int) -> tuple[int, int]:
    """Offset behind the link header and the ethertype there; the second is minus a reason when there is none."""
    what, o = T.link(p, cap, link)
    if what == T.ETHERNET:
        return (o + 14, be16(p + o + 12)) if cap >= o + 14 else (0, -R.SHORT_FRAME)
    if what == T.ANY_IP:
        if cap <= o:
            return 0, -R.SHORT_FRAME
        version = u8(p + o) >> 4
        if version == 4:
            return o, 0x0800
        return (o, 0x86DD) if version == 6 else (0, -R.BAD_VERSION)
    if what == T.PPP:
        at = o + 2 if cap >= o + 2 and be16(p + o) == 0xFF03 else o
        if cap < at + 2:
            return 0, -R.SHORT_FRAME
        et = _ethertype_of_ppp(be16(p + at))
        return (at + 2, et) if et > 0 else (0, -R.PPP_OTHER)
    if what == T.LLC:
        return o, 0
    if what == T.SHORT:
        return 0, -R.SHORT_FRAME
    if what == T.UNKNOWN:
        return 0, -R.UNKNOWN_LINK
    if what == T.STOP:
        return 0, -(R.LOOPBACK_OTHER if link in (0, 108) else R.OTHER_LINK)
    return o, what


@inner
def network(p: int, cap: int, link: int) -> tuple[int, int, int, int]:
    """(offset of the IP header, 4 or 6 or minus a reason, number of VLAN tags, outermost VLAN id)."""
    o, et = _start(p, cap, link)
    tags = 0
    vlan = K.NO_VLAN
    if et < 0:
        return 0, et, tags, vlan
    for _ in range(_MAX_TAGS):
        if et == 0x0800:
            return o, 4, tags, vlan
        if et == 0x86DD:
            return o, 6, tags, vlan
        if et in (0x8100, 0x88A8, 0x9100):
            if cap < o + 4:
                return 0, -R.SHORT_FRAME, tags, vlan
            if tags == 0:
                vlan = be16(p + o) & 0xFFF
            tags += 1
            et = be16(p + o + 2)
            o += 4
        elif et == 0x8926:
            if cap < o + 6:
                return 0, -R.SHORT_FRAME, tags, vlan
            et = be16(p + o + 4)
            o += 6
        elif et == 0xDADA:
            if cap < o + 8:
                return 0, -R.SHORT_FRAME, tags, vlan
            et = be16(p + o + 6)
            o += 8
        elif et == 0x8864:
            if cap < o + 8:
                return 0, -R.SHORT_FRAME, tags, vlan
            et = _ethertype_of_ppp(be16(p + o + 6))
            o += 8
            if et < 0:
                return 0, -R.PPPOE_OTHER, tags, vlan
        elif et in (0x8847, 0x8848):
            if cap < o + 5:
                return 0, -R.SHORT_FRAME, tags, vlan
            bottom = u8(p + o + 2) & 1
            o += 4
            if bottom:
                version = u8(p + o) >> 4
                if version not in (4, 6):
                    return 0, -R.MPLS_OTHER, tags, vlan
                et = 0x0800 if version == 4 else 0x86DD
        elif et < 0x0600:
            snap = cap >= o + 8 and be32(p + o) == 0xAAAA0300 and be16(p + o + 4) == 0
            if not snap or et > 1500:
                return 0, -R.LLC, tags, vlan
            et = be16(p + o + 6)
            o += 8
            if et < 0x0600:
                return 0, -R.LLC, tags, vlan
        else:
            return 0, -_reason_of_ethertype(et), tags, vlan
    return 0, -R.TOO_MANY_TAGS, tags, vlan


@inner
def options(p: int, n: int) -> tuple[int, int]:
    """Kinds of the TCP options in ``n`` bytes at ``p`` (packed, see the packet record) and the MSS."""
    kinds = 0
    shift = 0
    mss = 0
    i = 0
    while i < n and shift < 64:
        kind = u8(p + i)
        if kind == 0:
            return kinds | (0xFF << shift), mss
        kinds |= kind << shift
        shift += 8
        if kind == 1:
            i += 1
            continue
        if i + 2 > n:
            break
        size = u8(p + i + 1)
        if size < 2 or i + size > n:
            break
        if kind == 2 and size == 4:
            mss = be16(p + i + 2)
        i += size
    return kinds, mss


@inner
def decode(p: int, cap: int, wire: int, link: int, ts: int, row: int, arena: int, v6: int, full: int) -> int:
    """Write one frame into row ``row`` of the arenas; 0 if a row was written, else the reason's number."""
    found: tuple[int, int, int, int] = network(p, cap, link)
    o, version, tags, vlan = found
    if version < 0:
        return -version
    src = 0
    dst = 0
    ident = 0
    frag = 0
    layers = 0
    if version == 4:
        if cap < o + 20:
            return R.SHORT_IP
        first = u8(p + o)
        if first >> 4 != 4:
            return R.BAD_VERSION
        header = (first & 15) * 4
        if header < 20:
            return R.BAD_IHL
        tos = u8(p + o + 1)
        length = be16(p + o + 2)
        ident = be16(p + o + 4)
        frag = be16(p + o + 6)
        ttl = u8(p + o + 8)
        proto = u8(p + o + 9)
        src = be32(p + o + 12)
        dst = be32(p + o + 16)
        layers = K.IPV4
        later = (frag & 0x1FFF) != 0
        # Length 0 is what a segmentation offload leaves on the sending host: take what was captured.
        end = min(cap, o + length) if length > 0 else cap
        t = o + header
    else:
        if cap < o + 40:
            return R.SHORT_IP
        word = be32(p + o)
        if word >> 28 != 6:
            return R.BAD_VERSION
        tos = (word >> 20) & 0xFF
        payload = be16(p + o + 4)
        length = min(payload + 40, 0xFFFF)
        proto = u8(p + o + 6)
        ttl = u8(p + o + 7)
        layers = K.IPV6
        later = False
        # No payload, unless a hop-by-hop option says that it is a jumbogram.
        end = min(cap, o + 40 + payload) if payload > 0 or proto != 0 else cap
        t = o + 40
        for _ in range(_MAX_EXTENSIONS):
            if proto in (0, 43, 60):
                if t + 8 > end:
                    break
                size = (u8(p + t + 1) + 1) * 8
            elif proto == 51:
                if t + 8 > end:
                    break
                size = (u8(p + t + 1) + 2) * 4
            elif proto == 44:
                if t + 8 > end:
                    break
                frag = be16(p + t + 2) & 0xFFF9
                later = frag >= 8
                size = 8
            else:
                break
            proto = u8(p + t)
            t += size
            if later:
                break
    avail = max(end - t, 0)
    sport = 0
    dport = 0
    flags = 0
    seq = 0
    ack = 0
    window = 0
    hlen = 0
    mss = 0
    kinds = 0
    icmp_type = 0
    icmp_code = 0
    if later:
        layers |= K.LATER_FRAGMENT
    elif proto == 6:
        if avail >= 20:
            layers |= K.TCP
            sport = be16(p + t)
            dport = be16(p + t + 2)
            seq = be32(p + t + 4)
            ack = be32(p + t + 8)
            hlen = (u8(p + t + 12) >> 4) * 4
            flags = u8(p + t + 13)
            window = be16(p + t + 14)
            if full and hlen > 20:
                kinds, mss = options(p + t + 20, min(hlen, avail) - 20)
        else:
            layers |= K.CUT
    elif proto == 17:
        if avail >= 8:
            layers |= K.UDP
            sport = be16(p + t)
            dport = be16(p + t + 2)
        else:
            layers |= K.CUT
    elif (proto == 1 and version == 4) or (proto == 58 and version == 6):
        if avail >= 2:
            layers |= K.ICMP if version == 4 else K.ICMP6
            icmp_type = u8(p + t)
            icmp_code = u8(p + t + 1)
        else:
            layers |= K.CUT
    put64(arena + TS + row * 8, ts)
    put32(arena + SRC + row * 4, src)
    put32(arena + DST + row * 4, dst)
    put16(arena + SRC_PORT + row * 2, sport)
    put16(arena + DST_PORT + row * 2, dport)
    put8(arena + PROTO + row, proto)
    put8(arena + TCP_FLAGS + row, flags)
    put32(arena + TCP_SEQ + row * 4, seq)
    put32(arena + TCP_ACK + row * 4, ack)
    put16(arena + IP_ID + row * 2, ident)
    put8(arena + TTL + row, ttl)
    put16(arena + TCP_WINDOW + row * 2, window)
    put16(arena + IP_LEN + row * 2, length)
    if full:
        put8(arena + LAYERS + row, layers)
        put8(arena + TOS + row, tos)
        put16(arena + FRAG + row * 2, frag)
        put8(arena + ICMP_TYPE + row, icmp_type)
        put8(arena + ICMP_CODE + row, icmp_code)
        put8(arena + TCP_HLEN + row, hlen)
        put16(arena + TCP_MSS + row * 2, mss)
        put64(arena + TCP_OPTIONS + row * 8, kinds)
        put8(arena + VLAN_TAGS + row, tags)
        put16(arena + VLAN_ID + row * 2, vlan)
        put32(arena + CAP_LEN + row * 4, cap)
        put32(arena + WIRE_LEN + row * 4, wire)
        if version == 6:
            for half in range(0, 16, 8):
                put64(v6 + SRC6 + row * 16 + half, le64(p + o + 8 + half))
                put64(v6 + DST6 + row * 16 + half, le64(p + o + 24 + half))
    return R.ROW
