"""A scenario as files: a capture, and the truth beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow.parquet as pq

from ..internet import frames
from ..internet.capture import BATCH_ROWS
from ..internet.options import option_table, payload_table
from .lineages import campaign_table, port_set_table
from .scenario import Scenario
from .stream import World, slices
from .truth import event_table


@dataclass(frozen=True)
class CaptureResult:
    """How much was written."""

    packets: int
    bytes: int


def simulate(scenario: Scenario, out: Path, progress: Callable[[int], None] | None = None) -> CaptureResult:
    """Write ``capture.pcap``, ``events.parquet``, ``campaigns.parquet`` and ``port-sets.parquet`` into ``out``, which
    is made if absent. ``progress`` is told the packets just written. Raises OSError if a file cannot be written."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "capture.pcap").open("wb", buffering=0) as file:
        result = write_capture(scenario, file, progress)
    for name, make in (
        ("events", event_table), ("campaigns", campaign_table), ("port-sets", port_set_table),
    ):  # fmt: skip
        pq.write_table(make(World(scenario)), out / f"{name}.parquet", compression="zstd")
    return result


def write_capture(
    scenario: Scenario, file: BinaryIO, progress: Callable[[int], None] | None = None
) -> CaptureResult:
    """Write the packets to an open binary file as a classic pcap (microseconds, Ethernet), sorted by time."""
    options, payloads = option_table(), payload_table()
    buffer = np.empty(BATCH_ROWS * frames.LARGEST, np.uint8)
    count, written = 0, len(frames.FILE_HEADER)
    _write_all(file, memoryview(frames.FILE_HEADER))
    for rows, order in slices(World(scenario)):
        for part in (order[i : i + BATCH_ROWS] for i in range(0, len(order), BATCH_ROWS)):
            size = frames.write(
                rows, part, options.words, options.length, options.total, options.clock,
                payloads.of_port, payloads.data, payloads.length, payloads.total, buffer,
            )  # fmt: skip
            _write_all(file, memoryview(buffer[:size]))  # type: ignore[arg-type]
            written += size
        count += len(order)
        if progress is not None:
            progress(len(order))
    return CaptureResult(count, written)


def _write_all(file: BinaryIO, data: memoryview) -> None:
    while len(data):
        done = file.write(data)
        data = data[len(data) if done is None else done :]
