"""One walk over a batch: each scan packet is entered in the row of its source.

Scan packets are those that ask (TCP without ACK and RST, UDP, ICMP requests, over IPv4), as in ``darknet.purpose``.
A row is about 112 bytes:

- ``packets`` (added);
- ``hours`` (or): one bit for each hour of the day in which the source was active;
- ``drawn`` (lowest): six of its packets drawn by keyed hash, each as two words: the hash, and what the packet looked
  like (``look``). What is drawn depends on the set of packets alone, never on order or on how the input was cut.

The look of a packet is one word: destination port, window, option layout, class of the initial TTL, DF bit, whether
the sequence number is the destination, kind, and ten bits of hash of the destination.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.asks import KIND_ICMP, KIND_TCP, asks
from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import find_or_add, is_kept

DRAWN = 6  # packets kept of each source
WORDS = 2 * DRAWN
# Where each part of a look begins.
PORT_AT, WINDOW_AT, OPTIONS_AT, TTL_AT, DF_AT, COOKIE_AT, KIND_AT, TARGET_AT = 0, 16, 32, 48, 50, 51, 52, 54
_AHEAD = 12
_ONE = np.uint64(1)
_HOUR = 3600 * 1_000_000_000
_DONT_FRAGMENT = 0x4000
_HIGH = np.uint64(0xFFFFFFFF00000000)
_SALT = np.uint64(0x6C62272E07BB0142)


@njit(cache=True, nogil=True, inline="always")
def _layout(options: int, mss: int) -> int:
    """The first five TCP options, three bits each (1 NOP, 2 MSS, 3 scale, 4 SACK, 5 time, 6 end, 7 other), and
    bit 15 for a lone MSS option whose value is not Ethernet's 1460: raw-socket scanners keep one of their own."""
    code = 0
    rest = options
    for i in range(5):
        kind = rest & 0xFF
        if kind == 0:
            break
        rest >>= 8
        small = 7
        if 1 <= kind <= 4:
            small = kind
        elif kind == 8:
            small = 5
        elif kind == 0xFF:
            small = 6
        code |= small << (3 * i)
    if code == 2 and mss != 1460:
        code |= 0x8000
    return code


@njit(cache=True, nogil=True)
def enter_batch(
    ts: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    dst_port: np.ndarray,
    proto: np.ndarray,
    flags: np.ndarray,
    layers: np.ndarray,
    icmp_type: np.ndarray,
    seq: np.ndarray,
    window: np.ndarray,
    ttl: np.ndarray,
    frag: np.ndarray,
    options: np.ndarray,
    mss: np.ndarray,
    start: int,
    keys: np.ndarray,
    packets: np.ndarray,
    hours: np.ndarray,
    drawn: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int, int]:
    """Enter packets from ``start`` on; gives (position reached, rows used, scan packets seen, kept or not).

    ``drawn`` is the column of the table, flat."""
    mask = np.uint64(keys.shape[0] - 1)
    scans = 0
    for i in range(start, ts.shape[0]):
        j = i + _AHEAD
        if j < ts.shape[0]:
            at = np.int64(mix64(np.uint64(src[j]), salt) & mask)
            prefetch(keys, at)
            prefetch(packets, at)
            prefetch(hours, at)
            prefetch(drawn, at * WORDS)
            prefetch(drawn, at * WORDS + WORDS - 2)
        kind = asks(np.int64(proto[i]), np.int64(layers[i]), np.int64(flags[i]), np.int64(icmp_type[i]))
        if kind < 0:
            continue
        key = np.uint64(src[i])
        hashed = mix64(key, salt)
        if not is_kept(hashed, level):
            scans += 1
            continue
        slot, used = find_or_add(keys, key, hashed, used, room)
        if slot < 0:
            return i, used, scans
        scans += 1
        packets[slot] += _ONE
        hours[slot] |= _ONE << np.uint64((ts[i] // _HOUR) % 24)
        target = np.uint64(dst[i])
        # Port and destination in the hash: a burst of packets of one time is still drawn from fairly.
        drawn_by = mix64(
            (target << np.uint64(32)) ^ (np.uint64(dst_port[i]) << np.uint64(16)) ^ np.uint64(window[i]),
            hashed ^ np.uint64(ts[i]),
        )
        row = slot * WORDS
        last = row + WORDS - 2
        if (drawn_by & _HIGH) > drawn[last]:
            continue  # whatever its low half will be
        hops = np.int64(ttl[i])
        initial = 0 if hops <= 32 else (1 if hops <= 64 else (2 if hops <= 128 else 3))
        tcp = kind == KIND_TCP
        look = np.uint64(dst_port[i]) if kind != KIND_ICMP else np.uint64(icmp_type[i])
        look |= np.uint64(window[i]) << np.uint64(WINDOW_AT)
        if tcp:
            look |= np.uint64(_layout(np.int64(options[i]), np.int64(mss[i]))) << np.uint64(OPTIONS_AT)
            if seq[i] == dst[i]:
                look |= _ONE << np.uint64(COOKIE_AT)
        look |= np.uint64(initial) << np.uint64(TTL_AT)
        if frag[i] & _DONT_FRAGMENT:
            look |= _ONE << np.uint64(DF_AT)
        look |= np.uint64(kind) << np.uint64(KIND_AT)
        look |= (mix64(target, _SALT) >> np.uint64(54)) << np.uint64(TARGET_AT)
        # The hash that tells items apart covers the whole look, so that equal hashes mean equal items.
        drawn_by = (drawn_by & _HIGH) | (mix64(look, drawn_by) >> np.uint64(32))
        at = row
        while drawn[at] < drawn_by and at < last:
            at += 2
        if drawn_by >= drawn[at]:
            continue  # there already, or just above the last one
        for k in range(last, at, -2):
            drawn[k] = drawn[k - 2]
            drawn[k + 1] = drawn[k - 1]
        drawn[at] = drawn_by
        drawn[at + 1] = look
    return ts.shape[0], used, scans
