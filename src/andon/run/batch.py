"""The batch runner: files in, findings out, engines side by side in threads.

Two reads. In the first, every engine summarises every batch in a thread of its own (the kernels release the
GIL) and concludes each span as soon as no file can add to it. In the second, the relations that findings name
are counted exactly. See ``records/contract.py`` for what engines may rely on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from andon.records.contract import Site
from andon.records.finding import SEVERITIES, Evidence, Finding
from andon.run.conclusions import Concluded, Conclusions, outcome_tables
from andon.run.engines import AnyEngine, load_engines
from andon.run.feed import Feed, FileReport, Telescope
from andon.run.recount import recount

_DAY = 86_400_000_000_000


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
    paths: Sequence[str | Path],
    site: Site | None = None,
    engines: Sequence[AnyEngine] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Analysis:
    """Run engines over capture files.

    ``progress(stage, rows)`` is called after each batch with ``"read"`` or ``"check"``. A file that cannot be
    read does not stop the others: see ``Analysis.files``. Raises ValueError for a bad telescope prefix and
    EngineError for engines that do not fit together.
    """
    site = site or Site()
    engines = load_engines(site) if engines is None else list(engines)
    telescope = Telescope(site.telescope) if site.telescope else None
    result = Analysis()

    def told(concluded: Concluded) -> None:
        result.findings += concluded.outcome.findings
        for name, table in outcome_tables(concluded).items():
            result.tables.setdefault(name, []).append(table)

    conclusions = Conclusions(engines, told)
    columns = tuple(dict.fromkeys(name for engine in engines for name in engine.columns))
    feed = Feed(paths, columns, telescope, cut=_DAY)
    with ThreadPoolExecutor(threads or min(len(engines), os.cpu_count() or 1)) as pool:
        waiting: list[Any] = []
        passed: int | None = None  # the watermark after the batches that are summarised
        for _, batch, ts, watermark in feed:
            for task in waiting:
                task.result()
            if passed is not None:
                conclusions.until(passed)
            passed = watermark
            waiting = [
                pool.submit(windows.add, batch, ts)
                for windows in conclusions.windows
                if windows.engine.columns
            ]
            if progress is not None:
                progress("read", batch.num_rows)
        for task in waiting:
            task.result()
    conclusions.until(None)
    result.files = feed.reports
    result.late = max((windows.late for windows in conclusions.windows), default=0)
    result.late += sum(report.astray for report in feed.reports)
    readable = [report.path for report in feed.reports if report.error is None]
    result.findings = recount(
        result.findings, readable, telescope, (lambda rows: progress("check", rows)) if progress else None
    )
    result.findings += _damage(feed.reports, result.late)
    result.findings.sort(key=lambda f: (f.window, -SEVERITIES.index(f.severity), f.engine, -f.count))
    return result


def _damage(reports: Sequence[FileReport], late: int) -> list[Finding]:
    """Findings of the runner itself: damaged input, and rows that came too late."""
    findings = []
    for report in reports:
        if report.error is not None or not report.damage:
            continue
        first, last = report.first or 0, report.last or 0
        findings.append(
            Finding(
                engine="run.input",
                engine_version=1,
                kind="input-damage",
                title=f"{Path(report.path).name} is damaged",
                statement=f"{report.places:,} damaged place{'s' * (report.places != 1)} in {report.path}; "
                f"{report.packets:,} packets "
                f"were read all the same. First: {report.damage[0]}.",
                confidence=1.0,
                calibration="seen while reading",
                window=(first // _DAY * _DAY, last // _DAY * _DAY + _DAY),
                subject=("file", report.path),
                first_seen=first,
                last_seen=last,
                count=report.packets,
                evidence=tuple(Evidence(text) for text in report.damage[:5]),
                attributes={"skipped": report.skipped, "places": report.places},
            )
        )
    if late:
        starts = [report.first for report in reports if report.first is not None]
        ends = [report.last for report in reports if report.last is not None]
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
