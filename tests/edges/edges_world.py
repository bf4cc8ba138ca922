"""Contacts and lists made by hand or by a seed, for the tests of ``livenet.edges``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.livenet.edges import engine
from andon.records.contact import HTTP
from andon.records.contract import Context, Outcome, Site
from andon.records.reputation import REPUTATION
from made_contacts import contact_batch

SECOND, HOUR, DAY = 10**9, 3600 * 10**9, 86_400 * 10**9
START = 1_767_225_600 * SECOND  # 2026-01-01
_DEFAULTS: dict[str, Any] = {
    "ts": START, "terminal": "alice", "address": "10.0.0.1", "user": "alice", "host": "a.example", "port": 443,
    "server": "198.51.100.1", "via": HTTP, "scheme": "https", "method": "GET", "path": "/", "status": 200, "action": "",
    "refused": False, "bytes_in": 1000, "bytes_out": 100, "duration": -1, "referer": None, "agent": None, "mime": None,
    "location": None, "category": None, "source": "squid",
}  # fmt: skip


def contacts(*rows: dict[str, Any]) -> pa.RecordBatch:
    """One batch of contacts; what a row does not say has a default."""
    return contact_batch([_DEFAULTS | row for row in rows])


def random_rows(
    rows: int, seed: int, terminals: int = 12, hosts: int = 300, span: int = DAY
) -> list[dict[str, Any]]:
    """Contacts with everything that a log may hold, and may lack."""
    rng = np.random.default_rng(seed)

    def one() -> dict[str, Any]:
        host = int(rng.integers(hosts) * rng.random() ** 2)
        name = f"198.51.100.{host % 250}" if host % 9 == 0 else f"www{host}.site{host % 40}.example"
        return {
            "ts": START + int(rng.integers(span)),
            "terminal": ["", "-", *(f"user{n}" for n in range(terminals))][int(rng.integers(terminals + 2))],
            "address": f"10.0.0.{rng.integers(40)}",
            "user": f"user{rng.integers(15)}",
            "host": "" if rng.random() < 0.01 else name,
            "port": int(rng.choice([-1, 80, 443, *range(8000, 8012)])),
            "server": f"198.51.100.{rng.integers(250)}" if rng.random() < 0.9 else "",
            "via": str(rng.choice(["http", "tunnel", "tls", "dns"])),
            "status": int(rng.choice([-1, 0, 3, 200, 404, 503])),
            "refused": bool(rng.random() < 0.1),
            "bytes_in": int(rng.choice([-1, 0, 77, 2**33])),
            "bytes_out": int(rng.integers(-1, 500)),
            "referer": [None, "", "http://b.example/"][int(rng.integers(3))],
            "agent": [None, "", "common", "rare1", "rare2"][
                int(rng.choice(5, p=[0.2, 0.1, 0.6, 0.05, 0.05]))
            ],
        }

    return [one() for _ in range(rows)]


def batches(rows: list[dict[str, Any]], size: int = 97) -> list[pa.RecordBatch]:
    return [contacts(*rows[at : at + size]) for at in range(0, len(rows), size)]


def entries(*rows: dict[str, Any]) -> pa.Table:
    """A reputation; an entry is a black domain unless it says otherwise."""
    default = {
        "type": "domain",
        "colour": "black",
        "port": -1,
        "list": "mine",
        "family": "",
        "added": None,
        "rank": -1,
    }
    columns = [[(default | row)[field.name] for row in rows] for field in REPUTATION]
    arrays = [
        pa.array(values, pa.int64() if field.name == "added" else field.type).cast(field.type)
        for values, field in zip(columns, REPUTATION, strict=True)
    ]
    return pa.table(arrays, schema=REPUTATION)


def conclude(
    given: list[pa.RecordBatch],
    reputation: pa.Table | None = None,
    carry: Any = None,
    day: int = 0,
    **settings: int,
) -> Outcome[Any]:
    """The day's outcome; settings by their last name."""
    made = engine(
        Site(reputation=reputation, settings={f"livenet.edges.{name}": v for name, v in settings.items()})
    )
    summary = made.empty()
    for batch in given:
        summary = made.summarise(batch, summary)
    start = START + day * DAY
    return made.conclude(summary, carry, Context(span="1d", start=start, end=start + DAY))


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Rows with times as ns since 1970."""
    for n, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(
                n, field.name, table[field.name].cast(pa.timestamp("ns")).cast(pa.int64())
            )
    return table.to_pylist()
