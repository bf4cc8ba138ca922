"""Purpose on the simulated Internet: precision and recall per class, per family, per reason, and baselines.

    python benchmarks/purpose/simulated.py [--seeds 3] [--packets 1000000] [--days 0] [--scattered] [--no-tools]

``--days 0`` is one hour of one day; ``--days 5`` spreads the packets over five days and scores the last. Sources
whose packets are all backscatter or spoofed floods are not scanners and are left out. "none" are sources of
background noise without a purpose: calling them anything counts against precision.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet import census, purpose, tools
from andon.detect.darknet.purpose.evidence import WEIGHTS
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.simulate.internet import InternetConfig, packets, truth
from andon.simulate.internet.catalogue import default_families

DAY = 86_400_000_000_000


def days_of(config: InternetConfig, engines: list[Any]) -> dict[int, list[Any]]:
    """Summaries of each day, one per engine, and the scan events of it."""
    days: dict[int, list[Any]] = {}
    for batch in packets(config):
        day = column(batch, "ts") // DAY
        for number in np.unique(day).tolist():
            part = batch.filter(pa.array(day == number))
            held = days.setdefault(number, [engine.empty() for engine in engines] + [[]])
            for at, engine in enumerate(engines):
                held[at] = engine.summarise(part.select(list(engine.columns)), held[at])
            syn = (column(part, "tcp_flags") & 0x16) == 2
            syn |= column(part, "proto") == 17
            held[-1].append(
                np.stack(
                    [column(part, name)[syn].astype(np.int64) for name in ("src", "dst_port", "dst")], axis=1
                )
            )
    return days


def true_purposes(table: pa.Table) -> dict[int, tuple[str, str]]:
    """(purpose, family) of each real scanner; attack outweighs survey, survey none."""
    rank = {"attack": 3, "survey": 2, "none": 1}
    found: dict[int, tuple[int, str, str]] = {}
    for row in table.select(["src", "kind", "purpose", "family", "packets"]).to_pylist():
        if row["kind"] in ("flood", "backscatter") or row["purpose"] not in rank:
            continue
        entry = (rank[row["purpose"]], row["purpose"], row["family"])
        if row["src"] not in found or entry[0] > found[row["src"]][0]:
            found[row["src"]] = entry
    return {src: (what, family) for src, (_, what, family) in found.items()}


def run(config: InternetConfig, with_tools: bool) -> dict[str, Any]:
    site = Site(telescope=config.telescope)
    engines = [census.engine(site), tools.engine(site), purpose.engine(site)]
    carry = None
    days = days_of(config, engines)
    for day in sorted(days):
        tables: dict[str, pa.Table] = {}
        for engine, summary in zip(engines, days[day], strict=False):
            if engine.name == "darknet.tools" and not with_tools:
                continue
            context: Context[Any] = Context("1d", day * DAY, (day + 1) * DAY, tables=tables)
            outcome = engine.conclude(summary, carry if engine.name == "darknet.purpose" else None, context)
            carry = outcome.carry if engine.name == "darknet.purpose" else carry
            tables.update({f"{engine.name}:{name}": table for name, table in outcome.tables.items()})
        last = day
    known = true_purposes(truth(config)[0])
    return {
        "table": tables["darknet.purpose:sources"],
        "events": np.concatenate(days[last][-1]),
        "truth": known,
        "addresses": config.addresses,
        "share": min(config.duration / 86400, 1.0),
    }


def score(results: list[dict[str, Any]]) -> dict[str, Any]:
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    families: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    seen: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for result in results:
        for row in result["table"].to_pylist():
            if row["src"] not in result["truth"]:
                continue
            true, family = result["truth"][row["src"]]
            counts[true, row["purpose"]][0] += 1
            counts[true, row["purpose"]][1] += row["packets"]
            families[f"{true}: {family}"][row["purpose"]] += 1
            for name in WEIGHTS:
                seen[name][true] += 0
            for text in row["labels"]:
                seen[text][true] += 1
    total: defaultdict[str, int] = defaultdict(int)
    for (true, _), (sources, _) in counts.items():
        total[true] += sources
    out: dict[str, Any] = {}
    for name in ("survey", "attack"):
        for at, unit in enumerate(("sources", "packets")):
            hit = counts[name, name][at]
            called = sum(v[at] for (_, p), v in counts.items() if p == name)
            real = sum(v[at] for (t, _), v in counts.items() if t == name)
            out[f"{name} by {unit}"] = {
                "precision": round(hit / called, 4) if called else None,
                "recall": round(hit / real, 4) if real else None,
            }
    undecided = sum(v[0] for (_, p), v in counts.items() if p == "undecided")
    out["undecided share of sources"] = round(undecided / sum(total.values()), 4)
    out["noise called"] = {p: counts["none", p][0] for p in ("survey", "attack", "undecided")}
    out["families"] = {name: dict(found) for name, found in sorted(families.items())}
    out["reasons: log-likelihood ratio survey against attack"] = {
        name: [
            round(
                math.log(
                    ((by["survey"] + 0.5) / (total["survey"] + 1))
                    / ((by["attack"] + 0.5) / (total["attack"] + 1))
                ),
                2,
            ),
            WEIGHTS[name].log_odds,
            {true: by[true] for true in ("survey", "attack", "none")},
        ]
        for name, by in seen.items()
    }
    return out


def baselines(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The plain volume rule and Merit's first definition of an aggressive scanner, each read as "survey"."""
    tally: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])  # hits, called, real
    for result in results:
        events = result["events"]
        src, packets_of = np.unique(events[:, 0], return_counts=True)
        pairs = np.unique(events[:, 0] << 16 | events[:, 1])
        ports = np.bincount(np.searchsorted(src, pairs >> 16), minlength=len(src))
        needed = result["addresses"] * result["share"]
        calls = {"volume rule": set(src[(ports >= 30) & (packets_of >= needed)].tolist())}
        reached = np.unique((events[:, 0] << 16 | events[:, 1]) * 2**14 + 0, return_inverse=True)[1]
        cells = np.unique(reached.astype(np.int64) << 32 | events[:, 2])
        per_pair = np.bincount(cells >> 32)
        wide = np.flatnonzero(per_pair >= 0.1 * result["addresses"])
        calls["10 % of dark addresses in one event"] = set((pairs[wide] >> 16).tolist())
        real = {s for s, (what, _) in result["truth"].items() if what == "survey"} & set(src.tolist())
        for name, called in calls.items():
            called &= result["truth"].keys()
            for at, number in enumerate((len(called & real), len(called), len(real))):
                tally[name][at] += number
    return {
        name: {
            "precision": round(hits / called, 4) if called else None,
            "recall": round(hits / real, 4) if real else None,
            "called": called,
        }
        for name, (hits, called, real) in tally.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=0)
    parser.add_argument("--no-tools", action="store_true")
    parser.add_argument(
        "--scattered", action="store_true", help="survey organisations without a block of their own"
    )
    parser.add_argument("--contamination", type=float, default=0.05)
    options = parser.parse_args()
    results = []
    for seed in range(options.seeds):
        config = InternetConfig(
            seed=seed,
            packets=options.packets,
            start=datetime(2026, 1, 1, tzinfo=UTC),
            duration=options.days * 86400.0 - 1 if options.days else 3600.0,
            contamination=options.contamination,
        )
        if options.scattered:
            families = tuple(replace(family, one_block=False) for family in default_families(config))
            config = replace(config, families=families)
        result = run(config, not options.no_tools)
        labels = [_labels(text) for text in result["table"]["reasons"].to_pylist()]
        result["table"] = result["table"].append_column("labels", pa.array(labels, pa.list_(pa.string())))
        results.append(result)
    print(json.dumps({**score(results), "baselines": baselines(results)}, indent=1))


_WORDS = {
    "by list": "list",
    "reverse name of a survey": "name of a survey",
    "access line": "name of a home",
    "volume rule": "volume rule",
    "ports in 100 packets (+1.5)": "very wide",
    "ports in 100 packets (+0.8)": "wide",
    "and hours (+2.2)": "many alike neighbours",
    "and hours (+1.4)": "alike neighbours",
    "its /24 together": "wide together",
    "volume varies by": "steady over days",
    "% of the day": "steady through the day",
    "all in": "bursts",
    "of the telescope": "reaches most of the telescope",
    "ports of few addresses": "vertical",
    "header relation": "malware",
    "ran known malware": "malware before",
    "tool zmap": "zmap",
    "tool masscan": "masscan",
    "in step": "in step with strangers",
    "mostly attacked": "attacked ports",
}


def _labels(text: str) -> list[str]:
    found = []
    for part in text.split("; "):
        low = part.lower()
        name = next((name for words, name in _WORDS.items() if words in low), None)
        if name is not None:
            found.append("irregular over days" if low.startswith("daily volume") else name)
    return found


if __name__ == "__main__":
    main()
