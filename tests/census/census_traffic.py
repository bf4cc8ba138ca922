"""Small made-up traffic for the tests of the census, as packet batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.census import CensusEngine
from andon.records import packet
from andon.records.contract import Context, Site
from made_packets import packets, summary_of

DAY_NS = 86_400_000_000_000
DAY = 20_000 * DAY_NS


def batch(**given: Any) -> pa.RecordBatch:
    """A microsecond apart and to port 0 of address 1 unless said otherwise, the rest as in ``made_packets``."""
    size = max(np.size(values) for values in given.values())
    usual = {"ts": DAY + np.arange(size) * 1000, "dst": 1, "dst_port": 0}
    return packets(CensusEngine.columns, **{**usual, **given})


def concluded(engine: CensusEngine, *batches: pa.RecordBatch, span: str = "1d") -> Any:
    summary = summary_of(engine, *batches)
    length = DAY_NS if span == "1d" else 600_000_000_000
    return engine.conclude(summary, None, Context(span, DAY, DAY + length))


def random_traffic(seed: int, size: int) -> pa.RecordBatch:
    """All protocols, whole and cut, IPv4 and IPv6, few enough sources and ports that they repeat."""
    rng = np.random.default_rng(seed)
    proto = rng.choice([1, 6, 17, 47], size, p=[0.1, 0.6, 0.25, 0.05])
    layer = np.select([proto == 1, proto == 6, proto == 17], [packet.ICMP, packet.TCP, packet.UDP], 0)
    layer = np.where(rng.random(size) < 0.03, packet.LATER_FRAGMENT, layer) | packet.IPV4
    six = rng.random(size) < 0.02
    return batch(
        ts=DAY + np.sort(rng.integers(0, 3600 * 10**6, size)) * 1000,
        src=np.where(six, 0, rng.integers(1, 300, size) * 7919),
        dst=np.where(six, 0, 0x0A000000 + rng.integers(0, 1 << 12, size)),
        dst_port=rng.choice([22, 23, 80, 443, 8080, 65535], size),
        proto=proto,
        tcp_flags=rng.choice([2, 0x12, 4, 0x10, 0xC2], size),
        layers=np.where(six, packet.IPV6 | packet.TCP, layer),
        icmp_type=rng.choice([0, 3, 8, 11, 40], size),
    )


def telescope_of(site: Site, *batches: pa.RecordBatch) -> list[str]:
    outcome = concluded(CensusEngine(site), *batches)
    return list(outcome.tables["telescope"]["cidr"].to_pylist())
