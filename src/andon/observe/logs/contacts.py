"""Places of fields to contacts: what every text log says of a request, whatever its grammar.

``interpret`` looks at each line once: it puts the time together (``clock``), reads the numbers, takes the URL apart
(``parts``), and moves the places of fields so that they cover just what a contact has: the host without user
information, port, brackets and final dot. Capitals of host names become small letters in the buffer itself.
``Contacts.batch`` then makes columns (``encode``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.observe.jsonlines.kernel import ABSENT, ESCAPED, TEXT
from andon.observe.logs import encode
from andon.observe.logs.clock import NO_TIME, clock
from andon.observe.logs.parts import (
    CLASS,
    LONGEST_HOST,
    SCHEME_LETTER,
    authority,
    client,
    cut_text,
    duration,
    holds,
    is_address,
    lower,
    number,
    port_of,
)
from andon.observe.logs.scan import GOOD, PLAIN, unescape
from andon.records.contact import HTTP, LONGEST_URL, TUNNEL

SLOTS: Final = (
    "time", "time2", "fraction", "elapsed", "address", "user", "url", "method", "host", "port", "scheme", "path",
    "query", "status", "action", "hierarchy", "server", "bytes_in", "bytes_out", "referer", "agent", "mime",
    "location", "category", "sni", "verdict",
)  # fmt: skip
(
    _TIME, _TIME2, _FRACTION, _ELAPSED, _ADDRESS, _USER, _URL, _METHOD, _HOST, _PORT, _SCHEME, _PATH,
    _QUERY, _STATUS, _ACTION, _HIERARCHY, _SERVER, _BYTES_IN, _BYTES_OUT, _REFERER, _AGENT, _MIME,
    _LOCATION, _CATEGORY, _SNI, _VERDICT,
) = range(len(SLOTS))  # fmt: skip
# Why a line is no contact: first those that are broken, then those that are good and have no destination.
NO_TIME_HERE, NO_NUMBER, NO_CLIENT, NO_HOST, NO_ADDRESS, NO_RULE, NOWHERE, INTERNAL = (
    10,
    11,
    12,
    13,
    14,
    15,
    20,
    21,
)
NO_PAYLOAD: Final = 22
BROKEN: Final = {
    NO_TIME_HERE: "no valid time",
    NO_NUMBER: "a field that should be a number is none",
    NO_CLIENT: "no client",
    NO_HOST: "not a host name",
    NO_ADDRESS: "not an address",
    NO_RULE: "no rule and no title",
}
PASSED: Final = {NOWHERE: "requests without a destination", INTERNAL: "requests for the proxy itself",
                 NO_PAYLOAD: "lines without CEF or LEEF"}  # fmt: skip
_AT_ONCE: Final = 2048  # lines whose places stay in the cache
# Columns of the numbers that `interpret` writes.
_N_TS, _N_PORT, _N_STATUS, _N_IN, _N_OUT, _N_DURATION, _N_TUNNEL = range(7)
_LONGEST_SCHEME: Final = 16
_REFUSED: Final = "denied|block|refused"


@njit(cache=True, nogil=True)
def interpret(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    states: np.ndarray,
    first_clock: np.ndarray,
    second_clock: np.ndarray,
    day: int,
    unit: int,
    unit_decimal: int,
    at_end: bool,
    written: np.ndarray,
    used: np.ndarray,
    out: np.ndarray,
    places: np.ndarray,
    sorts: np.ndarray,
    made: int,
) -> int:
    """Contacts of good lines, written behind the first ``made``; how many there are then.

    ``out[column, i]`` (int64) gets the numbers of the i-th, ``places[slot, i]`` (int32) where each of its texts begins
    and ends, ``sorts[slot, i, 0]`` whether it has it. ``day``: ns to be added to the time (a date that stands
    elsewhere); ``at_end``: times are those of the end of the transaction; ``written``: how escapes of each slot are
    written; ``used``: the slots that a line may have. Lines that are no contacts get a state that says why."""
    # Places as 64 bits, so that helpers are compiled for one kind of number.
    b, e = np.zeros(kinds.shape[1], np.int64), np.zeros(kinds.shape[1], np.int64)
    for row in range(begins.shape[0]):
        if states[row] != GOOD:
            continue
        k = kinds[row]
        for slot in used:
            if k[slot] != ABSENT:
                b[slot], e[slot] = begins[row, slot], ends[row, slot]
                size = e[slot] - b[slot]
                if size == 0 or (size == 1 and data[b[slot]] == 0x2D):
                    k[slot] = ABSENT
                elif k[slot] == ESCAPED:
                    if written[slot] != PLAIN:
                        e[slot] = unescape(data, b[slot], e[slot], written[slot])
                    k[slot] = TEXT
        good = True
        took = -1
        if k[_ELAPSED] != ABSENT:
            good, took = duration(data, b[_ELAPSED], e[_ELAPSED], unit, unit_decimal)
        status = received = sent = -1
        port = -1
        if k[_STATUS] != ABSENT and good:
            good, status = number(data, b[_STATUS], e[_STATUS])
        if k[_BYTES_IN] != ABSENT and good:
            good, received = number(data, b[_BYTES_IN], e[_BYTES_IN])
        if k[_BYTES_OUT] != ABSENT and good:
            good, sent = number(data, b[_BYTES_OUT], e[_BYTES_OUT])
        milliseconds = 0
        if k[_FRACTION] != ABSENT and good:
            good, milliseconds = number(data, b[_FRACTION], e[_FRACTION])
        if k[_PORT] != ABSENT and good:
            good, port = number(data, b[_PORT], e[_PORT])
        if not good:
            states[row] = NO_NUMBER
            continue

        ts = NO_TIME
        if k[_TIME] != ABSENT:
            ts = clock(data, b[_TIME], e[_TIME], first_clock)
        if k[_TIME2] != ABSENT and ts != NO_TIME:
            more = clock(data, b[_TIME2], e[_TIME2], second_clock)
            ts = NO_TIME if more == NO_TIME else ts + more
        if ts == NO_TIME or not 0 <= milliseconds < 1000:
            states[row] = NO_TIME_HERE
            continue
        ts += day + milliseconds * 1_000_000
        if at_end and took > 0:
            ts -= took

        if k[_ADDRESS] != ABSENT:
            begin, end = client(data, b[_ADDRESS], e[_ADDRESS])
            b[_ADDRESS], e[_ADDRESS] = begin, cut_text(data, begin, end, LONGEST_HOST)
            if end <= begin:
                k[_ADDRESS] = ABSENT
        if k[_USER] != ABSENT and e[_USER] - b[_USER] > LONGEST_HOST:
            e[_USER] = cut_text(data, b[_USER], e[_USER], LONGEST_HOST)
        if k[_ADDRESS] == ABSENT and k[_USER] == ABSENT:
            states[row] = NO_CLIENT
            continue

        tunnel = k[_METHOD] != ABSENT and e[_METHOD] - b[_METHOD] == 7
        if tunnel:
            at = b[_METHOD]
            tunnel = data[at] | 0x20 == 0x63 and data[at + 1] | 0x20 == 0x6F and data[at + 6] | 0x20 == 0x74
        host_begin = host_end = -1
        named = False
        if k[_URL] != ABSENT:
            begin, end = b[_URL], e[_URL]
            at = begin
            while at < end and at < begin + _LONGEST_SCHEME and CLASS[data[at]] & SCHEME_LETTER:
                at += 1
            if (
                end - at > 2
                and data[at] == 0x3A
                and data[at + 1] == 0x2F
                and data[at + 2] == 0x2F
                and at > begin
            ):
                if at - begin == 12 and holds(data, begin, at, b"cache_object"):
                    states[row] = INTERNAL
                    continue
                b[_SCHEME], e[_SCHEME], k[_SCHEME] = begin, at, TEXT
                begin = at + 3
            if begin < end and data[begin] != 0x2F:
                named = True
                # error:invalid-request, urn:isbn:0: no destination, and nothing broken
                other = k[_SCHEME] == ABSENT and at > begin and data[at] == 0x3A and data[begin] != 0x5B
                host_begin, host_end, found, stop = authority(data, begin, end)
                if host_end < 0:
                    states[row] = NOWHERE if other or data[begin] == 0x2A else NO_HOST
                    continue
                if found >= 0:
                    port = found
                begin = stop
            if k[_METHOD] == ABSENT and k[_SCHEME] == ABSENT and port > 0 and begin == end:
                tunnel = True  # nothing but CONNECT asks for a host and a port alone
            if begin < end and k[_PATH] == ABSENT:
                b[_PATH], e[_PATH], k[_PATH] = begin, end, TEXT
        long = k[_PATH] != ABSENT and e[_PATH] - b[_PATH] > 16
        if long and holds(data, b[_PATH], b[_PATH] + 16, b"/squid-internal-"):
            states[row] = INTERNAL
            continue
        if not named and k[_HOST] != ABSENT:
            host_begin, host_end, found, stop = authority(data, b[_HOST], e[_HOST])
            if host_end < 0:
                states[row] = NO_HOST
                continue
            named = True
            if found >= 0 and port < 0:
                port = found
        if not named and k[_SNI] == ABSENT:
            states[row] = NOWHERE
            continue
        if k[_SERVER] != ABSENT:
            # The address of another proxy is not that of the destination; before Squid 3.2 it may be a name.
            begin, end = client(data, b[_SERVER], e[_SERVER])
            b[_SERVER], e[_SERVER] = begin, end
            last = e[_HIERARCHY]
            direct = k[_HIERARCHY] == ABSENT or (
                data[last - 1] == 0x54 and data[last - 2] == 0x43
            )  # ...DIRECT
            if not is_address(data, begin, end) or (
                not direct
                and (
                    holds(data, b[_HIERARCHY], e[_HIERARCHY], b"PARENT")
                    or holds(data, b[_HIERARCHY], e[_HIERARCHY], b"SIBLING")
                    or holds(data, b[_HIERARCHY], e[_HIERARCHY], b"CARP")
                )
            ):
                k[_SERVER] = ABSENT
        if k[_SNI] != ABSENT and (not named or is_address(data, host_begin, host_end)):
            begin, end, _, stop = authority(data, b[_SNI], e[_SNI])
            if end >= 0:  # the name says more than the address
                if named and k[_SERVER] == ABSENT:
                    b[_SERVER], e[_SERVER], k[_SERVER] = host_begin, host_end, TEXT
                host_begin, host_end = begin, end
            elif not named:
                states[row] = NO_HOST
                continue
        b[_HOST], e[_HOST], k[_HOST] = host_begin, host_end, TEXT

        if tunnel:
            k[_SCHEME], k[_PATH] = ABSENT, ABSENT
        elif k[_SCHEME] != ABSENT:
            e[_SCHEME] = cut_text(data, b[_SCHEME], e[_SCHEME], _LONGEST_SCHEME)
            lower(data, b[_SCHEME], e[_SCHEME])
            if port < 0:
                port = port_of(data, b[_SCHEME], e[_SCHEME])
        for slot in (
            _PATH,
            _QUERY,
            _REFERER,
            _LOCATION,
            _AGENT,
            _MIME,
            _CATEGORY,
            _ACTION,
            _METHOD,
            _VERDICT,
        ):
            if k[slot] != ABSENT:
                longest = LONGEST_URL if slot in (_PATH, _REFERER, _LOCATION) else 1024
                if e[slot] - b[slot] > longest:
                    e[slot] = cut_text(data, b[slot], e[slot], longest)
        for slot in used:
            places[slot, made, 0], places[slot, made, 1], sorts[slot, made, 0] = b[slot], e[slot], k[slot]
        out[_N_TS, made], out[_N_DURATION, made] = ts, took
        out[_N_PORT, made] = port if 0 < port <= 65_535 else -1
        out[_N_STATUS, made] = status if status < 1000 else -1
        out[_N_IN, made], out[_N_OUT, made] = received, sent
        out[_N_TUNNEL, made] = 1 if tunnel else 0
        made += 1
    return made


class Cut(Protocol):
    """Cuts lines (where they begin and end, and their states) into fields: writes where the value of each slot begins
    and ends, and what it is; kinds are all absent before. As ``scan`` does."""

    def __call__(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray,
        begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray, /,
    ) -> None: ...  # fmt: skip


@dataclass
class Contacts:
    """How a log's fields become contacts. ``has``: the slots that it has; ``written``: how escapes of each are written
    (uint8); ``clocks``: plans of its time, and of a time of day that stands apart; ``unit``: ns of its durations, with
    a decimal point and without; ``at_end``: its times are those of the end."""

    source: str
    has: frozenset[str]
    clocks: tuple[np.ndarray, np.ndarray]
    written: np.ndarray
    unit: tuple[int, int] = (1_000_000, 1_000_000_000)
    at_end: bool = True
    day: int = 0
    refusals: frozenset[str] | None = None  # words of the verdict that mean it; None: those of common proxies

    def batch(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray, cut: Cut
    ) -> tuple[str, pa.RecordBatch] | None:
        """Contacts of the lines whose state is good, None if there is none; ``states`` says what became of the others.
        ``cut``: see ``Cut``; it is asked for a few lines at a time, whose fields stay in the cache."""
        numbers = np.empty((7, len(states)), np.int64)
        # One layout of places for all readers is one compiled kernel (``encode``).
        places = np.empty((len(SLOTS), len(states), 2), np.int32)
        sorts = np.empty((len(SLOTS), len(states), 2), np.uint8)
        begins, ends = np.empty((_AT_ONCE, len(SLOTS)), np.int32), np.empty((_AT_ONCE, len(SLOTS)), np.int32)
        kinds, used = np.empty((_AT_ONCE, len(SLOTS)), np.uint8), self._used()
        rows = 0
        for first in range(0, len(states), _AT_ONCE):
            some = slice(first, min(first + _AT_ONCE, len(states)))
            size = some.stop - first
            kinds[:] = ABSENT
            cut(data, lines[some], stops[some], states[some], begins[:size], ends[:size], kinds[:size])
            rows = interpret(
                data, begins[:size], ends[:size], kinds[:size], states[some], *self.clocks, self.day, *self.unit,
                self.at_end, self.written, used, numbers, places, sorts, rows,
            )  # fmt: skip
        if not rows:
            return None
        numbers = numbers[:, :rows]

        def place(slot: int) -> encode.Places:
            return data, places[slot, :rows, 0], places[slot, :rows, 1], sorts[slot, :rows, 0]

        def word(slot: int) -> pa.DictionaryArray:
            if SLOTS[slot] in self.has or slot in (_HOST, _SCHEME, _SERVER):
                return encode.words(place(slot))
            return encode.constant("", rows)

        address, user, action = word(_ADDRESS), word(_USER), word(_ACTION)
        columns: dict[str, Any] = {
            "ts": numbers[_N_TS],
            "terminal": _either(address, user),
            "address": address,
            "user": user,
            "host": word(_HOST),
            "port": numbers[_N_PORT],
            "server": word(_SERVER),
            "via": encode.one_of((HTTP, TUNNEL), numbers[_N_TUNNEL]),
            "scheme": word(_SCHEME),
            "method": word(_METHOD),
            "path": self._path(place),
            "status": numbers[_N_STATUS],
            "action": action,
            "refused": _refused(action),
            "bytes_in": numbers[_N_IN],
            "bytes_out": numbers[_N_OUT],
            "duration": numbers[_N_DURATION],
        }
        if "verdict" in self.has:
            columns["refused"] = pc.or_(columns["refused"], _refused(word(_VERDICT), self.refusals))
        for name, slot in (("agent", _AGENT), ("mime", _MIME), ("category", _CATEGORY)):
            if name in self.has:
                columns[name] = word(slot)
        for name, slot in (("referer", _REFERER), ("location", _LOCATION)):
            if name in self.has:
                columns[name] = encode.texts(place(slot))
        return encode.contacts(rows, self.source, columns)

    def _used(self) -> np.ndarray:
        """The slots that a line of this log may have a value for after reading."""
        made = self.has | {"host", "scheme", "path", "server"}
        return np.array([slot for slot, name in enumerate(SLOTS) if name in made], np.int64)

    def _path(self, place: Any) -> pa.StringArray:
        path = encode.texts(place(_PATH))
        if "query" not in self.has:
            return path
        query = encode.texts(place(_QUERY))
        mark = pc.if_else(pc.or_(pc.equal(query, ""), pc.starts_with(query, "?")), "", "?")
        whole = pc.binary_join_element_wise(path, mark, query, "")
        long = pc.greater(pc.binary_length(whole), LONGEST_URL)
        return pc.if_else(long, pc.utf8_slice_codeunits(whole, 0, LONGEST_URL // 4), whole)


def _either(address: pa.DictionaryArray, user: pa.DictionaryArray) -> pa.DictionaryArray:
    """The address, or the user where none is written down."""
    if not pc.any(pc.equal(address.dictionary, "")).as_py():
        return address
    missing = pc.equal(address.cast(pa.string()), "")
    return pc.if_else(missing, user.cast(pa.string()), address.cast(pa.string())).dictionary_encode()


def _refused(action: pa.DictionaryArray, refusals: frozenset[str] | None = None) -> pa.BooleanArray:
    """Does the proxy say that it did not let it through?"""
    if refusals is None:
        said = pc.match_substring_regex(action.dictionary, _REFUSED, ignore_case=True)
    else:
        said = pc.is_in(pc.utf8_lower(action.dictionary), pa.array(sorted(refusals), pa.string()))
    return said.take(action.indices)
