"""Decoys: what would match if it were only for the neighbourhood or for the time.

Attackers sit in dense blocks, so chance is not uniform over the address space. A decoy is a honeypot's source moved to
another address of its own /24, /20 or /16 (ten draws each), chosen by a keyed hash of the address, so that every shard
and every run makes the same ones; or the same source at another time, the honeypot's log turned round by a number of
days within what is remembered. The whole procedure runs on each of them (target and decoy, as proteomics has it:
Elias, Gygi, Nature Methods 4, 2007). Where only a sample of addresses is remembered, decoys are taken from it too,
since a match is counted only there.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.detect.darknet.link.history import sampled
from andon.sketch.hashing import mix64_array

CLASSES: Final = (24, 20, 16)  # prefix that a decoy stays in
DRAWS: Final = 10
SHIFTS: Final = 10
LEAST_SHIFT_DAYS: Final = 9
_TRIES = 64
_DAY = 86400


def moved(
    addresses: np.ndarray, prefix: int, draw: int, level: int, salt: int
) -> tuple[np.ndarray, np.ndarray]:
    """(addresses, which of them could be moved): each to another address of its own prefix.

    ``addresses`` is uint32; an address has the same decoy of a draw wherever it comes up. At a high level of sampling
    a prefix may hold no second address of the sample: then there is no decoy.

    >>> a = np.array([0xC6336401], np.uint32)
    >>> moved(a, 24, 0, 0, 1)[0][0] >> 8 == a[0] >> 8, moved(a, 24, 0, 0, 1)[0][0] != a[0]
    (np.True_, np.True_)
    """
    host = np.uint32((1 << (32 - prefix)) - 1)
    out = addresses.copy()
    waiting = np.arange(len(addresses))
    for attempt in range(_TRIES):
        if not len(waiting):
            break
        own = addresses[waiting]
        which = np.uint64((prefix << 16 | draw << 8 | attempt) << 32)
        hashed = mix64_array(own.astype(np.uint64) | which, np.uint64(salt))
        other = (own & ~host) | ((hashed >> np.uint64(32)).astype(np.uint32) & host)
        good = (other != own) & sampled(other, level, salt)
        out[waiting[good]] = other[good]
        waiting = waiting[~good]
    found = np.ones(len(addresses), np.bool_)
    found[waiting] = False
    return out, found


def shifts(begin: int, end: int, salt: int) -> list[int]:
    """Seconds by which the honeypot's log is turned round within ``begin`` to ``end`` (s): ten different ones of nine
    days or more either way; none while less than eighteen days are remembered."""
    length = end - begin
    if length < 2 * LEAST_SHIFT_DAYS * _DAY:
        return []
    room = length - 2 * LEAST_SHIFT_DAYS * _DAY
    hashed = mix64_array(np.arange(SHIFTS, dtype=np.uint64), np.uint64(salt))
    part = room // SHIFTS
    inside = (hashed % np.uint64(max(part, 1))).astype(np.int64) + part * np.arange(SHIFTS)
    return sorted(set((LEAST_SHIFT_DAYS * _DAY + inside).tolist()))


def turned(at: np.ndarray, by: int, begin: int, end: int) -> np.ndarray:
    """Times (int64 s) turned round within ``begin`` to ``end``."""
    length = max(end - begin, 1)
    return (at - begin + by) % length + begin
