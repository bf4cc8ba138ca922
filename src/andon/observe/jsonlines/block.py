"""Blocks of whole lines, scanned: which lines are good, and the wanted values of each as columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from andon.observe.jsonlines import values
from andon.observe.jsonlines.kernel import GOOD, NUMBER, PADDING, REASONS, WORD, scan
from andon.observe.jsonlines.paths import Paths

BLOCK: Final = 4 << 20  # bytes read at a time
LONGEST: Final = 32 << 20  # bytes of a line; a longer one is skipped and counted
ROWS: Final = 8192  # of one block: places of its values stay in the cache while they are read
_EXAMPLES: Final = 5
_TOO_LONG: Final = "line longer than 32 MiB"


class Stream(Protocol):
    """Bytes, as an open binary file gives them."""

    def readinto(self, view: memoryview, /) -> int | None: ...


@dataclass
class Skipped:
    """Lines that were not read, by reason, with a few examples: (line number from 1, reason). ``passed``: lines that
    were read and hold nothing of use here, by what they are; that is no damage. ``private``: nothing of a line's text
    goes into an example, since names of people stand in it."""

    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str]] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    private: bool = False

    @property
    def lines(self) -> int:
        return sum(self.reasons.values())

    def add(self, line: int, reason: str, count: int = 1) -> None:
        self.reasons[reason] += count
        if len(self.examples) < _EXAMPLES:
            self.examples.append((line, reason))

    def show(self, line: int, reason: str, text: bytes, shown: Callable[[str, bytes], str]) -> None:
        """An example with the line's own text, as ``shown`` puts it; without it where that is ``private``."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append((line, reason if self.private else shown(reason, text)))

    def leave(self, what: str, count: int = 1) -> None:
        """Lines that are good, and not of use here."""
        if count:
            self.passed[what] += count


class Block:
    """Good lines of one block. Row i of every column belongs to the i-th of them; ``line`` (int64) has the number of
    each in the input, from 1. Columns are asked for by path."""

    def __init__(
        self, data: np.ndarray, paths: Paths, begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray,
        line: np.ndarray, starts: np.ndarray,
    ) -> None:  # fmt: skip
        self._data, self._paths = data, paths
        self._begins, self._ends, self._kinds = begins, ends, kinds
        self.line = line
        self._starts = starts

    def __len__(self) -> int:
        return len(self.line)

    def kinds(self, path: str) -> np.ndarray:
        """uint8: ABSENT, TEXT, ESCAPED, NUMBER, WORD, RAW (``kernel``)."""
        return self._kinds[:, self._paths.number[path]]

    def filled(self, path: str) -> np.ndarray:
        """bool: there is a value, and it is not the empty string."""
        begins, ends, kinds = self._places(path)
        return np.asarray((kinds > 0) & (ends > begins))

    def lengths(self, path: str) -> np.ndarray:
        """int32: bytes of each value as it is written, without quotes; meaningless where there is none."""
        begins, ends, _ = self._places(path)
        return np.asarray(ends - begins)

    def of(self, rows: np.ndarray) -> Block:
        """These rows (numbers, or one bool a row) alone."""
        parts = (self._begins, self._ends, self._kinds, self.line, self._starts)
        return Block(self._data, self._paths, *(part[rows] for part in parts))

    def text(self, path: str, rows: np.ndarray | None = None) -> pa.StringArray:
        """Strings; numbers and words as they are written, objects and lists as JSON; null where there is none. With
        ``rows`` (int64) of these rows only, here as below."""
        return values.texts(self._data, *self._places(path, rows))

    def integers(self, path: str, missing: int = -1, rows: np.ndarray | None = None) -> np.ndarray:
        """int64 of numbers, and of strings that are one (``"23"``); ``missing`` where there is no whole number."""
        found: np.ndarray = values.integers(self._data, *self._places(path, rows), missing)
        return found

    def hashes(self, path: str) -> np.ndarray:
        """uint64: a hash of the bytes of each value as they are written; 0 where there is none."""
        found: np.ndarray = values.hashes(self._data, *self._places(path))
        return found

    def numbers(self, path: str) -> np.ndarray:
        """float64 of numbers, and of strings that are one; NaN where there is none."""
        return values.numbers(self._data, *self._places(path))

    def times(self, path: str) -> np.ndarray:
        """int64 ns since 1970 UTC of ISO 8601 times, with ``T`` or a blank, ``-`` or ``/``, up to nine digits of
        fraction, ``Z``, an offset or nothing (taken as UTC); numbers are seconds, or milliseconds if above 10^11.
        ``values.NO_TIME`` where there is none."""
        found: np.ndarray = values.times(self._data, *self._places(path))
        return found

    def addresses(self, path: str, rows: np.ndarray | None = None) -> np.ndarray:
        """int64: IPv4 addresses, also written ``::ffff:192.0.2.1``; -1 where there is none (or it is IPv6)."""
        found: np.ndarray = values.addresses(self._data, *self._places(path, rows))
        return found

    def codes(self, path: str, words: values.Words) -> np.ndarray:
        """int64: number of the string in ``words``; -1 for others. Strings with escapes are others."""
        return values.codes(self._data, *self._places(path), words)

    def true(self, path: str) -> np.ndarray:
        """bool: the value is ``true``, as a word or as a string."""
        return values.true(self._data, *self._places(path))

    def json(self, path: str, rows: np.ndarray) -> list[Any]:
        """Values of a few rows as Python objects; None where there is none, or it is not valid JSON."""
        begins, ends, kinds = self._places(path)
        found: list[Any] = []
        for row in rows.tolist():
            text = self._data[begins[row] : ends[row]].tobytes()
            if kinds[row] in (NUMBER, WORD) or kinds[row] > WORD:
                found.append(_parsed(text))
            elif kinds[row]:
                found.append(_parsed(b'"' + text + b'"'))
            else:
                found.append(None)
        return found

    def source(self, row: int) -> bytes:
        """The whole line of a row, without its end."""
        start = int(self._starts[row])
        return bytes(self._data[start:].tobytes().split(b"\n", 1)[0])

    def places(self, path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(bytes, begins, ends, kinds) of a path: where its values lie (``logs.encode``)."""
        return (self._data, *self._places(path))

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """(bytes, where each line begins in them, int32)."""
        return self._data, self._starts.astype(np.int32)

    def _places(self, path: str, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        column = self._paths.number[path]
        if rows is None:
            return self._begins[:, column], self._ends[:, column], self._kinds[:, column]
        # Contiguous or not is two kernels; these are made the same kind as above.
        some = np.empty((len(rows), 2), np.int32)
        some[:, 0], some[:, 1] = self._begins[rows, column], self._ends[rows, column]
        kinds = np.empty((len(rows), 2), np.uint8)
        kinds[:, 0] = self._kinds[rows, column]
        return some[:, 0], some[:, 1], kinds[:, 0]


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def blocks(stream: Stream, paths: Paths, skipped: Skipped, first_line: int = 1) -> Iterator[Block]:
    """Blocks of a stream to its end. A last line without an end is read like any other. Columns point into a buffer
    that the next step overwrites: take what is wanted before.

    >>> import io
    >>> lines = io.BytesIO(b'{"a": 1}\\n{"a": "x"}\\n')
    >>> [block.text("a").to_pylist() for block in blocks(lines, Paths(["a"]), Skipped())]
    [['1', 'x']]
    """
    buffer = np.empty(BLOCK + PADDING, np.uint8)
    held, line = 0, first_line  # bytes of an unfinished line at the front
    skipping = False
    while True:
        room = len(buffer) - PADDING - 1 - held
        if room == 0:
            if len(buffer) >= LONGEST:
                if not skipping:
                    skipped.add(line, _TOO_LONG)
                skipping, held = True, 0
            else:
                buffer = np.concatenate((buffer, np.empty_like(buffer)))
            continue
        got = stream.readinto(memoryview(buffer.data)[held : held + room]) or 0
        filled = held + got
        if not got:
            if held and not skipping:
                buffer[held] = 0x0A
                yield from _scanned(buffer, 0, held + 1, paths, skipped, line)
            return
        stop = values.last_newline(buffer, filled) + 1
        start = 0
        if skipping and stop:
            start = values.first_newline(buffer, stop) + 1
            skipping, line = False, line + 1
        if stop > start:
            line = yield from _scanned(buffer, start, stop, paths, skipped, line)
        held = 0 if skipping else filled - stop
        buffer[:held] = buffer[stop : stop + held].copy()


def _scanned(
    buffer: np.ndarray, start: int, stop: int, paths: Paths, skipped: Skipped, line: int
) -> Generator[Block, None, int]:
    """Blocks of the whole lines in ``buffer[start:stop]``, of which the first has number ``line``; returns the number
    of the line after them."""
    while start < stop:
        room = min(ROWS, (stop - start) // 3 + 1)  # {} and the end of the line
        shape = (room, len(paths))
        begins, ends = np.empty(shape, np.int32), np.empty(shape, np.int32)
        kinds, states = np.empty(shape, np.uint8), np.empty(room, np.uint8)
        starts, numbers = np.empty(room, np.int64), np.empty(room, np.int64)
        rows, start, line = scan(
            buffer, start, stop, paths.hashes, paths.slots, paths.columns, paths.inner, begins, ends, kinds,
            starts, numbers, states, line,
        )  # fmt: skip
        parts: list[np.ndarray] = [begins[:rows], ends[:rows], kinds[:rows], numbers[:rows], starts[:rows]]
        good = states[:rows] == GOOD
        if not good.all():
            for row in np.flatnonzero(~good).tolist():
                skipped.add(int(numbers[row]), REASONS[int(states[row])])
            parts = [part[good] for part in parts]
        if len(parts[0]):
            yield Block(buffer, paths, *parts)
    return line
