"""The whole line on simulated alerts: from files to cases, and before whom the planted attacks are.

    python benchmarks/triage/line.py [--seeds 3,4] [--days 3] [--alerts 100000]

Screening, evidence, casework and verification as ``andon analyze --cases`` runs them, with the shipped models. A row
for each seed: attacks in a case to act on, in one to inspect or audit, dismissed, in no case; cases a day; CPU seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from andon.run.demo_triage import run_triage
from andon.simulate.alerts import Scenario


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--alerts", type=int, default=100_000, help="a day")
    options = parser.parse_args()
    print(
        "| seed | alerts | episodes | attacks | act | inspect | dismissed | no case | act a day | looks a day | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for seed in map(int, options.seeds.split(",")):
        scenario = Scenario(seed=seed, days=options.days, alerts=options.alerts)
        with tempfile.TemporaryDirectory(prefix="andon-line-") as folder:
            made = run_triage(Path(folder), lambda stage, rows: None, scenario)
        found = made.found
        print(
            f"| {seed} | {made.alerts:,} | {made.episodes:,} | {len(found.tiers)} | {found.attacks('act')} "
            f"| {found.attacks('inspect', 'audit')} | {found.attacks('screened')} | {found.attacks('')} "
            f"| {found.cases.get('act', 0) / found.days:.1f} | {found.looks():.1f} | {made.seconds['analyse']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
