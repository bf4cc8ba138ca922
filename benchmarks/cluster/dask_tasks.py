"""What Dask itself costs: starting workers, and sending a task that does nothing there and back.

    python benchmarks/cluster/dask_tasks.py [--tasks 2000] [--workers 2]

CPU seconds of all processes: driver (with the scheduler, which lives in it for a cluster of this machine) and workers.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "cluster_dask"))

import dask_tasks
import psutil

from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.dask import Dask


def workers_cpu() -> float:
    """CPU seconds of the processes that this one has started and that still run."""
    times = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    import distributed  # noqa: F401 - not counted: threads would not load it, but a cluster's driver does so once

    print(f"{'':<22}{'wall s':>8}{'driver CPU s':>14}{'worker CPU s':>14}")
    wall, cpu = time.monotonic(), time.process_time()
    with Dask(Cluster("dask", workers=args.workers), function=dask_tasks.upper) as executor:
        theirs = workers_cpu()
        print(
            f"{'start':<22}{time.monotonic() - wall:>8.2f}{time.process_time() - cpu:>14.2f}{theirs:>14.2f}"
        )
        wall, cpu = time.monotonic(), time.process_time()
        answers = sum(1 for _ in executor.run([f"task {n}" for n in range(args.tasks)]))
        now = workers_cpu()
        took = time.monotonic() - wall, time.process_time() - cpu, now - theirs
        print(f"{f'{answers} tasks':<22}{took[0]:>8.2f}{took[1]:>14.2f}{took[2]:>14.2f}")
        each = [1e3 * one / max(1, answers) for one in took]
        print(f"{'each, ms':<22}{each[0]:>8.2f}{each[1]:>14.2f}{each[2]:>14.2f}")
        idle = [process.memory_info().rss / 1e6 for process in psutil.Process().children(recursive=True)]
        wall = time.monotonic()
    print(f"{'stop':<22}{time.monotonic() - wall:>8.2f}")
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"memory: driver {mine:.0f} MB, largest worker {max(idle, default=0.0):.0f} MB; load {os.getloadavg()[0]:.1f}"
    )
    return int(answers != args.tasks)


if __name__ == "__main__":
    sys.exit(main())
