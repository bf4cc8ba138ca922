"""User risk on simulated organisations: a later month, users never seen before, and what each part of the model is
worth.

    python benchmarks/livenet/userrisk.py [--seeds 5] [--terminals 2000] [--weeks 18] [--exposure 0.03] [--state DIR]

The daily tables are made directly (``andon.simulate.organisation.daily``). The engine runs over all days; of its
weekly snapshots the last four weeks are the *later month*. *engine*: what it forecast each week by itself. The
ablations are trained once, on all weeks before but one, which calibrates, and forecast the whole month; *unseen* are
terminals that none of the weeks before has. *oracle*: the simulation's own propensity (no model can be better but by
chance). The target is a contact with a black-listed destination that the terminal did not contact before, within seven
days; terminals that are scanners or gateways are no users. Means over seeds, worst in brackets. CPU seconds are of the
process.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from andon.detect.livenet.userrisk import engine
from andon.detect.livenet.userrisk.boost import train
from andon.detect.livenet.userrisk.memory import BEFORE, FEATURES, RATE, USED, Memory, Snapshots
from andon.detect.livenet.userrisk.quality import Quality
from andon.records.contract import Context, Nothing, Site
from andon.simulate.organisation import Scenario
from andon.simulate.organisation.build import World
from andon.simulate.organisation.daily import Daily

_DAY = 86_400_000_000_000
_PAST = ("met", "black", "suspected", "neighbours", "company")
_ACTIVITY = ("requests", "destinations", "megabytes", "seen")
MONTH = 4  # weeks


def columns(kept: tuple[str, ...] | None, left_out: tuple[str, ...] = (), rate: bool = True) -> np.ndarray:
    """Places of the features of these counters."""
    names = [f.replace(" of ", "/").split("/")[0] for f in FEATURES]
    return np.array([
        i for i, (n, f) in enumerate(zip(names, FEATURES, strict=True))
        if (n in kept if kept else (n not in left_out and (rate or f != "rate")))
    ])  # fmt: skip


ABLATIONS = {
    "trees, all features": columns(None),
    "trees without the rate": columns(None, (), rate=False),
    "trees without any past contact": columns(None, _PAST, rate=False),
    "trees, past contacts and rate alone": columns((*_PAST, "rate", "age")),
    "trees, activity alone": columns(_ACTIVITY),
}


def one(seed: int, terminals: int, weeks: int, exposure: float) -> dict[str, Any]:
    """Runs one organisation."""
    begun = time.process_time()
    scenario = Scenario(seed=seed, terminals=terminals, days=7 * weeks, exposure=exposure, joiners=0.3)
    world = World(scenario)
    daily = Daily(world)
    made = engine(Site(settings={"livenet.userrisk.kept": 104, "livenet.userrisk.rows": 5_000_000}))
    carry: Memory | None = None
    cpu, told = 0.0, 0
    for day in range(scenario.days):
        tables = daily.tables(day)
        start = scenario.begin * 1_000_000 + day * _DAY
        at = time.process_time()
        outcome = made.conclude(Nothing(), carry, Context("1d", start, start + _DAY, tables=tables))
        cpu += time.process_time() - at
        carry, told = outcome.carry, told + len(outcome.findings)
    assert carry is not None
    shots = carry.snapshots.where(carry.snapshots.y >= 0)
    days = np.unique(shots.day)
    later = shots.where(shots.day >= days[-MONTH])
    past, held = shots.where(shots.day < days[-MONTH - 1]), shots.where(shots.day == days[-MONTH - 1])
    unseen = ~np.isin(later.key, np.concatenate([past.key, held.key]))
    p: dict[str, np.ndarray] = {
        "engine (as it forecast week by week)": later.p[:, USED],
        "gamma-Poisson, updated weekly": later.p[:, RATE],
        "baseline: met before": later.p[:, BEFORE],
        "oracle": _oracle(world, carry, later),
    }
    for name, which in ABLATIONS.items():
        trees = train(
            past.x[:, which], past.y == 1, past.weight, (held.x[:, which], held.y == 1, held.weight)
        )
        if trees is not None:
            p[name] = trees.probability(later.x[:, which])
    score = {}
    for name, values in p.items():
        score[name] = {
            part: Quality.of(values[mine], later.y[mine] == 1).__dict__
            for part, mine in (("all", np.ones(len(unseen), bool)), ("unseen", unseen))
        }
    return {
        "seed": seed, "rows": len(past.y), "met_past": int((past.y == 1).sum()), "findings": told, "score": score,
        "cpu": {"engine": cpu, "all": time.process_time() - begun}, "carry": len(carry.to_bytes()),
    }  # fmt: skip


def _oracle(world: World, memory: Memory, later: Snapshots) -> np.ndarray:
    who = world.who
    propensity = who.risk * (who.activity / 90) ** 0.7
    names = dict(
        zip([user or a for user, a in zip(who.users, who.addresses(0), strict=True)], propensity, strict=True)
    )
    by_key = dict(zip(memory.keys().tolist(), memory.names, strict=True))
    return np.array([names[by_key[k]] if k in by_key else propensity.mean() for k in later.key.tolist()])


def show(done: list[dict[str, Any]]) -> None:
    cpu = np.mean([d["cpu"]["engine"] for d in done])
    rows, met = np.mean([d["rows"] for d in done]), np.mean([d["met_past"] for d in done])
    print(
        f"{len(done)} organisations; learned from {rows:,.0f} terminal-weeks, of which {met:,.0f} met something"
    )
    print(f"a run: engine {cpu:.1f} CPU s, {np.mean([d['findings'] for d in done]):.0f} findings, "
          f"carry {np.mean([d['carry'] for d in done]) / 1e6:.1f} MB")  # fmt: skip
    for part in ("all", "unseen"):
        met = np.mean([d["score"]["baseline: met before"][part]["met"] for d in done])
        rows = np.mean([d["score"]["baseline: met before"][part]["terminals"] for d in done])
        print(f"\n{part}: {rows:,.0f} terminal-weeks, {met:.0f} met something ({met / rows:.2%})\n")
        print(
            "| forecast | AUC | calibration error | precision of the first 1 % | lift | lift over the baseline |"
        )
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name in done[0]["score"]:
            of = [d["score"][name][part] for d in done if name in d["score"]]
            base = [d["score"]["baseline: met before"][part]["precision"] for d in done if name in d["score"]]
            ranks_only = name.startswith(("baseline", "oracle"))
            error = (
                "-"
                if ranks_only
                else f"{np.mean([q['calibration'] for q in of]):.4f} ({max(q['calibration'] for q in of):.4f})"
            )
            over = np.mean([q["precision"] for q in of]) / max(float(np.mean(base)), 1e-9)
            print(f"| {name} | {np.mean([q['auc'] for q in of]):.3f} ({min(q['auc'] for q in of):.3f}) | {error} | "
                  f"{np.mean([q['precision'] for q in of]):.3f} ({min(q['precision'] for q in of):.3f}) | "
                  f"{np.nanmean([q['lift'] for q in of]):.1f} | {over:.2f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--terminals", type=int, default=2000)
    parser.add_argument("--weeks", type=int, default=18)
    parser.add_argument("--exposure", type=float, default=0.03)
    parser.add_argument("--state", type=Path, default=Path("benchmarks/results/userrisk"))
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    done = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        path = options.state / f"{options.terminals}x{options.weeks}-{options.exposure:g}-seed{seed}.json"
        if not path.exists():
            path.write_text(json.dumps(one(seed, options.terminals, options.weeks, options.exposure)))
        done.append(json.loads(path.read_text()))
    show(done)


if __name__ == "__main__":
    main()
