"""What severities are worth to screening, on simulated organisations (``andon simulate alerts``): Suricata and Wazuh
with severities, attacks among tens of thousands of episodes of ordinary work.

    python benchmarks/triage/screening_severity.py [SEED...]     default: 11 12 13 14 15 16, 20,000 alerts a day, 2 days

The form and its figures (``triage/screening/severity.py``) were chosen on seeds 1 to 5. It is a simulation: how often
rules of high severity are wrong in it is what whoever wrote it thought. An attack counts as found at k looks if one of
its episodes is among the first k of a day's queue. The model is the shipped one, which learned on AIT-ADS alone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import ait
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from verification_world import alerts

from andon.learn import registry
from andon.records.contract import Site
from andon.simulate.alerts import Scenario, simulate
from andon.triage.screening import queue
from andon.triage.screening.rank import Ranker, rarity

BUDGETS = (10, 20, 50, 100)
DAY = ait.DAY


@dataclass(frozen=True)
class World:
    """Episodes of all days, a row for each day they fired on; ``hits``: attacks of each; ``attacks``: how many."""

    table: pa.Table
    day: np.ndarray
    hits: list[frozenset[int]]
    attacks: int
    audits: float

    def column(self, name: str) -> np.ndarray:
        return np.asarray(self.table[name].to_numpy())

    def keys(self, *names: str) -> np.ndarray:
        words = zip(*(self.table[name].to_pylist() for name in names), strict=True)
        _, made = np.unique(["|".join(each) for each in words], return_inverse=True)
        return np.asarray(made, np.uint64)

    def features(self) -> np.ndarray:
        flat = self.table["features"].combine_chunks().flatten().to_numpy()
        return np.array(flat, np.float32).reshape(len(self.day), -1)


@lru_cache(maxsize=32)
def source(seed: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """(alerts, truth of alerts, causes)."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        simulate(Scenario(seed=seed, days=2, alerts=20_000), folder)
        batches = [
            b.replace_schema_metadata(None) for b in alerts(folder) if b.schema.names == ait.ALERT.names
        ]
        truth, causes = (pq.read_table(folder / "truth" / f"{name}.parquet") for name in ("alerts", "causes"))
    return pa.Table.from_batches(batches), truth, causes


def world(seed: int, settings: dict[str, str] | None = None) -> World:
    table, truth, causes = source(seed)
    out = ait.by_day(table, Site(settings=settings or {}, models=registry.shipped()))
    real = [row["number"] for row in causes.to_pylist() if row["true"]]
    hits = truth.filter(pc.is_in(truth["cause"], pa.array(real, pa.int64())))
    by_key: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    columns = [hits[name].to_pylist() for name in ("product", "rule", "address", "cause")]
    for time, product, rule, address, cause in zip(
        hits["ts"].cast(pa.int64()).to_pylist(), *columns, strict=True
    ):
        by_key.setdefault((product, rule, address), []).append((time, cause))
    whole = pa.concat_tables(out)
    told = []
    begin, end = (whole[name].cast(pa.int64()).to_pylist() for name in ("first", "last"))
    named = [whole[name].to_pylist() for name in ("product", "rule", "address")]
    for key, first, last in zip(zip(*named, strict=True), begin, end, strict=True):
        told.append(frozenset(cause for time, cause in by_key.get(key, ()) if first <= time <= last))
    day = np.repeat(np.arange(len(out)), [each.num_rows for each in out])
    audits = pc.sum(pc.equal(whole["tier"], "audit")).as_py() / len(out)
    return World(whole, day, told, len(real), audits)


def found(one: World, score: np.ndarray) -> list[int]:
    """Attacks before somebody at each budget."""
    best: dict[int, int] = {}
    signature, host = one.keys("product", "rule"), one.keys("host")
    first = one.table["first"].cast(pa.int64()).to_numpy()
    for day in np.unique(one.day).tolist():
        at = np.flatnonzero(one.day == day)
        rank, _ = queue.ranks(score[at], signature[at], host[at], first[at])
        for row, place in zip(at.tolist(), rank.tolist(), strict=True):
            for cause in one.hits[row]:
                best[cause] = min(best.get(cause, place), place)
    return [sum(place <= budget for place in best.values()) for budget in BUDGETS]


def ranked(one: World) -> np.ndarray:
    """The ranker without severities, as it was."""
    names = (one.table[name].to_pylist() for name in ("product", "rule", "title"))
    return (
        Ranker.of(registry.shipped()["screening"])
        .scored(one.features(), list(zip(*names, strict=True)))
        .score
    )


def only(one: World) -> np.ndarray:
    """Severity, and of equal ones the earliest."""
    time = one.table["first"].cast(pa.int64()).to_numpy()
    return (one.column("severity") + 1 - np.argsort(np.argsort(time)) / len(time)) / 8


RANKERS: dict[str, Callable[[World], np.ndarray]] = {
    "ranker with severity (shipped)": lambda one: one.column("score"),
    "ranker as it was": ranked,
    "severity, then earliest": only,
    "severity, then ranker": lambda one: (one.column("severity") + ranked(one)) / 8,
    "rarity": lambda one: rarity(one.features()).score,
}


def main(seeds: list[int]) -> None:
    worlds = [world(seed) for seed in seeds]
    days = sum(len(np.unique(one.day)) for one in worlds)
    episodes, attacks = sum(len(one.day) for one in worlds), sum(one.attacks for one in worlds)
    audits = float(np.mean([one.audits for one in worlds]))
    print(
        f"seeds {seeds}: {episodes / days:,.0f} episodes a day, {attacks} attacks; {audits:.1f} audits a day"
    )
    print(f"{'':<34} attacks before somebody at 10/20/50/100 looks a day")
    rows = {
        name: np.sum([found(one, score(one)) for one in worlds], axis=0) for name, score in RANKERS.items()
    }
    alone = [world(seed, {"triage.screening.model": "rarity"}) for seed in seeds]
    rows["rarity with severity (no model)"] = np.sum(
        [found(one, one.column("score")) for one in alone], axis=0
    )
    for name, counts in rows.items():
        print(f"{name:<34} {'/'.join(map(str, counts.tolist()))}")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [11, 12, 13, 14, 15, 16])
