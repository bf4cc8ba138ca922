"""Files of alerts, read the way that the runner reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from andon.observe.jsonlines import Skipped
from andon.observe.logs.options import Options
from andon.observe.sensors import sniff
from andon.records.alert import ALERT
from andon.records.kinds import kind_of


def read(
    folder: Path,
    data: bytes,
    name: str = "alerts.json",
    skipped: Skipped | None = None,
    options: Options | None = None,
) -> list[dict[str, Any]]:
    """Rows of a file with these bytes, times as ns; of records that are alerts."""
    path = folder / name
    path.write_bytes(data)
    return read_file(path, skipped, options)


def read_file(
    path: Path, skipped: Skipped | None = None, options: Options | None = None
) -> list[dict[str, Any]]:
    sensor = sniff(path, options or Options())
    assert sensor is not None, path
    rows: list[dict[str, Any]] = []
    for batch in sensor.read(path, skipped if skipped is not None else Skipped()):
        if kind_of(batch) != "alert":
            continue
        assert batch.schema.equals(ALERT)
        batch.validate(full=True)
        plain = batch.set_column(0, "ts", batch.column("ts").view("int64"))
        rows += plain.to_pylist()
    return rows
