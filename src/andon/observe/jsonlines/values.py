"""Places of values to columns: strings, numbers, times, addresses, codes of known words.

Everything here takes the buffer (uint8) and three arrays of one column: where values begin and end (int32), and what
they are (uint8, ``kernel``). Kernels read bytes once; strings become Arrow arrays without a Python object each. Only
strings with escapes or with bytes that are no UTF-8 take the slow way through ``json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.observe.jsonlines.kernel import ABSENT, ESCAPED, NUMBER, TEXT, WORD

NO_TIME: Final = np.iinfo(np.int64).min
_NS: Final = 1_000_000_000
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x00000100000001B3)


@njit(cache=True, nogil=True)
def last_newline(data: np.ndarray, stop: int) -> int:
    """Place of the last newline before ``stop``, or -1."""
    at = stop - 1
    while at >= 0 and data[at] != 0x0A:
        at -= 1
    return at


@njit(cache=True, nogil=True)
def first_newline(data: np.ndarray, stop: int) -> int:
    """Place of the first newline before ``stop``, or ``stop``."""
    at = 0
    while at < stop and data[at] != 0x0A:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _gather(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    offsets: np.ndarray,
    out: np.ndarray,
) -> bool:
    """Copy values behind one another; True if every byte is ASCII."""
    high = np.uint8(0)
    at = 0
    for row in range(len(begins)):
        offsets[row] = at
        if kinds[row] != ABSENT:
            size = ends[row] - begins[row]
            here, there = data[begins[row] : ends[row]], out[at : at + size]
            for k in range(size):  # of slices, so that it becomes vector code
                there[k] = here[k]
                high |= here[k]
            at += size
    offsets[len(begins)] = at
    return bool(high < 0x80)


def texts(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray) -> pa.StringArray:
    """See ``Block.text``."""
    present = kinds != ABSENT
    word = kinds == WORD
    if word.any():  # null is no text
        nulls = word & (ends - begins == 4) & (data[np.where(word, begins, 0)] == 0x6E)
        present = present & ~nulls
        kinds = np.where(nulls, ABSENT, kinds)
    size = int(np.sum((ends.astype(np.int64) - begins)[present]))
    offsets, out = np.empty(len(begins) + 1, np.int32), np.empty(size, np.uint8)
    plain = _gather(data, begins, ends, kinds, offsets, out)
    mask = None if present.all() else pa.array(present).buffers()[1]
    buffers = [mask, pa.py_buffer(offsets), pa.py_buffer(out)]
    made = pa.StringArray.from_buffers(len(begins), buffers[1], buffers[2], mask)
    odd = kinds == ESCAPED
    if not plain and not _is_utf8(out):
        odd = odd | present
    return _with(made, np.flatnonzero(odd), data, begins, ends, kinds) if odd.any() else made


def _is_utf8(out: np.ndarray) -> bool:
    try:
        out.tobytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def _with(
    made: pa.StringArray,
    rows: np.ndarray,
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
) -> pa.StringArray:
    """The array with these rows read one by one."""
    fixed = []
    for row in rows.tolist():
        text = data[begins[row] : ends[row]].tobytes().decode("utf-8", "replace")
        fixed.append(_unescaped(text) if kinds[row] == ESCAPED else text)
    mask = np.zeros(len(made), np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(made, pa.array(mask), pa.array(fixed, pa.string()))


def _unescaped(text: str) -> str:
    """A string without its quotes, escapes undone; half of a surrogate pair becomes U+FFFD, and an escape that is none
    leaves the text as it is."""
    try:
        made = json.loads(f'"{text}"', strict=False)
    except ValueError:
        return text
    return str(made).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@njit(cache=True, nogil=True)
def integers(
    data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray, missing: int
) -> np.ndarray:
    """See ``Block.integers``."""
    found = np.full(len(begins), missing, np.int64)
    for row in range(len(begins)):
        if kinds[row] == NUMBER or kinds[row] == TEXT:
            at, end = begins[row], ends[row]
            negative = at < end and data[at] == 0x2D
            if negative:
                at += 1
            if at == end or end - at > 18:
                continue
            value = 0
            while at < end and 0x30 <= data[at] <= 0x39:
                value = 10 * value + (int(data[at]) - 0x30)
                at += 1
            if at == end:
                found[row] = -value if negative else value
    return found


def numbers(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """See ``Block.numbers``."""
    wanted = np.where((kinds == NUMBER) | (kinds == TEXT), kinds, ABSENT)
    column = texts(data, begins, ends, wanted)
    try:
        return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:  # one that is none spoils the column: one by one
        return np.array([_number(text) for text in column.to_pylist()], np.float64)


def _number(text: str | None) -> float:
    try:
        return float(text) if text is not None else np.nan
    except ValueError:
        return np.nan


@njit(cache=True, nogil=True)
def _digits(data: np.ndarray, at: int, count: int) -> int:
    """The number of ``count`` digits at a place, or -1."""
    value = 0
    for k in range(count):
        c = data[at + k]
        if c < 0x30 or c > 0x39:
            return -1
        value = 10 * value + (int(c) - 0x30)
    return value


@njit(cache=True, nogil=True)
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms")."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@njit(cache=True, nogil=True)
def _iso(data: np.ndarray, at: int, end: int) -> int:
    if end - at < 19:
        return NO_TIME
    year, month, day = _digits(data, at, 4), _digits(data, at + 5, 2), _digits(data, at + 8, 2)
    hour, minute, second = _digits(data, at + 11, 2), _digits(data, at + 14, 2), _digits(data, at + 17, 2)
    dashes = (data[at + 4] == 0x2D and data[at + 7] == 0x2D) or (
        data[at + 4] == 0x2F and data[at + 7] == 0x2F
    )
    between = data[at + 10] == 0x54 or data[at + 10] == 0x20 or data[at + 10] == 0x74
    colons = data[at + 13] == 0x3A and data[at + 16] == 0x3A
    if not (dashes and between and colons) or min(year, month, day, hour, minute, second) < 0:
        return NO_TIME
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 31 - (month in (4, 6, 9, 11)) - (month == 2) * (2 if leap else 3)
    if not 1678 <= year <= 2261 or not 1 <= month <= 12 or not 1 <= day <= longest:
        return NO_TIME
    if hour > 23 or minute > 59 or second > 60:
        return NO_TIME
    at += 19
    fraction, scale = 0, _NS
    if at < end and (data[at] == 0x2E or data[at] == 0x2C):
        at += 1
        first = at
        while at < end and 0x30 <= data[at] <= 0x39:
            if scale > 1:
                fraction = 10 * fraction + (int(data[at]) - 0x30)
                scale //= 10
            at += 1
        if at == first:
            return NO_TIME
    offset = 0
    if at < end and (data[at] == 0x5A or data[at] == 0x7A):
        at += 1
    elif at + 3 <= end and (data[at] == 0x2B or data[at] == 0x2D):
        sign = -1 if data[at] == 0x2D else 1
        hours = _digits(data, at + 1, 2)
        at += 3
        if at < end and data[at] == 0x3A:
            at += 1
        minutes = 0
        if at + 2 <= end:
            minutes = _digits(data, at, 2)
            at += 2
        if hours < 0 or minutes < 0:
            return NO_TIME
        offset = sign * (60 * hours + minutes) * 60
    if at != end:
        return NO_TIME
    seconds = _days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
    return int(seconds * _NS + fraction * scale)


@njit(cache=True, nogil=True)
def _epoch(data: np.ndarray, at: int, end: int) -> int:
    whole, digits = 0, 0
    while at < end and 0x30 <= data[at] <= 0x39 and digits < 19:
        whole = 10 * whole + (int(data[at]) - 0x30)
        digits += 1
        at += 1
    if digits == 0 or digits > 13:
        return NO_TIME
    unit = 1_000_000 if whole > 100_000_000_000 else _NS
    value, scale = whole * unit, unit
    if at < end and data[at] == 0x2E:
        at += 1
        while at < end and 0x30 <= data[at] <= 0x39:
            if scale > 1:
                scale //= 10
                value += (int(data[at]) - 0x30) * scale
            at += 1
    return int(value if at == end and whole < 9_000_000_000 * (_NS // unit) else NO_TIME)


@njit(cache=True, nogil=True)
def times(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """See ``Block.times``."""
    found = np.full(len(begins), NO_TIME, np.int64)
    for row in range(len(begins)):
        if kinds[row] == TEXT:
            found[row] = _iso(data, begins[row], ends[row])
            if found[row] == NO_TIME:
                found[row] = _epoch(data, begins[row], ends[row])
        elif kinds[row] == NUMBER:
            found[row] = _epoch(data, begins[row], ends[row])
    return found


@njit(cache=True, nogil=True)
def addresses(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """See ``Block.addresses``."""
    found = np.full(len(begins), -1, np.int64)
    for row in range(len(begins)):
        if kinds[row] != TEXT:
            continue
        at, end = begins[row], ends[row]
        if end - at > 7 and data[at] == 0x3A and data[at + 1] == 0x3A and data[at + 6] == 0x3A:
            mapped = True
            for k in range(2, 6):
                mapped &= data[at + k] | 0x20 == 0x66
            if mapped:
                at += 7
        value, parts, part, digits = 0, 0, 0, 0
        good = end - at <= 15
        while good and at <= end:
            c = data[at] if at < end else 0x2E
            if 0x30 <= c <= 0x39 and digits < 3:
                part = 10 * part + (int(c) - 0x30)
                digits += 1
            elif c == 0x2E and digits > 0 and part < 256:
                value = (value << 8) | part
                parts, part, digits = parts + 1, 0, 0
            else:
                good = False
            at += 1
        if good and parts == 4:
            found[row] = value
    return found


@njit(cache=True, nogil=True)
def hashes(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """See ``Block.hashes``: FNV-1a, and a last mixing so that all bits depend on all."""
    found = np.zeros(len(begins), np.uint64)
    for row in range(len(begins)):
        if kinds[row] != ABSENT:
            hashed = _SEED
            for place in range(begins[row], ends[row]):
                hashed = (hashed ^ np.uint64(data[place])) * _PRIME
            found[row] = (hashed ^ (hashed >> np.uint64(32))) * _PRIME
    return found


class Words:
    """Known words that a column is compared with, by number in the order given."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        coded = [word.encode() for word in words]
        size = 16
        while size < 4 * len(coded):
            size *= 2
        self.table = np.full(size, -1, np.int64)
        self.offsets = np.cumsum([0, *map(len, coded)]).astype(np.int64)
        self.letters = np.frombuffer(b"".join(coded) or b"\0", np.uint8)
        for number, word in enumerate(coded):
            hashed = int(_SEED)
            for byte in word:
                hashed = ((hashed ^ byte) * int(_PRIME)) & ((1 << 64) - 1)
            at = hashed & (size - 1)
            while self.table[at] >= 0:
                at = (at + 1) & (size - 1)
            self.table[at] = number


def codes(
    data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray, words: Words
) -> np.ndarray:
    """See ``Block.codes``."""
    found: np.ndarray = _codes(data, begins, ends, kinds, words.table, words.offsets, words.letters)
    return found


@njit(cache=True, nogil=True)
def _codes(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    table: np.ndarray,
    offsets: np.ndarray,
    letters: np.ndarray,
) -> np.ndarray:
    found = np.full(len(begins), -1, np.int64)
    mask = np.uint64(len(table) - 1)
    for row in range(len(begins)):
        if kinds[row] != TEXT:
            continue
        begin, length = begins[row], ends[row] - begins[row]
        hashed = _SEED
        for k in range(length):
            hashed = (hashed ^ np.uint64(data[begin + k])) * _PRIME
        at = hashed & mask
        while table[at] >= 0:
            word = table[at]
            same = offsets[word + 1] - offsets[word] == length
            k = 0
            while same and k < length:
                same = data[begin + k] == letters[offsets[word] + k]
                k += 1
            if same:
                found[row] = word
                break
            at = (at + np.uint64(1)) & mask
    return found


def true(data: np.ndarray, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """See ``Block.true``."""
    written = (kinds == WORD) | (kinds == TEXT)
    first = data[np.where(written, begins, 0)]
    return np.asarray(written & (ends - begins == 4) & (first | 0x20 == 0x74))
