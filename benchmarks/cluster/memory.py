"""Memory of a worker under a cap: partitions of more and more rows, of many days, of forged sources; merging them.

    python benchmarks/cluster/memory.py --folder /var/tmp/bench [--cap 2e9] [--rows 1000000,5000000,20000000]

Each task runs in a fresh process. Reported is the high-water mark of its resident memory (VmHWM), which is what Dask's
limit, a cgroup and the kernel's killer go by; files that are mapped count to it. ``done nothing yet`` is a worker that
has loaded the engines. The cap is held if no task passes it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from captures import captures
from merge_cost import job_in, partitions
from numba import njit
from processes import run

HEADER = 24
RECORD, ETHERNET = 16, 14


@njit(cache=True)
def forge(data: np.ndarray, start: int, seed: int) -> int:
    """Give every record of a pcap a source of its own; gives how many there were."""
    at, count, state = start, 0, np.uint64(seed)
    while at + RECORD <= data.shape[0]:
        size = np.int64(data[at + 8]) | np.int64(data[at + 9]) << 8 | np.int64(data[at + 10]) << 16
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        for k in range(4):
            data[at + RECORD + ETHERNET + 12 + k] = np.uint8(
                (state >> np.uint64(32 + 8 * k)) & np.uint64(255)
            )
        at += RECORD + size
        count += 1
    return count


def forged(path: Path, out: Path) -> Path:
    """A copy of a capture in which every packet comes from somewhere else."""
    if not out.exists():
        data = np.fromfile(path, np.uint8)
        forge(data, HEADER, 1)
        data.tofile(out)
    return out


def peak() -> int:
    """Bytes: the most that was resident of this process. What ``getrusage`` says begins at what the parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def task(work: Path, what: str, paths: Sequence[Path]) -> dict[str, Any]:
    """Summarise these captures, or merge what was made of them, in this process."""
    from andon.run.cluster.merge import merge
    from andon.run.cluster.summarise import summarise

    job = job_in(work)
    alone = peak()
    rows = 0
    began = time.process_time()
    if what == "merge":
        sources: dict[int, list[Any]] = {}
        for one in partitions(paths):
            for day, path, keys in summarise(job, one)["files"]:
                sources.setdefault(day, []).append((path, tuple(keys)))
        for files in sources.values():
            merge(job, files)
    elif what == "summarise":
        for one in partitions(paths):
            rows += sum(report["rows"] for report in summarise(job, one)["reports"])
    return {
        "rows": rows,
        "alone": alone,
        "peak": peak(),
        "cpu": time.process_time() - began,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--cap", type=float, default=2e9, help="bytes of resident memory")
    parser.add_argument("--rows", default="1000000,5000000,20000000")
    parser.add_argument("--task", default="")
    parser.add_argument("paths", nargs="*", type=Path)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(task(arguments.folder, arguments.task, arguments.paths)))
        return 0
    folder = arguments.folder or Path(tempfile.mkdtemp())
    cases: list[tuple[str, str, list[Path]]] = []
    for rows in map(int, arguments.rows.split(",")):
        (one,) = captures(folder / f"memory-{rows}", rows, 1, 20_000)
        cases.append((f"{rows:,} packets at 20,000/s", "summarise", [one]))
        name = f"{rows:,} packets, every one of another source"
        cases.append((name, "summarise", [forged(one, folder / f"memory-{rows}" / "forged.pcap")]))
    (month,) = captures(folder / "memory-days", 3_000_000, 1, 3_000_000 / (40 * 86_400))
    cases.append(("3,000,000 packets over 40 days", "summarise", [month]))
    every = [path for _, _, paths in cases for path in paths if path != month]
    cases.append((f"merge of the {len(every)} above that are of one day", "merge", every))
    print("| task | peak MB | CPU s | held |\n|---|---|---|---|")
    held = True
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for name, what, paths in cases:
            command = [
                sys.executable,
                __file__,
                "--task",
                what,
                "--folder",
                work,
                "--cap",
                str(arguments.cap),
            ]
            result = run([*command, *map(str, paths)]).result
            held &= result["peak"] < arguments.cap
            if not cases.index((name, what, paths)):
                print(f"| a worker that has done nothing yet | {result['alone'] / 1e6:,.0f} | | |")
            verdict = "yes" if result["peak"] < arguments.cap else "NO"
            print(f"| {name} | {result['peak'] / 1e6:,.0f} | {result['cpu']:.1f} | {verdict} |", flush=True)
    print(f"cap {arguments.cap / 1e9:g} GB {'held' if held else 'NOT HELD'}; load {os.getloadavg()[0]:.1f}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
