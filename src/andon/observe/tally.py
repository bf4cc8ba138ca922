"""The kernel behind ``andon count``: packets into totals, addresses into a buffer for the unique counts.

What is counted, and how (the words of the expected counts of the test captures): ``tcp``/``udp``/``icmp``/
``vlan`` are packets that hold the layer anywhere; ``syn_only`` is flags & 0x3f == 0x02, ``synack`` 0x12,
``rst`` bit 4 set, all over packets with an IPv4 header and with a TCP header that is not an ICMP quote; the
three fingerprints are over the SYN-only ones: Mirai tcp.seq == ip.dst, ZMap ip.id == 54321, Masscan
ip.id == (ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff.
"""

from __future__ import annotations

from typing import Any, Final

from andon.observe import dissect as S
from andon.observe import framing as F
from andon.observe import reasons as R
from andon.observe.columns import ROWS
from andon.observe.decode import network
from andon.observe.kernel import entry, inner
from andon.observe.load import be16, be32, le32, u8

PACKETS, IPV4, IPV6, TCP, UDP, ICMP, VLAN, SYN_ONLY, SYNACK, RST, MIRAI, ZMAP, MASSCAN = range(13)
NAMES: Final = (
    "packets",
    "ipv4",
    "ipv6",
    "tcp",
    "udp",
    "icmp",
    "vlan",
    "syn_only",
    "synack",
    "rst",
    "fp_mirai",
    "fp_zmap",
    "fp_masscan",
)


@inner
def _why(p: int, cap: int, link: int) -> int:
    """The reason for which a frame without an IP packet in it has none."""
    found: tuple[int, int, int, int] = network(p, cap, link)
    o, version = found[0], found[1]
    if version < 0:
        return -version
    if cap < o + (20 if version == 4 else 40):
        return R.SHORT_IP
    if u8(p + o) >> 4 != version:
        return R.BAD_VERSION
    if version == 4 and (u8(p + o) & 15) < 5:
        return R.BAD_IHL
    return R.BAD_LENGTH


@entry
def settle(out: Any, totals: Any, src: Any, dst: Any, row: int) -> int:
    """Add one dissected frame to the totals; the next free row of the address buffers."""
    holds = out[S.HOLDS]
    totals[IPV6] += (holds & S.HAS_IP6) != 0
    totals[TCP] += (holds & S.HAS_TCP) != 0
    totals[UDP] += (holds & S.HAS_UDP) != 0
    totals[ICMP] += (holds & S.HAS_ICMP) != 0
    totals[VLAN] += (holds & S.HAS_VLAN) != 0
    if not holds & S.HAS_IP:
        return row
    totals[IPV4] += 1
    src[row] = out[S.SRC]
    dst[row] = out[S.DST]
    if holds & S.HAS_SEQ:
        flags = out[S.FLAGS]
        totals[RST] += (flags & 4) != 0
        totals[SYNACK] += (flags & 0x3F) == 0x12
        if flags & 0x3F == 2:
            totals[SYN_ONLY] += 1
            mixed = out[S.DST] ^ out[S.DPORT] ^ out[S.SEQ]
            totals[MIRAI] += out[S.SEQ] == out[S.DST]
            totals[ZMAP] += out[S.IDENT] == 54321
            totals[MASSCAN] += out[S.IDENT] == (mixed & 0xFFFF)
    return row + 1


@inner
def _run(
    base: int, pos: int, end: int, limit: int, row: int, src: Any, dst: Any, totals: Any
) -> tuple[int, int, int]:
    """Count records from ``pos`` on that are IPv4 with a whole TCP header behind Ethernet, little-endian.

    Gives the next position, the start of the last record counted (-1 for none) and the next row.
    """
    previous = -1
    begin = row
    syn = 0
    synack = 0
    rst = 0
    mirai = 0
    zmap = 0
    masscan = 0
    while row < ROWS and pos + 70 <= end:
        h = base + pos
        p = h + 16
        cap = le32(h + 8)
        after = pos + 16 + cap
        if (
            cap < 54
            or after > end
            or le32(h + 4) >= limit
            or (le32(p + 12) & 0x00FFFFFF) != 0x00450008
            or u8(p + 23) != 6
            or be16(p + 16) < 40
            or be16(p + 20) & 0x1FFF
            or u8(p + 46) < 0x50
        ):
            break
        previous = pos
        pos = after
        destination = be32(p + 30)
        src[row] = be32(p + 26)
        dst[row] = destination
        row += 1
        flags = u8(p + 47)
        rst += (flags >> 2) & 1
        synack += (flags & 0x3F) == 0x12
        if flags & 0x3F == 2:
            seq = be32(p + 38)
            ident = be16(p + 18)
            syn += 1
            mirai += seq == destination
            zmap += ident == 54321
            masscan += ident == ((destination ^ be16(p + 36) ^ seq) & 0xFFFF)
    counted = row - begin
    totals[PACKETS] += counted
    totals[IPV4] += counted
    totals[TCP] += counted
    totals[SYN_ONLY] += syn
    totals[SYNACK] += synack
    totals[RST] += rst
    totals[MIRAI] += mirai
    totals[ZMAP] += zmap
    totals[MASSCAN] += masscan
    return pos, previous, row


@entry
def tally(
    base: int,
    end: int,
    state: Any,
    interfaces: Any,
    totals: Any,
    src: Any,
    dst: Any,
    out: Any,
    skipped: Any,
    unknown: Any,
) -> int:
    """Count packets from ``state[POS]`` on; returns as ``walk`` does.

    ``src`` and ``dst`` (``columns.ROWS`` long) take the first IPv4 addresses of each packet. On ``FRAGMENT``
    a piece of an IPv6 datagram was met: ``out`` describes it and ``state[FRAME]`` is where its frame begins in
    the buffer; the caller finishes that packet with ``settle``.
    """
    row = state[F.ROW]
    status = F.BATCH_FULL
    plain = not state[F.NG] and not state[F.SWAPPED] and state[F.LINK] == 1
    while row < ROWS:
        # The first packet of all goes the general way, which keeps its time.
        if plain and state[F.BEGUN]:
            pos, previous, row = _run(
                base,
                state[F.POS],
                end,
                state[F.FRACTION_LIMIT],
                row,
                src,
                dst,
                totals,
            )
            if previous >= 0:
                state[F.POS] = pos
                state[F.PREVIOUS] = previous
                fraction = le32(base + previous + 4)
                state[F.LAST_TS] = le32(base + previous) * 1_000_000_000 + fraction * state[F.MULTIPLY]
                if row == ROWS:
                    break
        what, at, cap, _, _, link, _ = F.step(base, state[F.POS], end, state, interfaces)
        if what != F.PACKET:
            status = what
            break
        totals[PACKETS] += 1
        if link < 0:
            skipped[R.UNKNOWN_INTERFACE] += 1
            continue
        p = base + at
        S.dissect(p, cap, link, out)
        if out[S.FRAGMENT]:
            state[F.FRAME] = at
            status = F.FRAGMENT
            break
        if out[S.HOLDS] & (S.HAS_IP | S.HAS_IP6) == 0:
            reason = _why(p, cap, link)
            if reason == R.UNKNOWN_LINK:
                unknown[link & 0xFFFF] += 1
            else:
                skipped[reason] += 1
        row = settle(out, totals, src, dst, row)
    state[F.ROW] = row
    return status
