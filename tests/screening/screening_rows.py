"""Alerts made up for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.alert import ALERT
from andon.records.kinds import marked

SECOND = 1_000_000_000
START = 1_641_945_600 * SECOND  # 2022-01-12 00:00 UTC
DAY = 86_400 * SECOND


def batch(rows: Iterable[dict[str, Any]]) -> pa.RecordBatch:
    """A batch of alerts; ``at``: seconds since START; what is not said is empty."""
    rows = list(rows)
    columns = []
    for field in ALERT:
        if field.name == "ts":
            values: list[Any] = [START + round(row["at"] * SECOND) for row in rows]
            columns.append(pa.array(values, pa.int64()).cast(field.type))
            continue
        empty: Any = 0 if pa.types.is_integer(field.type) else ""
        empty = {"dst_port": -1, "src_port": -1, "count": 1, "product": "suricata", "source": "eve"}.get(
            field.name, empty
        )
        values = [row.get(field.name, n if field.name == "position" else empty) for n, row in enumerate(rows)]
        if pa.types.is_dictionary(field.type):
            columns.append(pa.array(values, pa.string()).dictionary_encode().cast(field.type))
        else:
            columns.append(pa.array(values, field.type))
    return marked(pa.RecordBatch.from_arrays(columns, schema=ALERT), "alert")


def office(days: int = 2, seed: int = 3, attack: float | None = 1.6) -> list[dict[str, Any]]:
    """Alerts of a small office: rules that fire all day on their hosts, and on day ``attack`` ten rules that never
    fired, within ten minutes on one host."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for host in range(6):
        for rule in range(5):
            plain = {"host": f"host{host}", "address": f"10.0.0.{host}", "rule": f"R{rule}", "severity": 2}
            times = np.sort(rng.random(12 * days) * days * 86400).tolist()
            rows += [{"at": at, "title": f"Usual thing {rule}", **plain} for at in times]
    if attack is not None:
        victim = {"host": "host3", "address": "10.0.0.3", "severity": 3, "src": "198.51.100.9", "dst": "10.0.0.3",
                  "protocol": "tcp", "attack": "T1190"}  # fmt: skip
        rows += [
            {
                "at": attack * 86400 + 60 * n,
                "rule": f"X{n}",
                "title": f"Odd thing {n}",
                "dst_port": 80 + n,
                **victim,
            }
            for n in range(10)
        ]
    rows.sort(key=lambda row: float(row["at"]))
    return [{**row, "position": n} for n, row in enumerate(rows)]
