"""The tool's name at once: relations tried on the packets that are there, and what other engines said of the address.

A relation of r bits that h of n packets satisfy is believed when chance would do that for fewer than one source in
2^20: h r - log2 C(n, h) >= 20, where h counts at most the distinct dark addresses (retries prove nothing new).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb, log2

import numpy as np
import pyarrow as pa

from andon.detect.darknet.daedalus.observation import Packets
from andon.detect.darknet.daedalus.state import RELATIONS, name_hash
from andon.records.expression import (
    Bundle,
    Expression,
    ExpressionError,
    chance_rate,
    compile_bundle,
    evaluate_many,
    parse,
)
from andon.records.expression.ast import keys_of
from andon.records.finding import fingerprint_name

ENOUGH_BITS = 20.0
TOOLS = "darknet.tools:sources@last"
FAMILIES = "darknet.fingerprint:families@last"
FAMILY_SOURCES = "darknet.fingerprint:sources@last"


def proven(bits: float, hits: int, looked_at: int, distinct: int) -> bool:
    """Whether so many hits are no chance."""
    hits = min(hits, distinct)
    return hits > 0 and hits * bits - log2(comb(max(looked_at, hits), hits)) >= ENOUGH_BITS


class Relations:
    """``Site.relations``: name -> relation.

    Raises ValueError, with the name, for text that is no relation of single packets, and for more than 32.
    """

    def __init__(self, relations: Mapping[str, str]) -> None:
        if len(relations) > RELATIONS:
            raise ValueError(f"{len(relations)} relations; at most {RELATIONS} can be tried at once")
        self.names = tuple(sorted(relations))
        self.hashes = np.array([name_hash(name) for name in self.names], np.uint64)
        parsed = []
        for name in self.names:
            try:
                parsed.append(parse(relations[name]))
            except ExpressionError as error:
                raise ValueError(f"relation of {name}: {error}") from error
            if keys_of(parsed[-1]):
                raise ValueError(f"relation of {name}: one packet cannot show a relation with a key")
        self.bits = tuple(-log2(chance_rate(relation)) for relation in parsed)
        self._bundle: Bundle | None = compile_bundle(parsed) if parsed else None

    def tried(self, kept: Packets) -> np.ndarray:
        """bool (packets, RELATIONS): which relations each packet satisfies."""
        hits = np.zeros((len(kept.row), RELATIONS), np.bool_)
        if self._bundle is not None and len(kept.row):
            found = evaluate_many(self._bundle, kept.columns)
            for at in range(len(self.names)):
                hits[:, at] = found >> np.uint32(at) & np.uint32(1) != 0
        return hits


@dataclass(frozen=True)
class Family:
    """A fingerprint that nobody listed: ``number`` makes its name."""

    name: str
    bits: float
    known_as: str


class Families:
    """The families of the last span of ``darknet.fingerprint``: the 32 global ones with most sources."""

    def __init__(self, table: pa.Table | None) -> None:
        self.by_number: dict[int, Family] = {}
        self._bundle: Bundle | None = None
        self._numbers: list[int] = []
        if table is None or not table.num_rows:
            return
        rows = table.select(["relation", "kind", "scope", "bits", "sources", "known_as"]).to_pylist()
        rows = [row for row in rows if row["kind"] == "scanner-fingerprint"]
        rows.sort(key=lambda row: (-row["sources"], row["relation"]))
        relations: list[Expression] = []
        for row in rows:
            name = fingerprint_name(row["relation"])
            number = int(name.removeprefix("fp-"), 16)
            self.by_number[number] = Family(name, float(row["bits"]), str(row["known_as"]))
            if row["scope"] == "global" and len(relations) < RELATIONS:
                relations.append(parse(row["relation"]))
                self._numbers.append(number)
        if relations:
            self._bundle = compile_bundle(relations)

    def tried(self, kept: Packets) -> np.ndarray:
        """uint32 per packet: number of the first family whose relation it satisfies, 0 if none."""
        of = np.zeros(len(kept.row), np.uint32)
        if self._bundle is not None and len(kept.row):
            found = evaluate_many(self._bundle, kept.columns)
            for at, number in reversed(list(enumerate(self._numbers))):
                of[found >> np.uint32(at) & np.uint32(1) != 0] = number
        return of


class Named:
    """What other engines said of addresses in their last span: looked up only when something is told."""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._tables = tables
        self._sources: dict[str, tuple[np.ndarray, list[str]]] = {}

    def tools(self, hi: int, lo: int) -> list[str]:
        """Tools of the catalogue that ``darknet.tools`` found at the address."""
        return self._of(TOOLS, "tool", hi, lo)

    def families(self, hi: int, lo: int) -> list[int]:
        """Numbers of the families it was in."""
        names = self._of(FAMILY_SOURCES, "relation", hi, lo)
        return [int(fingerprint_name(relation).removeprefix("fp-"), 16) for relation in names]

    def _of(self, table: str, column: str, hi: int, lo: int) -> list[str]:
        if hi or lo >> 32 != 0xFFFF or self._tables.get(table) is None:
            return []
        if table not in self._sources:
            given = self._tables[table]
            sources = given.column("src").to_numpy()
            order = np.argsort(sources, kind="stable")
            names = given.column(column).take(pa.array(order)).to_pylist()
            self._sources[table] = (sources[order], names)
        sources, names = self._sources[table]
        low, high = (int(np.searchsorted(sources, lo & 0xFFFFFFFF, side=side)) for side in ("left", "right"))
        return sorted(set(names[low:high]))
