"""Rows by key in columns: numbers as arrays, texts as Arrow, and how a day's rows are folded into those remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.sketch.state import StateError

SEPARATOR: Final = "\x1f"  # between texts of a list kept as one


@dataclass(frozen=True)
class Column:
    """``fold``: how an old and a new value of one key make one: add, min, max, or, new (the new one holds),
    said (the new one holds unless it is nan), most (the larger one, nan being none)."""

    dtype: str
    fold: str = "new"
    width: int = 1

    def empty(self, rows: int) -> np.ndarray:
        return np.zeros(rows if self.width == 1 else (rows, self.width), self.dtype)


@dataclass(frozen=True)
class Rows:
    """``keys`` (uint64, distinct), ``numbers`` and ``texts`` in the same order."""

    keys: np.ndarray
    numbers: Mapping[str, np.ndarray]
    texts: Mapping[str, pa.Array]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.numbers[name]

    @classmethod
    def empty(cls, spec: Mapping[str, Column], texts: tuple[str, ...]) -> Self:
        none = pa.array([], pa.string())
        return cls(
            np.zeros(0, np.uint64),
            {name: column.empty(0) for name, column in spec.items()},
            dict.fromkeys(texts, none),
        )

    def take(self, rows: np.ndarray) -> Rows:
        at = pa.array(rows, pa.int64())
        return Rows(
            self.keys[rows],
            {name: values[rows] for name, values in self.numbers.items()},
            {name: values.take(at) for name, values in self.texts.items()},
        )

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Row of each key, -1 if there is none."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        order = np.argsort(self.keys, kind="stable")
        at = np.minimum(np.searchsorted(self.keys, keys, sorter=order), len(order) - 1)
        row = order[at]
        return np.where(self.keys[row] == keys, row, -1)

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """For ``sketch.state.pack``."""
        out = {f"{prefix}.key": self.keys}
        out |= {f"{prefix}.{name}": values for name, values in self.numbers.items()}
        for name, values in self.texts.items():
            out[f"{prefix}.{name}.ends"], out[f"{prefix}.{name}.text"] = text_arrays(values)
        return out

    @classmethod
    def of_arrays(
        cls, prefix: str, arrays: Mapping[str, np.ndarray], spec: Mapping[str, Column], texts: tuple[str, ...]
    ) -> Self:
        """Raises StateError."""
        try:
            keys = arrays[f"{prefix}.key"]
            numbers = {name: arrays[f"{prefix}.{name}"] for name in spec}
            said = {
                name: array_text(arrays[f"{prefix}.{name}.ends"], arrays[f"{prefix}.{name}.text"])
                for name in texts
            }
        except KeyError as error:
            raise StateError(f"the state has no array {error}") from None
        for name, column in spec.items():
            if numbers[name].shape != column.empty(len(keys)).shape:
                raise StateError(f"array {prefix}.{name} has the wrong shape")
        if any(len(values) != len(keys) for values in said.values()):
            raise StateError(f"texts of {prefix} have the wrong length")
        return cls(keys, numbers, said)


def folded(old: Rows, new: Rows, spec: Mapping[str, Column]) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Both in one, in order of their keys; and where the old and the new rows went."""
    keys = np.unique(np.concatenate([old.keys, new.keys]))
    at_old, at_new = np.searchsorted(keys, old.keys), np.searchsorted(keys, new.keys)
    known = np.zeros(len(keys), np.bool_)
    known[at_old] = True
    both = known[at_new]
    numbers = {}
    for name, column in spec.items():
        out = column.empty(len(keys))
        out[at_old] = old[name]
        value = new[name]
        here = out[at_new]
        if column.fold == "add":
            value = here + value
        elif column.fold == "min":
            value = np.where(both, np.minimum(here, value), value)
        elif column.fold == "max":
            value = np.where(both, np.maximum(here, value), value)
        elif column.fold == "or":
            value = (both & here) | value
        elif column.fold in ("said", "most"):
            held = both if column.width == 1 else both[:, None]
            value = np.where(held & np.isnan(value), here, value)
            if column.fold == "most":
                value = np.where(held, np.fmax(here, value), value)
        out[at_new] = value
        numbers[name] = out
    texts = {}
    for name in old.texts:
        place = np.zeros(len(keys), np.int64)
        place[at_old] = np.arange(len(old))
        place[at_new] = len(old) + np.arange(len(new))
        texts[name] = pa.concat_arrays([old.texts[name], new.texts[name]]).take(pa.array(place))
    return Rows(keys, numbers, texts), at_old, at_new


def text_arrays(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(ends of the texts, their bytes)."""
    _, offsets, data = texts.buffers()
    if offsets is None or not len(texts):
        return np.zeros(0, np.int64), np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    held = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return ends[1:] - ends[0], held[ends[0] : ends[-1]].copy()


def array_text(ends: np.ndarray, data: np.ndarray) -> pa.Array:
    """Back again. Raises StateError where it cannot be."""
    if len(ends) and (ends[-1] != len(data) or ends[0] < 0 or np.any(np.diff(ends) < 0)):
        raise StateError("texts of a state do not fit their lengths")
    offsets = np.r_[0, ends].astype(np.int32)
    texts = pa.StringArray.from_buffers(
        len(ends), pa.py_buffer(offsets.tobytes()), pa.py_buffer(data.tobytes())
    )
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        raise StateError(f"texts of a state are damaged: {error}") from None
    return texts
