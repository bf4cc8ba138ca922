"""The loops behind the summary: for each source the packets with the lowest hashes, in blocks of one arena.

A source's sample is a *bottom-k* of its packets by keyed hash (Cohen and Kaplan, PODC 2007): which packets are in it
depends on the packets alone, never on their order. Samples live in blocks of a few sizes (``SIZES``) cut from one
array of words, and a source moves to the next larger block when its own is full: memory goes where the packets are,
with room for one packet for a source that sent one. A place holds four words; a block of n places holds first n
hashes, then n times the other three words: ports with window and identification, acknowledgement with TTL and length,
time. Destination and sequence number are in the hash, which can be undone. Packets of a block are in no order: one
that is pushed out is found by looking through the hashes, which are few lines of memory side by side.

``rows`` holds for each source four words, half a line of the cache: packets, first and last time, and a word of the
upper half of the highest hash in its sample (once it is full) and the place where its block begins. So a packet that
cannot enter a full sample is known from the row alone. ``book`` holds what the arena needs to know about itself
(``BUMP``, ``LIVE``, then the head of the free list of each size).

At ten million packets no row is in the cache when its packet comes. So packets are taken in by chunks, and each step
asks for the memory that the next one needs: rows, then samples.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import EMPTY, find_or_add, is_kept

SIZES = np.array([1, 2, 4, 8, 16, 32, 48, 64, 96], np.int64)
MOST = 96
NUMBER = np.array([int(np.searchsorted(SIZES, packets)) for packets in range(MOST + 1)], np.int64)
PACKETS, FIRST, LAST, SAMPLE = range(4)  # of a row
WORDS = 4  # of a place, and of a row
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

_CHUNK = 128
_LINE = 8  # words
_DEEP = np.uint64(24)  # the bits of a source's hash that choose neither slot nor sample
_ONE, _ZERO = np.uint64(1), np.uint64(0)
_16, _32, _48, _24, _8 = np.uint64(16), np.uint64(32), np.uint64(48), np.uint64(24), np.uint64(8)
_LOW = np.uint64(0xFFFFFFFF)


@njit(cache=True, nogil=True, inline="always")
def kept_of(hashed: np.uint64, step: int) -> int:
    """How many packets are kept of the source with this hash."""
    share = (_ONE << np.uint64(STEPS[step, 2])) - _ONE
    if (hashed >> _DEEP) & share == _ZERO:
        return int(STEPS[step, 0])
    return int(STEPS[step, 1])


@njit(cache=True, nogil=True, inline="always")
def place_of(word: np.int64) -> int:
    """Where a source's block begins (in places), from the last word of its row."""
    return int(np.int64(np.uint64(word) & _LOW))


@njit(cache=True, nogil=True, inline="always")
def _sample_word(place: int, top: np.uint64) -> np.int64:
    return np.int64(((top >> _32) << _32) | np.uint64(place))


@njit(cache=True, nogil=True)
def _offer(
    count: int, slots: np.ndarray, most_of: np.ndarray, items: np.ndarray, rows: np.ndarray,
    arena: np.ndarray, book: np.ndarray, cap: int,
) -> tuple[int, int]:  # fmt: skip
    """Take the first packets of ``items`` into their sources' samples and count them; gives how many were taken and
    DONE, or what is in the way of the next with nothing of it changed.

    One loop without calls: a call with arrays costs two locked instructions an array, which wait for all memory."""
    for m in range(count):
        slot, most = slots[m], most_of[m]
        a, time = items[m, 0], np.int64(items[m, 3])
        packets = rows[slot, PACKETS]
        word = rows[slot, SAMPLE]
        base = np.int64(np.uint64(word) & _LOW) * WORDS
        if packets >= most:
            if (a >> _32) <= (np.uint64(word) >> _32):
                best = _ZERO
                for i in range(most):
                    best = max(best, arena[base + i])
                if a < best:
                    same, second = np.int64(0), a
                    for i in range(most):
                        hashed = arena[base + i]
                        same += hashed == best
                        second = max(second, hashed if hashed != best else _ZERO)
                    where = np.int64(0)
                    while arena[base + where] != best:
                        where += 1
                    arena[base + where] = a
                    at = base + most + 3 * where
                    arena[at], arena[at + 1], arena[at + 2] = items[m, 1], items[m, 2], items[m, 3]
                    if same == 1:
                        rows[slot, SAMPLE] = np.int64((np.uint64(word) & _LOW) | ((second >> _32) << _32))
            rows[slot, FIRST] = min(rows[slot, FIRST], time)
            rows[slot, LAST] = max(rows[slot, LAST], time)
            rows[slot, PACKETS] = packets + 1
            continue
        size = SIZES[NUMBER[packets]] if packets else 0
        if packets == size:
            number = NUMBER[packets] + 1 if packets else 0
            wanted = SIZES[number]
            if book[LIVE] + wanted - size > cap:
                return m, SAMPLE_FULL
            new = book[FREE + number]
            if new >= 0:
                book[FREE + number] = np.int64(arena[new * WORDS])
            elif (book[BUMP] + wanted) * WORDS <= arena.shape[0]:
                new = book[BUMP]
                book[BUMP] += wanted
            else:
                return m, ARENA_FULL
            to = new * WORDS
            for i in range(packets):
                arena[to + i] = arena[base + i]
            for i in range(3 * packets):
                arena[to + wanted + i] = arena[base + size + i]
            if packets:
                arena[base] = np.uint64(book[FREE + number - 1])
                book[FREE + number - 1] = base // WORDS
            else:
                rows[slot, FIRST] = rows[slot, LAST] = time
            book[LIVE] += wanted - size
            base, size = to, wanted
            rows[slot, SAMPLE] = new
        arena[base + packets] = a
        at = base + size + 3 * packets
        arena[at], arena[at + 1], arena[at + 2] = items[m, 1], items[m, 2], items[m, 3]
        packets += 1
        if packets == most:
            best = _ZERO
            for i in range(most):
                best = max(best, arena[base + i])
            rows[slot, SAMPLE] = _sample_word(base // WORDS, best)
        rows[slot, FIRST] = min(rows[slot, FIRST], time)
        rows[slot, LAST] = max(rows[slot, LAST], time)
        rows[slot, PACKETS] = packets
    return count, DONE


@njit(cache=True, nogil=True)
def _ask(
    count: int, slots: np.ndarray, most_of: np.ndarray, items: np.ndarray, rows: np.ndarray, arena: np.ndarray
) -> None:
    """Ask for the lines of the samples that ``_offer`` will touch."""
    for m in range(count):
        slot, most = slots[m], most_of[m]
        packets = rows[slot, PACKETS]
        word = np.uint64(rows[slot, SAMPLE])
        base = np.int64(word & _LOW) * WORDS
        if packets >= most:
            if (items[m, 0] >> _32) <= (word >> _32):
                for at in range(0, most, _LINE):
                    prefetch(arena, base + at)
        elif packets:
            size = SIZES[NUMBER[packets]]
            if packets < size:
                prefetch(arena, base + packets)
                prefetch(arena, base + size + 3 * packets)
            else:
                for at in range(0, min(size, 32) * WORDS, _LINE):
                    prefetch(arena, base + at)


@njit(cache=True, nogil=True)
def take(
    start: int, ts: np.ndarray, src: np.ndarray, dst: np.ndarray, sport: np.ndarray, dport: np.ndarray,
    flags: np.ndarray, seq: np.ndarray, ack: np.ndarray, ip_id: np.ndarray, ttl: np.ndarray,
    window: np.ndarray, length: np.ndarray, layers: np.ndarray, keys: np.ndarray, flat: np.ndarray,
    rows: np.ndarray, used: int, room: int, level: int, salt: np.uint64, step: int, arena: np.ndarray,
    book: np.ndarray, cap: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Take in the TCP SYN packets of IPv4 of a batch from ``start`` on; gives (position reached, used, why it
    stopped). It stops before a packet with nothing of it counted. ``flat`` is ``rows`` in one dimension."""
    mask = np.uint64(keys.shape[0] - 1)
    n = ts.shape[0]
    chosen = np.empty(_CHUNK, np.int64)
    hashes = np.empty(_CHUNK, np.uint64)
    slots = np.empty(_CHUNK, np.int64)
    most_of = np.empty(_CHUNK, np.int64)
    items = np.empty((_CHUNK, WORDS), np.uint64)
    i = start
    while i < n:
        count = 0
        while i < n and count < _CHUNK:
            if (flags[i] & np.uint8(0x3F)) == np.uint8(2) and (layers[i] & np.uint8(5)) == np.uint8(5):
                hashed = mix64(np.uint64(src[i]), salt)
                if is_kept(hashed, level):
                    there = np.int64(hashed & mask)
                    prefetch(keys, there)
                    prefetch(flat, there * WORDS)
                    chosen[count], hashes[count] = i, hashed
                    count += 1
            i += 1
        for m in range(count):
            p = chosen[m]
            w0 = (np.uint64(dst[p]) << _32) | np.uint64(seq[p])
            w1 = (np.uint64(sport[p]) << _48) | (np.uint64(dport[p]) << _32)
            w1 |= (np.uint64(window[p]) << _16) | np.uint64(ip_id[p])
            w2 = (np.uint64(ack[p]) << _32) | (np.uint64(ttl[p]) << _24) | (np.uint64(length[p]) << _8)
            w3 = np.uint64(ts[p])
            # The hash of a packet; ``w0`` can be had back from it and the other words.
            items[m, 0] = mix64(w0 ^ mix64(w1 ^ mix64(w2 ^ mix64(w3, salt), salt), salt), salt)
            items[m, 1], items[m, 2], items[m, 3] = w1, w2, w3
        full = -1
        for m in range(count):
            slot, used = find_or_add(keys, np.uint64(src[chosen[m]]), hashes[m], used, room)
            if slot < 0:
                full, count = int(chosen[m]), m
                break
            slots[m], most_of[m] = slot, kept_of(hashes[m], step)
        _ask(count, slots, most_of, items, rows, arena)
        taken, why = _offer(count, slots, most_of, items, rows, arena, book, cap)
        if why != DONE:
            return chosen[taken], used, why
        if full >= 0:
            return full, used, TABLE_FULL
    return n, used, DONE


@njit(cache=True, nogil=True)
def take_samples(
    start: int, inner: int, other_keys: np.ndarray, other: np.ndarray, counts: np.ndarray,
    other_arena: np.ndarray, keys: np.ndarray, rows: np.ndarray, used: int, room: int, level: int,
    salt: np.uint64, step: int, arena: np.ndarray, book: np.ndarray, cap: int,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Take in the sources of another summary (``counts``: how many packets of each are in its sample), from source
    ``start`` and its packet ``inner`` on; gives (source, packet, used, why it stopped)."""
    slots = np.empty(MOST, np.int64)
    most_of = np.empty(MOST, np.int64)
    items = np.empty((MOST, WORDS), np.uint64)
    for s in range(start, other_keys.shape[0]):
        key = other_keys[s]
        hashed = mix64(key, salt)
        if is_kept(hashed, level):
            most = kept_of(hashed, step)
            slot, used = find_or_add(keys, key, hashed, used, room)
            if slot < 0:
                return s, inner, used, TABLE_FULL
            base = place_of(other[s, SAMPLE]) * WORDS
            payload = base + SIZES[NUMBER[counts[s]]]
            count = counts[s] - inner
            for m in range(count):
                i = inner + m
                slots[m], most_of[m], items[m, 0] = slot, most, other_arena[base + i]
                for w in range(3):
                    items[m, w + 1] = other_arena[payload + 3 * i + w]
            taken, why = _offer(count, slots, most_of, items, rows, arena, book, cap)
            if why != DONE:
                return s, inner + taken, used, why
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
def _lowest(values: np.ndarray, count: int, wanted: int) -> np.uint64:
    """The ``wanted``-th lowest of the first values, which are put in another order (Hoare's selection)."""
    low, high, at = 0, count - 1, wanted - 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if at <= j:
            high = j
        elif at >= i:
            low = i
        else:
            break
    return np.uint64(values[at])


@njit(cache=True, nogil=True)
def shrink(
    keys: np.ndarray, flat: np.ndarray, rows: np.ndarray, arena: np.ndarray, book: np.ndarray,
    salt: np.uint64, before: int, after: int,
) -> None:  # fmt: skip
    """Cut the samples down from step ``before`` to step ``after`` and move all blocks to the front of the arena.
    Blocks of sources that are gone from the table are overwritten. ``flat`` is ``rows`` in one dimension."""
    owner = np.full(book[BUMP] + _CHUNK, -1, np.int32)
    for any_slot in range(keys.shape[0]):
        if keys[any_slot] != EMPTY and rows[any_slot, PACKETS] > 0:
            owner[place_of(rows[any_slot, SAMPLE])] = any_slot
    bump = np.int64(0)
    block = np.empty(MOST * WORDS, np.uint64)
    hashes = np.empty(MOST, np.uint64)
    for at in range(book[BUMP]):
        ahead = np.int64(owner[at + _CHUNK])
        if ahead >= 0:
            prefetch(keys, ahead)
            prefetch(flat, ahead * WORDS)
        slot = np.int64(owner[at])
        if slot < 0:
            continue
        packets = rows[slot, PACKETS]
        hashed = mix64(keys[slot], salt)
        base = place_of(rows[slot, SAMPLE]) * WORDS
        count = min(packets, kept_of(hashed, before))
        kept = kept_of(hashed, after)
        most = min(packets, kept)
        size = SIZES[NUMBER[count]]
        wanted = SIZES[NUMBER[most]]
        to = bump * WORDS
        top = _ZERO
        if most < count:
            for i in range(size * WORDS):
                block[i] = arena[base + i]
            hashes[:count] = block[:count]
            top = _lowest(hashes, count, most)
            same = np.int64(most)
            for i in range(count):
                same -= np.int64(block[i] < top)
            # ``same``: how many stay of packets that are the same in all.
            old = np.int64(0)
            for m in range(most):
                while block[old] > top or (block[old] == top and same == 0):
                    old += 1
                same -= np.int64(block[old] == top)
                arena[to + m] = block[old]
                for w in range(3):
                    arena[to + wanted + 3 * m + w] = block[size + 3 * old + w]
                old += 1
        else:
            if to != base:
                for i in range(size * WORDS):
                    arena[to + i] = arena[base + i]
            if count == kept:
                for i in range(count):
                    top = max(top, arena[to + i])
        rows[slot, SAMPLE] = _sample_word(bump, top)
        bump += wanted
    book[BUMP] = bump
    book[LIVE] = bump
    book[FREE:] = -1


@njit(cache=True, nogil=True)
def dump(rows: np.ndarray, counts: np.ndarray, arena: np.ndarray, out: np.ndarray) -> None:
    """All samples, source after source, each in ascending order of the hash, into ``out``: uint64[packets, 4]."""
    end = np.int64(0)
    for s in range(rows.shape[0]):
        if s + 8 < rows.shape[0]:
            ahead = place_of(rows[s + 8, SAMPLE]) * WORDS
            for at in range(0, counts[s + 8] * WORDS, _LINE):
                prefetch(arena, ahead + at)
        base, count = place_of(rows[s, SAMPLE]) * WORDS, counts[s]
        payload = base + SIZES[NUMBER[count]]
        for i in range(count):
            a, at = arena[base + i], payload + 3 * i
            j = end + i
            while j > end and out[j - 1, 0] > a:
                for w in range(WORDS):
                    out[j, w] = out[j - 1, w]
                j -= 1
            out[j, 0], out[j, 1], out[j, 2], out[j, 3] = a, arena[at], arena[at + 1], arena[at + 2]
        end += count


@njit(cache=True, nogil=True)
def restore(rows: np.ndarray, counts: np.ndarray, items: np.ndarray, arena: np.ndarray) -> int:
    """The reverse of ``dump``: blocks for all sources, written to ``arena``; gives the end of the last."""
    bump, begin = np.int64(0), np.int64(0)
    for s in range(rows.shape[0]):
        count = counts[s]
        size = SIZES[NUMBER[count]]
        base = bump * WORDS
        for i in range(count):
            arena[base + i] = items[begin + i, 0]
            for w in range(3):
                arena[base + size + 3 * i + w] = items[begin + i, w + 1]
        begin += count
        # They came in ascending order.
        rows[s, SAMPLE] = _sample_word(bump, items[begin - 1, 0])
        bump += size
    return int(bump)


@njit(cache=True, nogil=True)
def units_needed(counts: np.ndarray) -> int:
    """How much of an arena samples of these sizes take."""
    total = np.int64(0)
    for s in range(counts.shape[0]):
        if counts[s]:
            total += SIZES[NUMBER[counts[s]]]
    return int(total)
