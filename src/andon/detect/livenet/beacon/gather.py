"""Tables of ``livenet.edges`` as arrays: which edges are looked at, and what is known of their two ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.beacon.polls import Edges
from andon.sketch.hashing import mix64_array
from andon.sketch.texts import text_keys

EDGES, DESTINATIONS, TERMINALS = (
    "livenet.edges:edges",
    "livenet.edges:destinations",
    "livenet.edges:terminals",
)
FEW: int = 20  # visitors that are few in any organisation
FEW_SMALL: int = 3  # and in one of a handful of terminals
POPULAR_SMALL: float = 0.5


@dataclass(frozen=True)
class Gathered:
    """The gray and black edges of the span that have contacts in the sketch. ``rows``: int64 rows of the table of
    edges; ``place``: row of the table of destinations, -1 if it has none."""

    table: pa.Table
    rows: np.ndarray
    edges: Edges
    place: np.ndarray
    visitors: np.ndarray
    popular: np.ndarray
    terminals: int
    begin: float  # first and last contact of all, s since the start of the span
    end: float
    destinations: pa.Table | None
    people: pa.Table | None

    def take(self, which: np.ndarray) -> pa.Table:
        """Terminal, destination and counts of these edges (numbers into ``rows``)."""
        columns = ["terminal", "destination", "first", "last", "count", "unlisted"]
        return self.table.select(columns).take(pa.array(self.rows[which]))

    def keys(self, which: np.ndarray) -> np.ndarray:
        """uint64 key of each edge, from its two names."""
        chosen = self.table.select(["terminal", "destination"]).take(pa.array(self.rows[which]))
        ends = [text_keys(chosen[name], n + 1) for n, name in enumerate(("terminal", "destination"))]
        made: np.ndarray = mix64_array(ends[0] ^ (ends[1] << np.uint64(1)), np.uint64(0))
        return made

    def hours(self, which: np.ndarray) -> np.ndarray:
        """Bits of the hours (UTC) in which the edge's terminal was active; all 24 where that is not known."""
        out = np.full(len(which), (1 << 24) - 1, np.int64)
        if self.people is not None and self.people.num_rows and len(which):
            names = self.table["terminal"].take(pa.array(self.rows[which]))
            at = pc.index_in(names, _whole(self.people["terminal"])).fill_null(-1).to_numpy()
            known = at >= 0
            out[known] = self.people["hours"].to_numpy()[at[known]]
        return out


def gathered(tables: Mapping[str, pa.Table], popular: float) -> Gathered | None:
    """None where there is nothing to look at. ``popular``: share of the terminals from which a destination is
    popular, if they are more than ``FEW``; among few terminals half of them, if more than ``FEW_SMALL``."""
    table = tables.get(EDGES)
    if table is None or not table.num_rows:
        return None
    times, sizes = _whole(table["times"]), _whole(table["sizes"])
    counts = pc.list_value_length(times).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(counts > 0)
    if not len(rows):
        return None
    some = pa.array(rows)
    every = len(rows) == table.num_rows
    times, sizes = (column if every else column.take(some) for column in (times, sizes))
    offsets = np.asarray(times.offsets.to_numpy(), np.int64)
    inner = times.values.to_numpy()[offsets[0] : offsets[-1]].astype(np.float64) / 1000.0
    begins = np.asarray(sizes.offsets.to_numpy(), np.int64)
    weights = sizes.values.to_numpy()[begins[0] : begins[-1]].astype(np.float64)
    edges = Edges(offsets - offsets[0], inner, weights)
    destinations, people = tables.get(DESTINATIONS), tables.get(TERMINALS)
    names = _whole(table["destination"])
    names = names if every else names.take(some)
    place, visitors = _places(names, destinations)
    terminals = people.num_rows if people is not None else len(pc.unique(table["terminal"]))
    share = visitors / max(terminals, 1)
    many = (visitors > FEW) & (share > popular)
    many |= (visitors > FEW_SMALL) & (share > POPULAR_SMALL)
    return Gathered(
        table, rows, edges, place, visitors, many, terminals, float(inner.min()), float(inner.max()),
        destinations, people,
    )  # fmt: skip


def _places(names: pa.Array, destinations: pa.Table | None) -> tuple[np.ndarray, np.ndarray]:
    """(row of the table of destinations, visitors) of each name; without the table, edges are counted."""
    if destinations is not None and destinations.num_rows:
        place = (
            pc.index_in(names, _whole(destinations["destination"]))
            .fill_null(-1)
            .to_numpy(zero_copy_only=False)
        )
        visitors = destinations["visitors"].to_numpy()[place].astype(np.int64)
        return place.astype(np.int64), np.where(place >= 0, visitors, 1)
    codes = names.dictionary_encode().indices.to_numpy()
    return np.full(len(codes), -1, np.int64), np.bincount(codes)[codes]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
