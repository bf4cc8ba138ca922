"""Parts of a line: numbers, hosts in URLs, addresses of clients; compiled, on the bytes where they lie.

URLs are taken apart as RFC 3986 says (3.2), CONNECT's authority as RFC 9110 (9.3.6), with what proxies write besides:
brackets as %5B, names in capitals or with a dot at their end, IPv6 addresses without brackets.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

LONGEST_HOST: Final = 255
_LONGEST_WAIT: Final = 366 * 86_400 * 1_000_000_000  # a transaction that lasted longer did not


def _classes() -> np.ndarray:
    """What each byte may be in a URL."""
    found = np.zeros(256, np.uint8)
    found[:0x21] = found[0x7F] = _BAD
    for letter in b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._":
        found[letter] |= SCHEME_LETTER
    for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        found[letter] |= _CAPITAL
    for letter in b"/?#\\":
        found[letter] = _STOP
    for letter in b"@:[]":
        found[letter] = _MARK
    return found


SCHEME_LETTER, _CAPITAL, _STOP, _BAD, _MARK = 1, 2, 4, 8, 16
_REST = _CAPITAL | _STOP | _BAD | _MARK
CLASS = _classes()


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
def authority(data: np.ndarray, begin: int, end: int) -> tuple[int, int, int, int]:
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
        kind = CLASS[data[stop]]
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
    if last <= begin or last - begin > LONGEST_HOST or seen & _BAD or lone:
        return begin, -1, port, stop
    if seen & _CAPITAL:
        lower(data, begin, last)
    return begin, last, port, stop


@njit(cache=True, nogil=True)
def lower(data: np.ndarray, begin: int, end: int) -> None:
    """Capitals to small letters, of ASCII alone."""
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
    colons, last, seen = 0, end, 0
    for at in range(begin, end):
        c = data[at]
        seen |= CLASS[c]
        if c == 0x3A:
            colons += 1
            last = at
    if seen & (_MARK | _CAPITAL) == 0:
        return begin, end
    if data[begin] == 0x5B:
        begin += 1
        last = begin
        while last < end and data[last] != 0x5D:
            last += 1
        end = last
    elif colons == 1:
        end = last
    if end - begin > 7 and data[begin] == 0x3A and data[begin + 1] == 0x3A and data[begin + 6] == 0x3A:
        mapped = True
        for k in range(2, 6):
            mapped = mapped and data[begin + k] | 0x20 == 0x66
        if mapped and is_address(data, begin + 7, end):
            begin += 7
    lower(data, begin, end)
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
def holds(data: np.ndarray, begin: int, end: int, text: bytes) -> bool:
    """Is this text in that place, somewhere?"""
    for at in range(begin, end - len(text) + 1):
        k = 0
        while k < len(text) and data[at + k] == text[k]:
            k += 1
        if k == len(text):
            return True
    return False


@njit(cache=True, nogil=True)
def port_of(data: np.ndarray, begin: int, end: int) -> int:
    """The port that a scheme stands for; -1 if it is another."""
    size = end - begin
    secure = size > 1 and data[end - 1] == 0x73  # https, wss
    if size == 4 + secure and data[begin] == 0x68 and data[begin + 1] == 0x74:
        return 443 if secure else 80
    if size == 2 + secure and data[begin] == 0x77:
        return 443 if secure else 80
    return 21 if size == 3 and data[begin] == 0x66 else -1
