"""Reading lines for tests: rows, what was skipped, and that no line is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from andon.observe.jsonlines import Skipped
from andon.observe.logs import Options, format_of

SAMPLES = Path(__file__).parent / "samples"


def read(data: bytes, options: Options | None = None) -> tuple[list[dict[str, Any]], Skipped, Any]:
    """(records, what was skipped, the reader) of a log whose format is recognised by its beginning."""
    options = options or Options()
    module = format_of(data, "access.log", options)
    assert module is not None, "not recognised"
    return rows_of(module.lines(data, options, None), data)


def rows_of(reader: Any, data: bytes) -> tuple[list[dict[str, Any]], Skipped, Any]:
    skipped = Skipped()
    rows: list[dict[str, Any]] = []
    for kind, batch in reader.read(data, skipped):
        assert kind == reader.kinds[0]
        batch.validate(full=True)
        rows += batch.to_pylist()
    return rows, skipped, reader


def accounted(rows: int, skipped: Skipped, reader: Any) -> int:
    """Lines that became something."""
    return int(rows + skipped.lines + skipped.passed.total() + reader.comments)
