"""What one core does with each kind of input, and what a second worker adds.

    python benchmarks/cluster/scaling.py --folder /var/tmp/bench [--packets 4000000]      # one core
    python benchmarks/cluster/scaling.py --folder /var/tmp/bench --workers --packets 20000000 --files 20

The first measures the tasks themselves, in a process of one thread each time, on the same packets as a capture, a
compressed capture and files of the packet history: reading and summarising with all engines, by CPU seconds of the
process, kernels loaded before. The second runs the same job on a Dask cluster of this machine with one worker and with
two; CPU seconds of all processes should not change, and the wall time should halve where two cores are free. On a
machine that does other work as well the wall time says little; the load is printed beside it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from captures import captures
from merge_cost import job_in, partitions
from overhead import HEAD, measure, row
from processes import run


def compressed(path: Path) -> Path:
    """The capture as gzip makes it."""
    out = path.with_suffix(".pcap.gz")
    if not out.exists():
        with path.open("rb") as plain, gzip.open(out, "wb", compresslevel=6) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
    return out


def stored(path: Path, folder: Path) -> list[Path]:
    """The capture in a packet history, in commits of 45 seconds of packets at 20,000/s, as ``andon run`` makes them."""
    from andon.observe import read
    from andon.store.history import History
    from andon.store.journal import Journal

    if not folder.exists():
        journal, history, waiting = Journal(folder / "journal"), History(folder / "history"), []
        for batch in read(path):
            journal.append("eth0", batch, {"offset": journal.next_row})
            if journal.pending_rows >= 20_000:
                waiting.append(journal.commit(0))
            if len(waiting) >= 15:
                history.append(waiting)
                waiting = []
        if journal.pending_rows:
            waiting.append(journal.commit(0))
        if waiting:
            history.append(waiting)
        shutil.rmtree(folder / "journal")
    return sorted((folder / "history").rglob("*.parquet"))


def one_core(work: Path, warm: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """Summarise in this process: CPU seconds, rows, bytes of the summaries."""
    from andon.run.cluster.summarise import summarise

    summarise(job_in(work / "warm"), *partitions([warm]))
    job = job_in(work / "job")
    given = partitions(paths)
    began = time.process_time()
    result = summarise(job, *given)
    cpu = time.process_time() - began
    files = [job.work / path for _, path, _ in result["files"]]
    return {
        "cpu": cpu,
        "rows": sum(report["rows"] for report in result["reports"]),
        "bytes": sum(path.stat().st_size for path in paths),
        "summaries": sum(path.stat().st_size for path in files),
    }


def cores(folder: Path, packets: int) -> None:
    (plain,) = captures(folder / f"one-{packets}", packets, 1, 20_000)
    (warm,) = captures(folder / "one-warm", 200_000, 1, 20_000)
    inputs = {
        "capture": [plain],
        "compressed capture (gzip -6)": [compressed(plain)],
        "packet history": stored(plain, folder / f"one-{packets}" / "store"),
    }
    print(
        "| input | files | bytes a packet | CPU s | M packets per CPU s | us a packet | summaries, MB | load |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for name, paths in inputs.items():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            command = [sys.executable, __file__, "--one", str(warm), "--folder", work, *map(str, paths)]
            got = run(command).result
        print(
            f"| {name} | {len(paths)} | {got['bytes'] / got['rows']:.1f} | {got['cpu']:.1f} | "
            f"{got['rows'] / got['cpu'] / 1e6:.2f} | {got['cpu'] / got['rows'] * 1e6:.2f} | "
            f"{got['summaries'] / 1e6:.1f} | {os.getloadavg()[0]:.1f} |",
            flush=True,
        )


def workers(folder: Path, packets: int, files: int, silent: str) -> None:
    paths = captures(folder / f"{packets}", packets, files, 20_000)
    print(HEAD)
    first = None
    for number in (1, 2):
        with tempfile.TemporaryDirectory(dir=folder) as work:
            one = measure("dask", paths, Path(work), sys.executable, number, 0, silent)
        print(row(f"Dask, {number} worker{'s' * (number > 1)}", one, first), flush=True)
        first = first or one


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--packets", type=int, default=4_000_000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--silent", default="", metavar="ENGINE,...", help="engines that conclude nothing")
    parser.add_argument("--one", type=Path, default=None)
    parser.add_argument("paths", nargs="*", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    if arguments.one:
        print(json.dumps(one_core(folder, arguments.one, arguments.paths)))
    elif arguments.workers:
        workers(folder, arguments.packets, arguments.files, arguments.silent)
    else:
        cores(folder, arguments.packets)


if __name__ == "__main__":
    main()
