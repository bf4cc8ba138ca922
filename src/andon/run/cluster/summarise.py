"""The task that reads a partition, or a bundle of them: open, summarise with every engine, file the summaries by day.

What is in the work folder already is not made again: ``parts/NAME/*.json`` say which engines (by key) have been
through the partitions of that name, and which files hold what they made. Such a *manifest* is written last, so a task
that was killed has left nothing that counts. Engines for which there is none go through the partition now.

No manifest is written where a file could not be opened, could not be read on because of an error of the system, or is
not what it was when the job was planned: the next job looks at it again, and at its bundle with it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa

from andon.observe.sensors import sniff
from andon.records.contract import duration_ns
from andon.records.kinds import PACKET
from andon.run.cluster.clean import touch
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.job import Job
from andon.run.cluster.partition import Partition
from andon.run.cluster.summaries import Key, SummaryWriter
from andon.run.cluster.windows import PartWindows
from andon.run.cluster.work_folder import ensure, put_json, read_json, sweep
from andon.run.engines import AnyEngine
from andon.run.feed import LATENESS, Feed, FileReport
from andon.run.shelf import Shelf
from andon.run.windows import MAX_OPEN

if TYPE_CHECKING:
    from andon.observe.sensors import Sensor

DAY: Final = 86_400_000_000_000
_AFTER: Final = 3_600_000_000_000  # ns that a day is kept open after its end, for rows that are out of order
_DAYS: Final = 2  # that are open at once
_FILES: Final = 16  # that are written at once

Kept = tuple["Sensor", FileReport]


def summarise(job: Job, *partitions: Partition) -> dict[str, Any]:
    """Partitions of the same kind of content. JSON values: ``reports`` (``FileReport`` of each), ``reached`` (ns, the
    latest of the feed's positions at the end, or None), ``files``: (day, path below the work folder, keys to take from
    it), ``made``: whether anything was read now. Raises ClusterError."""
    folder = _folder(job, partitions)
    reading = {key: engine for key, engine in job.engines.items() if _reads(engine, partitions[0])}
    found = _found(folder, job, reading)
    missing = {key: engine for key, engine in reading.items() if key not in found}
    made = bool(missing) or not found
    if made:
        ensure(folder)
        sweep(folder)
        touch(folder)
        manifest = _made(job, partitions, folder, missing)
        found |= dict.fromkeys(missing or ("",), manifest)
    files: dict[str, tuple[int, set[str]]] = {}
    for key, manifest in found.items():
        for day, name in manifest["files"]:
            files.setdefault(name, (int(day), set()))[1].add(key)
    # An engine that was here alone has not seen what the others read.
    positions = [one["reached"] for one in found.values() if one["reached"] is not None]
    return {
        "reports": next(iter(found.values()))["reports"],
        "reached": max(positions, default=None),
        "files": [
            [day, str((folder / name).relative_to(job.work)), sorted(keys)]
            for name, (day, keys) in sorted(files.items())
        ],
        "made": made,
    }


def _folder(job: Job, partitions: Sequence[Partition]) -> Path:
    name = partitions[0].name
    if len(partitions) > 1:
        name = hashlib.sha256(json.dumps([one.name for one in partitions]).encode()).hexdigest()[:32]
    return job.work / "parts" / name[:2] / name


def summarise_kept(job: Job, folder: Path, kept: Sequence[Kept]) -> tuple[list[list[Any]], int | None]:
    """Files of records that only this process reads, summarised into a folder of its own: (``files`` with paths from
    the root, ``reached``), see ``summarise``. Raises ClusterError."""
    engines = {key: engine for key, engine in job.engines.items() if set(engine.reads) - {PACKET}}
    reached = None
    with _Days(engines, folder, "kept") as days:
        for kind, batch, ts, position in _records(kept, engines):
            days.add(kind, batch, ts)
            reached = position if reached is None else max(reached, position)
    return [[day, str(folder / name), sorted(engines)] for day, name in days.files], reached


def _reads(engine: AnyEngine, partition: Partition) -> bool:
    packets = PACKET in engine.reads
    return packets if partition.what == "packets" else bool(set(engine.reads) - {PACKET})


def _name_of(job: Job, keys: Collection[str]) -> str:
    """Of a manifest. Where no engine reads the partition, what the report says depends on the telescope alone."""
    said = [sorted(keys), [] if keys else list(job.site.telescope)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def _found(folder: Path, job: Job, wanted: Collection[str]) -> dict[str, dict[str, Any]]:
    """The manifest of each engine that has been here before, if its files still are; of "" if there is no engine."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json" if wanted else f"{_name_of(job, wanted)}.json")):
        try:
            manifest = read_json(path)
            names = [str(name) for _, name in manifest["files"]]
            keys = [str(key) for key in manifest["engines"]] or [""]
            for report in manifest["reports"]:
                reread(report)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # not one of ours, or not whole: as if it were not there
        mine = [key for key in keys if key in wanted or not wanted]
        if mine and all((folder / name).exists() for name in names):
            found |= dict.fromkeys(mine, manifest)
            for used in (path, *(folder / name for name in names)):
                touch(used)
    return found


def _made(
    job: Job, partitions: Sequence[Partition], folder: Path, engines: Mapping[str, AnyEngine]
) -> dict[str, Any]:
    """Go through the partitions and write summaries and manifest."""
    name = _name_of(job, engines)
    began = time.thread_time()
    reached, reports = None, [one.report for one in partitions]
    with _Days(engines, folder, name) as days:
        if partitions[0].what == "packets":
            pieces = _packets(job, reports, engines)
        else:
            both = zip(partitions, reports, strict=True)
            pieces = _records([(_sensor(job, one), report) for one, report in both], engines)
        for kind, batch, ts, position in pieces:
            days.add(kind, batch, ts)
            reached = position if reached is None else max(reached, position)
    manifest = {
        "engines": {key: engine.name for key, engine in engines.items()},
        "reports": [asdict(report) for report in reports],
        "reached": reached,
        "files": days.files,
        "cpu_seconds": round(time.thread_time() - began, 3),
        "inputs": [partition.to_dict() for partition in partitions],
    }
    if not any(map(_passing, reports)) and all(partition.unchanged for partition in partitions):
        put_json(folder / f"{name}.json", manifest)
    manifest["reports"] = json.loads(json.dumps(manifest["reports"]))
    return manifest


def _passing(report: FileReport) -> bool:
    """Was something wrong that may not be another time?"""
    return report.error is not None or any("reading stopped: [Errno" in text for text in report.damage)


class _Days:
    """Windows of the days at hand, and the files their summaries go to. ``files``: (day, name) of what was written,
    when the block has ended without an error."""

    def __init__(self, engines: Mapping[str, AnyEngine], folder: Path, name: str) -> None:
        self.engines, self.folder, self.name = engines, folder, name
        self.files: list[tuple[int, str]] = []
        self._open: dict[int, dict[str, PartWindows]] = {}  # the one that was looked at last is the last
        self._top: dict[int, int] = {}  # ns: latest row of each open day
        self._writers: dict[int, SummaryWriter] = {}  # likewise

    def add(self, kind: str, batch: pa.RecordBatch, ts: np.ndarray) -> None:
        """Rows of one kind, of any days."""
        if not len(ts):
            return
        days = ts // DAY
        if days.min() != days.max():
            for day in np.unique(days).tolist():
                inside = days == day
                self._into(day, kind, batch.filter(pa.array(inside)), ts[inside])
        else:
            self._into(int(days[0]), kind, batch, ts)
        over = int(ts.max()) - _AFTER
        for day in [day for day in self._open if (day + 1) * DAY <= over]:
            self._end(day)

    def _into(self, day: int, kind: str, batch: pa.RecordBatch, ts: np.ndarray) -> None:
        windows = self._open.pop(day, None)
        if windows is None:
            if len(self._open) >= _DAYS:
                self._end(next(iter(self._open)))
            windows = {key: PartWindows(engine) for key, engine in self.engines.items()}
        self._open[day] = windows
        for one in windows.values():
            if kind in one.engine.reads:
                one.add(batch, ts)
        # What ended a while before is over, most likely; what comes for it all the same goes into the file again.
        self._top[day] = max(self._top.get(day, 0), int(ts.max()))
        self._hand_out(day, self._top[day] - LATENESS)

    def _hand_out(self, day: int, watermark: int | None) -> None:
        for key, windows in self._open[day].items():
            for span, start, summary in windows.take_until(watermark):
                self._writer(day).add(Key(start, span, key), summary.to_bytes())

    def _end(self, day: int) -> None:
        self._hand_out(day, None)
        del self._open[day], self._top[day]
        if day in self._writers:
            self._writers[day].flush()

    def _writer(self, day: int) -> SummaryWriter:
        writer = self._writers.pop(day, None)
        if writer is None:
            if len(self._writers) >= _FILES:
                self._written(next(iter(self._writers)))
            writer = SummaryWriter(self.folder, f"{day}-{self.name}")
            writer.__enter__()
        self._writers[day] = writer
        return writer

    def _written(self, day: int) -> None:
        writer = self._writers.pop(day)
        writer.__exit__(None, None, None)
        self.files.append((day, writer.path.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for day in list(self._open):
                    self._end(day)
                for day in list(self._writers):
                    self._written(day)
        finally:
            for writer in self._writers.values():
                writer.give_up()


_Piece = tuple[str, pa.RecordBatch, np.ndarray, int]


def _packets(job: Job, reports: Sequence[FileReport], engines: Mapping[str, AnyEngine]) -> Iterator[_Piece]:
    """Of one file after the other: what a file gives does not depend on its neighbours."""
    columns = tuple(dict.fromkeys(name for engine in engines.values() for name in engine.columns))
    for report in reports:
        for _, batch, ts, watermark in Feed([report], columns, job.telescope, cut=DAY):
            yield PACKET, batch, ts, watermark + LATENESS


def _sensor(job: Job, partition: Partition) -> Sensor:
    """The sensor of a partition on this machine. Raises ClusterError if it is another than the driver's."""
    sensor = sniff(partition.path, job.log_options)
    if sensor is None or sensor.name != partition.sensor:
        raise ClusterError(
            f"{partition.path} is not of format {partition.sensor} here: was it changed, or does this worker lack a "
            "sensor?"
        )
    return sensor


def _records(inputs: Sequence[Kept], engines: Mapping[str, AnyEngine]) -> Iterator[_Piece]:
    kinds = {kind for engine in engines.values() for kind in engine.reads} - {PACKET}
    tiles = [duration_ns(engine.window.tile) for engine in engines.values() if kinds & set(engine.reads)]
    with Shelf(kinds, step=min(DAY, MAX_OPEN // 4 * min(tiles, default=DAY))) as shelf:
        for sensor, report in inputs:
            report.kind = sensor.kind
            for _ in shelf.add(sensor, report):
                pass
        for kind, batch, ts, _ in shelf.pieces():
            yield kind, batch, ts, int(ts[-1])


def reread(report: Mapping[str, Any]) -> FileReport:
    """A report as a manifest holds it."""
    made = FileReport(**dict(report))
    return replace(made, link_types=tuple(made.link_types))
