"""Days of SYN packets made by hand for the engine's tests, and a search that knows what to look for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.again import Turn
from andon.detect.darknet.fingerprint.engine import FingerprintEngine, Found, Search, no_orders
from andon.detect.darknet.fingerprint.measure import Packets, recognise
from andon.detect.darknet.fingerprint.sample import Family, Sample
from andon.records.contract import Context, Outcome, Site
from andon.records.packet import IPV4, SCHEMA, SYN, TCP

DAY = 86_400_000_000_000
DARK = 0x0A000000


def syn(rng: np.random.Generator, sources: np.ndarray, each: int) -> dict[str, np.ndarray]:
    """``each`` SYN packets of every source (uint32), with unrelated header fields."""
    n = len(sources) * each
    return {
        "ts": np.sort(rng.integers(0, DAY, n)),
        "src": rng.permutation(np.repeat(sources.astype(np.uint32), each)),
        "dst": (DARK + rng.integers(0, 1 << 16, n)).astype(np.uint32),
        "src_port": rng.integers(1024, 65536, n).astype(np.uint16),
        "dst_port": rng.choice(np.array([23, 80, 443, 2323], np.uint16), n),
        "tcp_flags": np.full(n, SYN, np.uint8),
        "tcp_seq": rng.integers(0, 1 << 32, n, dtype=np.uint32),
        "tcp_ack": np.zeros(n, np.uint32),
        "ip_id": rng.integers(0, 1 << 16, n).astype(np.uint16),
        "ttl": rng.integers(30, 60, n).astype(np.uint8),
        "tcp_window": rng.integers(1, 1 << 16, n).astype(np.uint16),
        "ip_len": np.full(n, 40, np.uint16),
        "layers": np.full(n, IPV4 | TCP, np.uint8),
    }


def mirai(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {**columns, "tcp_seq": columns["dst"].copy()}


def keyed(columns: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """tcp.seq == ip.dst ^ key32, a key for each source."""
    _, source = np.unique(columns["src"], return_inverse=True)
    keys = rng.integers(1, 1 << 32, source.max() + 1, dtype=np.uint32)
    return {**columns, "tcp_seq": columns["dst"] ^ keys[source]}


def addresses(first: int, count: int) -> np.ndarray:
    return (np.arange(count, dtype=np.uint32) * np.uint32(7919) + np.uint32(first)).astype(np.uint32)


def batches(*parts: dict[str, np.ndarray], rows: int = 1000) -> list[pa.RecordBatch]:
    """Record batches of all packets in order of time."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["ts"], kind="stable")
    n = len(order)
    arrays = []
    for field in SCHEMA:
        if field.name in ("src6", "dst6"):
            arrays.append(pa.array([bytes(16)] * n, field.type))
        elif field.name == "ts":
            arrays.append(pa.array(columns["ts"][order]).cast(field.type))
        else:
            values = columns.get(field.name, np.zeros(n, np.int64))
            arrays.append(pa.array(values[order].astype(field.type.to_pandas_dtype()), field.type))
    whole = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
    return [whole.slice(at, rows) for at in range(0, n, rows)]


def searching(*relations: str) -> Search:
    """A search that finds these relations, if enough sources carry them, and no others."""

    def search(sample: Sample, least: int, prefixes: Sequence[str], turn: Turn) -> Found:
        packets = Packets(sample)
        found: list[Family] = []
        for relation in relations:
            scope = "session" if "key" in relation else "global"
            made = recognise(packets, relation, scope, least)
            if made is not None:
                found.append(Family(relation, scope, made[0].sources, made[0].bits, "L3", {}))
        return Found(tuple(found))

    return search


def conclude(
    engine: FingerprintEngine,
    parts: list[pa.RecordBatch],
    carry: Any = None,
    day: int = 0,
    tools: pa.Table | None = None,
) -> Outcome[Any]:
    """The engine's outcome on one day of batches."""
    summary = engine.empty()
    for batch in parts:
        summary = engine.summarise(batch.select(list(engine.columns)), summary)
    tables = {} if tools is None else {"darknet.tools:sources": tools}
    return engine.conclude(summary, carry, Context("1d", day * DAY, (day + 1) * DAY, tables=tables))


def engine(*relations: str, **settings: Any) -> FingerprintEngine:
    made = {f"darknet.fingerprint.{name}": value for name, value in settings.items()}
    return FingerprintEngine(Site(settings=made), searching(*relations), no_orders)
