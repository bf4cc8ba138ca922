"""Who a request was for: host, port and path out of method, URL and Host header, where they lie in the lines.

To an explicit proxy a client says the whole URL (RFC 9112, 3.2.2) or CONNECT and an authority (3.2.3); then the server
that a sensor saw is the proxy, and the host of the contact is that of the URL. Otherwise it is the Host header, and
without one the server's address.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from andon.observe.jsonlines.kernel import ABSENT, TEXT
from andon.observe.logs.encode import Places

DIRECT, ABSOLUTE_HTTP, ABSOLUTE_HTTPS, ABSOLUTE_OTHER, CONNECT = 0, 1, 2, 3, 4
_SLASH, _COLON, _AT, _DOT = 0x2F, 0x3A, 0x40, 0x2E


@dataclass(frozen=True)
class Target:
    """``host`` and ``path`` are places; ``form``: DIRECT, ABSOLUTE_..., CONNECT; ``port``: int64, -1 if unknown."""

    host: Places
    path: Places
    port: np.ndarray
    form: np.ndarray


@njit(cache=True, nogil=True)
def _resolve(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    ports: np.ndarray,
    out_begins: np.ndarray,
    out_ends: np.ndarray,
    out_kinds: np.ndarray,
    form: np.ndarray,
) -> None:
    """Columns of ``begins``...: method, URL, Host header, server; of ``out_begins``...: host, path. ``ports`` holds the
    server's ports and is changed."""
    for row in range(begins.shape[0]):
        method, at, end = begins[row, 0], begins[row, 1], ends[row, 1]
        if kinds[row, 1] == ABSENT:
            end = at
        connect = kinds[row, 0] != ABSENT and ends[row, 0] - method == 7
        if connect:
            connect = (
                data[method] | 0x20 == 0x63 and data[method + 1] | 0x20 == 0x6F
                and data[method + 2] | 0x20 == 0x6E and data[method + 6] | 0x20 == 0x74
            )  # fmt: skip
        said = DIRECT
        first, last = begins[row, 2], ends[row, 2]  # of the authority
        if kinds[row, 2] == ABSENT:
            last = first
        path = at
        if connect:
            said = CONNECT
            if end > at:
                first, last = at, end
            path = end
        elif end > at and data[at] != _SLASH:
            mark = at
            while mark < end and mark - at < 12 and data[mark] != _COLON:
                mark += 1
            if (
                mark > at
                and mark + 2 < end
                and data[mark] == _COLON
                and data[mark + 1] == _SLASH
                and data[mark + 2] == _SLASH
            ):
                said = ABSOLUTE_OTHER
                if data[at] | 0x20 == 0x68 and mark - at == 4:
                    said = ABSOLUTE_HTTP
                elif data[at] | 0x20 == 0x68 and mark - at == 5:
                    said = ABSOLUTE_HTTPS
                first = mark + 3
                last = first
                while last < end and data[last] not in (_SLASH, 0x3F, 0x23, 0x5C):
                    last += 1
                path = last
            elif data[at] == 0x2A and end - at == 1:
                path = end  # OPTIONS *
        # user@host:port, [address]:port
        for k in range(first, last):
            if data[k] == _AT:
                first = k + 1
        port, stop = -1, last
        if first < last and data[first] == 0x5B:
            close = first
            while close < last and data[close] != 0x5D:
                close += 1
            stop, first = close, first + 1
            colon = close + 1
        else:
            colon, colons = last, 0
            for k in range(first, last):
                if data[k] == _COLON:
                    colon, colons = k, colons + 1
            if colons == 1:
                stop = colon
            else:
                colon = last
        if colon + 1 < last and data[colon] == _COLON:
            port = 0
            for k in range(colon + 1, last):
                digit = int(data[k]) - 0x30
                if digit < 0 or digit > 9 or port > 65_535:
                    port = 1 << 20
                    break
                port = 10 * port + digit
            if port > 65_535:
                port = -1
        while stop > first and data[stop - 1] == _DOT:
            stop -= 1
        if said == DIRECT:
            if ports[row] < 0:
                ports[row] = port
        elif port >= 0 or said in (CONNECT, ABSOLUTE_OTHER):
            ports[row] = port
        else:
            ports[row] = 80 if said == ABSOLUTE_HTTP else 443
        if stop > first:
            out_begins[row, 0], out_ends[row, 0], out_kinds[row, 0] = first, stop, TEXT
        elif said == DIRECT:
            out_begins[row, 0], out_ends[row, 0] = begins[row, 3], ends[row, 3]
            out_kinds[row, 0] = kinds[row, 3]
        else:
            out_kinds[row, 0] = ABSENT
        out_begins[row, 1], out_ends[row, 1] = path, end
        out_kinds[row, 1] = kinds[row, 1] if end > path else ABSENT
        form[row] = said


def target(method: Places, url: Places, host: Places, server: Places, port: np.ndarray) -> Target:
    """Of rows whose four places lie in one buffer; ``port``: of the server, -1 if unknown.

    >>> line = np.frombuffer(b"GET http://u@Www.example.:81/a?b  10.0.0.1" + bytes(16), np.uint8)
    >>> def at(a, b): return line, np.array([a]), np.array([b]), np.array([a < b], np.uint8)
    >>> made = target(at(0, 3), at(4, 32), at(0, 0), at(34, 42), np.array([3128]))
    >>> [line[p[1][0] : p[2][0]].tobytes() for p in (made.host, made.path)], made.port.tolist()
    ([b'Www.example', b'/a?b'], [81])
    """
    rows = len(port)
    begins, ends = np.empty((rows, 4), np.int32), np.empty((rows, 4), np.int32)
    kinds = np.empty((rows, 4), np.uint8)
    for column, place in enumerate((method, url, host, server)):
        begins[:, column], ends[:, column], kinds[:, column] = place[1], place[2], place[3]
    out_begins, out_ends = np.zeros((rows, 2), np.int32), np.zeros((rows, 2), np.int32)
    out_kinds, form = np.zeros((rows, 2), np.uint8), np.zeros(rows, np.uint8)
    ports = port.astype(np.int64)
    _resolve(url[0], begins, ends, kinds, ports, out_begins, out_ends, out_kinds, form)
    made = [(url[0], out_begins[:, k], out_ends[:, k], out_kinds[:, k]) for k in range(2)]
    return Target(made[0], made[1], ports, form)


@njit(cache=True, nogil=True)
def _is_address(data: np.ndarray, first: int, last: int) -> bool:
    dots, colons, letters = 0, 0, 0
    for k in range(first, last):
        c = data[k]
        if c == _DOT:
            dots += 1
        elif c == _COLON:
            colons += 1
        elif 0x61 <= c | 0x20 <= 0x66:
            letters += 1
        elif not 0x30 <= c <= 0x39:
            return False
    return (colons >= 2) or (colons == 0 and dots == 3 and letters == 0 and last - first <= 15)


@njit(cache=True, nogil=True)
def _first_item(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    separator: int,
    addresses: bool,
    out_begins: np.ndarray,
    out_ends: np.ndarray,
    out_kinds: np.ndarray,
) -> None:
    for row in range(begins.shape[0]):
        out_kinds[row, 0] = ABSENT
        if kinds[row] == ABSENT:
            continue
        at, end = begins[row], ends[row]
        while at < end:
            stop = at
            while stop < end and data[stop] != separator:
                stop += 1
            first, last = at, stop
            while first < last and (data[first] == 0x5B or data[first] == 0x22 or data[first] == 0x20):
                first += 1
            while last > first and (
                data[last - 1] == 0x5D or data[last - 1] == 0x22 or data[last - 1] == 0x20
            ):
                last -= 1
            good = last > first
            if addresses and good:
                good = _is_address(data, first, last)
            if good:
                out_begins[row, 0], out_ends[row, 0], out_kinds[row, 0] = first, last, TEXT
                break
            at = stop + 1


def first_item(values: Places, separator: str = ",", addresses: bool = False) -> Places:
    """The first item of lists, written ``a,b`` or as JSON; of those that are addresses, the first, if these alone are
    wanted. Absent where there is none."""
    data, begins, ends, kinds = values
    rows = len(begins)
    pair, sorts = np.empty((rows, 2), np.int32), np.empty((rows, 2), np.uint8)
    lasts = np.empty((rows, 2), np.int32)
    pair[:, 0], lasts[:, 0], sorts[:, 0] = begins, ends, kinds
    out_begins, out_ends = np.zeros((rows, 2), np.int32), np.zeros((rows, 2), np.int32)
    out_kinds = np.zeros((rows, 2), np.uint8)
    _first_item(
        data, pair[:, 0], lasts[:, 0], sorts[:, 0], ord(separator), addresses, out_begins, out_ends, out_kinds
    )
    return data, out_begins[:, 0], out_ends[:, 0], out_kinds[:, 0]


@njit(cache=True, nogil=True)
def _first_member(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    name: np.ndarray,
    addresses: bool,
    out_begins: np.ndarray,
    out_ends: np.ndarray,
    out_kinds: np.ndarray,
) -> None:
    size = name.shape[0]
    for row in range(begins.shape[0]):
        out_kinds[row, 0] = ABSENT
        if kinds[row] == ABSENT:
            continue
        at, end = begins[row], ends[row]
        while at + size < end:
            same = True
            for k in range(size):
                if data[at + k] != name[k]:
                    same = False
                    break
            if not same:
                at += 1
                continue
            at += size
            while at < end and (data[at] == 0x20 or data[at] == _COLON):
                at += 1
            if at >= end or data[at] != 0x22:
                continue
            first = at + 1
            last = first
            while last < end and data[last] != 0x22:
                last += 2 if data[last] == 0x5C else 1
            if last < end and last > first and (not addresses or _is_address(data, first, last)):
                out_begins[row, 0], out_ends[row, 0], out_kinds[row, 0] = first, last, TEXT
                break
            at = last + 1


def first_member(values: Places, name: str, addresses: bool = False) -> Places:
    """The first text that has this name in JSON lists of objects; with ``addresses`` the first that is one."""
    data, begins, ends, kinds = values
    rows = len(begins)
    pair, lasts = np.empty((rows, 2), np.int32), np.empty((rows, 2), np.int32)
    sorts = np.empty((rows, 2), np.uint8)
    pair[:, 0], lasts[:, 0], sorts[:, 0] = begins, ends, kinds
    out_begins, out_ends = np.zeros((rows, 2), np.int32), np.zeros((rows, 2), np.int32)
    out_kinds = np.zeros((rows, 2), np.uint8)
    quoted = np.frombuffer(f'"{name}"'.encode(), np.uint8)
    _first_member(
        data, pair[:, 0], lasts[:, 0], sorts[:, 0], quoted, addresses, out_begins, out_ends, out_kinds
    )
    return data, out_begins[:, 0], out_ends[:, 0], out_kinds[:, 0]
