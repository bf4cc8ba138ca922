"""Rows by key as columns in the order of their keys: sums that merge in any order, bounded by the hash of an owner.

``same`` columns are equal wherever a key occurs, ``sums`` are added, ``least`` and ``most`` take the minimum and the
maximum, ``or`` holds bits. When there are more
than ``limit`` keys, only rows stay whose owner's hash lies below 2^-level (adaptive sampling, as in ``sketch.rows``):
all rows of a terminal stay or go together. What stays is exact, and depends on the keys alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

import numpy as np

from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError, pack, unpack

_PENDING: Final = 100_000
_UNSIGNED: Final = ("same", "or")
_FOLDS: Final = {"sum": np.add, "least": np.minimum, "most": np.maximum, "or": np.bitwise_or}
Columns = dict[str, np.ndarray]


class Grouped:
    """``spec``: name -> "same", "sum", "least", "most" or "or"; columns are int64 or uint64, one of them
    is ``owner`` (uint64)."""

    def __init__(self, spec: Mapping[str, str], limit: int, salt: int) -> None:
        self.spec = dict(spec)
        self.limit = limit
        self.salt = np.uint64(salt)
        self.level = 0
        self._held: Columns = {"key": np.zeros(0, np.uint64)} | {
            name: np.zeros(0, np.uint64 if how in _UNSIGNED else np.int64) for name, how in spec.items()
        }
        self._pending: list[Columns] = []
        self._waiting = 0

    def add(self, key: np.ndarray, columns: Columns) -> None:
        """Rows of any keys (uint64), as often as they come."""
        self._pending.append({"key": key} | columns)
        self._waiting += len(key)
        if self._waiting > max(_PENDING, len(self._held["key"])):
            self._fold()

    def merge(self, other: Self) -> None:
        if (self.limit, self.salt, self.spec) != (other.limit, other.salt, other.spec):
            raise ValueError("only tables of the same shape, limit and hash key can be merged")
        held = other.columns()
        self.level = max(self.level, other.level)
        self.add(held["key"], {name: held[name] for name in self.spec})
        self._fold()

    def columns(self) -> Columns:
        """Ascending by ``key``."""
        if self._pending:
            self._fold()
        return self._held

    def _fold(self) -> None:
        parts = [self._held, *self._pending]
        self._pending, self._waiting = [], 0
        whole = {name: np.concatenate([part[name] for part in parts]) for name in ("key", *self.spec)}
        whole = self._sampled(whole)
        order = np.argsort(whole["key"], kind="stable")
        key = whole["key"][order]
        begin = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
        made = {"key": key[begin]}
        for name, how in self.spec.items():
            values = whole[name][order]
            if how == "same" or not len(begin):
                made[name] = values[begin]
            else:
                made[name] = _FOLDS[how].reduceat(values, begin)
        self._held = made
        self.lower(self.limit)

    @property
    def size(self) -> int:
        """Rows held, before those that wait are folded in."""
        return len(self._held["key"])

    def keep(self, rows: np.ndarray) -> None:
        """Only these rows (ascending numbers into ``columns``)."""
        self._held = {name: values[rows] for name, values in self.columns().items()}

    def lower(self, most: int) -> None:
        """Raise the level until at most so many rows are held."""
        while self.size > most:
            self.level += 1
            self._held = self._sampled(self._held)

    def _sampled(self, columns: Columns) -> Columns:
        if not self.level:
            return columns
        keep = mix64_array(columns["owner"], self.salt) >> np.uint64(64 - self.level) == 0
        return columns if keep.all() else {name: values[keep] for name, values in columns.items()}

    def to_bytes(self) -> bytes:
        columns = self.columns()  # first: folding may raise the level
        return pack("grouped", 1, columns, {"limit": self.limit, "salt": int(self.salt), "level": self.level})

    @classmethod
    def from_bytes(cls, data: bytes, spec: Mapping[str, str]) -> Self:
        arrays, scalars = unpack("grouped", 1, data)
        made = cls(spec, scalars["limit"], scalars["salt"])
        wanted = {name: array.dtype for name, array in made._held.items()}
        if {name: array.dtype for name, array in arrays.items()} != wanted:
            raise StateError(f"rows have columns {sorted(arrays)}, expected {sorted(wanted)}")
        if len({len(array) for array in arrays.values()}) > 1:
            raise StateError("columns of different lengths")
        made.level = scalars["level"]
        made._held = arrays
        return made
