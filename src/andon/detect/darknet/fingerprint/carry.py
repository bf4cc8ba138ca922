"""What the engine remembers from span to span: families, since when, and when last seen.

A family is its relation: the canonical text is its name, so its findings are one series over days. Carried families
explain a day's packets first; so a family keeps its text although tomorrow's packets alone would support a slightly
different one. Bounded: the longest unseen are forgotten first.

Where there are spans of two lengths, each remembers by itself. What it knows is the table ``known``, so that the other
one learns it, and a family has one name in both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from andon.sketch.state import StateError, pack, unpack

MOST = 1000
_DAY = 86_400_000_000_000
FORGET = 90 * _DAY


KNOWN = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (
            ("relation", pa.string()),
            ("scope", pa.string()),
            ("kind", pa.string()),
            ("born", pa.int64()),  # ns
            ("last", pa.int64()),  # ns
            ("spans", pa.int32()),
        )
    ]
)


@dataclass(frozen=True)
class Known:
    """A family seen before. ``born`` and ``last`` are the starts (ns) of the first and the latest span that showed it,
    ``spans`` is in how many (0: spans of another length showed it); ``sources`` and ``packets`` are those of the
    latest."""

    relation: str
    scope: str
    kind: str
    born: int
    last: int
    spans: int = 1
    sources: int = 0
    packets: int = 0


class Families:
    """The carry: families by relation.

    >>> carry = Families()
    >>> carry.see("tcp.seq == ip.dst", "global", "scanner-fingerprint", 0, 20, 99).born
    0
    >>> carry.see("tcp.seq == ip.dst", "global", "scanner-fingerprint", _DAY, 30, 99).spans
    2
    """

    def __init__(self, families: Iterable[Known] = ()) -> None:
        self.families = {known.relation: known for known in families}

    def copy(self) -> Families:
        return Families(self.families.values())

    def __len__(self) -> int:
        return len(self.families)

    def see(self, relation: str, scope: str, kind: str, start: int, sources: int, packets: int) -> Known:
        """Note that the span from ``start`` shows a family; gives what is known of it now."""
        before = self.families.get(relation)
        if before is None:
            now = Known(relation, scope, kind, start, start, 1, sources, packets)
        else:
            now = replace(
                before,
                last=max(before.last, start),
                spans=before.spans + (start != before.last or not before.spans),
                sources=sources,
                packets=packets,
            )
        self.families[relation] = now
        return now

    def is_news(self, relation: str, start: int) -> bool:
        """Whether a family is unknown, or was not seen in the two days before ``start`` (a day's span that showed it
        may have begun so long ago)."""
        known = self.families.get(relation)
        return known is None or start - known.last > 2 * _DAY

    def table(self) -> pa.Table:
        """All families, as ``learn`` takes them."""
        kept = [known for _, known in sorted(self.families.items())]
        columns = [[getattr(known, field.name) for known in kept] for field in KNOWN]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, KNOWN, strict=True)]
        return pa.Table.from_arrays(arrays, schema=KNOWN)

    def learn(self, table: pa.Table | None) -> None:
        """Take over families that spans of another length have shown, under their names."""
        for row in () if table is None else table.to_pylist():
            before = self.families.get(row["relation"])
            if before is None:
                row["spans"] = 0
                self.families[row["relation"]] = Known(**row, sources=0, packets=0)
            else:
                self.families[row["relation"]] = replace(before, born=min(before.born, row["born"]))

    def forget(self, start: int) -> int:
        """Drop what was not seen for 90 days before ``start``, and beyond the bound; gives how many."""
        ranked = sorted(self.families.values(), key=lambda k: (-k.last, k.born, k.relation))
        kept = [known for known in ranked if start - known.last <= FORGET][:MOST]
        dropped = len(ranked) - len(kept)
        self.families = {known.relation: known for known in kept}
        return dropped

    def to_search(self, kind: str = "scanner-fingerprint") -> list[Known]:
        """Families in a fixed order: oldest first, as it was then that they were told apart from others."""
        mine = [known for known in self.families.values() if known.kind == kind]
        return sorted(mine, key=lambda known: (known.born, -known.sources, known.relation))

    def to_bytes(self) -> bytes:
        rows = [list(vars(known).values()) for _, known in sorted(self.families.items())]
        text = json.dumps(rows, separators=(",", ":"), ensure_ascii=True).encode()
        return pack("darknet.fingerprint.carry", 1, {"families": np.frombuffer(text, np.uint8)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, _ = unpack("darknet.fingerprint.carry", 1, data)
        try:
            rows = json.loads(arrays["families"].tobytes())
            return cls(Known(*row) for row in rows)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"damaged carry of darknet.fingerprint: {error}") from error
