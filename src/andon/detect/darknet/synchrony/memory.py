"""Which sources asked for what in the last days, so that "new" can be told.

One sorted array of (source, unit) keys with the spans in which each was first and last seen. A span's pairs, sorted
too, are joined in one pass that also drops what was silent for longer than the horizon. Beyond ``limit`` pairs the
longest silent are forgotten, and ``reach`` says how far back the memory still goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from andon.detect.darknet.synchrony.kernel import UNIT_BITS, UNIT_MASK

_MOST_LOOKED_AT = 1024  # remembered pairs of a /24; more is a network that asks for everything
_MOST_PORTS = 64  # of a source are counted
_NETWORK_SHIFT = np.uint64(UNIT_BITS + 8)
_SOURCE_SHIFT = np.uint64(UNIT_BITS)
_UNIT_MASK = np.uint64(UNIT_MASK)


@njit(cache=True, nogil=True)
def _join(
    old: np.ndarray,
    old_first: np.ndarray,
    old_last: np.ndarray,
    keys: np.ndarray,
    enter: np.ndarray,
    span: int,
    oldest: int,
    merged: np.ndarray,
    merged_first: np.ndarray,
    merged_last: np.ndarray,
    state: np.ndarray,
    neighbours: np.ndarray,
    ports: np.ndarray,
) -> int:
    """Merge ``keys`` (ascending; entered where ``enter``) into the remembered ones; gives how many there are then.

    ``state`` of each key: bit 0 its pair was known, bit 1 its source was; ``neighbours``: other sources of its /24
    that were known with the same unit, 255 if the /24 asks for everything; ``ports``: units its source was known
    with."""
    i = 0
    n = 0
    begin = 0  # first remembered pair of the /24 of the present key
    for j in range(keys.shape[0]):
        key = keys[j]
        while i < old.shape[0] and old[i] < key:
            if old_last[i] >= oldest:
                merged[n], merged_first[n], merged_last[n] = old[i], old_first[i], old_last[i]
                n += 1
            i += 1
        network = key >> _NETWORK_SHIFT
        while begin < old.shape[0] and (old[begin] >> _NETWORK_SHIFT) < network:
            begin += 1
        source = key >> _SOURCE_SHIFT
        k = begin
        stop = min(begin + _MOST_LOOKED_AT, old.shape[0])
        near = 0
        while k < stop and (old[k] >> _NETWORK_SHIFT) == network:
            if (
                (old[k] & _UNIT_MASK) == (key & _UNIT_MASK)
                and (old[k] >> _SOURCE_SHIFT) != source
                and old_last[k] >= oldest
            ):
                near += 1
            k += 1
        neighbours[j] = min(near, 255) if k - begin < _MOST_LOOKED_AT else 255
        # The pairs of the source itself stand around place i.
        own = 0
        k = i - 1
        while k >= 0 and own < _MOST_PORTS and (old[k] >> _SOURCE_SHIFT) == source:
            own += 1 if old_last[k] >= oldest else 0
            k -= 1
        k = i
        while k < old.shape[0] and own < _MOST_PORTS and (old[k] >> _SOURCE_SHIFT) == source:
            own += 1 if old_last[k] >= oldest else 0
            k += 1
        ports[j] = own
        if own:
            state[j] |= np.uint8(2)
        if i < old.shape[0] and old[i] == key:
            known = old_last[i] >= oldest
            if known:
                state[j] |= np.uint8(3)
            merged[n], merged_last[n] = key, span
            merged_first[n] = old_first[i] if known else span
            n += 1
            i += 1
        elif enter[j]:
            merged[n], merged_first[n], merged_last[n] = key, span, span
            n += 1
    while i < old.shape[0]:
        if old_last[i] >= oldest:
            merged[n], merged_first[n], merged_last[n] = old[i], old_first[i], old_last[i]
            n += 1
        i += 1
    return n


@dataclass(frozen=True)
class Seen:
    """Of each pair of a span: whether it was known, whether its source was, how many other sources of its /24 were
    known with the same unit (255: or more than that, or everything), and with how many units its source was known (at
    most 64)."""

    pair: np.ndarray  # bool
    source: np.ndarray  # bool
    neighbours: np.ndarray  # uint8
    ports: np.ndarray  # uint8

    def where(self, chosen: np.ndarray) -> Seen:
        return Seen(self.pair[chosen], self.source[chosen], self.neighbours[chosen], self.ports[chosen])


@dataclass
class Memory:
    """See the module text. Spans are whole numbers of ten minutes since 1970."""

    key: np.ndarray  # uint64, ascending
    first: np.ndarray  # uint32
    last: np.ndarray  # uint32
    reach: int = 0  # what was silent since before this span is forgotten

    @classmethod
    def empty(cls) -> Self:
        none = np.zeros(0, np.uint32)
        return cls(np.zeros(0, np.uint64), none, none)

    def take(self, keys: np.ndarray, enter: np.ndarray, span: int, horizon: int, limit: int) -> Seen:
        """Remember a span's keys (ascending; those marked ``enter``) and tell what was known of them before."""
        oldest = max(span - horizon, 0)
        room = len(self.key) + len(keys)
        merged = np.empty(room, np.uint64)
        first, last = np.empty(room, np.uint32), np.empty(room, np.uint32)
        state, neighbours, ports = (np.zeros(len(keys), np.uint8) for _ in range(3))
        n = _join(
            self.key,
            self.first,
            self.last,
            keys,
            enter,
            span,
            oldest,
            merged,
            first,
            last,
            state,
            neighbours,
            ports,
        )
        merged, first, last = merged[:n], first[:n], last[:n]
        self.reach = max(self.reach, oldest)
        if n > limit:
            cut = int(np.partition(last, n - limit - 1)[n - limit - 1])
            keep = last > cut
            merged, first, last = merged[keep], first[keep], last[keep]
            self.reach = cut + 1
        self.key, self.first, self.last = merged.copy(), first.copy(), last.copy()
        return Seen((state & 1) > 0, (state & 2) > 0, neighbours, ports)

    def of_units(self, units: np.ndarray) -> Memory:
        """The part of the memory that is about these units."""
        if not len(units):
            return Memory.empty()
        wanted = np.zeros(UNIT_MASK + 1, np.bool_)
        wanted[units] = True
        mine = wanted[(self.key & _UNIT_MASK).astype(np.int64)]
        return Memory(self.key[mine], self.first[mine], self.last[mine], self.reach)

    def since(self, unit: int, span: int) -> np.ndarray:
        """Sources (int64, ascending) that were first seen with ``unit`` in ``span`` or later."""
        mine = (self.first >= span) & ((self.key & _UNIT_MASK) == np.uint64(unit))
        return self._sources(mine)

    def between(self, unit: int, begin: int, end: int) -> np.ndarray:
        """Sources (int64, ascending) that came with ``unit`` first before span ``end`` and last in ``begin`` or on."""
        mine = (
            (self.last >= max(begin, 0)) & (self.first < end) & ((self.key & _UNIT_MASK) == np.uint64(unit))
        )
        return self._sources(mine)

    def silent(self, unit: int, begin: int, end: int) -> np.ndarray:
        """Sources (int64, ascending) last seen with ``unit`` in spans from ``begin`` to before ``end``."""
        mine = (self.last >= begin) & (self.last < end) & ((self.key & _UNIT_MASK) == np.uint64(unit))
        return self._sources(mine)

    def _sources(self, mine: np.ndarray) -> np.ndarray:
        found: np.ndarray = (self.key[mine] >> _SOURCE_SHIFT).astype(np.int64)
        return found
