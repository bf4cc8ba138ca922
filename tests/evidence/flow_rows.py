"""Flows written down as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from andon.records.flow import FLOW
from andon.records.kinds import FLOW as KIND
from made_contacts import record_batch

START = 1_775_433_600_000_000_000  # 2026-04-06T00:00:00Z
SECOND = 1_000_000_000
DEFAULT = {
    "duration": SECOND, "src_port": 40_000, "protocol": "tcp", "service": "", "state": "SF", "answered": True,
    "bytes_out": 100, "bytes_in": 200, "packets_out": 3, "packets_in": 3, "source": "zeek-conn",
}  # fmt: skip


def flow(second: float, src: str, dst: str, port: int, **more: Any) -> dict[str, Any]:
    row = DEFAULT | {
        "ts": START + int(second * SECOND),
        "terminal": src,
        "src": src,
        "dst": dst,
        "dst_port": port,
    }
    return row | more


def unanswered(second: float, src: str, dst: str, port: int, **more: Any) -> dict[str, Any]:
    nothing = {"answered": False, "state": "S0", "bytes_out": 0, "bytes_in": 0, "packets_in": 0}
    return flow(second, src, dst, port, **(nothing | more))


def flows(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    return record_batch(rows, FLOW, KIND)
