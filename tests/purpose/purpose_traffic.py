"""Made-up scanners for the tests of purpose, as packet batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.purpose import PurposeEngine
from andon.detect.darknet.purpose.memory import Memory
from andon.records.contract import Context, Outcome, Site
from made_packets import DARK as NETWORK
from made_packets import packets, summary_of

DAY_NS = 86_400_000_000_000
DAY = 20_000 * DAY_NS
_TIME = pa.timestamp("ns", tz="UTC")


def batch(day: int = DAY, **given: Any) -> pa.RecordBatch:
    """``second`` of the day, the rest as in ``made_packets``."""
    return packets(PurposeEngine.columns, day, **given)


def tables(
    cidr: str = "10.0.0.0/16",
    addresses: int = 65_536,
    named: dict[int, str] | None = None,
    begin: int = 0,
    end: int = 86_399,
    day: int = DAY,
) -> dict[str, pa.Table]:
    """What the engines before would have published: a telescope, and tools by source."""
    first, last = ([day + second * 10**9] for second in (begin, end))
    telescope = pa.table(
        {
            "cidr": [cidr],
            "addresses": [addresses],
            "seen": [addresses],
            "given": [True],
            "first": pa.array(first, pa.int64()).cast(_TIME),
            "last": pa.array(last, pa.int64()).cast(_TIME),
        }
    )
    named = named or {}
    tools = pa.table(
        {
            "src": pa.array(list(named), pa.uint32()),
            "tool": pa.array(list(named.values()), pa.string()),
            "packets": pa.array([100] * len(named), pa.int64()),
            "confidence": pa.array([0.99] * len(named), pa.float64()),
        }
    )
    return {"darknet.census:telescope": telescope, "darknet.tools:sources": tools}


def concluded(
    *batches: pa.RecordBatch,
    site: Site | None = None,
    given: dict[str, pa.Table] | None = None,
    carry: Memory | None = None,
    day: int = DAY,
    gap: int = 0,
) -> Outcome[Memory]:
    engine = PurposeEngine(site or Site())
    summary = summary_of(engine, *batches)
    context: Context[Memory] = Context("1d", day, day + DAY_NS, gap=gap, tables=given or tables(day=day))
    return engine.conclude(summary, carry, context)


def row_of(outcome: Outcome[Memory], address: int) -> dict[str, Any]:
    rows = outcome.tables["sources"].select(
        ["src", "purpose", "score", "packets", "reasons", "organisation", "ports", "destinations", "days"]
    )
    return next(row for row in rows.to_pylist() if row["src"] == address)


def scanner(
    address: int,
    packets: int,
    ports: np.ndarray | list[int],
    seed: int = 1,
    begin: float = 0,
    end: float = 86_000,
) -> pa.RecordBatch:
    """A source that probes ports and dark addresses at random between two seconds of the day."""
    rng = np.random.default_rng((seed, address))
    return batch(
        second=np.sort(rng.uniform(begin, end, packets)),
        src=address,
        dst=NETWORK + rng.integers(0, 1 << 16, packets),
        dst_port=rng.choice(np.asarray(ports), packets),
    )


def crowd(
    addresses: np.ndarray, packets: int, port: int, begin: np.ndarray, end: np.ndarray, seed: int
) -> pa.RecordBatch:
    """Many sources of one port, each with packets at random between its own two seconds of the day."""
    rng = np.random.default_rng(seed)
    size = len(addresses)
    second = rng.uniform(0, 1, (size, packets)) * (end - begin)[:, None] + begin[:, None]
    return batch(
        second=second.ravel(),
        src=np.repeat(addresses, packets),
        dst=NETWORK + rng.integers(0, 1 << 16, size * packets),
        dst_port=port,
    )
