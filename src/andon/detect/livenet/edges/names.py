"""Names kept once each: sorted 64-bit keys and their texts, so that rows hold small numbers.

A number is the rank of the name's key. Keys come from ``sketch.texts`` and ranks keep their order when names are joined
or left out, so rows that are sorted by such numbers stay sorted when they are renumbered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from andon.records.domains import buffers


def ascending(values: np.ndarray) -> np.ndarray:
    """The distinct values, sorted. (``np.unique`` hashes them first, at ten times the cost for values that hardly
    repeat.)

    >>> ascending(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    values = np.sort(values)
    first: np.ndarray = values[np.r_[True, values[1:] != values[:-1]]] if len(values) else values
    return first


@dataclass(frozen=True)
class Names:
    """``keys`` (uint64, ascending, distinct) and ``texts`` (``pa.string``, as many)."""

    keys: np.ndarray
    texts: pa.Array

    @classmethod
    def none(cls) -> Self:
        return cls(np.empty(0, np.uint64), pa.array([], pa.string()))

    @classmethod
    def of(cls, keys: np.ndarray, texts: pa.Array) -> Self:
        """Of keys that may repeat and stand in any order."""
        keys, first = np.unique(keys, return_index=True)
        return cls(keys, texts.take(pa.array(first)))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def nbytes(self) -> int:
        """Bytes of the texts alone."""
        if not len(self):
            return 0
        _, ends = buffers(self.texts)
        return int(ends[-1]) - int(ends[0])

    def find(self, keys: np.ndarray) -> np.ndarray:
        """int64 number of each key; every one must be there."""
        return np.searchsorted(self.keys, keys)

    def keep(self, mask: np.ndarray) -> tuple[Self, np.ndarray]:
        """Those of the mask, and the new number of each old one (int64; meaningless for those left out)."""
        return type(self)(self.keys[mask], self.texts.filter(pa.array(mask))), np.cumsum(mask) - 1

    def with_those_of(self, other: Self) -> tuple[Self, np.ndarray, np.ndarray]:
        """(both together, new numbers of mine, new numbers of the other's)."""
        keys = np.concatenate([self.keys, other.keys])
        keys, first = np.unique(keys, return_index=True)
        texts = pa.concat_arrays([self.texts, other.texts]).take(pa.array(first))
        both = type(self)(keys, texts)
        return both, both.find(self.keys), both.find(other.keys)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """As named arrays for ``sketch.state.pack``."""
        data, ends = buffers(self.texts)
        begin, end = (int(ends[0]), int(ends[-1])) if len(self) else (0, 0)
        return {
            f"{name}.keys": self.keys,
            f"{name}.ends": (ends[: len(self) + 1] - begin).astype(np.int32),
            f"{name}.text": data[begin:end],
        }

    @classmethod
    def from_arrays(cls, name: str, arrays: dict[str, np.ndarray]) -> Self:
        """Of what ``arrays`` gave. Raises ValueError, KeyError for what is no such thing."""
        keys, ends, text = (arrays[f"{name}.{part}"] for part in ("keys", "ends", "text"))
        if len(ends) != len(keys) + 1 or ends[0] != 0 or ends[-1] != len(text) or np.any(np.diff(ends) < 0):
            raise ValueError(f"damaged names of {name}")
        made = pa.StringArray.from_buffers(len(keys), pa.py_buffer(ends), pa.py_buffer(text))
        made.validate(full=True)
        return cls(keys, made)
