"""Rows whose every value follows from their number, so that a loss, a double or a swap shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from andon.records.packet import SCHEMA
from andon.store.history import History
from andon.store.journal import Journal

DAY_NS = 86_400 * 10**9
START = 20_454 * DAY_NS  # 2026-01-01


def numbered(first: int, rows: int, start: int = START, step: int = 50_000) -> pa.RecordBatch:
    """Rows ``first`` to ``first + rows``: row n is at start + n * step ns, all else a mix of n's bits."""
    n = np.arange(first, first + rows, dtype=np.uint64)
    mixed = (n + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    arrays = []
    for field in SCHEMA:
        if field.name == "ts":
            arrays.append(pa.array(start + n.astype(np.int64) * step).view(field.type))
        elif pa.types.is_fixed_size_binary(field.type):
            words = np.column_stack([mixed, mixed]).astype(">u8")
            arrays.append(pa.array([row.tobytes() for row in words], field.type))
        else:
            arrays.append(pa.array(mixed.astype(field.type.to_pandas_dtype())))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def with_times(times: list[int] | np.ndarray, first: int = 0) -> pa.RecordBatch:
    """Numbered rows with these times (ns)."""
    batch = numbered(first, len(times))
    return batch.set_column(
        0, SCHEMA.field("ts"), pa.array(np.asarray(times, np.int64)).view(SCHEMA.field("ts").type)
    )


def filled(folder: Path, commits: int, rows: int = 100, step: int = 50_000) -> tuple[Journal, History]:
    """A journal and a history with one Delta commit per segment."""
    journal, history = Journal(folder / "journal"), History(folder / "history")
    more(journal, history, commits, rows, step)
    return journal, history


def more(journal: Journal, history: History, commits: int, rows: int = 100, step: int = 50_000) -> None:
    for _ in range(commits):
        journal.append("a", numbered(journal.next_row, rows, step=step), {"at": journal.next_row + rows})
        journal.commit(START)
        history.append(journal.segments(after=history.last_segment))


def together(batches: object) -> pa.Table:
    return pa.Table.from_batches(list(batches), SCHEMA).combine_chunks()  # type: ignore[call-overload]
