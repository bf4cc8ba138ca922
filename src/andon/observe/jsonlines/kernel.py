"""JSON lines to the places of wanted values, in one compiled pass over the bytes.

Logs in JSON lines carry many more members than anybody wants. So no document is built: a scanner walks each line once,
descends only into objects on the way to a wanted member, and notes where each wanted value lies and what it is. What
is skipped is skipped eight bytes at a time (the test for "a quote, a backslash or a control character among eight
bytes" is the word-parallel one of Mycroft, 1987; Knuth, TAOCP 4A, 7.1.3).

The grammar is RFC 8259 as far as structure goes: quotes, nesting and separators are checked everywhere; the spelling of
numbers and escapes is checked only in values that are wanted, by whoever reads them. A line that breaks the grammar
is refused with a reason and costs nothing but itself. Accepted beyond the grammar, because logs in the wild are so:
a line may begin with ``[`` or ``,`` and end with ``,`` or ``]`` (an array written line by line).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# What stands at a place.
ABSENT, TEXT, ESCAPED, NUMBER, WORD, RAW = 0, 1, 2, 3, 4, 5
# What became of a line.
GOOD, BLANK, NOT_AN_OBJECT, CUT, BROKEN, TOO_DEEP = 0, 1, 2, 3, 4, 5
REASONS: Final = {
    NOT_AN_OBJECT: "not a JSON object",
    CUT: "line cut short",
    BROKEN: "not valid JSON",
    TOO_DEEP: "nested too deep",
}
PADDING: Final = 16  # bytes that must be readable behind the last line
DEEPEST: Final = 12  # objects on the way to a wanted value
NESTED: Final = 512  # brackets inside a value that is skipped

_QUOTE, _BACKSLASH, _NEWLINE = 0x22, 0x5C, 0x0A
_COMMA, _COLON = 0x2C, 0x3A
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST = 0x7B, 0x7D, 0x5B, 0x5D
SEED: Final = 0xCBF29CE484222325
PRIME: Final = 0x00000100000001B3
_SEED, _PRIME = np.uint64(SEED), np.uint64(PRIME)
_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_QUOTES, _SLASHES = np.uint64(0x2222222222222222), np.uint64(0x5C5C5C5C5C5C5C5C)
_BLANKS = np.uint64(0x2020202020202020)


@intrinsic
def _load64(typing_context: Any, address: Any) -> Any:
    """The eight bytes at an address, little-endian."""
    signature = types.uint64(types.int64)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        return builder.load(builder.inttoptr(arguments[0], word.as_pointer()), align=1)

    return signature, code


@njit(cache=True, nogil=True, inline="always")
def _space(data: np.ndarray, at: int) -> int:
    """The first place from ``at`` on that is no blank, tab or carriage return."""
    while data[at] == 0x20 or data[at] == 0x09 or data[at] == 0x0D:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _string(data: np.ndarray, base: int, at: int) -> int:
    """Place of the quote that ends the string whose first byte is at ``at``; its negative if the string has escapes;
    0 if the line ends inside."""
    escaped = False
    while True:
        word = _load64(base + at)
        quotes, slashes = word ^ _QUOTES, word ^ _SLASHES
        # A byte is below 0x20 where subtracting 0x20 borrows and its top bit was clear.
        special = (
            ((quotes - _ONES) & ~quotes) | ((slashes - _ONES) & ~slashes) | ((word - _BLANKS) & ~word)
        ) & _TOPS
        if special == 0:
            at += 8
            continue
        while True:  # borrows can mark a byte behind a special one, never before it
            c = data[at]
            if c == _QUOTE:
                return -at if escaped else at
            if c < 0x20:
                return 0
            if c == _BACKSLASH:
                escaped = True
                if data[at + 1] < 0x20:
                    return 0
                at += 2
                break
            at += 1


@njit(cache=True, nogil=True)
def _skip(data: np.ndarray, base: int, at: int) -> int:
    """Place behind the object or list that begins at ``at``; -reason if it does not end."""
    depth = 0
    opened = np.uint64(0)  # one bit for each of the innermost 64 brackets: 1 for an object
    while True:
        c = data[at]
        if c == _QUOTE:
            end = _string(data, base, at + 1)
            if end == 0:
                return -CUT
            at = abs(end) + 1
            continue
        if c in (_OPEN, _OPEN_LIST):
            if depth == NESTED:
                return -TOO_DEEP
            depth += 1
            opened = (opened << np.uint64(1)) | np.uint64(c == _OPEN)
        elif c in (_CLOSE, _CLOSE_LIST):
            if depth <= 64 and np.uint64(c == _CLOSE) != opened & np.uint64(1):
                return -BROKEN
            opened >>= np.uint64(1)
            depth -= 1
            if depth == 0:
                return at + 1
        elif c < 0x20 and c not in (0x09, 0x0D):
            return -CUT
        at += 1


@njit(cache=True, nogil=True)
def _scalar(data: np.ndarray, at: int) -> int:
    """Place behind a number or a word (true, false, null) that begins at ``at``; ``at`` if there is none."""
    while True:
        c = data[at]
        if (
            0x30 <= c <= 0x39 or 0x61 <= c <= 0x7A or c in (0x2D, 0x2E, 0x2B, 0x45)
        ):  # digits, letters, - . + E
            at += 1
        else:
            return at


@njit(cache=True, nogil=True)
def _member(hashed: np.uint64, hashes: np.ndarray, slots: np.ndarray) -> int:
    """Number of a path in the table (``Paths``), or -1."""
    mask = np.uint64(hashes.shape[0] - 1)
    at = hashed & mask
    while hashes[at] != 0:
        if hashes[at] == hashed:
            return int(slots[at])
        at = (at + np.uint64(1)) & mask
    return -1


@njit(cache=True, nogil=True)
def _line(
    data: np.ndarray,
    base: int,
    at: int,
    row: int,
    hashes: np.ndarray,
    slots: np.ndarray,
    columns: np.ndarray,
    inner: np.ndarray,
    above: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
) -> tuple[int, int]:
    """(what became of the line, where its reading ended). ``above`` is room for the hashes of enclosing paths."""
    at = _space(data, at)
    if data[at] == _OPEN_LIST or data[at] == _COMMA:
        at = _space(data, at + 1)
    if data[at] == _NEWLINE or (data[at] == _CLOSE_LIST and data[_space(data, at + 1)] == _NEWLINE):
        return BLANK, at
    if data[at] != _OPEN:
        return NOT_AN_OBJECT, at
    depth = 0
    above[0] = _SEED
    at = _space(data, at + 1)
    empty = data[at] == _CLOSE
    while True:
        if empty:
            at += 1
            depth -= 1
            if depth < 0:
                break
        else:
            if data[at] != _QUOTE:
                return (CUT if data[at] == _NEWLINE else BROKEN), at
            at += 1
            hashed = above[depth]
            while data[at] != _QUOTE:
                c = data[at]
                if c < 0x20:
                    return CUT, at
                if c == _BACKSLASH:  # such a name is none of ours, whatever follows
                    hashed = (hashed ^ np.uint64(0x100)) * _PRIME
                    at += 1
                    if data[at] < 0x20:
                        return CUT, at
                hashed = (hashed ^ np.uint64(data[at])) * _PRIME
                at += 1
            at = _space(data, at + 1)
            if data[at] != _COLON:
                return (CUT if data[at] == _NEWLINE else BROKEN), at
            at = _space(data, at + 1)
            path = _member(hashed, hashes, slots)
            column = columns[path] if path >= 0 else -1
            c = data[at]
            if c == _QUOTE:
                end = _string(data, base, at + 1)
                if end == 0:
                    return CUT, at
                if column >= 0:
                    begins[row, column], ends[row, column] = at + 1, abs(end)
                    kinds[row, column] = TEXT if end > 0 else ESCAPED
                at = abs(end) + 1
            elif c == _OPEN and path >= 0 and inner[path]:
                if depth + 1 == above.shape[0]:
                    return TOO_DEEP, at
                depth += 1
                above[depth] = (
                    hashed ^ np.uint64(0x200)
                ) * _PRIME  # no byte of a name: the step into an object
                at = _space(data, at + 1)
                empty = data[at] == _CLOSE
                continue
            elif c in (_OPEN, _OPEN_LIST):
                end = _skip(data, base, at)
                if end < 0:
                    return -end, at
                if column >= 0:
                    begins[row, column], ends[row, column], kinds[row, column] = at, end, RAW
                at = end
            else:
                end = _scalar(data, at)
                if end == at:
                    return (CUT if c == _NEWLINE else BROKEN), at
                if column >= 0:
                    begins[row, column], ends[row, column] = at, end
                    kinds[row, column] = WORD if 0x61 <= c <= 0x7A else NUMBER
                at = end
        # Behind a value: the next member, or the end of this object.
        at = _space(data, at)
        empty = data[at] == _CLOSE
        if not empty:
            if data[at] != _COMMA:
                return (CUT if data[at] == _NEWLINE else BROKEN), at
            at = _space(data, at + 1)
    at = _space(data, at)
    if data[at] == _COMMA or data[at] == _CLOSE_LIST:
        at = _space(data, at + 1)
    return (GOOD if data[at] == _NEWLINE else BROKEN), at


@njit(cache=True, nogil=True)
def scan(
    data: np.ndarray,
    start: int,
    stop: int,
    hashes: np.ndarray,
    slots: np.ndarray,
    columns: np.ndarray,
    inner: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    lines: np.ndarray,
    numbers: np.ndarray,
    states: np.ndarray,
    number: int,
) -> tuple[int, int, int]:
    """Scan whole lines of ``data[start:stop]``; the byte before ``stop`` is a newline and ``PADDING`` bytes follow.

    Rows of ``begins``, ``ends``, ``kinds`` (one column a wanted path) are filled for good lines; ``lines`` has where
    each line begins, ``numbers`` its number (the first has ``number``) and ``states`` what became of it. Gives (rows
    filled, place reached, number of the line there): it stops when the room is used up. Blank lines take no row.
    """
    base = data.ctypes.data
    above = np.empty(DEEPEST, np.uint64)
    row = 0
    at = start
    while at < stop and row < begins.shape[0]:
        for k in range(kinds.shape[1]):
            kinds[row, k] = ABSENT
        state, end = _line(data, base, at, row, hashes, slots, columns, inner, above, begins, ends, kinds)
        if state != GOOD:
            for k in range(kinds.shape[1]):
                kinds[row, k] = ABSENT
        while data[end] != _NEWLINE:
            end += 1
        if state != BLANK:
            lines[row], numbers[row], states[row] = at, number, state
            row += 1
        number += 1
        at = end + 1
    return row, at, number
