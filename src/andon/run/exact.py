"""What a second read counts beyond packets: sources, ports and times of a relation, sessions of a keyed one.

Bounded: distinct sources, and pairs of source and key, are kept in adaptive-sampling tables (``sketch.rows``). Up to
their limits the counts are exact; beyond, sources are an estimate that says so, and a number of sessions is not given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from andon.records.expression import (
    And,
    Expression,
    Program,
    chance_rate,
    compile_program,
    parse,
    session_key,
)
from andon.records.expression.ast import fields_of
from andon.records.expression.keyed import conjuncts
from andon.records.finding import timestamp
from andon.sketch.hashing import mix64
from andon.sketch.rows import EMPTY, Column, KeyedRows, find_or_add, is_kept

SOURCES = 200_000  # distinct sources of a relation that are counted exactly
PAIRS = 500_000  # pairs of source and key
EVIDENCE_BITS = 40.0
_TOP_PORTS = 10


@dataclass
class Exact:
    """Everything about the packets of one relation in one window."""

    packets: int = 0
    first: int | None = None  # ns
    last: int | None = None
    sources: KeyedRows = field(default_factory=lambda: KeyedRows({}, SOURCES))
    ports: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, src: np.ndarray, dst_port: np.ndarray, ts: np.ndarray) -> None:
        """Take in packets that satisfy the relation."""
        if not len(src):
            return
        self.packets += len(src)
        first, last = int(ts.min()), int(ts.max())
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)
        self.sources.add(np.unique(src).astype(np.uint64))
        if not len(self.ports):
            self.ports = np.zeros(65536, np.int64)
        self.ports += np.bincount(dst_port, minlength=65536)

    def to_dict(self, relation: str) -> dict[str, Any]:
        """The figures for ``attributes["exact"]``."""
        top = np.lexsort((np.arange(len(self.ports)), -self.ports))[:_TOP_PORTS]
        return {
            "relation": relation,
            "packets": self.packets,
            "sources": self.sources.used << self.sources.level,
            "sources_exact": self.sources.level == 0,
            "first_seen": None if self.first is None else timestamp(self.first),
            "last_seen": None if self.last is None else timestamp(self.last),
            "ports": [
                {
                    "port": int(p),
                    "packets": int(self.ports[p]),
                    "share": round(int(self.ports[p]) / self.packets, 4),
                }
                for p in top
                if self.ports[p]
            ],
        }


class Sessions:
    """Sessions of a keyed relation: one source's packets that need the same key, with at least 40 bits of evidence.
    Conditions on ``ip.src`` alone say whose sessions are counted and are no evidence."""

    def __init__(self, relation: str) -> None:
        expression = parse(relation)
        self.program: Program = compile_program(expression)
        self.least = _least(expression)
        self.pairs = KeyedRows({"packets": Column("i8")}, PAIRS)

    @property
    def columns(self) -> set[str]:
        assert self.program.session is not None
        return {*self.program.session.columns, "src"}

    def add(self, columns: dict[str, np.ndarray], inside: np.ndarray | None) -> None:
        """Take in a batch; ``inside`` (bool) tells the packets of the window if not all are."""
        keys, valid = session_key(self.program, columns)
        if inside is not None:
            valid = valid & inside
        rows = np.flatnonzero(valid)
        pair = (columns["src"][rows].astype(np.uint64) << np.uint64(32)) | keys[rows].astype(np.uint64)
        # All ones marks a free place of the table; 255.255.255.255 sends nothing.
        pair = pair[pair != EMPTY]
        at = 0
        while True:
            table = self.pairs
            at, table.used = _count_pairs(
                at,
                pair,
                table.keys,
                table.used,
                table.room,
                table.level,
                table.salt,
                table.columns["packets"],
            )
            if at >= len(pair):
                return
            table.make_room()

    @property
    def sessions(self) -> int | None:
        """How many sessions there were; None if there were more pairs than the table holds."""
        if self.pairs.level:
            return None
        return int(np.count_nonzero(self.pairs.table()[1]["packets"] >= self.least))


def _least(expression: Expression) -> int:
    evidence = tuple(part for part in conjuncts(expression) if fields_of(part) != {"ip.src"})
    bits = -math.log2(chance_rate(evidence[0] if len(evidence) == 1 else And(evidence)))
    return math.ceil(EVIDENCE_BITS / bits) + 1 if bits > 0 else 1 << 62


@njit(cache=True, nogil=True)
def _count_pairs(
    start: int,
    pair: np.ndarray,
    keys: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
    packets: np.ndarray,
) -> tuple[int, int]:
    for i in range(start, pair.shape[0]):
        hashed = mix64(pair[i], salt)
        if not is_kept(hashed, level):
            continue
        slot, used = find_or_add(keys, pair[i], hashed, used, room)
        if slot < 0:
            return i, used
        packets[slot] += 1
    return pair.shape[0], used
