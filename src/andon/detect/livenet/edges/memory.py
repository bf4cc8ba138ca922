"""When each destination was first seen in the organisation: what ``livenet.edges`` remembers from day to day.

Destinations and registered domains are kept by hash, with the day they were last seen; whoever was not seen for the
setting's number of days is forgotten, and so are the longest unseen when there are more than the memory holds. After
that a destination counts as new again, and the number of those that were forgotten for want of room is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from andon.sketch.state import StateError, pack, unpack

_KIND, _VERSION = "livenet-edges-memory", 1
DAY = 86_400_000_000_000


@dataclass(frozen=True)
class Memory:
    """``keys`` (uint64, ascending), ``first`` (int64 ns) and ``last`` (int32, day since 1970) of what was seen;
    ``began``: the first contact ever, -1 before there is one."""

    keys: np.ndarray
    first: np.ndarray
    last: np.ndarray
    began: int = -1

    @classmethod
    def none(cls) -> Self:
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int32))

    def __len__(self) -> int:
        return len(self.keys)

    def seen(self, keys: np.ndarray, first: np.ndarray, day: int) -> tuple[Self, np.ndarray]:
        """(memory with what was seen on a day, when each was first seen). ``keys`` may repeat."""
        distinct, place = np.unique(keys, return_inverse=True)
        earliest = np.full(len(distinct), np.iinfo(np.int64).max)
        np.minimum.at(earliest, place, first)
        at = np.searchsorted(self.keys, distinct)
        known = np.zeros(len(distinct), np.bool_)
        inside = at < len(self.keys)
        known[inside] = self.keys[at[inside]] == distinct[inside]
        first_seen, last = self.first.copy(), self.last.copy()
        # A contact that came late may be older than what is remembered.
        first_seen[at[known]] = np.minimum(first_seen[at[known]], earliest[known])
        last[at[known]] = np.maximum(last[at[known]], day)
        said = earliest.copy()
        said[known] = first_seen[at[known]]
        new = ~known
        all_keys = np.insert(self.keys, at[new], distinct[new])
        all_first = np.insert(first_seen, at[new], earliest[new])
        all_last = np.insert(last, at[new], np.full(int(new.sum()), day, np.int32))
        begins = int(first.min()) if len(first) else self.began
        began = begins if self.began < 0 else min(self.began, begins)
        return type(self)(all_keys, all_first, all_last, began), said[place]

    def forget(self, before: int, most: int) -> tuple[Self, int]:
        """Without what was last seen before a day, and without the longest unseen beyond ``most``; gives how many of
        these last there were."""
        keep = self.last >= before
        crowded = int(keep.sum()) - most
        if crowded > 0:
            # By day and then by hash, so that the choice is the same wherever it is made.
            rows = np.flatnonzero(keep)
            rows = rows[np.argsort(self.last[rows], kind="stable")]
            keep[rows[:crowded]] = False
        if keep.all():
            return self, 0
        return type(self)(self.keys[keep], self.first[keep], self.last[keep], self.began), max(crowded, 0)

    def to_bytes(self) -> bytes:
        arrays = {"keys": self.keys, "first": self.first, "last": self.last}
        return pack(_KIND, _VERSION, arrays, {"began": self.began})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack(_KIND, _VERSION, data)
        try:
            made = cls(arrays["keys"], arrays["first"], arrays["last"], scalars["began"])
        except KeyError as error:
            raise StateError(f"damaged {_KIND}: no {error}") from error
        if not len(made.keys) == len(made.first) == len(made.last) or np.any(made.keys[1:] <= made.keys[:-1]):
            raise StateError(f"damaged {_KIND}: columns do not fit")
        return made
