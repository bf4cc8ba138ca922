"""Small engines of records of several kinds, and honeypot logs to feed them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from andon.records.contract import SECOND, Context, Nothing, Outcome, Window
from andon.records.finding import Check, Evidence, Finding
from andon.records.kinds import DARKNET_SOURCE, HONEYPOT_SESSION, KINDS, PACKET, kind_of

DAY = 86_400 * SECOND
START = 1_767_225_600 * SECOND  # 2026-01-01
COUNTS = pa.schema([("source", pa.int64()), ("records", pa.int64()), ("first", pa.timestamp("ns", tz="UTC"))])


class Counts:
    """Records and first time by (kind, source)."""

    def __init__(self, rows: Mapping[tuple[str, int], tuple[int, int]] | None = None) -> None:
        self.rows = dict(rows or {})

    def add(self, kind: str, source: int, records: int, first: int) -> None:
        held, earliest = self.rows.get((kind, source), (0, first))
        self.rows[kind, source] = held + records, min(first, earliest)

    def to_bytes(self) -> bytes:
        return json.dumps(sorted([*key, *value] for key, value in self.rows.items())).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return cls({(kind, source): (n, first) for kind, source, n, first in json.loads(data)})


class CountEngine:
    """Counts the records of each IPv4 source; a finding a span with a check by SQL."""

    version: ClassVar = 1
    window: ClassVar = Window("1h", ("1d",))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    publishes: ClassVar = {"counts": COUNTS}
    limit: ClassVar = 1 << 24
    carries: ClassVar = Nothing
    columns: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ()
    name: ClassVar[str] = ""

    def __init__(self) -> None:
        self.contexts: list[Context[Any]] = []

    def empty(self) -> Counts:
        return Counts()

    def summarise(self, batch: pa.RecordBatch, into: Counts) -> Counts:
        kind = kind_of(batch)
        source = batch.column("address" if kind == HONEYPOT_SESSION else "src").to_numpy().astype(np.int64)
        ts = batch.column(KINDS[kind].time).cast(pa.int64()).to_numpy()
        for one in np.unique(source).tolist():
            into.add(kind, one, int((source == one).sum()), int(ts[source == one].min()))
        return into

    def merge(self, a: Counts, b: Counts) -> Counts:
        for (kind, source), (records, first) in b.rows.items():
            a.add(kind, source, records, first)
        return a

    def conclude(self, summary: Counts, carry: object, ctx: Context[Any]) -> Outcome[Nothing]:
        self.contexts.append(ctx)
        rows = sorted((source, *value) for (_, source), value in summary.rows.items())
        columns = list(zip(*rows, strict=True)) or [(), (), ()]
        arrays = [
            pa.array(column, pa.int64()).cast(f.type) for column, f in zip(columns, COUNTS, strict=True)
        ]
        table = pa.Table.from_arrays(arrays, schema=COUNTS)
        total = sum(records for _, records, _ in rows)
        busy = [source for source, records, _ in rows if records > 1]
        sql = f"SELECT count(*) FROM {self.name.replace('.', '_')}_counts WHERE records > 1;"
        finding = Finding(
            engine=self.name, engine_version=1, kind="census", title=f"{total} records", statement="Counted.",
            confidence=1.0, calibration="counted", window=(ctx.start, ctx.end), subject=("span", ctx.span),
            first_seen=min((first for *_, first in rows), default=ctx.start),
            last_seen=ctx.end, count=total, attributes={"busy": len(busy)},
            evidence=(Evidence("sources with more than one", Check("", 0.0, tool="sql", expression=sql)),),
        )  # fmt: skip
        return Outcome(findings=(finding,), tables={"counts": table})


class Sessions(CountEngine):
    name: ClassVar = "test.sessions"
    reads: ClassVar = (HONEYPOT_SESSION,)


class Sources(CountEngine):
    name: ClassVar = "test.sources"
    reads: ClassVar = (DARKNET_SOURCE,)


class Packets(CountEngine):
    name: ClassVar = "test.packets"
    reads: ClassVar = (PACKET,)
    columns: ClassVar = ("ts", "src")


class All(CountEngine):
    name: ClassVar = "test.all"
    reads: ClassVar = (PACKET, HONEYPOT_SESSION, DARKNET_SOURCE)
    columns: ClassVar = ("ts", "src")


class Joined(CountEngine):
    """Reads nothing: what others published."""

    name: ClassVar = "test.joined"
    needs: ClassVar = ("test.sessions:counts", "test.sources:counts")

    def conclude(self, summary: Counts, carry: object, ctx: Context[Any]) -> Outcome[Nothing]:
        self.contexts.append(ctx)
        there = {name: table.num_rows for name, table in ctx.tables.items()}
        finding = Finding(
            engine=self.name, engine_version=1, kind="census", title="joined", statement="Joined.", confidence=1.0,
            calibration="counted", window=(ctx.start, ctx.end), subject=("span", ctx.span), first_seen=ctx.start,
            last_seen=ctx.end, count=sum(there.values()), attributes={"tables": there},
        )  # fmt: skip
        return Outcome(findings=(finding,))


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cowrie(number: int, start: int, source: str = "192.0.2.1", seconds: int = 3) -> list[str]:
    """The lines of a session: somebody logs in and types one command."""
    base = {"session": f"{number:012x}", "sensor": "pot", "src_ip": source}
    events: list[dict[str, Any]] = [
        {"eventid": "cowrie.session.connect", "src_port": 40_000, "dst_ip": "10.0.0.2", "dst_port": 23,
         "protocol": "telnet"},
        {"eventid": "cowrie.login.success", "username": "root", "password": "vizxv"},
        {"eventid": "cowrie.command.input", "input": "/bin/busybox TEST"},
        {"eventid": "cowrie.session.closed"},
    ]  # fmt: skip
    step = seconds * SECOND // 3
    return [
        json.dumps({**event, **base, "timestamp": iso(start + n * step)}) for n, event in enumerate(events)
    ]


def log(path: Path, sessions: Iterable[list[str]]) -> Path:
    path.write_text("".join(line + "\n" for session in sessions for line in session))
    return path
