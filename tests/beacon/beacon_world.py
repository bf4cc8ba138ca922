"""Tables as ``livenet.edges`` publishes them, from times that a test makes up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.livenet.beacon import BeaconEngine
from andon.detect.livenet.beacon.memory import Memory
from andon.records.contract import Context, Nothing, Outcome, Site
from andon.records.livenet import DESTINATIONS, EDGES, TERMINALS

DAY = 86_400
START = 20_000 * DAY  # s since 1970
Contacts = Mapping[tuple[str, str], np.ndarray | tuple[np.ndarray, np.ndarray]]


def _column(kind: pa.DataType, number: int) -> pa.Array:
    """A column of nothing: what an engine that looks at it would see where nothing is known."""
    if pa.types.is_list(kind):
        return pa.array([[]] * number, kind)
    empty: Any = "" if pa.types.is_string(kind) else False if pa.types.is_boolean(kind) else 0
    return (
        pa.array([empty] * number, pa.int64()).cast(kind)
        if empty == 0 and empty is not False
        else pa.array([empty] * number, kind)
    )


def filled(schema: pa.Schema, number: int, **given: Any) -> pa.Table:
    """A table of this schema; columns that are not given hold nothing."""
    return pa.table(
        {
            field.name: pa.array(given[field.name], field.type)
            if field.name in given
            else _column(field.type, number)
            for field in schema
        },
        schema=schema,
    )


def _ns(seconds: list[float], start: int) -> pa.Array:
    return pa.array([round((start + s) * 1e9) for s in seconds], pa.int64()).cast(
        pa.timestamp("ns", tz="UTC")
    )


def tables(
    contacts: Contacts,
    start: int = START,
    terminals: int = 0,
    visitors: Mapping[str, int] | None = None,
) -> dict[str, pa.Table]:
    """``contacts``: times in s since ``start`` (with sizes, if wanted) of each (terminal, destination).
    ``terminals``: how many there are at least; ``visitors``: of a destination, where others than those listed go
    there too."""
    edges = []
    for (terminal, destination), what in sorted(contacts.items()):
        times, sizes = what if isinstance(what, tuple) else (what, np.full(len(what), 500))
        order = np.argsort(times)
        times, sizes = np.asarray(times)[order], np.asarray(sizes)[order]
        hours = (times // 3600).astype(int)
        listed = np.concatenate([np.flatnonzero(hours == h)[:256] for h in range(24)])
        bits = int(np.bitwise_or.reduce(1 << np.unique(hours)))
        edges.append((terminal, destination, times, sizes, listed, bits))
    named = sorted({edge[0] for edge in edges})
    everyone = named + [f"idle-{n}" for n in range(terminals - len(named))]
    places = sorted({edge[1] for edge in edges})
    going = {place: len({e[0] for e in edges if e[1] == place}) for place in places} | dict(visitors or {})
    active = {name: int(np.bitwise_or.reduce([e[5] for e in edges if e[0] == name])) for name in named}
    return {
        "livenet.edges:edges": filled(
            EDGES,
            len(edges),
            terminal=[e[0] for e in edges],
            destination=[e[1] for e in edges],
            first=_ns([e[2][0] for e in edges], start),
            last=_ns([e[2][-1] for e in edges], start),
            count=[len(e[2]) for e in edges],
            hours=[e[5] for e in edges],
            times=[(e[2][e[4]] * 1000).astype(np.uint32) for e in edges],
            sizes=[e[3][e[4]].astype(np.uint32) for e in edges],
            unlisted=[len(e[2]) - len(e[4]) for e in edges],
        ),
        "livenet.edges:destinations": filled(
            DESTINATIONS,
            len(places),
            destination=places,
            colour=["gray"] * len(places),
            visitors=[going[place] for place in places],
            first_seen=_ns([min(e[2][0] for e in edges if e[1] == place) for place in places], start),
        ),
        "livenet.edges:terminals": filled(
            TERMINALS,
            len(everyone),
            terminal=everyone,
            hours=[active.get(name, 0) for name in everyone],
        ),
    }


def concluded(
    given: Mapping[str, pa.Table],
    start: int = START,
    carry: Memory | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Outcome[Memory]:
    engine = BeaconEngine(Site(settings=dict(settings or {})))
    context: Context[Memory] = Context("1d", start * 10**9, (start + DAY) * 10**9, tables=given)
    return engine.conclude(Nothing(), carry, context)


def rows_of(outcome: Outcome[Memory]) -> dict[tuple[str, str], dict[str, Any]]:
    plain = outcome.tables["beacons"].drop_columns(["first_seen"])
    return {(row["terminal"], row["destination"]): row for row in plain.to_pylist()}


def polls(
    rng: np.random.Generator,
    period: float,
    jitter: float = 0.0,
    loss: float = 0.0,
    begin: float = 0.0,
    end: float = DAY,
) -> np.ndarray:
    """A sleep even over ``period`` * (1 - jitter .. 1 + jitter) after each poll; each is lost with chance
    ``loss``."""
    number = int((end - begin) / (period * max(1 - jitter, 0.2))) + 2
    times = begin + rng.uniform(0, period) + np.cumsum(period * rng.uniform(1 - jitter, 1 + jitter, number))
    times = times[times < end]
    return times[rng.random(len(times)) >= loss]


def person(rng: np.random.Generator, sessions: int = 3) -> np.ndarray:
    """Page views in sessions between 8 and 18 h, each page some requests within seconds."""
    out = []
    for begin in np.sort(8 * 3600 + 36_000 * rng.beta(2, 2, sessions)):
        pages = rng.geometric(0.12)
        gaps = np.exp(rng.normal(np.log(rng.choice([15, 30, 60, 120])), rng.uniform(0.7, 1.3), pages))
        pages_at = begin + np.cumsum(gaps)
        out += [at + np.cumsum(rng.exponential(0.4, rng.geometric(0.25))) for at in pages_at]
    times = np.sort(np.concatenate(out))
    return times[times < DAY]
