"""Packets made by hand for the backscatter tests: columns in, record batches out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.backscatter import Backscatter, engine
from andon.detect.darknet.backscatter.summary import COLUMNS, Summary
from andon.records import packet
from andon.records.contract import Context, Outcome, Site

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
START = 1_767_225_600 * SECOND  # 2026-01-01
SCHEMA = pa.schema([packet.SCHEMA.field(name) for name in COLUMNS])
DARK = 0x0A0A0000  # first address of the telescope in these tests

SYN_ACK, RST, ACK = packet.SYN | packet.ACK, packet.RST, packet.ACK


def packets(ts: Any, src: Any, dst: Any, **fields: Any) -> pa.RecordBatch:
    """A batch; scalars are repeated, times cut to microseconds. By default TCP SYN-ACK from port 80 to port 40000."""
    n = max(np.size(ts), np.size(src), np.size(dst))
    values: dict[str, Any] = {
        "src_port": 80, "dst_port": 40_000, "proto": 6, "tcp_flags": SYN_ACK, "ttl": 50,
        "layers": packet.IPV4 | packet.TCP, "icmp_type": 0, "icmp_code": 0, "src": src, "dst": dst, **fields,
    }  # fmt: skip
    whole = np.asarray(ts, np.int64) // 1000 * 1000  # microseconds, as in most captures
    arrays = [pa.array(np.broadcast_to(whole, n), pa.int64()).cast(SCHEMA.field("ts").type)]
    for field in list(SCHEMA)[1:]:
        array = np.broadcast_to(np.asarray(values[field.name]), n).astype(field.type.to_pandas_dtype())
        arrays.append(pa.array(np.ascontiguousarray(array)))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def joined(*batches: pa.RecordBatch) -> pa.RecordBatch:
    """The batches as one, in time order."""
    table = pa.Table.from_batches(batches).sort_by("ts").combine_chunks()
    return table.to_batches()[0] if table.num_rows else batches[0]


def telescope(addresses: int, given: bool = True) -> dict[str, pa.Table]:
    columns = {
        "cidr": [f"{addresses} addresses"],
        "addresses": [addresses],
        "seen": [addresses],
        "given": [given],
    }
    return {"darknet.census:telescope": pa.table(columns)}


def concluded(
    *batches: pa.RecordBatch, dark: int = 1 << 16, site: Site | None = None, summary: Summary | None = None
) -> Outcome[Any]:
    """What the engine says of these packets on a telescope of ``dark`` addresses."""
    ours: Backscatter = engine(site or Site())
    state = ours.empty() if summary is None else summary
    for batch in batches:
        state = ours.summarise(batch, state)
    context: Context[Any] = Context("1d", START, START + DAY, tables=telescope(dark))
    return ours.conclude(state, None, context)


def classes_of(outcome: Outcome[Any]) -> dict[str, str]:
    """Subject -> class of all findings."""
    return {finding.subject[1]: finding.attributes["class"] for finding in outcome.findings}


def scans(
    count: int, seed: int, dark: int = 1 << 16, seconds: int = 3600, sources: int = 5000
) -> pa.RecordBatch:
    """A botnet and other scanners: SYNs from many sources to the whole telescope, TTLs of real hosts."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(1 << 24, 0xDF000000, sources, dtype=np.uint32)
    weight = rng.pareto(1.1, sources) + 1
    which = rng.choice(sources, count, p=weight / weight.sum())
    hops = rng.integers(6, 28, sources)
    return packets(
        START + np.sort(rng.integers(0, seconds * SECOND, count)),
        pool[which],
        DARK + rng.integers(0, dark, count),
        src_port=rng.integers(1024, 65536, count),
        dst_port=rng.choice([23, 2323, 22, 80, 443, 445, 8080], count),
        tcp_flags=packet.SYN,
        ttl=(np.where(rng.random(sources) < 0.7, 64, 128) - hops)[which],
    )


def flood_answers(
    victim: int, hits: int, seconds: float, seed: int, dark: int = 1 << 16, **fields: Any
) -> pa.RecordBatch:
    """Answers of a victim of random forging that reach the telescope, from START + 1000 s on."""
    rng = np.random.default_rng(seed)
    ts = START + 1000 * SECOND + np.sort(rng.integers(0, int(seconds * SECOND), hits))
    defaults = {"dst_port": rng.integers(1024, 65536, hits)}
    return packets(ts, victim, DARK + rng.integers(0, dark, hits), **{**defaults, **fields})
