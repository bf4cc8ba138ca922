"""Places of fields to alerts: what a line of text says, by a mapping or by the grammar of its format.

The counterpart of ``logs.contacts`` and ``logs.flows``: a format cuts lines into slots, this makes records of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit

from andon.observe.alerts.columns import LONGEST_COMMAND, Inside, alerts, line_ends, numbers, rewritten, whole
from andon.observe.alerts.words import bare, cves, disposition, severity, techniques
from andon.observe.jsonlines.kernel import ABSENT, ESCAPED, TEXT
from andon.observe.logs import encode
from andon.observe.logs.clock import NO_TIME, clock
from andon.observe.logs.contacts import NO_RULE, NO_TIME_HERE, Cut
from andon.observe.logs.parts import cut_text
from andon.observe.logs.scan import GOOD, PLAIN, unescape
from andon.records.alert import LONGEST_RAW
from andon.records.contact import LONGEST_URL

SLOTS: Final = (
    "time", "time2", "product", "rule", "title", "severity", "category", "host", "address", "user", "src", "src_port",
    "dst", "dst_port", "protocol", "name", "path", "digest", "command", "attack", "cve", "action", "count", "uid",
    "site",
)  # fmt: skip
_SLOT: Final = {name: number for number, name in enumerate(SLOTS)}
_TIME, _TIME2 = _SLOT["time"], _SLOT["time2"]
_LONG: Final = {"path": LONGEST_URL, "command": LONGEST_COMMAND, "uid": 512}
PROTOCOLS: Final = {
    "1": "icmp",
    "6": "tcp",
    "17": "udp",
    "58": "ipv6-icmp",
    "icmp6": "ipv6-icmp",
    "icmpv6": "ipv6-icmp",
}


@njit(cache=True, nogil=True)
def tidy(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    states: np.ndarray,
    written: np.ndarray,
) -> None:
    """Blanks cut off, escapes undone where they lie (``written``: how each slot writes them), "-" and nothing as
    absent."""
    for row in range(begins.shape[0]):
        if states[row] != GOOD:
            continue
        for slot in range(kinds.shape[1]):
            if kinds[row, slot] == ABSENT:
                continue
            begin, end = np.int64(begins[row, slot]), np.int64(ends[row, slot])
            while end > begin and (data[end - 1] == 0x20 or data[end - 1] == 0x09):
                end -= 1
            while end > begin and data[begin] == 0x20:
                begin += 1
            if kinds[row, slot] == ESCAPED:
                if written[slot] != PLAIN:
                    end = unescape(data, begin, end, written[slot])
                kinds[row, slot] = TEXT
            if end <= begin or (end == begin + 1 and data[begin] == 0x2D):
                kinds[row, slot] = ABSENT
            begins[row, slot], ends[row, slot] = begin, cut_text(data, begin, end, 4096)


@njit(cache=True, nogil=True)
def timed(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    states: np.ndarray,
    first_clock: np.ndarray,
    second_clock: np.ndarray,
    ts: np.ndarray,
) -> None:
    """``ts``: the time of each line, ns; lines without one get a state that says so."""
    for row in range(begins.shape[0]):
        if states[row] != GOOD:
            continue
        found = np.int64(NO_TIME)
        if kinds[row, _TIME] != ABSENT:
            found = clock(data, np.int64(begins[row, _TIME]), np.int64(ends[row, _TIME]), first_clock)
        if kinds[row, _TIME2] != ABSENT and found != NO_TIME:
            more = clock(data, np.int64(begins[row, _TIME2]), np.int64(ends[row, _TIME2]), second_clock)
            found = np.int64(NO_TIME) if more == NO_TIME else found + more
        ts[row] = found
        if found == NO_TIME:
            states[row] = NO_TIME_HERE


@dataclass
class Alerts:
    """How a text log's fields become alerts. ``clocks``: plans of its time, and of a time of day that stands apart;
    ``written``: how escapes of each slot are written; ``values``: columns that are the same for all; ``maps``: words
    to those they stand for; ``grade``: OCSF severity of a word; ``keep``: keep the line in ``raw``. ``next``: position
    of the line that comes next, set by the reader."""

    source: str
    clocks: tuple[np.ndarray, np.ndarray]
    written: np.ndarray
    inside: Inside
    values: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    grade: Callable[[str], int] = severity
    keep: bool = True
    change: Callable[[dict[str, Any]], None] | None = None
    line: Callable[[], int] = lambda: 0

    def batch(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray, cut: Cut
    ) -> tuple[str, pa.RecordBatch] | None:
        """Alerts of the lines whose state is good, None if there is none. See ``logs.contacts.Contacts``."""
        rows, shape = len(states), (len(states), len(SLOTS))
        first = self.line() - rows - 1  # the reader has counted them already
        original = encode.texts(self._raw(data, lines)) if self.keep else None
        begins, ends, kinds = np.empty(shape, np.int32), np.empty(shape, np.int32), np.zeros(shape, np.uint8)
        cut(data, lines, stops, states, begins, ends, kinds)
        ts = np.empty(rows, np.int64)
        tidy(data, begins, ends, kinds, states, self.written)
        timed(data, begins, ends, kinds, states, *self.clocks, ts)
        named = (kinds[:, _SLOT["rule"]] != ABSENT) | (kinds[:, _SLOT["title"]] != ABSENT)
        states[(states == GOOD) & ~named & ("rule" not in self.values)] = NO_RULE
        good = np.flatnonzero(states == GOOD)
        if not len(good):
            return None
        columns: dict[str, Any] = {"ts": ts[good]}
        for slot, name in enumerate(SLOTS[2:], 2):
            if name in self.values:
                columns[name] = encode.constant(self.values[name], len(good))
            elif kinds[:, slot].any():
                there = (data, begins[good, slot], ends[good, slot], kinds[good, slot])
                columns[name] = encode.texts(there, _LONG[name]) if name in _LONG else encode.words(there)
            if name in self.maps and name in columns:
                words = self.maps[name]
                columns[name] = rewritten(columns[name], partial(_stands_for, words))
        if original is not None:
            columns["raw"] = original.take(pa.array(good))
        if self.change is not None:
            self.change(columns)
        settled(columns, self.grade)
        return alerts(len(good), self.source, columns, self.inside, first + good)

    def _raw(self, data: np.ndarray, lines: np.ndarray) -> encode.Places:
        finish = line_ends(data, lines.astype(np.int64), LONGEST_RAW)
        return data, lines, finish, np.full(len(lines), TEXT, np.uint8)


def settled(columns: dict[str, Any], grade: Callable[[str], int] = severity, fixed: bool = False) -> None:
    """Columns of words in the form that an alert has them in: numbers, titles without values, techniques. ``fixed``:
    the product puts no values into titles."""
    for name in ("src_port", "dst_port"):
        if name in columns and not isinstance(columns[name], np.ndarray):
            columns[name] = numbers(columns[name], _port)
    if "count" in columns and not isinstance(columns["count"], np.ndarray):
        columns["count"] = np.maximum(numbers(columns["count"], lambda word: whole(word, 1 << 40, 1)), 1)
    if "severity" in columns and not isinstance(columns["severity"], np.ndarray):
        columns["severity"] = numbers(columns["severity"], grade)
    if "action" in columns:
        columns["disposition"] = numbers(columns.pop("action"), disposition)
    for name, change in (
        ("attack", techniques), ("cve", cves), ("protocol", protocol), ("src", address), ("dst", address),
        ("address", address), ("product", product),
    ):  # fmt: skip
        if name in columns:
            columns[name] = rewritten(columns[name], change)
    if "title" in columns and not fixed:
        columns["title"] = rewritten(columns["title"], bare)
    title = columns.get("title")
    if "rule" not in columns and title is not None:
        columns["rule"] = title
    elif title is not None:
        from andon.observe.alerts.columns import either

        columns["rule"], columns["title"] = either(columns["rule"], title), either(title, columns["rule"])


def _stands_for(words: Mapping[str, str], word: str) -> str:
    return words.get(word, word)


def _port(word: str) -> int:
    return whole(word, 65_535)


def protocol(word: str) -> str:
    """
    >>> protocol("6"), protocol("UDP")
    ('tcp', 'udp')
    """
    word = word.lower()
    return PROTOCOLS.get(word, word)


def address(word: str) -> str:
    """An address in its plain form: no brackets, no zone, no mapping of IPv4 into IPv6; a name in small letters.

    >>> address("::ffff:192.0.2.1"), address("[2001:DB8::1]"), address("192.0.2.1")
    ('192.0.2.1', '2001:db8::1', '192.0.2.1')
    """
    if not word or (word[-1].isdigit() and ":" not in word):
        return word
    word = word.strip("[]").lower()
    if word.startswith("::ffff:") and "." in word:
        word = word[7:]
    return word.partition("%")[0]


def product(word: str) -> str:
    """
    >>> product("Deep  Security Agent")
    'deep security agent'
    """
    return " ".join(word.lower().split())[:200]
