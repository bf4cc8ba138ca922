"""The published tables (``records.livenet``), from edges and what the lists and the memory say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.edges import kernels as k
from andon.detect.livenet.edges.fold import Destinations, Edges, sums
from andon.detect.livenet.edges.lists import Matches
from andon.detect.livenet.edges.names import ascending
from andon.detect.livenet.edges.store import FACETS, split_facets
from andon.records.livenet import DESTINATIONS, EDGES, TERMINALS

_TIME = pa.timestamp("ns", tz="UTC")
_COLOURS = pa.array(["gray", "black", "white"])


def _int64(values: np.ndarray) -> pa.Array:
    return pa.array(np.ascontiguousarray(values).astype(np.int64, copy=False))


def _times(values: np.ndarray) -> pa.Array:
    return _int64(values).cast(_TIME)


def _list(lengths: np.ndarray, values: pa.Array) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def edges_table(edges: Edges, terminals: pa.Array, names: pa.Array) -> pa.Table:
    """One row for each edge; ``terminals`` and ``names`` (of destinations) in the order of their ranks."""
    wide, narrow = edges.wide, edges.narrow
    listed = narrow[:, k.LISTED].astype(np.int64)
    columns = {
        "terminal": terminals.take(pa.array(edges.terminal)),
        "destination": names.take(pa.array(edges.destination)),
        "first": _times(wide[:, k.FIRST]),
        "last": _times(wide[:, k.LAST]),
        "count": _int64(narrow[:, k.COUNT]),
        "bytes_in": _int64(wide[:, k.IN]),
        "bytes_out": _int64(wide[:, k.OUT]),
        "refused": _int64(narrow[:, k.REFUSED]),
        "failed": _int64(narrow[:, k.FAILED]),
        "no_referer": _int64(narrow[:, k.NO_REFERER]),
        "referers": _int64(narrow[:, k.REFERERS]),
        "hours": pa.array(narrow[:, k.HOURS].astype(np.int32)),
        "times": _list(listed, pa.array((edges.events >> np.uint64(32)).astype(np.uint32))),
        "sizes": _list(listed, pa.array(edges.events.astype(np.uint32))),
        "unlisted": _int64(narrow[:, k.COUNT].astype(np.int64) - listed),
    }
    return pa.table([columns[field.name] for field in EDGES], schema=EDGES)


def _few(facets: np.ndarray, kind: int, owner_of: np.ndarray, owners: int) -> tuple[np.ndarray, np.ndarray]:
    """(how many of each owner, values by owner): at most ``FACETS`` each, the lowest first."""
    owner, value = split_facets(facets, kind)
    pairs = ascending(owner_of[owner] << 32 | value)
    pairs = pairs[k.first_of_groups(pairs.astype(np.uint64), 32, FACETS)]
    return np.bincount(pairs >> 32, minlength=owners), pairs & 0xFFFFFFFF


def texts_of(facets: np.ndarray, kind: int, owner_of: np.ndarray, owners: int, texts: pa.Array) -> pa.Array:
    """List of texts of each owner."""
    lengths, values = _few(facets, kind, owner_of, owners)
    return _list(lengths, texts.take(pa.array(values)))


def ports_of(facets: np.ndarray, kind: int, owner_of: np.ndarray, owners: int) -> pa.Array:
    lengths, values = _few(facets, kind, owner_of, owners)
    return _list(lengths, pa.array(values.astype(np.int32)))


def lists_of(matches: Matches, texts: pa.Array, of_host: np.ndarray, owners: int) -> pa.Array:
    """Where each destination stands: distinct texts of its hosts, at most eight."""
    codes = (
        texts.dictionary_encode() if len(texts) else pa.array([""], pa.string()).slice(1).dictionary_encode()
    )
    pairs = of_host[matches.host] << 32 | np.asarray(codes.indices).astype(np.int64)
    pairs = ascending(pairs)
    pairs = pairs[k.first_of_groups(pairs.astype(np.uint64), 32, FACETS)]
    lengths = np.bincount(pairs >> 32, minlength=owners)
    return _list(lengths, codes.dictionary.take(pa.array(pairs & 0xFFFFFFFF)))


class Sums:
    """Edges added up by ``owners``: ``wide`` as in ``kernels``, ``narrow`` as int64, its last column counting edges."""

    def __init__(self, owners: int) -> None:
        self.wide, self.narrow = np.zeros((owners, 4), np.int64), np.zeros((owners, 8), np.int64)

    def add(self, owner: np.ndarray, edges: Edges) -> None:
        sums(owner, edges.wide, edges.narrow, self.wide, self.narrow)


def destinations_table(
    found: Destinations,
    by_address: np.ndarray,
    added: Sums,
    agents: np.ndarray,
    first_seen: np.ndarray,
    domain_seen: np.ndarray,
    age_known: np.ndarray,
    fresh: np.ndarray,
    lists: pa.Array,
    servers: pa.Array,
    ports: pa.Array,
) -> pa.Table:
    """One row for each destination, by name. ``by_address``: contacted by address where a name could have been seen."""
    wide, narrow = added.wide, added.narrow
    columns = {
        "destination": found.names,
        "domain": found.domains,
        "is_address": pa.array(by_address),
        "colour": _COLOURS.take(pa.array(found.colour.astype(np.int64))),
        "lists": lists,
        "fresh": pa.array(fresh),
        "servers": servers,
        "ports": ports,
        "visitors": _int64(narrow[:, k.LISTED]),
        "count": _int64(narrow[:, k.COUNT]),
        "bytes_in": _int64(wide[:, k.IN]),
        "bytes_out": _int64(wide[:, k.OUT]),
        "first_seen": _times(first_seen),
        "age_known": pa.array(age_known),
        "no_referer": _int64(narrow[:, k.NO_REFERER]),
        "referers": _int64(narrow[:, k.REFERERS]),
        "rare_agent": _int64(agents[:, 1]),
        "agents": _int64(agents[:, 0]),
        "untitled": _int64(narrow[:, k.UNTITLED]),
        "domain_seen": _times(domain_seen),
        "folded": _int64(found.folded),
    }
    return _visited(pa.table([columns[field.name] for field in DESTINATIONS], schema=DESTINATIONS))


def terminals_table(
    names: pa.Array,
    added: Sums,
    agents: np.ndarray,
    addresses: pa.Array,
    users: pa.Array,
) -> pa.Table:
    """One row for each terminal that has an edge, by name."""
    wide, narrow = added.wide, added.narrow
    columns = {
        "terminal": names,
        "addresses": addresses,
        "users": users,
        "count": _int64(narrow[:, k.COUNT]),
        "destinations": _int64(narrow[:, k.LISTED]),
        "bytes_in": _int64(wide[:, k.IN]),
        "bytes_out": _int64(wide[:, k.OUT]),
        "refused": _int64(narrow[:, k.REFUSED]),
        "failed": _int64(narrow[:, k.FAILED]),
        "agents": _int64(agents),
        "first": _times(wide[:, k.FIRST]),
        "last": _times(wide[:, k.LAST]),
        "hours": pa.array(narrow[:, k.HOURS].astype(np.int32)),
    }
    return _visited(pa.table([columns[field.name] for field in TERMINALS], schema=TERMINALS))


def _visited(table: pa.Table) -> pa.Table:
    """Without those of which a bound left no edge."""
    seen = pc.greater(table["count"], 0)
    return table if pc.all(seen).as_py() is not False else table.filter(seen)
