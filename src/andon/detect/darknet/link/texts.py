"""Texts by number: marks and behaviours are compared as numbers, and texts are kept once, as bytes in a state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from andon.sketch.state import StateError


def pack_texts(name: str, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays ``NAME.bytes`` and ``NAME.ends`` of texts, for a state."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(part) for part in raw], dtype=np.int64)
    return {f"{name}.bytes": np.frombuffer(b"".join(raw), np.uint8), f"{name}.ends": ends}


def unpack_texts(name: str, arrays: dict[str, np.ndarray]) -> list[str]:
    """Back from ``pack_texts``. Raises StateError.

    >>> unpack_texts("x", pack_texts("x", ["23,2323", ""]))
    ['23,2323', '']
    """
    try:
        raw, ends = arrays[f"{name}.bytes"].tobytes(), arrays[f"{name}.ends"].tolist()
    except KeyError as error:
        raise StateError(f"damaged texts: no {error}") from error
    begins = [0, *ends][:-1]
    if any(b < a for a, b in zip(begins, ends, strict=True)) or (ends and ends[-1] != len(raw)):
        raise StateError(f"damaged texts of {name}")
    return [raw[a:b].decode("utf-8", "surrogatepass") for a, b in zip(begins, ends, strict=True)]


def renumber(texts: Sequence[str], used: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The texts that are used, in order of their text, and the new number of each old one (-1: not used).

    ``used`` (int) are numbers that occur; negative ones are left alone."""
    old = np.unique(used[used >= 0])
    kept = sorted(old.tolist(), key=lambda number: texts[number])
    new = np.full(len(texts) + 1, -1, np.int64)  # the last place answers for -1
    new[kept] = np.arange(len(kept))
    return [texts[number] for number in kept], new
