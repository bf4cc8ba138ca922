"""Times of logs as they are written, by a format that is known only when the log is read.

A format (``strftime``'s, or "epoch" and its like) becomes a plan, rows of (what, detail), and one compiled reader runs
any plan over the bytes of a value. Nothing here depends on the locale or the time zone of the machine: names of months
are English, as they are in logs, and a time without an offset is taken to be UTC or of the zone that the plan was made
for. The calendar is the proleptic Gregorian one (Hinnant, "chrono-compatible low-level date algorithms").
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numba import njit

NO_TIME: Final = np.iinfo(np.int64).min
_NS: Final = 1_000_000_000
# What a row of a plan stands for.
_ZONE_OF_PLAN, _BYTE, _EPOCH, _YEAR, _SHORT_YEAR, _MONTH, _MONTH_NAME, _DAY = 0, 1, 2, 3, 4, 5, 6, 7
_HOUR, _HALF, _MINUTE, _SECOND, _FRACTION, _ZONE, _LETTERS, _NOON = 8, 9, 10, 11, 12, 13, 14, 15
_YEARDAY, _BETWEEN = 16, 17
_WHAT: Final = {
    "Y": _YEAR, "y": _SHORT_YEAR, "m": _MONTH, "b": _MONTH_NAME, "h": _MONTH_NAME, "B": _MONTH_NAME, "d": _DAY,
    "e": _DAY, "H": _HOUR, "k": _HOUR, "I": _HALF, "l": _HALF, "M": _MINUTE, "S": _SECOND, "f": _FRACTION, "z": _ZONE,
    "a": _LETTERS, "A": _LETTERS, "Z": _ZONE, "p": _NOON, "j": _YEARDAY, "s": _EPOCH,
}  # fmt: skip
_WHOLE: Final = {"D": "%m/%d/%y", "F": "%Y-%m-%d", "R": "%H:%M", "T": "%H:%M:%S", "c": "%a %b %e %H:%M:%S %Y"}
# ns in a unit of "epoch" and its like; 0: seconds, or milliseconds where the number is above 10^11.
_EPOCHS: Final = {"epoch": 0, "epoch_s": _NS, "epoch_ms": 1_000_000, "epoch_us": 1000, "epoch_ns": 1}
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)")


def plan(written: str, zone: str = "+00:00") -> np.ndarray:
    """The plan of a format: "iso" (ISO 8601, a blank for the ``T`` allowed), "epoch" (seconds, with a fraction or
    without; milliseconds above 10^11), "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", or one of ``strftime``, where
    ``%f`` is a fraction that may be missing with its point, and ``%z`` ``Z``, an offset, a name of UTC, or nothing.
    ``zone``: offset of times that do not say theirs. Raises ValueError.

    >>> times(b"1/Feb/2026:03:04:05 +0900", "%d/%b/%Y:%H:%M:%S %z")
    1769882645000000000
    """
    offset = _OFFSET.fullmatch(zone)
    if offset is None:
        raise ValueError(f"zone {zone!r} is not of the form +09:00")
    seconds = int(offset[1] + "1") * (int(offset[2]) * 3600 + int(offset[3]) * 60)
    rows = [(_ZONE_OF_PLAN, seconds)]
    if written in _EPOCHS:
        rows.append((_EPOCH, _EPOCHS[written]))
    elif written == "iso":
        rows += [*_rows("%Y-%m-%d"), (_BETWEEN, 0), *_rows("%H:%M:%S%f%z")]
    else:
        rows += _rows(written)
    return np.array(rows, np.int64)


def _rows(written: str) -> list[tuple[int, int]]:
    rows: list[tuple[int, int]] = []
    at = 0
    while at < len(written):
        letter = written[at]
        at += 1
        if letter != "%":
            rows += [(_BYTE, byte) for byte in letter.encode()]
            continue
        letter = written[at : at + 1]
        at += 1
        if letter in ("-", "_", "0", "^", "E", "O"):  # widths and letter cases are read anyway
            letter = written[at : at + 1]
            at += 1
        if letter in _WHOLE:
            rows += _rows(_WHOLE[letter])
        elif letter in ("%", "n", "t"):
            rows.append((_BYTE, ord({"%": "%", "n": "\n", "t": "\t"}[letter])))
        elif letter in _WHAT:
            rows.append((_WHAT[letter], 0))
        else:
            raise ValueError(f"time format {written!r}: %{letter} is not known")
    if not rows:
        raise ValueError("a time format is empty")
    return rows


def blanks(written: str) -> int:
    """Blanks inside a time of this format."""
    if written in _EPOCHS or written == "iso":
        return 0
    return sum(1 for what, detail in _rows(written.strip()) if what == _BYTE and detail == 0x20)


def times(text: bytes, written: str, zone: str = "+00:00") -> int:
    """ns since 1970 of one time; ``NO_TIME`` if it is none of this format."""
    data = np.frombuffer(text + bytes(16), np.uint8).copy()
    return int(clock(data, 0, len(text), plan(written, zone)))


@njit(cache=True, nogil=True)
def clock(data: np.ndarray, at: int, end: int, plan: np.ndarray) -> int:
    """ns since 1970 UTC of the time at a place; ``NO_TIME`` if the plan does not fit it. Of a plan without a date: ns
    since midnight (so that a date and a time of day that are written apart can be added)."""
    year, month, day, yearday = 1970, 1, 1, 0
    hour, minute, second, half = 0, 0, 0, -1
    fraction, offset = 0, int(plan[0, 1])
    for row in range(1, plan.shape[0]):
        what, detail = plan[row, 0], plan[row, 1]
        if what == _BYTE:
            if at >= end or data[at] != detail:
                return NO_TIME
            at += 1
            continue
        if what == _BETWEEN:
            if at >= end or (data[at] | 0x20 != 0x74 and data[at] != 0x20 and data[at] != 0x5F):
                return NO_TIME
            at += 1
            continue
        if what == _EPOCH:
            return int(_epoch(data, at, end, detail))
        if what == _FRACTION:
            if at < end and (data[at] == 0x2E or data[at] == 0x2C):
                at += 1
            scale = _NS
            while at < end and 0x30 <= data[at] <= 0x39:
                if scale > 1:
                    scale //= 10
                    fraction += (int(data[at]) - 0x30) * scale
                at += 1
            continue
        if what == _ZONE:
            found, at = _zone(data, at, end)
            if found == NO_TIME:
                return NO_TIME
            if found != NO_TIME + 1:
                offset = found
            continue
        if what == _LETTERS:
            while at < end and 0x41 <= data[at] & 0xDF <= 0x5A:
                at += 1
            continue
        if what == _NOON:
            if at + 2 > end or data[at + 1] & 0xDF != 0x4D:
                return NO_TIME
            half = 12 if data[at] & 0xDF == 0x50 else 0
            at += 2
            continue
        if what == _MONTH_NAME:
            if at + 3 > end:
                return NO_TIME
            month = _month(data[at] & 0xDF, data[at + 1] & 0xDF, data[at + 2] & 0xDF)
            if month == 0:
                return NO_TIME
            while at < end and 0x41 <= data[at] & 0xDF <= 0x5A:
                at += 1
            continue
        most = 4 if what == _YEAR else 3 if what == _YEARDAY else 2
        if what in (_DAY, _HOUR, _HALF) and at < end and data[at] == 0x20:  # padded with a blank
            at += 1
        value, digits = 0, 0
        while at < end and digits < most and 0x30 <= data[at] <= 0x39:
            value = 10 * value + (int(data[at]) - 0x30)
            digits += 1
            at += 1
        if digits == 0:
            return NO_TIME
        if what == _YEAR:
            year = value
        elif what == _SHORT_YEAR:
            year = value + (2000 if value < 69 else 1900)
        elif what == _MONTH:
            month = value
        elif what == _DAY:
            day = value
        elif what in (_HOUR, _HALF):
            hour = value
        elif what == _MINUTE:
            minute = value
        elif what == _SECOND:
            second = value
        else:
            yearday = value
    if at != end:
        return NO_TIME
    if half >= 0:
        hour = hour % 12 + half
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 31 - (month in (4, 6, 9, 11)) - (month == 2) * (2 if leap else 3)
    if not 1678 <= year <= 2261 or not 1 <= month <= 12 or not 1 <= day <= longest:
        return NO_TIME
    if hour > 23 or minute > 59 or second > 60 or yearday > 366:
        return NO_TIME
    days = _days(year, month, day) + max(yearday - 1, 0)
    return int((days * 86_400 + hour * 3600 + minute * 60 + second - offset) * _NS + fraction)


@njit(cache=True, nogil=True)
def _epoch(data: np.ndarray, at: int, end: int, unit: int) -> int:
    whole, digits = 0, 0
    while at < end and 0x30 <= data[at] <= 0x39 and digits < 19:
        whole = 10 * whole + (int(data[at]) - 0x30)
        digits += 1
        at += 1
    if digits == 0 or (digits > 18 and unit != 1):
        return NO_TIME
    if unit == 0:
        unit = 1_000_000 if whole > 100_000_000_000 else _NS
    if whole < 0 or whole > 9_000_000_000_000_000_000 // unit:
        return NO_TIME
    value, scale = whole * unit, unit
    if at < end and data[at] == 0x2E:
        at += 1
        while at < end and 0x30 <= data[at] <= 0x39:
            if scale > 1:
                scale //= 10
                value += (int(data[at]) - 0x30) * scale
            at += 1
    return int(value if at == end else NO_TIME)


@njit(cache=True, nogil=True)
def _zone(data: np.ndarray, at: int, end: int) -> tuple[int, int]:
    """(offset in s, place behind it); ``NO_TIME`` + 1 where nothing is written, ``NO_TIME`` where nonsense is."""
    if at < end and data[at] == 0x20:
        at += 1
    if at == end or (data[at] != 0x2B and data[at] != 0x2D and data[at] & 0xDF < 0x41):
        return NO_TIME + 1, at
    if data[at] == 0x2B or data[at] == 0x2D:
        sign = -1 if data[at] == 0x2D else 1
        at += 1
        value, digits = 0, 0
        while at < end and digits < 4 and (0x30 <= data[at] <= 0x39 or (data[at] == 0x3A and digits == 2)):
            if data[at] != 0x3A:
                value = 10 * value + (int(data[at]) - 0x30)
                digits += 1
            at += 1
        if digits == 2:
            value *= 100
        elif digits != 4:
            return NO_TIME, at
        return sign * (value // 100 * 3600 + value % 100 * 60), at
    first = data[at] & 0xDF
    size = 0
    while at + size < end and 0x41 <= data[at + size] & 0xDF <= 0x5A:
        size += 1
    utc = (size == 1 and first == 0x5A) or (size == 3 and first in (0x55, 0x47))  # Z, UTC, GMT
    return (0 if utc else NO_TIME), at + size


@njit(cache=True, nogil=True)
def _month(a: int, b: int, c: int) -> int:
    """Number of the month whose English name begins with these capitals; 0 if there is none."""
    names = b"JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
    for month in range(12):
        if names[3 * month] == a and names[3 * month + 1] == b and names[3 * month + 2] == c:
            return month + 1
    return 0


@njit(cache=True, nogil=True)
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
