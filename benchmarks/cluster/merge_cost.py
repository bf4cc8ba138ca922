"""What very many partitions cost: 20,000 small captures through the tree, and the tree alone on 20,000 files.

    python benchmarks/cluster/merge_cost.py --folder /var/tmp/bench [--files 20000] [--packets 100]

First a month of captures of a few packets each, summarised and merged until one file a day is left: here all that
counts is what a partition costs whatever is in it. Neighbours share tasks (``run/cluster/bundles.py``); ``--single``
gives each file a task, as it would be without. Then the tree alone: files of summaries of single partitions of one
day, ``--linked`` of them (hard links to a few hundred), merged 16 to 1. CPU seconds are of this process, which runs the
tasks in one thread, so there is nothing of a scheduler in them; ``benchmarks/cluster/overhead.py`` has that.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from captures import captures
from overhead import site

from andon.records.contract import Organisation
from andon.records.kinds import PACKET
from andon.run.cluster import tree
from andon.run.cluster.executors.local import Local
from andon.run.cluster.job import Job, write_job
from andon.run.cluster.merge import Source
from andon.run.cluster.partition import Partition, identity
from andon.run.cluster.tree import FAN_IN, Levels
from andon.run.engines import load_engines

OWN = (
    "24.0.0.0/16",
    "91.10.0.0/16",
    "177.55.0.0/16",
)  # an organisation, so that DAEDALUS has something to do


def job_in(work: Path) -> Job:
    """All engines that summarise packets, DAEDALUS among them."""
    where = replace(site(), organisations=(Organisation("Example University", OWN, ()),))
    return write_job(work, where, [engine for engine in load_engines(where) if PACKET in engine.reads])


def partitions(paths: Sequence[Path]) -> list[Partition]:
    made = []
    for path in paths:
        digest, size = identity(path)
        made.append(Partition("packets", str(path.resolve()), digest, size))
    return made


def on_disk(folder: Path) -> tuple[int, int]:
    """(files, bytes)"""
    found = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(found), sum(found)


def line(name: str, began: tuple[float, float], costs: Any, folder: Path) -> str:
    files, size = on_disk(folder) if folder.exists() else (0, 0)
    cpu, wall = time.process_time() - began[0], time.monotonic() - began[1]
    tasks = ", ".join(f"{key} {one.tasks:,} tasks {one.cpu_seconds:.1f} s" for key, one in costs.items())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"| {name} | {cpu:.1f} | {wall:.1f} | {tasks} | {files:,} | {size / 1e6:,.1f} | {peak:,.0f} | "
        f"{os.getloadavg()[0]:.1f} |"
    )


def linked(job: Job, sources: Sequence[Source], count: int) -> list[Source]:
    """So many files of summaries, hard links to these; the last part of a name is the digest that is checked."""
    folder = job.work / "linked"
    folder.mkdir(exist_ok=True)
    made = []
    for number in range(count):
        path, keys = sources[number % len(sources)]
        link = folder / f"{number:06d}-{Path(path).name}"
        os.link(job.work / path, link)
        made.append((str(link.relative_to(job.work)), keys))
    return made


def merged(levels: Levels, files: list[Source]) -> int:
    """Merge as ``Levels`` does, until one is left; gives the number of levels."""
    level = 0
    while len(files) > 1:
        level += 1
        groups = [files[at : at + FAN_IN] for at in range(0, len(files), FAN_IN)]
        made = levels.run("merge", [{"sources": group} for group in groups])
        files = [(one["file"], files[0][1]) for one in made]
    return level


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--packets", type=int, default=100, help="in each file")
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--linked", type=int, default=20_000)
    parser.add_argument("--of", type=int, default=200, help="files that the linked ones are links to")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    count = arguments.files * arguments.packets
    paths = captures(
        folder / f"small-{arguments.files}", count, arguments.files, count / arguments.days / 86_400
    )
    print(
        "| what | CPU s | wall s | tasks | files left | MB left | peak MB | load |\n|---|---|---|---|---|---|---|---|"
    )
    work = Path(tempfile.mkdtemp(dir=folder))
    bundled = tree.bundled
    try:
        if arguments.single:
            tree.bundled = lambda given: [[number] for number in range(len(given))]  # type: ignore[assignment]
        job = job_in(work / "all")
        with Local(1) as executor:
            warm = Levels(job_in(work / "warm"), executor)
            warm.run("summarise", [{"partitions": [partitions(paths[:1])[0].to_dict()]}])
            began = (time.process_time(), time.monotonic())
            given = partitions(paths)
            print(line(f"identities of {len(paths):,} files", began, {}, job.work / "none"), flush=True)
            began = (time.process_time(), time.monotonic())
            levels = Levels(job, executor)
            found = levels.summarise(given)
            name = f"{len(paths):,} captures of {arguments.packets} packets, {len(found.days)} days"
            print(line(name, began, levels.costs, job.work), flush=True)
            began = (time.process_time(), time.monotonic())
            again = Levels(job, executor)
            again.summarise(given)
            print(line("the same submitted again", began, again.costs, job.work), flush=True)

            tree.bundled = lambda given: [[number] for number in range(len(given))]  # type: ignore[assignment]
            job = job_in(work / "one")
            levels = Levels(job, executor)
            began = (time.process_time(), time.monotonic())
            tasks = [{"partitions": [one.to_dict()]} for one in given[: arguments.of]]
            results = levels.run("summarise", tasks)
            print(line(f"{arguments.of} of them, a task each", began, levels.costs, job.work), flush=True)
            day = results[0]["files"][0][0]
            sources = [(path, tuple(keys)) for one in results for at, path, keys in one["files"] if at == day]
            files = linked(job, sources, arguments.linked)
            levels = Levels(job, executor)
            began = (time.process_time(), time.monotonic())
            depth = merged(levels, files)
            name = f"tree of {len(files):,} files of one day, {depth} levels"
            print(line(name, began, levels.costs, job.work / "merged"), flush=True)
    finally:
        tree.bundled = bundled  # type: ignore[assignment]
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
