"""Coordinated activity with known truth: recall, false alerts and delay of every engine, identity, cost.

    python benchmarks/coordination/run.py --quick
    python benchmarks/coordination/run.py [--experiments main,noise,portsets,campaigns,cost] [--slice-minutes 50]
    python benchmarks/coordination/run.py --report

*main*: planted events and decoys, ours on /24, /20 and /16, the references on /20; 3 seeds, 3 calm and 7 judged days at
/24 and /20, 1 and 2 at /16. *noise*: nothing planted, 20 seeds of seven days at /24, 3 at /20, one day at /16.
*portsets*: seven days at /20, today and before Mirai. *campaigns*: thirty days at /22. *cost*: two hours at 20,000
packets/s.

A job's state is kept under ``--state`` from midnight to midnight, so a long run can be done in slices; delete the
folder of a job to have it run again. Give ``--label`` when the code under test changes. CPU seconds are those of the
thread; how an alert is matched with an event stands in ``andon.simulate.score_alerts``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from play import Job, Play  # type: ignore[import-not-found]
from report import show  # type: ignore[import-not-found]

OURS = ("darknet.synchrony", "darknet.portsets", "darknet.campaigns")
REFERENCES = ("darknet.changefinder", "darknet.nmf", "darknet.ntd", "darknet.glasso")
NOISE_SEED = 1000
EXPERIMENTS = ("main", "noise", "portsets", "campaigns", "cost")


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Jobs in the order in which they are run: what is cheap and telling first."""
    wanted = options.experiments.split(",")
    ours, references = _among(options, OURS), _among(options, REFERENCES)
    label = options.label
    if options.quick:
        for engine in (*ours, *references):
            yield Job("quick", (engine,), options.prefix, options.first_seed, options.days, None, label=label)
        return
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if "main" in wanted:
        for prefix, days, calm in ((24, 10.0, 3.0), (20, 10.0, 3.0), (16, 3.0, 1.0)):
            for seed in seeds if prefix > 16 else seeds[:1]:
                for group in _groups(ours):
                    yield Job("main", group, prefix, seed, days, calm, label=label)
                for engine in references if prefix == 20 else ():
                    yield Job("main", (engine,), prefix, seed, days, calm, label=label)
    if "noise" in wanted:
        for prefix, days, count in ((24, 7.0, 20), (20, 7.0, 3), (16, 1.0, 1)):
            for seed in range(NOISE_SEED, NOISE_SEED + count):
                for group in _groups(ours):
                    yield Job("noise", group, prefix, seed, days, None, True, label=label)
    if "portsets" in wanted and OURS[1] in ours:
        for before in (False, True):
            mark = label + ("before" if before else "")
            yield Job("portsets", (OURS[1],), 20, 7, 7.0, 2.0, before_mirai=before, label=mark)
    if "campaigns" in wanted and OURS[2] in ours:
        for seed in seeds:
            yield Job("campaigns", (OURS[2],), 22, seed, 30.0, 3.0, label=label)
    if "cost" in wanted:
        for engine in (*ours, *references):
            # In its first two hours most surveys and old sessions are missing: some 17,500 packets/s arrive.
            yield Job("cost", (engine,), 16, 1, 2 / 24, 0.0, rate=45_000 / 65_536, label=label)


def _groups(ours: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Synchrony by itself, and the two that need fingerprints together."""
    return [
        group
        for group in (ours[:1] if OURS[0] in ours else (), tuple(o for o in ours if o != OURS[0]))
        if group
    ]


def _among(options: argparse.Namespace, names: tuple[str, ...]) -> tuple[str, ...]:
    chosen = options.engines.split(",") if options.engines else []
    return tuple(n for n in names if not chosen or n in chosen or n.removeprefix("darknet.") in chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--state", type=Path, default=Path("benchmarks/results/coordination"))
    parser.add_argument("--experiments", default=",".join(EXPERIMENTS))
    parser.add_argument("--engines", default="", help="names, comma separated, with or without darknet.")
    parser.add_argument("--quick", action="store_true", help="one seed of --days at --prefix")
    parser.add_argument("--prefix", type=int, default=24, choices=(24, 22, 20, 16))
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--label", default="")
    parser.add_argument("--slice-minutes", type=float, default=1e6, help="begin no day after so many minutes")
    parser.add_argument("--report", action="store_true", help="print the tables of what is done, run nothing")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * options.slice_minutes
    if not options.report:
        for job in jobs(options):
            if (options.state / job.name / "done.json").exists():
                continue
            if time.monotonic() > deadline:
                break
            print(f"{job.name} ...", file=sys.stderr, flush=True)
            if not Play(job, options.state).run(deadline):
                print("the slice is over; run again to go on", file=sys.stderr)
                break
    done = [
        json.loads(p.read_text()) | {"folder": p.parent} for p in sorted(options.state.glob("*/done.json"))
    ]
    done = [d for d in done if d["job"]["label"].startswith(options.label)]
    for line in show(done):
        print(line)


if __name__ == "__main__":
    main()
