"""The deep look behind ``andon count``: which layers a frame holds at any depth, and the first TCP fields.

``read`` gives outer headers only. ``count`` must agree with what ``tshark -T fields -E occurrence=f`` shows,
which descends into tunnels (IP in IP, GRE, VXLAN, GENEVE, GTP-U, Teredo, L2TP, MPLS, PPPoE ...) and into the
packet that an ICMP error quotes, and takes the first occurrence of each field. This kernel follows the same
chain of headers, with tshark 4.0's ideas of when a header is bogus. One header after the other in a loop with
a limit, no recursion.

Bounds: ``end`` is the offset behind the last byte that may be looked at: what was captured, cut down to the
length that an inner header claims. Each load comes after a comparison with it.
"""

from __future__ import annotations

from typing import Any, Final

from andon.observe import tunnels as T
from andon.observe.kernel import entry, inner
from andon.observe.load import be16, be32, u8

# Bits of what a frame holds.
HAS_IP, HAS_IP6, HAS_TCP, HAS_UDP, HAS_ICMP, HAS_VLAN, HAS_SEQ = 1, 2, 4, 8, 16, 32, 64
# Positions in the result of one frame.
HOLDS, SRC, DST, IDENT, FLAGS, SEQ, DPORT, FRAGMENT, FRAGMENT_IP, FRAGMENT_END = range(10)
RESULT_SIZE: Final = 10

_MAX_LAYERS: Final = 400


@inner
def first_ip(p: int, o: int, out: Any) -> None:
    """Keep the fields of the IPv4 header at ``o``."""
    out[SRC] = be32(p + o + 12)
    out[DST] = be32(p + o + 16)
    out[IDENT] = be16(p + o + 4)


@inner
def _final(p: int, o: int, end: int, dst: int) -> int:
    """The last address of a source route that is not used up, else ``dst``: where the packet is going."""
    at = o + 20
    while at + 3 <= end and u8(p + at) != 0:
        kind = u8(p + at)
        if kind == 1:
            at += 1
            continue
        size = u8(p + at + 1)
        if size < 2 or at + size > end:
            break
        if kind in (131, 137):
            pointer = u8(p + at + 2)
            if size >= 7 and pointer <= size - 3:
                return be32(p + at + size - 4)
        at += size
    return dst


@inner
def first_tcp(p: int, o: int, out: Any) -> None:
    """Keep the fields of the TCP header at ``o``."""
    out[FLAGS] = u8(p + o + 13)
    out[SEQ] = be32(p + o + 4)
    out[DPORT] = be16(p + o + 2)


@inner
def dissect(p: int, cap: int, link: int, out: Any) -> None:
    """Fill ``out`` with what the frame of ``cap`` bytes at address ``p`` holds."""
    out[HOLDS] = 0
    out[FRAGMENT] = 0
    what, o = T.link(p, cap, link)
    follow(p, o, cap, what, 0, out)


@entry
def follow(p: int, o: int, end: int, what: int, proto: int, out: Any) -> None:
    """Follow headers from offset ``o`` on; ``proto`` is the IP protocol when ``what`` is a transport header."""
    version = 6 if what == T.TRANSPORT else 0
    ip6 = 0
    quoted = False
    redirect = False
    holds = out[HOLDS]
    for _ in range(_MAX_LAYERS):
        if what < 0 or o >= end:
            break
        if what == T.ETHERNET:
            if o + 14 > end:
                break
            what = be16(p + o + 12)
            o += 14
            if what < 0x0600:
                if what <= 1500:
                    end = min(end, o + what)
                what = T.LLC
        elif what in (0x8100, 0x9100, 0x88A8):
            if what != 0x88A8 and o + 2 <= end:
                holds |= HAS_VLAN
            if o + 4 > end:
                break
            what = be16(p + o + 2)
            o += 4
            if what < 0x0600:
                if what <= 1500:
                    end = min(end, o + what)
                what = T.LLC
        elif what == T.LLC:
            if o + 3 > end:
                break
            dsap = u8(p + o)
            if dsap == 0xAA and o + 8 <= end and u8(p + o + 2) == 3:
                oui = be32(p + o + 2) & 0xFFFFFF
                what = be16(p + o + 6)
                o += 8
                if oui in (0x000000, 0x0000F8):
                    continue
                if oui == 0x0080C2 and what in (0x0001, 0x0007):
                    # The first of the two kinds keeps the frame check sequence.
                    end -= 4 if what == 0x0001 else 0
                    o += 2
                    what = T.ETHERNET
                    continue
                break
            if dsap == 0x06:
                what = 0x0800
                o += 3
                continue
            break
        elif what == 0x8926:
            if o + 6 > end:
                break
            what = be16(p + o + 4)
            o += 6
        elif what == 0x8909:
            # Cisco MetaData: version, length, options of two bytes each, a security group tag.
            if o + 8 > end:
                break
            what = be16(p + o + 6)
            o += 8
        elif what in (0x8847, 0x8848):
            if o + 4 > end:
                break
            label = be32(p + o) >> 12
            bottom = u8(p + o + 2) & 1
            o += 4
            if bottom:
                if label == 13:
                    break
                what = T.MPLS_PAYLOAD
        elif what == T.MPLS_PAYLOAD:
            nibble = u8(p + o) >> 4
            if nibble == 4:
                what = 0x0800
            elif nibble == 6:
                what = 0x86DD
            elif nibble == 1:
                break
            else:
                # A pseudowire: Ethernet, with a control word in front or without one.
                if nibble == 0 and not T.looks_like_ethernet(p, o, end):
                    o += 4
                what = T.ETHERNET
        elif what == 0x8864:
            if o + 8 > end:
                break
            what = T.PPP
            end = min(end, o + 6 + be16(p + o + 4))
            o += 6
        elif what == 0x893F:
            if o + 8 > end:
                break
            what = be16(p + o + 6)
            o += 8
        elif what == 0x88E7:
            if o + 18 > end:
                break
            what = be16(p + o + 16)
            o += 18
        elif what == 0x894F:
            if o + 8 > end:
                break
            inner = u8(p + o + 3)
            o += (be16(p + o) & 0x3F) * 4
            what = T.nsh(inner)
        elif what == T.PPP:
            if o + 2 <= end and be16(p + o) == 0xFF03:
                o += 2
            if o >= end:
                break
            if u8(p + o) & 1:
                what = T.ppp(u8(p + o))
                o += 1
            else:
                if o + 2 > end:
                    break
                what = T.ppp(be16(p + o))
                o += 2
        elif what == 0x6558:
            what = T.ETHERNET
        elif what == T.ANY_IP:
            what = 0x86DD if u8(p + o) >> 4 == 6 else 0x0800
        elif what == 0x0800:
            if u8(p + o) >> 4 == 6:
                what = 0x86DD
                continue
            if o + 20 > end or u8(p + o) >> 4 != 4:
                break
            header = (u8(p + o) & 15) * 4
            length = be16(p + o + 2)
            if header < 20 or (0 < length < header):
                break
            if not holds & HAS_IP:
                first_ip(p, o, out)
                if header > 20:
                    out[DST] = _final(p, o, min(end, o + header), out[DST])
                holds |= HAS_IP
            if length > 0:
                end = min(end, o + length)
            proto = u8(p + o + 9)
            if be16(p + o + 6) & 0x1FFF:
                break
            o += header
            version = 4
            what = T.TRANSPORT
        elif what == 0x86DD:
            if o + 40 > end or u8(p + o) >> 4 != 6:
                break
            holds |= HAS_IP6
            payload = be16(p + o + 4)
            proto = u8(p + o + 6)
            # No payload, unless a hop-by-hop option says that it is a jumbogram.
            if payload > 0 or proto != 0:
                end = min(end, o + 40 + payload)
            ip6 = o
            o += 40
            version = 6
            what = T.TRANSPORT
        elif what != T.TRANSPORT:
            break
        elif proto == 6:
            # tshark shows the flags of a cut header once they and the window behind them are there.
            if o + 16 > end:
                break
            # A header length below five words is bogus and hides the flags.
            if u8(p + o + 12) >> 4 < 5 or (quoted and redirect):
                break
            if not holds & HAS_TCP:
                first_tcp(p, o, out)
                holds |= HAS_TCP
                if not quoted:
                    holds |= HAS_SEQ
            break
        elif proto in (17, 136):
            if o + 8 > end:
                if o + 4 <= end:
                    holds |= HAS_UDP
                break
            holds |= HAS_UDP
            length = be16(p + o + 4)
            if proto == 136 or (length < 8 and (length > 0 or version == 4)):
                break
            if length >= 8:
                end = min(end, o + length)
            what, o = T.udp_payload(p, o + 8, end, be16(p + o), be16(p + o + 2))
            if what == T.GRE:
                what = T.TRANSPORT
                proto = 47
            quoted = False
        elif proto == 1:
            if o + 6 > end:
                break
            holds |= HAS_ICMP
            if u8(p + o) in (3, 4, 5, 11, 12):
                # tshark stops at the sequence number of what a redirect quotes.
                redirect = u8(p + o) == 5
                o += 8
                what = 0x0800
                quoted = True
                continue
            break
        elif proto == 58 and version == 6:
            if o + 8 > end:
                break
            if 1 <= u8(p + o) <= 4:
                o += 8
                what = 0x86DD
                continue
            break
        elif proto == 4:
            what = 0x0800
            quoted = False
        elif proto == 41:
            what = 0x86DD
            quoted = False
        elif proto == 47:
            what, o = T.gre(p, o, end)
            quoted = False
            if 0 <= what < 0x0600:
                break
        elif proto == 97:
            what = T.ETHERNET
            o += 2
        elif proto == 143:
            what = T.ETHERNET
        elif proto == 137:
            what = 0x8847
        elif proto == 51:
            if o + 8 > end:
                break
            proto = u8(p + o)
            o += (u8(p + o + 1) + 2) * 4
        elif proto == 103:
            if o + 8 > end or u8(p + o) != 0x21:
                break
            o += 8
            what = T.ANY_IP
        elif proto in (0, 43, 60, 140):
            if o + 8 > end:
                break
            proto = u8(p + o)
            o += (u8(p + o + 1) + 1) * 8
        elif proto == 44:
            if o + 8 > end:
                break
            if be16(p + o + 2) & 0xFFF9:
                if version == 6:
                    out[FRAGMENT] = o
                    out[FRAGMENT_IP] = ip6
                    out[FRAGMENT_END] = end
                break
            proto = u8(p + o)
            o += 8
        else:
            break
    out[HOLDS] = holds
