"""Kernels over rows of (terminal, destination, agent) and their sketches of time.

A row's key is ``terminal << 40 | host << 16 | agent``. Its numbers lie in two blocks: ``wide`` (int64: first, last,
bytes in, bytes out) and ``narrow`` (uint32, columns below). The sketch of row i is ``events[ends[i - 1]:ends[i]]``,
each ``ms of the UTC day << 32 | size``, ascending: of each hour the least ``most``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FIRST, LAST, IN, OUT = range(4)
COUNT, REFUSED, FAILED, NO_REFERER, REFERERS, UNTITLED, HOURS, LISTED = range(8)
HOUR = np.uint64(3_600_000 << 32)
# Bits of what one contact says.
IS_REFUSED, IS_FAILED, HAS_NO_REFERER, HAS_REFERER, IS_UNTITLED, UNLISTED = 1, 2, 4, 8, 16, 32


@njit(cache=True, nogil=True)
def distinct(pairs: np.ndarray) -> np.ndarray:
    """The distinct ones of uint64 values below 2^64 - 1, in the order of their first places."""
    size = 16
    while size < 2 * pairs.shape[0]:
        size *= 2
    table = np.empty(size, np.uint64)
    for i in range(size):
        table[i] = np.uint64(0xFFFFFFFFFFFFFFFF)
    mask = np.uint64(size - 1)
    out = np.empty(pairs.shape[0], np.uint64)
    found = 0
    for i in range(pairs.shape[0]):
        value = pairs[i]
        mixed = value * np.uint64(0x9E3779B97F4A7C15)
        at = (mixed ^ (mixed >> np.uint64(32))) & mask
        while table[at] != np.uint64(0xFFFFFFFFFFFFFFFF) and table[at] != value:
            at = (at + np.uint64(1)) & mask
        if table[at] != value:
            table[at] = value
            out[found] = value
            found += 1
    return out[:found]


@njit(cache=True, nogil=True)
def fold_contacts(
    order: np.ndarray,
    keys: np.ndarray,
    times: np.ndarray,
    inward: np.ndarray,
    outward: np.ndarray,
    said: np.ndarray,
    events: np.ndarray,
    most: int,
    out_keys: np.ndarray,
    wide: np.ndarray,
    narrow: np.ndarray,
    listed: np.ndarray,
) -> tuple[int, int]:
    """Rows of contacts taken in ``order`` (by key, then event); gives (rows, events kept)."""
    rows, kept, held, hour = -1, 0, 0, np.uint64(0)
    for place in range(order.shape[0]):
        i = order[place]
        if rows < 0 or out_keys[rows] != keys[i]:
            rows += 1
            out_keys[rows] = keys[i]
            wide[rows, FIRST] = wide[rows, LAST] = times[i]
            wide[rows, IN] = wide[rows, OUT] = 0
            for column in range(8):
                narrow[rows, column] = 0
            held, hour = 0, np.uint64(99)
        wide[rows, FIRST] = min(wide[rows, FIRST], times[i])
        wide[rows, LAST] = max(wide[rows, LAST], times[i])
        wide[rows, IN] += max(inward[i], 0)
        wide[rows, OUT] += max(outward[i], 0)
        bits, now = said[i], events[i] // HOUR
        narrow[rows, COUNT] += 1
        narrow[rows, REFUSED] += bits & 1
        narrow[rows, FAILED] += bits >> 1 & 1
        narrow[rows, NO_REFERER] += bits >> 2 & 1
        narrow[rows, REFERERS] += bits >> 3 & 1
        narrow[rows, UNTITLED] += bits >> 4 & 1
        narrow[rows, HOURS] |= np.uint32(1) << np.uint32(now)
        if bits & UNLISTED:
            continue
        if now != hour:
            held, hour = 0, now
        if held < most:
            held += 1
            listed[kept] = events[i]
            kept += 1
            narrow[rows, LISTED] += 1
    return rows + 1, kept


@njit(cache=True, nogil=True)
def _copy_events(events: np.ndarray, begin: int, end: int, most: int, out: np.ndarray, at: int) -> int:
    held, hour = 0, np.uint64(99)
    for i in range(begin, end):
        now = events[i] // HOUR
        if now != hour:
            held, hour = 0, now
        if held < most:
            held += 1
            out[at] = events[i]
            at += 1
    return at


@njit(cache=True, nogil=True)
def _merge_events(
    mine: np.ndarray,
    a: int,
    a_end: int,
    other: np.ndarray,
    b: int,
    b_end: int,
    most: int,
    out: np.ndarray,
    at: int,
) -> int:
    held, hour = 0, np.uint64(99)
    while a < a_end or b < b_end:
        if b >= b_end or (a < a_end and mine[a] <= other[b]):
            event = mine[a]
            a += 1
        else:
            event = other[b]
            b += 1
        now = event // HOUR
        if now != hour:
            held, hour = 0, now
        if held < most:
            held += 1
            out[at] = event
            at += 1
    return at


@njit(cache=True, nogil=True)
def count_union(a: np.ndarray, b: np.ndarray) -> int:
    """Number of distinct keys in two ascending arrays of distinct keys."""
    i, j, n = 0, 0, 0
    while i < a.shape[0] and j < b.shape[0]:
        n += 1
        if a[i] == b[j]:
            i, j = i + 1, j + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return int(n + a.shape[0] - i + b.shape[0] - j)


@njit(cache=True, nogil=True)
def add_row(wide: np.ndarray, narrow: np.ndarray, other_wide: np.ndarray, other_narrow: np.ndarray) -> None:
    """Add another row of the same key to one; LISTED is left to whoever merges the events."""
    wide[FIRST] = min(wide[FIRST], other_wide[FIRST])
    wide[LAST] = max(wide[LAST], other_wide[LAST])
    wide[IN] += other_wide[IN]
    wide[OUT] += other_wide[OUT]
    for column in range(HOURS):
        narrow[column] += other_narrow[column]
    narrow[HOURS] |= other_narrow[HOURS]


@njit(cache=True, nogil=True)
def copy_row(wide: np.ndarray, narrow: np.ndarray, other_wide: np.ndarray, other_narrow: np.ndarray) -> None:
    """Make a row that of another."""
    for column in range(4):
        wide[column] = other_wide[column]
    for column in range(8):
        narrow[column] = other_narrow[column]


@njit(cache=True, nogil=True)
def sort_events(events: np.ndarray, begin: int, end: int) -> None:
    """Sort a piece of an array in place (heapsort: no worst case, and a tenth of the compilation of ``sort``)."""
    n = end - begin
    for start in range(n // 2 - 1, -n, -1):
        if start >= 0:
            root, last = start, n
        else:
            last = n + start
            events[begin], events[begin + last] = events[begin + last], events[begin]
            root = 0
        while 2 * root + 1 < last:
            child = 2 * root + 1
            if child + 1 < last and events[begin + child] < events[begin + child + 1]:
                child += 1
            if events[begin + root] >= events[begin + child]:
                break
            events[begin + root], events[begin + child] = events[begin + child], events[begin + root]
            root = child


@njit(cache=True, nogil=True)
def merge_rows(
    a_keys: np.ndarray,
    a_wide: np.ndarray,
    a_narrow: np.ndarray,
    a_events: np.ndarray,
    b_keys: np.ndarray,
    b_wide: np.ndarray,
    b_narrow: np.ndarray,
    b_events: np.ndarray,
    most: int,
    keys: np.ndarray,
    wide: np.ndarray,
    narrow: np.ndarray,
    events: np.ndarray,
) -> int:
    """Merge two runs into room that is large enough; gives the number of events kept."""
    i, j, n, a, b, kept = 0, 0, 0, 0, 0, 0
    while i < a_keys.shape[0] or j < b_keys.shape[0]:
        from_a = j >= b_keys.shape[0] or (i < a_keys.shape[0] and a_keys[i] <= b_keys[j])
        from_b = i >= a_keys.shape[0] or (j < b_keys.shape[0] and b_keys[j] <= a_keys[i])
        before = kept
        a_end, b_end = a, b
        if from_a:
            keys[n] = a_keys[i]
            copy_row(wide[n], narrow[n], a_wide[i], a_narrow[i])
            a_end = a + a_narrow[i, LISTED]
            if from_b:
                add_row(wide[n], narrow[n], b_wide[j], b_narrow[j])
        else:
            keys[n] = b_keys[j]
            copy_row(wide[n], narrow[n], b_wide[j], b_narrow[j])
        if from_b:
            b_end = b + b_narrow[j, LISTED]
        if from_a and from_b:
            kept = _merge_events(a_events, a, a_end, b_events, b, b_end, most, events, kept)
        elif from_a:
            kept = _copy_events(a_events, a, a_end, most, events, kept)
        else:
            kept = _copy_events(b_events, b, b_end, most, events, kept)
        narrow[n, LISTED] = kept - before
        a, b = a_end, b_end
        i += from_a
        j += from_b
        n += 1
    return kept


@njit(cache=True, nogil=True)
def keep_rows(mask: np.ndarray, narrow: np.ndarray, events: np.ndarray, most: int, out: np.ndarray) -> int:
    """Events of the rows of the mask, fewer an hour; writes how many into their ``narrow``, gives how many in all."""
    begin, kept = 0, 0
    for i in range(mask.shape[0]):
        end = begin + narrow[i, LISTED]
        if mask[i]:
            before = kept
            kept = _copy_events(events, begin, end, most, out, kept)
            narrow[i, LISTED] = kept - before
        begin = end
    return kept


@njit(cache=True, nogil=True)
def first_of_groups(sorted_values: np.ndarray, shift: int, most: int) -> np.ndarray:
    """Mask of the first ``most`` values that agree above the lowest ``shift`` bits, of an ascending array."""
    out = np.empty(sorted_values.shape[0], np.bool_)
    held = 0
    for i in range(sorted_values.shape[0]):
        same = i > 0 and sorted_values[i] >> np.uint64(shift) == sorted_values[i - 1] >> np.uint64(shift)
        held = held + 1 if same else 1
        out[i] = held <= most
    return out
