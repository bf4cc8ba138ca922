"""One walk over a batch: each scan packet is entered in the row of its source.

Scan packets are those that ask: TCP without ACK and RST (SYN, and the odd FIN, NULL, Xmas), UDP, ICMP echo
and other requests, over IPv4. Answers to spoofed packets (backscatter) say nothing of a source's purpose.

A row is 128 bytes, laid out so that one packet touches few cache lines:

- ``bits`` (10 words, merged by or): words 0-2 hold the 144 ten-minute slots of the day in which the source was
  active and, from bit 144 on, which protocols it used; words 3-4 its ports; words 5-6 its ports in one of 8
  and one of 128 of its packets; words 7-9 one of 4, of 64 and of 1,024 of its destinations. Sets of ports and
  destinations are bitmaps for linear counting (Whang, Vander-Zanden, Taylor, ACM TODS 15, 1990), several
  sampling rates standing for a multiresolution bitmap (Estan, Varghese, Fisk, IEEE/ACM ToN 14, 2006).
- ``counts`` (added): packets; TCP packets to ports that are mostly attacked.
- ``least`` (minimum): first time, lowest port, and 65535 minus last time and highest port; times in units of
  two seconds of the day.
- ``drawn`` (lowest): four of its packets drawn by hash, as hash << 16 | port, for the port it scans most.

What is a packet's sample is decided by a keyed hash of the packet, so nothing depends on order.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.asks import KIND_ICMP, KIND_TCP, KIND_UDP, asks
from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import find_or_add, is_kept

BITS, COUNTS, LEAST, DRAWN = 10, 2, 4, 4  # words of each column
PORTS_AT, THIN_AT, TARGETS_AT = 3, 5, 7
SLOT_SECONDS, TICK_SECONDS = 600, 2
SLOTS = 144
KIND_AT = 16
TCP_BIT, UDP_BIT, ICMP_BIT = KIND_AT + KIND_TCP, KIND_AT + KIND_UDP, KIND_AT + KIND_ICMP  # in word 2
THIN_RATES = (1, 8, 128)  # one packet of so many, for the ports
TARGET_RATES = (4, 64, 1024)  # one destination of so many
_AHEAD = 12  # packets between asking for a slot and using it
_ONE, _63, _127 = np.uint64(1), np.uint64(63), np.uint64(127)
TICKS_PER_DAY = 86400 // TICK_SECONDS
LAST = 65535


@njit(cache=True, nogil=True)
def profile_batch(
    ts: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    dst_port: np.ndarray,
    proto: np.ndarray,
    flags: np.ndarray,
    layers: np.ndarray,
    icmp_type: np.ndarray,
    start: int,
    attacked: np.ndarray,
    keys: np.ndarray,
    bits: np.ndarray,
    counts: np.ndarray,
    least: np.ndarray,
    drawn: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int, int]:
    """Enter packets from ``start`` on; gives (position reached, rows used, packets entered or left out).

    ``attacked`` (uint8, 65536) marks TCP ports that are mostly attacked. ``bits``, ``counts``
    and ``least`` are the columns of the table, flat."""
    mask = np.uint64(keys.shape[0] - 1)
    scans = 0
    for i in range(start, ts.shape[0]):
        j = i + _AHEAD
        if j < ts.shape[0]:
            at = np.int64(mix64(np.uint64(src[j]), salt) & mask)
            prefetch(keys, at)
            prefetch(bits, at * BITS)
            prefetch(bits, at * BITS + BITS - 1)
            prefetch(counts, at * COUNTS)
            prefetch(least, at * LEAST)
            prefetch(drawn, at * DRAWN)
        kind = asks(np.int64(proto[i]), np.int64(layers[i]), np.int64(flags[i]), np.int64(icmp_type[i]))
        if kind < 0:
            continue
        kind += KIND_AT
        key = np.uint64(src[i])
        hashed = mix64(key, salt)
        if not is_kept(hashed, level):
            scans += 1
            continue
        slot, used = find_or_add(keys, key, hashed, used, room)
        if slot < 0:
            return i, used, scans
        scans += 1
        second = (ts[i] // 1_000_000_000) % 86400
        port = np.int64(dst_port[i]) if kind != ICMP_BIT else np.int64(icmp_type[i])
        row = slot * BITS
        active = second // SLOT_SECONDS
        bits[row + (active >> 6)] |= _ONE << np.uint64(active & 63)
        bits[row + 2] |= _ONE << np.uint64(kind)
        code = np.uint64(kind << 16 | port)
        ports = mix64(code, salt)
        bits[row + PORTS_AT + np.int64((ports >> np.uint64(6)) & _ONE)] |= _ONE << (ports & _63)
        target = np.uint64(dst[i])
        packet = mix64(target << np.uint64(32) ^ code ^ np.uint64(ts[i]), hashed)
        if packet & np.uint64(7) == np.uint64(0):
            bits[row + THIN_AT] |= _ONE << (ports & _63)
        if (packet >> np.uint64(8)) & np.uint64(127) == np.uint64(0):
            bits[row + THIN_AT + 1] |= _ONE << (ports & _63)
        where = mix64(target, salt)
        place = _ONE << (where & _63)
        if (where >> np.uint64(8)) & np.uint64(3) == np.uint64(0):
            bits[row + TARGETS_AT] |= place
        if (where >> np.uint64(16)) & np.uint64(63) == np.uint64(0):
            bits[row + TARGETS_AT + 1] |= place
        if (where >> np.uint64(24)) & np.uint64(1023) == np.uint64(0):
            bits[row + TARGETS_AT + 2] |= place
        row = slot * COUNTS
        counts[row] += _ONE
        if kind == TCP_BIT and attacked[port]:
            counts[row + 1] += _ONE
        tick = second // TICK_SECONDS
        row = slot * LEAST
        least[row] = min(least[row], tick)
        least[row + 1] = min(least[row + 1], port)
        least[row + 2] = min(least[row + 2], LAST - tick)
        least[row + 3] = min(least[row + 3], LAST - port)
        word = np.uint32((packet >> np.uint64(48)) << np.uint64(16)) | np.uint32(port)
        row = slot * DRAWN
        for k in range(row, row + DRAWN):
            kept = drawn[k]
            if word == kept:
                break
            if word < kept:
                drawn[k] = word
                word = kept
    return ts.shape[0], used, scans
