"""Contacts made for tests of ``livenet.redirects``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from andon.records.contract import Context
from andon.records.reputation import REPUTATION
from made_contacts import contact_batch

HOUR = 3600 * 10**9
START = 500_000 * HOUR
_DEFAULTS: Mapping[str, Any] = {
    "address": "", "user": "", "port": 80, "server": "", "via": "http", "scheme": "http", "method": "GET", "path": "/",
    "status": 200, "action": "", "refused": False, "bytes_in": 100, "bytes_out": 10, "duration": 100_000_000,
    "referer": "", "agent": "a", "mime": "text/html", "location": "", "category": None, "source": "test",
    "terminal": "anna",
}  # fmt: skip


def contacts(rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Rows with ``ts`` in seconds after ``START``, ``host`` and whatever differs from the defaults."""
    full = [{**_DEFAULTS, **row, "ts": START + round(row["ts"] * 1e9)} for row in rows]
    return contact_batch(full)


def tunnel(ts: float, host: str, **more: Any) -> dict[str, Any]:
    none = {
        "path": "",
        "via": "tunnel",
        "method": "CONNECT",
        "mime": None,
        "referer": None,
        "location": None,
        "port": 443,
    }
    return {"ts": ts, "host": host, **none, **more}


def entry(value: str, colour: str = "black", kind: str = "host", **more: Any) -> dict[str, Any]:
    return {"value": value, "type": kind, "colour": colour, "port": -1, "list": "made", "family": "", "added": None,
            "rank": -1, **more}  # fmt: skip


def reputation(*entries: Mapping[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([dict(each) for each in entries], REPUTATION)


def hour(number: int = 0, **tables: pa.Table) -> Context[Any]:
    start = START + number * HOUR
    given = {"livenet.edges:destinations@last": tables["past"]} if tables else {}
    return Context("1h", start, start + HOUR, tables=given)
