"""Half an hour of a telescope by hand for the engines that factorise it, as packet batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.contract import Context, Outcome, Site
from andon.sketch.factors.cells import READ
from andon.sketch.factors.usual import Usual
from made_packets import DARK, packets, summary_of

SPAN_NS = 1_800_000_000_000
START = 950_000 * SPAN_NS
NETWORK = DARK


def batch(**given: Any) -> pa.RecordBatch:
    """``second`` of the span, the rest as in ``made_packets``."""
    return packets(READ, **{"start": START, **given})


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
    usual = {
        "second": rng.uniform(60 * minutes[0], 60 * minutes[1], size),
        "dst": NETWORK + rng.integers(0, 1 << 16, size),
        "dst_port": port,
    }
    return batch(
        start=start,
        src=np.repeat(address, each),
        **{**usual, **given},
    )


def flood(ports: int, size: int = 60_000) -> pa.RecordBatch:
    """Forged sources of all networks that ask for ports below this one."""
    rng = np.random.default_rng(9)
    return batch(
        second=rng.uniform(0, 1800, size),
        src=rng.integers(0, 1 << 32, size),
        dst=NETWORK + rng.integers(0, 1 << 16, size),
        dst_port=rng.integers(0, ports, size),
    )


def concluded(
    engine: Any,
    *batches: pa.RecordBatch,
    settings: dict[str, Any] | None = None,
    carry: Usual | None = None,
    tables: dict[str, pa.Table] | None = None,
    start: int = START,
    lists: dict[str, pa.Table] | None = None,
) -> Outcome[Usual]:
    """What an engine (its class) with these settings says of the span."""
    named = {f"{engine.name}.{name}": value for name, value in (settings or {}).items()}
    made = engine(Site(settings=named, lists=lists or {}))
    context: Context[Usual] = Context("30min", start, start + SPAN_NS, tables=tables or {})
    outcome: Outcome[Usual] = made.conclude(summary_of(made, *batches), carry, context)
    return outcome


def alerted(outcome: Outcome[Usual]) -> set[int]:
    rows = outcome.tables["alerts"].select(["port", "alerted"]).to_pylist()
    return {row["port"] for row in rows if row["alerted"]}
