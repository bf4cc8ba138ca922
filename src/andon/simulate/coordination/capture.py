"""A scenario as files: a capture, and the truth beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

from ..internet.capture import write_slices
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
    return CaptureResult(*write_slices(slices(World(scenario)), file, progress))
