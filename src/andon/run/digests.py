"""Digests of an analysis: two runs are the same if these are, whichever runner made them.

One line for each conclusion (engine, span, start): digests of the summary that was concluded, of the carry after it,
of its findings as the engine gave them and of its tables. One line more for each engine at the end: its findings with
their exact figures. ``andon analyze --digests FILE`` writes them as JSON, one a line, in the order of time, whichever
the runner, so that ``diff`` shows which engine and which span differ first.

A *witness* is what conclusions are shown to (``Conclusions.witness``): it sees them as they are drawn, keeps 16 bytes
of each part and lets go of the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from andon.records.contract import Outcome
from andon.records.finding import Finding
from andon.run.engines import AnyEngine


@dataclass(frozen=True, order=True)
class Digest:
    """Of one conclusion; ``start``: of the span, ns. ``rows``: of all its tables. "" for what is not there: the
    summary of a span of which nothing was read, the carry of an engine that keeps none."""

    engine: str
    span: str
    start: int
    summary: str
    carry: str
    findings: str
    tables: str
    found: int
    rows: int


def digest(engine: AnyEngine, span: str, start: int, summary: Any, outcome: Outcome[Any]) -> Digest:
    """Of a conclusion; ``summary`` is None where nothing was read of the span."""
    carry = outcome.carry
    return Digest(
        engine.name,
        span,
        start,
        "" if summary is None else _digest(summary.to_bytes()),
        "" if carry is None else _digest(carry.to_bytes()),
        of_findings(outcome.findings),
        of_tables(outcome.tables),
        len(outcome.findings),
        sum(table.num_rows for table in outcome.tables.values()),
    )


@dataclass
class Recorder:
    """A witness that remembers every digest. A conclusion that is drawn again (a live runner was started again) takes
    the place of the first."""

    seen: dict[tuple[str, str, int], Digest] = field(default_factory=dict)

    def begin(self) -> None:
        """Forget everything."""
        self.seen = {}

    def __call__(self, engine: AnyEngine, span: str, start: int, summary: Any, outcome: Outcome[Any]) -> None:
        self.seen[engine.name, span, start] = digest(engine, span, start, summary, outcome)


class DigestFile:
    """A witness that writes every digest down, in the order of time: JSON, one a line. A context manager; ``finish``
    before it ends. Raises OSError.

    >>> with DigestFile(Path("digests.ndjson")) as witness:              # doctest: +SKIP
    ...     witness.finish(analyze(paths, site, witness=witness).findings)
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def begin(self) -> None:
        """Start the file again."""
        self._file.seek(0)
        self._file.truncate()

    def __call__(self, engine: AnyEngine, span: str, start: int, summary: Any, outcome: Outcome[Any]) -> None:
        self._file.write(f"{json.dumps(asdict(digest(engine, span, start, summary, outcome)))}\n")

    def finish(self, findings: Iterable[Finding]) -> None:
        """The findings of the whole analysis, counted exactly: a line for each engine."""
        by_engine: dict[str, list[Finding]] = {}
        for finding in findings:
            by_engine.setdefault(finding.engine, []).append(finding)
        for name, found in sorted(by_engine.items()):
            said = {"engine": name, "exact": of_findings(found), "found": len(found)}
            self._file.write(f"{json.dumps(said)}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def differences(ours: Recorder, theirs: Recorder, but: Sequence[str] = ()) -> list[str]:
    """Where two runs are not equal, in words, by time; ``but``: engines that need not be."""
    found: list[tuple[int, str]] = []
    for key in ours.seen.keys() | theirs.seen.keys():
        name, span, start = key
        if name in but:
            continue
        a, b = ours.seen.get(key), theirs.seen.get(key)
        if a is None or b is None:
            found.append((start, f"{name} {span} {start}: only in the {'second' if a is None else 'first'}"))
        elif a != b:
            what = [part for part, value in asdict(a).items() if value != asdict(b)[part]]
            found.append((start, f"{name} {span} {start}: {', '.join(what)}"))
    return [text for _, text in sorted(found)]


def of_findings(findings: Iterable[Finding]) -> str:
    """Hex digest of findings in their order, with all their entities."""
    made = hashlib.blake2b(digest_size=16)
    for finding in findings:
        _put(made, finding.to_json().encode())
        _put(made, str([(e.type, e.value, e.packets) for e in finding.entities]).encode())
    return made.hexdigest()


def of_tables(tables: Mapping[str, pa.Table]) -> str:
    """Hex digest of tables by name; however their rows are cut into chunks."""
    made = hashlib.blake2b(digest_size=16)
    for name in sorted(tables):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, tables[name].schema) as stream:
            stream.write_table(tables[name].combine_chunks())
        _put(made, name.encode())
        _put(made, sink.getvalue())
    return made.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest() if data else ""


def _put(made: Any, data: Any) -> None:
    made.update(len(data).to_bytes(8, "little"))
    made.update(data)
