"""Half an hour of a telescope by hand, as packet batches, for Dark-NTD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.ntd import NtdEngine
from andon.records import packet
from andon.records.contract import Context, Outcome, Site
from andon.sketch.factors.usual import Usual

SPAN_NS = 1_800_000_000_000
START = 950_000 * SPAN_NS
NETWORK = 0x0A000000  # dark


def batch(**given: Any) -> pa.RecordBatch:
    """TCP SYNs unless said otherwise; ``second`` of the span; scalars are repeated."""
    size = max(np.size(values) for values in given.values())
    second = np.broadcast_to(np.asarray(given.pop("second", 0), np.float64), size)
    usual = {
        "ts": given.pop("start", START) + (second * 1e9).astype(np.int64),
        "proto": packet.PROTO_TCP,
        "tcp_flags": packet.SYN,
        "layers": packet.IPV4 | packet.TCP,
        "src": 1,
        "dst": NETWORK,
        "dst_port": 80,
    }
    columns = {n: np.broadcast_to(np.asarray(given.get(n, usual[n])), size) for n in NtdEngine.columns}
    fields = [packet.SCHEMA.field(name) for name in NtdEngine.columns]
    return pa.record_batch(
        [pa.array(columns[field.name].astype(np.int64)).cast(field.type) for field in fields],
        schema=pa.schema(fields),
    )


def chatter(seed: int, networks: int = 200, talks: int = 1500, start: int = START) -> pa.RecordBatch:
    """Networks that now and then send two or three packets to a popular or random port within a few seconds."""
    rng = np.random.default_rng(seed)
    block = rng.choice(1 << 15, networks, replace=False)
    popular = rng.random(talks) < 0.5
    port = np.where(popular, rng.choice([443, 8443, 6379, 21], talks), rng.integers(1, 65536, talks))
    each = rng.integers(1, 4, talks)
    return batch(
        start=start,
        second=np.repeat(rng.uniform(0, 1790, talks), each),
        src=np.repeat(rng.choice(block, talks) << 16 | 5, each),
        dst=NETWORK + rng.integers(0, 1 << 16, int(each.sum())),
        dst_port=np.repeat(port, each),
    )


def bots(
    port: int,
    seed: int = 7,
    networks: int = 40,
    each: int = 12,
    minutes: tuple[int, int] = (10, 13),
    start: int = START,
    **given: Any,
) -> pa.RecordBatch:
    """Networks (one address each) that all ask for one port in the same minutes."""
    rng = np.random.default_rng((seed, port))
    address = (rng.choice(1 << 15, networks, replace=False) + (1 << 15)) << 16 | 77
    size = networks * each
    usual = {"dst": NETWORK + rng.integers(0, 1 << 16, size), "dst_port": port}
    return batch(
        start=start,
        second=rng.uniform(60 * minutes[0], 60 * minutes[1], size),
        src=np.repeat(address, each),
        **{**usual, **given},
    )


def concluded(
    *batches: pa.RecordBatch,
    settings: dict[str, Any] | None = None,
    carry: Usual | None = None,
    tables: dict[str, pa.Table] | None = None,
    start: int = START,
    lists: dict[str, pa.Table] | None = None,
) -> Outcome[Usual]:
    named = {f"darknet.ntd.{name}": value for name, value in (settings or {}).items()}
    engine = NtdEngine(Site(settings=named, lists=lists or {}))
    summary = engine.empty()
    for part in batches:
        summary = engine.summarise(part, summary)
    return engine.conclude(summary, carry, Context("30min", start, start + SPAN_NS, tables=tables or {}))


def alerted(outcome: Outcome[Usual]) -> set[int]:
    rows = outcome.tables["alerts"].select(["port", "alerted"]).to_pylist()
    return {row["port"] for row in rows if row["alerted"]}
