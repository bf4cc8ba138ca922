"""The inside on simulated organisations whose truth is known: simulate, analyse, score, over seeds and sizes.

    python benchmarks/livenet/organisation.py --quick
    python benchmarks/livenet/organisation.py [--experiments sizes,harder] [--seeds 5] [--slice-minutes 50]
    python benchmarks/livenet/organisation.py --report

*sizes*: 500, 1,000, 2,500 and 5,000 terminals for three days, two of 500 for three weeks (with flows); one campaign
for each 75 terminals (so that there are hidden ones to find), all else as ``andon simulate organisation`` draws it;
seeds go on from one size to the next, so no two organisations share one. *harder*: 1,000 terminals with one thing made
worse: clean terminals are made to fetch black-listed hosts (``poison``), a content network is black-listed
(``black-cdn``), the lists know one host in six (``black``), no user is named and addresses change daily (``leases``),
nothing but tunnels (``inspect``).

Every job is one result file under ``--state``; a job that has one is not run again, so a long run can be cut in slices.
Give ``--label`` when the code under test changes. CPU seconds are those of the process and of what it started.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from andon.learn.registry import shipped
from andon.observe.reputation import merged, reputation
from andon.records.contract import Site
from andon.run.batch import analyze
from andon.run.engines import load_engines
from andon.run.inputs import Inputs, with_assets
from andon.simulate.organisation import Scenario, simulate
from andon.simulate.score_organisation import Truth, score

SIZES = ((500, 3), (1000, 3), (2500, 3), (5000, 3))
LONG = (500, 21)
HARDER: dict[str, dict[str, Any]] = {
    "poison": {"poison": True},
    "black-cdn": {"black_cdn": True},
    "black": {"black": 0.15},
    "leases": {"users": False, "lease_days": 1},
    "inspect": {"inspect": 0.0},
}


@dataclass(frozen=True)
class Job:
    """One organisation; ``options`` are those of ``Scenario``."""

    experiment: str
    seed: int
    terminals: int
    days: int
    logs: tuple[str, ...] = ("squid",)
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        name = f"{self.experiment}-{self.terminals}x{self.days}-seed{self.seed}"
        return f"{name}-{self.label}" if self.label else name


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Jobs in the order in which they are run."""
    label, first = options.label, options.first_seed
    if options.quick:
        yield Job("quick", first, 300, 3, ("squid", "flows"), label=label)
        return
    wanted = options.experiments.split(",")
    if "sizes" in wanted:
        for i in range(options.seeds):
            terminals, days = SIZES[i % len(SIZES)]
            yield Job(
                "sizes", first + i, terminals, days, options={"campaigns": terminals // 75}, label=label
            )
        for i in range(2):
            yield Job("long", first + 50 + i, *LONG, ("squid", "flows"), label=label)
    if "harder" in wanted:
        for name, worse in HARDER.items():
            yield Job(name, first + 70, 1000, 3, options={"campaigns": 20, **worse}, label=label)


def run(job: Job, keep: Path | None = None) -> dict[str, Any]:
    """Simulate, analyse and score; gives what the result file holds."""
    folder = keep or Path(tempfile.mkdtemp(prefix="organisation-"))
    try:
        begun = _cpu()
        made = simulate(
            Scenario(seed=job.seed, terminals=job.terminals, days=job.days, **job.options), folder, job.logs
        )
        simulated = _cpu()
        lists = [
            reputation(folder / "lists" / f"{colour}.csv", colour, None)[0] for colour in ("black", "white")
        ]
        site = Site(reputation=merged(lists), models=shipped())
        logs = [*made.logs, *([folder / "dhcpd.leases"] if (folder / "dhcpd.leases").exists() else [])]
        inputs = Inputs.of(logs)
        site = with_assets(site, inputs)
        result = analyze(inputs, site, load_engines(site))
        analysed = _cpu()
        found = score(Truth(folder), [f.to_dict() for f in result.findings], result.tables)
        return {
            "job": asdict(job), "name": job.name, "score": found, "lines": made.lines, "flows": made.flows,
            "infected": made.infected, "hidden": made.hidden, "malicious": made.malicious,
            "cpu_seconds": {"simulate": simulated - begun, "analyse": analysed - simulated, "score": _cpu() - analysed},
            "not_read": [f"{Path(f.path).name}: {f.error}" for f in result.files if f.error],
        }  # fmt: skip
    finally:
        if keep is None:
            shutil.rmtree(folder)


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def show(done: list[dict[str, Any]]) -> Iterator[str]:
    """Tables in Markdown: one row an organisation, then mean and worst."""
    head = ["organisation", "infected (hidden)", "hidden at 10 / 20 / 30", "AP", "certain: precision, recall, wrong",
            "gray at 50", "of which malicious", "beacons at 20, AP", "anomalies found, false/30 d", "risk AUC",
            "M lines", "CPU s"]  # fmt: skip
    yield "| " + " | ".join(head) + " |"
    yield "| --- |" + " ---: |" * (len(head) - 1)
    for d in done:
        s = d["score"]
        h, c, g, b = s["hidden"] or {}, s["certain"] or {}, s["gray"] or {}, s["beacons"] or {}
        found = s["anomalies"]["found"].values()
        anomalies = f"{sum(f for f, _ in found)} of {sum(n for _, n in found)}" if found else "-"
        cells = [
            d["name"], f"{d['infected']} ({d['hidden']})", " / ".join(_n(h.get(f"at {k}")) for k in (10, 20, 30)),
            _n(h.get("average")), f"{_n(c.get('precision'))}, {_n(c.get('recall'))}, {c.get('wrong workers', '-')}",
            _n(g.get("good", {}).get("at 50")), _n(g.get("malicious", {}).get("at 50")),
            f"{_n(b.get('at 20'))}, {_n(b.get('average'))}",
            f"{anomalies}, {s['anomalies']['false a terminal and 30 days']:.3f}", _n((s["risk"] or {}).get("auc")),
            f"{d['lines'] / 1e6:.2f}", f"{d['cpu_seconds']['analyse']:.0f}",
        ]  # fmt: skip
        yield "| " + " | ".join(cells) + " |"
    yield ""
    for name, path in (("hidden at 10", ("hidden", "at 10")), ("hidden at 20", ("hidden", "at 20")),
                       ("hidden at 30", ("hidden", "at 30")), ("hidden AP", ("hidden", "average")),
                       ("gray at 50", ("gray", "good", "at 50"))):  # fmt: skip
        values = [v for d in done if (v := _at(d["score"], path)) is not None]
        if values:
            yield f"{name}: mean {np.mean(values):.3f}, worst {min(values):.3f}, {len(values)} organisations"
    for which, text in (("confusion", "all"), ("visible", "without a tunnel")):
        chains: dict[str, int] = {}
        for d in done:
            for name, n in d["score"]["chains"][which].items():
                chains[name] = chains.get(name, 0) + n
        told = "; ".join(f"{k}: {v}" for k, v in sorted(chains.items()))
        yield f"redirect chains (true -> told), {text}: {told or 'none'}"


def _at(values: Any, path: Iterable[str]) -> float | None:
    for name in path:
        values = (values or {}).get(name)
    return values  # type: ignore[no-any-return]


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--state", type=Path, default=Path("benchmarks/results/organisation"))
    parser.add_argument("--experiments", default="sizes,harder")
    parser.add_argument("--quick", action="store_true", help="one small organisation")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--label", default="")
    parser.add_argument("--slice-minutes", type=float, default=1e6, help="begin no job after so many minutes")
    parser.add_argument("--report", action="store_true", help="print the tables of what is done, run nothing")
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * options.slice_minutes
    if not options.report:
        for job in jobs(options):
            path = options.state / f"{job.name}.json"
            if path.exists():
                continue
            if time.monotonic() > deadline:
                print("the slice is over; run again to go on", file=sys.stderr)
                break
            print(f"{job.name} ...", file=sys.stderr, flush=True)
            path.with_suffix(".new").write_text(json.dumps(run(job)))
            path.with_suffix(".new").rename(path)
    done = [json.loads(path.read_text()) for path in sorted(options.state.glob("*.json"))]
    for line in show([d for d in done if d["job"]["label"] == options.label]):
        print(line)


if __name__ == "__main__":
    main()
