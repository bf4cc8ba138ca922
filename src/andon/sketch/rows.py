"""Rows by 64-bit key in bounded memory: the table under every per-source and per-port summary.

An open-addressing hash table (linear probing) with one array per column. When more than ``limit`` distinct
keys arrive, only keys whose hash lies below 2^-level stay (adaptive sampling: Wegman; Flajolet, "On adaptive
sampling", Computing 43, 1990). Which keys stay depends only on the set of keys and the salt, never on their
order or on how the input was split: level is the smallest at which at most ``limit`` keys remain. Rows that
stay are exact, since they were never dropped. So merging is exact, and what a cap left out is known.

With ``sampled_by`` only those bits of the key decide on the sample, so rows that agree in them (the ports of
one source, say) stay or go together.

A kernel walks a batch and gets its slots from ``find_or_add``; when the table is full the kernel returns the
position it reached, the caller calls ``make_room`` and goes on (``KeyedRows.walk`` does). See ``tests/sketch`` for
the pattern.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from numba import njit

from andon.sketch.hashing import mix64
from andon.sketch.lowest import fold_lowest
from andon.sketch.state import StateError, pack, unpack

EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)  # not a key: keys are below 2^63
WHOLE_KEY = 0xFFFFFFFFFFFFFFFF
_ONE = np.uint64(1)
_LINE = 64  # bytes of a line of the cache


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """Zeros whose first element begins a line of the cache, so that rows of 8, 16, 32 or 64 bytes never lie on two.

    >>> aligned((3, 4), "i8").ctypes.data % 64
    0
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    raw = np.zeros(size + _LINE, np.uint8)
    begin = -raw.ctypes.data % _LINE
    return raw[begin : begin + size].view(kind).reshape(shape)


@dataclass(frozen=True)
class Column:
    """A column: its type, how two values of one key merge (add, min, max, or, lowest), width > 1 for a vector.

    ``lowest`` is for vectors of unsigned words: the distinct items with the lowest first words, ``item`` words
    each, as ``andon.sketch.lowest`` keeps them."""

    dtype: str
    merge: str = "add"
    width: int = 1
    item: int = 1

    def fresh(self, capacity: int) -> np.ndarray:
        shape = (capacity,) if self.width == 1 else (capacity, self.width)
        array = aligned(shape, self.dtype)
        if self.merge in ("min", "lowest"):
            array.fill(np.iinfo(array.dtype).max)
        return array


@njit(cache=True, nogil=True, inline="always")
def find_or_add(keys: np.ndarray, key: np.uint64, hashed: np.uint64, used: int, room: int) -> tuple[int, int]:
    """(slot, used after) for a key whose ``mix64`` is ``hashed``; slot -1 if it is new and the table is full.

    ``used`` is the number of keys in the table, ``room`` the number at which it is full."""
    mask = np.uint64(keys.shape[0] - 1)
    slot = hashed & mask
    while True:
        found = keys[slot]
        if found == key:
            return int(np.int64(slot)), used
        if found == EMPTY:
            if used >= room:
                return -1, used
            keys[slot] = key
            return int(np.int64(slot)), used + 1
        slot = (slot + _ONE) & mask


@njit(cache=True, nogil=True, inline="always")
def is_kept(hashed: np.uint64, level: int) -> bool:
    """Whether a key with this hash is in the sample of this level."""
    return level == 0 or (hashed >> np.uint64(64 - level)) == np.uint64(0)


@njit(cache=True, nogil=True)
def _place(keys: np.ndarray, salt: np.uint64, new_keys: np.ndarray, slots: np.ndarray) -> int:
    """Put distinct keys in a table that has room; writes each key's slot; gives how many were new."""
    added = 0
    for i in range(keys.shape[0]):
        slot, after = find_or_add(new_keys, keys[i], mix64(keys[i], salt), 0, 1)
        slots[i] = slot
        added += after
    return added


@njit(cache=True, nogil=True)
def _place_some(
    keys: np.ndarray, salt: np.uint64, table: np.ndarray, used: int, room: int, slots: np.ndarray
) -> tuple[int, int]:
    """Put keys in a table until it is full; writes their slots; gives (how many were put, used)."""
    for i in range(keys.shape[0]):
        slot, used = find_or_add(table, keys[i], mix64(keys[i], salt), used, room)
        if slot < 0:
            return i, used
        slots[i] = slot
    return keys.shape[0], used


@njit(cache=True, nogil=True)
def _kept(keys: np.ndarray, sampled_by: np.uint64, salt: np.uint64, level: int) -> np.ndarray:
    out = np.empty(keys.shape[0], np.bool_)
    for i in range(keys.shape[0]):
        out[i] = is_kept(mix64(keys[i] & sampled_by, salt), level)
    return out


@njit(cache=True, nogil=True)
def add_keys(
    batch: np.ndarray,
    start: int,
    keys: np.ndarray,
    used: int,
    room: int,
    level: int,
    sampled_by: np.uint64,
    salt: np.uint64,
) -> tuple[int, int]:
    """Add the keys of a batch from ``start`` on; gives (position reached, used)."""
    for i in range(start, batch.shape[0]):
        hashed = mix64(batch[i], salt)
        if level == 0 or is_kept(mix64(batch[i] & sampled_by, salt), level):
            slot, used = find_or_add(keys, batch[i], hashed, used, room)
            if slot < 0:
                return i, used
    return batch.shape[0], used


class KeyedRows:
    """See the module text.

    Attributes for kernels: ``keys`` (uint64, EMPTY where free), ``columns[name]``, ``used``, ``room``,
    ``level``, ``salt`` (np.uint64). A kernel must write back ``used``.

    >>> rows = KeyedRows({"packets": Column("u8")}, limit=1000)
    >>> rows.add(np.array([7, 9, 7], dtype=np.uint64))
    >>> sorted(rows.table()[0].tolist())
    [7, 9]
    """

    def __init__(
        self,
        spec: Mapping[str, Column],
        limit: int,
        salt: int = 0x9E3779B97F4A7C15,
        capacity: int = 1024,
        sampled_by: int = WHOLE_KEY,
    ) -> None:
        self.spec = dict(spec)
        self.limit = limit
        self.salt = np.uint64(salt)
        self.sampled_by = np.uint64(sampled_by)
        self.level = 0
        self.used = 0
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        self._packed: _Packed | None = None
        self._keys = np.full(capacity, EMPTY, np.uint64)
        self._columns = {name: column.fresh(capacity) for name, column in self.spec.items()}
        self.room = min(capacity * 5 // 8, self.limit)

    @property
    def keys(self) -> np.ndarray:
        self._unpack()
        return self._keys

    @property
    def columns(self) -> dict[str, np.ndarray]:
        self._unpack()
        return self._columns

    def _unpack(self) -> None:
        """A table that came from bytes is made when it is first looked at; most are merged into others and are not."""
        if self._packed is None:
            return
        keys, arrays = self._packed
        self._allocate(_capacity(keys.shape[0]))
        target = np.empty(keys.shape[0], np.int64)
        self.used = int(_place(keys, self.salt, self._keys, target))
        for name, array in self._columns.items():
            array[target] = arrays[name]

    def _held(self) -> _Packed:
        """Keys and columns of all rows without gaps, not to be changed: in ascending order, or in that of the slots."""
        if self._packed is not None:
            return self._packed
        slots = np.flatnonzero(self._keys != EMPTY)
        return self._keys[slots], {name: array[slots] for name, array in self._columns.items()}

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + sum(array.nbytes for array in self.columns.values())

    def make_room(self) -> None:
        """Called when one more new key has come than fits: grow, or at the limit raise the level by one."""
        if self.used < self.limit:
            self._rebuild(np.flatnonzero(self.keys != EMPTY), self.keys.shape[0] * 2)
        else:
            self.raise_level(self.level + 1)

    def raise_level(self, level: int) -> None:
        """Keep only the sample of this level (at least the present one)."""
        if level <= self.level:
            return
        self.level = level
        slots = np.flatnonzero(self.keys != EMPTY)
        self._rebuild(self._sample(self.keys, slots), self.keys.shape[0])

    def _rebuild(self, slots: np.ndarray, capacity: int) -> None:
        old_keys, old = self.keys, self.columns
        self._allocate(capacity)
        target = np.empty(slots.shape[0], np.int64)
        self.used = int(_place(old_keys[slots], self.salt, self._keys, target))
        for name, array in self._columns.items():
            array[target] = old[name][slots]

    def add(self, batch: np.ndarray) -> None:
        """Add keys (uint64) without touching columns."""
        position = 0
        while True:
            position, self.used = add_keys(
                batch,
                position,
                self.keys,
                self.used,
                self.room,
                self.level,
                self.sampled_by,
                self.salt,
            )
            if position >= batch.shape[0]:
                return
            self.make_room()

    def walk(
        self,
        kernel: Callable[..., tuple[int, ...]],
        batch: Sequence[np.ndarray],
        *given: Any,
        beside: Sequence[Any] = (),
    ) -> int:
        """Let a kernel enter a batch, making room as often as needed; gives the packets it saw.

        It is called as ``kernel(*batch, start, *given, keys, *columns, *beside, used, room, level, salt)``, with
        columns flat, and gives (position reached, used) and, if it counts them, the packets seen on the way."""
        at, seen = 0, 0
        while True:
            at, self.used, *counted = kernel(
                *batch,
                at,
                *given,
                self.keys,
                *(column.reshape(-1) for column in self.columns.values()),
                *beside,
                self.used,
                self.room,
                self.level,
                self.salt,
            )
            seen += sum(counted)
            if at >= len(batch[0]):
                return seen
            self.make_room()

    def merge(self, other: KeyedRows) -> None:
        """Take in another table of the same spec, limit and salt."""
        shape, others = ((rows.limit, rows.salt, rows.sampled_by, rows.spec) for rows in (self, other))
        if shape != others:
            raise ValueError("only tables of the same shape, limit and hash key can be merged")
        self.raise_level(other.level)
        keys, columns = other._held()
        if other.level < self.level:
            keys, columns = self._of_level(keys, columns)
        capacity = self.keys.shape[0]
        while min(capacity * 5 // 8, self.limit) < min(self.used + keys.shape[0], self.limit):
            capacity *= 2
        if capacity > self.keys.shape[0]:
            self._rebuild(np.flatnonzero(self.keys != EMPTY), capacity)
        while True:
            target = np.empty(keys.shape[0], np.int64)
            put, self.used = _place_some(keys, self.salt, self.keys, self.used, self.room, target)
            for name, array in self.columns.items():
                _fold(array, target[:put], columns[name][:put], self.spec[name])
            if put == keys.shape[0]:
                return
            level = self.level
            self.make_room()
            keys, columns = keys[put:], {name: array[put:] for name, array in columns.items()}
            if self.level != level:
                keys, columns = self._of_level(keys, columns)

    def _of_level(self, keys: np.ndarray, columns: Mapping[str, np.ndarray]) -> _Packed:
        """Those of the rows whose keys are in the sample of the present level."""
        kept = _kept(keys, self.sampled_by, self.salt, self.level)
        return keys[kept], {name: array[kept] for name, array in columns.items()}

    def _sample(self, keys: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Those of the slots whose keys are in the sample of the present level."""
        sampled: np.ndarray = slots[_kept(keys[slots], self.sampled_by, self.salt, self.level)]
        return sampled

    def table(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """(keys in ascending order, columns in the same order)."""
        if self._packed is not None:
            keys, columns = self._packed
            return keys.copy(), {name: array.copy() for name, array in columns.items()}
        slots = np.flatnonzero(self._keys != EMPTY)
        slots = slots[np.argsort(self._keys[slots])]
        return self._keys[slots], {name: array[slots] for name, array in self._columns.items()}

    def to_bytes(self) -> bytes:
        keys, columns = self.table() if self._packed is None else self._packed
        scalars = {
            "limit": self.limit,
            "salt": int(self.salt),
            "level": self.level,
            "sampled_by": int(self.sampled_by),
        }
        return pack("rows", 1, {"keys": keys, **columns}, scalars)

    @classmethod
    def from_bytes(cls, data: bytes, spec: Mapping[str, Column]) -> Self:
        arrays, scalars = unpack("rows", 1, data)
        keys = arrays.pop("keys", None)
        if keys is None or set(arrays) != set(spec):
            raise StateError(f"state has columns {sorted(arrays)}, expected {sorted(spec)}")
        for name, column in spec.items():
            width = () if column.width == 1 else (column.width,)
            if arrays[name].shape != (*keys.shape, *width) or keys.ndim != 1:
                raise StateError(f"column {name} has the wrong shape")
            arrays[name] = arrays[name].astype(column.dtype, copy=False)
        rows = cls(spec, scalars["limit"], scalars["salt"], 8, scalars["sampled_by"])
        rows.level = scalars["level"]
        rows.room = min(_capacity(keys.shape[0]) * 5 // 8, rows.limit)
        rows.used = keys.shape[0]
        rows._packed = keys.astype(np.uint64, copy=False), {name: arrays[name] for name in spec}
        if np.any(keys[1:] <= keys[:-1]):  # not as they are written: then there may be fewer
            rows._unpack()
        return rows


_Packed = tuple[np.ndarray, dict[str, np.ndarray]]  # keys in ascending order, columns


def _capacity(rows: int) -> int:
    """Slots for so many rows and one more."""
    capacity = 1024
    while capacity * 5 // 8 < rows + 1:
        capacity *= 2
    return capacity


def _fold(into: np.ndarray, slots: np.ndarray, values: np.ndarray, column: Column) -> None:
    # The slots of distinct keys are distinct, so plain indexing folds each value exactly once.
    how = column.merge
    if how == "add":
        into[slots] += values
    elif how == "min":
        into[slots] = np.minimum(into[slots], values)
    elif how == "max":
        into[slots] = np.maximum(into[slots], values)
    elif how == "or":
        into[slots] |= values
    elif how == "lowest":
        fold_lowest(into, slots, values, column.item)
    else:
        raise ValueError(f"unknown way to merge a column: {how!r}")
