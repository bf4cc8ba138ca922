"""Checks by awk or jq over the logs themselves: counted in a second read, and written so that anybody can run them.

An engine gives ``Check(relation="", tool="log", expression=JSON)``: ``{"terminal": "T", "destination": "D"}``, where D
is a host, or ``*.domain`` for it and every name below it; ``from`` and ``to`` (seconds since 1970, the end exclusive)
and ``host_path`` (the path of the URL, as a contact has it) narrow it down. The runner reads the log files again,
counts the records exactly, and fills in ``tool``, ``expression`` (a complete command for a shell in the folder of the
analysis, that prints the lines), ``expected`` (how many) and ``input`` (the files). Logs of several formats, or packed
in several ways, become several pieces of evidence.

A format is asked for a program by ``shows`` of its module (``observe.logs.shows``). Where there is none - pseudonyms, a
live source, a device known by its lease, a format of the operator's own - the check becomes SQL over the edges that
``livenet.edges`` publishes, which ``table_checks`` then counts, and the statement says so.

A finding with SQL over a table of ``livenet`` for one terminal and one destination gets the lines of the log as well,
without asking, where there is a command that shows them.

``count`` does all of it in this process. Its steps are for workers, too: ``prepared`` says what is to be counted
(``Questions``), ``count_log`` counts it in one file, from its first line to its last, since a format may say in a
heading what the lines below it mean; ``merge`` joins what was counted in several files (``LogFigures``, which travel as
bytes), and ``written`` writes the evidence. The last looks at all files in the order in which they were given, and so
stays with whoever has all the figures; no question needs records of two files at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from andon.observe.sensors.logs import Logs
from andon.records.finding import Finding
from andon.run.log_checks.asked import EDGES, Asked, Questions, prepared, wanted
from andon.run.log_checks.counting import count_log
from andon.run.log_checks.figures import LogFigures, merge
from andon.run.log_checks.writing import command, written

if TYPE_CHECKING:
    from andon.observe.sensors import Sensor
    from andon.run.feed import FileReport

__all__ = [
    "EDGES",
    "Asked",
    "LogFigures",
    "Questions",
    "command",
    "count",
    "count_log",
    "is_about",
    "merge",
    "prepared",
    "wanted",
    "written",
]


def count(
    findings: Sequence[Finding],
    records: Iterable[tuple[Sensor, FileReport]] = (),
    progress: Callable[[int], None] | None = None,
) -> list[Finding]:
    """The findings with their checks over logs counted and written out; ``records``: the sensors and reports of the
    files (``Inputs.records``), none if the source is live. ``progress`` gets the records of each batch."""
    records = list(records)
    findings, questions = prepared(
        findings, any(isinstance(sensor, Logs) and sensor.options.key is None for sensor, _ in records)
    )
    figures, done = LogFigures(questions.digest), set()
    for sensor, report in records:
        if isinstance(sensor, Logs) and is_about(questions, sensor, report) and report.path not in done:
            figures.take(count_log(questions, report.path, sensor.options, progress))
            done.add(report.path)
    return written(findings, questions, figures, [report.path for _, report in records])


def is_about(questions: Questions, sensor: Sensor, report: FileReport) -> bool:
    """Is there anything to count in this file? Not in what is no log, could not be read, or is read with pseudonyms;
    nor in a log that ends before everything that is asked for, or begins after it. ``report``: of the first read; where
    that left records out for their times, the times that it saw say nothing."""
    if not questions.asked or not isinstance(sensor, Logs) or report.error is not None:
        return False
    if sensor.options.key is not None:
        return False
    if report.first is None or report.last is None or report.astray:
        return True
    return bool(questions.meeting(report.first, report.last))
