"""The results of an analysis as a folder of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from andon.records.packet import COLUMNS, SCHEMA
from andon.run.batch import Analysis
from andon.run.feed import Feed, FileReport, Telescope
from andon.run.mask import Mask
from andon.run.table_checks import table_path
from andon.store.parquet import write_findings, write_packets, write_table


def write_results(result: Analysis, folder: Path, mask: Mask | None = None) -> None:
    """``findings.ndjson``, ``entities.parquet`` and ``tables/ENGINE.TABLE.parquet``. Raises OSError."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    findings = [mask.finding(f) for f in result.findings] if mask else result.findings
    write_findings(findings, folder)
    for name, tables in result.tables.items():
        shown = [mask.table(name, table) for table in tables] if mask else tables
        kept = [table for table in shown if table is not None]
        if kept:
            write_table(kept, folder / table_path(name))


def write_activity_plots(
    result: Analysis, folder: Path, kind: str, mask: Mask | None = None
) -> tuple[int, int]:
    """Plots of coordinated activity, PNG or SVG: (how many were written, how many more there would have been).
    Raises OSError, and ValueError for another kind."""
    from andon.share.plots import write_plots

    findings = [mask.finding(f) if mask else f for f in result.findings]
    files, more = write_plots(findings, result.tables.get("darknet.synchrony:activity", []), folder, kind)
    return len(files), more


def write_packets_of(files: Sequence[str | FileReport], telescope: Sequence[str], target: Path) -> int:
    """All packets (of the telescope given) of these files as Parquet; gives the number of rows."""

    within = Telescope(telescope) if telescope else None
    again = [one.fresh() if isinstance(one, FileReport) else one for one in files]

    def batches() -> Iterator[pa.RecordBatch]:
        for _, batch, _, _ in Feed(again, COLUMNS, within):
            yield batch.select(list(COLUMNS))

    return write_packets(batches(), SCHEMA, target)
