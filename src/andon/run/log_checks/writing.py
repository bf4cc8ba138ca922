"""Evidence with commands for the logs that show it, from what the second read counted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from andon.records.finding import Evidence, Finding
from andon.run.log_checks.asked import LINES, Asked, Questions, question, wanted
from andon.run.log_checks.figures import FIELDS, READ, Answer, LogFigures, LogFile

if TYPE_CHECKING:
    from andon.observe.logs.shows import Where

_MOST_FILES: Final = 100  # of one command


def written(
    findings: Sequence[Finding], questions: Questions, figures: LogFigures, paths: Sequence[str]
) -> list[Finding]:
    """The findings that ``prepared`` gave, with their checks over logs counted and written out. ``paths``: all files of
    the job in the order in which they were given, which is that of the evidence. Raises ValueError for figures of other
    questions or files."""
    if figures.questions != questions.digest:
        raise ValueError("these figures of logs were counted for other findings")
    if not figures.files.keys() <= set(paths):
        raise ValueError(
            f"counted in a log that is not of this job: {min(figures.files.keys() - set(paths))}"
        )
    numbers = {asked: n for n, asked in enumerate(questions.asked)}
    return [
        finding.with_evidence(
            tuple(made for item in finding.evidence for made in _written(item, numbers, figures, paths))
        )
        if any(wanted(item.check) for item in finding.evidence)
        else finding
        for finding in findings
    ]


def _written(
    item: Evidence, numbers: Mapping[Asked, int], figures: LogFigures, paths: Sequence[str]
) -> list[Evidence]:
    """The evidence with commands for the logs that show it, or with SQL."""
    check = item.check
    if check is None or not wanted(check):
        return [item]
    asked = question(check.expression)
    if asked is None:
        return [replace(item, statement=f"{item.statement} (not counted: no check over logs)", check=None)]
    groups: dict[tuple[str, str, str], list[tuple[str, int]]] = {}
    for path in paths:
        log = figures.files.get(path)
        answer = None if log is None else log.answers.get(numbers[asked])
        if log is None or answer is None:
            continue
        made = _program(asked, log, answer)
        if made is None:
            groups = {}
            break
        groups.setdefault((*made, log.packed), []).append((path, answer.rows))
    if not groups and item.statement.startswith(LINES):  # there is SQL for it already
        return []
    if not groups:
        about = (
            "counted over the tables of the span"
            if asked.path is None
            else "all paths, counted over the tables"
        )
        return [
            replace(
                item, statement=f"{item.statement} ({about})", check=replace(check, tool="sql", expression=asked.sql())
            )
        ]  # fmt: skip
    found = []
    for number, ((tool, program, packed), logs) in enumerate(groups.items()):
        for first in range(0, len(logs), _MOST_FILES):
            some = logs[first : first + _MOST_FILES]
            names = tuple(path for path, _ in some)
            made_check = replace(
                check,
                tool=tool,
                expression=command(tool, program, packed, names),
                expected=sum(rows for _, rows in some),
                input=names,
            )
            more = (
                "" if number == first == 0 else f" (and in {len(names)} more file{'s' * (len(names) != 1)})"
            )
            found.append(replace(item, statement=item.statement + more, check=made_check))
    return found


def command(tool: str, program: str, packed: str, paths: Sequence[str]) -> str:
    """A command line for a POSIX shell. Nothing in names of files is taken for an option, a variable or a pattern. jq
    gets each line as a text, so that one that is no JSON stops nothing; awk takes bytes, whatever the locale is.

    >>> command("awk", "NF", "gzip", ["a b.log.gz"])
    "gzip -dc './a b.log.gz' | LC_ALL=C awk NF"
    """
    names = " ".join(shlex.quote(path if path.startswith("/") else f"./{path}") for path in paths)
    run = f"{'jq -cR' if tool == 'jq' else f'LC_ALL=C {tool}'} {shlex.quote(program)}"
    return f"{READ[packed]} {names} | {run}" if packed else f"{run} {names}"


def _program(asked: Asked, log: LogFile, answer: Answer) -> tuple[str, str] | None:
    """(tool, program) that shows just the records that were counted; None if the format has none."""
    module = import_module(f"andon.observe.logs.{log.format}")
    shows: Callable[[Where, Mapping[str, Any]], tuple[str, str] | None] | None = getattr(
        module, "shows", None
    )
    if shows is None or (log.packed and log.broken):
        return None
    state = json.loads(log.state)
    for name in FIELDS:
        if not answer.wrong[name]:
            made = shows(asked.where(name, frozenset(answer.via)), state)
            if made is not None:
                return made
    return None
