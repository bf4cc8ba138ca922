"""Contacts made for tests of ``livenet.url`` and ``livenet.redirects``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from made_contacts import contact_batch

DAY = 86_400_000_000_000
START = 20_000 * DAY
_DEFAULTS: Mapping[str, Any] = {
    "address": "", "user": "", "port": -1, "server": "", "via": "http", "scheme": "http", "method": "GET", "path": "",
    "status": 200, "action": "", "refused": False, "bytes_in": 100, "bytes_out": 10, "duration": 1_000_000,
    "referer": None, "agent": None, "mime": None, "location": None, "category": None, "source": "test",
}  # fmt: skip


def contacts(rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Rows with ``ts`` in seconds after ``START``, ``terminal``, ``host`` and whatever differs from the defaults."""
    full = [{**_DEFAULTS, **row, "ts": START + round(row["ts"] * 1e9)} for row in rows]
    return contact_batch(full)
