"""Columns of contacts and flows, made from places in a buffer of lines.

A value of a log is a place in the bytes that were read (``observe.jsonlines``: begin, end, what it is). Most values
of a log repeat: the same client, host and agent come thousands of times. So a column is encoded before it is copied:
each value is hashed eight bytes at a time where it lies, looked up among those of the batch, and only the distinct ones
become texts. Comparing is by bytes, so a shared hash costs time and never joins two values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.observe.jsonlines import values
from andon.observe.jsonlines.kernel import ABSENT, PADDING, _load64
from andon.records.contact import CONTACT, LONGEST_URL
from andon.records.flow import FLOW
from andon.records.kinds import CONTACT as CONTACT_KIND
from andon.records.kinds import FLOW as FLOW_KIND
from andon.records.kinds import marked

Places = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # bytes, begins, ends, kinds
Column = Any  # pa.Array of the column's type, or numpy of the numbers

_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)


def padded(data: bytes) -> np.ndarray:
    """uint8: the bytes with a line feed at their end, and room behind it that may be read.

    >>> padded(b"x").tolist()[:2]
    [120, 10]
    """
    room = np.empty(len(data) + 1 + PADDING, np.uint8)
    room[: len(data)] = np.frombuffer(data, np.uint8)
    room[len(data) :] = 0x0A
    return room[: len(data) + PADDING] if data.endswith(b"\n") else room


@njit(cache=True, nogil=True)
def _encode(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    longest: int,
    table: np.ndarray,
    codes: np.ndarray,
    firsts: np.ndarray,
) -> int:
    """Number each distinct value in the order of its first row; the number of them. A value that is absent is the
    empty one. ``table``: int32, all -1, a power of two in length and at least twice the rows."""
    base = data.ctypes.data
    mask = np.uint64(table.shape[0] - 1)
    count = 0
    for row in range(begins.shape[0]):
        begin = int(begins[row])
        size = 0 if kinds[row] == ABSENT else min(int(ends[row]) - begin, longest)
        hashed = np.uint64(size)
        for at in range(0, size, 8):
            word = _load64(base + begin + at)
            left = size - at
            if left < 8:
                word &= _ALL >> np.uint64(64 - 8 * left)
            hashed = (hashed ^ word) * _M1
            hashed ^= hashed >> np.uint64(29)
        hashed = (hashed ^ (hashed >> np.uint64(32))) * _M2
        slot = (hashed ^ (hashed >> np.uint64(31))) & mask
        while True:
            code = table[slot]
            if code < 0:
                table[slot] = count
                firsts[count] = row
                codes[row] = count
                count += 1
                break
            other = firsts[code]
            there = int(begins[other])
            same = size == (0 if kinds[other] == ABSENT else min(int(ends[other]) - there, longest))
            at = 0
            while same and at < size:
                difference = _load64(base + begin + at) ^ _load64(base + there + at)
                left = size - at
                if left < 8:
                    difference &= _ALL >> np.uint64(64 - 8 * left)
                same = difference == 0
                at += 8
            if same:
                codes[row] = code
                break
            slot = (slot + np.uint64(1)) & mask
    return count


def words(places: Places, longest: int = LONGEST_URL) -> pa.DictionaryArray:
    """Texts that repeat, the first ``longest`` bytes of each; "" where there is none."""
    data, begins, ends, kinds = places
    rows = len(begins)
    size = 16
    while size < 2 * rows:
        size *= 2
    codes, firsts = np.empty(rows, np.int32), np.empty(rows, np.int32)
    count = _encode(data, begins, ends, kinds, longest, np.full(size, -1, np.int32), codes, firsts)
    some = firsts[:count]
    distinct = texts((data, begins[some], ends[some], kinds[some]), longest)
    return pa.DictionaryArray.from_arrays(pa.array(codes), distinct)


def texts(places: Places, longest: int = LONGEST_URL) -> pa.StringArray:
    """Texts that do not repeat; "" where there is none."""
    data, begins, ends, kinds = places
    # One layout for all callers is one compiled kernel.
    pair = np.empty((len(begins), 2), np.int32)
    pair[:, 0], pair[:, 1] = begins, np.minimum(ends, begins.astype(np.int64) + longest)
    sorts = np.empty((len(begins), 2), np.uint8)
    sorts[:, 0] = kinds
    made = values.texts(data, pair[:, 0], pair[:, 1], sorts[:, 0])
    return made.fill_null("") if made.null_count else made


def either(first: Places, second: Places) -> Places:
    """The first of two values where it is there and not empty, else the second; both lie in one buffer."""
    there = (first[3] != ABSENT) & (first[2] > first[1])
    begins, ends, kinds = (np.where(there, a, b) for a, b in zip(first[1:], second[1:], strict=True))
    return first[0], begins, ends, kinds


def lowered(column: pa.DictionaryArray) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(column.indices, pc.utf8_lower(column.dictionary))


def constant(text: str, rows: int) -> pa.DictionaryArray:
    """The same text in every row."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))


def one_of(choices: Sequence[str], codes: np.ndarray) -> pa.DictionaryArray:
    """Texts by number.

    >>> one_of(["", "https"], np.array([1, 0])).to_pylist()
    ['https', '']
    """
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32)), pa.array(list(choices), pa.string())
    )


def contacts(rows: int, source: str, columns: dict[str, Column]) -> tuple[str, pa.RecordBatch]:
    """A batch of contacts; columns that are not given say that nothing is known."""
    return CONTACT_KIND, _batch(CONTACT, CONTACT_KIND, rows, {"source": constant(source, rows), **columns})


def flows(rows: int, source: str, columns: dict[str, Column]) -> tuple[str, pa.RecordBatch]:
    """A batch of flows, likewise."""
    return FLOW_KIND, _batch(FLOW, FLOW_KIND, rows, {"source": constant(source, rows), **columns})


def _batch(schema: pa.Schema, kind: str, rows: int, columns: dict[str, Column]) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        given = columns.get(field.name)
        if given is None:
            arrays.append(_unknown(field, rows))
        elif isinstance(given, np.ndarray):
            if pa.types.is_timestamp(field.type):
                given = pa.array(given.astype(np.int64)).view(field.type)
            else:
                given = pa.array(given, field.type)
            arrays.append(given)
        else:
            arrays.append(given)
    return marked(pa.RecordBatch.from_arrays(arrays, schema=schema), kind)


def _unknown(field: Any, rows: int) -> pa.Array:
    if field.nullable:
        return pa.nulls(rows, field.type)
    if pa.types.is_dictionary(field.type):
        return constant("", rows)
    if pa.types.is_boolean(field.type):
        return pa.array(np.zeros(rows, np.bool_))
    if pa.types.is_integer(field.type):
        return pa.array(np.full(rows, -1), field.type)
    return pa.array([""] * rows, field.type)


def clamped(numbers: np.ndarray, largest: int = 65_535) -> np.ndarray:
    """int64: -1 for what is not between 0 and ``largest``: ports, codes."""
    return np.where((numbers >= 0) & (numbers <= largest), numbers, -1)


def nanoseconds(seconds: np.ndarray) -> np.ndarray:
    """int64 ns of seconds (float64); -1 where there are none, or none that make sense.

    >>> nanoseconds(np.array([0.5, np.nan, -1.0])).tolist()
    [500000000, -1, -1]
    """
    good = (seconds >= 0) & (seconds < 1e9)
    return np.where(good, np.rint(np.where(good, seconds, 0.0) * 1e9), -1.0).astype(np.int64)
