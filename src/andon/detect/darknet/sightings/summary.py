"""The summary of a day of sightings: bounded rows by source, port and given fingerprint, and their texts."""

from __future__ import annotations

import hashlib
import struct
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.darknet.sightings.kernel import (
    DAY_MS,
    GIVEN,
    LATEST,
    QUARTERS,
    SOURCE_SHIFT,
    enter,
    requests,
)
from andon.records.columns import column
from andon.records.kinds import DARKNET_SOURCE, kind_of
from andon.sketch.hashing import mix64_array
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, pack, unpack

SPEC = {
    "times": Column("<u4", "min", 2 * QUARTERS),
    "packets": Column("<u8", "add", QUARTERS),
    "what": Column("<u4", "max"),
    "mark": Column("<u8", "max"),
}
READ = ("ts", "src", "src_port", "dst_port", "proto", "tcp_flags", "layers", "icmp_type")
NAMES = 10_000  # fingerprints whose text is kept
NAME_LENGTH = 400  # characters; a longer one is no fingerprint that anybody wrote
_OF_SOURCE = ((1 << 32) - 1) << SOURCE_SHIFT  # rows of one source stay or go together
_LONGEST_MS = LATEST - DAY_MS  # a sighting that is said to last longer is cut to this, 48 days
_MOST_PACKETS = 1 << 40
_MILLION = 1_000_000


def mark_of(text: str) -> int:
    """The 64-bit number that stands for a fingerprint's text, never 0."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") | 1


class Sightings:
    """``rows`` (see ``kernel``), ``names`` (text of each mark), and what was not entered.

    ``answers`` are packets that ask for nothing, ``nameless`` sightings whose fingerprint is too long to be one."""

    def __init__(self, rows: int, salt: int) -> None:
        self.rows = KeyedRows(SPEC, rows, salt, sampled_by=_OF_SOURCE)
        self.names: dict[int, str] = {}
        self.packets = 0
        self.answers = 0
        self.nameless = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Enter a batch of packets or of darknet sources."""
        if kind_of(batch) == DARKNET_SOURCE:
            self._add_sources(batch)
        else:
            self._add_packets(batch)

    def _add_packets(self, batch: pa.RecordBatch) -> None:
        size = batch.num_rows
        keys, lower, time = np.empty(size, np.uint64), np.empty(size, np.uint32), np.empty(size, np.uint32)
        found = requests(*(column(batch, name) for name in READ), keys, lower, time)
        self.packets += found
        self.answers += size - found
        none = np.zeros(found, np.uint64)
        one = none + np.uint64(1)
        self.rows.walk(
            enter, (keys[:found], time[:found], time[:found], one, lower[:found], none), self.rows.sampled_by
        )

    def _add_sources(self, batch: pa.RecordBatch) -> None:
        first, last = column(batch, "first") // _MILLION, column(batch, "last") // _MILLION
        begin = first % DAY_MS
        end = begin + np.clip(last - first, 0, _LONGEST_MS)
        count = np.clip(column(batch, "packets"), 1, _MOST_PACKETS).astype(np.uint64)
        what = column(batch, "protocol").astype(np.uint32) << 16 | column(batch, "dst_port")
        texts = pc.dictionary_encode(batch.column(batch.schema.get_field_index("fingerprint")))
        said = [text if len(text) <= NAME_LENGTH else "" for text in texts.dictionary.to_pylist()]
        marks = np.array([mark_of(text) if text else 0 for text in said] or [0], np.uint64)
        number = texts.indices.to_numpy(zero_copy_only=False)
        mark = marks[number]
        long = np.array([len(text) > NAME_LENGTH for text in texts.dictionary.to_pylist()] or [False])
        self.nameless += int(np.count_nonzero(long[number]))
        for text, value in zip(said, marks.tolist(), strict=False):
            if text:
                self.names[value] = text
        self._forget_names()
        hashed = mix64_array(mark ^ what.astype(np.uint64), np.uint64(0)) >> np.uint64(34)
        lower = np.where(mark > 0, np.uint64(GIVEN) | hashed, what.astype(np.uint64))
        keys = column(batch, "src").astype(np.uint64) << np.uint64(SOURCE_SHIFT) | lower
        self.packets += int(count.sum())
        self.rows.walk(
            enter,
            (keys, begin.astype(np.uint32), end.astype(np.uint32), count, what, mark),
            self.rows.sampled_by,
        )

    def _forget_names(self) -> None:
        # The lowest stay, whatever came first: the marks are hashes.
        if len(self.names) > NAMES:
            self.names = {mark: self.names[mark] for mark in sorted(self.names)[:NAMES]}

    def merge(self, other: Sightings) -> None:
        self.rows.merge(other.rows)
        self.names |= other.names
        self._forget_names()
        self.packets += other.packets
        self.answers += other.answers
        self.nameless += other.nameless

    def to_bytes(self) -> bytes:
        rows = self.rows.to_bytes()
        marks = sorted(self.names)
        texts = [self.names[mark].encode() for mark in marks]
        arrays: dict[str, np.ndarray] = {
            "mark": np.array(marks, np.uint64),
            "length": np.array([len(text) for text in texts], np.int64),
            "text": np.frombuffer(b"".join(texts), np.uint8),
        }
        scalars = {"packets": self.packets, "answers": self.answers, "nameless": self.nameless}
        body: bytes = struct.pack("<Q", len(rows)) + rows + pack("sightings", 1, arrays, scalars)
        return body

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        if len(data) < 8:
            raise StateError("damaged sightings: cut short")
        (length,) = struct.unpack_from("<Q", data)
        self = cls.__new__(cls)
        self.rows = KeyedRows.from_bytes(data[8 : 8 + length], SPEC)
        arrays, scalars = unpack("sightings", 1, data[8 + length :])
        try:
            ends = np.cumsum(arrays["length"])
            text = arrays["text"].tobytes()
            self.names = {
                mark: text[end - size : end].decode()
                for mark, size, end in zip(
                    arrays["mark"].tolist(), arrays["length"].tolist(), ends.tolist(), strict=True
                )
            }
            self.packets, self.answers, self.nameless = (
                scalars[name] for name in ("packets", "answers", "nameless")
            )
        except (KeyError, ValueError) as error:
            raise StateError(f"damaged sightings: {error}") from error
        return self
