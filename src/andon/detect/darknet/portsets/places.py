"""What other engines know of the sources: fingerprints and tools."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

PURPOSE, TOOLS, FINGERPRINTS = (
    "darknet.purpose:sources",
    "darknet.tools:sources",
    "darknet.fingerprint:sources",
)
_SURE = 0.5  # confidence of a tool


def newest(tables: Mapping[str, pa.Table], name: str) -> pa.Table | None:
    """The table of this span, or of the newest one before; None without."""
    table = tables.get(name)
    return tables.get(f"{name}@last") if table is None else table


class Marks:
    """Fingerprint or tool of addresses: the relation that ``darknet.fingerprint`` found with most packets, else the
    tool by ``darknet.tools``. ``names`` and, by ``of``, an index into them, -1 for none; ``relations`` of them are
    relations, the rest tools."""

    def __init__(self, fingerprints: pa.Table | None, tools: pa.Table | None) -> None:
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        self.names: list[str] = []
        self.relations = 0
        for table, column in ((tools, "tool"), (fingerprints, "relation")):
            if table is None or not table.num_rows:
                continue
            if column == "tool":
                table = table.filter(pa.array(table["confidence"].to_numpy() >= _SURE))
            texts, number = np.unique(np.array(table[column].to_pylist(), dtype=str), return_inverse=True)
            src, packets = table["src"].to_numpy().astype(np.int64), table["packets"].to_numpy()
            order = np.lexsort((number, -packets, src))
            first = np.r_[True, np.diff(src[order]) != 0] if len(order) else np.zeros(0, np.bool_)
            parts.append((src[order][first], number[order][first] + len(self.names)))
            self.names += texts.tolist()
            if column == "relation":
                self.relations = len(texts)
        self._parts = parts

    def of(self, address: np.ndarray) -> np.ndarray:
        """int64 for each address (uint32)."""
        out = np.full(len(address), -1, np.int64)
        for src, number in self._parts:  # fingerprints come last and win
            at = np.minimum(np.searchsorted(src, address), max(len(src) - 1, 0))
            hit = src[at] == address if len(src) else np.zeros(len(address), np.bool_)
            out[hit] = number[at[hit]]
        return out

    def is_relation(self, number: int) -> bool:
        """Whether a name is a fingerprint, and not a tool."""
        return number >= len(self.names) - self.relations


def name_hash(name: str) -> int:
    """63-bit hash of a name, 0 for ""."""
    return (
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") >> 1 if name else 0
    )
