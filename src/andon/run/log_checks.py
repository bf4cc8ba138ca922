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
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.sensors.logs import Logs
from andon.records.columns import column
from andon.records.finding import Check, Evidence, Finding, sql_text
from andon.records.neutral import neutral

if TYPE_CHECKING:
    from andon.observe.logs import Lines
    from andon.observe.logs.shows import Where
    from andon.observe.sensors import Sensor
    from andon.run.feed import FileReport

EDGES: Final = "livenet_edges_edges"
_KEYS: Final = frozenset({"terminal", "destination", "from", "to", "host_path"})
_FIELDS: Final = ("address", "user", "nobody")  # how a terminal may stand in a log, the plainest first
_READ: Final = {"gzip": "gzip -dc", "zstd": "zstd -dcq --long=27", "lz4": "lz4 -dcq"}
_MOST_FILES: Final = 100  # of one command
# SQL over a table of livenet for one terminal and one destination.
_PAIR: Final = re.compile(
    r"SELECT .*\blivenet_\w+ WHERE terminal = '((?:[^']|'')*)' AND destination = '((?:[^']|'')*)'.*",
    re.DOTALL,
)
_MOST_KNOWN: Final = 1 << 20
_MOST_PAIRS: Final = 5  # of one finding that did not ask for them


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


@dataclass
class _Counts:
    """Records of one file, and those that each way of naming the terminal in the log would find or miss wrongly."""

    rows: int = 0
    wrong: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FIELDS, 0))
    via: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Log:
    """A log that was read: how it is packed, its format's module and what its reader knows at its end."""

    path: str
    packed: str
    module: Any
    state: Mapping[str, Any]
    broken: bool  # it ends in an error: what a tool unpacks of it before that may be more or less


def wanted(check: Check | None) -> bool:
    """Is it a check over logs?"""
    return check is not None and check.tool == "log" and not check.relation


def count(
    findings: Sequence[Finding],
    records: Iterable[tuple[Sensor, FileReport]] = (),
    progress: Callable[[int], None] | None = None,
) -> list[Finding]:
    """The findings with their checks over logs counted and written out; ``records``: the sensors and reports of the
    files (``Inputs.records``), none if the source is live. ``progress`` gets the records of each batch."""
    records = list(records)
    if any(isinstance(sensor, Logs) and sensor.options.key is None for sensor, _ in records):
        findings = [_with_lines(finding) for finding in findings]
    asked = {
        item.check.expression
        for finding in findings
        for item in finding.evidence
        if item.check is not None and wanted(item.check)
    }
    if not asked:
        return list(findings)
    known: dict[str, Asked] = {}
    for expression in sorted(asked):
        try:
            known[expression] = Asked.of(expression)
        except ValueError:
            continue
    every = list(dict.fromkeys(known.values()))
    answers = _read(every, records, progress)
    return [
        finding.with_evidence(
            tuple(made for item in finding.evidence for made in _written(item, known, answers))
        )
        if any(wanted(item.check) for item in finding.evidence)
        else finding
        for finding in findings
    ]


Answers = dict[Asked, list[tuple[_Log, _Counts]]]
_LINES: Final = "In the log itself: "


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
            said = f"{_LINES}{neutral(terminal)} asks for {neutral(destination, 'domain')}"
            found[expression] = Evidence(said, Check("", 0.0, "log", expression))
    return finding.with_evidence((*finding.evidence, *found.values())) if found else finding


def _written(item: Evidence, known: Mapping[str, Asked], answers: Answers) -> list[Evidence]:
    """The evidence with commands for the logs that show it, or with SQL."""
    check = item.check
    if check is None or not wanted(check):
        return [item]
    asked = known.get(check.expression)
    if asked is None:
        return [replace(item, statement=f"{item.statement} (not counted: no check over logs)", check=None)]
    groups: dict[tuple[str, str, str], list[tuple[_Log, int]]] = {}
    for log, counts in answers.get(asked, []):
        made = _program(asked, log, counts)
        if made is None:
            groups = {}
            break
        groups.setdefault((*made, log.packed), []).append((log, counts.rows))
    if not groups and item.statement.startswith(_LINES):  # there is SQL for it already
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
            paths = tuple(log.path for log, _ in some)
            made_check = replace(
                check,
                tool=tool,
                expression=command(tool, program, packed, paths),
                expected=sum(rows for _, rows in some),
                input=paths,
            )
            more = (
                "" if number == first == 0 else f" (and in {len(paths)} more file{'s' * (len(paths) != 1)})"
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
    return f"{_READ[packed]} {names} | {run}" if packed else f"{run} {names}"


def _program(asked: Asked, log: _Log, counts: _Counts) -> tuple[str, str] | None:
    """(tool, program) that shows just the records that were counted; None if the format has none."""
    shows: Callable[[Where, Mapping[str, Any]], tuple[str, str] | None] | None = getattr(
        log.module, "shows", None
    )
    if shows is None or not counts.rows or (log.packed and log.broken):
        return None
    for name in _FIELDS:
        if not counts.wrong[name]:
            made = shows(asked.where(name, frozenset(counts.via)), log.state)
            if made is not None:
                return made
    return None


def _read(
    every: Sequence[Asked],
    records: Iterable[tuple[Sensor, FileReport]],
    progress: Callable[[int], None] | None,
) -> Answers:
    """The second read: for each question the logs that have records of it."""
    answers: Answers = {asked: [] for asked in every}
    if not every:
        return answers
    look = _Look(every)
    for sensor, report in records:
        if not isinstance(sensor, Logs) or report.error is not None or sensor.options.key is not None:
            continue
        counts = [_Counts() for _ in every]
        log = _read_one(sensor, report.path, look, counts, progress)
        for asked, found in zip(every, counts, strict=True):
            if found.rows and log is not None:
                answers[asked].append((log, found))
    return answers


def _read_one(
    sensor: Logs, path: str, look: _Look, counts: list[_Counts], progress: Callable[[int], None] | None
) -> _Log | None:
    from andon.observe.compressed import compression
    from andon.observe.jsonlines import Skipped
    from andon.observe.logs import format_of
    from andon.observe.logs.files import blocks
    from andon.observe.logs.identity import Identity
    from andon.observe.logs.reading import plain

    who, reader, module, skipped, broken = Identity(sensor.options), None, None, Skipped(), False

    def look_at(reader: Lines, data: bytes, into: list[_Counts]) -> None:
        for kind, batch in reader.read(data, skipped):
            if kind == "contact":
                look.add(who.apply(kind, batch), into)
            if progress is not None and into is counts:
                progress(batch.num_rows)

    try:
        with open(path, "rb") as raw:  # noqa: PTH123
            packed = compression(raw.read(4))
        for data in blocks(path):
            if reader is None:
                module = format_of(data, path, sensor.options)
                if module is None:
                    return None
                reader = module.lines(data, sensor.options, None)
            assert module is not None
            if plain(data) is not data:  # a tool takes such bytes as they are, the reader escapes them
                other, before = [_Counts() for _ in counts], [one.rows for one in counts]
                look_at(module.lines(data, sensor.options, reader.state()), _blotted(data), other)
                look_at(reader, data, counts)
                for one, rows, twin in zip(counts, before, other, strict=True):
                    if one.rows - rows != twin.rows:  # they are in what is asked for
                        one.wrong = {name: wrong + 1 for name, wrong in one.wrong.items()}
            else:
                look_at(reader, data, counts)
    except (OSError, ValueError):
        broken = True  # the first read has said what is wrong; what was read until then is counted here too
    return None if reader is None else _Log(path, packed, module, reader.state(), broken)


def _blotted(data: bytes) -> bytes:
    """The same lines with U+FFFD in place of bytes that are no text."""
    return data.decode("utf-8", "replace").replace("\0", "\ufffd").encode()


class _Look:
    """Many questions put to batches at once."""

    def __init__(self, every: Sequence[Asked]) -> None:
        self._every = every
        self._terminals = sorted({asked.terminal for asked in every})
        self._hosts = sorted({asked.host for asked in every if not asked.below})
        self._domains = sorted({asked.host for asked in every if asked.below})
        self._number = {text: n for n, text in enumerate(self._terminals)}
        self._domain = {text: n for n, text in enumerate(self._domains)}
        self._known: dict[str, int] = {}  # the domain of each host seen
        self._of: dict[tuple[bool, int], list[int]] = {}  # questions by what their host is
        place = {host: n for n, host in enumerate(self._hosts)}
        for n, asked in enumerate(every):
            if asked.below:
                for number, domain in enumerate(self._domains):  # and domains inside this one
                    if domain == asked.host or domain.endswith("." + asked.host):
                        self._of.setdefault((True, number), []).append(n)
            else:
                self._of.setdefault((False, place[asked.host]), []).append(n)

    def add(self, batch: pa.RecordBatch, counts: list[_Counts]) -> None:
        terminals = pa.array(self._terminals, pa.string())
        who = {name: _codes(batch.column(name), terminals) for name in ("terminal", "address", "user")}
        asked = np.maximum.reduce(list(who.values())) >= 0
        if not asked.any():
            return
        nobody = _codes(batch.column("user"), pa.array([""])) >= 0
        hosts = batch.column("host")
        for below, texts in ((False, self._hosts), (True, self._domains)):
            if not texts:
                continue
            code = self._below(hosts) if below else _codes(hosts, pa.array(texts, pa.string()))
            rows = np.flatnonzero(asked & (code >= 0))
            if not len(rows):
                continue
            order = rows[np.argsort(code[rows], kind="stable")]
            found, first = np.unique(code[order], return_index=True)
            for host, some in zip(found.tolist(), np.split(order, first[1:]), strict=True):
                for n in self._of[below, host]:
                    self._count(batch, self._every[n], some, who, nobody, counts[n])

    def _below(self, words: pa.DictionaryArray) -> np.ndarray:
        """int64: in which of the domains each row's host lies, the longest if in several; -1 for none."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        codes = []
        for host in words.dictionary.to_pylist():
            code = self._known.get(host)
            if code is None:
                rest = host
                while rest and rest not in self._domain:
                    rest = rest.partition(".")[2]
                code = self._known[host] = self._domain.get(rest, -1)
            codes.append(code)
        found = np.array(codes, np.int64)
        return np.asarray(found[words.indices.to_numpy(zero_copy_only=False)])

    def _count(
        self, batch: pa.RecordBatch, asked: Asked, rows: np.ndarray, who: Mapping[str, np.ndarray],
        nobody: np.ndarray, counts: _Counts,
    ) -> None:  # fmt: skip
        """Count what of ``rows``, which ask for the right host, is asked for."""
        number = self._number[asked.terminal]
        rows = rows[
            (who["terminal"][rows] == number)
            | (who["address"][rows] == number)
            | (who["user"][rows] == number)
        ]
        if asked.start is not None or asked.end is not None:
            ts = column(batch, "ts")[rows]
            good = np.ones(len(rows), np.bool_)
            if asked.start is not None:
                good &= ts >= asked.start
            if asked.end is not None:
                good &= ts < asked.end
            rows = rows[good]
        if asked.path is not None and len(rows):
            same = pc.equal(batch.column("path").take(pa.array(rows)), asked.path)
            rows = rows[same.to_numpy(zero_copy_only=False)]
        own, address = who["terminal"][rows] == number, who["address"][rows] == number
        counts.rows += int(own.sum())
        counts.via.update(pc.unique(batch.column("via").take(pa.array(rows[own]))).to_pylist())
        counts.wrong["address"] += int((address != own).sum())
        counts.wrong["user"] += int(((who["user"][rows] == number) != own).sum())
        counts.wrong["nobody"] += int(((address & nobody[rows]) != own).sum())


def _codes(words: pa.DictionaryArray, texts: pa.Array) -> np.ndarray:
    """int64: which of the texts each row has, -1 for none."""
    known = np.asarray(pc.index_in(words.dictionary, texts).fill_null(-1)).astype(np.int64)
    return np.asarray(known[words.indices.to_numpy(zero_copy_only=False)])
