"""The files of a command line by what they hold: captures, records of other kinds, lists of assets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from andon.observe.logs.options import Options
from andon.observe.sensors import ASSETS, Sensor, sniff
from andon.observe.sensors.logs import Logs
from andon.records.asset import ASSET
from andon.records.contract import Site
from andon.records.kinds import PACKET
from andon.run.feed import FileReport
from andon.run.packets import is_history
from andon.store.history_groups import is_stored

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


@dataclass
class Inputs:
    """``reports``: one per file, in the order given. A file that no sensor knows is among the captures: whoever reads
    it as one says what is wrong with it."""

    captures: list[FileReport] = field(default_factory=list)
    records: list[tuple[Sensor, FileReport]] = field(default_factory=list)
    assets: list[tuple[Sensor, FileReport]] = field(default_factory=list)
    reports: list[FileReport] = field(default_factory=list)

    @classmethod
    def of(cls, paths: Sequence[str | Path], options: Options | None = None) -> Inputs:
        """Look into each file. ``options``: what the operator says about logs."""
        found = cls()
        for path in paths:
            report = FileReport(str(path))
            found.reports.append(report)
            try:
                sensor = sniff(path, options)
            except OSError:
                sensor = None
            if sensor is None or sensor.kind == PACKET or _is_stored(path):
                found.captures.append(report)
                continue
            report.kind = sensor.kind
            (found.assets if sensor.kind == ASSETS else found.records).append((sensor, report))
        return found

    def add_history(self, store: Path, start: int | None = None, end: int | None = None) -> int:
        """The packets with start <= ts < end (ns; None: no bound) of the history in a store folder, file by file, among
        the captures; gives the number of files. No file but the log is opened. Raises StoreError."""
        from andon.store.history_parts import TABLE_FOLDER, parts

        within = str(store / TABLE_FOLDER)
        found = parts(store, start, end)
        for part in found:
            # A file that lies inside the bounds needs none: its result is the same whatever they are.
            report = FileReport(
                part.path,
                start=start if start is not None and part.first < start else None,
                end=end if end is not None and part.last >= end else None,
                begins=part.first if start is None else max(part.first, start),
                within=within,
            )
            self.captures.append(report)
            self.reports.append(report)
        return len(found)


def _is_stored(path: str | Path) -> bool:
    """Is it a file of a packet history? Its columns are those of a table of darknet sources as well, and more."""
    return is_history(path) and is_stored(Path(path))


def kinds_of(sensor: Sensor) -> tuple[str, ...]:
    """Kinds of the records that a sensor gives, the one it is known by first."""
    kinds: tuple[str, ...] = getattr(sensor, "kinds", (sensor.kind,))
    return kinds


def with_assets(site: Site, inputs: Inputs, owner: str = "") -> Site:
    """The site with the assets of the lists among the inputs, and what became of them in their reports. Logs are told
    of them, too: a lease says whose an address was."""
    tables = [] if site.assets is None else [site.assets]
    for sensor, report in inputs.assets:
        try:
            tables.append(assets_of(sensor, report, owner))
        except (OSError, ValueError) as error:
            report.error = f"{error}"
    if not tables:
        return site
    assets = pa.concat_tables(tables)
    inputs.records = [
        (replace(sensor, options=replace(sensor.options, leases=assets)), report)
        if isinstance(sensor, Logs)
        else (sensor, report)
        for sensor, report in inputs.records
    ]
    return replace(site, assets=assets)


def assets_of(sensor: Sensor, report: FileReport, owner: str = "") -> pa.Table:
    """The assets of a list, all of them ``owner``'s if one is given. Raises OSError, ValueError."""
    from andon.observe.jsonlines import Skipped

    skipped = Skipped()
    table = pa.Table.from_batches(sensor.read(report.path, skipped), schema=ASSET)
    report.records = table.num_rows
    note_skipped(report, skipped)
    return owned(table, owner)


def owned(table: pa.Table, owner: str) -> pa.Table:
    """The assets, all of this owner if one is given: what the operator says goes before what a list says of itself, or
    a list could have another organisation told."""
    if not owner:
        return table
    position = table.schema.get_field_index("owner")
    return table.set_column(
        position, table.schema.field(position), pa.array([owner] * len(table), pa.string())
    )


def note_skipped(report: FileReport, skipped: Skipped) -> None:
    """What was not read of a file of other records than packets."""
    for reason, count in skipped.reasons.items():
        report.skipped[reason] = report.skipped.get(reason, 0) + count
    for what, count in skipped.passed.items():
        report.skipped[what] = report.skipped.get(what, 0) + count
    report.places += skipped.lines
    if skipped.lines:  # else it is a remark
        report.damage += [f"line {line:,}: {what}" if line else what for line, what in skipped.examples]


def readable(reports: Iterable[FileReport]) -> list[FileReport]:
    """Those of the files of packets that could be read, for a second read."""
    return [report for report in reports if report.error is None and report.kind == PACKET]
