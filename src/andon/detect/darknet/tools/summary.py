"""What the engine keeps of a day: hits per source and signature, packets per source, and a sample per source.

* ``lanes``: how many packets each source sent in a lane (TCP SYN, UDP), as upper bounds in fixed memory: enough
  to say how surprising a number of hits is, whatever number of spoofed sources comes by.
* ``hits``: a row for each (signature, source) with at least one hit: exact, and rare for unrelated traffic.
* ``guarded`` and ``others``: eight distinct SYN packets of each source that no global relation explains, for the
  session signatures; sources that pass a narrow guard have their own table, so that a flood of others cannot
  push them out.

Everything is a sum, a minimum, a maximum or a bottom-k of hashes, so summaries merge exactly in any order.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Self

import numpy as np

from andon.detect.darknet.tools.kernels import count_lanes, record_hits, take_samples
from andon.sketch.countmin import CountMin
from andon.sketch.places import places_of
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError, pack, unpack

SAMPLE = 8  # distinct packets kept per source
HIT_SAMPLE = 8  # distinct hits told apart per source and signature
_PORTS = 65536
_SYN_WIDTH, _UDP_WIDTH = 1 << 21, 1 << 19
_HIT_ROWS, _GUARDED_ROWS, _OTHER_ROWS = 320_000, 40_000, 320_000
_SOURCE = 0xFFFFFFFF
_NO_SEQUENCES = np.empty((0, SAMPLE), np.uint64)
_NO_TTLS = np.empty(0, np.uint64)

_HITS = {
    # Packets that passed the guard (only where the guard decides on trials), hits, hits with the second property.
    "counts": Column("i8", "add", 3),
    "times": Column("i8", "min", 2),  # first, and last with its sign turned
    "distinct": Column("u4", "lowest", HIT_SAMPLE),  # hashes of what identifies a hit
}
_SAMPLES = {
    "packets": Column("i8"),
    "times": Column("i8", "min", 2),
    "sample": Column("u8", "lowest", 2 * SAMPLE, 2),  # (hash of destination and sequence, the other words)
}
_GUARDED = {
    **_SAMPLES,
    "sequences": Column("u8", "lowest", SAMPLE),  # hashes of distinct sequence numbers
    "ttls": Column("u8", "or"),  # a bit for each TTL modulo 64
}
LIMIT = 16 * (_SYN_WIDTH + _UDP_WIDTH) + 88 * _HIT_ROWS + 240 * _GUARDED_ROWS + 168 * _OTHER_ROWS + (1 << 22)


class ToolsSummary:
    """See the module text. ``signatures`` is the number of global signatures, ``key`` keys all hashes."""

    def __init__(self, signatures: int, key: int) -> None:
        self.signatures = signatures
        self.key = key
        self.packets = np.zeros(2, np.int64)  # per lane
        self.lanes = (CountMin(_SYN_WIDTH, key), CountMin(_UDP_WIDTH, key))
        self.hits = KeyedRows(_HITS, _HIT_ROWS, key, sampled_by=_SOURCE)
        self.guarded = KeyedRows(_GUARDED, _GUARDED_ROWS, key)
        self.others = KeyedRows(_SAMPLES, _OTHER_ROWS, key)
        self.totals = np.zeros(signatures, np.int64)  # all hits, whether or not their row was kept
        self.ports = np.zeros((signatures, _PORTS), np.int64)

    def add(
        self,
        marks: np.ndarray,
        columns: Mapping[str, np.ndarray],
        identity: np.ndarray,
        explains: int,
    ) -> None:
        """Take in one batch. ``marks`` are the answers of ``Catalogue.bundle``, ``explains`` masks the hit bits of
        signatures that explain a packet, ``identity`` has one mask of ``IDENTITY`` per signature."""
        source, salt = columns["src"], np.uint64(self.key)
        count_lanes(marks, source, self.lanes[0].cells, self.lanes[1].cells, salt, self.packets)
        at = 0
        while True:
            rows = self.hits
            at, rows.used = record_hits(
                at, marks, source, columns["dst"], columns["tcp_seq"], columns["src_port"], columns["dst_port"],
                columns["ip_id"], columns["ts"], identity, rows.keys, rows.used, rows.room, rows.level, salt,
                rows.columns["counts"], rows.columns["times"], rows.columns["distinct"],
                self.totals, self.ports,
            )  # fmt: skip
            if at >= marks.shape[0]:
                break
            rows.make_room()
        for wanted, rows in ((5, self.guarded), (1, self.others)):
            at = 0
            while True:
                at, rows.used = take_samples(
                    at, marks, wanted, np.uint32(explains), source, columns["dst"], columns["tcp_seq"],
                    columns["src_port"], columns["dst_port"], columns["tcp_window"], columns["ip_id"], columns["ts"],
                    rows.keys, rows.used, rows.room, rows.level, salt, rows.columns["packets"],
                    rows.columns["times"], rows.columns["sample"],
                    rows.columns.get("sequences", _NO_SEQUENCES),
                    columns["ttl"], rows.columns.get("ttls", _NO_TTLS),
                )  # fmt: skip
                if at >= marks.shape[0]:
                    break
                rows.make_room()

    def merge(self, other: ToolsSummary) -> None:
        if (self.signatures, self.key) != (other.signatures, other.key):
            raise ValueError("only summaries of the same catalogue and hash key can be merged")
        self.packets += other.packets
        for mine, theirs in zip(self.lanes, other.lanes, strict=True):
            mine.merge(theirs)
        self.hits.merge(other.hits)
        self.guarded.merge(other.guarded)
        self.others.merge(other.others)
        self.totals += other.totals
        self.ports += other.ports

    @property
    def nbytes(self) -> int:
        tables = (self.hits, self.guarded, self.others)
        return sum(t.nbytes for t in tables) + sum(c.cells.nbytes for c in self.lanes) + self.ports.nbytes

    def to_bytes(self) -> bytes:
        flat = self.ports.reshape(-1)
        places = places_of(flat).astype("<u4", copy=False)
        head = pack(
            "darknet.tools",
            1,
            {"packets": self.packets, "totals": self.totals, "places": places, "ports": flat[places]},
            {"signatures": self.signatures, "key": self.key},
        )
        parts = [head, *(c.to_bytes() for c in self.lanes)]
        parts += [rows.to_bytes() for rows in (self.hits, self.guarded, self.others)]
        return b"".join(struct.pack("<Q", len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        parts: list[bytes] = []
        at = 0
        while at < len(data):
            if len(data) - at < 8:
                raise StateError("state of darknet.tools is cut short")
            (length,) = struct.unpack_from("<Q", data, at)
            parts.append(data[at + 8 : at + 8 + length])
            at += 8 + length
        if at != len(data) or len(parts) != 6:
            raise StateError("state of darknet.tools does not have its six parts")
        arrays, scalars = unpack("darknet.tools", 1, parts[0])
        try:
            made = cls(scalars["signatures"], scalars["key"])
            made.packets, made.totals = arrays["packets"], arrays["totals"]
            made.ports.reshape(-1)[arrays["places"]] = arrays["ports"]
        except (KeyError, IndexError, ValueError) as error:
            raise StateError(f"damaged state of darknet.tools: {error}") from error
        made.lanes = (CountMin.from_bytes(parts[1]), CountMin.from_bytes(parts[2]))
        made.hits = KeyedRows.from_bytes(parts[3], _HITS)
        made.guarded = KeyedRows.from_bytes(parts[4], _GUARDED)
        made.others = KeyedRows.from_bytes(parts[5], _SAMPLES)
        return made
