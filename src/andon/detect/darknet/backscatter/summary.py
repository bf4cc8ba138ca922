"""What is kept of a tile: who answered when, with what, and a sample of who sent to whom.

* ``bins``: one row per (answering source, 10 s): packets, which dark addresses (64-bit linear counting mask),
  first and last time. Enough for the packet, duration and rate rules exactly.
* ``answers``: one row per (answering source, flavour, source port): packets. Both tables keep or drop all rows of
  a source together (``sampled_by``), so a source that is kept is exact.
* ``pairs``: a uniform sample of all distinct (source, destination) pairs with their packets by kind, times, TTL and
  ports. In a flood on one address nearly every packet is a new pair, so the flood takes its share of the sample,
  however large the telescope is, and forged sources cannot make it grow.
* ``asked``: which addresses were sent requests (see ``asked``).
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.backscatter import kernel
from andon.detect.darknet.backscatter.asked import WORDS
from andon.records.columns import column
from andon.sketch.places import places_of
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, pack, unpack

COLUMNS = (
    "ts", "src", "dst", "src_port", "dst_port", "proto", "tcp_flags", "ttl", "layers", "icmp_type", "icmp_code",
)  # fmt: skip

PAIR_SPEC = {
    "src": Column("u4", "max"),
    "dst": Column("u4", "max"),
    "sport": Column("u2", "max"),
    "dport": Column("u2", "max"),
    "packets": Column("u4", "add", 6),  # by classes.KINDS
    "first": Column("i8", "min"),
    "last": Column("i8", "max"),
    "ttl_low": Column("u1", "min"),
    "ttl_high": Column("u1", "max"),
}
BIN_SPEC = {
    "packets": Column("u4"),
    "dsts": Column("u8", "or"),
    "ports": Column("u8", "or"),
    "first": Column("i8", "min"),
    "last": Column("i8", "max"),
    "dst_low": Column("u4", "min"),
    "dst_high": Column("u4", "max"),
    "port_low": Column("u2", "min"),
    "port_high": Column("u2", "max"),
}
ANSWER_SPEC = {"packets": Column("u4")}

PAIR_LIMIT = 80_000
BIN_LIMIT = 600_000
ANSWER_LIMIT = 600_000
_SPARSE = 2  # version of the bytes in which ``asked`` is given by its words that are not zero
_FEW = WORDS // 2  # of them; with more, all words are fewer bytes
LIMIT = 64 << 20  # bytes: 600,000 rows of 64 + 600,000 of 12 + 80,000 of 62 + 4 MiB, with headers


class Summary:
    """See the module text. ``totals``: packets by flavour, then packets that are not IPv4 (int64)."""

    def __init__(
        self, salt: int, pairs: int = PAIR_LIMIT, bins: int = BIN_LIMIT, answers: int = ANSWER_LIMIT
    ) -> None:
        self.pairs = KeyedRows(PAIR_SPEC, pairs, salt)
        self.bins = KeyedRows(BIN_SPEC, bins, salt, sampled_by=kernel.BY_SOURCE)
        self.answers = KeyedRows(ANSWER_SPEC, answers, salt, sampled_by=kernel.BY_SOURCE)
        self.asked = np.zeros(WORDS, np.uint64)
        self.totals = np.zeros(kernel.TOTALS, np.int64)

    @property
    def nbytes(self) -> int:
        return self.pairs.nbytes + self.bins.nbytes + self.answers.nbytes + self.asked.nbytes

    def add(self, batch: pa.RecordBatch, services: np.ndarray, note_asked: bool = True) -> None:
        """Add the packets of a batch that has ``COLUMNS``; ``note_asked`` False leaves ``asked`` empty."""
        arrays = [column(batch, name) for name in COLUMNS]
        tables = (self.pairs, self.bins, self.answers)
        position = 0
        while True:
            position, full, *used = kernel.walk(
                position,
                *arrays,
                services,
                self.pairs.salt,
                self.totals,
                self.asked,
                note_asked,
                *(part for rows in tables for part in _parts(rows)),
            )
            for rows, count in zip(tables, used, strict=True):
                rows.used = int(count)
            if full < 0:
                return
            tables[full].make_room()

    def merge(self, other: Summary) -> None:
        self.pairs.merge(other.pairs)
        self.bins.merge(other.bins)
        self.answers.merge(other.answers)
        self.asked |= other.asked
        self.totals += other.totals

    def to_bytes(self) -> bytes:
        parts = [
            self._filter_bytes(),
            *(rows.to_bytes() for rows in (self.pairs, self.bins, self.answers)),
        ]
        return struct.pack("<4Q", *(len(part) for part in parts)) + b"".join(parts)

    def _filter_bytes(self) -> bytes:
        """``asked`` by the words that are not zero where they are few, as they are wherever the telescope is known."""
        places = places_of(self.asked).astype("<u4", copy=False)
        if places.size <= _FEW:
            arrays = {"places": places, "words": self.asked[places], "totals": self.totals}
            return pack("backscatter", _SPARSE, arrays)
        return pack("backscatter", 1, {"asked": self.asked, "totals": self.totals})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        if len(data) < 32:
            raise StateError("not a saved backscatter summary: too short")
        sizes = struct.unpack_from("<4Q", data)
        if sum(sizes) + 32 != len(data):
            raise StateError("damaged backscatter summary: lengths of its parts do not add up")
        ends = np.cumsum((32, *sizes)).tolist()
        parts = [data[start:end] for start, end in pairwise(ends)]
        summary = cls.__new__(cls)
        summary.asked, summary.totals = _filter(parts[0])
        summary.pairs = KeyedRows.from_bytes(parts[1], PAIR_SPEC)
        summary.bins = KeyedRows.from_bytes(parts[2], BIN_SPEC)
        summary.answers = KeyedRows.from_bytes(parts[3], ANSWER_SPEC)
        return summary


def _filter(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(asked, totals) of what ``_filter_bytes`` gave. Raises StateError."""
    try:
        arrays, _ = unpack("backscatter", _SPARSE, data)
    except StateError:
        arrays, _ = unpack("backscatter", 1, data)
    try:
        if "asked" in arrays:
            asked = arrays["asked"]
        else:
            asked = np.zeros(WORDS, np.uint64)
            asked[arrays["places"]] = arrays["words"]
        totals = arrays["totals"]
    except (KeyError, IndexError, ValueError) as error:
        raise StateError(f"damaged backscatter summary: {error}") from error
    if asked.shape != (WORDS,) or totals.shape != (kernel.TOTALS,):
        raise StateError("backscatter summary of another shape")
    return asked, totals


def _parts(rows: KeyedRows) -> tuple[object, ...]:
    return (rows.keys, rows.used, rows.room, rows.level, *(rows.columns[name] for name in rows.spec))
