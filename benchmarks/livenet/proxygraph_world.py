"""Small organisations as edges, with the truth beside them, to tune and measure the inference of the proxy graph.

Made edge by edge with NumPy, without log lines, so that many seeds and sizes cost little. ``synth_a`` reads the
development data of that name into the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.livenet import BEACONS, DESTINATIONS, EDGES, TERMINALS

KINDS = ("web", "niche", "personal", "telemetry", "compromised", "malicious")
WEB, NICHE, PERSONAL, TELEMETRY, COMPROMISED, MALICIOUS = range(6)
GRAY, BLACK, WHITE = range(3)
HOUR = 3600


@dataclass
class World:
    """``colour`` and all by edge may be read by a detector, ``kind`` and ``campaign`` (-1: clean) are the truth.
    ``beacon``: log-odds of the edge's timing, nan where nothing repeats."""

    terminal: np.ndarray
    destination: np.ndarray
    count: np.ndarray
    first: np.ndarray
    last: np.ndarray
    beacon: np.ndarray
    colour: np.ndarray
    kind: np.ndarray
    department: np.ndarray
    campaign: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        """Infected terminals without a black contact."""
        out = self.campaign >= 0
        out[self.terminal[self.colour[self.destination] == BLACK]] = False
        return out


def organisation(
    seed: int,
    terminals: int = 2500,
    departments: int = 20,
    campaigns: int = 25,
    days: int = 3,
    tail: float = 105.0,
    largest: int = 20,
    stray: float = 0.12,
    spear: float = 0.3,
    gray_telemetry: float = 0.15,
    listed: float = 0.35,
) -> World:
    """``tail``: gray web visits of a terminal; ``stray``: chance of a stray clean visitor at a malicious destination;
    ``spear``: share of campaigns inside one department; ``gray_telemetry``: share of automated polling of sites that
    are not white; ``listed``: share of malicious destinations that are black."""
    rng = np.random.default_rng(seed)
    span = days * 24 * HOUR
    department = rng.integers(0, departments, terminals)
    active = np.maximum(rng.lognormal(0, 0.6, terminals), 0.05)
    rows: list[tuple[np.ndarray, ...]] = []
    kinds: list[np.ndarray] = []
    made = 0

    def new(number: int, kind: int) -> np.ndarray:
        nonlocal made
        kinds.append(np.full(number, kind))
        made += number
        return np.arange(made - number, made)

    def working(n: int) -> np.ndarray:
        day = rng.integers(0, days, n) * 24 * HOUR
        return (day + np.clip(rng.normal(13, 2.5, n), 0, 23.9) * HOUR).astype(np.int64)

    def add(
        who: np.ndarray, what: np.ndarray, count: np.ndarray, first: np.ndarray, last: np.ndarray
    ) -> None:
        rows.append((who, what, count, first, np.maximum(first, last), np.full(len(who), np.nan)))

    def person(who: np.ndarray, what: np.ndarray, again: float) -> None:
        count = 1 + rng.geometric(1 / (1 + again), len(who)) - 1
        first = working(len(who))
        add(who, what, count, first, np.where(count > 1, np.maximum(first, working(len(who))), first))

    # The web: what many visit is white; the tail is gray.
    pages = int(terminals * 16)
    web = new(pages, WEB)
    visits = rng.poisson(tail * active)
    who = np.repeat(np.arange(terminals), visits)
    rank = np.minimum((rng.random(len(who)) ** 2.6 * pages).astype(np.int64), pages - 1)
    person(who, web[rank], 0.05)
    # Sites of one department, and of one person.
    niche = new(departments * 90, NICHE)
    whose = np.repeat(np.arange(departments), 90)
    fame = rng.beta(0.6, 5, len(niche))
    chance = fame[None, :] * (department[:, None] == whose[None, :]) * np.minimum(active, 2)[:, None]
    who, site = np.nonzero(rng.random(chance.shape) < chance)
    person(who, niche[site], 0.6)
    own = new(terminals * 10, PERSONAL)
    keep = rng.random(len(own)) < 0.65
    person(np.repeat(np.arange(terminals), 10)[keep], own[keep], 1.5)
    # Programs that poll, with periods and prevalences of all sorts.
    polled = new(max(6, int(terminals * 0.012)), TELEMETRY)
    for site_of in polled:
        share = 10 ** rng.uniform(np.log10(1.5 / terminals), -0.4)
        who = np.flatnonzero(rng.random(terminals) < share)
        period = 10 ** rng.uniform(1.8, 3.9)
        count = np.full(len(who), min(int(span / period * 0.6) + 1, 300))
        first = working(len(who)) // 3
        add(who, np.full(len(who), site_of), count, first, np.minimum(first + count * int(period), span))
        rows[-1][5][:] = rng.normal(3.0, 1.0, len(who)) - 3 * share
    # Campaigns.
    campaign = np.full(terminals, -1)
    landing_of, malicious_of = [], []
    for number in range(campaigns):
        size = max(1, round(largest ** rng.random()) if rng.random() > 0.15 else 1)
        pool = np.flatnonzero(campaign < 0)
        if rng.random() < spear and size > 2:
            pool = pool[department[pool] == rng.integers(0, departments)]
        victims = rng.permutation(pool)[:size]
        campaign[victims] = number
        begin = rng.integers(0, span // 2)
        landing = rng.choice(web[pages // 30 :], 2, replace=False)
        bad = new(rng.integers(3, 12), MALICIOUS)
        landing_of.append(landing)
        malicious_of.append(bad)
        caught = np.minimum(begin + rng.exponential(span / 6, len(victims)), span * 0.9).astype(np.int64)
        for victim, when in zip(victims, caught, strict=True):
            for page in landing[rng.random(2) < 0.8]:
                ago = int(rng.exponential(600)) if rng.random() < 0.8 else int(rng.integers(0, 8 * HOUR))
                at = max(when - ago, 0)
                add(*(np.array([x]) for x in (victim, page, 1, at, at)))
            chosen = bad[rng.random(len(bad)) < 0.45]
            if not len(chosen):
                chosen = rng.permutation(bad)[:1]
            for place, what in enumerate(chosen):
                first = min(int(when + rng.exponential(2 * HOUR) * (place > 0)), span - 1)
                if place == 0:
                    period = 10 ** rng.uniform(1.5, 3.85)
                    count = min(max(int((span - first) / period), 1), 250)
                    jitter = rng.uniform(0, 0.5)
                    add(
                        *(
                            np.array([x])
                            for x in (victim, what, count, first, min(int(first + count * period), span))
                        )
                    )
                    if count >= 8:
                        # As measured on synthetic beacons: strong with many contacts and little jitter.
                        strength = min(1.0, np.log2(count / 4) / 3) * (1 - jitter)
                        rows[-1][5][:] = rng.normal(1 + 4.5 * strength, 0.8)
                else:
                    count = int(rng.geometric(0.16))
                    add(*(np.array([x]) for x in (victim, what, count, first, first + count * HOUR)))
    malicious = np.concatenate(malicious_of)
    struck = malicious[rng.random(len(malicious)) < stray]
    clean = np.flatnonzero(campaign < 0)
    person(rng.choice(clean, len(struck)), struck, 0.0)
    who, what, count, first, last, beacon = (np.concatenate(part) for part in zip(*rows, strict=True))
    # Repeated human visits that look regular.
    odd = np.isnan(beacon) & (count >= 6)
    beacon[odd] = rng.normal(-1.5, 1.2, int(odd.sum()))
    pair = who * made + what
    order = np.argsort(pair, kind="stable")
    unique, begin_at = np.unique(pair[order], return_index=True)
    first = np.minimum.reduceat(first[order], begin_at)
    last = np.maximum.reduceat(last[order], begin_at)
    count = np.add.reduceat(count[order], begin_at)
    beacon = np.fmax.reduceat(beacon[order], begin_at)
    last = np.where(count == 1, first, last)
    who, what = unique // made, unique % made
    kind = np.concatenate(kinds)
    kind[np.concatenate(landing_of)] = COMPROMISED
    visitors = np.bincount(what, minlength=made)
    colour = np.full(made, GRAY)
    top = visitors >= max(terminals * 0.02, np.sort(visitors)[-max(made // 200, 10)])
    colour[top & np.isin(kind, (WEB, NICHE))] = WHITE
    named = (kind == TELEMETRY) & ((rng.random(made) > gray_telemetry) | (visitors > terminals * 0.05))
    colour[named] = WHITE
    colour[malicious[rng.random(len(malicious)) < listed]] = BLACK
    return World(
        who, what, count, first, np.minimum(last, span - 1), beacon, colour, kind, department, campaign
    )


def synth_a(folder: Path) -> World:
    """The development data; beacons judged by the spread of their intervals alone."""
    import pyarrow.parquet as pq

    log = pq.read_table(folder / "log.parquet")
    ts, who, what = (log[name].to_numpy() for name in ("ts", "terminal", "dest"))
    about = pq.read_table(folder / "dest.parquet")
    people = pq.read_table(folder / "terminal.parquet")
    kind = np.array([KINDS.index(text) for text in about["kind"].to_pylist()])
    colour = np.array([("gray", "black", "white").index(text) for text in about["seed"].to_pylist()])
    pair = who.astype(np.int64) * len(kind) + what
    order = np.lexsort((ts, pair))
    pair, ts = pair[order], ts[order] - ts.min()
    unique, begin, count = np.unique(pair, return_index=True, return_counts=True)
    beacon = np.full(len(unique), np.nan)
    gray = colour[unique % len(kind)] != WHITE
    for i in np.flatnonzero((count >= 8) & gray):
        gaps = np.diff(ts[begin[i] : begin[i] + count[i]])
        middle = np.median(gaps)
        low, high = np.percentile(gaps, [20, 80])
        spread = (high - low) / max(middle, 1.0)
        beacon[i] = 4.5 * (1 - min(spread, 2.0) / 1.0) * min(1.0, np.log2(count[i] / 4) / 3)
    return World(
        terminal=(unique // len(kind)).astype(np.int64),
        destination=(unique % len(kind)).astype(np.int64),
        count=count,
        first=ts[begin].astype(np.int64),
        last=ts[begin + count - 1].astype(np.int64),
        beacon=beacon,
        colour=colour,
        kind=kind,
        department=people["dept"].to_numpy(),
        campaign=people["campaign"].to_numpy().astype(np.int64),
    )


def tables_of(world: World, day: int | None = None, begin: int = 1_767_225_600) -> dict[str, pa.Table]:
    """What the engines before the proxy graph would publish: of one day, or of all days as if they were one.

    Edges seen on several days are cut by days; names are "t12.example" under "d12.example" and the like."""
    first, last, count = world.first, world.last, world.count
    rows = np.arange(len(first))
    if day is not None:
        low, high = day * 86_400, (day + 1) * 86_400
        # One contact at either end, the others evenly between: over all days they add up to what there was.
        length = np.maximum(last - first, 1)
        low_share, high_share = (np.clip((at - first) / length, 0, 1) for at in (low, high))
        middle = np.maximum(count - 2, 0)
        count = (middle * high_share).astype(np.int64) - (middle * low_share).astype(np.int64)
        count = (
            count + ((first >= low) & (first < high)) + ((world.count > 1) & (last >= low) & (last < high))
        )
        rows = np.flatnonzero(count > 0)
        first, last = np.maximum(first, low), np.minimum(last, high - 1)
    who, what = world.terminal[rows], world.destination[rows]
    first, last, count, beacon = (values[rows] for values in (first, last, count, world.beacon))
    names = np.array([f"d{n}.example" for n in range(len(world.kind))], object)
    people = np.array([f"u{n:05d}" for n in range(len(world.campaign))], object)
    zero, none = np.zeros(len(rows), np.int64), np.zeros(0, np.uint32)
    empty = pa.ListArray.from_arrays(pa.array(np.zeros(len(rows) + 1, np.int32)), pa.array(none))

    def times(seconds: np.ndarray) -> pa.Array:
        return pa.array((seconds.astype(np.int64) + begin) * 1_000_000_000).cast(pa.timestamp("ns", tz="UTC"))

    def table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
        return pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)

    edges = {
        "terminal": people[who],
        "destination": names[what],
        "first": times(first),
        "last": times(last),
        "count": count,
        "hours": zero.astype(np.int32),
        "times": empty,
        "sizes": empty,
    }
    edges |= {f.name: zero for f in EDGES if f.name not in edges}
    met = np.unique(what)
    seen = np.full(len(world.kind), np.iinfo(np.int64).max)
    np.minimum.at(seen, world.destination, world.first)
    black = world.colour[met] == BLACK
    lists = [
        ["plain since 2026-01-01: domain " + names[d]] if b else [] for d, b in zip(met, black, strict=True)
    ]
    destinations = {
        "destination": names[met],
        "domain": names[met],
        "is_address": np.zeros(len(met), bool),
        "colour": np.array(["gray", "black", "white"], object)[world.colour[met]],
        "lists": pa.array(lists, pa.list_(pa.string())),
        "fresh": black,
        "servers": pa.array([[] for _ in met], pa.list_(pa.string())),
        "ports": pa.array([[443] for _ in met], pa.list_(pa.int32())),
        "visitors": np.bincount(what, minlength=len(world.kind))[met],
        "count": np.bincount(what, count, len(world.kind))[met].astype(np.int64),
        "first_seen": times(seen[met]),
        "domain_seen": times(seen[met]),
        "age_known": np.zeros(len(met), bool),
    }
    destinations |= {f.name: np.zeros(len(met), np.int64) for f in DESTINATIONS if f.name not in destinations}
    present = np.unique(who)
    terminals = {
        "terminal": people[present],
        "addresses": pa.array([[f"10.0.{n >> 8}.{n & 255}"] for n in present], pa.list_(pa.string())),
        "users": pa.array([[people[n]] for n in present], pa.list_(pa.string())),
        "first": times(np.full(len(present), first.min(initial=0))),
        "last": times(np.full(len(present), last.max(initial=0))),
        "hours": np.zeros(len(present), np.int32),
    }
    terminals |= {f.name: np.zeros(len(present), np.int64) for f in TERMINALS if f.name not in terminals}
    timed = np.flatnonzero(~np.isnan(beacon))
    beacons: dict[str, Any] = {
        "terminal": people[who[timed]],
        "destination": names[what[timed]],
        "first_seen": times(first[timed]),
        "log_odds": np.clip(beacon[timed], -1, 3.4),
    }
    beacons |= {f.name: np.zeros(len(timed)) for f in BEACONS if f.name not in beacons}
    return {
        "livenet.edges:edges": table(edges, EDGES),
        "livenet.edges:destinations": table(destinations, DESTINATIONS),
        "livenet.edges:terminals": table(terminals, TERMINALS),
        "livenet.beacon:beacons": table(beacons, BEACONS),
    }
