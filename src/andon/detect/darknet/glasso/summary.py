"""The summary of ten minutes: counts by /16 and sample, and which /16 sent to which port.

All 65,536 /16 have a row, so the counts are exact whatever comes. Pairs of /16 and port are bounded: beyond the limit
all pairs of a /16 stay or go together by the hash of the /16 (``sketch.rows``), so what is known of the others is
whole. For a pair the packets and the lowest and highest dark address are kept; if these two are one, it went to
that alone.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.glasso.kernel import DONE, HOST_BITS, HOST_SHIFT, MORE_HOSTS, UDP_BIT, count_batch
from andon.records.columns import column
from andon.sketch.hashing import mix64_array
from andon.sketch.rows import Column, KeyedRows, aligned
from andon.sketch.state import StateError, join, pack, split, unpack
from andon.sketch.surveys import Listed

READ: Final = ("ts", "src", "dst", "dst_port", "proto", "tcp_flags", "layers")
PAIR: Final = {"packets": Column("<u4", "add"), "ends": Column("<u4", "min", 2)}
_NETWORKS = np.arange(1 << 16, dtype=np.uint64)
_ALL = np.ones(1 << 16, np.bool_)
_NEVER = np.iinfo(np.int64).max


class Counts:
    """See the module text. ``first`` and ``last`` are the times (ns) of the first and last packet of any kind;
    ``packets`` were counted, ``listed`` left out because a list names their source."""

    def __init__(self, samples: int, pairs: int, salt: int) -> None:
        self.index = np.full(1 << 16, -1, np.int32)
        self._hosts = np.zeros(256, np.uint16)
        self.samples = samples
        # Rows begin lines of the cache: sixteen counts are one.
        self._counts = aligned((256, -(-samples // 16) * 16), "<u4")
        self._rows = 0
        self.pairs = KeyedRows(PAIR, pairs, salt, sampled_by=HOST_BITS)
        self._kept_level, self._kept_now = 0, _ALL
        self.packets = 0
        self.listed = 0
        self.first, self.last = _NEVER, -_NEVER

    def add(self, batch: pa.RecordBatch, wanted: np.ndarray, listed: Listed, sample_ns: int) -> None:
        """Enter a batch of packets; ``wanted`` as in ``kernel.count_batch``."""
        if not batch.num_rows:
            return
        columns = [column(batch, name) for name in READ]
        self.first = min(self.first, int(columns[0].min()))
        self.last = max(self.last, int(columns[0].max()))
        at = 0
        while True:
            pairs = self.pairs
            limits = np.array([self._rows, pairs.used, pairs.room], np.int64)
            at, why, entered, left_out = count_batch(
                *columns,
                at,
                wanted,
                listed.by_network,
                listed.low,
                listed.high,
                sample_ns,
                self.index,
                self._hosts,
                self._counts,
                pairs.keys,
                pairs.columns["packets"],
                pairs.columns["ends"].reshape(-1),
                self._kept(),
                limits,
                pairs.salt,
            )
            self._rows, pairs.used = int(limits[0]), int(limits[1])
            self.packets += entered
            self.listed += left_out
            if why == DONE:
                return
            if why == MORE_HOSTS:
                self._room(2 * len(self._hosts))
            else:
                pairs.make_room()

    def _kept(self) -> np.ndarray:
        """Of which networks all pairs are in the table (bool, 65536)."""
        if self._kept_level != self.pairs.level:
            self._kept_level = self.pairs.level
            hashed = mix64_array(_NETWORKS << np.uint64(HOST_SHIFT), self.pairs.salt)
            self._kept_now = hashed >> np.uint64(64 - self._kept_level) == 0
        return self._kept_now

    def _room(self, rows: int) -> None:
        rows = min(rows, 1 << 16)
        hosts, counts = self._hosts, self._counts
        self._hosts = np.zeros(rows, np.uint16)
        self._counts = aligned((rows, counts.shape[1]), "<u4")
        self._hosts[: self._rows] = hosts[: self._rows]
        self._counts[: self._rows] = counts[: self._rows]

    def _rows_of(self, hosts: np.ndarray) -> np.ndarray:
        """Rows of hosts (distinct), made where there are none."""
        new = hosts[self.index[hosts] < 0]
        if self._rows + len(new) > len(self._hosts):
            room = len(self._hosts)
            while room < self._rows + len(new):
                room *= 2
            self._room(room)
        self.index[new] = np.arange(self._rows, self._rows + len(new), dtype=np.int32)
        self._hosts[self._rows : self._rows + len(new)] = new
        self._rows += len(new)
        return np.asarray(self.index[hosts])

    def merge(self, other: Counts) -> None:
        if self.samples != other.samples:
            raise ValueError("only counts with the same number of samples can be merged")
        hosts, counts = other.table()
        rows = self._rows_of(hosts)
        self._counts[rows, : self.samples] += counts
        self.pairs.merge(other.pairs)
        self.packets += other.packets
        self.listed += other.listed
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """(upper 16 bits of the source, ascending, uint16 (n); packets, uint32 (n, samples))."""
        order = np.argsort(self._hosts[: self._rows], kind="stable")
        return self._hosts[order], self._counts[order, : self.samples]

    def pair_table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Pairs that are kept, ascending: (upper 16 bits of the source (int64), UDP << 16 | port (int64), packets
        (int64), lowest and highest dark address (uint32, (n, 2)))."""
        keys, columns = self.pairs.table()
        host = (keys >> np.uint64(HOST_SHIFT)).astype(np.int64)
        port = (keys & np.uint64(2 * UDP_BIT - 1)).astype(np.int64)
        ends = columns["ends"].copy()
        ends[:, 1] = ~ends[:, 1]
        return host, port, columns["packets"].astype(np.int64), ends

    def to_bytes(self) -> bytes:
        hosts, counts = self.table()
        scalars = {"packets": self.packets, "listed": self.listed, "first": self.first, "last": self.last}
        head = pack("glasso-counts", 1, {"hosts": hosts, "counts": counts}, scalars)
        return join(head, self.pairs.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        head, rest = split(data)
        arrays, scalars = unpack("glasso-counts", 1, head)
        pairs = KeyedRows.from_bytes(rest, PAIR)
        try:
            hosts, counts = arrays["hosts"], arrays["counts"]
            if hosts.shape != counts.shape[:1] or len(np.unique(hosts)) != len(hosts):
                raise StateError("damaged counts: hosts and counts do not fit")
            self = cls(counts.shape[1], pairs.limit, int(pairs.salt))
            self.pairs = pairs
            rows = self._rows_of(hosts)  # may make new arrays
            self._counts[rows, : self.samples] = counts
            self.packets, self.listed = scalars["packets"], scalars["listed"]
            self.first, self.last = scalars["first"], scalars["last"]
        except (KeyError, IndexError, ValueError) as error:
            raise StateError(f"damaged counts: {error}") from error
        return self
