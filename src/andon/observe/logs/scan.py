"""Lines of text to the places of their fields: the compiled passes over the bytes of a log.

A block of lines is cut into lines (``split``), then each line into fields, by one of three grammars: the plan of a
``logformat`` (``tokens``), fields behind a separator (``fields``), or ``key=value`` (``pairs``). All write the same
thing, which ``contacts`` and ``flows`` read: for each line and each *slot* (a meaning: the client, the URL) where its
value begins and ends, and whether it has escapes (``kinds``, all ``ABSENT`` before). ``unescape`` undoes those where
they lie: a text never grows by it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from andon.observe.jsonlines.kernel import ABSENT, ESCAPED, TEXT, _load64

# What a line is.
GOOD, BLANK, COMMENT, DIRECTIVE, LONG, UNFIT = 0, 1, 2, 3, 4, 5
# How a value is written down.
PLAIN, BACKSLASH, PERCENT, JSON, DOUBLED, SHELL = 0, 1, 2, 3, 4, 5
_FEEDS: Final = np.uint64(0x0A0A0A0A0A0A0A0A)
_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_TRIES: Final = 64  # places at which a field is tried to end
_SPACE, _TAB, _QUOTE, _SLASH, _HASH = 0x20, 0x09, 0x22, 0x5C, 0x23


@intrinsic
def _first(typing_context: Any, marks: Any) -> Any:
    """Number of the lowest byte that has a bit set."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.lshr(bits, ir.Constant(ir.IntType(64), 3))

    return types.int64(types.uint64), code


@njit(cache=True, nogil=True)
def split(
    data: np.ndarray, start: int, stop: int, longest: int, begins: np.ndarray, ends: np.ndarray, states: np.ndarray
) -> tuple[int, int]:  # fmt: skip
    """(lines found, place behind the last) of ``data[start:stop]``, of which the last byte is a line feed and sixteen
    may be read behind it. A line ends before its line feed and the carriage returns before that."""
    base = data.ctypes.data
    row, at = 0, start
    while at < stop and row < begins.shape[0]:
        begin = at
        while True:
            word = _load64(base + at) ^ _FEEDS
            marks = (word - _ONES) & ~word & _TOPS
            if marks:
                at += _first(marks)
                break
            at += 8
        end = at
        while end > begin and data[end - 1] == 0x0D:
            end -= 1
        begins[row], ends[row] = begin, end
        state = GOOD
        if end == begin:
            state = BLANK
        elif data[begin] == _HASH:
            named = end - begin > 5 and (
                (data[begin + 1] | 0x20 == 0x66 and data[begin + 2] | 0x20 == 0x69)  # "#Fi"
                or (data[begin + 1] | 0x20 == 0x64 and data[begin + 2] | 0x20 == 0x61)  # "#Da"
            )
            state = DIRECTIVE if named else COMMENT
        elif end - begin >= longest:
            state = LONG
        states[row] = state
        row += 1
        at += 1
    return row, at


@njit(cache=True, nogil=True, inline="always")
def _literal(data: np.ndarray, at: int, end: int, text: np.ndarray, first: int, last: int) -> int:
    """Place behind the literal ``text[first:last]``, in which a blank stands for any number of them; -1 if it is not
    there."""
    for k in range(first, last):
        if text[k] == _SPACE:
            if at >= end or data[at] != _SPACE:
                return -1
            while at < end and data[at] == _SPACE:
                at += 1
        elif at >= end or data[at] != text[k]:
            return -1
        else:
            at += 1
    return at


@njit(cache=True, nogil=True)
def tokens(
    data: np.ndarray,
    lines: np.ndarray,
    stops: np.ndarray,
    states: np.ndarray,
    text: np.ndarray,
    offsets: np.ndarray,
    steps: np.ndarray,
    tail: bool,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
) -> None:
    """Fields of lines by the plan of a ``logformat``.

    ``text[offsets[k]:offsets[k + 1]]`` is what stands before field k, and at last behind all; ``steps[k]`` says of it:
    its slot (-1: not wanted), blanks inside of it, its width if nothing but that ends it, whether it is in quotes with
    escapes, how it is written, and whether it may hold anything (1: such a field ends farther on if the rest of the
    line does not fit) or is an address before a colon (2). ``tail``: more may follow in brackets (Squid's
    ``log_mime_hdrs``). Lines that do not fit become ``UNFIT``."""
    count = steps.shape[0]
    base = data.ctypes.data
    for row in range(lines.shape[0]):
        if states[row] != GOOD:
            continue
        line, end = int(lines[row]), int(stops[row])
        at = line
        while at < end and data[at] == _SPACE:
            at += 1
        k, tries = 0, 0
        again, again_at, begin = -1, line, line  # the last field that might end later than it did
        resumed = escaped = False
        while k <= count:
            fits = True
            if not resumed:
                at = _literal(data, at, end, text, offsets[k], offsets[k + 1])
                fits = at >= 0
                if fits and k == count:
                    while at < end and data[at] == _SPACE:
                        at += 1
                    fits = at >= end or (tail and data[at] == 0x5B)
                    if fits:
                        break
            if fits:
                slot, inner, width = steps[k, 0], steps[k, 1], steps[k, 2]
                quoted, written, loose = steps[k, 3] == 1, steps[k, 4], steps[k, 5] == 1
                first, last = offsets[k + 1], offsets[k + 2]
                if not resumed:
                    while at < end and data[at] == _SPACE:  # padded to its width
                        at += 1
                    begin, escaped = at, False
                if written == SHELL and at < end and data[at] == _QUOTE and not resumed:
                    begin = at = at + 1
                    while at < end and data[at] != _QUOTE:
                        if data[at] == _SLASH:
                            escaped = True
                            at += 1
                        at += 1
                    fits = bool(at < end)
                    finish = at
                    at += 1
                elif first == last:
                    at = end if width == 0 else min(end, at + width)
                    if tail and width == 0:
                        at = begin
                        while at < end and not (data[at] == _SPACE and data[at + 1] == 0x5B):
                            at += 1
                    finish = at
                else:
                    ending = text[first]
                    if inner == 0 and not quoted and (last == first + 1 or ending == _SPACE):
                        pattern = np.uint64(ending) * _ONES
                        while at < end:
                            word = _load64(base + at) ^ pattern
                            marks = (word - _ONES) & ~word & _TOPS
                            if marks:
                                at = min(at + _first(marks), end)
                                break
                            at += 8
                    while at < end:
                        c = data[at]
                        if c == ending:
                            if inner > 0 and c == _SPACE:
                                inner -= 1
                            elif last == first + 1 or _literal(data, at, end, text, first, last) >= 0:
                                break
                        elif c == _SLASH and quoted:
                            escaped = True
                            at += 1
                        at += 1
                    fits = bool(at < end)
                    if steps[k, 5] == 2:  # an address before its port: IPv6 has colons of its own
                        place, closing = at + 1, _SPACE
                        if offsets[k + 3] > offsets[k + 2]:
                            closing = text[offsets[k + 2]]
                        while place < end and data[place] != closing:
                            if data[place] == ending:
                                at = place
                            place += 1
                    finish = at
                    if ending != _SPACE and not loose and fits and steps[k, 1] == 0:
                        while finish > begin and data[finish - 1] == _SPACE:
                            finish -= 1
                        for place in range(begin, finish):
                            if data[place] == _SPACE:
                                fits = False
                                break
                if fits:
                    if loose and first != last:
                        again, again_at = k, at
                    while finish > begin and data[finish - 1] == _SPACE:
                        finish -= 1
                    if slot >= 0:
                        begins[row, slot], ends[row, slot] = begin, finish
                        kinds[row, slot] = ESCAPED if escaped or written == PERCENT else TEXT
                    resumed = False
                    k += 1
                    continue
            # Let the last field that may hold anything end at the next place where it can.
            if again < 0 or tries == _TRIES:
                at = -1
                break
            tries += 1
            k, at, resumed = again, again_at + 1, True
            slot = steps[k, 0]
            begin = int(begins[row, slot]) if slot >= 0 else again_at
            escaped = bool(slot >= 0 and kinds[row, slot] == ESCAPED)
            again = -1
        if at < 0:
            states[row] = UNFIT
            for slot in range(kinds.shape[1]):
                kinds[row, slot] = ABSENT


@njit(cache=True, nogil=True)
def fields(
    data: np.ndarray,
    lines: np.ndarray,
    stops: np.ndarray,
    states: np.ndarray,
    separator: int,
    slots: np.ndarray,
    least: int,
    most: int,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
) -> None:
    """Fields behind a separator; a blank stands for any number of blanks and tabs. A field may be in quotes (doubled
    inside), and, separated by blanks, in brackets. ``slots``: of each column, -1 if it is not wanted; a line has
    between ``least`` and ``most`` columns, or becomes ``UNFIT``."""
    for row in range(lines.shape[0]):
        if states[row] != GOOD:
            continue
        at, end = int(lines[row]), int(stops[row])
        column, fits = 0, True
        while True:
            if separator == _SPACE:
                while at < end and (data[at] == _SPACE or data[at] == _TAB):
                    at += 1
                if at >= end:
                    break
            begin, kind = at, TEXT
            if at < end and data[at] == _QUOTE:
                begin = at = at + 1
                while at < end:
                    if data[at] == _QUOTE:
                        if at + 1 < end and data[at + 1] == _QUOTE:
                            kind = ESCAPED
                            at += 1
                        else:
                            break
                    at += 1
                finish = min(at, end)
                fits = bool(fits and at < end)
                at += 1
                fits = bool(
                    fits
                    and (at >= end or data[at] == separator or (separator == _SPACE and data[at] == _TAB))
                )
            else:
                closing = separator == _SPACE and at < end and data[at] == 0x5B
                while at < end:
                    c = data[at]
                    if closing:
                        closing = c != 0x5D
                    elif c == separator or (separator == _SPACE and c == _TAB):
                        break
                    at += 1
                finish = at
            if column < slots.shape[0] and slots[column] >= 0:
                slot = slots[column]
                begins[row, slot], ends[row, slot], kinds[row, slot] = begin, finish, kind
            column += 1
            if at >= end:
                break
            if separator != _SPACE:
                at += 1  # a separator at the end has an empty field behind it
        if not fits or column < least or column > most:
            states[row] = UNFIT
            for slot in range(kinds.shape[1]):
                kinds[row, slot] = ABSENT


@njit(cache=True, nogil=True)
def pairs(
    data: np.ndarray,
    lines: np.ndarray,
    stops: np.ndarray,
    states: np.ndarray,
    separator: int,
    names: np.ndarray,
    offsets: np.ndarray,
    slots: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
) -> None:
    """``key=value`` behind a separator, values in quotes or not; what has no ``=`` is passed over (the heading of a
    syslog message). ``names[offsets[k]:offsets[k + 1]]`` is the k-th key wanted, for ``slots[k]``. A line with none of
    them becomes ``UNFIT``."""
    for row in range(lines.shape[0]):
        if states[row] != GOOD:
            continue
        at, end = int(lines[row]), int(stops[row])
        found = False
        while at < end:
            while at < end and (data[at] == separator or data[at] == _SPACE or data[at] == _TAB):
                at += 1
            key = at
            while at < end and data[at] != 0x3D and data[at] != separator:
                if separator != _SPACE and data[at] == _SPACE:
                    key = at + 1  # the last word before the sign is the key
                at += 1
            if at >= end or data[at] != 0x3D:
                continue
            size = at - key
            at += 1
            begin, kind = at, TEXT
            if at < end and data[at] == _QUOTE:
                begin = at = at + 1
                while at < end and data[at] != _QUOTE:
                    if data[at] == _SLASH:
                        kind = ESCAPED
                        at += 1
                    at += 1
                finish = min(at, end)
                at += 1
            else:
                while at < end and data[at] != separator:
                    at += 1
                finish = at
            for k in range(slots.shape[0]):
                if offsets[k + 1] - offsets[k] != size:
                    continue
                same = True
                for byte in range(size):
                    if data[key + byte] != names[offsets[k] + byte]:
                        same = False
                        break
                if same:
                    slot = slots[k]
                    begins[row, slot], ends[row, slot], kinds[row, slot] = begin, finish, kind
                    found = True
        if not found:
            states[row] = UNFIT


@njit(cache=True, nogil=True)
def _hex(data: np.ndarray, at: int, end: int, count: int) -> int:
    """The number of ``count`` hexadecimal digits at a place, or -1."""
    if at + count > end:
        return -1
    value = 0
    for k in range(count):
        c = int(data[at + k])
        if 0x30 <= c <= 0x39:
            digit = c - 0x30
        elif 0x41 <= c & 0xDF <= 0x46:
            digit = (c & 0xDF) - 0x37
        else:
            return -1
        value = 16 * value + digit
    return value


@njit(cache=True, nogil=True)
def _utf8(text: np.ndarray, size: int) -> bool:
    """Is it UTF-8 (RFC 3629)?"""
    at = 0
    while at < size:
        c = int(text[at])
        if c < 0x80:
            at += 1
            continue
        follow = 1 if 0xC2 <= c <= 0xDF else 2 if 0xE0 <= c <= 0xEF else 3 if 0xF0 <= c <= 0xF4 else 0
        if follow == 0 or at + follow >= size:
            return False
        second = int(text[at + 1])
        low = 0xA0 if c == 0xE0 else 0x90 if c == 0xF0 else 0x80
        high = 0x9F if c == 0xED else 0x8F if c == 0xF4 else 0xBF
        if second < low or second > high:
            return False
        for k in range(2, follow + 1):
            if text[at + k] & 0xC0 != 0x80:
                return False
        at += follow + 1
    return True


@njit(cache=True, nogil=True)
def unescape(data: np.ndarray, begin: int, end: int, written: int) -> int:
    """Undo the escapes of a value where it lies; its new end. A value that then would not be UTF-8 or hold a NUL stays
    as it is."""
    if written == PERCENT:
        at = begin
        while at < end and data[at] != 0x25:
            at += 1
        if at == end:
            return end
    made = np.empty(end - begin + 8, np.uint8)
    size, at = 0, begin
    while at < end:
        c = int(data[at])
        code = -1
        if written == PERCENT:
            if c == 0x25:
                code = _hex(data, at + 1, end, 2)
                at += 2 if code >= 0 else 0
        elif written == DOUBLED:
            if c == _QUOTE and at + 1 < end and data[at + 1] == _QUOTE:
                at += 1
        elif c == _SLASH and at + 1 < end:
            follows = int(data[at + 1])
            if written == JSON and follows == 0x75:
                point = _hex(data, at + 2, end, 4)
                if point >= 0:
                    at += 6
                    if 0xD800 <= point < 0xE000:
                        low = -1
                        if point < 0xDC00 and at + 1 < end and data[at] == _SLASH and data[at + 1] == 0x75:
                            low = _hex(data, at + 2, end, 4)
                        if 0xDC00 <= low < 0xE000:
                            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
                            at += 6
                        else:
                            point = 0xFFFD  # half of a pair
                    if point < 0x80:
                        made[size] = point
                        size += 1
                    elif point < 0x800:
                        made[size], made[size + 1] = 0xC0 | point >> 6, 0x80 | point & 0x3F
                        size += 2
                    elif point < 0x10000:
                        made[size], made[size + 1] = 0xE0 | point >> 12, 0x80 | point >> 6 & 0x3F
                        made[size + 2] = 0x80 | point & 0x3F
                        size += 3
                    else:
                        made[size], made[size + 1] = 0xF0 | point >> 18, 0x80 | point >> 12 & 0x3F
                        made[size + 2], made[size + 3] = 0x80 | point >> 6 & 0x3F, 0x80 | point & 0x3F
                        size += 4
                    continue
            elif follows == 0x78 and written != JSON:
                code = _hex(data, at + 2, end, 2)
                at += 3 if code >= 0 else 0
            if code < 0:
                at += 1
                if follows == 0x6E:
                    code = 0x0A
                elif follows == 0x74:
                    code = 0x09
                elif follows == 0x72:
                    code = 0x0D
                elif written == JSON and follows == 0x62:
                    code = 0x08
                elif written == JSON and follows == 0x66:
                    code = 0x0C
                else:
                    code = follows
        made[size] = c if code < 0 else code
        size += 1
        at += 1
    if not _utf8(made, size):
        return end
    for k in range(size):
        if made[k] == 0:
            return end
    for k in range(size):
        data[begin + k] = made[k]
    return begin + size
