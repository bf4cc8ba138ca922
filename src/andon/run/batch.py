"""The batch runner: files in, findings out, engines side by side in threads.

Two reads. In the first, every engine summarises every batch in a thread of its own (the kernels release the
GIL) and concludes each span as soon as no file can add to it. In the second, the relations that findings name
are counted exactly. See ``records/contract.py`` for what engines may rely on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from andon.observe.sensors import ASSETS
from andon.records.contract import Site, duration_ns
from andon.records.finding import SEVERITIES, Evidence, Finding
from andon.records.kinds import ALERT, CONTACT, DARKNET_SOURCE, FLOW, HONEYPOT_SESSION, PACKET, REPORT
from andon.run import log_checks
from andon.run.conclusions import Concluded, Conclusions, Witness, outcome_tables
from andon.run.engines import AnyEngine, load_engines
from andon.run.feed import LATENESS, Feed, FileReport, Telescope
from andon.run.inputs import Inputs, readable, with_assets
from andon.run.recount import recount
from andon.run.shelf import Shelf
from andon.run.table_checks import SpanParts
from andon.run.windows import MAX_OPEN

_DAY = 86_400_000_000_000
_NOUNS = {PACKET: "packets", HONEYPOT_SESSION: "sessions", DARKNET_SOURCE: "darknet sources", REPORT: "reports",
          ASSETS: "assets", CONTACT: "log lines", FLOW: "flows", ALERT: "alerts"}  # fmt: skip


@dataclass
class Analysis:
    """What ``analyze`` gives: findings (worst first within each window), tables by ``ENGINE:TABLE``, and one
    report per file."""

    findings: list[Finding] = field(default_factory=list)
    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    files: list[FileReport] = field(default_factory=list)
    late: int = 0

    @property
    def readable(self) -> bool:
        return any(report.error is None for report in self.files)


Progress = Callable[[str, int], None]


def analyze(
    paths: Sequence[str | Path] | Inputs,
    site: Site | None = None,
    engines: Sequence[AnyEngine] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    witness: Witness | None = None,
) -> Analysis:
    """Run engines over files: captures, and whatever else a sensor recognises (``observe.sensors``).

    Asset lists among them go into the site if the engines are not given; engines that are given were made for a site.
    ``progress(stage, rows)`` is called after each batch with ``"read"`` or ``"check"``. A file that cannot be
    read does not stop the others: see ``Analysis.files``. ``witness`` is shown every conclusion (``run.digests``).
    Raises ValueError for a bad telescope prefix and EngineError for engines that do not fit together.
    """
    site = site or Site()
    inputs = paths if isinstance(paths, Inputs) else Inputs.of(paths)
    if engines is None:
        site = with_assets(site, inputs)
    engines = load_engines(site) if engines is None else list(engines)
    telescope = Telescope(site.telescope) if site.telescope else None
    gathered = Gathered()
    conclusions = Conclusions(engines, gathered.told)
    conclusions.watched_by(witness)
    columns = tuple(dict.fromkeys(name for engine in engines for name in engine.columns))
    feed = Feed(inputs.captures, columns, telescope, cut=_DAY)
    reached = None  # how far the input came
    with (
        ThreadPoolExecutor(threads or min(len(engines), os.cpu_count() or 1)) as pool,
        _shelved(inputs, engines, progress) as shelf,
    ):
        waiting: list[Any] = []
        passed: int | None = None  # the watermark after the batches that are summarised
        for kind, batch, ts, watermark in together(feed, shelf):
            for task in waiting:
                task.result()
            if passed is not None:
                conclusions.until(passed)
            passed = watermark
            waiting = [
                pool.submit(windows.add, batch, ts)
                for windows in conclusions.windows
                if kind in windows.engine.reads
            ]
            if kind != PACKET:
                reached = later(reached, int(ts[-1]))
            elif progress is not None:
                progress("read", batch.num_rows)
        for task in waiting:
            task.result()
    reached = later(reached, feed.reached)
    if reached is not None:
        conclusions.until(reached - LATENESS)
    conclusions.until(None)
    late = max((windows.late for windows in conclusions.windows), default=0)
    late += sum(report.astray for report in feed.reports)
    counted = (lambda rows: progress("check", rows)) if progress else None
    gathered.result.files = inputs.reports
    gathered.result.late = late
    gathered.result.findings = recount(
        gathered.result.findings, readable(inputs.captures), telescope, counted
    )
    gathered.result.findings = log_checks.count(gathered.result.findings, inputs.records, counted)
    return finished(gathered)


@dataclass
class Gathered:
    """What the conclusions of an analysis gave, before it is counted exactly. ``spans``: (span, start) of each
    finding."""

    result: Analysis = field(default_factory=Analysis)
    spans: list[tuple[str, int]] = field(default_factory=list)
    parts: SpanParts = field(default_factory=SpanParts)

    def told(self, concluded: Concluded) -> None:
        """Take in one conclusion; they come in time order."""
        findings = concluded.outcome.findings
        self.result.findings += findings
        self.spans.extend([(concluded.span, concluded.start)] * len(findings))
        tables = outcome_tables(concluded)
        self.parts.add(concluded.span, concluded.start, tables)
        for name, table in tables.items():
            self.result.tables.setdefault(name, []).append(table)


def finished(gathered: Gathered) -> Analysis:
    """The analysis, once its findings have been counted in packets and logs: those about tables are counted here."""
    result = gathered.result
    result.findings = gathered.parts.count(result.findings, gathered.spans, result.tables)
    result.findings += _damage(result.files, result.late)
    result.findings.sort(key=lambda f: (f.window, -SEVERITIES.index(f.severity), f.engine, -f.count))
    return result


def later(a: int | None, b: int | None) -> int | None:
    """The later of two times, either of which may not be known."""
    return b if a is None else a if b is None else max(a, b)


def _shelved(inputs: Inputs, engines: Sequence[AnyEngine], progress: Progress | None) -> Shelf:
    """Every file of other records than packets, read and put in order."""
    kinds = {kind for engine in engines for kind in engine.reads} - {PACKET}
    # Of the shortest windows that read such records never too many are open at once.
    tiles = [duration_ns(engine.window.tile) for engine in engines if kinds & set(engine.reads)]
    shelf = Shelf(kinds, step=min(_DAY, MAX_OPEN // 4 * min(tiles, default=_DAY)))
    for sensor, report in inputs.records:
        for records in shelf.add(sensor, report):
            if progress is not None:
                progress("read", records)
    return shelf


def together(feed: Feed, shelf: Shelf) -> Iterator[tuple[str, pa.RecordBatch, np.ndarray, int]]:
    """(kind, batch, times, watermark after it): packets and other records as one stream in the order of time.

    The watermark is the least of both while both go on, that of one when the other has ended, and at the end of both
    the one that came farther."""
    packets, records = iter(feed), shelf.pieces()
    record = next(records, None)
    if record is None:
        yield from ((PACKET, batch, ts, watermark) for _, batch, ts, watermark in packets)
        return
    packet = next(packets, None)
    passed = -(1 << 63) if packet is None else int(packet[2].min()) - LATENESS
    while packet is not None or record is not None:
        if record is not None and (packet is None or record[2][0] <= packet[2].min()):
            kind, batch, ts, start = record
            record = next(records, None)
            if packet is not None:
                watermark = passed if start is None else min(passed, start)
            else:
                watermark = max(passed, int(ts[-1]) - LATENESS) if start is None else start
            yield kind, batch, ts, watermark
        elif packet is not None:
            _, batch, ts, passed = packet
            packet = next(packets, None)
            yield PACKET, batch, ts, passed if record is None else min(passed, int(record[2][0]))


def _damage(reports: Sequence[FileReport], late: int) -> list[Finding]:
    """Findings of the runner itself: damaged input, and rows that came too late."""
    findings = []
    starts = [report.first for report in reports if report.first is not None]
    ends = [report.last for report in reports if report.last is not None]
    for report in reports:
        if report.error is not None or not report.damage:
            continue
        first, last = report.first, report.last
        if first is None or last is None:  # nothing of it has a time: as long as the others
            first, last = min(starts, default=0), max(ends, default=0)
        what = _NOUNS.get(report.kind, report.kind + " records")
        findings.append(
            Finding(
                engine="run.input",
                engine_version=1,
                kind="input-damage",
                title=f"{Path(report.path).name} is damaged",
                statement=f"{report.places:,} damaged place{'s' * (report.places != 1)} in {report.path}; "
                f"{report.records:,} {what} "
                f"were read all the same. First: {report.damage[0]}.",
                confidence=1.0,
                calibration="seen while reading",
                window=(first // _DAY * _DAY, last // _DAY * _DAY + _DAY),
                subject=("file", report.path),
                first_seen=first,
                last_seen=last,
                count=report.records,
                evidence=tuple(Evidence(text) for text in report.damage[:5]),
                attributes={"skipped": report.skipped, "places": report.places},
            )
        )
    if late:
        starts = [one.first for one in reports if one.first is not None and one.kind == PACKET] or starts
        ends = [one.last for one in reports if one.last is not None and one.kind == PACKET] or ends
        findings.append(
            Finding(
                engine="run.input",
                engine_version=1,
                kind="input-damage",
                title=f"{late:,} packets with times out of order are not counted",
                statement=f"The times of {late:,} packets do not fit those around them: they are more than 60 s "
                "late, in windows that were concluded already, or more than a day astray. They are in no other "
                "finding. If the times are true, sort the capture (reordercap IN OUT) to have them counted.",
                confidence=1.0,
                calibration="counted while reading",
                window=(min(starts) // _DAY * _DAY, max(ends) // _DAY * _DAY + _DAY),
                subject=("input", "late packets"),
                first_seen=min(starts),
                last_seen=max(ends),
                count=late,
            )
        )
    return findings
