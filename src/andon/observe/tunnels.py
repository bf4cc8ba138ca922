"""Where the next packet begins: behind a link header, in a UDP tunnel, in GRE, in PPP.

The functions say (what comes next, its offset) for ``dissect``. What comes next is an ethertype or one of the
numbers below, which lie above all ethertypes; ``STOP`` when tshark 4.0 would look no further. UDP tunnels are
known by their ports, the lower port first, as tshark does.
"""

from __future__ import annotations

from typing import Final

from andon.observe.kernel import inner
from andon.observe.load import be16, be32, le16, le32, u8

STOP: Final = -1
SHORT: Final = -2
UNKNOWN: Final = -3
ETHERNET: Final = 0x10001
ANY_IP: Final = 0x10002
PPP: Final = 0x10003
LLC: Final = 0x10004
TRANSPORT: Final = 0x10005
MPLS_PAYLOAD: Final = 0x10006
# UDP that holds GRE: the one transport header that does not stand behind an IP header.
GRE: Final = 0x10007


@inner
def ppp(protocol: int) -> int:
    if protocol == 0x0021:
        return 0x0800
    if protocol == 0x0057:
        return 0x86DD
    if protocol == 0x0281:
        return 0x8847
    if protocol == 0x0031:
        return STOP
    return STOP


@inner
def nsh(inner: int) -> int:
    """The next header of a network service header (RFC 8300)."""
    if inner == 1:
        return 0x0800
    if inner == 2:
        return 0x86DD
    if inner == 3:
        return ETHERNET
    return 0x8847 if inner == 5 else STOP


@inner
def udp_payload(p: int, t: int, end: int, sport: int, dport: int) -> tuple[int, int]:
    """(what, offset) of the packet inside a UDP datagram whose payload begins at ``t``."""
    for turn in range(2):
        port = min(sport, dport) if turn == 0 else max(sport, dport)
        if port == 4789 and t + 8 <= end:
            return ETHERNET, t + 8
        if port == 4790 and t + 8 <= end:
            inner = u8(p + t + 3)
            return (0x894F if inner == 4 else nsh(inner)), t + 8
        if port == 6081 and t + 8 <= end:
            return be16(p + t + 2), t + 8 + (u8(p + t) & 0x3F) * 4
        if port == 2152 and t + 8 <= end and u8(p + t) >> 4 == 3 and u8(p + t + 1) == 255:
            at = t + 8
            flags = u8(p + t)
            if flags & 7:
                if at + 4 > end:
                    return STOP, t
                more = u8(p + at + 3) if flags & 4 else 0
                at += 4
                for _ in range(16):
                    if more == 0:
                        break
                    if at >= end:
                        return STOP, t
                    size = u8(p + at) * 4
                    if size == 0 or at + size > end:
                        return STOP, t
                    more = u8(p + at + size - 1)
                    at += size
            if at < end and u8(p + at) >> 4 in (4, 6):
                return ANY_IP, at
            return STOP, t
        if port == 3544 and t + 2 <= end:
            at = t
            if be16(p + at) == 1:
                if at + 4 > end:
                    return STOP, t
                at += 13 + u8(p + at + 2) + u8(p + at + 3)
            if at + 2 <= end and be16(p + at) == 0:
                at += 8
            if at < end and u8(p + at) >> 4 == 6:
                return 0x86DD, at
            return STOP, t
        if port == 1701 and t + 6 <= end:
            control = be16(p + t)
            if control & 0x8000 or control & 15 != 2:
                return STOP, t
            at = t + 2
            at += 2 if control & 0x4000 else 0
            at += 4
            at += 4 if control & 0x0800 else 0
            if control & 0x0200:
                if at + 2 > end:
                    return STOP, t
                at += 2 + be16(p + at)
            return PPP, at
        if port == 4341 and t + 8 <= end:
            return ANY_IP, t + 8
        if port == 6635:
            return 0x8847, t
        if port == 4754 and t + 4 <= end:
            return GRE, t
        if port == 37008 and t + 4 <= end and u8(p + t) == 1:
            wrapped = be16(p + t + 2)
            at = t + 4
            for _ in range(64):
                if at >= end:
                    return STOP, t
                tag = u8(p + at)
                if tag == 0:
                    at += 1
                elif tag == 1:
                    return (ETHERNET, at + 1) if wrapped == 1 else (STOP, t)
                else:
                    if at + 2 > end:
                        return STOP, t
                    at += 2 + u8(p + at + 1)
            return STOP, t
    return STOP, t


@inner
def looks_like_ethernet(p: int, o: int, end: int) -> bool:
    return o + 14 <= end and be16(p + o + 12) in (0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8, 0x8847)


@inner
def gre(p: int, t: int, end: int) -> tuple[int, int]:
    """(what, offset) behind the GRE header at ``t`` (RFC 2784, 2890, 2637; ERSPAN)."""
    if t + 4 > end:
        return STOP, t
    flags = be16(p + t)
    kind = be16(p + t + 2)
    at = t + 4
    at += 4 if flags & 0xC000 else 0
    at += 4 if flags & 0x2000 else 0
    at += 4 if flags & 0x1000 else 0
    if flags & 7 == 1 and flags & 0x0080:
        at += 4
    if flags & 0x4000:
        for _ in range(64):
            if at + 4 > end:
                return STOP, t
            family = be16(p + at)
            size = u8(p + at + 3)
            at += 4
            if family == 0 and size == 0:
                break
            at += size
    if kind in (0x88BE, 0x22EB):
        # ERSPAN without a sequence number has no header of its own; then versions 1 (II) and 2 (III).
        if kind == 0x88BE and flags & 0x1000 == 0:
            return ETHERNET, at
        if at + 12 > end:
            return STOP, t
        if u8(p + at) >> 4 == 1:
            return ETHERNET, at + 8
        return ETHERNET, at + (20 if u8(p + at + 11) & 1 else 12)
    if kind == 0x880B:
        return PPP, at
    if kind == 0x883E:
        return 0x0800, at if at < end and u8(p + at) >> 4 == 4 else at + 4
    if kind == 0x8909:
        # Cisco MetaData, which inside GRE begins with the ethertype that it ends with elsewhere.
        return (be16(p + at), at + 8) if at + 8 <= end else (STOP, t)
    if kind in (0x0800, 0x86DD, 0x8847, 0x8848, 0x6558, 0x894F):
        return kind, at
    return STOP, at


@inner
def _family(family: int) -> int:
    """AF_INET is 2 everywhere; AF_INET6 is 24 on NetBSD, 28 on FreeBSD, 30 on macOS, 10 on Linux."""
    if family == 2:
        return 0x0800
    return 0x86DD if family in (10, 24, 28, 30) else STOP


@inner
def _wifi(p: int, o: int, cap: int) -> tuple[int, int]:
    """IEEE 802.11 data frames that are not encrypted, up to their LLC header."""
    if cap < o + 24:
        return SHORT, 0
    control = u8(p + o)
    flags = u8(p + o + 1)
    if control & 0x0C != 8 or control & 0x40 or flags & 0x40:
        return STOP, 0
    at = o + 24
    at += 6 if flags & 3 == 3 else 0
    if control & 0x80:
        at += 2
        at += 4 if flags & 0x80 else 0
    return LLC, at


@inner
def _frame_relay(p: int, cap: int) -> tuple[int, int]:
    """RFC 2427: a control byte 3 and an NLPID, or what Cisco does, an ethertype behind the address."""
    at = 2
    while at < 4 and at < cap and u8(p + at - 1) & 1 == 0:
        at += 1
    if cap < at + 2:
        return SHORT, 0
    if u8(p + at) != 3:
        return be16(p + at), at + 2
    at += 2 if u8(p + at + 1) == 0 else 1
    if cap < at + 1:
        return SHORT, 0
    nlpid = u8(p + at)
    if nlpid == 0xCC:
        return 0x0800, at + 1
    if nlpid == 0x8E:
        return 0x86DD, at + 1
    if nlpid == 0x80 and cap >= at + 6 and be32(p + at) & 0xFFFFFF == 0:
        return be16(p + at + 4), at + 6
    return STOP, 0


@inner
def _nflog(p: int, cap: int) -> tuple[int, int]:
    """Netfilter's log: attributes, of which number 9 is the packet."""
    if cap < 4:
        return SHORT, 0
    at = 4
    for _ in range(64):
        if cap < at + 4:
            return SHORT, 0
        size = le16(p + at)
        if size < 4:
            return STOP, 0
        if le16(p + at + 2) == 9:
            return _family(u8(p)), at + 4
        at += (size + 3) // 4 * 4
    return STOP, 0


@inner
def link(p: int, cap: int, kind: int) -> tuple[int, int]:
    """(what, offset) of the first header of a frame of link type ``kind``; UNKNOWN, SHORT or STOP if none."""
    if kind == 1:
        return ETHERNET, 0
    if kind in (101, 12, 14):
        return ANY_IP, 0
    if kind == 228:
        return 0x0800, 0
    if kind == 229:
        return 0x86DD, 0
    if kind == 113:
        if cap < 16:
            return SHORT, 0
        # What a netlink "device" carries is no network packet.
        if be16(p + 2) == 824:
            return STOP, 0
        return (LLC if be16(p + 14) == 4 else be16(p + 14)), 16
    if kind == 276:
        if cap < 20:
            return SHORT, 0
        if be16(p + 8) == 824:
            return STOP, 0
        return (LLC if be16(p) == 4 else be16(p)), 20
    if kind in (0, 108):
        if cap < 4:
            return SHORT, 0
        if be16(p) == 0xFF03:
            return PPP, 0
        family = le32(p)
        return _family(family if family <= 0xFFFF else be32(p)), 4
    if kind == 9:
        return PPP, 0
    if kind == 50:
        if cap < 4:
            return SHORT, 0
        if be16(p) in (0x0F00, 0x8F00):
            return be16(p + 2), 4
        return PPP, 0
    if kind in (166, 204):
        return PPP, 1
    if kind == 51:
        return 0x8864, 0
    if kind == 104:
        return (be16(p + 2), 4) if cap >= 4 else (SHORT, 0)
    if kind in (281, 284):
        return (be16(p + 16), 18) if cap >= 18 else (SHORT, 0)
    if kind == 282:
        return ETHERNET, 4
    if kind == 285:
        return (be16(p + 20), 22) if cap >= 22 else (SHORT, 0)
    if kind == 109:
        return ANY_IP, 12
    if kind == 117:
        # The header says its length, padded to four bytes.
        return (_family(u8(p + 1)), (u8(p) + 3) // 4 * 4) if cap >= 4 else (SHORT, 0)
    inside: tuple[int, int]
    if kind == 239:
        inside = _nflog(p, cap)
        return inside
    if kind == 107:
        inside = _frame_relay(p, cap)
        return inside
    if kind == 105:
        inside = _wifi(p, 0, cap)
        return inside
    if kind == 127:
        return _wifi(p, le16(p + 2), cap) if cap >= 4 else (SHORT, 0)
    if kind == 192:
        if cap < 8:
            return SHORT, 0
        inner = le32(p + 4)
        if inner == 1:
            return ETHERNET, le16(p + 2)
        return _wifi(p, le16(p + 2), cap) if inner == 105 else (STOP, 0)
    if kind in (11, 10, 6, 122):
        return LLC, (0 if kind == 11 else 13 if kind == 10 else 14 if kind == 6 else 16)
    if kind == 138:
        return (be16(p + 16), 18) if cap >= 18 else (SHORT, 0)
    return UNKNOWN, 0
