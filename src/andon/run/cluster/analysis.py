"""The cluster runner: what ``run.batch.analyze`` does, with the two reads done by the workers of an executor.

Findings, tables and carries are those of the threads runner, bit for bit (``tests/cluster``), with one exception that
damaged captures make: packets whose times are more than a minute out of order are late there, where spans close while
the files are read, and count here, where they close when everything is in.

Input that only this process can read is read by this process: sensors whose records go into a casebook on their way,
and logs whose users get pseudonyms under a key, which does not go into a file that others read. What is made of it is
in a temporary folder of this process (``TMPDIR``) while the job lasts, and never in the work folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from andon.observe.logs.options import Options
from andon.observe.sensors import sensors
from andon.observe.sensors.logs import Logs
from andon.records.contract import Site
from andon.run.batch import Analysis, Gathered, Progress, finished, later
from andon.run.cluster.executors import Executor
from andon.run.cluster.fold import fold
from andon.run.cluster.job import Job, write_job
from andon.run.cluster.partition import Partition, identity, reading_of
from andon.run.cluster.second import count_logs, count_packets
from andon.run.cluster.summarise import Kept, reread, summarise_kept
from andon.run.cluster.tree import Costs, Levels, Summarised, mended
from andon.run.conclusions import Conclusions, Witness
from andon.run.engines import AnyEngine, load_engines
from andon.run.feed import LATENESS, FileReport, Telescope
from andon.run.inputs import Inputs, with_assets

_GIVEN: Final = frozenset(
    {"path", "start", "end", "begins", "within"}
)  # of a report: how the file is to be read


@dataclass
class Told:
    """What became of a job, for whoever asks: ``costs`` by stage, ``partitions``, ``again``: those that had been done
    before."""

    costs: dict[str, Costs] = field(default_factory=dict)
    partitions: int = 0
    again: int = 0


Stage = Callable[[str, int, int], None]  # "summarise" | "merge" | "count", done, of


def analyze_on(
    executor: Executor,
    work: Path,
    paths: Sequence[str | Path] | Inputs,
    site: Site | None = None,
    engines: Sequence[AnyEngine] | None = None,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
    stage: Stage = lambda name, done, of: None,
    told: Told | None = None,
    witness: Witness | None = None,
) -> Analysis:
    """Run engines over files on the workers of an executor; see ``run.batch.analyze``.

    ``work``: a folder that all machines see under the same path, as they see the files; what it keeps makes the same
    job quick when it is submitted again. ``options``: how logs are read (``Job.options``). ``stage`` hears how many
    tasks are done, ``witness`` is shown every conclusion (``run.digests``). Raises ClusterError, ValueError for a bad
    telescope prefix, and EngineError.
    """
    site = site or Site()
    inputs = paths if isinstance(paths, Inputs) else Inputs.of(paths)
    if engines is None:
        site = with_assets(site, inputs)
    engines = load_engines(site) if engines is None else list(engines)
    telescope = Telescope(site.telescope) if site.telescope else None
    told = told if told is not None else Told()
    job = write_job(work.resolve(), site, engines, options)
    sent, kept = _partitions(inputs, job)
    told.partitions = len(sent)

    def heard(name: str, done: int, of: int, result: dict[str, Any]) -> None:
        stage(name, done, of)
        if name == "summarise" and progress is not None:
            for report in result["reports"]:
                progress("read", int(report["rows"] or report["records"]))

    with TemporaryDirectory(prefix="andon-kept-") as own:
        here, reached_here = summarise_kept(job, Path(own), kept) if kept else ([], None)
        levels = Levels(job, executor, heard, told.costs)

        def folded() -> tuple[Summarised, Gathered]:
            summarised = levels.summarise([one for one, _ in sent])
            reached = reached_here
            for result in summarised.results:
                reached = later(reached, result["reached"])
            days = summarised.days
            for day, path, keys in here:
                days.setdefault(day, []).append((path, tuple(keys)))
            gathered = Gathered()
            conclusions = Conclusions(engines, gathered.told)
            conclusions.watched_by(witness)
            final = None if reached is None else reached - LATENESS
            fold(job, days, conclusions, final, lambda done, of: stage("conclude", done, of))
            return summarised, gathered

        summarised, gathered = mended(folded)
    for (_, report), made in zip(sent, summarised.reports, strict=True):
        _fill(report, reread(made))
    told.again = summarised.again
    gathered.result.files = inputs.reports
    gathered.result.late = sum(report.astray for report in inputs.captures)
    # Progress of the second read is that of its tasks.
    findings = count_packets(levels, gathered.result.findings, sent, inputs, telescope)
    gathered.result.findings = count_logs(levels, findings, sent, inputs)
    return finished(gathered)


def _partitions(inputs: Inputs, job: Job) -> tuple[list[tuple[Partition, FileReport]], list[Kept]]:
    """What workers read, and what this process reads by itself. A file that is not there is said in its report."""
    sent: list[tuple[Partition, FileReport]] = []
    kept: list[Kept] = []
    known = {type(sensor) for sensor in sensors()}
    theirs, readings = job.log_options, {}
    for report in inputs.captures:
        _send(sent, Partition("packets", "", "", 0), report)
    for sensor, report in inputs.records:
        options = getattr(sensor, "options", None)
        if type(sensor) not in known or (
            options is not None and not _same(options, theirs, isinstance(sensor, Logs))
        ):
            kept.append((sensor, report))
            continue
        if sensor.name not in readings:
            readings[sensor.name] = "" if options is None else reading_of(theirs)
        _send(sent, Partition("records", "", "", 0, sensor.name, reading=readings[sensor.name]), report)
    return sent, kept


def _same(ours: Options, theirs: Options, leases: bool) -> bool:
    """Would a worker read a log as this process does? Never where there is a key: it stays here. ``leases``: do they
    matter?"""
    if ours.key is not None or replace(ours, mapping=theirs.mapping) != theirs:
        return False
    if (ours.mapping is None) != (theirs.mapping is None):
        return False
    if not leases:
        return True
    if ours.leases is None or theirs.leases is None:
        return ours.leases is theirs.leases
    return ours.leases is theirs.leases or bool(ours.leases.equals(theirs.leases))


def _send(sent: list[tuple[Partition, FileReport]], partition: Partition, report: FileReport) -> None:
    try:
        digest, size = identity(report.path)
    except OSError as error:
        report.error = f"{error}"
        return
    place = replace(partition, path=str(Path(report.path).resolve()), digest=digest, size=size)
    given = {name: getattr(report, name) for name in ("start", "end", "begins", "within")}
    sent.append((replace(place, **given), report))


def _fill(report: FileReport, made: FileReport) -> None:
    """What a worker found out about a file; how it is to be read stays as it was given."""
    for one in fields(FileReport):
        if one.name not in _GIVEN:
            setattr(report, one.name, getattr(made, one.name))
