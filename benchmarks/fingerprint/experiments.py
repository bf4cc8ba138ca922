"""The experiments: one function per kind of job, each from a configuration to JSON values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from searches import Columns, Search, run_search, simulated

from andon.simulate.fingerprints import benchmark_config, benchmark_families, plant, score
from andon.simulate.internet import Family, InternetConfig, truth

SLOW_SIZES = (20, 30, 50, 100, 200, 500, 1000, 2000)


def planted(method: Search, seed: int, packets: int, contamination: float) -> dict[str, Any]:
    """Sixteen families at once, half of all sources noise."""
    config = benchmark_config(seed, packets, contamination)
    columns = simulated(config)
    answer = run_search(method, columns, seed)
    report = score(answer.found, truth(config)[0], config.telescope, columns)
    return {**answer.costs(), "syn": len(columns["src"]), **report.to_dict()}


def noise(method: Search, seed: int, packets: int) -> dict[str, Any]:
    """Nothing but noise: whatever is found is false."""
    config = InternetConfig(seed=10_000 + seed, packets=packets, noise=1.0, families=())
    columns = simulated(config)
    answer = run_search(method, columns, seed)
    return {
        **answer.costs(),
        "syn": len(columns["src"]),
        "sources": len(np.unique(columns["src"])),
        "false": [{"relation": text, "sources": len(members)} for text, members in answer.found],
    }


def slow(method: Search, seed: int, packets: int, sources: int) -> dict[str, Any]:
    """Every family has ``sources`` sources that send 1 to 3 packets each, in ``packets`` packets of noise."""
    families = tuple(
        replace(family, sources=sources, weight=1.0, spread=0.3) for family in benchmark_families(seed)
    )
    total = packets + 2 * sources * len(families)
    config = InternetConfig(seed=seed, packets=total, noise=packets / total, families=families)
    table = truth(config)[0]
    columns = first_packets(simulated(config), scanning(table), 3)
    answer = run_search(method, columns, seed)
    report = score(answer.found, table, config.telescope, columns)
    return {**answer.costs(), **report.to_dict()}


def first_packets(columns: Columns, of: np.ndarray, most: int) -> Columns:
    """The packets without those of the sources ``of`` after their first ``most``."""
    order = np.lexsort((columns["ts"], columns["src"]))
    src = columns["src"][order]
    begins = np.flatnonzero(np.r_[True, src[1:] != src[:-1]])
    rank = np.arange(len(src)) - np.repeat(begins, np.diff(np.r_[begins, len(src)]))
    kept = order[(rank < most) | ~np.isin(src, of)]
    kept.sort()
    return {name: values[kept] for name, values in columns.items()}


def scanning(table: pa.Table) -> np.ndarray:
    """Addresses that belong to a family with a relation."""
    found: np.ndarray = np.unique(
        table["src"].to_numpy()[np.array(table["expression"].to_pylist(), object) != ""]
    )
    return found


def mixed(method: Search, seed: int, packets: int) -> dict[str, Any]:
    """Several hosts behind 30 % of the addresses, and half of the sources of every second family infected with the
    one before it as well: are both found at the same address?"""
    families: list[Family] = []
    for number, family in enumerate(benchmark_families(seed, packets)):
        other = (families[-1].name, 0.5) if number % 2 else ("", 0.0)
        families.append(replace(family, nat=0.3, shares_hosts_with=other))
    config = InternetConfig(
        seed=seed, packets=packets, noise=0.5, families=tuple(families),
        noise_sources=sum(f.sources for f in families),
    )  # fmt: skip
    columns = simulated(config)
    table = truth(config)[0]
    answer = run_search(method, columns, seed)
    report = score(answer.found, table, config.telescope, columns)
    shared, both = infected_twice(
        answer.found, report.to_dict()["families"], table, columns, config.telescope
    )
    return {**answer.costs(), **report.to_dict(), "infected_twice": shared, "found_twice": both}


def infected_twice(
    found: list[tuple[str, np.ndarray]],
    families: list[dict[str, Any]],
    table: pa.Table,
    columns: Columns,
    prefixes: tuple[str, ...],
) -> tuple[int, int]:
    """(addresses with evidence for several families, those of them given to all of these families)."""
    given = [
        np.concatenate([m for text, m in found if text == f["found"]])
        if f["found"]
        else np.zeros(0, np.uint32)
        for f in families
    ]
    pairs = [
        (p.eligible, np.isin(p.eligible, members))
        for p, members in zip(plant(table, columns, prefixes), given, strict=True)
    ]
    address = np.concatenate([a for a, _ in pairs])
    right = np.concatenate([r for _, r in pairs])
    _, place, often = np.unique(address, return_inverse=True, return_counts=True)
    hits = np.bincount(place, right)
    return int((often > 1).sum()), int(((often > 1) & (hits == often)).sum())
