"""What the engine keeps of a day: for each source how many SYN packets, when, and a sample of them.

Only TCP SYN packets of IPv4 (of the six classic flags, SYN alone). Memory is bounded, whatever is spoofed, by one
list of *positions*: at each the sources keep fewer packets, and beyond the last step only one source in 2, 4, 8, ...
is kept (by hash, as in ``sketch.rows``). A summary stands at the first position at which its content fits; a content
that does not fit can only grow, so the position depends on the packets alone and not on their order, and merging is
exact. Counts and times of a kept source are those of all its packets; ``packets`` counts all SYN packets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from andon.detect.darknet.fingerprint import kernels
from andon.detect.darknet.fingerprint.kernels import (
    BUMP,
    FREE,
    LAST_STEP,
    LIVE,
    PACKETS,
    SAMPLE,
    SIZES,
    WORDS,
)
from andon.detect.darknet.fingerprint.sample import Sample
from andon.records.packet import IPV4, SYN, TCP
from andon.sketch.hashing import mix64_array, unmix64_array
from andon.sketch.rows import EMPTY, Column, KeyedRows, aligned
from andon.sketch.state import StateError, pack, unpack

SOURCES = 600_000  # most sources
UNITS = 1_900_000  # most places for packets, as blocks are counted
_SPARE = 300_000  # more of them in the arena, so that it is put in order rarely
_ROWS = {"row": Column("i8", "add", WORDS)}
LIMIT = 32 * SOURCES + 32 * UNITS + (1 << 16)


class FingerprintSummary:
    """See the module text. ``key`` keys all hashes; the bounds can be set lower for tests."""

    def __init__(self, key: int, sources: int = SOURCES, units: int = UNITS) -> None:
        if units < int(SIZES[-1]) or sources < 1:
            raise ValueError(f"no room for a source in {sources} rows and {units} places")
        self.key = key
        self.packets = 0
        self.position = 0
        self.units = units
        self._table = KeyedRows(_ROWS, sources, key)
        self._book = np.full(FREE + len(SIZES), -1, np.int64)
        self._book[BUMP] = self._book[LIVE] = 0
        self._arena = aligned((min(1024, self._largest) * WORDS,), np.uint64)

    @property
    def _largest(self) -> int:
        return self.units + max(int(SIZES[-1]), min(_SPARE, self.units // 4))

    @property
    def step(self) -> int:
        """Which of ``kernels.STEPS`` says how many packets of a source are kept."""
        return min(self.position, LAST_STEP)

    @property
    def level(self) -> int:
        """One source in 2^level is kept."""
        return self._table.level

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + self._arena.nbytes

    def add(self, columns: Mapping[str, np.ndarray]) -> None:
        """Take in a batch: packet-record columns in their wire types."""
        flags, layers = columns["tcp_flags"], columns["layers"]
        wanted = IPV4 | TCP
        self.packets += int(np.count_nonzero(((flags & 0x3F) == SYN) & ((layers & wanted) == wanted)))
        at = 0
        while True:
            table = self._table
            rows = table.columns["row"]
            at, table.used, why = kernels.take(
                at, columns["ts"], columns["src"], columns["dst"], columns["src_port"], columns["dst_port"], flags,
                columns["tcp_seq"], columns["tcp_ack"], columns["ip_id"], columns["ttl"], columns["tcp_window"],
                columns["ip_len"], layers, table.keys, rows.reshape(-1), rows, table.used, table.room, table.level,
                table.salt, self.step, self._arena, self._book, self.units,
            )  # fmt: skip
            if why == kernels.DONE:
                return
            self._make_room(why)

    def merge(self, other: FingerprintSummary) -> None:
        """Take in another summary of the same key and bounds."""
        if (self.key, self.units, self._table.limit) != (other.key, other.units, other._table.limit):
            raise ValueError("only summaries of the same hash key and bounds can be merged")
        self.packets += other.packets
        while self.position < other.position:
            self._advance()
        slots = other._slots()
        keys, rows = other._table.keys[slots], other._table.columns["row"][slots]
        counts = kernels.sampled(keys, rows, other._table.salt, other.step)
        source = inner = 0
        while True:
            table = self._table
            source, inner, table.used, why = kernels.take_samples(
                source, inner, keys, rows, counts, other._arena, table.keys, table.columns["row"], table.used,
                table.room, table.level, table.salt, self.step, self._arena, self._book, self.units,
            )  # fmt: skip
            if why == kernels.DONE:
                return
            self._make_room(why)

    def _make_room(self, why: int) -> None:
        table = self._table
        if why == kernels.TABLE_FULL and table.used < table.limit:
            table.make_room()
        elif why == kernels.ARENA_FULL and len(self._arena) < self._largest * WORDS:
            # Pages of the new array that are not written yet take no memory, so it may be much larger at once.
            bigger = aligned((min(4 * len(self._arena), self._largest * WORDS),), np.uint64)
            bigger[: len(self._arena)] = self._arena
            self._arena = bigger
        elif why == kernels.ARENA_FULL:
            self._shrink(self.step)
        else:
            self._advance()

    def _advance(self) -> None:
        before = self.step
        self.position += 1
        self._table.raise_level(max(0, self.position - LAST_STEP))
        self._shrink(before)

    def _shrink(self, before: int) -> None:
        table = self._table
        rows = table.columns["row"]
        kernels.shrink(
            table.keys, rows.reshape(-1), rows, self._arena, self._book, table.salt, before, self.step
        )

    def _slots(self) -> np.ndarray:
        table = self._table
        found: np.ndarray = np.flatnonzero((table.keys != EMPTY) & (table.columns["row"][:, PACKETS] > 0))
        return found

    def _content(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(sources ascending, their rows, packets in the sample of each, the packets by source and hash)."""
        slots = self._slots()
        slots = slots[np.argsort(self._table.keys[slots])]
        keys, rows = self._table.keys[slots], self._table.columns["row"][slots]
        counts = kernels.sampled(keys, rows, self._table.salt, self.step)
        items = np.empty((int(counts.sum()), 4), np.uint64)
        kernels.dump(rows, counts, self._arena, items)
        return keys, rows, counts, items

    def sample(self) -> Sample:
        """The sample as columns; rows of a source in order of time."""
        keys, rows, counts, items = self._content()
        starts = np.r_[0, np.cumsum(counts)].astype(np.int64)
        items = items[by_time(np.repeat(np.arange(len(keys)), counts), items)]
        w1, w2, w3 = (np.ascontiguousarray(items[:, n]) for n in (1, 2, 3))
        salt = np.uint64(self.key)
        inner = mix64_array(w2 ^ mix64_array(w3, salt), salt)
        w0 = unmix64_array(np.ascontiguousarray(items[:, 0]), salt) ^ mix64_array(w1 ^ inner, salt)

        def bits(word: np.ndarray, shift: int, kind: type[np.unsignedinteger]) -> np.ndarray:
            return (word >> np.uint64(shift)).astype(kind)

        return Sample(
            src=keys.astype(np.uint32),
            starts=starts,
            columns={
                "dst": bits(w0, 32, np.uint32),
                "ip_id": bits(w1, 0, np.uint16),
                "ttl": bits(w2, 24, np.uint8),
                "ip_len": bits(w2, 8, np.uint16),
                "src_port": bits(w1, 48, np.uint16),
                "dst_port": bits(w1, 32, np.uint16),
                "tcp_seq": bits(w0, 0, np.uint32),
                "tcp_ack": bits(w2, 32, np.uint32),
                "tcp_window": bits(w1, 16, np.uint16),
                "ts": w3.view(np.int64),
            },
            packets=np.ascontiguousarray(rows[:, PACKETS]),
        )

    def times(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last time (ns) of each source of ``sample()``."""
        slots = self._slots()
        slots = slots[np.argsort(self._table.keys[slots])]
        rows = self._table.columns["row"][slots]
        return rows[:, kernels.FIRST].copy(), rows[:, kernels.LAST].copy()

    def to_bytes(self) -> bytes:
        keys, rows, _, items = self._content()
        scalars = {
            "key": self.key,
            "sources": self._table.limit,
            "units": self.units,
            "position": self.position,
            "packets": self.packets,
        }
        facts = np.ascontiguousarray(rows[:, :SAMPLE])
        return pack(
            "darknet.fingerprint", 1, {"keys": keys.astype("<u4"), "rows": facts, "items": items}, scalars
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("darknet.fingerprint", 1, data)
        try:
            made = cls(scalars["key"], scalars["sources"], scalars["units"])
            made.packets, made.position = scalars["packets"], scalars["position"]
            keys, facts, items = arrays["keys"].astype(np.uint64), arrays["rows"], arrays["items"]
        except (KeyError, ValueError) as error:
            raise StateError(f"damaged state of darknet.fingerprint: {error}") from error
        n = len(keys)
        if facts.shape != (n, SAMPLE) or items.ndim != 2 or items.shape[1:] != (4,):
            raise StateError("state of darknet.fingerprint has arrays of the wrong shape")
        if n > made._table.limit or (n and int(facts[:, PACKETS].min()) < 1) or made.position < 0:
            raise StateError("state of darknet.fingerprint does not fit its own bounds")
        table = made._table
        table.raise_level(max(0, made.position - LAST_STEP))
        while table.used < n:
            table.add(keys)
            if table.level != max(0, made.position - LAST_STEP):
                raise StateError("state of darknet.fingerprint does not fit its own bounds")
            if table.used < n:
                raise StateError(
                    "state of darknet.fingerprint names a source twice, or one that is not sampled"
                )
        rows = np.zeros((n, WORDS), np.int64)
        rows[:, :SAMPLE] = facts
        counts = kernels.sampled(keys, rows, table.salt, made.step)
        if int(counts.sum()) != len(items):
            raise StateError("state of darknet.fingerprint lacks packets of its sample")
        needed = int(kernels.units_needed(counts))
        if needed > made.units:
            raise StateError("state of darknet.fingerprint does not fit its own bounds")
        while len(made._arena) < needed * WORDS:
            made._arena = aligned((min(4 * len(made._arena), made._largest * WORDS),), np.uint64)
        made._book[BUMP] = made._book[LIVE] = kernels.restore(rows, counts, items, made._arena)
        used = np.flatnonzero(table.keys != EMPTY)
        table.columns["row"][used[np.argsort(table.keys[used])]] = rows[np.argsort(keys)]
        return made


def by_time(source: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Order of packets (int64) by source (ascending already), time and hash; ``items`` of a source are by hash."""
    if not len(source):
        return np.empty(0, np.int64)
    late = items[:, 3] - items[:, 3].min()
    bits = int(late.max()).bit_length()
    if bits + int(source[-1]).bit_length() > 64:
        return np.lexsort((items[:, 0], items[:, 3], source))
    # One key is sorted twenty times as fast as three.
    return np.argsort(source.astype(np.uint64) << np.uint64(bits) | late, kind="stable")
