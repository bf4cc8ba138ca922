"""What checks over logs ask for, in one order whoever collects them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from andon.records.finding import Check, Evidence, Finding, sql_text
from andon.records.neutral import neutral

if TYPE_CHECKING:
    from andon.observe.logs.shows import Where

EDGES: Final = "livenet_edges_edges"
LINES: Final = "In the log itself: "  # how evidence begins that nobody asked for
_KEYS: Final = frozenset({"terminal", "destination", "from", "to", "host_path"})
# SQL over a table of livenet for one terminal and one destination.
_PAIR: Final = re.compile(
    r"SELECT .*\blivenet_\w+ WHERE terminal = '((?:[^']|'')*)' AND destination = '((?:[^']|'')*)'.*",
    re.DOTALL,
)
_MOST_PAIRS: Final = 5  # of one finding that did not ask for them
_VERSION: Final = 1
_TIMES: Final = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True)
class Asked:
    """What a check asks for; times in ns."""

    terminal: str
    host: str
    below: bool
    start: int | None
    end: int | None
    path: str | None

    @classmethod
    def of(cls, expression: str) -> Asked:
        """Raises ValueError for an expression that is none."""
        try:
            said = json.loads(expression)
        except (ValueError, RecursionError) as error:
            raise ValueError("a check over logs is a JSON object") from error
        if not isinstance(said, dict) or set(said) - _KEYS or not {"terminal", "destination"} <= set(said):
            raise ValueError(f"a check over logs has the keys {', '.join(sorted(_KEYS))}")
        texts = [said["terminal"], said["destination"], said.get("host_path", "")]
        times = [said.get("from"), said.get("to")]
        if not all(isinstance(text, str) for text in texts) or not all(
            time is None or (isinstance(time, (int, float)) and abs(time) < 1e10) for time in times
        ):
            raise ValueError("a check over logs has texts, and times in seconds since 1970")
        start, end = (None if time is None else round(time * 1000) * 1_000_000 for time in times)
        host = texts[1].removeprefix("*.")
        return cls(texts[0], host, host != texts[1], start, end, said.get("host_path"))

    def where(self, field: str, via: frozenset[str]) -> Where:
        from andon.observe.logs.shows import Where

        return Where(self.terminal, field, self.host, self.below, self.start, self.end, self.path, via)

    def sql(self) -> str:
        """The same over the edges of the span: all of its contacts, whatever their path."""
        destination = f"*.{self.host}" if self.below else self.host
        return (
            f"SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM {EDGES} "
            f"WHERE terminal = {sql_text(self.terminal)} AND destination = {sql_text(destination)}"
        )

    def row(self) -> list[str | bool | int | None]:
        """As JSON values."""
        return [self.terminal, self.host, self.below, self.start, self.end, self.path]


@dataclass(frozen=True)
class Questions:
    """What is asked of logs, each once and in order of ``Asked.row`` as JSON. Raises ValueError for another order.

    >>> one = Questions((Asked("192.0.2.1", "a.example", False, None, 5, None),))
    >>> one.meeting(5, 9), one.meeting(4, 9), Questions.from_json(one.to_json()) == one
    ([], [0], True)
    """

    asked: tuple[Asked, ...] = ()

    def __post_init__(self) -> None:
        rows = [_json(one.row()) for one in self.asked]
        if any(before >= after for before, after in pairwise(rows)):
            raise ValueError("questions to logs stand in order, each of them once")

    def meeting(self, first: int, last: int) -> list[int]:
        """Numbers of the questions that a record with a time in first <= ts <= last (ns) may answer."""
        return [
            n
            for n, one in enumerate(self.asked)
            if (one.start is None or one.start <= last) and (one.end is None or one.end > first)
        ]

    @cached_property
    def digest(self) -> str:
        """Of all that is asked: 32 hex digits."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=16).hexdigest()

    def to_json(self) -> str:
        """One line of ASCII; equal for equal questions."""
        return _json({"version": _VERSION, "asked": [one.row() for one in self.asked]})

    @classmethod
    def from_json(cls, text: str) -> Questions:
        """What ``to_json`` gave. Raises ValueError for anything else."""
        try:
            said = json.loads(text)
        except RecursionError as error:
            raise ValueError("not questions to logs") from error
        if not isinstance(said, dict) or said.get("version") != _VERSION:
            raise ValueError(f"not questions to logs of version {_VERSION}")
        if set(said) != {"version", "asked"} or not isinstance(said["asked"], list):
            raise ValueError("questions to logs hold a version and what is asked")
        return cls(tuple(_asked(row) for row in said["asked"]))


def wanted(check: Check | None) -> bool:
    """Is it a check over logs?"""
    return check is not None and check.tool == "log" and not check.relation


def prepared(findings: Sequence[Finding], logs: bool) -> tuple[list[Finding], Questions]:
    """(the findings, what their checks ask of logs). ``logs``: there are some that can be read again; findings with SQL
    for a terminal and a destination then ask for the lines as well."""
    ready = [_with_lines(finding) for finding in findings] if logs else list(findings)
    found: dict[str, Asked] = {}
    for finding in ready:
        for item in finding.evidence:
            if item.check is None or not wanted(item.check):
                continue
            asked = question(item.check.expression)
            if asked is not None:
                found[_json(asked.row())] = asked
    return ready, Questions(tuple(asked for _, asked in sorted(found.items())))


def question(expression: str) -> Asked | None:
    """What an expression asks for; None if it is no check over logs."""
    try:
        return Asked.of(expression)
    except ValueError:
        return None


def _with_lines(finding: Finding) -> Finding:
    """The finding with checks over logs for the pairs that its SQL is about; the window of the finding is theirs."""
    have = {
        item.check.expression for item in finding.evidence if item.check is not None and wanted(item.check)
    }
    found: dict[str, Evidence] = {}
    for item in finding.evidence:
        check = item.check
        if check is None or check.tool != "sql" or not check.expression.startswith("SELECT "):
            continue
        match = _PAIR.fullmatch(check.expression)
        if match is None or len(found) == _MOST_PAIRS:
            continue
        terminal, destination = (text.replace("''", "'") for text in match.groups())
        start, end = (time / 1e9 for time in finding.window)
        asked = {"terminal": terminal, "destination": destination, "from": start, "to": end}
        expression = json.dumps(asked)
        if expression not in have and not any(terminal in one and destination in one for one in have):
            said = f"{LINES}{neutral(terminal)} asks for {neutral(destination, 'domain')}"
            found[expression] = Evidence(said, Check("", 0.0, "log", expression))
    return finding.with_evidence((*finding.evidence, *found.values())) if found else finding


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _asked(row: object) -> Asked:
    if not isinstance(row, list) or len(row) != 6:
        raise ValueError(f"not a question to logs: {str(row)[:80]}")
    terminal, host, below, start, end, path = row
    texts = isinstance(terminal, str) and isinstance(host, str) and (path is None or isinstance(path, str))
    times = all(time is None or (type(time) is int and time in _TIMES) for time in (start, end))
    if not texts or not times or not isinstance(below, bool):
        raise ValueError(f"not a question to logs: {str(row)[:80]}")
    return Asked(terminal, host, below, start, end, path)
