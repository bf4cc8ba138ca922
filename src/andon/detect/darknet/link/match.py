"""The join: honeypot sessions and darknet rows of the same address close in time, for targets and decoys at once.

The large side is looked at once: a bitmap of hashed addresses of the small side (targets and all decoys) tells which
darknet rows can match at all (a semi-join); only those are sorted. What is left is a merge by address, and cost grows
with the number of rows, never with a product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from andon.detect.darknet.link.history import Darknet, spans
from andon.sketch.hashing import mix64

_SIX = np.uint64(6)
_63 = np.uint64(63)
_ONE = np.uint64(1)
_SALT = np.uint64(0x6A09E667F3BCC909)
_LEAST_BITS = 16
_MOST_BITS = 32
_PAIRS = 20_000_000  # (session, row) of one version that are looked at; beyond, the busiest addresses go
FARTHEST: Final = 7 * 86400  # s between a sighting and a session that may have anything to do with each other


@njit(cache=True, nogil=True)
def fill(addresses: np.ndarray, bitmap: np.ndarray, shift: np.uint64) -> None:
    """Enter addresses (uint32) into a bitmap of 2^(64 - shift) bits."""
    for i in range(addresses.shape[0]):
        bit = mix64(np.uint64(addresses[i]), _SALT) >> shift
        bitmap[bit >> _SIX] |= _ONE << (bit & _63)


@njit(cache=True, nogil=True)
def semi_join(src: np.ndarray, bitmap: np.ndarray, shift: np.uint64, out: np.ndarray) -> int:
    """Numbers of the rows whose address may be in the bitmap go into ``out``; gives how many there are."""
    found = 0
    for i in range(src.shape[0]):
        bit = mix64(np.uint64(src[i]), _SALT) >> shift
        if (bitmap[bit >> _SIX] >> (bit & _63)) & _ONE:
            out[found] = i
            found += 1
    return found


def candidates(src: np.ndarray, addresses: list[np.ndarray]) -> np.ndarray:
    """Numbers (int64) of the rows of ``src`` that may match one of the addresses; few others are among them."""
    size = sum(map(len, addresses))
    bits = int(np.clip(np.ceil(np.log2(max(size, 1) * 16)), _LEAST_BITS, _MOST_BITS))
    bitmap = np.zeros(1 << (bits - 6), np.uint64)
    for part in addresses:
        fill(part, bitmap, np.uint64(64 - bits))
    out = np.empty(len(src), np.int64)
    rows: np.ndarray = out[: semi_join(src, bitmap, np.uint64(64 - bits), out)]
    return rows.copy()


@dataclass(frozen=True)
class Visits:
    """Sessions grouped by address: ``address`` (uint32, ascending, distinct), and for each the sessions
    ``begin`` to ``begin + count`` of ``at`` (int64 s, clock corrected)."""

    address: np.ndarray
    begin: np.ndarray
    count: np.ndarray
    at: np.ndarray

    @classmethod
    def of(cls, address: np.ndarray, at: np.ndarray) -> Visits:
        """``address`` in ascending order."""
        members, begin, count = np.unique(address, return_index=True, return_counts=True)
        return cls(members, begin.astype(np.int64), count.astype(np.int64), at)


@dataclass(frozen=True)
class Pairs:
    """Matches: number of the session, of the darknet row, the lag from the darknet to the honeypot (s, 0 if the
    session is within the sighting), and how many pairs were not looked at."""

    session: np.ndarray
    row: np.ndarray
    lag: np.ndarray
    skipped: int = 0


class Side:
    """The darknet rows that can match, in order of their address."""

    def __init__(self, dark: Darknet, rows: np.ndarray) -> None:
        self.rows = rows[np.argsort(dark.src[rows], kind="stable")]
        self.first = dark.first[self.rows].astype(np.int64)
        self.last = dark.last[self.rows].astype(np.int64)
        self.address, begin, count = np.unique(dark.src[self.rows], return_index=True, return_counts=True)
        self.begin, self.count = begin.astype(np.int64), count.astype(np.int64)

    def match(self, visits: Visits, address: np.ndarray, at: np.ndarray, reach: np.ndarray) -> Pairs:
        """Matches of visits whose addresses are ``address`` (uint32, parallel to ``visits.address``) and whose
        sessions are at ``at``. ``reach`` (s) says of each address of this side how far apart a match may be."""
        none = np.zeros(0, np.int64)
        if not len(self.address) or not len(address):
            return Pairs(none, none, none)
        place = np.minimum(np.searchsorted(self.address, address), len(self.address) - 1)
        hit = np.flatnonzero(self.address[place] == address)
        place = place[hit]
        size = visits.count[hit] * self.count[place]
        skipped = 0
        if int(size.sum()) > _PAIRS:
            order = np.argsort(size, kind="stable")
            keep = np.sort(order[np.cumsum(size[order]) <= _PAIRS])
            skipped = int(size.sum() - size[keep].sum())
            hit, place, size = hit[keep], place[keep], size[keep]
        within = spans(np.zeros(len(size), np.int64), size)
        width = np.repeat(self.count[place], size)
        session = np.repeat(visits.begin[hit], size) + within // np.maximum(width, 1)
        row = np.repeat(self.begin[place], size) + within % np.maximum(width, 1)
        time = at[session]
        lag = np.where(time < self.first[row], time - self.first[row], np.maximum(time - self.last[row], 0))
        near = np.abs(lag) <= np.repeat(reach[place], size)
        return Pairs(session[near], self.rows[row[near]], lag[near], skipped)
