"""Small days of tables for the user-risk engine: who visits what, and what the lists say of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from andon.records import livenet
from andon.records.contract import Context

DAY = 86_400_000_000_000
START = 20_000 * DAY
_TIME = pa.timestamp("ns", tz="UTC")


def tables(
    day: int, visits: Iterable[tuple[str, str, int]], black: Iterable[str] = (), clean: Iterable[str] = (),
    seen: dict[str, int] | None = None, hours: int = 0x3FF00,
) -> dict[str, pa.Table]:  # fmt: skip
    """The tables of a day from (terminal, destination, contacts). ``seen``: first day of each destination, kept up."""
    rows = sorted(set(visits))
    seen = {} if seen is None else seen
    bad, begin = set(black), START + day * DAY
    terminals, hosts = sorted({r[0] for r in rows}), sorted({r[1] for r in rows})
    for host in hosts:
        seen.setdefault(host, day)
    n = len(rows)
    zero = np.zeros(n, np.int64)
    count = np.array([r[2] for r in rows], np.int64)
    none = pa.ListArray.from_arrays(pa.array(np.zeros(n + 1, np.int32)), pa.array([], pa.uint32()))
    edges = {
        "terminal": [r[0] for r in rows], "destination": [r[1] for r in rows],
        "first": pa.array([begin] * n, _TIME), "last": pa.array([begin + DAY // 2] * n, _TIME), "count": count,
        "bytes_in": count * 1000, "bytes_out": count * 100, "refused": zero, "failed": zero, "no_referer": zero,
        "referers": zero, "hours": pa.array([hours] * n, pa.int32()), "times": none, "sizes": none, "unlisted": zero,
    }  # fmt: skip
    m, k = len(hosts), len(terminals)
    visitors = {h: sum(r[1] == h for r in rows) for h in hosts} if n < 2000 else _visitors(rows)
    lists, numbers = pa.array([[]] * m, pa.list_(pa.string())), np.ones(m, np.int64)
    destinations = {
        "destination": hosts, "domain": hosts, "is_address": [False] * m,
        "colour": ["black" if h in bad else "gray" for h in hosts], "lists": lists, "fresh": [False] * m,
        "servers": lists, "ports": pa.array([[]] * m, pa.list_(pa.int32())),
        "visitors": pa.array([visitors[h] for h in hosts], pa.int64()), "count": numbers, "bytes_in": numbers,
        "bytes_out": numbers, "first_seen": pa.array([START + seen[h] * DAY for h in hosts], _TIME),
        "age_known": [seen[h] > 0 for h in hosts], "no_referer": numbers, "referers": numbers, "rare_agent": numbers,
        "agents": numbers, "untitled": numbers,
        "domain_seen": pa.array([START + seen[h] * DAY for h in hosts], _TIME), "folded": numbers * 0,
    }  # fmt: skip
    total = dict.fromkeys(terminals, 0)
    places = dict.fromkeys(terminals, 0)
    for t, _, c in rows:
        total[t] += c
        places[t] += 1
    texts, ones = pa.array([[]] * k, pa.list_(pa.string())), np.ones(k, np.int64)
    people = {
        "terminal": terminals, "addresses": texts, "users": texts, "count": pa.array(list(total.values()), pa.int64()),
        "destinations": pa.array(list(places.values()), pa.int64()), "bytes_in": ones, "bytes_out": ones,
        "refused": ones * 0, "failed": ones * 0, "agents": ones, "first": pa.array([begin] * k, _TIME),
        "last": pa.array([begin + DAY // 2] * k, _TIME), "hours": pa.array([hours] * k, pa.int32()),
    }  # fmt: skip
    suspects = {
        "rank": np.arange(1, k + 1), "terminal": terminals, "probability": np.zeros(k), "certain": [False] * k,
        "black": ones * 0, "gray": ones * 0, "clean": [t in set(clean) for t in terminals],
    }  # fmt: skip
    return {
        "livenet.edges:edges": _table(edges, livenet.EDGES),
        "livenet.edges:destinations": _table(destinations, livenet.DESTINATIONS),
        "livenet.edges:terminals": _table(people, livenet.TERMINALS),
        "livenet.proxygraph:terminals": _table(suspects, livenet.SUSPECTS),
        "livenet.proxygraph:gray": livenet.GRAY.empty_table(),
        "livenet.url:hosts": livenet.URL_HOSTS.empty_table(),
    }


def _table(columns: dict[str, object], schema: pa.Schema) -> pa.Table:
    """What the schema has besides ``columns`` is 0 or empty."""
    rows = len(columns["terminal"] if "terminal" in columns else columns["destination"])  # type: ignore[arg-type]
    made = []
    for f in schema:
        empty: object = [""] * rows if pa.types.is_string(f.type) else [0] * rows
        made.append(pa.array(columns.get(f.name, empty)).cast(f.type))  # type: ignore[call-overload]
    return pa.table(made, schema=schema)


def _visitors(rows: list[tuple[str, str, int]]) -> dict[str, int]:
    made: dict[str, int] = {}
    for _, host, _ in rows:
        made[host] = made.get(host, 0) + 1
    return made


def context(day: int, made: dict[str, pa.Table], gap: int = 0) -> Context:  # type: ignore[type-arg]
    return Context("1d", START + day * DAY, START + (day + 1) * DAY, gap=gap, tables=made)
