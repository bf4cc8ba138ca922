"""What each runner costs on the same packets, in CPU seconds of all processes.

    python benchmarks/cluster/overhead.py --folder /var/tmp/bench --packets 10000000 --files 10
    python benchmarks/cluster/overhead.py --folder /var/tmp/bench --packets 100000000 --files 20     # 8.3 GB of disk

Runners: the threads of `andon analyze` (``run/batch.py``), the tasks of the cluster runner in threads of one process
(``local``), Dask with two worker processes, Spark Connect (a Sail server) with two. The engines are those that
summarise packets; the search of ``darknet.fingerprint``, whose length is a setting, is held at a second. Conclusions
are timed apart, for they are the same everywhere, and ``--silent`` leaves those of some engines out. ``--python`` names
the interpreter for Spark, whose packages may be in an environment of their own. Findings have to be equal, or the
figures are of no use: their digest is compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from captures import captures
from processes import Run, run

from andon.records.contract import Outcome, Site
from andon.simulate.internet import DEFAULT_TELESCOPE

SETTINGS = {"darknet.fingerprint.cpu_seconds": 1, "darknet.fingerprint.cpu_seconds_again": 1}
RUNNERS = ("threads", "local", "dask", "spark")


def site() -> Site:
    return Site(telescope=DEFAULT_TELESCOPE, settings=SETTINGS)


def analysed(
    runner: str,
    paths: Sequence[str],
    work: Path | None,
    workers: int,
    memory: int,
    silent: Collection[str] = (),
) -> dict[str, Any]:
    """Analyse in this process; what it took by stage. ``silent``: engines that conclude nothing."""
    from andon.records.kinds import PACKET
    from andon.run import batch
    from andon.run.engines import load_engines

    concluded: dict[str, float] = {}
    told = batch.Gathered.told

    def noting(self: batch.Gathered, one: Any) -> None:
        concluded[one.engine.name] = concluded.get(one.engine.name, 0.0) + one.cpu_seconds
        told(self, one)

    batch.Gathered.told = noting  # type: ignore[method-assign]
    stages: dict[str, float] = {}
    began = time.monotonic()

    def passed(name: str) -> None:
        stages[name] = time.monotonic() - began

    engines = [engine for engine in load_engines(site()) if PACKET in engine.reads]
    for engine in engines:
        if engine.name in silent:  # here, on the driver: workers make engines of their own
            object.__setattr__(engine, "conclude", lambda summary, carry, context: Outcome(carry=carry))
    passed("import")
    costs: dict[str, Any] = {}
    if runner == "threads":
        result = batch.analyze(paths, site(), engines, lambda stage, rows: passed(stage), threads=workers)
    else:
        from andon.run.cluster.analysis import Told, analyze_on
        from andon.run.cluster.executors import Executor
        from andon.run.cluster.executors.choose import Cluster, executor
        from andon.run.cluster.executors.local import Local

        assert work is not None
        heard = Told()
        on: Executor = (
            Local(workers) if runner == "local" else executor(Cluster(runner, workers=workers, memory=memory))
        )
        passed("start")
        with on:
            result = analyze_on(
                on, work, paths, site(), engines, stage=lambda name, done, of: passed(name), told=heard
            )
            costs = {name: vars(cost) for name, cost in heard.costs.items()}
    digest = hashlib.blake2b(digest_size=8)
    for finding in result.findings:
        digest.update(finding.to_json().encode())
    passed("end")
    return {
        "findings": len(result.findings),
        "digest": digest.hexdigest(),
        "packets": sum(report.rows for report in result.files),
        "late": result.late,
        "wall_until": {name: round(value, 2) for name, value in stages.items()},
        "driver_cpu": round(time.process_time(), 2),
        "conclude": {name: round(value, 3) for name, value in concluded.items()},
        "costs": costs,
    }


def measure(
    runner: str,
    paths: Sequence[Path],
    work: Path | None,
    python: str,
    workers: int = 2,
    memory: int = 0,
    silent: str = "",
) -> Run:
    """One runner in a fresh process."""
    command = [python, __file__, "--run", runner, "--workers", str(workers), "--memory", str(memory)]
    command += ["--silent", silent]
    if work is not None:
        command += ["--work", str(work)]
    return run([*command, *map(str, paths)])


def row(name: str, one: Run, first: Run | None) -> str:
    result = one.result
    conclude = sum(result["conclude"].values())
    rest = one.cpu - conclude
    against = "" if first is None else f"{rest / (first.cpu - sum(first.result['conclude'].values())):.2f}"
    workers = ", ".join(f"{p.what} {p.cpu:.1f} s {p.peak >> 20} MB" for p in one.processes if p.cpu >= 0.05)
    return (
        f"| {name} | {one.cpu:.1f} | {conclude:.1f} | {rest:.1f} | {against} | "
        f"{result['packets'] / max(rest, 1e-9) / 1e6:.2f} | {one.wall:.1f} | {one.load[0]:.1f}-{one.load[1]:.1f} | "
        f"{workers} |"
    )


HEAD = (
    "| runner | CPU s, all processes | of it conclude | without it | against threads | M packets per CPU s | "
    "wall s | load | processes |\n|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--run", choices=RUNNERS, default=None)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--silent", default="", metavar="ENGINE,...", help="engines that conclude nothing")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--rate", type=float, default=20_000)
    parser.add_argument("--runners", default=",".join(RUNNERS))
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--out", type=Path, default=None, help="one JSON line per run is added to this file")
    arguments = parser.parse_args()
    if arguments.run:
        print(
            json.dumps(
                analysed(
                    arguments.run,
                    [str(path) for path in arguments.paths],
                    arguments.work,
                    arguments.workers,
                    arguments.memory,
                    arguments.silent.split(","),
                )
            )
        )
        return 0
    folder = arguments.folder or Path(tempfile.mkdtemp())
    paths = arguments.paths or captures(
        folder / f"{arguments.packets}", arguments.packets, arguments.files, arguments.rate
    )
    print(HEAD)
    first: Run | None = None
    digests = set()
    for name in arguments.runners.split(","):
        with tempfile.TemporaryDirectory(dir=folder) as work:
            python = arguments.python if name == "spark" else sys.executable
            one = measure(
                name,
                paths,
                Path(work) if name != "threads" else None,
                python,
                arguments.workers,
                arguments.memory,
                arguments.silent,
            )
        print(row(name, one, first), flush=True)
        digests.add((one.result["findings"], one.result["digest"]))
        if arguments.out:
            with arguments.out.open("a") as file:
                said = {"runner": name, "cpu": one.cpu, "wall": one.wall, "load": one.load, **one.result}
                said["processes"] = [vars(each) for each in one.processes]
                file.write(json.dumps(said) + "\n")
        first = first or one
    same = len(digests) == 1
    print(f"findings are {'equal' if same else 'NOT EQUAL'}: {sorted(digests)}; {os.cpu_count()} cores")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
