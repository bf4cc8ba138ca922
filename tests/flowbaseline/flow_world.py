"""Flows of a small organisation, and days of them through the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.livenet.flowbaseline import FlowBaseline
from andon.detect.livenet.flowbaseline.memory import Memory
from andon.records.contract import Context, Outcome, Site
from andon.records.flow import FLOW
from andon.records.kinds import FLOW as KIND
from andon.records.kinds import marked

DAY, HOUR = 86_400, 3_600
START = 20_002 * DAY  # a Monday
Flow = tuple[
    float, str, str, int, str, bool, int, int
]  # second of the day, src, dst, port, service, answered, out, in


def batch(flows: Sequence[Flow], day: int = 0) -> pa.RecordBatch:
    ts, src, dst, port, service, answered, out, back = zip(*flows, strict=True) if flows else ((),) * 8
    words = lambda values: pa.array(list(values), pa.string()).dictionary_encode()  # noqa: E731
    many = len(flows)
    seconds = np.array(ts, float) + START + day * DAY
    made: Mapping[str, Any] = {
        "ts": pa.array((seconds * 1e9).astype(np.int64)).cast(pa.timestamp("ns", tz="UTC")),
        "duration": pa.array([10**9] * many, pa.int64()),
        "terminal": words(src),
        "src": words(src),
        "dst": words(dst),
        "src_port": pa.array([50_000] * many, pa.int32()),
        "dst_port": pa.array(port, pa.int32()),
        "protocol": words(["tcp"] * many),
        "service": words(service),
        "state": words(["SF" if ok else "S0" for ok in answered]),
        "answered": pa.array(answered, pa.bool_()),
        "bytes_out": pa.array(out, pa.int64()),
        "bytes_in": pa.array(back, pa.int64()),
        "packets_out": pa.array([3] * many, pa.int64()),
        "packets_in": pa.array([3] * many, pa.int64()),
        "source": words(["zeek-conn"] * many),
    }
    arrays = [made[name].cast(FLOW.field(name).type) for name in FLOW.names]
    return marked(pa.RecordBatch.from_arrays(arrays, schema=FLOW), KIND)


def usual(
    rng: np.random.Generator, day: int, terminals: int = 40, shift: Mapping[int, int] | None = None
) -> list[Flow]:
    """A working day of terminals 10.1.D.N in departments of ten; nobody at the weekend. ``shift``: hours later, by
    department."""
    flows: list[Flow] = []
    if day % 7 >= 5:
        return flows
    for n in range(terminals):
        begin = 8 + (shift or {}).get(n // 10, 0)
        rate = 3 + n % 5
        for hour in range(begin, begin + 9):
            for _ in range(rng.poisson(rate * rng.gamma(4, 0.25))):
                at = (hour % 24 + rng.random()) * HOUR
                site = f"203.0.113.{rng.integers(1, 60)}"
                size = int(np.exp(rng.normal(8.5, 1)))
                flows.append((at, f"10.1.{n // 10}.{n % 10 + 10}", site, 443, "ssl", True, size, 4 * size))
            at = (hour % 24 + rng.random()) * HOUR
            flows.append((at, f"10.1.{n // 10}.{n % 10 + 10}", "10.1.200.1", 53, "dns", True, 60, 120))
    return flows


def concluded(
    flows: Sequence[Flow], day: int, carry: Memory | None = None, engine: FlowBaseline | None = None
) -> Outcome[Memory]:
    engine = engine or FlowBaseline(Site())
    summary = engine.summarise(batch(flows, day), engine.empty())
    start = (START + day * DAY) * 10**9
    return engine.conclude(summary, carry, Context("1d", start, start + DAY * 10**9))


def learned(days: int, seed: int = 1, terminals: int = 40, engine: FlowBaseline | None = None) -> Memory:
    rng, carry = np.random.default_rng(seed), None
    for day in range(days):
        carry = concluded(usual(rng, day, terminals), day, carry, engine).carry
    assert carry is not None
    return carry


def about(outcome: Outcome[Memory], address: str) -> list[Any]:
    return [finding for finding in outcome.findings if finding.subject[1] == address]
