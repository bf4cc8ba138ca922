"""Jobs on Dask whose workers and schedulers are killed, against one process that nobody disturbs.

    python benchmarks/cluster/kills.py [--rounds 10] [--seed 1] [--files 32] [--packets 50000] [--kills 3]
        [--workers 2] [--schedulers 3] [--seconds 3000]

Each round analyses the same captures into a fresh work folder, on worker processes of this machine, with ``--kills``
SIGKILLs of workers that are at a task. Every ``--schedulers``-th round (0: none) has a scheduler and workers in
processes of their own under TLS instead, and it is the scheduler that is killed, once, while tasks run, and started
again two seconds later. Then the same job is submitted again.

A row: what was killed, how many kills landed; CPU seconds of tasks; partitions whose worker had finished but could
not say so (``found``: they were not made again); suspects tried alone; wall seconds; what the second submission made
(0); whether findings and tables are equal to the bit. Exit code 1 if a round is unequal, if a second submission made
anything, or if fewer kills landed than were asked for in more than one round of ten.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "cluster_dask"))

from dask_clusters import SITE, Served, authority, captures, digest, engines, free_port, options
from dask_kills import Killer

from andon.run.batch import analyze
from andon.run.cluster.analysis import Told, analyze_on
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.dask import Dask
from andon.run.cluster.executors.dask_library import Patience

KEPT = ("summarise", "merge", "count")  # stages whose results stay in the work folder


@dataclass
class Round:
    """What came of one job."""

    what: str
    wanted: int
    landed: int
    cpu: float
    found: int
    suspects: int
    seconds: float
    again: int
    equal: bool

    def __str__(self) -> str:
        return (
            f"{self.what:<10} {self.landed:>3} of {self.wanted} {self.cpu:>9.1f} {self.found:>5} {self.suspects:>5} "
            f"{self.seconds:>7.1f} {self.again:>5}  {'yes' if self.equal else 'NO':<5}"
        )

    @property
    def bad(self) -> bool:
        return not self.equal or self.again > 0


def workers_killed(folder: Path, paths: list[Path], alone: str, args: argparse.Namespace, seed: int) -> Round:
    """A cluster of this machine, whose workers are killed."""
    said: list[str] = []
    told, again = Told(), Told()
    began = time.monotonic()
    with Dask(Cluster("dask", workers=args.workers), said.append) as executor:
        with Killer(executor, args.kills, seed, 0.4, late=0.4) as killer:
            result = analyze_on(executor, folder / "work", paths, SITE, engines(), told=told)
        seconds = time.monotonic() - began
        second = analyze_on(executor, folder / "work", paths, SITE, engines(), told=again)
    return _round(
        "workers",
        args.kills,
        len(killer.landed),
        told,
        again,
        said,
        seconds,
        alone,
        digest(result),
        digest(second),
    )


def scheduler_killed(
    folder: Path, paths: list[Path], alone: str, args: argparse.Namespace, seed: int
) -> Round:
    """A cluster of processes, whose scheduler is killed after some tasks and comes back."""
    tls = authority(folder / "tls", "bench")
    port = free_port()
    address = f"tls://127.0.0.1:{port}"
    started = [Served(folder, "scheduler", "scheduler", "--port", str(port), *options(tls))]
    said: list[str] = []
    told, again = Told(), Told()
    landed: list[int] = []
    at = 1 + seed % max(1, len(paths) - 2)

    def back() -> None:
        time.sleep(2)
        started.append(Served(folder, "scheduler", "scheduler", "--port", str(port), *options(tls)))

    restart = threading.Thread(target=back)

    def stage(name: str, done: int, of: int) -> None:
        if name == "summarise" and done == at and not landed:
            started[0].kill()
            landed.append(done)
            restart.start()

    try:
        started[0].says("scheduler at ")
        workers = ("--processes", str(args.workers), "--grace", "5")
        worker = Served(folder, "worker", "worker", "--cluster", address, *workers, *options(tls))
        worker.says(" at tls://", times=args.workers)
        began = time.monotonic()
        with Dask(Cluster("dask", address, tls), said.append, Patience(look=1.0)) as executor:
            result = analyze_on(executor, folder / "work", paths, SITE, engines(), stage=stage, told=told)
            seconds = time.monotonic() - began
            second = analyze_on(executor, folder / "work", paths, SITE, engines(), told=again)
        worker.stop()
    finally:
        if restart.ident is not None:
            restart.join()
        for one in started:
            one.stop()
    return _round(
        "scheduler", 1, len(landed), told, again, said, seconds, alone, digest(result), digest(second)
    )


def _round(
    what: str,
    wanted: int,
    landed: int,
    told: Told,
    again: Told,
    said: list[str],
    seconds: float,
    alone: str,
    *digests: str,
) -> Round:
    return Round(
        what,
        wanted,
        landed,
        sum(cost.cpu_seconds for cost in told.costs.values()),
        told.again,
        sum("tried alone" in line for line in said),
        seconds,
        sum(again.costs[stage].made for stage in KEPT),
        set(digests) == {alone},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=32)
    parser.add_argument("--packets", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--schedulers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3000.0, help="no round begins after so long")
    args = parser.parse_args()
    with TemporaryDirectory() as caps:
        paths = captures(Path(caps), args.files, args.packets, args.seed)
        return rounds_of(args, paths, digest(analyze(paths, SITE, engines())))


def rounds_of(args: argparse.Namespace, paths: list[Path], alone: str) -> int:
    """All rounds, printed; the exit code."""
    end = time.monotonic() + args.seconds
    rounds: list[Round] = []
    print(f"{'round':>5} {'killed':<10} {'landed':>7} {'task CPU':>9} {'found':>5} {'alone':>5} {'wall s':>7} "
          f"{'again':>5}  equal   load")  # fmt: skip
    for number in range(args.rounds):
        if time.monotonic() > end:
            break
        seed = args.seed + number
        whose = scheduler_killed if args.schedulers and number % args.schedulers == 0 else workers_killed
        with TemporaryDirectory() as place:
            one = whose(Path(place), paths, alone, args, seed)
        rounds.append(one)
        print(f"{seed:>5} {one}   {os.getloadavg()[0]:>5.1f}", flush=True)
    landed = sum(one.landed for one in rounds)
    missed = sum(one.landed < one.wanted for one in rounds)
    bad = sum(one.bad for one in rounds)
    schedulers = sum(one.what == "scheduler" for one in rounds)
    print(f"{len(rounds)} jobs, {landed} kills landed ({schedulers} of schedulers); {bad} jobs unequal or made again; "
          f"in {missed} fewer kills landed than wanted")  # fmt: skip
    return int(bad > 0 or missed > max(1, len(rounds) // 10) or not rounds)


if __name__ == "__main__":
    sys.exit(main())
