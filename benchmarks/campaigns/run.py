"""Identity of campaigns over thirty simulated days, our method and the published one side by side.

    python benchmarks/campaigns/run.py [--days 30] [--packets 60000] [--seed 1] [--method mixture,nmf] [--persist 0]
                                       [--scenario RATE] [--without-tools]

Without ``--scenario``: ``world.py``, in which every address is new every day. With it: ``andon.simulate.coordination``
at RATE packets per second and dark address, in which ten to forty percent of a botnet are replaced each day and
which somebody else planned.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import world
from score import Ledger, agreement, births_and_deaths, events, identity, strangers

from andon.detect.darknet import campaigns, purpose, tools
from andon.records.contract import Context, Site
from andon.simulate import coordination
from andon.simulate.coordination.sightings import sightings

DAY_NS = world.DAY_NS
_NOT_SCANS = ("noise", "ordinary")
Day = tuple[int, list[pa.RecordBatch], dict[int, str], dict[int, str]]


def month(days: int, size: int, seed: int, persist: float) -> Iterator[Day]:
    """(start, batches, source -> campaign, others) of ``world``."""
    for day, batches, table in world.month(days, size, seed, persist):
        pairs = zip(table["src"].to_pylist(), table["family"].to_pylist(), strict=True)
        start = int(world.START.timestamp()) * 10**9 + day * DAY_NS
        yield start, batches, {source: family for source, family in pairs if family not in _NOT_SCANS}, {}


def scenario(days: int, seed: int, rate: float) -> Iterator[Day]:
    """The same of a coordination scenario; others are survey organisations and planted
    groups that are not followed as campaigns."""
    made = coordination.Scenario(seed=seed, telescope=("198.18.0.0/24",), days=days, rate=rate)
    plan = coordination.World(made)
    seen = sightings(plan)
    names = [(b.name, b.campaign) for b in plan.plan.botnets] + [(d.kind, False) for d in plan.plan.decoys]
    day_of = seen["ts"] // DAY_NS
    surveys = {int(a): o.name for o in plan.surveys.organisations for a in o.sources}
    pending: list[pa.RecordBatch] = []
    current = made.start_ns // DAY_NS

    def told(day: int) -> Day:
        followed: dict[int, str] = {}
        others: dict[int, str] = dict(surveys)
        rows = np.unique(seen[day_of == day][["number", "src"]])
        for number, source in rows.tolist():
            name, campaign = names[number]
            (followed if campaign else others)[source] = name
        return day * DAY_NS, pending, followed, others

    for batch in coordination.packets(made):
        days_in = batch.column(0).cast(pa.int64()).to_numpy() // DAY_NS
        begin = 0
        while begin < len(days_in):
            end = int(np.searchsorted(days_in, days_in[begin], side="right"))
            if days_in[begin] != current:
                yield told(current)
                pending, current = [], int(days_in[begin])
            pending.append(batch.slice(begin, end - begin))
            begin = end
    yield told(current)


def concluded(
    engine: Any, batches: list[pa.RecordBatch], start: int, carry: Any, tables: dict[str, pa.Table]
) -> Any:
    summary = engine.empty()
    for batch in batches:
        summary = engine.summarise(batch, summary)
    return engine.conclude(summary, carry, Context("1d", start, start + DAY_NS, tables=tables))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--packets", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--method", default="mixture,nmf")
    parser.add_argument("--persist", type=float, default=0.0)
    parser.add_argument("--scenario", type=float, default=0.0)
    parser.add_argument("--without-tools", action="store_true")
    given = parser.parse_args()
    methods = given.method.split(",")
    engines = {
        m: campaigns.engine(Site(settings={"darknet.campaigns.method": m, "darknet.campaigns.bases": 20}))
        for m in methods
    }
    carries: dict[str, Any] = dict.fromkeys([*methods, "purpose"])
    ledgers: dict[str, Ledger] = {}
    cpu = dict.fromkeys(methods, 0.0)
    others: list[dict[int, str]] = []
    helpers = (tools.engine(Site()), purpose.engine(Site()))
    packets = 0
    if given.scenario:
        source = scenario(given.days, given.seed, given.scenario)
    else:
        source = month(given.days, given.packets, given.seed, given.persist)
    for start, batches, truth, other in source:
        others.append(other)
        packets += sum(batch.num_rows for batch in batches)
        tables: dict[str, pa.Table] = {}
        if not given.without_tools:
            named = concluded(helpers[0], batches, start, None, {})
            tables["darknet.tools:sources"] = named.tables["sources"]
            judged = concluded(helpers[1], batches, start, carries["purpose"], tables)
            carries["purpose"] = judged.carry
            tables["darknet.purpose:sources"] = judged.tables["sources"]
        for method in methods:
            begin = time.process_time()
            outcome = concluded(engines[method], batches, start, carries[method], tables)
            cpu[method] += time.process_time() - begin
            carries[method] = outcome.carry
            ledger = ledgers.setdefault(method, Ledger(start))
            ledger.add(truth, outcome.tables["members"], outcome.tables["campaigns"])
    for method, ledger in ledgers.items():
        result = {
            "method": method,
            "packets": packets,
            **identity(ledger),
            **agreement(ledger),
            **births_and_deaths(ledger),
            **strangers(ledger, others),
            "events": events(ledger),
            "cpu seconds": round(cpu[method], 2),
            "carry bytes": len(carries[method].to_bytes()),
        }
        print(json.dumps(result, indent=1))
    print(json.dumps({"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


if __name__ == "__main__":
    main()
