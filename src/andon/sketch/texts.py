"""Texts as 64-bit keys: columns of strings for tables that hold numbers (``sketch.rows``).

Eight bytes at a time are mixed into the hash (``sketch.hashing.mix64``), the length last; keys are below 2^63, as
``KeyedRows`` wants them. Two of n different texts share a key with a chance of about n^2 / 2^64: 5 in 100 million for a
million texts.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from andon.sketch.hashing import mix64

_TOP = np.uint64(0x7FFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True)
def _hashes(data: np.ndarray, offsets: np.ndarray, salt: np.uint64, out: np.ndarray) -> None:
    for i in range(out.shape[0]):
        hashed = salt
        word, filled = np.uint64(0), 0
        for at in range(offsets[i], offsets[i + 1]):
            word |= np.uint64(data[at]) << np.uint64(8 * filled)
            filled += 1
            if filled == 8:
                hashed = mix64(word, hashed)
                word, filled = np.uint64(0), 0
        hashed = mix64(word, hashed)
        hashed = mix64(np.uint64(offsets[i + 1] - offsets[i]), hashed)
        out[i] = hashed & _TOP


def text_keys(texts: pa.Array | pa.ChunkedArray, salt: int = 0) -> np.ndarray:
    """uint64 key of each text (``pa.string`` or dictionary of it); a null has the key of "".

    >>> a, b, c = text_keys(pa.array(["x.example", "y.example", "x.example"])).tolist()
    >>> a == c, a == b
    (True, False)
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if pa.types.is_dictionary(texts.type):
        words = text_keys(texts.dictionary, salt)
        codes = texts.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
        nothing = text_keys(pa.array([""]), salt)
        keys: np.ndarray = np.concatenate([words, nothing])[codes]
        return keys
    out = np.empty(len(texts), np.uint64)
    if len(texts):
        texts = texts.fill_null("") if texts.null_count else texts
        _, offsets, data = texts.buffers()
        ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        held = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        _hashes(held, ends, np.uint64(salt), out)
    return out
