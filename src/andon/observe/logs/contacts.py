"""Places of fields to contacts: what every text log says of a request, whatever its grammar.

``interpret`` looks at each line once: it puts the time together, reads the numbers, takes the URL apart (RFC 3986, 3.2;
the authority form of CONNECT, RFC 9110, 9.3.6), and moves the places of fields so that they cover just what a contact
has: the host without user information, port, brackets and final dot. Capitals of host names become small letters in the
buffer itself. ``Contacts.batch`` then makes columns (``encode``).
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
NO_TIME_HERE, NO_NUMBER, NO_CLIENT, NO_HOST, NOWHERE, INTERNAL = 10, 11, 12, 13, 20, 21
BROKEN: Final = {
    NO_TIME_HERE: "no valid time",
    NO_NUMBER: "a field that should be a number is none",
    NO_CLIENT: "no client",
    NO_HOST: "not a host name",
}
PASSED: Final = {NOWHERE: "requests without a destination", INTERNAL: "requests for the proxy itself"}
_LONGEST_HOST: Final = 255
_AT_ONCE: Final = 2048  # lines whose places stay in the cache
_LONGEST_WAIT: Final = 366 * 86_400 * 1_000_000_000  # a transaction that lasted longer did not
# Columns of the numbers that `interpret` writes.
_N_TS, _N_PORT, _N_STATUS, _N_IN, _N_OUT, _N_DURATION, _N_TUNNEL = range(7)
_REFUSED: Final = "denied|block|refused"


def _classes() -> np.ndarray:
    """What each byte may be in a URL."""
    found = np.zeros(256, np.uint8)
    found[:0x21] = found[0x7F] = _BAD
    for letter in b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._":
        found[letter] |= _SCHEME_LETTER
    for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        found[letter] |= _CAPITAL
    for letter in b"/?#\\":
        found[letter] = _STOP
    for letter in b"@:[]":
        found[letter] = _MARK
    return found


_SCHEME_LETTER, _CAPITAL, _STOP, _BAD, _MARK = 1, 2, 4, 8, 16
_REST = _CAPITAL | _STOP | _BAD | _MARK
_CLASS = _classes()


@njit(cache=True, nogil=True)
def number(data: np.ndarray, at: int, end: int) -> tuple[bool, int]:
    """(is it one, its value): -1 for one below 0 or beyond 18 digits."""
    negative = at < end and data[at] == 0x2D
    if negative:
        at += 1
    begin, value = at, 0
    while at < end and 0x30 <= data[at] <= 0x39:
        if at - begin < 18:
            value = 10 * value + (int(data[at]) - 0x30)
        at += 1
    if at == begin or at != end:
        return False, -1
    return True, -1 if negative or end - begin > 18 else value


@njit(cache=True, nogil=True)
def duration(data: np.ndarray, at: int, end: int, unit: int, unit_decimal: int) -> tuple[bool, int]:
    """``number`` of ns, of a count of ``unit`` ns, or with a decimal point of ``unit_decimal``."""
    point = at
    while point < end and data[point] != 0x2E:
        point += 1
    good, whole = number(data, at, point)
    if not good or whole < 0:
        return good, -1
    if point < end:
        unit = unit_decimal
    if whole > _LONGEST_WAIT // unit:
        return True, -1
    value, scale = whole * unit, unit
    for place in range(point + 1, end):
        if not 0x30 <= data[place] <= 0x39:
            return False, -1
        scale //= 10
        value += (int(data[place]) - 0x30) * scale
    return True, value


@njit(cache=True, nogil=True)
def _authority(data: np.ndarray, begin: int, end: int) -> tuple[int, int, int, int]:
    """(begin, end, port, place behind) of the host in ``user:password@host:port``, which ends before a slash, question
    mark or hash; lowered where it lies. The end is -1 where that is no host; no port is -1, one that is none 0."""
    if end - begin > 6 and data[begin] == 0x25 and data[begin + 1] == 0x35 and data[begin + 2] | 0x20 == 0x62:
        for at in range(begin + 3, end - 2):  # Squid writes %5B::1%5D
            if data[at] == 0x25 and data[at + 1] == 0x35 and data[at + 2] | 0x20 == 0x64:
                for place in range(at - 1, begin + 2, -1):
                    data[place + 2] = data[place]
                begin += 4
                data[begin], data[at + 2] = 0x5B, 0x5D
                break
    colons, colon, opened, closed, seen = 0, end, -1, -1, 0
    stop = begin
    while stop < end:
        kind = _CLASS[data[stop]]
        if kind & _REST:
            if kind & _STOP:
                break
            c = data[stop]
            if c == 0x40:  # what was before is user information
                begin, colons, opened, closed, seen = stop + 1, 0, -1, -1, 0
            elif c == 0x3A:
                if opened < 0 or closed >= 0:
                    colons += 1
                    colon = stop
            elif c == 0x5B:
                if opened >= 0 or stop != begin:
                    seen |= _BAD
                opened = stop
            elif c == 0x5D:
                if opened < 0 or closed >= 0:
                    seen |= _BAD
                closed = stop
            else:
                seen |= kind
        stop += 1
    last = stop
    if opened >= 0:
        if closed < 0 or (closed + 1 < last and (colons != 1 or colon != closed + 1)):
            return begin, -1, -1, stop
        begin, last = opened + 1, closed
    elif colons == 1:  # more are an IPv6 address without brackets
        last = colon
    port = -1
    if colons == 1 and colon + 1 < stop:
        good, port = number(data, colon + 1, stop)
        if not good:
            return begin, -1, -1, stop
        if not 0 < port <= 65_535:
            port = 0  # there is one, and it is nonsense
    elif colons > 1 and opened < 0 and not is_address(data, begin, last):
        return begin, -1, -1, stop
    while last > begin and data[last - 1] == 0x2E:
        last -= 1
    lone = last == begin + 1 and data[begin] == 0x2A
    if last <= begin or last - begin > _LONGEST_HOST or seen & _BAD or lone:
        return begin, -1, port, stop
    if seen & _CAPITAL:
        _lower(data, begin, last)
    return begin, last, port, stop


@njit(cache=True, nogil=True)
def _lower(data: np.ndarray, begin: int, end: int) -> None:
    for at in range(begin, end):
        if 0x41 <= data[at] <= 0x5A:
            data[at] = data[at] | 0x20


@njit(cache=True, nogil=True)
def is_address(data: np.ndarray, begin: int, end: int) -> bool:
    """Does it look like an IPv4 or IPv6 address (and like no name)?"""
    dots, colons, others = 0, 0, 0
    for at in range(begin, end):
        c = data[at]
        if c == 0x2E:
            dots += 1
        elif c == 0x3A:
            colons += 1
        elif not 0x30 <= c <= 0x39:
            if c == 0x25 and colons > 1:  # %eth0
                break
            others += 1 if 0x61 <= c | 0x20 <= 0x66 else 1000
    return (dots == 3 and others == 0 and colons == 0) or (colons >= 2 and others < 1000)


@njit(cache=True, nogil=True)
def client(data: np.ndarray, begin: int, end: int) -> tuple[int, int]:
    """(begin, end) of an address without brackets, a port behind it and the mapping of IPv4 into IPv6, lowered."""
    if begin < end and data[begin] == 0x5B:
        begin += 1
        at = begin
        while at < end and data[at] != 0x5D:
            at += 1
        end = at
    else:
        colons, last = 0, end
        for at in range(begin, end):
            if data[at] == 0x3A:
                colons += 1
                last = at
        if colons == 1:
            end = last
    if end - begin > 7 and data[begin] == 0x3A and data[begin + 1] == 0x3A and data[begin + 6] == 0x3A:
        mapped = True
        for k in range(2, 6):
            mapped = mapped and data[begin + k] | 0x20 == 0x66
        if mapped and is_address(data, begin + 7, end):
            begin += 7
    _lower(data, begin, end)
    return begin, end


@njit(cache=True, nogil=True)
def cut_text(data: np.ndarray, begin: int, end: int, longest: int) -> int:
    """The end of a text that is kept, not in the middle of a character."""
    if end - begin <= longest:
        return end
    end = begin + longest
    while end > begin and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


@njit(cache=True, nogil=True)
def _holds(data: np.ndarray, begin: int, end: int, text: bytes) -> bool:
    """Is this text in that place, somewhere?"""
    for at in range(begin, end - len(text) + 1):
        k = 0
        while k < len(text) and data[at + k] == text[k]:
            k += 1
        if k == len(text):
            return True
    return False


@njit(cache=True, nogil=True)
def _port_of(data: np.ndarray, begin: int, end: int) -> int:
    """The port that a scheme stands for; -1 if it is another."""
    size = end - begin
    secure = size > 1 and data[end - 1] == 0x73  # https, wss
    if size == 4 + secure and data[begin] == 0x68 and data[begin + 1] == 0x74:
        return 443 if secure else 80
    if size == 2 + secure and data[begin] == 0x77:
        return 443 if secure else 80
    return 21 if size == 3 and data[begin] == 0x66 else -1


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
            b[_ADDRESS], e[_ADDRESS] = begin, cut_text(data, begin, end, _LONGEST_HOST)
            if end <= begin:
                k[_ADDRESS] = ABSENT
        if k[_USER] != ABSENT:
            e[_USER] = cut_text(data, b[_USER], e[_USER], _LONGEST_HOST)
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
            while at < end and _CLASS[data[at]] & _SCHEME_LETTER:
                at += 1
            if (
                end - at > 2
                and data[at] == 0x3A
                and data[at + 1] == 0x2F
                and data[at + 2] == 0x2F
                and at > begin
            ):
                if at - begin == 12 and _holds(data, begin, at, b"cache_object"):
                    states[row] = INTERNAL
                    continue
                b[_SCHEME], e[_SCHEME], k[_SCHEME] = begin, at, TEXT
                begin = at + 3
            if begin < end and data[begin] != 0x2F:
                named = True
                # error:invalid-request, urn:isbn:0: no destination, and nothing broken
                other = k[_SCHEME] == ABSENT and at > begin and data[at] == 0x3A and data[begin] != 0x5B
                host_begin, host_end, found, stop = _authority(data, begin, end)
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
        if long and _holds(data, b[_PATH], b[_PATH] + 16, b"/squid-internal-"):
            states[row] = INTERNAL
            continue
        if not named and k[_HOST] != ABSENT:
            host_begin, host_end, found, stop = _authority(data, b[_HOST], e[_HOST])
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
                    _holds(data, b[_HIERARCHY], e[_HIERARCHY], b"PARENT")
                    or _holds(data, b[_HIERARCHY], e[_HIERARCHY], b"SIBLING")
                    or _holds(data, b[_HIERARCHY], e[_HIERARCHY], b"CARP")
                )
            ):
                k[_SERVER] = ABSENT
        if k[_SNI] != ABSENT and (not named or is_address(data, host_begin, host_end)):
            begin, end, _, stop = _authority(data, b[_SNI], e[_SNI])
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
            e[_SCHEME] = cut_text(data, b[_SCHEME], e[_SCHEME], 32)
            _lower(data, b[_SCHEME], e[_SCHEME])
            if port < 0:
                port = _port_of(data, b[_SCHEME], e[_SCHEME])
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
