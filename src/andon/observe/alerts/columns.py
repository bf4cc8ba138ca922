"""Batches of alerts out of columns: defaults, the host an alert is about, texts that are cut and cleaned.

Everything is done on the words of a column's dictionary, once a batch, never on its rows. ``host`` is our side of an
alert: the device that a product names; where it names none, of source and destination the one that lies inside
(``Options.inside``; else private and link-local addresses); of two that do, or none, the destination.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.observe.jsonlines.kernel import _load64
from andon.observe.logs.encode import constant
from andon.records.alert import ALERT
from andon.records.inside import PRIVATE
from andon.records.kinds import ALERT as ALERT_KIND
from andon.records.kinds import marked

Words: TypeAlias = Any  # pa.DictionaryArray of texts
LONGEST_COMMAND: Final = 4096
_REMEMBERED: Final = 1 << 17  # addresses
_FEEDS: Final = np.uint64(0x0A0A0A0A0A0A0A0A)
_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_DEFAULTS: Final[Mapping[str, int]] = {"severity": 0, "disposition": 0, "count": 1}


class Inside:
    """Which addresses are the organisation's own. ``prefixes``: CIDR; empty: private and link-local addresses.

    >>> Inside(("192.0.2.0/24",)).holds("192.0.2.1"), Inside(()).holds("fe80::1"), Inside(()).holds("web1")
    (True, True, False)
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        networks = [ip_network(prefix, strict=False) for prefix in prefixes or PRIVATE]
        four = sorted((int(n.network_address), int(n.broadcast_address)) for n in networks if n.version == 4)
        self._four = _joined(four)
        self._starts = [low for low, _ in self._four]
        self._six = [network for network in networks if network.version == 6]
        self._known: dict[str, bool] = {}

    def holds(self, text: str) -> bool:
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[text] = self._look(text)
        return known

    def _look(self, text: str) -> bool:
        parts = text.split(".")
        if len(parts) == 4 and all(part.isdecimal() and len(part) < 4 for part in parts):
            a, b, c, d = map(int, parts)
            number = a << 24 | b << 16 | c << 8 | d
            at = bisect_right(self._starts, number) - 1
            return at >= 0 and number <= self._four[at][1]
        if ":" not in text:
            return False
        try:
            address = ip_address(text)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return self._look(str(mapped)) if mapped else any(address in network for network in self._six)

    def of(self, column: Words) -> np.ndarray:
        """bool of each row."""
        held = np.array([self.holds(word) for word in column.dictionary.to_pylist()], np.bool_)
        return by_row(column, held)


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    made: list[tuple[int, int]] = []
    for low, high in ranges:
        if made and low <= made[-1][1] + 1:
            made[-1] = made[-1][0], max(high, made[-1][1])
        else:
            made.append((low, high))
    return made


def by_row(column: Words, of_words: np.ndarray) -> np.ndarray:
    """What is said of each word, for each row."""
    return np.asarray(of_words[column.indices.to_numpy(zero_copy_only=False)])


def is_filled(column: Words) -> np.ndarray:
    """bool of each row: there is a text."""
    return by_row(column, np.asarray(pc.not_equal(column.dictionary, "").to_numpy(zero_copy_only=False)))


def chosen(first: np.ndarray, a: Words, b: Words) -> Words:
    """``a`` in the rows of ``first``, else ``b``."""
    if first.all():
        return a
    if not first.any():
        return b
    words = pa.concat_arrays([a.dictionary, b.dictionary])
    codes = np.where(first, np.asarray(a.indices), np.asarray(b.indices) + len(a.dictionary))
    whole = words.dictionary_encode()
    number = np.asarray(whole.indices)
    return pa.DictionaryArray.from_arrays(pa.array(number[codes], pa.int32()), whole.dictionary)


def either(a: Words, b: Words) -> Words:
    """``a`` where it is not empty, else ``b``."""
    return chosen(is_filled(a), a, b)


def texts_of(some: list[str]) -> pa.StringArray:
    """An array of texts; half of a surrogate pair, which JSON can hold and UTF-8 cannot, becomes U+FFFD."""
    try:
        return pa.array(some, pa.string())
    except UnicodeEncodeError:
        whole = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in some]
        return pa.array(whole, pa.string())


def rewritten(column: Words, change: Callable[[str], str]) -> Words:
    """The column with each of its words changed.

    >>> rewritten(pa.array(["a", "A"]).dictionary_encode(), str.lower).to_pylist()
    ['a', 'a']
    """
    old = column.dictionary.to_pylist()
    made = [change(word) for word in old]
    if made == old:
        return column
    whole = texts_of(made).dictionary_encode()
    number = np.asarray(whole.indices)
    codes = number[np.asarray(column.indices)]
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), whole.dictionary)


def numbers(column: Words, known: Callable[[str], int]) -> np.ndarray:
    """int64 of each row: what ``known`` says of its word."""
    return by_row(column, np.array([known(word) for word in column.dictionary.to_pylist()], np.int64))


def whole(text: str, most: int, other: int = -1) -> int:
    """The whole number from 0 to ``most`` that is written down, else ``other``.

    >>> whole("443", 65_535), whole("443.0", 65_535), whole("x", 9, 0)
    (443, 443, 0)
    """
    text = text.removesuffix(".0")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        return other
    return int(text) if int(text) <= most else other


@njit(cache=True, nogil=True)
def line_ends(data: np.ndarray, starts: np.ndarray, longest: int) -> np.ndarray:
    """int32: where each line ends that begins there, or what is kept of it, not in the middle of a character. Sixteen
    bytes may be read behind the last line."""
    base = data.ctypes.data
    found = np.empty(starts.shape[0], np.int32)
    for row in range(starts.shape[0]):
        at = int(starts[row])
        limit = at + longest
        while True:
            word = _load64(base + at) ^ _FEEDS
            if (word - _ONES) & ~word & _TOPS:
                while data[at] != 0x0A:
                    at += 1
                break
            at += 8
            if at >= limit:
                break
        if at > limit:
            at = limit
            while at > starts[row] and data[at] & 0xC0 == 0x80:
                at -= 1
        while at > starts[row] and (data[at - 1] == 0x0D or data[at - 1] == 0x20):
            at -= 1
        found[row] = at
    return found


def ours(columns: dict[str, Any], inside: Inside, rows: int) -> None:
    """Sets ``host`` and ``address`` where the product names no device."""
    nothing = constant("", rows)
    src, dst = columns.get("src", nothing), columns.get("dst", nothing)
    host, address = columns.get("host", nothing), columns.get("address", nothing)
    missing = ~is_filled(host) & ~is_filled(address)
    names = columns.pop("src_host", nothing), columns.pop("dst_host", nothing)
    if missing.any():
        from_src = (inside.of(src) & ~inside.of(dst)) | ~is_filled(dst)
        side = chosen(from_src, src, dst)
        address = chosen(missing, side, address)
        host = chosen(missing, chosen(from_src, *names), host)
    columns["address"] = address
    columns["host"] = either(host, address)


def alerts(
    rows: int, source: str, columns: dict[str, Any], inside: Inside, position: np.ndarray
) -> tuple[str, pa.RecordBatch]:
    """A batch of alerts. Columns that are not given say that nothing is known; ``ts`` (int64 ns) and ``rule`` have to
    be. ``position``: int64, of each record in its source."""
    ours(columns, inside, rows)
    columns.setdefault("source", constant(source, rows))
    columns.setdefault("product", columns["source"])
    columns.setdefault("title", columns["rule"])
    columns["position"] = position
    arrays = []
    for field in ALERT:
        given = columns.get(field.name)
        if given is None:
            given = _unknown(field, rows)
        elif isinstance(given, np.ndarray):
            if pa.types.is_timestamp(field.type):
                given = pa.array(given.astype(np.int64)).view(field.type)
            else:
                given = pa.array(given, field.type)
        elif pa.types.is_dictionary(field.type):
            given = _clean(given)
        elif pa.types.is_dictionary(given.type):
            given = _clean(given).cast(pa.string())
        elif field.name != "raw":  # no line of a log holds one
            given = _without_nul(given)
        arrays.append(given)
    return ALERT_KIND, marked(pa.RecordBatch.from_arrays(arrays, schema=ALERT), ALERT_KIND)


def _unknown(field: Any, rows: int) -> pa.Array:
    if pa.types.is_dictionary(field.type):
        return constant("", rows)
    if pa.types.is_integer(field.type):
        return pa.array(np.full(rows, _DEFAULTS.get(field.name, -1)), field.type)
    return pa.array([""] * rows, field.type)


def _clean(column: Words) -> Words:
    """Without NUL, which no command or query can hold."""
    if not pc.any(pc.match_substring(column.dictionary, "\0")).as_py():
        return column
    return rewritten(column, lambda word: word.replace("\0", "\ufffd"))


def _without_nul(column: pa.StringArray) -> pa.StringArray:
    held = column.buffers()[2]
    if held is None or np.frombuffer(held, np.uint8).all():
        return column
    return pc.replace_substring(column, "\0", "\ufffd")
