"""Families in, sessions out: which source sends how many packets, when, and with which constants."""

from __future__ import annotations

import numpy as np

from . import session as s
from .addresses import Space
from .apportion import SECOND, activity, apportion
from .builder import Builder, Event, Group, calm_retries, fill
from .family import Bursts, Change, Family, Growth, InStep
from .session import SESSION
from .solve import is_udp
from .tools import TOOLS


def add_family(b: Builder, family: Family, packets: int) -> None:
    rng = b.rng(family.name)
    config = b.config
    other, share = family.shares_hosts_with
    shared = (
        b.by_family[other][: round(share * family.sources)]
        if other in b.by_family
        else np.zeros(0, np.uint32)
    )
    fresh = family.sources - len(shared)
    draw = b.sources.draw_block if family.one_block else b.sources.draw
    addresses = np.concatenate([shared, draw(fresh)]) if fresh else shared
    b.by_family[family.name] = addresses

    # One process per host; several hosts behind some addresses.
    hosts = np.where(rng.random(len(addresses)) < family.nat, rng.integers(2, 6, len(addresses)), 1)
    source_of = np.repeat(np.arange(len(addresses)), hosts)
    rate = np.exp(rng.normal(0, family.spread, len(source_of)))
    owner, start, stop = activity(family, np.arange(len(source_of)), config.start_ns, config.end_ns, rng)
    if len(owner) == 0 and packets:
        owner = np.arange(len(source_of))
        start, stop = np.full(len(owner), config.start_ns), np.full(len(owner), config.end_ns)
        b.events.append(
            Event(config.start_ns, family.name, "schedule-outside-capture", 0, 0, "active throughout")
        )
    process = np.zeros(len(source_of), SESSION)
    fill(process, TOOLS[family.tool], rng)
    row_of = _truth_rows(b, family, addresses, hosts)
    process["src"] = addresses[source_of]
    process["truth"] = row_of[source_of]
    _targets(b, family, process, rng)
    _process_ports(b, family, process, rng)

    rows = process[owner]
    rows["key"] = rng.integers(0, 2**64, len(rows), dtype=np.uint64)
    rows["start"], rows["end"] = start, stop
    rows["n"] = 0
    rates = rate[owner]
    rows, rates = _split_at_changes(b, family, rows, rates, rng)
    rows["n"] = apportion(rates * (rows["end"] - rows["start"]), packets, rng)
    rows = rows[rows["n"] > 0]
    calm_retries(rows)
    b.chunks.append(rows)
    _family_events(b, family, rows)


def _targets(b: Builder, family: Family, rows: np.ndarray, rng: np.random.Generator) -> None:
    n = len(rows)
    rows["dst_off"], rows["dst_len"] = 0, b.space.size
    if TOOLS[family.tool].spoofed:  # aimed at one address
        rows["dst_off"], rows["dst_len"] = rng.integers(0, b.space.size, n), 1
    if TOOLS[family.tool].dst_mode == s.LISTED:
        if family.sharded:
            rows["scan"], rows["shard"], rows["shards"] = b.scans, np.arange(n), n
            b.scans += 1
        else:
            rows["scan"], rows["shard"], rows["shards"] = b.scans + np.arange(n), 0, 1
            b.scans += n
        rows["blocklist"] = family.blocklist
        rows["threads"] = rng.choice([1, 2, 4], n) if not family.sharded else 1


def _process_ports(b: Builder, family: Family, rows: np.ndarray, rng: np.random.Generator) -> None:
    if family.ports_each:
        choices = np.array([p for p, _ in family.ports], np.uint16)
        share = np.array([w for _, w in family.ports], np.float64)
        each = min(family.ports_each, len(choices))
        for i in range(len(rows)):
            rows["ports_off"][i], rows["ports_len"][i] = b.pool.add(
                rng.choice(choices, each, replace=False, p=share / share.sum())
            )
    else:
        rows["ports_off"], rows["ports_len"] = b.pool.weighted(family.ports)
    if family.relation:
        if is_udp(family.relation):
            rows["kind"], rows["flags"] = s.UDP, 0
        rows["relation"] = s.OTHER
        rows["relation_id"] = len(b.relations)
        b.relations.append(family.relation)


def _split_at_changes(
    b: Builder, family: Family, rows: np.ndarray, rates: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A session that spans a change becomes two; the process keeps its constants."""
    done: list[np.ndarray] = []
    done_rates: list[np.ndarray] = []
    for change in sorted(family.changes, key=lambda c: c.at):
        at = b.config.start_ns + round(change.at * SECOND)
        before = rows[rows["start"] < at].copy()
        done_rates.append(rates[rows["start"] < at])
        before["end"] = np.minimum(before["end"], at)
        done.append(before)
        later = rows["end"] > at
        rows, rates = rows[later].copy(), rates[later]
        rows["start"] = np.maximum(rows["start"], at)
        rows["key"] = rng.integers(0, 2**64, len(rows), dtype=np.uint64)
        _apply(b, change, rows, rng)
    return np.concatenate([*done, rows]), np.concatenate([*done_rates, rates])


def _apply(b: Builder, change: Change, rows: np.ndarray, rng: np.random.Generator) -> None:
    if change.tool:
        kept = {name: rows[name].copy() for name in ("key", "hops", "ttl")}
        fill(rows, TOOLS[change.tool], rng)
        for name, values in kept.items():
            rows[name] = values
    if change.ports:
        rows["ports_off"], rows["ports_len"] = b.pool.weighted(change.ports)


def _truth_rows(b: Builder, family: Family, addresses: np.ndarray, hosts: np.ndarray) -> np.ndarray:
    tools = [TOOLS[family.tool], *(TOOLS[c.tool] for c in family.changes if c.tool)]
    # A family that changes its tool has no relation that all of its packets satisfy.
    expression = family.relation or (tools[0].expression if len({t.expression for t in tools}) == 1 else "")
    group = Group(family.name, family.kind, family.purpose, expression, family.organisation, family.tool)
    return b.truth.add(addresses, [group], np.zeros(len(addresses), np.int64), hosts)


def _family_events(b: Builder, family: Family, rows: np.ndarray) -> None:
    if len(rows) == 0:
        return
    begin, name = b.config.start_ns, family.name
    plan = family.schedule
    if isinstance(plan, InStep):
        for at, what in ((plan.wake, "wake"), (plan.stop, "stop")):
            when = begin + round(at * SECOND)
            if begin <= when <= b.config.end_ns:
                b.events.append(Event(when, name, what, 0, 0, f"{family.sources} sources"))
    if isinstance(plan, Growth):
        b.events.append(Event(int(rows["start"].min()), name, "growth-begin", 0, 0, ""))
        half = begin + round(plan.half * SECOND)
        b.events.append(Event(half, name, "growth-half", 0, 0, f"e-fold {plan.efold:g} s"))
    for change in family.changes:
        when = begin + round(change.at * SECOND)
        if change.ports:
            ports = ",".join(str(p) for p, _ in change.ports)
            b.events.append(Event(when, name, "ports", 0, 0, ports))
        if change.tool:
            b.events.append(Event(when, name, "tool", 0, 0, change.tool))
    if isinstance(plan, Bursts) and family.kind in ("backscatter", "flood"):
        for row in rows:
            dst = int(_address(b.space, int(row["dst_off"]))) if family.kind == "flood" else 0
            for at, what in ((row["start"], "attack-begin"), (row["end"], "attack-end")):
                b.events.append(Event(int(at), name, what, int(row["src"]), dst, ""))
    elif family.kind == "flood":
        for row in rows:
            dst = int(_address(b.space, int(row["dst_off"])))
            b.events.append(
                Event(int(row["start"]), name, "attack-begin", 0, dst, f"{int(row['n'])} packets")
            )
            b.events.append(Event(int(row["end"]), name, "attack-end", 0, dst, ""))


def _address(where: Space, index: int) -> int:
    return int(where.bases[index >> where.granule]) | (index & ((1 << where.granule) - 1))
