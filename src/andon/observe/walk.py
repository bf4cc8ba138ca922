"""The walk: capture bytes in, rows of a batch out, at the speed of copying the bytes.

Two loops. The *run* takes the commonest packets one after the other: little-endian pcap, Ethernet, IPv4 without
options, not a fragment. It has no branch on the transport protocol: the TCP fields are loaded for every packet
and masked to zero where the protocol says that they are something else, since a mispredicted branch costs more
than the loads; fields that lie side by side come in one load. The *walk* calls the run, takes what the run stops
at through ``decode.decode``, and after that some records more before it tries a run again, so that traffic
without common packets does not pay for the trying.
"""

from __future__ import annotations

from typing import Any, Final

from andon.observe import decode as D
from andon.observe import framing as F
from andon.observe import reasons as R
from andon.observe.columns import ROWS
from andon.observe.kernel import entry, inlined
from andon.observe.load import be16, be32, be64, le16, le32, le64, opaque, put8, put16, put32, put64, u8
from andon.records import packet as K

_BETWEEN_RUNS: Final = 32
# Bytes behind a frame's start that the run may load without looking at the captured length.
_REACH: Final = 74


@inlined
def _common_options(p: int, hlen: int, avail: int) -> tuple[int, int]:
    """Kinds and MSS of the layouts that make up nearly all traffic, without a branch; kinds 0 for others.

    MSS alone (Masscan), MSS SACK-permitted timestamps NOP scale (Linux), MSS NOP scale NOP NOP SACK-permitted
    (Windows), NOP NOP timestamps (an established connection). Twenty bytes at ``p`` must be in the buffer; a
    layout counts only when the header length says so and all of it was captured.
    """
    there = hlen & -(avail >= hlen)
    first = le64(p)
    starts_mss = (first & 0xFFFF) == 0x0402
    alone = (there == 24) & starts_mss
    linux = (
        (there == 40)
        & ((first & -0xFFFF0001) == 0x0A08020400000402)
        & ((le32(p + 16) & 0xFFFFFF) == 0x030301)
    )
    windows = (
        (there == 32) & ((first & 0x00FFFFFF0000FFFF) == 0x0003030100000402) & (le32(p + 8) == 0x02040101)
    )
    running = (there == 32) & ((first & 0xFFFFFFFF) == 0x0A080101)
    mss = be16(p + 2) & -(alone | linux | windows)
    kinds = (2 & -alone) | (0x0301080402 & -linux) | (0x040101030102 & -windows) | (0x080101 & -running)
    return kinds, mss


@inlined
def _take(
    base: int, pos: int, end: int, multiply: int, limit: int, row: int, arena: int, transports: int
) -> tuple[int, int, int, int, int, int]:
    """Write the core columns of the record at ``pos`` if it is a common one.

    Returns the next position, or -1; then what ``_take_rest`` needs: captured length, the middle of the IP
    header, the control bits of TCP, bytes behind the IP header, bits of ``layers``.
    """
    h = base + pos
    p = h + 16
    fraction = le32(h + 4)
    cap = le32(h + 8)
    after = pos + 16 + cap
    # Total length, identification, fragment word, TTL, protocol.
    middle = be64(p + 16)
    length = (middle >> 48) & 0xFFFF
    if (
        cap < 34
        or after > end
        or fraction >= limit
        or (le32(p + 12) & 0x00FFFFFF) != 0x00450008
        or (middle & 0x3FFF0000) != 0
        or length < 20
    ):
        return -1, 0, 0, 0, 0, 0
    proto = middle & 0xFF
    avail = min(cap - 14, length) - 20
    transport = le16(transports + proto * 2)
    layers = (transport >> 8) if avail >= (transport & 0xFF) else K.CUT
    tcp = -((layers >> 2) & 1)
    addresses = be64(p + 26)
    ports = be32(p + 34) & (tcp | -((layers >> 3) & 1))
    numbers = be64(p + 38) & tcp
    control = be32(p + 46) & tcp
    put64(arena + D.TS + row * 8, le32(h) * 1_000_000_000 + fraction * multiply)
    put32(arena + D.SRC + row * 4, addresses >> 32)
    put32(arena + D.DST + row * 4, addresses)
    put16(arena + D.SRC_PORT + row * 2, ports >> 16)
    put16(arena + D.DST_PORT + row * 2, ports)
    put8(arena + D.PROTO + row, proto)
    put8(arena + D.TCP_FLAGS + row, control >> 16)
    put32(arena + D.TCP_SEQ + row * 4, numbers >> 32)
    put32(arena + D.TCP_ACK + row * 4, numbers)
    put16(arena + D.IP_ID + row * 2, middle >> 32)
    put8(arena + D.TTL + row, middle >> 8)
    put16(arena + D.TCP_WINDOW + row * 2, control)
    put16(arena + D.IP_LEN + row * 2, length)
    return after, cap, middle, control, avail, layers


@inlined
def _take_rest(
    p: int, cap: int, middle: int, control: int, avail: int, layers: int, row: int, arena: int
) -> None:
    """Write the other columns of a record that ``_take`` took; ``p`` is the frame's address."""
    hlen = (control >> 26) & 0x3C
    kinds, mss = _common_options(p + 54, hlen, avail)
    # Negative when there are options and none of the common layouts; one test, for of two the processor
    # would mispredict the first.
    if ((kinds - 1) & (20 - hlen)) < 0:
        kinds, mss = D.options(p + 54, min(hlen, avail) - 20)
    type_and_code = be16(p + 34) & -((layers >> 4) & 1)
    put8(arena + D.LAYERS + row, layers | K.IPV4)
    put8(arena + D.TOS + row, u8(p + 15))
    put16(arena + D.FRAG + row * 2, middle >> 16)
    put8(arena + D.ICMP_TYPE + row, type_and_code >> 8)
    put8(arena + D.ICMP_CODE + row, type_and_code)
    put8(arena + D.TCP_HLEN + row, hlen)
    put16(arena + D.TCP_MSS + row * 2, mss)
    put64(arena + D.TCP_OPTIONS + row * 8, kinds)
    put8(arena + D.VLAN_TAGS + row, 0)
    put16(arena + D.VLAN_ID + row * 2, K.NO_VLAN)
    put32(arena + D.CAP_LEN + row * 4, cap)
    put32(arena + D.WIRE_LEN + row * 4, le32(p - 4))


@entry
def _run(
    base: int, pos: int, end: int, multiply: int, limit: int, row: int, arena: int, transports: int
) -> tuple[int, int, int]:
    """Common packets from ``pos`` on: (next position, start of the last record taken or -1, next row)."""
    previous = -1
    stop = end - 16 - _REACH
    while row < ROWS and pos <= stop:
        taken = _take(base, pos, end, multiply, limit, opaque(row), arena, transports)
        if taken[0] < 0:
            break
        previous = pos
        pos = taken[0]
        row += 1
    return pos, previous, row


@entry
def _run_full(
    base: int, pos: int, end: int, multiply: int, limit: int, row: int, arena: int, transports: int
) -> tuple[int, int, int]:
    """The same with all columns."""
    previous = -1
    stop = end - 16 - _REACH
    while row < ROWS and pos <= stop:
        i = opaque(row)
        after, cap, middle, control, avail, layers = _take(
            base, pos, end, multiply, limit, i, arena, transports
        )
        if after < 0:
            break
        _take_rest(base + pos + 16, cap, middle, control, avail, layers, i, arena)
        previous = pos
        pos = after
        row += 1
    return pos, previous, row


@entry
def walk(
    base: int, end: int, state: Any, interfaces: Any, arena: int, v6: int, skipped: Any, unknown: Any
) -> int:
    """Decode records from ``state[POS]`` on until the batch is full or the buffer has no whole record left.

    ``base`` is the address of the buffer, ``end`` the bytes in it; ``arena`` and ``v6`` the addresses of the
    column arenas. ``skipped`` counts packets without a row by reason, ``unknown`` those of unknown link types.
    Returns why it stopped (``framing.BATCH_FULL`` ...); ``state`` then tells where.
    """
    multiply = state[F.MULTIPLY]
    limit = state[F.FRACTION_LIMIT]
    full = state[F.FULL]
    pos = state[F.POS]
    row = state[F.ROW]
    transports = state[F.TRANSPORTS]
    plain = not state[F.NG] and not state[F.SWAPPED] and state[F.LINK] == 1
    wait = 0
    status = F.BATCH_FULL
    while row < ROWS:
        if plain and wait == 0:
            if full:
                pos, previous, row = _run_full(base, pos, end, multiply, limit, row, arena, transports)
            else:
                pos, previous, row = _run(base, pos, end, multiply, limit, row, arena, transports)
            if previous >= 0:
                ts = le32(base + previous) * 1_000_000_000 + le32(base + previous + 4) * multiply
                if not state[F.BEGUN]:
                    first = base + state[F.POS]
                    state[F.FIRST_TS] = le32(first) * 1_000_000_000 + le32(first + 4) * multiply
                    state[F.BEGUN] = 1
                state[F.LAST_TS] = ts
                state[F.PREVIOUS] = previous
                if row == ROWS:
                    break
            wait = _BETWEEN_RUNS
        wait -= 1
        state[F.POS] = pos
        what, at, cap, wire, ts, link, _ = F.step(base, pos, end, state, interfaces)
        pos = state[F.POS]
        if what != F.PACKET:
            status = what
            break
        if link < 0:
            skipped[R.UNKNOWN_INTERFACE] += 1
            continue
        reason = D.decode(base + at, cap, wire, link, ts, row, arena, v6, full)
        if reason == R.ROW:
            if full:
                state[F.V6_ROWS] += (u8(arena + D.LAYERS + row) & K.IPV6) != 0
            row += 1
        elif reason == R.UNKNOWN_LINK:
            unknown[link & 0xFFFF] += 1
        else:
            skipped[reason] += 1
    state[F.POS] = pos
    state[F.ROW] = row
    return status
