"""What is counted beyond packets: sources and ports of a relation, sessions of a keyed one.

Bounded: distinct sources, and pairs of source and key, are kept in adaptive-sampling tables (``sketch.rows``), whose
content depends on the set of keys alone. Up to their limits the counts are exact; beyond, sources are an estimate that
says so, and a number of sessions is not given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from andon.records.expression import And, Expression, chance_rate
from andon.records.expression.ast import fields_of
from andon.records.expression.keyed import conjuncts
from andon.records.finding import timestamp
from andon.sketch.hashing import mix64
from andon.sketch.rows import EMPTY, Column, KeyedRows, find_or_add, is_kept
from andon.sketch.state import StateError

SOURCES = 200_000  # distinct sources of a relation that are counted exactly
PAIRS = 500_000  # pairs of source and key
EVIDENCE_BITS: Final = 40.0
_PORTS: Final = 65_536
_TOP_PORTS: Final = 10
_COUNTS: Final = {"packets": Column("i8")}
_NONE: Final = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Table:
    """Content of a ``KeyedRows``: its level, its keys (uint64, ascending), their packets (int64) if it counts them."""

    level: int
    keys: np.ndarray
    counts: np.ndarray


class Exact:
    """Sources and ports of the packets of one relation in one window; mergeable.

    >>> one = Exact()
    >>> one.add(np.array([7, 7, 8], np.uint32), np.array([23, 23, 80], np.uint16))
    >>> one.to_dict("ip.ttl == 1", 3, 5, 9)["ports"][0]
    {'port': 23, 'packets': 2, 'share': 0.6667}
    """

    def __init__(self) -> None:
        self.sources = KeyedRows({}, SOURCES)
        self.ports = KeyedRows(_COUNTS, _PORTS)

    def add(self, src: np.ndarray, dst_port: np.ndarray) -> None:
        """Take in packets that satisfy the relation."""
        self.sources.add(src.astype(np.uint64))
        ports = np.bincount(dst_port, minlength=1)
        seen = np.flatnonzero(ports)
        _add_counts(self.ports, seen.astype(np.uint64), ports[seen])

    def merge(self, other: Exact) -> None:
        """Take in what another one counted in other packets."""
        self.sources.merge(other.sources)
        self.ports.merge(other.ports)

    def to_dict(self, relation: str, packets: int, first: int | None, last: int | None) -> dict[str, Any]:
        """The figures for ``attributes["exact"]``; times in ns."""
        keys, columns = self.ports.table()
        counts = columns["packets"]
        top = np.lexsort((keys, -counts))[:_TOP_PORTS]
        return {
            "relation": relation,
            "packets": packets,
            "sources": self.sources.used << self.sources.level,
            "sources_exact": self.sources.level == 0,
            "first_seen": None if first is None else timestamp(first),
            "last_seen": None if last is None else timestamp(last),
            "ports": [
                {
                    "port": int(keys[n]),
                    "packets": int(counts[n]),
                    "share": round(int(counts[n]) / packets, 4),
                }
                for n in top
            ],
        }

    def to_tables(self) -> list[Table]:
        """Sources, and ports with their packets."""
        return [_written(self.sources), _written(self.ports)]

    @classmethod
    def from_tables(cls, sources: Table, ports: Table) -> Exact:
        """What ``to_tables`` gave. Raises StateError."""
        made = cls()
        made.sources = _read({}, SOURCES, sources)
        made.ports = _read(_COUNTS, _PORTS, ports)
        if len(ports.keys) and int(ports.keys[-1]) >= _PORTS:
            raise StateError("a port is a number below 65,536")
        return made


class Sessions:
    """Pairs of source and key of a keyed relation, with the packets of each; mergeable.

    A session is a source's packets that need the same key, ``least`` of them or more. Once there are more pairs than
    the table holds there will be no number; the table is emptied then, at whatever pair it happened, and stays so."""

    def __init__(self) -> None:
        self.pairs = KeyedRows(_COUNTS, PAIRS)

    @property
    def overflown(self) -> bool:
        return self.pairs.level > 0

    def add(self, src: np.ndarray, keys: np.ndarray) -> None:
        """Take in packets and the key that each of them needs (uint32)."""
        if self.overflown:
            return
        pair = (src.astype(np.uint64) << np.uint64(32)) | keys.astype(np.uint64)
        # All ones marks a free place of the table; 255.255.255.255 sends nothing.
        _add_counts(self.pairs, pair[pair != EMPTY], None)
        self._settle()

    def merge(self, other: Sessions) -> None:
        """Take in what another one counted in other packets."""
        self.pairs.merge(other.pairs)
        self._settle()

    def _settle(self) -> None:
        if self.overflown:
            self.pairs = KeyedRows(_COUNTS, PAIRS)
            self.pairs.level = 1

    def number(self, least: int) -> int | None:
        """How many sessions there were; None if there were more pairs than the table holds."""
        if self.overflown:
            return None
        return int(np.count_nonzero(self.pairs.table()[1]["packets"] >= least))

    def to_tables(self) -> list[Table]:
        """Pairs with their packets."""
        return [_written(self.pairs)]

    @classmethod
    def from_tables(cls, pairs: Table) -> Sessions:
        """What ``to_tables`` gave. Raises StateError."""
        made = cls()
        made.pairs = _read(_COUNTS, PAIRS, pairs)
        if pairs.level > 1 or (pairs.level and len(pairs.keys)):
            raise StateError("a table of sessions is complete or empty")
        return made


def least_packets(expression: Expression) -> int:
    """Packets of one source and one key that make a session: at least 40 bits of evidence. Conditions on ``ip.src``
    alone say whose sessions are counted and are no evidence."""
    evidence = tuple(part for part in conjuncts(expression) if fields_of(part) != {"ip.src"})
    bits = -math.log2(chance_rate(evidence[0] if len(evidence) == 1 else And(evidence)))
    return math.ceil(EVIDENCE_BITS / bits) + 1 if bits > 0 else 1 << 62


def _written(rows: KeyedRows) -> Table:
    keys, columns = rows.table()
    return Table(rows.level, keys, columns.get("packets", _NONE))


def _read(spec: dict[str, Column], limit: int, table: Table) -> KeyedRows:
    """The rows of a table. Raises StateError for what ``_written`` would not give."""
    keys, counts = table.keys, table.counts
    good = 0 <= table.level < 64 and len(keys) <= limit and len(counts) == len(keys) * len(spec)
    # Ascending keys are distinct, and the mark of a free place could only be the last.
    if not good or (keys[1:] <= keys[:-1]).any() or (len(keys) and keys[-1] == EMPTY) or (counts <= 0).any():
        raise StateError("a table of figures that is not ours")
    # Room for all of them at once: more than 8/5 as many slots.
    rows = KeyedRows(spec, limit, capacity=max(1024, 1 << (len(keys) * 8 // 5 + 1).bit_length()))
    rows.level = table.level
    if spec:
        _add_counts(rows, keys, counts)
    else:
        rows.add(keys)
    if rows.level != table.level or rows.used != len(keys):
        raise StateError("a table of figures holds keys that are not of its sample")
    return rows


def _add_counts(table: KeyedRows, keys: np.ndarray, counts: np.ndarray | None) -> None:
    """Add to the packets of each key: ``counts``, or one for each time it stands there."""
    at = 0
    ones = _NONE if counts is None else counts
    while True:
        at, table.used = _count(
            at,
            keys,
            ones,
            table.keys,
            table.used,
            table.room,
            table.level,
            table.salt,
            table.columns["packets"],
        )
        if at >= len(keys):
            return
        table.make_room()


@njit(cache=True, nogil=True)
def _count(
    start: int,
    given: np.ndarray,
    counts: np.ndarray,
    keys: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
    packets: np.ndarray,
) -> tuple[int, int]:
    for i in range(start, given.shape[0]):
        hashed = mix64(given[i], salt)
        if not is_kept(hashed, level):
            continue
        slot, used = find_or_add(keys, given[i], hashed, used, room)
        if slot < 0:
            return i, used
        packets[slot] += counts[i] if counts.shape[0] else 1
    return given.shape[0], used
