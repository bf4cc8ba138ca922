"""The loops behind the summary: for each source the packets with the lowest hashes, in blocks of one arena.

A source's sample is a *bottom-k* of its packets by keyed hash (Cohen and Kaplan, PODC 2007): which packets are in it
depends on the packets alone, never on their order. It is kept as a binary max-heap, so that the packet to be replaced
is the first. Heaps live in blocks of a few sizes (``SIZES``) cut from one array of packets, and a source moves to the
next larger block when its own is full: memory goes where the packets are, with one packet for a source that sent one.

``rows`` holds for each source: packets, first and last time, the highest hash in its sample, where its block begins.
``book`` holds what the arena needs to know about itself (``BUMP``, ``LIVE``, then the head of the free list of each
size). An item is four words: hash, ports with window and identification, acknowledgement with TTL and length, time;
destination and sequence number are in the hash, which can be undone.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import find_or_add, is_kept

SIZES = np.array([1, 2, 4, 8, 16, 32, 48, 64, 96], np.int64)
MOST = 96
PACKETS, FIRST, LAST, TOP, PLACE = range(5)  # of a row
BUMP, LIVE, FREE = 0, 1, 2  # of the book
DONE, TABLE_FULL, SAMPLE_FULL, ARENA_FULL = range(4)

# How many packets of a source are kept, in the order in which they are given up when memory is short: (k of a share
# 2^-d of the sources, k of the others, d). After the last, whole sources are left out.
STEPS = np.array(
    [
        (96, 96, 0), (64, 64, 0), (48, 48, 0), (32, 32, 0), (32, 16, 1), (32, 16, 2), (32, 16, 3), (32, 8, 3),
        (32, 8, 4),
    ],
    np.int64,
)  # fmt: skip
LAST_STEP = len(STEPS) - 1

_AHEAD = 12
_DEEP = np.uint64(24)  # the bits of a source's hash that choose neither slot nor sample
_ONE, _ZERO = np.uint64(1), np.uint64(0)
_16, _32, _48, _24, _8 = np.uint64(16), np.uint64(32), np.uint64(48), np.uint64(24), np.uint64(8)


@njit(cache=True, nogil=True, inline="always")
def kept_of(hashed: np.uint64, step: int) -> int:
    """How many packets are kept of the source with this hash."""
    share = (_ONE << np.uint64(STEPS[step, 2])) - _ONE
    if (hashed >> _DEEP) & share == _ZERO:
        return int(STEPS[step, 0])
    return int(STEPS[step, 1])


@njit(cache=True, nogil=True, inline="always")
def size_for(packets: int) -> int:
    """The smallest size (its number) of a block that holds so many packets."""
    number = 0
    while SIZES[number] < packets:
        number += 1
    return number


@njit(cache=True, nogil=True)
def item_hash(w0: np.uint64, w1: np.uint64, w2: np.uint64, w3: np.uint64, salt: np.uint64) -> np.uint64:
    """Hash of a packet; ``w0`` (destination, sequence number) can be had back from it and the other words."""
    hashed: np.uint64 = mix64(w0 ^ mix64(w1 ^ mix64(w2 ^ mix64(w3, salt), salt), salt), salt)
    return hashed


@njit(cache=True, nogil=True)
def _sift_up(arena: np.ndarray, place: int, at: int) -> None:
    a, b, c, d = arena[place + at, 0], arena[place + at, 1], arena[place + at, 2], arena[place + at, 3]
    while at > 0:
        up = (at - 1) >> 1
        if arena[place + up, 0] >= a:
            break
        for w in range(4):
            arena[place + at, w] = arena[place + up, w]
        at = up
    arena[place + at, 0], arena[place + at, 1], arena[place + at, 2], arena[place + at, 3] = a, b, c, d


@njit(cache=True, nogil=True)
def _sift_down(
    arena: np.ndarray, place: int, count: int, a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64
) -> None:
    """Put an item in the place of the first of a heap of ``count``."""
    at = 0
    while True:
        down = 2 * at + 1
        if down >= count:
            break
        if down + 1 < count and arena[place + down + 1, 0] > arena[place + down, 0]:
            down += 1
        if arena[place + down, 0] <= a:
            break
        for w in range(4):
            arena[place + at, w] = arena[place + down, w]
        at = down
    arena[place + at, 0], arena[place + at, 1], arena[place + at, 2], arena[place + at, 3] = a, b, c, d


@njit(cache=True, nogil=True)
def _offer(
    rows: np.ndarray,
    slot: int,
    most: int,
    arena: np.ndarray,
    book: np.ndarray,
    cap: int,
    a: np.uint64,
    b: np.uint64,
    c: np.uint64,
    d: np.uint64,
) -> int:
    """Take one packet into a source's sample and count it; DONE, or what is in the way with nothing changed."""
    packets = rows[slot, PACKETS]
    place = rows[slot, PLACE]
    if packets >= most:
        if a < np.uint64(rows[slot, TOP]):
            _sift_down(arena, place, most, a, b, c, d)
            rows[slot, TOP] = np.int64(arena[place, 0])
    else:
        number = size_for(packets) if packets else -1
        if packets == 0 or SIZES[number] == packets:
            now = SIZES[number] if packets else 0
            wanted = SIZES[number + 1]
            if book[LIVE] + wanted - now > cap:
                return SAMPLE_FULL
            new = book[FREE + number + 1]
            if new >= 0:
                book[FREE + number + 1] = np.int64(arena[new, 0])
            elif book[BUMP] + wanted <= arena.shape[0]:
                new = book[BUMP]
                book[BUMP] += wanted
            else:
                return ARENA_FULL
            for i in range(packets):
                for w in range(4):
                    arena[new + i, w] = arena[place + i, w]
            if packets:
                arena[place, 0] = np.uint64(book[FREE + number])
                book[FREE + number] = place
            book[LIVE] += wanted - now
            place = new
            rows[slot, PLACE] = new
        at = place + packets
        arena[at, 0], arena[at, 1], arena[at, 2], arena[at, 3] = a, b, c, d
        _sift_up(arena, place, packets)
        rows[slot, TOP] = np.int64(arena[place, 0])
    time = np.int64(d)
    if packets == 0 or time < rows[slot, FIRST]:
        rows[slot, FIRST] = time
    if packets == 0 or time > rows[slot, LAST]:
        rows[slot, LAST] = time
    rows[slot, PACKETS] = packets + 1
    return DONE


@njit(cache=True, nogil=True)
def take(
    start: int,
    ts: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    sport: np.ndarray,
    dport: np.ndarray,
    flags: np.ndarray,
    seq: np.ndarray,
    ack: np.ndarray,
    ip_id: np.ndarray,
    ttl: np.ndarray,
    window: np.ndarray,
    length: np.ndarray,
    layers: np.ndarray,
    keys: np.ndarray,
    flat: np.ndarray,
    rows: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
    step: int,
    arena: np.ndarray,
    book: np.ndarray,
    cap: int,
) -> tuple[int, int, int]:
    """Take in the TCP SYN packets of IPv4 of a batch from ``start`` on; gives (position reached, used, why it
    stopped). It stops before a packet with nothing of it counted. ``flat`` is ``rows`` in one dimension."""
    mask = np.uint64(keys.shape[0] - 1)
    n = ts.shape[0]
    for i in range(start, n):
        j = i + _AHEAD
        if j < n:
            there = np.int64(mix64(np.uint64(src[j]), salt) & mask)
            prefetch(keys, there)
            prefetch(flat, there * 5)
        if (flags[i] & np.uint8(0x3F)) != np.uint8(2) or (layers[i] & np.uint8(5)) != np.uint8(5):
            continue
        key = np.uint64(src[i])
        hashed = mix64(key, salt)
        if not is_kept(hashed, level):
            continue
        slot, used = find_or_add(keys, key, hashed, used, room)
        if slot < 0:
            return i, used, TABLE_FULL
        w0 = (np.uint64(dst[i]) << _32) | np.uint64(seq[i])
        w1 = (np.uint64(sport[i]) << _48) | (np.uint64(dport[i]) << _32)
        w1 |= (np.uint64(window[i]) << _16) | np.uint64(ip_id[i])
        w2 = (np.uint64(ack[i]) << _32) | (np.uint64(ttl[i]) << _24) | (np.uint64(length[i]) << _8)
        w3 = np.uint64(ts[i])
        most = kept_of(hashed, step)
        why = _offer(rows, slot, most, arena, book, cap, item_hash(w0, w1, w2, w3, salt), w1, w2, w3)
        if why != DONE:
            return i, used, why
    return n, used, DONE


@njit(cache=True, nogil=True)
def take_samples(
    start: int,
    inner: int,
    other_keys: np.ndarray,
    other: np.ndarray,
    counts: np.ndarray,
    other_arena: np.ndarray,
    keys: np.ndarray,
    rows: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
    step: int,
    arena: np.ndarray,
    book: np.ndarray,
    cap: int,
) -> tuple[int, int, int, int]:
    """Take in the sources of another summary (``counts``: how many packets of each are in its sample), from source
    ``start`` and its packet ``inner`` on; gives (source, packet, used, why it stopped)."""
    for s in range(start, other_keys.shape[0]):
        key = other_keys[s]
        hashed = mix64(key, salt)
        if is_kept(hashed, level):
            most = kept_of(hashed, step)
            slot, used = find_or_add(keys, key, hashed, used, room)
            if slot < 0:
                return s, inner, used, TABLE_FULL
            place = other[s, PLACE]
            for i in range(inner, counts[s]):
                a, b, c, d = (
                    other_arena[place + i, 0],
                    other_arena[place + i, 1],
                    other_arena[place + i, 2],
                    other_arena[place + i, 3],
                )
                why = _offer(rows, slot, most, arena, book, cap, a, b, c, d)
                if why != DONE:
                    return s, i, used, why
            rows[slot, PACKETS] += other[s, PACKETS] - counts[s]
            rows[slot, FIRST] = min(rows[slot, FIRST], other[s, FIRST])
            rows[slot, LAST] = max(rows[slot, LAST], other[s, LAST])
        inner = 0
    return other_keys.shape[0], 0, used, DONE


@njit(cache=True, nogil=True)
def sampled(keys: np.ndarray, rows: np.ndarray, salt: np.uint64, step: int) -> np.ndarray:
    """For each source how many packets are in its sample."""
    out = np.empty(keys.shape[0], np.int64)
    for i in range(keys.shape[0]):
        out[i] = min(rows[i, PACKETS], kept_of(mix64(keys[i], salt), step))
    return out


@njit(cache=True, nogil=True)
def shrink(
    order: np.ndarray,
    keys: np.ndarray,
    rows: np.ndarray,
    arena: np.ndarray,
    book: np.ndarray,
    salt: np.uint64,
    before: int,
    after: int,
) -> None:
    """Cut the samples down from step ``before`` to step ``after`` and move all blocks to the front of the arena.
    ``order``: the slots in use, by where their blocks begin; blocks of sources that are gone are overwritten."""
    bump = np.int64(0)
    for at in range(order.shape[0]):
        slot = order[at]
        packets = rows[slot, PACKETS]
        if packets == 0:
            continue
        hashed = mix64(keys[slot], salt)
        place = rows[slot, PLACE]
        count = min(packets, kept_of(hashed, before))
        most = min(packets, kept_of(hashed, after))
        while count > most:
            count -= 1
            last = place + count
            _sift_down(arena, place, count, arena[last, 0], arena[last, 1], arena[last, 2], arena[last, 3])
        if bump != place:
            for i in range(count):
                for w in range(4):
                    arena[bump + i, w] = arena[place + i, w]
        rows[slot, PLACE] = bump
        rows[slot, TOP] = np.int64(arena[bump, 0])
        bump += SIZES[size_for(count)]
    book[BUMP] = bump
    book[LIVE] = bump
    book[FREE:] = -1


@njit(cache=True, nogil=True)
def dump(rows: np.ndarray, counts: np.ndarray, arena: np.ndarray, out: np.ndarray) -> None:
    """All samples, source after source, each in ascending order of the hash, into ``out``: uint64[packets, 4]."""
    end = np.int64(0)
    for s in range(rows.shape[0]):
        place, count = rows[s, PLACE], counts[s]
        begin = end
        end += count
        for i in range(count):
            for w in range(4):
                out[begin + i, w] = arena[place + i, w]
        while count > 1:
            count -= 1
            a, b, c, d = (
                out[begin + count, 0],
                out[begin + count, 1],
                out[begin + count, 2],
                out[begin + count, 3],
            )
            for w in range(4):
                out[begin + count, w] = out[begin, w]
            _sift_down(out, begin, count, a, b, c, d)


@njit(cache=True, nogil=True)
def restore(rows: np.ndarray, counts: np.ndarray, items: np.ndarray, arena: np.ndarray) -> int:
    """The reverse of ``dump``: blocks for all sources, written to ``arena``; gives the end of the last."""
    bump, begin = np.int64(0), np.int64(0)
    for s in range(rows.shape[0]):
        count = counts[s]
        rows[s, PLACE] = bump
        for i in range(count):
            # Descending order is a heap.
            for w in range(4):
                arena[bump + i, w] = items[begin + count - 1 - i, w]
        rows[s, TOP] = np.int64(arena[bump, 0])
        begin += count
        bump += SIZES[size_for(count)]
    return int(bump)


@njit(cache=True, nogil=True)
def units_needed(counts: np.ndarray) -> int:
    """How much of an arena samples of these sizes take."""
    total = np.int64(0)
    for s in range(counts.shape[0]):
        if counts[s]:
            total += SIZES[size_for(counts[s])]
    return int(total)
