"""The graph of the last days: which terminal asked for which destination that is not white, and what is known of both.

Names are found by their 64-bit hashes (``sketch.texts``); destinations stand in order of their registered domain, so
that sister names are neighbours. A day is folded in: counts add, first = min, last = max, colours and lists are those
of the newest day. What was not seen for ``days`` is forgotten; beyond ``most`` edges the oldest edges go first, those
to black destinations last. What was forgotten for want of room is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.proxygraph.columns import SEPARATOR, Column, Rows, folded
from andon.sketch.hashing import mix64_array
from andon.sketch.state import pack, unpack
from andon.sketch.texts import text_keys

GRAY, BLACK, WHITE = 0, 1, 2
_COLOURS: Final = pa.array(["gray", "black", "white"])
_USUAL_PORTS: Final = (-1, 53, 80, 443, 8080, 3128)
_NANO = 1_000_000_000

TERMINAL: Final = {"last": Column("<i8", "max"), "users": Column("<i8", "max")}
TERMINAL_TEXTS: Final = ("name", "addresses")
DESTINATION: Final = {
    "group": Column("<u8"),
    "colour": Column("|u1"),
    "fresh": Column("|b1"),
    "address": Column("|b1"),
    "age_known": Column("|b1"),
    "first_seen": Column("<i8", "min"),
    "last": Column("<i8", "max"),
    "count": Column("<i8", "add"),
    "no_referer": Column("<i8", "add"),
    "referers": Column("<i8", "add"),
    "rare_agent": Column("<i8", "add"),
    "agents": Column("<i8", "add"),
    "untitled": Column("<i8", "add"),
    "odd_port": Column("|b1", "or"),
    "beacon": Column("<f8", "most"),  # log-odds of its most telling edge; nan: none repeats
    "url": Column("<f8", "said"),  # log-odds; nan: not said
}
DESTINATION_TEXTS: Final = ("name", "domain", "lists", "servers")
_EDGE: Final = {
    "first": "<i8",
    "last": "<i8",
    "count": "<i8",
    "refused": "<i8",
    "failed": "<i8",
    "beacon": "<f8",
}


@dataclass(frozen=True)
class Edges:
    """By (destination, terminal). Times in s; ``beacon`` log-odds of the edge's timing, nan: nothing repeats."""

    terminal: np.ndarray
    destination: np.ndarray
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.terminal)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def take(self, rows: np.ndarray) -> Edges:
        return Edges(
            self.terminal[rows],
            self.destination[rows],
            {name: values[rows] for name, values in self.columns.items()},
        )


@dataclass(frozen=True)
class Memory:
    """``since`` (s): begin of the oldest day that was folded in; ``forgotten`` edges for want of room, all days."""

    terminals: Rows
    destinations: Rows
    edges: Edges
    since: int = 0
    days: int = 0
    forgotten: int = 0

    @classmethod
    def empty(cls) -> Self:
        none = np.zeros(0, np.int32)
        return cls(
            Rows.empty(TERMINAL, TERMINAL_TEXTS),
            Rows.empty(DESTINATION, DESTINATION_TEXTS),
            Edges(none, none, {name: np.zeros(0, kind) for name, kind in _EDGE.items()}),
        )

    def to_bytes(self) -> bytes:
        arrays = self.terminals.arrays("terminal") | self.destinations.arrays("destination")
        arrays |= {"edge.terminal": self.edges.terminal, "edge.destination": self.edges.destination}
        arrays |= {f"edge.{name}": values for name, values in self.edges.columns.items()}
        return pack(
            "proxygraph",
            1,
            arrays,
            {"since": self.since, "days": self.days, "forgotten": self.forgotten},
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("proxygraph", 1, data)
        return cls(
            Rows.of_arrays("terminal", arrays, TERMINAL, TERMINAL_TEXTS),
            Rows.of_arrays("destination", arrays, DESTINATION, DESTINATION_TEXTS),
            Edges(
                arrays["edge.terminal"],
                arrays["edge.destination"],
                {name: arrays[f"edge.{name}"] for name in _EDGE},
            ),
            **scalars,
        )


def remember(
    before: Memory, tables: Mapping[str, pa.Table | None], begin: int, end: int, days: int, most: int
) -> Memory:
    """``before`` with a span from ``begin`` to ``end`` (s) in it. ``tables``: "edges", "destinations", "terminals",
    "beacons", "hosts"; each may be None."""
    people, at_old_t, _ = folded(before.terminals, _terminals(tables.get("terminals")), TERMINAL)
    places, at_old_d, _ = folded(before.destinations, _destinations(tables), DESTINATION)
    order = np.lexsort((places.keys, places["group"]))
    places = places.take(order)
    moved = np.empty(len(order), np.int64)
    moved[order] = np.arange(len(order))
    old = before.edges
    edges = _together(
        Edges(
            at_old_t[old.terminal].astype(np.int32),
            moved[at_old_d[old.destination]].astype(np.int32),
            old.columns,
        ),
        _edges(tables, people, places),
    )
    gray = places["colour"][edges.destination] != WHITE
    edges = edges.take(np.flatnonzero(gray & (edges["last"] >= end - days * 86_400)))
    forgotten = max(0, len(edges) - most)
    if forgotten:
        black = places["colour"][edges.destination] == BLACK
        oldest = np.lexsort((edges.terminal, edges.destination, edges["last"], black))
        edges = edges.take(np.sort(oldest[forgotten:]))
    people, edges = _kept_terminals(people, edges, end - days * 86_400)
    places, edges = _kept_destinations(places, edges)
    return Memory(
        people,
        places,
        edges,
        since=max(before.since, end - days * 86_400) if before.days else begin,
        days=min(before.days + 1, days),
        forgotten=before.forgotten + forgotten,
    )


def _kept_terminals(people: Rows, edges: Edges, since: int) -> tuple[Rows, Edges]:
    used = people["last"] >= since
    used[edges.terminal] = True
    number = np.cumsum(used) - 1
    kept = Edges(number[edges.terminal].astype(np.int32), edges.destination, edges.columns)
    return people.take(np.flatnonzero(used)), kept


def _kept_destinations(places: Rows, edges: Edges) -> tuple[Rows, Edges]:
    used = np.zeros(len(places), np.bool_)
    used[edges.destination] = True
    number = np.cumsum(used) - 1
    kept = Edges(edges.terminal, number[edges.destination].astype(np.int32), edges.columns)
    return places.take(np.flatnonzero(used)), kept


def _together(old: Edges, new: Edges) -> Edges:
    if not len(new):
        return old
    pair = np.concatenate([_pair(old), _pair(new)])
    order = np.argsort(pair, kind="stable")  # two runs in order: a merge
    pair = pair[order]
    begin = np.flatnonzero(np.r_[True, np.diff(pair) != 0])
    columns = {}
    for name in _EDGE:
        values = np.concatenate([old[name], new[name]])[order]
        fold = {"first": np.minimum, "last": np.maximum, "beacon": np.fmax}.get(name, np.add)
        columns[name] = fold.reduceat(values, begin)
    pair = pair[begin]
    return Edges((pair & 0xFFFFFFFF).astype(np.int32), (pair >> 32).astype(np.int32), columns)


def _pair(edges: Edges) -> np.ndarray:
    return edges.destination.astype(np.int64) << 32 | edges.terminal.astype(np.int64)


def _seconds(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.int64()).to_numpy() // _NANO)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    return _whole(pc.binary_join(_whole(column), SEPARATOR)).fill_null("")


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _terminals(table: pa.Table | None) -> Rows:
    if table is None:
        return Rows.empty(TERMINAL, TERMINAL_TEXTS)
    names = _whole(table["terminal"])
    return Rows(
        text_keys(names),
        {
            "last": _seconds(table["last"]),
            "users": pc.list_value_length(_whole(table["users"]))
            .to_numpy(zero_copy_only=False)
            .astype(np.int64),
        },
        {"name": names, "addresses": _joined(table["addresses"])},
    )


def _destinations(tables: Mapping[str, pa.Table | None]) -> Rows:
    """Those that are not white, and those that were not white before: all, for their newest colour."""
    table = tables.get("destinations")
    if table is None:
        return Rows.empty(DESTINATION, DESTINATION_TEXTS)
    names, domains = _whole(table["destination"]), _whole(table["domain"])
    keys = text_keys(names)
    alone = pc.equal(domains, "").to_numpy(zero_copy_only=False)
    colour = pc.index_in(_whole(table["colour"]), _COLOURS).fill_null(GRAY).to_numpy(zero_copy_only=False)
    ports = _whole(table["ports"])
    odd = ~pc.is_in(ports.flatten(), pa.array(_USUAL_PORTS, pa.int32())).to_numpy(zero_copy_only=False)
    whose = pc.list_parent_indices(ports).to_numpy()
    odd_port = np.bincount(whose[odd], minlength=len(keys)) > 0
    numbers = {
        name: table[name].to_numpy()
        for name in ("count", "no_referer", "referers", "rare_agent", "agents", "untitled")
    }
    numbers |= {
        "group": np.where(alone, mix64_array(keys, np.uint64(1)), text_keys(domains)),
        "colour": colour.astype(np.uint8),
        "fresh": table["fresh"].to_numpy(),
        "address": table["is_address"].to_numpy(),
        "age_known": table["age_known"].to_numpy(),
        "first_seen": _seconds(table["first_seen"]),
        "last": np.zeros(len(keys), np.int64),
        "odd_port": odd_port,
        "beacon": _largest(tables.get("beacons"), keys),
        "url": _largest(tables.get("hosts"), keys),
    }
    texts = {
        "name": names,
        "domain": domains,
        "lists": _joined(table["lists"]),
        "servers": _joined(table["servers"]),
    }
    return Rows(keys, numbers, texts)


def _largest(table: pa.Table | None, keys: np.ndarray) -> np.ndarray:
    """The largest ``log_odds`` of each destination in a table; nan where it has none."""
    out = np.full(len(keys), np.nan)
    if table is None or not table.num_rows or not len(keys):
        return out
    order = np.argsort(keys, kind="stable")
    said = text_keys(table["destination"])
    at = order[np.minimum(np.searchsorted(keys, said, sorter=order), len(keys) - 1)]
    hit = keys[at] == said
    np.fmax.at(out, at[hit], table["log_odds"].to_numpy()[hit])
    return out


def _edges(tables: Mapping[str, pa.Table | None], people: Rows, places: Rows) -> Edges:
    table = tables.get("edges")
    if table is None or not table.num_rows or not len(places):
        none = np.zeros(0, np.int32)
        return Edges(none, none, {name: np.zeros(0, kind) for name, kind in _EDGE.items()})
    terminal, destination = (
        people.find(text_keys(table["terminal"])),
        places.find(text_keys(table["destination"])),
    )
    # An edge without a row for its ends has no colour: it is left to the next day's tables to be whole again.
    use = np.flatnonzero((terminal >= 0) & (destination >= 0) & (places["colour"][destination] != WHITE))
    columns = {name: _seconds(table[name])[use] for name in ("first", "last")}
    columns |= {name: table[name].to_numpy()[use] for name in ("count", "refused", "failed")}
    pair = destination[use] << 32 | terminal[use]
    order = np.argsort(pair, kind="stable")
    made = Edges(
        terminal[use][order].astype(np.int32),
        destination[use][order].astype(np.int32),
        {name: values[order] for name, values in columns.items()} | {"beacon": np.full(len(use), np.nan)},
    )
    beacons = tables.get("beacons")
    if beacons is not None and beacons.num_rows and len(made):
        who, where = (
            people.find(text_keys(beacons["terminal"])),
            places.find(text_keys(beacons["destination"])),
        )
        said = where << 32 | who
        known = _pair(made)
        at = np.minimum(np.searchsorted(known, said), len(known) - 1)
        hit = (who >= 0) & (where >= 0) & (known[at] == said)
        np.fmax.at(made.columns["beacon"], at[hit], beacons["log_odds"].to_numpy()[hit])
    return made
