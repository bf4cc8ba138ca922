"""The wanted members of a document, as the table that the scanner looks names up in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from andon.observe.jsonlines.kernel import DEEPEST, PRIME, SEED

_WORD = (1 << 64) - 1
_STEP = 0x200  # as in the kernel: the step into an object


class Paths:
    """Wanted members by path: ``"src_ip"``, ``"connection.protocol"``. A dot that belongs to a name has a backslash
    before it. Column k of a scan is the k-th path. Raises ValueError for none, double or too deep.

    >>> Paths(["src_ip", "connection.protocol"]).names
    ('src_ip', 'connection.protocol')
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        if not names or len(set(names)) < len(names):
            raise ValueError("paths are at least one, and each is there once")
        self.number = {name: column for column, name in enumerate(self.names)}
        known: dict[int, int] = {}
        columns: list[int] = []
        inner: list[bool] = []
        for column, name in enumerate(self.names):
            steps = _steps(name)
            if len(steps) > DEEPEST:
                raise ValueError(f"path {name!r} is deeper than {DEEPEST} objects")
            above = SEED
            for depth, step in enumerate(steps):
                hashed = _hash(above, step)
                at = known.setdefault(hashed, len(columns))
                if at == len(columns):
                    columns.append(-1)
                    inner.append(False)
                if depth == len(steps) - 1:
                    columns[at] = column
                else:
                    inner[at] = True
                    above = ((hashed ^ _STEP) * PRIME) & _WORD
        size = 16
        while size < 4 * len(columns):
            size *= 2
        self.hashes = np.zeros(size, np.uint64)
        self.slots = np.zeros(size, np.int64)
        for hashed, slot in known.items():
            at = hashed & (size - 1)
            while self.hashes[at]:
                at = (at + 1) & (size - 1)
            self.hashes[at], self.slots[at] = hashed, slot
        self.columns = np.array(columns, np.int64)
        self.inner = np.array(inner, np.bool_)

    def __len__(self) -> int:
        return len(self.names)


def _steps(name: str) -> list[bytes]:
    parts = name.replace("\\.", "\0").split(".")
    if not all(parts):
        raise ValueError(f"path {name!r} has an empty name in it")
    return [part.replace("\0", ".").encode() for part in parts]


def _hash(above: int, name: bytes) -> int:
    for byte in name:
        above = ((above ^ byte) * PRIME) & _WORD
    return above
