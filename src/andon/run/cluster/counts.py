"""The tasks of the second read: what is asked of packets and of logs, counted in one partition; figures joined.

Questions are a file of the job, figures files of the work folder, both named by what they depend on; so they are not
counted again when a job is submitted again. What is counted and how: ``run.exactly`` and ``run.log_checks``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from andon.run import exactly, log_checks
from andon.run.cluster.clean import touch
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.job import Job
from andon.run.cluster.partition import Partition
from andon.run.cluster.summaries import SummaryDamaged
from andon.run.cluster.work_folder import ensure, put, put_json, read_json, writing
from andon.run.exactly import Counted, Wanted
from andon.run.log_checks import LogFigures, Questions
from andon.run.recount import count_captures

PACKETS: Final = "packets"
LOGS: Final = "logs"
FOLDER: Final = "counted"

Figures = Counted | LogFigures


def ask(job: Job, of: str, asked: Wanted | Questions) -> str:
    """Write down what is asked; gives the name of the file, below the job's folder. Raises ClusterError."""
    name = _asked_as(of, asked)
    path, text = job.folder / name, asked.to_json().encode()
    with writing(path, "reading"):
        there = path.read_bytes() if path.exists() else b""
    if there != text:
        put(path, text)
    return name


def count(
    job: Job,
    of: str,
    asked: str,
    partition: Partition,
    named: str,
    times: Sequence[int | None],
    rows: int,
) -> dict[str, Any]:
    """JSON values: ``file``, the figures, below the work folder; ``damage``: what the second read did not find any
    more; ``made``: whether it was read now. ``named``: what findings call the file; ``times`` and ``rows``: first and
    last time (ns) and number of packets, as the first read saw them. Raises ClusterError."""
    # Rows and times too: where the first read was cut short, so may this one be, and both may go farther next time.
    said = [asked, partition.name, named, list(job.site.telescope), list(times), rows]
    beside = _place(job, json.dumps(said), ".json")
    try:
        kept = read_json(beside)
        if (job.work / kept["file"]).exists():
            touch(job.work / kept["file"])
            touch(beside)
            return {**kept, "made": False}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    report = replace(partition.report, first=times[0], last=times[1], rows=rows)
    figures: Figures
    wanted = _asked(of, job.folder / asked)
    if isinstance(wanted, Wanted):
        figures = count_captures(wanted, [report], job.telescope)
        figures.depth = dict.fromkeys([named], max(figures.depth.values(), default=0))
        for tally in figures.tallies.values():
            tally.inputs = {named}
    else:
        figures = log_checks.count_log(wanted, partition.path, job.log_options)
        figures.files = dict(zip([named], figures.files.values(), strict=False))
    kept = {"file": _filed(job, figures), "damage": report.damage}
    if not report.damage and partition.unchanged:  # else somebody may have better luck with it
        put_json(beside, kept)
    return {**kept, "made": True}


@lru_cache(maxsize=4)
def _asked(of: str, path: Path) -> Wanted | Questions:
    """A month asks some 80,000 things, and each of its tasks needs them: read once by a process."""
    try:
        text = path.read_text()
        asked = Wanted.from_json(text) if of == PACKETS else Questions.from_json(text)
    except OSError as error:
        raise ClusterError(f"{path} is not there: is the work folder the same on every machine?") from error
    except ValueError as error:
        raise ClusterError(f"{path}: {error}; submit the job again") from error
    if path.name != _asked_as(of, asked):
        raise ClusterError(f"{path} is not what was asked; submit the job again")
    return asked


def _asked_as(of: str, asked: Wanted | Questions) -> str:
    return f"asked-{of}-{asked.digest}.json"


def gather(job: Job, of: str, files: Sequence[str]) -> dict[str, Any]:
    """JSON values: ``file``, figures of all these files together; ``made``: always, it takes no time. Raises
    SummaryDamaged."""
    return {"file": _filed(job, joined(of, read(job, of, files))), "made": True}


def joined(of: str, parts: Sequence[Figures]) -> Figures:
    """Figures of several partitions together."""
    if of == PACKETS:
        return exactly.merge(*(part for part in parts if isinstance(part, Counted)))
    return log_checks.merge(*(part for part in parts if isinstance(part, LogFigures)))


def read(job: Job, of: str, files: Sequence[str]) -> list[Figures]:
    """Figures as tasks left them. Raises SummaryDamaged for all that are damaged together."""
    parts: list[Figures] = []
    damaged: list[Path] = []
    for file in files:
        path = job.work / file
        try:
            data = path.read_bytes()
            if path.stem != _name(data):
                raise ValueError("not what was written")
            parts.append((Counted if of == PACKETS else LogFigures).from_bytes(data))
        except (OSError, ValueError):
            damaged.append(path)
    if damaged:
        raise SummaryDamaged(damaged[0], "damaged", damaged[1:])
    return parts


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:40]


def _filed(job: Job, figures: Figures) -> str:
    """Figures as a file named by its bytes, so that figures of one name never differ."""
    data = figures.to_bytes()
    path = job.work / FOLDER / _name(data)[:2] / f"{_name(data)}.bin"
    ensure(path.parent)
    put(path, data)
    return str(path.relative_to(job.work))


def _place(job: Job, said: str, ending: str) -> Path:
    name = hashlib.sha256(said.encode()).hexdigest()[:40]
    folder = job.work / FOLDER / name[:2]
    ensure(folder)
    return folder / f"{name}{ending}"
