"""Visits of the last days, of edges that come too seldom to be judged in one: at most ``limit`` edges.

A candidate is a rare destination's edge with at most ``PER_DAY`` visits a day. Where there are more than the limit,
those stay that came on most days, then those with most visits, then those whose key is lowest: a sample that depends
on the edges alone. What this can do: polls of 2 to 8 hours are judged after two or three days, of 12 hours after
three, once a day after six. What it cannot: an organisation with many times ``limit`` new rare edges a day keeps each
day's newcomers as a sample, so a poll that comes once a day is kept from its first day with that chance; one that
comes several times a day stands before those that came once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from andon.sketch.state import StateError, pack, unpack

PER_DAY: Final = 16
LONGEST: Final = 96  # visits of an edge that are kept, the last ones
_DAY = 86_400


@dataclass(frozen=True)
class Memory:
    """``keys``: uint64 ascending, of terminal and destination; ``offsets``: int64; ``times``: uint32 s since 1970,
    ascending within an edge."""

    keys: np.ndarray
    offsets: np.ndarray
    times: np.ndarray
    forgotten: int = 0  # edges left out at the last day for want of room

    @classmethod
    def empty(cls) -> Self:
        return cls(np.zeros(0, np.uint64), np.zeros(1, np.int64), np.zeros(0, np.uint32))

    def next_day(
        self, keys: np.ndarray, offsets: np.ndarray, times: np.ndarray, oldest: int, limit: int
    ) -> Memory:
        """With a day's candidates (distinct keys in any order; times in s since 1970), without visits before
        ``oldest``, the last ``LONGEST`` of each edge."""
        owner = np.concatenate(
            [np.repeat(self.keys, np.diff(self.offsets)), np.repeat(keys, np.diff(offsets))]
        )
        when = np.concatenate([self.times.astype(np.int64), times.astype(np.int64)])
        alive = when >= oldest
        owner, when = owner[alive], when[alive]
        order = np.lexsort((when, owner))
        owner, when = owner[order], when[order]
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]]) if len(owner) else np.zeros(0, np.int64)
        counts = np.diff(np.r_[first, len(owner)])
        # Days on which it came: the first visit of each day of each edge.
        fresh = np.r_[True, (owner[1:] != owner[:-1]) | (when[1:] // _DAY != when[:-1] // _DAY)][: len(owner)]
        days = np.add.reduceat(fresh.astype(np.int64), first) if len(first) else np.zeros(0, np.int64)
        best = np.lexsort((owner[first], -counts, -days))
        keep = np.sort(best[:limit])
        late = np.minimum(counts[keep], LONGEST)
        ends = first[keep] + counts[keep]
        made = np.zeros(len(keep) + 1, np.int64)
        np.cumsum(late, out=made[1:])
        at = np.repeat(ends - late - made[:-1], late) + np.arange(made[-1])
        return Memory(owner[first[keep]], made, when[at].astype(np.uint32), max(0, len(first) - limit))

    def of(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rows of ``keys`` that are remembered, offsets, times in s since 1970 as float64) of their visits."""
        if not len(self.keys):
            return np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        rows = np.flatnonzero(self.keys[at] == keys)
        at = at[rows]
        counts = self.offsets[at + 1] - self.offsets[at]
        offsets = np.zeros(len(at) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        places = np.repeat(self.offsets[at] - offsets[:-1], counts) + np.arange(offsets[-1])
        return rows, offsets, self.times[places].astype(np.float64)

    def to_bytes(self) -> bytes:
        arrays = {"keys": self.keys, "offsets": self.offsets, "times": self.times}
        return pack("beacon-memory", 1, arrays, {"forgotten": self.forgotten})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("beacon-memory", 1, data)
        if set(arrays) != {"keys", "offsets", "times"}:
            raise StateError(f"memory of beacons has arrays {sorted(arrays)}")
        keys, offsets, times = arrays["keys"], arrays["offsets"], arrays["times"]
        fits = len(offsets) == len(keys) + 1 and offsets[0] == 0 and offsets[-1] == len(times)
        if not fits or (np.diff(offsets) < 0).any():
            raise StateError("memory of beacons: its parts do not fit together")
        return cls(keys, offsets, times, scalars["forgotten"])
