"""Lines written as Squid writes them: its native format, and its ``combined`` one.

native: ``%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt`` (time of the end);
combined: ``%>a %[ui %[un [%tl] "%rm %ru HTTP/%rv" %>Hs %<st "%{Referer}>h" "%{User-Agent}>h" %Ss:%Sh``.
See https://www.squid-cache.org/Doc/config/logformat/. Like Squid, both are in the order in which transactions ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from .lines import FROM_CACHE, METHODS, REFUSED, STATUS
from .paths import MIMES, Paths
from .people import AGENTS, People
from .scenario import DAY, Scenario
from .sites import Sites

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
Texts = tuple[np.ndarray, np.ndarray]


def texts(values: pa.Array | list[str]) -> Texts:
    """(bytes, offsets) of texts."""
    made = pa.array(values, pa.string()) if isinstance(values, list) else values.cast(pa.string())
    if isinstance(made, pa.ChunkedArray):
        made = made.combine_chunks()
    _, offsets, data = made.buffers()
    ends = np.frombuffer(offsets, np.int32)[made.offset : made.offset + len(made) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return held, ends


@dataclass
class Squid:
    """Writes blocks of lines. ``combined``: in that format."""

    scenario: Scenario
    who: People
    dest: Sites
    pool: Paths
    combined: bool = False

    def __post_init__(self) -> None:
        self._prefix, self._path = texts(self.dest.prefix), texts(self.pool.text)
        self._origin = texts(self.dest.origin)
        self._mime = texts([MIMES[m] for m in self.pool.mime.tolist()])
        self._users = texts([user or "-" for user in self.who.users])
        self._agents, self._methods = texts(list(AGENTS)), texts(list(METHODS))
        shown = [f"{code}/{status:03d}" for code, status in STATUS]
        way = ["HIER_NONE" if i in (*FROM_CACHE, *REFUSED) else "HIER_DIRECT" for i in range(len(STATUS))]
        if self.combined:
            shown = [f"{status:03d} {code}:{by}" for (code, status), by in zip(STATUS, way, strict=True)]
        self._status = texts(shown)
        self._direct = np.array([by == "HIER_DIRECT" for by in way])
        self._day, self._addresses = -1, texts([])
        length = np.diff(self._prefix[1])
        self._host_length, self._path_length = length, np.diff(self._path[1])

    def text(self, block: np.ndarray) -> bytes:
        """The lines, in their order. All are of the day (of the addresses) on which the first ended."""
        if not len(block):
            return b""
        day = int(block["ts"][0] + block["elapsed"][0]) // DAY
        if day != self._day:
            # What ended today may have begun yesterday, when its terminal had another address.
            both = self.who.addresses(max(day - 1, 0)) + self.who.addresses(day)
            self._day, self._addresses = day, texts(both)
        room = int(
            self._host_length[block["host"]].sum() + self._path_length[block["path"]].sum()
        ) + 260 * len(block)
        if self.combined:
            room += int(
                self._host_length[block["ref_host"]].sum() + self._path_length[block["ref_path"]].sum()
            )
            room += 130 * len(block)
        out = np.empty(room, np.uint8)
        month = np.frombuffer("".join(_MONTHS).encode(), np.uint8)
        end = _write(
            block, self.scenario.begin, self.combined, *self._prefix, *self._origin, *self._path, *self._mime,
            *self._users, *self._agents, *self._methods, *self._status, self._direct, *self._addresses,
            self.dest.server, month, day * DAY, self.who.count, out,
        )  # fmt: skip
        return out[:end].tobytes()


@njit(cache=True, nogil=True)
def _put(out: np.ndarray, at: int, data: np.ndarray, ends: np.ndarray, which: int) -> int:
    for i in range(ends[which], ends[which + 1]):
        out[at] = data[i]
        at += 1
    return at


@njit(cache=True, nogil=True)
def _number(out: np.ndarray, at: int, value: int, width: int, fill: int) -> int:
    """``value`` in decimal, filled up to ``width`` from the left."""
    digits, rest = 1, value // 10
    while rest:
        digits += 1
        rest //= 10
    total = max(digits, width)
    for i in range(total):
        if i < digits:
            out[at + total - 1 - i] = 48 + value % 10
            value //= 10
        else:
            out[at + total - 1 - i] = fill
    return at + total


@njit(cache=True, nogil=True)
def _hex(out: np.ndarray, at: int, value: int) -> int:
    shift = 28
    while shift > 0 and value >> shift == 0:
        shift -= 4
    while shift >= 0:
        digit = value >> shift & 15
        out[at] = 48 + digit if digit < 10 else 87 + digit
        at += 1
        shift -= 4
    return at


@njit(cache=True, nogil=True)
def _address(out: np.ndarray, at: int, value: int) -> int:
    for shift in (24, 16, 8, 0):
        at = _number(out, at, value >> shift & 255, 1, 48)
        if shift:
            out[at] = 46
            at += 1
    return at


@njit(cache=True, nogil=True)
def _clock(out: np.ndarray, at: int, seconds: int, month_names: np.ndarray) -> int:
    """``06/Apr/2026:08:15:30 +0000``."""
    days, rest = seconds // 86400, seconds % 86400
    z = days + 719468  # days since 1 March of year 0; the calendar repeats every 146,097 days
    era = z // 146097
    of_era = z - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    m = (5 * of_year + 2) // 153
    day = of_year - (153 * m + 2) // 5 + 1
    month = m + 2 if m < 10 else m - 10  # 0 is January
    year = year + era * 400 + (1 if month <= 1 else 0)
    at = _number(out, at, day, 2, 48)
    out[at] = 47
    for i in range(3):
        out[at + 1 + i] = month_names[3 * month + i]
    out[at + 4] = 47
    at = _number(out, at + 5, year, 4, 48)
    for part in (rest // 3600, rest // 60 % 60, rest % 60):
        out[at] = 58
        at = _number(out, at + 1, part, 2, 48)
    out[at] = 32
    out[at + 1] = 43
    for i in range(4):
        out[at + 2 + i] = 48
    return at + 6


@njit(cache=True, nogil=True)
def _write(
    block: np.ndarray, begin: int, combined: bool, prefix: np.ndarray, prefix_ends: np.ndarray, origin: np.ndarray,
    origin_ends: np.ndarray, path: np.ndarray,
    path_ends: np.ndarray, mime: np.ndarray, mime_ends: np.ndarray, users: np.ndarray, user_ends: np.ndarray,
    agents: np.ndarray, agent_ends: np.ndarray, methods: np.ndarray, method_ends: np.ndarray, status: np.ndarray,
    status_ends: np.ndarray, direct: np.ndarray, clients: np.ndarray, client_ends: np.ndarray, servers: np.ndarray,
    months: np.ndarray, midnight: int, terminals: int, out: np.ndarray,
) -> int:  # fmt: skip
    at = 0
    for i in range(block.shape[0]):
        one = block[i]
        end = begin + one.ts + one.elapsed
        client = one.terminal + terminals if one.ts >= midnight else one.terminal
        if combined:
            at = _put(out, at, clients, client_ends, client)
            out[at], out[at + 1], out[at + 2] = 32, 45, 32
            at = _put(out, at + 3, users, user_ends, one.terminal)
            out[at], out[at + 1] = 32, 91
            at = _clock(out, at + 2, end // 1000, months)
            out[at], out[at + 1], out[at + 2] = 93, 32, 34
            at += 3
        else:
            at = _number(out, at, end // 1000, 1, 48)
            out[at] = 46
            at = _number(out, at + 1, end % 1000, 3, 48)
            out[at] = 32
            at = _number(out, at + 1, one.elapsed, 6, 32)
            out[at] = 32
            at = _put(out, at + 1, clients, client_ends, client)
            out[at] = 32
            at = _put(out, at + 1, status, status_ends, one.status)
            out[at] = 32
            at = _number(out, at + 1, one.size, 1, 48)
            out[at] = 32
            at += 1
        at = _put(out, at, methods, method_ends, one.method)
        out[at] = 32
        at = _put(out, at + 1, prefix, prefix_ends, one.host)
        if one.path >= 0:
            at = _put(out, at, path, path_ends, one.path)
            if one.tail:
                at = _hex(out, at, one.tail)
        out[at] = 32
        at += 1
        if combined:
            for c in (72, 84, 84, 80, 47, 49, 46, 49, 34, 32):  # HTTP/1.1"
                out[at] = c
                at += 1
            # The status text is "200 TCP_MISS:HIER_DIRECT": its first three bytes here, the rest at the end.
            for j in range(3):
                out[at + j] = status[status_ends[one.status] + j]
            out[at + 3] = 32
            at = _number(out, at + 4, one.size, 1, 48)
            out[at], out[at + 1] = 32, 34
            at += 2
            if one.ref_host >= 0:
                at = _put(out, at, origin, origin_ends, one.ref_host)
                at = _put(out, at, path, path_ends, one.ref_path)
            else:
                out[at] = 45
                at += 1
            out[at], out[at + 1], out[at + 2] = 34, 32, 34
            at = _put(out, at + 3, agents, agent_ends, one.agent)
            out[at], out[at + 1] = 34, 32
            at += 2
            for j in range(status_ends[one.status] + 4, status_ends[one.status + 1]):
                out[at] = status[j]
                at += 1
        else:
            at = _put(out, at, users, user_ends, one.terminal)
            out[at], out[at + 1], out[at + 2], out[at + 3], out[at + 4], out[at + 5] = 32, 72, 73, 69, 82, 95
            at += 6
            if direct[one.status]:
                for c in (68, 73, 82, 69, 67, 84, 47):
                    out[at] = c
                    at += 1
                at = _address(out, at, np.int64(servers[one.host]))
            else:
                for c in (78, 79, 78, 69, 47, 45):
                    out[at] = c
                    at += 1
            out[at] = 32
            at += 1
            if one.path >= 0 and one.status not in (3, 4, 12):
                at = _put(out, at, mime, mime_ends, one.path)
            else:
                out[at] = 45
                at += 1
        out[at] = 10
        at += 1
    return at
