"""Ids of intents: 63 bits, 42 of them the time in milliseconds, so that they sort by when they were made."""

from __future__ import annotations

import secrets
import threading
import time

_RANDOM = 21
_SECOND = 1000 << _RANDOM
_last = [0]
_mutex = threading.Lock()


def new_id(now: int | None = None) -> int:
    """An id for an intent made at ``now`` (ns since 1970). Within a process they grow as long as the time does;
    two processes meet in the same millisecond once in two million times, and the log then refuses the second.

    >>> new_id(1_767_225_600_000_000_000) >> 21
    1767225600000
    """
    moment = time.time_ns() if now is None else now
    made = (moment // 1_000_000 & (1 << 42) - 1) << _RANDOM | secrets.randbits(_RANDOM)
    with _mutex:
        if made <= _last[0] < made + _SECOND:  # another thread was faster: still grow
            made = _last[0] + 1
        _last[0] = made
    return made or 1
