"""What Spark Connect costs a job: a task that does nothing, many of them, and a job beside the threads runner.

    .venv-spark/bin/python benchmarks/cluster/spark.py                        # a Sail server of its own
    .venv-spark/bin/python benchmarks/cluster/spark.py --cluster sc://127.0.0.1:15002

CPU seconds are those of the driver and of the server with all its processes: of a server that was not started here,
where ``ANDON_SPARK_SERVER_PID`` names it, else it is left out. Memory is the driver's growth (peak RSS) over what it
takes when everything is loaded. A second run of a job finds everything in the work folder. If findings or tables differ
from those of the threads runner, the benchmark fails.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from captures import captures

from andon.records.contract import Site
from andon.run.batch import Analysis, analyze
from andon.run.cluster.analysis import analyze_on
from andon.run.cluster.executors import Executor
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.local import Local
from andon.run.cluster.executors.spark import Spark
from andon.run.engines import load_engines
from andon.simulate.internet import DEFAULT_TELESCOPE

ENGINES = ("darknet.census", "darknet.tools", "darknet.backscatter", "darknet.purpose")
_TICK = os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int | None) -> float:
    """CPU seconds of a process, its descendants, and those of them that have ended."""
    if pid is None:
        return 0.0
    parents: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        one = int(path.parent.name)
        parents.setdefault(int(fields[1]), []).append(one)
        spent[one] = sum(map(int, fields[11:15])) / _TICK
    todo, total = [pid], 0.0
    while todo:
        one = todo.pop()
        total += spent.get(one, 0.0)
        todo += parents.get(one, [])
    return total


class Cost:
    """Of what is done between two looks: ``wall`` (s), CPU seconds of ``driver`` and ``server``, ``grown`` (bytes)."""

    def __init__(self, server: Callable[[], int | None]) -> None:
        self._server = server
        self._began = self._look()

    def _look(self) -> tuple[float, float, float, int]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        return time.monotonic(), time.process_time(), cpu_of(self._server()), peak

    def line(self, what: str, tasks: int) -> str:
        """A row of the table."""
        wall, driver, server, grown = (
            now - then for now, then in zip(self._look(), self._began, strict=True)
        )
        each = f"{(driver + server) / tasks * 1e3:8.2f}" if tasks else " " * 8
        return (
            f"{what:<36} {tasks:>6} {wall:>8.2f} {driver:>8.2f} {server:>8.2f} {each} {grown / 2**20:>8.0f}"
        )


def digest(analysis: Analysis) -> str:
    """Of findings and tables."""
    made = hashlib.blake2b(digest_size=8)
    for finding in analysis.findings:
        made.update(finding.to_json().encode())
    for name, tables in sorted(analysis.tables.items()):
        for table in tables:
            made.update(f"{name} {table.to_pylist()}".encode())
    return made.hexdigest()


def nothing(executor: Executor, tasks: Sequence[str]) -> None:
    """All tasks, each answered once."""
    seen = bytearray(len(tasks))
    for number, _ in executor.run(tasks):
        seen[number] += 1
    if seen.count(1) != len(tasks):
        raise SystemExit("tasks are lost, or answered twice")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cluster", default="")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--packets", type=int, default=400_000)
    parser.add_argument("--files", type=int, default=8)
    given = parser.parse_args()
    cluster = Cluster("spark", given.cluster, workers=given.workers)
    outside = int(os.environ.get("ANDON_SPARK_SERVER_PID", "0")) or None
    site = Site(telescope=DEFAULT_TELESCOPE)
    print(f"load {os.getloadavg()[0]:.1f}; {given.cluster or 'Sail, started here'}")
    print(f"{'':<36} {'tasks':>6} {'wall s':>8} {'driver':>8} {'server':>8} {'CPU ms':>8} {'grown MB':>8}")
    with tempfile.TemporaryDirectory(prefix="andon-spark-") as name:
        folder = Path(name)
        paths = captures(folder / "captures", given.packets, given.files, 20_000)
        load_engines(site)  # imports are not what is measured
        want = digest(analyze(paths, site, load_engines(site, ENGINES)))
        cost = Cost(lambda: None)
        analyze(paths, site, load_engines(site, ENGINES))
        print(cost.line("threads: job", given.files))
        with Local() as local:
            cost = Cost(lambda: None)
            analyze_on(local, folder / "local", paths, site, load_engines(site, ENGINES))
            print(cost.line("local: job", given.files))
        cost = Cost(lambda: outside)
        with Spark(cluster) as spark:
            pid = (lambda: spark.server_pid) if outside is None else (lambda: outside)
            began = cost.line("spark: start, workers greeted", 0)
            if outside is None:
                began += f"   (server since its start: {cpu_of(spark.server_pid):.2f} CPU s)"
            print(began)
            for what in ("spark: job", "spark: job, its workers warm", "spark: the same job again"):
                work = folder / ("cold" if what == "spark: job" else "warm")
                cost = Cost(pid)
                made = analyze_on(spark, work, paths, site, load_engines(site, ENGINES))
                print(cost.line(what, given.files))
                if digest(made) != want:
                    raise SystemExit("findings or tables differ from those of the threads runner")
        with Spark(cluster, str) as spark:  # a task's answer is the task
            pid = (lambda: spark.server_pid) if outside is None else (lambda: outside)
            texts = [f"{number:0>400}" for number in range(given.tasks)]
            for count in (1, given.tasks // 10, given.tasks):
                cost = Cost(pid)
                nothing(spark, texts[:count])
                print(cost.line(f"spark, {spark.workers} workers: nothing", count))
    print(f"findings and tables equal to the threads runner's ({want}); load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
