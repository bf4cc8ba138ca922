"""Discovery of unlisted fingerprints on packets whose truth is known: recall, precision, exactness, cost.

    python benchmarks/fingerprint/run.py --quick [--method algebra|ga|ga-unguarded]
    python benchmarks/fingerprint/run.py [--experiments planted,noise,slow,mixed,captures,blind] [--slice-minutes 50]

*planted*: sixteen families at once (``andon.simulate.fingerprints``), half of all sources noise, 0, 1, 5, 10 and 20 %
foreign packets, 20 seeds of 1 M packets. *noise*: 20 seeds of nothing but noise. *slow*: families whose sources send 1
to 3 packets, 20 to 2,000 sources. *mixed*: several hosts behind an address, several infections of one. *captures*: the
real ones, alone and spliced into simulated noise. *blind*: sixteen relations drawn from the grammar (`blind.py`), at 0
and 10 % foreign packets, seeds from 1,000 on. ``--quick`` is one seed at 0 and 10 % and one of noise, 200,000
packets each, and (algebra alone) the captures.

Every result is appended to a file of JSON lines under its configuration and is not computed again, so that a long run
can be done in slices; ``--slice-minutes`` starts no job after so many minutes. CPU seconds are those of the search, of
the process; peak memory is the process's so far. Give ``--label`` when the code under test changes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from blind import blind  # type: ignore[import-not-found]
from captures import real, uses  # type: ignore[import-not-found]
from experiments import SLOW_SIZES, mixed, noise, planted, slow  # type: ignore[import-not-found]
from searches import METHODS, Search, run_search, simulated  # type: ignore[import-not-found]
from tables import show  # type: ignore[import-not-found]

from andon.simulate.fingerprints import benchmark_config

EXPERIMENTS = ("planted", "noise", "slow", "mixed", "captures", "blind")
CONTAMINATION = (0, 1, 5, 10, 20)
BLIND_SEED = 1000  # smaller ones were seen during development
Job = dict[str, Any]


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Configurations in the order in which they are run: all that one seed needs before the next seed."""
    wanted = options.experiments.split(",")
    packets = options.packets or (200_000 if options.quick else 1_000_000)
    seeds = options.seeds or (1 if options.quick else 20 if options.method == "algebra" else 3)
    levels = options.contamination or ((0, 10) if options.quick else CONTAMINATION)
    common = {"method": options.method, "label": options.label}
    for seed in range(options.first_seed, options.first_seed + seeds):
        if "planted" in wanted:
            for percent in levels:
                yield {
                    **common, "experiment": "planted", "seed": seed, "packets": packets, "contamination": percent
                }  # fmt: skip
        if "noise" in wanted:
            yield {**common, "experiment": "noise", "seed": seed, "packets": packets}
        if "blind" in wanted:
            for percent in options.contamination or (0, 10):
                yield {
                    **common, "experiment": "blind", "seed": BLIND_SEED + seed, "packets": packets,
                    "contamination": percent,
                }  # fmt: skip
    for seed in range(options.first_seed, options.first_seed + min(seeds, 3)):
        if "slow" in wanted:
            for size in SLOW_SIZES:
                yield {**common, "experiment": "slow", "seed": seed, "packets": 200_000, "sources": size}
        if "mixed" in wanted:
            yield {**common, "experiment": "mixed", "seed": seed, "packets": packets}
    if "captures" in wanted:
        if not options.data.is_dir():
            print(f"no real captures at {options.data}: skipped (give --data)", file=sys.stderr)
            return
        for name, use in uses(options.data):
            yield {
                **common,
                "experiment": "captures",
                "capture": name,
                "use": use,
                "seed": 1,
                "packets": 200_000,
            }


def carry_out(job: Job, method: Search, data: Path) -> dict[str, Any]:
    seed, packets = job["seed"], job["packets"]
    if job["experiment"] == "planted":
        result = planted(method, seed, packets, job["contamination"] / 100)
    elif job["experiment"] == "blind":
        result = blind(method, seed, packets, job["contamination"] / 100)
    elif job["experiment"] == "noise":
        result = noise(method, seed, packets)
    elif job["experiment"] == "slow":
        result = slow(method, seed, packets, job["sources"])
    elif job["experiment"] == "mixed":
        result = mixed(method, seed, packets)
    else:
        result = real(method, data / job["capture"], job["use"], seed, packets)
    return dict(result)


def key_of(job: Job) -> str:
    return json.dumps(job, sort_keys=True)


def earlier(path: Path) -> dict[str, dict[str, Any]]:
    """Results by key; a line that was cut short by a kill is passed over, and said."""
    known: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return known
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            known[key_of(entry["job"])] = entry
        except (ValueError, KeyError, TypeError):
            print(f"{path}:{number}: not a result, passed over", file=sys.stderr)
    return known


def append(path: Path, entry: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut else "") + json.dumps(entry) + "\n")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="what CI runs")
    made.add_argument("--method", choices=tuple(METHODS), default="algebra")
    made.add_argument("--experiments", help="comma-separated; default all (--quick: not slow, mixed, blind)")
    made.add_argument("--seeds", type=int, help="default 20 (algebra), 3 (ga), 1 with --quick")
    made.add_argument("--first-seed", type=int, default=1)
    made.add_argument("--packets", type=int, help="default 1,000,000; 200,000 with --quick")
    made.add_argument(
        "--contamination", type=lambda text: [int(part) for part in text.split(",")],
        help="percent of foreign packets, comma-separated; default 0,1,5,10,20 (--quick: 0,10)",
    )  # fmt: skip
    made.add_argument("--slice-minutes", type=float, help="start no job after so many minutes")
    made.add_argument("--label", default="", help="part of every result's configuration")
    made.add_argument("--results", type=Path, default=Path("out/fingerprint/results.jsonl"))
    made.add_argument("--json", type=Path, help="write the tables' figures to this file")
    made.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data/darknet-data/captures"),
        help="folder of real captures",
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.experiments is None:
        quick = "planted,noise,captures" if options.method == "algebra" else "planted,noise"
        options.experiments = quick if options.quick else ",".join(EXPERIMENTS)
    unknown = set(options.experiments.split(",")) - set(EXPERIMENTS)
    if unknown:
        print(
            f"no experiment {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}", file=sys.stderr
        )
        return 2
    method = METHODS[options.method]
    known = earlier(options.results)
    wanted = list(jobs(options))
    waiting = [job for job in wanted if key_of(job) not in known]
    until = time.monotonic() + 60 * options.slice_minutes if options.slice_minutes else float("inf")
    if waiting:
        warm = run_search(method, simulated(benchmark_config(0, 20_000)), 0)  # compile
        print(
            f"{len(wanted) - len(waiting)} of {len(wanted)} done before; warm-up {warm.cpu:.1f} CPU s",
            file=sys.stderr,
        )
    left = len(waiting)
    for job in waiting:
        if time.monotonic() >= until:
            break
        entry = {"job": job, "result": carry_out(job, method, options.data)}
        append(options.results, entry)
        known[key_of(job)] = entry
        left -= 1
        print(f"{key_of(job)}: {entry['result']['cpu']} CPU s, {left} to go", file=sys.stderr)
    figures = show([known[key_of(job)] for job in wanted if key_of(job) in known])
    if left:
        print(f"{left} jobs left; run again to go on")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
