"""Lines of CEF and LEEF to the places of their fields: one compiled pass.

CEF as ArcSight's implementation standard has it: seven fields behind bars, where a bar in a value is written with a
backslash, then ``key=value`` with blanks between, where a value may hold blanks and writes ``=`` and backslash with
one. A value with a bare ``=`` (a URL's query) is read on as long as no key can stand before it. LEEF 1 and 2 (IBM):
four or five fields behind bars, then ``key=value`` behind tabs or the delimiter that the fifth field names (a
character, or its code as ``x5E``). What stands before is the heading of a syslog message: RFC 3164 or RFC 5424.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from andon.observe.jsonlines.kernel import ABSENT, ESCAPED, TEXT
from andon.observe.logs.clock import NO_TIME, clock
from andon.observe.logs.contacts import NO_PAYLOAD
from andon.observe.logs.scan import GOOD, UNFIT

# Places of the heading and of the fields behind bars; those of keys follow.
WHEN, WHO, VENDOR, PRODUCT, RULE, TITLE, SEVERITY = range(7)
FIRST_KEY: Final = 7
LOOK: Final = 1024  # bytes within which the mark stands
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x00000100000001B3)
_SLASH, _BAR, _EQUALS, _BLANK, _TAB = 0x5C, 0x7C, 0x3D, 0x20, 0x09
_NS: Final = 1_000_000_000
_DAY: Final = 86_400 * _NS


def table(keys: list[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """(hashes, slots) by which the kernel looks keys up, whatever their letters' case."""
    size = 16
    while size < 4 * len(keys):
        size *= 2
    hashes, slots = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    for key, slot in keys:
        hashed = int(_SEED)
        for byte in key.lower().encode():
            hashed = ((hashed ^ byte) * int(_PRIME)) & ((1 << 64) - 1)
        at = hashed & (size - 1)
        while hashes[at]:
            at = (at + 1) & (size - 1)
        hashes[at], slots[at] = hashed, slot
    return hashes, slots


@njit(cache=True, nogil=True)
def _slot(data: np.ndarray, begin: int, end: int, hashes: np.ndarray, slots: np.ndarray) -> int:
    hashed = _SEED
    for at in range(begin, end):
        c = data[at]
        if 0x41 <= c <= 0x5A:
            c |= 0x20
        hashed = (hashed ^ np.uint64(c)) * _PRIME
    mask = np.uint64(hashes.shape[0] - 1)
    place = hashed & mask
    while hashes[place] != 0:
        if hashes[place] == hashed:
            return int(slots[place])
        place = (place + np.uint64(1)) & mask
    return -1


@njit(cache=True, nogil=True, inline="always")
def _of_key(c: int) -> bool:
    """Letters, digits, and the few marks that keys have."""
    return 0x61 <= c <= 0x7A or 0x41 <= c <= 0x5A or 0x30 <= c <= 0x39 or c in (0x5F, 0x2E, 0x2D)


@njit(cache=True, nogil=True)
def _token(data: np.ndarray, at: int, stop: int) -> int:
    while at < stop and data[at] != _BLANK:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _heading(
    data: np.ndarray, at: int, stop: int, row: int, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray
) -> None:
    """Time and host of a syslog message that ends at ``stop``."""
    if at < stop and data[at] == 0x3C:
        while at < stop and data[at] != 0x3E:
            at += 1
        at += 1
    if at + 2 < stop and 0x31 <= data[at] <= 0x39 and data[at + 1] == _BLANK:
        at += 2  # the version of RFC 5424
    while at < stop and data[at] == _BLANK:
        at += 1
    first = at
    if at < stop and 0x30 <= data[at] <= 0x39:
        at = _token(data, at, stop)
        if at + 9 <= stop and at - first == 10 and data[at + 3] == 0x3A:  # a blank between date and time
            at = _token(data, at + 1, stop)
    elif at + 14 < stop and (0x41 <= data[at] <= 0x5A) and data[at + 3] == _BLANK:
        for _ in range(3):
            at = _token(data, at, stop)
            while at < stop and data[at] == _BLANK:
                at += 1
            if at < stop and data[at + 2] == 0x3A and data[at + 5] == 0x3A:
                break
        at = _token(data, at, stop)
    else:
        return
    last = at
    if last > first and data[last - 1] == 0x3A:
        last -= 1
    begins[row, WHEN], ends[row, WHEN], kinds[row, WHEN] = first, last, TEXT
    while at < stop and data[at] == _BLANK:
        at += 1
    end = _token(data, at, stop)
    if end > at and data[end - 1] != 0x3A and end < stop and not (end == at + 1 and data[at] == 0x2D):
        begins[row, WHO], ends[row, WHO], kinds[row, WHO] = at, end, TEXT


@njit(cache=True, nogil=True)
def _digit(c: int) -> int:
    if 0x30 <= c <= 0x39:
        return c - 0x30
    return (c & 0xDF) - 0x37 if 0x41 <= c & 0xDF <= 0x46 else -1


@njit(cache=True, nogil=True)
def cut(
    data: np.ndarray,
    lines: np.ndarray,
    stops: np.ndarray,
    states: np.ndarray,
    hashes: np.ndarray,
    slots: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
) -> None:
    """Fields of lines, as ``logs.scan`` writes them; the last slot is present in LEEF. Lines with neither become
    ``NO_PAYLOAD``, those with too few bars ``UNFIT``."""
    leef_slot = kinds.shape[1] - 1
    for row in range(lines.shape[0]):
        if states[row] != GOOD:
            continue
        line, end = int(lines[row]), int(stops[row])
        mark, leef = -1, False
        for at in range(line + 3, min(end - 1, line + LOOK)):
            if (
                data[at] == 0x3A
                and data[at - 1] == 0x46
                and data[at - 2] == 0x45
                and 0x30 <= data[at + 1] <= 0x39
            ):  # "EF:" and a digit
                if data[at - 3] == 0x43:
                    mark, leef = at - 3, False
                elif data[at - 3] == 0x45 and at - 4 >= line and data[at - 4] == 0x4C:
                    mark, leef = at - 4, True
                if mark >= 0 and (mark == line or not _of_key(data[mark - 1])):
                    break
                mark = -1
        if mark < 0:
            states[row] = NO_PAYLOAD
            continue
        _heading(data, line, mark, row, begins, ends, kinds)
        at = mark + (5 if leef else 4)
        two = leef and data[at] == 0x32
        fields = 5 if leef else 7
        k, first, escaped = 0, at, False
        while at < end:  # the fields behind bars
            c = data[at]
            if c == _SLASH:
                escaped = True
                at += 2
                continue
            if c == _BAR:
                slot = -1
                if k == 1:
                    slot = VENDOR
                elif k == 2:
                    slot = PRODUCT
                elif k == 4:
                    slot = RULE
                elif k == 5:
                    slot = TITLE
                elif k == 6:
                    slot = SEVERITY
                if slot >= 0:
                    begins[row, slot], ends[row, slot] = first, at
                    kinds[row, slot] = ESCAPED if escaped else TEXT
                k, first, escaped = k + 1, at + 1, False
                if k == fields:
                    break
            at += 1
        if k < fields:
            bare = not leef and k == 6 and at >= end  # no extension, and no bar before it
            if bare:
                begins[row, SEVERITY], ends[row, SEVERITY], kinds[row, SEVERITY] = first, end, TEXT
            else:
                states[row] = UNFIT
                for slot in range(kinds.shape[1]):
                    kinds[row, slot] = ABSENT
                continue
        at = min(at + 1, end)
        if leef:
            kinds[row, leef_slot], begins[row, leef_slot], ends[row, leef_slot] = TEXT, mark, mark + 4
        delimiter = _TAB
        if two:  # the delimiter behind the fifth bar
            bar = at
            while bar < end and bar < at + 8 and data[bar] != _BAR:
                bar += 1
            size = bar - at
            if bar < end and data[bar] == _BAR and size < 7:
                digits = at
                if size > 2 and data[at] == 0x30 and data[at + 1] | 0x20 == 0x78:
                    digits = at + 2
                elif size > 1 and data[at] | 0x20 == 0x78:
                    digits = at + 1
                if digits > at:
                    value = 0
                    for place in range(digits, bar):
                        digit = _digit(int(data[place]))
                        value = 16 * value + digit if digit >= 0 else 1 << 20
                    delimiter = value if 0 < value < 256 else _TAB
                elif size == 1:
                    delimiter = int(data[at])
                elif size == 2 and data[at] == _SLASH and data[at + 1] == 0x74:
                    delimiter = _TAB
                at = bar + 1
        if leef:
            parted = False
            for place in range(at, end):
                if data[place] == delimiter:
                    parted = True
                    break
            if parted or delimiter != _TAB:
                while at < end:
                    stop = at
                    while stop < end and data[stop] != delimiter:
                        stop += 1
                    equals = at
                    while equals < stop and data[equals] != _EQUALS:
                        equals += 1
                    begin = at
                    while begin < equals and data[begin] == _BLANK:
                        begin += 1
                    if equals < stop:
                        slot = _slot(data, begin, equals, hashes, slots)
                        if slot >= 0 and kinds[row, slot] == ABSENT:
                            begins[row, slot], ends[row, slot], kinds[row, slot] = equals + 1, stop, TEXT
                    at = stop + 1
                continue
        # key=value with blanks between
        key = value = -1
        key_end = 0
        blank, whole, escaped, later = at - 1, True, False, False
        place = at
        while place <= end:
            c = data[place] if place < end else 0
            if place < end and c == _SLASH:
                later = True
                whole = False
                place += 2
                continue
            if place >= end or (c == _EQUALS and whole and place > blank + 1):
                if value >= 0:
                    slot = _slot(data, key, key_end, hashes, slots)
                    finish = end if place >= end else max(blank, value)
                    if slot >= 0 and kinds[row, slot] == ABSENT:
                        begins[row, slot], ends[row, slot] = value, finish
                        kinds[row, slot] = ESCAPED if escaped or later else TEXT
                if place >= end:
                    break
                key, key_end, value = blank + 1, place, place + 1
                blank, whole, escaped, later = place, False, False, False
                place += 1
                continue
            if c in (_BLANK, _TAB):
                blank, whole = place, True
            elif not _of_key(c):
                whole = False
            if c == _BLANK and later:
                escaped, later = True, False
            place += 1


@njit(cache=True, nogil=True)
def _undated(data: np.ndarray, at: int, end: int, months: np.ndarray, reference: int) -> int:
    """ns of ``Mar  1 08:00:00``: in the year that puts it nearest before the reference, a day after it at the most."""
    if end - at < 14:
        return NO_TIME
    month = -1
    for n in range(12):
        if (
            data[at] | 0x20 == months[3 * n]
            and data[at + 1] | 0x20 == months[3 * n + 1]
            and data[at + 2] | 0x20 == months[3 * n + 2]
        ):
            month = n + 1
    at += 3
    while at < end and data[at] == _BLANK:
        at += 1
    day, digits = 0, 0
    while at < end and 0x30 <= data[at] <= 0x39 and digits < 2:
        day = 10 * day + int(data[at]) - 0x30
        at, digits = at + 1, digits + 1
    while at < end and data[at] == _BLANK:
        at += 1
    if month < 0 or not 1 <= day <= 31 or end - at < 8 or data[at + 2] != 0x3A or data[at + 5] != 0x3A:
        return NO_TIME
    parts = np.zeros(3, np.int64)
    for n in range(3):
        tens, ones = int(data[at + 3 * n]) - 0x30, int(data[at + 3 * n + 1]) - 0x30
        if not (0 <= tens <= 9 and 0 <= ones <= 9):
            return NO_TIME
        parts[n] = 10 * tens + ones
    if parts[0] > 23 or parts[1] > 59 or parts[2] > 60:
        return NO_TIME
    at += 8
    fraction, scale = 0, _NS
    if at < end and (data[at] == 0x2E or data[at] == 0x2C):
        at += 1
        while at < end and 0x30 <= data[at] <= 0x39:
            if scale > 1:
                scale //= 10
                fraction += (int(data[at]) - 0x30) * scale
            at += 1
    if at != end:
        return NO_TIME
    within = (parts[0] * 3600 + parts[1] * 60 + parts[2]) * _NS + fraction
    year = 1970 + reference // (31_556_952 * _NS) + 1
    for _ in range(9):  # 29 February may be years ago
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        longest = 31 - (month in (4, 6, 9, 11)) - (month == 2) * (2 if leap else 3)
        if day <= longest:
            shifted = year - (month <= 2)
            era = shifted // 400
            of_era = shifted - era * 400
            of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
            days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
            found = days * _DAY + within
            if found <= reference + _DAY:
                return int(found)
        year -= 1
    return NO_TIME


@njit(cache=True, nogil=True)
def times(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    order: np.ndarray,
    plans: np.ndarray,
    sizes: np.ndarray,
    months: np.ndarray,
    reference: int,
) -> np.ndarray:
    """int64 ns: the first of the slots of ``order`` that holds a time of one of the plans; ``NO_TIME`` where there is
    none. ``plans[k, :sizes[k]]``: of ``logs.clock``."""
    found = np.full(begins.shape[0], NO_TIME, np.int64)
    for row in range(begins.shape[0]):
        for slot in order:
            if kinds[row, slot] == ABSENT:
                continue
            begin, end = np.int64(begins[row, slot]), np.int64(ends[row, slot])
            while end > begin and data[end - 1] == _BLANK:
                end -= 1
            ts = np.int64(NO_TIME)
            for k in range(plans.shape[0]):
                ts = np.int64(clock(data, begin, end, plans[k, : sizes[k]]))
                if ts != NO_TIME:
                    break
            if ts == NO_TIME:
                ts = np.int64(_undated(data, begin, end, months, reference))
            if ts != NO_TIME:
                found[row] = ts
                break
    return found
