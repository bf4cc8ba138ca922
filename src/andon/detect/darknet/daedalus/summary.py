"""What is kept of a tile: for each organisation a bounded table of its sources that were heard.

Organisations have a table each, so that a flood with forged addresses of one leaves the others' sources alone. A
table that is full keeps a sample of its sources (``KeyedRows``), whose rows stay exact; totals are exact always.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import pyarrow as pa

from andon.detect.darknet.daedalus import flavours
from andon.detect.darknet.daedalus.kernel import BY_SOURCE, DESTINATIONS, SAMPLE, WORDS, walk
from andon.detect.darknet.daedalus.members import Intervals, Members, from_members
from andon.records.columns import column
from andon.sketch.rows import EMPTY, Column, KeyedRows
from andon.sketch.state import StateError, pack, unpack

COLUMNS = (
    "ts", "src", "dst", "src_port", "dst_port", "proto", "tcp_flags", "tcp_seq", "tcp_ack", "ip_id", "ttl",
    "tcp_window", "ip_len", "layers", "icmp_type", "src6", "dst6",
)  # fmt: skip
SPEC = {
    "hi": Column("u8", "max"),  # the source, IPv4 as ::ffff:a.b.c.d
    "lo": Column("u8", "max"),
    "packets": Column("u4", "add", flavours.NUMBER),
    "flags": Column("u1", "or"),
    "first": Column("i8", "min"),
    "last": Column("i8", "max"),
    "dsts": Column("u8", "lowest", DESTINATIONS),
    "sample": Column("u8", "lowest", SAMPLE * WORDS, WORDS),
}
ROW_BYTES = 8 + 8 + 8 + 4 * flavours.NUMBER + 1 + 8 + 8 + 8 * DESTINATIONS + 8 * SAMPLE * WORDS
ROWS_IN_ALL = 16_384  # of all organisations, shared out evenly
MOST_ROWS, LEAST_ROWS = 2048, 64
LIMIT = 64 << 20  # bytes: so many rows of 593 bytes, for up to 1,600 organisations at LEAST_ROWS


def rows_each(organisations: int) -> int:
    """Rows an organisation may have in a tile."""
    return max(LEAST_ROWS, min(MOST_ROWS, ROWS_IN_ALL // max(1, organisations)))


class Lookup:
    """The tables that say whose an address is, in the order the kernels take them."""

    def __init__(self, members: Members, dark4: Intervals, dark6: Intervals) -> None:
        v6 = (members.v6.hi, members.v6.lo, members.v6.owner)
        self.first = (members.blocks, members.starts4, members.v4.owner, *v6)
        self.every = (
            members.starts4, members.v4.owner, *v6,
            dark4.lo.astype(np.uint32), dark4.owner, dark6.hi, dark6.lo, dark6.owner, flavours.service_ports(),
        )  # fmt: skip


class Heard:
    """What was heard of one organisation: ``rows``, and ``totals``, packets by flavour (int64)."""

    def __init__(self, limit: int, salt: int, capacity: int = 16) -> None:
        self.rows = KeyedRows(SPEC, limit, salt, capacity, BY_SOURCE)
        self.totals = np.zeros(flavours.NUMBER, np.int64)


class Summary:
    """``heard`` by index of the organisation; ``passed_over``: packets of members to addresses that are not dark, those
    that do not matter (neighbour discovery), and those with a dark address as their forged sender."""

    def __init__(self, limit: int, salt: int) -> None:
        self.limit, self.salt = limit, salt
        self.heard: dict[int, Heard] = {}
        self.passed_over = np.zeros(3, np.int64)

    @property
    def nbytes(self) -> int:
        return sum(heard.rows.nbytes for heard in self.heard.values())

    def of(self, organisation: int) -> Heard:
        heard = self.heard.get(organisation)
        if heard is None:
            heard = self.heard[organisation] = Heard(self.limit, self.salt)
        return heard

    def add(self, batch: pa.RecordBatch, lookup: Lookup) -> None:
        """Add the packets of a batch that has ``COLUMNS``."""
        src, layers, src6 = (column(batch, name) for name in ("src", "layers", "src6"))
        rows = np.empty(len(src), np.int32)
        owners = np.empty(len(src), np.int32)
        found = from_members(src, layers, src6, *lookup.first, rows, owners)
        if not found:
            return
        arrays = [column(batch, name) for name in COLUMNS]
        rows, owners = rows[:found], owners[:found]
        for organisation in np.unique(owners).tolist():
            self._add(organisation, rows[owners == organisation], arrays, lookup)

    def _add(self, organisation: int, chosen: np.ndarray, arrays: list[np.ndarray], lookup: Lookup) -> None:
        heard = self.of(organisation)
        rows = heard.rows
        position = 0
        while True:
            position, used = walk(
                position, chosen, organisation, *arrays, *lookup.every, rows.salt, self.passed_over, heard.totals,
                rows.keys, rows.used, rows.room, rows.level, *(rows.columns[name] for name in SPEC),
            )  # fmt: skip
            rows.used = int(used)
            if position == len(chosen):
                break
            rows.make_room()
        if not heard.totals.any():  # all of its packets were passed over
            del self.heard[organisation]

    def merge(self, other: Summary) -> None:
        for organisation, theirs in other.heard.items():
            ours = self.of(organisation)
            ours.rows.merge(theirs.rows)
            ours.totals += theirs.totals
        self.passed_over += other.passed_over

    def to_bytes(self) -> bytes:
        order = sorted(self.heard)
        tables = [self.heard[organisation].rows.table() for organisation in order]
        empty = {name: _column(name, 0) for name in SPEC}
        arrays = {
            "organisation": np.array(order, np.int64),
            "level": np.array([self.heard[k].rows.level for k in order], np.int64),
            "rows": np.array([len(keys) for keys, _ in tables], np.int64),
            "totals": np.array([self.heard[k].totals for k in order], np.int64).reshape(
                len(order), flavours.NUMBER
            ),
            "passed_over": self.passed_over,
            "keys": np.concatenate([np.empty(0, np.uint64), *(keys for keys, _ in tables)]),
        }
        for name, none in empty.items():
            arrays[f"c_{name}"] = np.concatenate([none, *(columns[name] for _, columns in tables)])
        return pack("daedalus", 1, arrays, {"limit": self.limit, "salt": self.salt})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("daedalus", 1, data)
        try:
            made = cls(scalars["limit"], scalars["salt"])
            count, keys = arrays["rows"], arrays["keys"]
            columns = {name: arrays[f"c_{name}"] for name in SPEC}
            for name, array in columns.items():
                if array.shape != _column(name, len(keys)).shape:
                    raise StateError(f"column {name} of a daedalus summary has the wrong shape")
            if int(count.sum()) != len(keys) or (count < 0).any():
                raise StateError("a daedalus summary's tables do not add up")
            made.passed_over = arrays["passed_over"]
            ends = np.cumsum(count)
            for at, organisation in enumerate(arrays["organisation"].tolist()):
                piece = slice(int(ends[at] - count[at]), int(ends[at]))
                heard = _restored(made, keys[piece], {name: array[piece] for name, array in columns.items()})
                heard.rows.level = int(arrays["level"][at])
                heard.totals = arrays["totals"][at].copy()
                made.heard[organisation] = heard
        except (KeyError, IndexError) as error:
            raise StateError(f"a daedalus summary lacks {error}") from error
        return made


def _column(name: str, count: int) -> np.ndarray:
    return SPEC[name].fresh(count)


def _restored(summary: Summary, keys: np.ndarray, columns: dict[str, np.ndarray]) -> Heard:
    capacity = 16
    while capacity * 5 // 8 < len(keys) + 1:
        capacity *= 2
    heard = Heard(summary.limit, summary.salt, capacity)
    heard.rows.add(keys)
    slots = np.flatnonzero(heard.rows.keys != EMPTY)
    slots = slots[np.argsort(heard.rows.keys[slots])]
    if len(slots) != len(keys):
        raise StateError("a daedalus summary holds a key twice")
    for name, array in heard.rows.columns.items():
        array[slots] = columns[name]
    return heard
