"""Three days with the same families: what a day costs once its families are known, and whether they keep their names.

    python benchmarks/fingerprint/days.py [--packets 1000000] [--seeds 1] [--days 3] [--contamination 5]

The sixteen families of ``andon.simulate.fingerprints`` with new sources and new noise every day, half of all sources
noise. One family (``swapped``) is born on the second day, one (``product``) is not seen on the last. Printed by day:
CPU seconds of ``summarise`` and of ``conclude``, families found and false ones (judged by the truth), how many of
those that were there on the day before kept their series, and whether births and deaths are right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from searches import NAMES, syn_packets  # type: ignore[import-not-found]

from andon.detect.darknet.fingerprint.carry import Families
from andon.detect.darknet.fingerprint.engine import FingerprintEngine
from andon.records.contract import Context, Site
from andon.records.finding import Finding
from andon.simulate.fingerprints import benchmark_config, plant, score
from andon.simulate.internet import InternetConfig, packets, truth

DAY = 86_400_000_000_000
BORN, DEAD = "swapped", "product"


def config_of(seed: int, day: int, days: int, count: int, contamination: float) -> InternetConfig:
    """The world of one day: the families of this seed, everything else drawn anew."""
    base = benchmark_config(seed, count, contamination)
    gone = {BORN} if day == 0 else {DEAD} if day == days - 1 else set()
    families = tuple(f for f in base.families or () if f.name not in gone)
    return replace(base, seed=1000 * seed + day, families=families)


def one_day(
    engine: FingerprintEngine, config: InternetConfig, carry: Families | None, day: int
) -> tuple[dict[str, Any], Families | None]:
    """Figures of a day, and what is carried to the next."""
    spent: dict[str, float] = {}
    engine.search = timed("search", engine.search, spent)
    engine.orders = timed("orders", engine.orders, spent)
    summary = engine.empty()
    batches = [*packets(config)]
    begin = process_time()
    for batch in batches:
        summary = engine.summarise(batch.select(list(engine.columns)), summary)
    middle = process_time()
    context: Context[Families] = Context(span="1d", start=day * DAY, end=(day + 1) * DAY)
    outcome = engine.conclude(summary, carry, context)
    end = process_time()
    columns = syn_packets([batch.select(list(NAMES)) for batch in batches])
    marked = [f for f in outcome.findings if f.kind == "scanner-fingerprint"]
    pairs = [(f.subject[1], addresses(f)) for f in marked]
    table = truth(config)[0]
    report = score(pairs, table, config.telescope, columns)
    by_relation = {f.subject[1]: f for f in marked}
    names = {p.names[0]: p for p in plant(table, columns, config.telescope)}
    found = {f.name: by_relation[f.found] for f in report.families if f.found}
    return {
        "summarise": round(middle - begin, 2),
        "conclude": round(end - middle, 2),
        "spent": spent,
        "eligible": sum(p.counts for p in names.values()),
        "found": sorted(found),
        "missing": [f.relation for f in report.families if f.eligible and not f.found],
        "false": [f.relation for f in report.false],
        "wrong": {f.found: f.given - f.right for f in report.families if f.given > f.right},
        "source_recall": report.source_recall,
        "all_source_recall": report.all_source_recall,
        "source_precision": report.source_precision,
        "series": {name: f.series for name, f in found.items()},
        "born": {name: f.attributes["born"] // DAY for name, f in found.items()},
        "left_out": outcome.tables["coverage"]["left_out"].to_pylist()[0],
    }, outcome.carry


def timed(name: str, call: Callable[..., Any], spent: dict[str, float]) -> Callable[..., Any]:
    """The same call; CPU seconds are noted under its name."""

    def measured(*given: Any) -> Any:
        begin = process_time()
        answer = call(*given)
        spent[name] = round(spent.get(name, 0.0) + process_time() - begin, 2)
        return answer

    return measured


def addresses(finding: Finding) -> list[int]:
    found = []
    for entity in finding.entities:
        a, b, c, d = map(int, entity.value.split("."))
        found.append(a << 24 | b << 16 | c << 8 | d)
    return found


def verdict(days: list[dict[str, Any]]) -> dict[str, Any]:
    """Identities over days: series kept, births and deaths."""
    kept = shared = 0
    wrong = []
    for before, after in pairwise(days):
        for name in before["series"].keys() & after["series"].keys():
            shared += 1
            kept += before["series"][name] == after["series"][name]
    for number, day in enumerate(days):
        wrong += [
            f"{name}: day {number + 1} says born on day {born + 1}"
            for name, born in day["born"].items()
            if born != (1 if name == BORN else 0)
        ]
        gone = {BORN} if number == 0 else {DEAD} if number == len(days) - 1 else set()
        wrong += [f"{name}: seen on day {number + 1}" for name in gone & day["series"].keys()]
    return {"series_kept": kept, "series_shared": shared, "births_and_deaths_wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packets", type=int, default=1_000_000, help="a day")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--contamination", type=float, default=5.0, help="percent of foreign packets")
    options = parser.parse_args()
    warm = config_of(99, 0, 3, 60_000, 0.0)
    one_day(FingerprintEngine(Site(telescope=warm.telescope)), warm, None, 0)  # compile
    for seed in range(1, options.seeds + 1):
        days = []
        carry: Families | None = None
        for day in range(options.days):
            config = config_of(seed, day, options.days, options.packets, options.contamination / 100)
            engine = FingerprintEngine(Site(telescope=config.telescope))
            figures, carry = one_day(engine, config, carry, day)
            days.append(figures)
            print(
                f"seed {seed} day {day + 1}: summarise {figures['summarise']} s, conclude {figures['conclude']} s "
                f"{figures['spent']}, "
                f"found {len(figures['found'])} of {figures['eligible']} eligible, false {figures['false']}, "
                f"missing {figures['missing']}, sources R {figures['source_recall']:.4f} "
                f"(all {figures['all_source_recall']:.4f}) P {figures['source_precision']:.4f} "
                f"wrong {figures['wrong']} {figures['left_out']}",
                flush=True,
            )
        print(json.dumps(verdict(days)))


if __name__ == "__main__":
    main()
