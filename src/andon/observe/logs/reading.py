"""What readers of text logs have in common: bytes to lines, and every line counted once.

A line becomes a record, or it is skipped with its reason, or passed over as good and of no use here, or it is a comment
or empty. Lines beyond ``LONGEST`` bytes are no lines of a log; the pieces that one of them comes in are counted as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa

from andon.observe.logs import LONGEST, encode
from andon.observe.logs.contacts import BROKEN, PASSED, Cut
from andon.observe.logs.scan import BLANK, COMMENT, DIRECTIVE, GOOD, LONG, UNFIT, split
from andon.records.neutral import neutral

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped

ROWS: Final = 32_768  # lines that become one batch
_EXAMPLES: Final = 5
_SHOWN: Final = 120  # bytes of an example
TOO_LONG: Final = "line longer than 1 MiB"
MISFIT: Final = "does not fit the format"
_WHY: Final = {LONG: TOO_LONG, UNFIT: MISFIT, **BROKEN}


def plain(data: bytes) -> bytes:
    r"""The same lines in UTF-8: bytes that are none are escaped, and so is NUL, which no command or query can hold.

    >>> plain(b"caf\xe9 \0\n")
    b'caf\\xe9 \\x00\n'
    """
    if b"\0" in data:
        data = data.replace(b"\0", rb"\x00")
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace").encode()
    return data


class Shape(Protocol):
    """How places become records (``contacts.Contacts``, ``flows.Flows``)."""

    def batch(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray, cut: Cut
    ) -> tuple[str, pa.RecordBatch] | None: ...


class TextLines:
    """A reader of lines (``observe.logs.Lines``); a format gives ``_cut``, and ``_directive`` if it has any.

    ``line``: number of the line that comes next, from 1; ``comments``: comments and empty lines so far."""

    source = "text"
    kinds: tuple[str, ...] = ("contact",)

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self.line = int((state or {}).get("line", 1))
        self._inside = bool((state or {}).get("inside", False))  # of a line that is too long
        self.comments = 0

    def state(self) -> dict[str, Any]:
        return {"line": self.line, "inside": self._inside}

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        """See ``observe.logs.Lines``."""
        if self._inside:
            end = data.find(b"\n") + 1
            if not end:
                return
            self._inside, self.line = False, self.line + 1
            data = data[end:]
        if not data.endswith(b"\n") and len(data) - (data.rfind(b"\n") + 1) >= LONGEST:
            keep = data.rfind(b"\n") + 1
            yield from self._read(data[:keep], skipped)
            self._skip(skipped, self.line, TOO_LONG, data[keep : keep + _SHOWN])
            self._inside = True
            return
        yield from self._read(data, skipped)

    def _read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        if not data:
            return
        data = plain(data)
        if self.line == 1 and data.startswith(b"\xef\xbb\xbf"):
            data = data[3:]  # the mark of UTF-8
            if not data:
                return
        room = encode.padded(data)
        at, stop = 0, len(data) + (not data.endswith(b"\n"))
        while at < stop:
            begins, ends = np.empty(ROWS, np.int32), np.empty(ROWS, np.int32)
            states = np.empty(ROWS, np.uint8)
            rows, at = split(room, at, stop, LONGEST, begins, ends, states)
            begins, ends, states = begins[:rows], ends[:rows], states[:rows]
            first = 0
            for row in [*np.flatnonzero(states == DIRECTIVE).tolist(), rows]:
                if row < rows and not self._changes(data[begins[row] : ends[row]]):
                    continue
                yield from self._records(
                    data, room, begins[first:row], ends[first:row], states[first:row], skipped
                )
                if row < rows:
                    self._directive(data[begins[row] : ends[row]])
                    self.comments += 1
                    self.line += 1
                first = row + 1

    def _records(
        self, data: bytes, room: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray, skipped: Skipped
    ) -> Iterator[tuple[str, pa.RecordBatch]]:  # fmt: skip
        rows = len(lines)
        if not rows:
            return
        first, self.line = self.line, self.line + rows
        found = None
        shape = self._shape()
        if shape is None:
            states[states == GOOD] = UNFIT
        elif (states == GOOD).any():
            found = shape.batch(room, lines, stops, states, self._cut)
        if found is None or found[1].num_rows < rows:
            self._account(data, lines, stops, states, first, skipped)
        if found is not None:
            yield found

    def _account(
        self, data: bytes, lines: np.ndarray, stops: np.ndarray, states: np.ndarray, first: int, skipped: Skipped
    ) -> None:  # fmt: skip
        """Whatever is no record."""
        for state, count in zip(*np.unique(states, return_counts=True), strict=True):
            if state in (BLANK, COMMENT, DIRECTIVE):
                self.comments += int(count)
            elif state in PASSED:
                skipped.leave(PASSED[state], int(count))
            elif state in _WHY:
                skipped.reasons[_WHY[state]] += int(count)
        for row in np.flatnonzero(np.isin(states, list(_WHY))).tolist():
            if len(skipped.examples) >= _EXAMPLES:
                break
            text = data[lines[row] : min(stops[row], lines[row] + _SHOWN)]
            skipped.show(first + row, _WHY[int(states[row])], text, _example)

    def _skip(self, skipped: Skipped, line: int, reason: str, text: bytes) -> None:
        skipped.reasons[reason] += 1
        skipped.show(line, reason, text, _example)

    # A format's own part

    def _shape(self) -> Shape | None:
        """None: no line can be read yet."""
        raise NotImplementedError

    def _cut(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray,
        begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray,
    ) -> None:  # fmt: skip
        """Fields of lines, as ``scan`` writes them."""
        raise NotImplementedError

    def _changes(self, line: bytes) -> bool:
        """Does this line of the heading change how the next ones are read?"""
        return False

    def _directive(self, line: bytes) -> None:
        return


def _example(reason: str, text: bytes) -> str:
    return f"{reason}: {neutral(text.decode('utf-8', 'replace'))}"
