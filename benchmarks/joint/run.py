"""The joint analysis on scenarios whose links are known: precision, recall, false discoveries, calibration, null runs.

    python benchmarks/joint/run.py --quick
    python benchmarks/joint/run.py [--experiments planted,shift,rename,factors] [--seeds 20] [--slice-minutes 50]
    python benchmarks/joint/run.py --report

*planted*: 21 days, 5,000 devices, ten families; honeypot hosts, NAT, contamination, recognition and clock offset are
drawn from the seed, the lease times go round (of each pool its own; half a day; two days; nine days; for ever).
*shift*: the honeypots' logs are moved by 200 days. *rename*: what a visitor at a honeypot shows is drawn at random,
reports speak of families that are not there. In both, whatever is linked is false. *factors*: two seeds for each value
of one factor, all else drawn.

Every job is one result file under ``--state``; a job that has one is not run again, so a long run can be cut in slices.
Give ``--label`` when the code under test changes. CPU seconds are those of the process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from report import show  # type: ignore[import-not-found]

from andon.observe.jsonlines import Skipped
from andon.observe.sensors.reports import sensor
from andon.run.batch import Analysis, analyze
from andon.simulate.joint import Scenario, simulate
from andon.simulate.score_joint import Evidence, score

EXPERIMENTS = ("planted", "shift", "rename", "factors")
LEASES = (None, 0.5, 2.0, 9.0, 10_000.0)
FACTORS: dict[str, tuple[float, ...]] = {
    "lease": (0.5, 2.0, 9.0, 10_000.0),
    "honeypots": (1, 2, 4, 8),
    "contamination": (0.0, 0.05, 0.2, 0.4),
    "clock_offset": (-3600.0, -300.0, 300.0, 3600.0),
}


@dataclass(frozen=True)
class Job:
    """One scenario; ``options`` are those of ``Scenario``."""

    experiment: str
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        varied = "".join(f"-{k}{v:g}" for k, v in self.options.items() if isinstance(v, float | int))
        name = f"{self.experiment}-seed{self.seed}{varied}"
        return f"{name}-{self.label}" if self.label else name

    @property
    def scenario(self) -> Scenario:
        return Scenario(self.seed, **self.options)


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Jobs in the order in which they are run."""
    label, seeds = options.label, range(options.first_seed, options.first_seed + options.seeds)
    if options.quick:
        yield Job(
            "quick", options.first_seed, {"days": 7.0, "devices": 1200, "families": 8, "honeypots": 3}, label
        )
        return
    wanted = options.experiments.split(",")
    for i, seed in enumerate(seeds):
        lease = LEASES[i % len(LEASES)]
        given = {"lease": lease} if lease is not None else {}
        if "planted" in wanted:
            yield Job("planted", seed, given, label)
        for null in ("shift", "rename"):
            if null in wanted:
                yield Job(null, seed, {**given, "null": null}, label)
    if "factors" in wanted:
        for name, values in FACTORS.items():
            for value in values:
                for seed in (101, 102):
                    # The number of hosts is a whole one.
                    yield Job("factors", seed, {name: int(value) if name == "honeypots" else value}, label)


def run(job: Job, keep: Path | None = None) -> dict[str, Any]:
    """Simulate, analyse and score; gives what the result file holds."""
    folder = keep or Path(tempfile.mkdtemp(prefix="joint-"))
    try:
        begun = time.process_time()
        made = simulate(job.scenario, folder)
        simulated = time.process_time()
        result = analyze(made.files)
        analysed = time.process_time()
        found = score(
            Evidence(folder), [f.to_dict() for f in result.findings], result.tables, names(made.files)
        )
        return {
            "job": asdict(job), "name": job.name, "score": found.to_dict(),
            "links": sum(len(t) for t in result.tables.get("darknet.link:links", ())[-1:]),
            "report_links": _report_links(result),
            "sightings": made.sightings, "visits": made.visits,
            "cpu_seconds": {
                "simulate": simulated - begun, "analyse": analysed - simulated, "score": time.process_time() - analysed,
            },
            "drawn": job.scenario.drawn,
            "not_read": [f"{Path(f.path).name}: {f.error}" for f in result.files if f.error],
        }  # fmt: skip
    finally:
        if keep is None:
            shutil.rmtree(folder)


def names(files: Iterable[Path]) -> dict[str, str]:
    """What the truth calls the reports that are files of their own, by the id that their reader gives them."""
    found = {}
    for path in files:
        if path.suffix in (".html", ".md"):
            for batch in sensor().read(path, Skipped()):
                found.update(dict.fromkeys(batch["id"].to_pylist(), path.stem))
    return found


def _report_links(result: Analysis) -> int:
    """Reports that some profile page is said to be about."""
    parts = result.tables.get("intel.profile:profiles", ())[-1:]
    return sum(len(reports) for part in parts for reports in part["reports"].to_pylist())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--state", type=Path, default=Path("benchmarks/results/joint"))
    parser.add_argument("--experiments", default=",".join(EXPERIMENTS[:3]))
    parser.add_argument("--quick", action="store_true", help="one small scenario")
    parser.add_argument("--seeds", type=int, default=20)
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
