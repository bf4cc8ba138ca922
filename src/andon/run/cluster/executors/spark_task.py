"""What Spark's workers run: rows with tasks in, rows with answers out.

The functions are found by name on the worker, which must have this package; of this module no code travels. It
imports nothing of Spark.

An error of one task is an answer like any other, so that it does not take those with it which share a partition; the
driver hands the task in again, to be run somewhere else if the engine sees to that.
"""

from __future__ import annotations

import platform
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa

from andon import __version__
from andon.run.cluster.work import run_task

ANSWERS: Final = pa.schema(
    {
        "number": pa.int64(),
        "answer": pa.string(),
        "error": pa.string(),
        "seconds": pa.float64(),
    }
)
HELLOS: Final = pa.schema({"andon": pa.string(), "python": pa.string(), "host": pa.string()})


def run_rows(
    batches: Iterator[pa.RecordBatch], function: Callable[[str], str] = run_task
) -> Iterator[pa.RecordBatch]:
    """(number, task) of each row to ``ANSWERS``: what ``function`` gave, or the error that it raised, and how
    long it took (s). One batch a task, so that answers can go back while others are at work."""
    for batch in batches:
        for number, text in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            began = time.monotonic()
            answer = error = None
            try:
                answer = function(text)
            except Exception as raised:  # whatever it is, the driver has to hear of it
                error = f"{socket.gethostname()}: {type(raised).__name__}: {raised}"
            row = [[number], [answer], [error], [time.monotonic() - began]]
            yield pa.RecordBatch.from_arrays(
                [pa.array(values, kind.type) for values, kind in zip(row, ANSWERS, strict=True)],
                schema=ANSWERS,
            )


def hello(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One row of ``HELLOS`` a partition: what this worker is."""
    for _ in batches:
        pass
    values = [[__version__], [platform.python_version()], [socket.gethostname()]]
    yield pa.RecordBatch.from_arrays([pa.array(one, pa.string()) for one in values], schema=HELLOS)
