"""Texts by key: what a key of the summary is called. Bounded: of more than ``MOST`` names those with the lowest keys
stay, which is a sample, since keys are hashes."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.sketch.state import StateError, pack, unpack

MOST: Final = 1_000_000
_PENDING = 100_000


class Names:
    def __init__(self) -> None:
        self._keys = np.zeros(0, np.uint64)
        self._texts = pa.array([], pa.string())
        self._pending: list[tuple[np.ndarray, pa.Array]] = []
        self._waiting = 0

    def add(self, keys: np.ndarray, texts: pa.Array) -> None:
        """``keys`` of these texts (uint64), of the same length."""
        self._pending.append((keys, texts.cast(pa.string())))
        self._waiting += len(keys)
        if self._waiting > max(_PENDING, len(self._keys)):
            self._fold()

    def merge(self, other: Self) -> None:
        other._fold()
        self.add(other._keys, other._texts)

    def _fold(self) -> None:
        if not self._pending:
            return
        keys = np.concatenate([self._keys, *(k for k, _ in self._pending)])
        texts = pa.concat_arrays([self._texts, *(t for _, t in self._pending)])
        self._pending, self._waiting = [], 0
        self._keys, first = np.unique(keys, return_index=True)
        self._keys, first = self._keys[:MOST], first[:MOST]
        self._texts = texts.take(pa.array(first))

    def of(self, keys: np.ndarray, unknown: str = "?") -> list[str]:
        """The text of each key."""
        self._fold()
        if not len(self._keys):
            return [unknown] * len(keys)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[at] == keys
        texts = self._texts.take(pa.array(at)).to_pylist()
        return [text if there else unknown for text, there in zip(texts, known.tolist(), strict=True)]

    def to_bytes(self) -> bytes:
        self._fold()
        texts = [text.encode() for text in self._texts.to_pylist()]
        ends = np.cumsum([0, *map(len, texts)]).astype(np.int64)
        letters = np.frombuffer(b"".join(texts), np.uint8)
        return pack("names", 1, {"keys": self._keys, "ends": ends, "letters": letters})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, _ = unpack("names", 1, data)
        if set(arrays) != {"keys", "ends", "letters"} or len(arrays["ends"]) != len(arrays["keys"]) + 1:
            raise StateError("names: its parts do not fit together")
        raw, ends = arrays["letters"].tobytes(), arrays["ends"].tolist()
        made = cls()
        made._keys = arrays["keys"]
        made._texts = pa.array([raw[a:b].decode() for a, b in pairwise(ends)], pa.string())
        return made
