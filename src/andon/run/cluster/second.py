"""The second read on the workers, seen from the driver: ask, have it counted and gathered as a tree, fill in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from andon.observe.sensors.logs import Logs
from andon.records.finding import Finding
from andon.run import exactly, log_checks
from andon.run.cluster import counts
from andon.run.cluster.counts import LOGS, PACKETS, Figures
from andon.run.cluster.partition import Partition
from andon.run.cluster.tree import FAN_IN, Levels, groups_of, mended
from andon.run.exactly import Counted
from andon.run.feed import FileReport, Telescope
from andon.run.inputs import Inputs, readable
from andon.run.log_checks import LogFigures

Sent = Sequence[tuple[Partition, FileReport]]


def count_packets(
    levels: Levels, findings: Sequence[Finding], sent: Sent, inputs: Inputs, telescope: Telescope | None
) -> list[Finding]:
    """The findings with their checks over packets counted. Raises ClusterError."""
    asked = exactly.wanted(findings)
    if not asked.relations:
        return list(findings)
    files = readable(inputs.captures)
    good = {id(report) for report in files}
    about = [
        (partition, report)
        for partition, report in sent
        if id(report) in good
        and (report.first is None or report.last is None or asked.meets(report.first, report.last))
    ]
    made = _counted(levels, PACKETS, counts.ask(levels.job, PACKETS, asked), about)
    counted = made if isinstance(made, Counted) else exactly.count(asked, (), [])
    within = {one.path: one.within for one in files if one.within}
    return exactly.filled(findings, asked, counted, [one.path for one in files], telescope, within)


def count_logs(levels: Levels, findings: Sequence[Finding], sent: Sent, inputs: Inputs) -> list[Finding]:
    """The findings with their checks over logs counted: by workers in the logs that they can read, by this process in
    others. Raises ClusterError."""
    records = inputs.records
    logs = any(isinstance(sensor, Logs) and sensor.options.key is None for sensor, _ in records)
    prepared, questions = log_checks.prepared(findings, logs)
    about = [(sensor, report) for sensor, report in records if log_checks.is_about(questions, sensor, report)]
    theirs = {id(report): partition for partition, report in sent}
    away = [(theirs[id(report)], report) for _, report in about if id(report) in theirs]
    made = _counted(levels, LOGS, counts.ask(levels.job, LOGS, questions) if away else "", away)
    figures = made if isinstance(made, LogFigures) else LogFigures(questions.digest)
    for sensor, report in about:
        if id(report) not in theirs and report.path not in figures.files and isinstance(sensor, Logs):
            figures.take(log_checks.count_log(questions, report.path, sensor.options))
    return log_checks.written(prepared, questions, figures, [report.path for _, report in records])


def _counted(levels: Levels, of: str, asked: str, sent: Sent) -> Figures | None:
    """Figures of these partitions together; None if there are none. What the second read did not find any more is
    said in their reports."""
    if not sent:
        return None
    tasks = [
        {
            "of": of,
            "asked": asked,
            "partition": partition.to_dict(),
            "named": report.path,
            "times": [report.first, report.last],
            "rows": report.rows,
        }
        for partition, report in sent
    ]

    def counted() -> tuple[list[dict[str, Any]], Figures]:
        results = levels.run("count", tasks)
        # A capture that was given twice counts twice, as it does in one process.
        files = sorted(result["file"] for result in results)
        while len(files) > FAN_IN:
            gathered = levels.run("gather", [{"of": of, "files": group} for group in groups_of(files)])
            files = [result["file"] for result in gathered]
        return results, counts.joined(of, counts.read(levels.job, of, files))

    results, figures = mended(counted)
    for (_, report), result in zip(sent, results, strict=True):
        report.damage[:0] = result["damage"]
        report.places += len(result["damage"])
    return figures
