"""Texts by 64-bit key, beside tables that hold only keys: added as they come, looked up and saved as a whole.

Which texts are kept is decided by the table they belong to (``keep``), so a pool is as bounded as that table is.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import pyarrow as pa

from andon.sketch.state import StateError, pack, unpack


class TextPool:
    """Texts by key; equal keys are equal texts.

    >>> pool = TextPool()
    >>> pool.add(np.array([7, 3], np.uint64), pa.array(["seven", "three"]))
    >>> pool.texts(np.array([3, 9], np.uint64)).to_pylist()
    ['three', '']
    """

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._held = pa.array([], pa.large_string())
        self._new: list[tuple[np.ndarray, pa.Array]] = []
        self._waiting = 0

    def __len__(self) -> int:
        """How many texts there are at most: those not yet sorted in may be there already."""
        return len(self._keys) + self._waiting

    def add(self, keys: np.ndarray, texts: pa.Array) -> None:
        """Texts of these keys (``pa.string``), known already or not."""
        if len(keys):
            self._new.append((keys, texts))
            self._waiting += len(keys)
            if self._waiting > max(65_536, len(self._keys)):
                self._settle()

    def merge(self, other: TextPool) -> None:
        for keys, texts in [(other._keys, other._held), *other._new]:
            self.add(keys, texts)

    def keep(self, keys: np.ndarray) -> None:
        """Forget the texts of all keys but these."""
        self._settle()
        rows = np.flatnonzero(np.isin(self._keys, keys))
        if len(rows) < len(self._keys):
            self._keys, self._held = self._keys[rows], self._held.take(pa.array(rows))

    def texts(self, keys: np.ndarray) -> pa.Array:
        """``pa.string`` of each key; "" where there is none."""
        self._settle()
        at = np.minimum(np.searchsorted(self._keys, keys), max(len(self._keys) - 1, 0))
        known = self._keys[at] == keys if len(self._keys) else np.zeros(len(keys), np.bool_)
        found = (
            self._held.take(pa.array(at, mask=~known))
            if len(self._keys)
            else pa.nulls(len(keys), pa.string())
        )
        return found.cast(pa.string()).fill_null("")

    def _settle(self) -> None:
        if not self._new:
            return
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._new)])
        texts = pa.concat_arrays([self._held, *(texts.cast(pa.large_string()) for _, texts in self._new)])
        self._keys, first = np.unique(keys, return_index=True)
        self._held = texts.take(pa.array(first))
        self._new, self._waiting = [], 0

    def to_bytes(self) -> bytes:
        self._settle()
        lengths = np.array([len(text.encode()) for text in self._held.to_pylist()], np.int64)
        data = "".join(self._held.to_pylist()).encode()
        return pack(
            "texts", 1, {"keys": self._keys, "lengths": lengths, "data": np.frombuffer(data, np.uint8)}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, _ = unpack("texts", 1, data)
        made = cls()
        lengths = arrays["lengths"]
        if len(lengths) != len(arrays["keys"]) or lengths.sum() != len(arrays["data"]) or (lengths < 0).any():
            raise StateError("texts and their lengths do not fit")
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        held = pa.LargeStringArray.from_buffers(
            len(lengths), pa.py_buffer(offsets.tobytes()), pa.py_buffer(arrays["data"].tobytes())
        )
        try:
            held.validate(full=True)
        except pa.ArrowInvalid as error:
            raise StateError(f"texts are not UTF-8: {error}") from error
        made._keys, made._held = arrays["keys"], held
        return made
