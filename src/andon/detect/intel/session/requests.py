"""HTTP requests out of what a honeypot received without knowing the protocol: bytes in, method, URI and body out."""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 16  # requests of one payload
_LINE: Final = re.compile(
    rb"([A-Z]{3,12}) (\S[^\r\n]{0,8191}?)(?: (?:HTTP|RTSP|SIP)/\d(?:\.\d)?)?\r?(?:\n|$)"
)
_METHODS: Final = frozenset(
    b"GET POST PUT HEAD DELETE OPTIONS PATCH TRACE CONNECT PROPFIND SUBSCRIBE MOVE COPY SEARCH NOTIFY".split()
)


def parsed(data: bytes) -> list[tuple[str, str, str]]:
    """(method, URI, rest of the request: header lines and body) of the requests in a payload, in order.

    >>> parsed(b"GET /shell?id HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    [('GET', '/shell?id', 'Host: x')]
    """
    found = _LINE.match(data)
    if found is None or found.group(1) not in _METHODS:
        return []
    starts = [found]
    # Pipelined requests: a line of a request that comes after an empty line.
    at = found.end()
    while len(starts) < MOST:
        gap = data.find(b"\r\n\r\n", at)
        if gap < 0:
            break
        more = _LINE.match(data, gap + 4)
        if more is not None and more.group(1) in _METHODS and b" HTTP/" in more.group():
            starts.append(more)
            at = more.end()
        else:
            at = gap + 4
    made = []
    for place, one in enumerate(starts):
        end = starts[place + 1].start() if place + 1 < len(starts) else len(data)
        rest = data[one.end() : end].strip(b"\r\n")
        made.append((one.group(1).decode(), one.group(2).decode("latin-1"), rest.decode("latin-1")))
    return made
