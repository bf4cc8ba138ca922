"""Zeek's text logs: headings, and lines to the places of wanted fields.

A heading (``#separator``, ``#fields``, ...) names the columns, and it may come again and change inside one file, as
where logs were put behind one another. Between headings a compiled pass walks the lines and notes where each wanted
field lies; separators are looked for eight bytes at a time (Mycroft, 1987; Knuth, TAOCP 4A, 7.1.3). Format: Zeek's
``writers/ascii`` as its documentation describes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from andon.observe.jsonlines import Block, Paths, Skipped
from andon.observe.jsonlines.kernel import ABSENT, PADDING, TEXT, _load64
from andon.observe.logs.encode import padded

GOOD, TOO_FEW, TOO_MANY = 0, 1, 2
REASONS: Final = {
    TOO_FEW: "fewer fields than the heading names",
    TOO_MANY: "more fields than the heading names",
}
NO_HEADING: Final = "before any heading (#fields)"
_ROWS: Final = 16_384  # of one block
_MOST_FIELDS: Final = 1000
_HASH: Final = 0x23
_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")


@dataclass
class Heading:
    """What the lines that begin with # have said so far. ``path``: the name of the log ("http")."""

    separator: str = "\t"
    set_separator: str = ","
    empty: str = "(empty)"
    unset: str = "-"
    path: str = ""
    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Heading:
        return cls(**{**state, "fields": tuple(state["fields"])})

    def state(self) -> dict[str, Any]:
        return {**asdict(self), "fields": list(self.fields)}

    def take(self, line: bytes) -> bool:
        """Heed one line; False if it is a comment, or says nothing that can be used."""
        line = line.rstrip(b"\r\n")
        if line.startswith(b"#separator "):
            found = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), line[11:])
            if len(found) != 1 or found in b"\n\r#":
                return False
            self.separator = found.decode("latin-1")
            return True
        name, _, rest = line.partition(self.separator.encode("latin-1"))
        text = rest.decode("utf-8", "replace")
        if name == b"#fields":
            found_fields = tuple(text.split(self.separator))
            if not text or len(found_fields) > _MOST_FIELDS:
                return False
            self.fields = found_fields
        elif name == b"#set_separator":
            self.set_separator = text[:1] or ","
        elif name == b"#empty_field":
            self.empty = text[:100]
        elif name == b"#unset_field":
            self.unset = text[:100]
        elif name == b"#path":
            self.path = text[:100]
        else:
            return name in (b"#types", b"#open", b"#close")
        return True


@intrinsic
def _trailing_zeros(typing_context: Any, word: Any) -> Any:
    signature = types.int64(types.uint64)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return signature, code


@njit(cache=True, nogil=True)
def scan(
    data: np.ndarray,
    start: int,
    stop: int,
    separator: int,
    columns: np.ndarray,
    unset: np.ndarray,
    empty: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    lines: np.ndarray,
    numbers: np.ndarray,
    states: np.ndarray,
    number: int,
) -> tuple[int, int, int]:
    """Fill rows of ``begins``, ``ends``, ``kinds`` (int32, int32, uint8; one column a wanted field) from whole lines of
    ``data[start:stop]``; the byte before ``stop`` is a line feed and padding follows.

    ``columns``: for each field of a line the wanted column, or -1. Gives (rows filled, place reached, number of the
    line there): it stops before a line that begins with #, and when the room is used up. Blank lines take no row."""
    base = data.ctypes.data
    wanted = np.uint64(separator) * _ONES
    feeds = np.uint64(0x0A) * _ONES
    fields = columns.shape[0]
    row, at = 0, start
    while at < stop and row < begins.shape[0]:
        first = data[at]
        if first == _HASH:
            break
        if first == 0x0A or (first == 0x0D and data[at + 1] == 0x0A):
            at += 1 if first == 0x0A else 2
            number += 1
            continue
        for k in range(kinds.shape[1]):
            kinds[row, k] = ABSENT
        lines[row], numbers[row] = at, number
        field, begin = 0, at
        while True:
            word = _load64(base + at)
            gaps, last = word ^ wanted, word ^ feeds
            # The lowest bit that is set is right; those above it may come from a borrow.
            marks = (((gaps - _ONES) & ~gaps) | ((last - _ONES) & ~last)) & _TOPS
            if marks == 0:
                at += 8
                continue
            at += _trailing_zeros(marks) >> 3
            over = data[at] == 0x0A
            if field < fields:
                k = columns[field]
                if k >= 0:
                    end = at
                    if over and end > begin and data[end - 1] == 0x0D:
                        end -= 1
                    size = end - begin
                    kind = TEXT
                    if size == unset.shape[0]:
                        same = True
                        for i in range(size):
                            same &= data[begin + i] == unset[i]
                        if same:
                            kind = ABSENT
                    if size == empty.shape[0]:
                        same = True
                        for i in range(size):
                            same &= data[begin + i] == empty[i]
                        if same:
                            end = begin
                    begins[row, k], ends[row, k], kinds[row, k] = begin, end, kind
            field += 1
            at += 1
            begin = at
            if over:
                break
        states[row] = GOOD if field == fields else (TOO_FEW if field < fields else TOO_MANY)
        row += 1
        number += 1
    return row, at, number


def segments(
    data: bytes,
    heading: Heading,
    log_of: Callable[[Collection[str], str], str],
    wanted: Mapping[str, Paths],
    skipped: Skipped,
    line: int,
) -> Iterator[tuple[str, Block]]:
    """(name of the log, good lines) of whole lines whose first has number ``line``; ``heading`` is kept up to date.
    ``log_of(fields, path)``: which log that is; ``wanted``: its fields. Lines of other logs are passed over and
    counted."""
    buffer = padded(data)
    stop = len(buffer) - PADDING
    at = 0
    while at < stop:
        if buffer[at] == _HASH:
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            heading.take(data[at : min(end, at + (1 << 16))])
            at, line = end + 1, line + 1
            continue
        log = log_of(heading.fields, heading.path)
        paths = wanted.get(log)
        if not heading.fields or paths is None:
            lines, at = _beyond(data, at)
            if heading.fields:
                skipped.leave(f"{log or 'unknown'} log of Zeek: not of use here", lines)
            else:
                skipped.add(line, NO_HEADING, lines)
            line += lines
            continue
        places = {name: column for column, name in enumerate(paths.names)}
        names = [name.replace("\\.", ".") for name in places]
        columns = np.array([names.index(f) if f in names else -1 for f in heading.fields], np.int64)
        columns = _once(columns)
        unset = np.frombuffer(heading.unset.encode(), np.uint8)
        empty = np.frombuffer(heading.empty.encode(), np.uint8)
        while at < stop and buffer[at] != _HASH:
            rows = min(_ROWS, (stop - at) // len(heading.fields) + 1)
            shape = (rows, len(paths))
            begins, ends = np.empty(shape, np.int32), np.empty(shape, np.int32)
            kinds, states = np.empty(shape, np.uint8), np.empty(rows, np.uint8)
            starts, numbers = np.empty(rows, np.int64), np.empty(rows, np.int64)
            found, at, line = scan(
                buffer, at, stop, ord(heading.separator), columns, unset, empty, begins, ends, kinds,
                starts, numbers, states, line,
            )  # fmt: skip
            parts = [part[:found] for part in (begins, ends, kinds, numbers, starts)]
            good = states[:found] == GOOD
            if not good.all():
                for state, reason in REASONS.items():
                    rows_of = np.flatnonzero(states[:found] == state)
                    if len(rows_of):
                        skipped.add(int(numbers[rows_of[0]]), reason, len(rows_of))
                parts = [part[good] for part in parts]
            if len(parts[0]):
                yield log, Block(buffer, paths, *parts)


def _beyond(data: bytes, at: int) -> tuple[int, int]:
    """(lines, place behind them) up to the next line that begins with #."""
    end = data.find(b"\n#", at)
    end = len(data) if end < 0 else end + 1
    lines = data.count(b"\n", at, end) + (end == len(data) and not data.endswith(b"\n"))
    return lines, end


def _once(columns: np.ndarray) -> np.ndarray:
    """A heading that names a field twice: the first counts."""
    seen: set[int] = set()
    for place, column in enumerate(columns.tolist()):
        if column in seen:
            columns[place] = -1
        elif column >= 0:
            seen.add(column)
    return columns
