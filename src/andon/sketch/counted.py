"""A summary of bounded rows and the number of packets entered, whether their rows were kept or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import pyarrow as pa

from andon.records.columns import column
from andon.sketch.rows import WHOLE_KEY, Column, KeyedRows
from andon.sketch.state import StateError, join, pack, split, unpack


class CountedRows:
    """``rows`` and ``packets``. A subclass names its ``kind`` (as its bytes do), the columns of packets that it
    reads, the columns of its rows and which bits of their keys decide on the sample."""

    kind: ClassVar[str]
    read: ClassVar[tuple[str, ...]]
    spec: ClassVar[Mapping[str, Column]]
    sampled_by: ClassVar[int] = WHOLE_KEY

    def __init__(self, limit: int, salt: int) -> None:
        self.rows = KeyedRows(self.spec, limit, salt, sampled_by=self.sampled_by)
        self.packets = 0

    def enter(self, kernel: Callable[..., tuple[int, ...]], batch: pa.RecordBatch, *given: Any) -> None:
        """Enter a batch of packets with a kernel as ``KeyedRows.walk`` wants it."""
        self.packets += self.rows.walk(kernel, [column(batch, name) for name in self.read], *given)

    def merge(self, other: Self) -> None:
        self.rows.merge(other.rows)
        self.packets += other.packets

    def to_bytes(self) -> bytes:
        return join(self.rows.to_bytes(), pack(self.kind, 1, {}, {"packets": self.packets}))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        rows, rest = split(data)
        self = cls.__new__(cls)
        self.rows = KeyedRows.from_bytes(rows, cls.spec)
        _, scalars = unpack(cls.kind, 1, rest)
        if "packets" not in scalars:
            raise StateError(f"damaged {cls.kind}: no number of packets")
        self.packets = scalars["packets"]
        return self
