"""Made-up campaigns and noise for the tests, as packet batches, and a run over several days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.campaigns import CampaignsEngine
from andon.detect.darknet.campaigns.memory import Memory
from andon.records.contract import Context, Outcome, Site
from made_packets import DARK, LINUX, packets, summary_of

DAY_NS = 86_400_000_000_000
DAY = 20_000 * DAY_NS
WINDOWS, LONE_MSS, NONE = 0x040101030102, 0x02, 0  # option layouts
STACKS = ((LINUX, 64240, 64), (LINUX, 29200, 64), (WINDOWS, 8192, 128), (LINUX, 14600, 64))
COMMON = np.array([445, 23, 22, 80, 3389, 443, 8080, 1433, 5555, 6379, 2323, 81, 8443, 3306])
ATTACKERS = 0x2D000000


def batch(day: int = 0, **given: Any) -> pa.RecordBatch:
    """``second`` of the day, the rest as in ``made_packets``."""
    return packets(CampaignsEngine.columns, DAY + day * DAY_NS, **given)


def addresses(count: int, seed: int) -> np.ndarray:
    """Addresses all over the Internet, new for each seed."""
    rng = np.random.default_rng((seed, 77))
    return rng.choice(np.arange(0x20000000, 0xD0000000, 977, dtype=np.int64), count, replace=False)


def group(
    src: np.ndarray, ports: Mapping[int, float], day: int = 0, seed: int = 1, each: int = 12, **header: Any
) -> pa.RecordBatch:
    """Sources that send ``each`` packets to random dark addresses, ports drawn by share; ``header`` as in ``batch``."""
    rng = np.random.default_rng((seed, day))
    size = len(src) * each
    share = np.array(list(ports.values()))
    given: dict[str, Any] = {
        "second": rng.uniform(0, 86_399, size),
        "src": np.repeat(src, each),
        "dst": DARK + rng.integers(0, 1 << 16, size),
        "dst_port": rng.choice(list(ports), size, p=share / share.sum()),
        "tcp_seq": rng.integers(0, 1 << 32, size),
    }
    return batch(day, **given | header)


def bots(count: int, ports: Mapping[int, float], day: int, seed: int = 1, **more: Any) -> pa.RecordBatch:
    """A raw-socket bot: no options, a window of its own for each source; other addresses each day."""
    rng = np.random.default_rng((seed, day, 3))
    each = more.pop("each", 12)
    src = more.pop("src", addresses(count, seed * 1000 + day))
    window = np.repeat(rng.integers(1000, 60_000, len(src)), each)
    return group(
        src, ports, day, seed, each, **{"tcp_options": NONE, "tcp_mss": 0, "tcp_window": window, **more}
    )


def noise(count: int, day: int, seed: int = 9) -> list[pa.RecordBatch]:
    """Ordinary hosts of four stacks, one port each by Zipf's law, or anything at all."""
    rng = np.random.default_rng((seed, day, 5))
    src = addresses(count, 500_000 + seed * 1000 + day)
    out = []
    for n, (options, window, ttl) in enumerate(STACKS):
        mine = src[n :: len(STACKS)]
        zipf = 1 / np.arange(1, len(COMMON) + 1)
        port = rng.choice(COMMON, len(mine), p=zipf / zipf.sum())
        port = np.where(rng.random(len(mine)) < 0.4, rng.integers(1, 65536, len(mine)), port)
        each = 4
        out.append(
            batch(
                day, second=rng.uniform(0, 86_399, len(mine) * each), src=np.repeat(mine, each),
                dst=DARK + rng.integers(0, 1 << 16, len(mine) * each), dst_port=np.repeat(port, each),
                tcp_options=options, tcp_window=window, ttl=ttl - 12, frag=0x4000,
                tcp_seq=rng.integers(0, 1 << 32, len(mine) * each),
            )
        )  # fmt: skip
    return out


def tools_table(named: Mapping[int, str]) -> pa.Table:
    return pa.table(
        {
            "src": pa.array(list(named), pa.uint32()),
            "tool": pa.array(list(named.values()), pa.string()),
            "packets": pa.array([10] * len(named), pa.int64()),
            "confidence": pa.array([0.99] * len(named), pa.float64()),
        }
    )


def purpose_table(purposes: Mapping[int, str], reason: str = "malware") -> pa.Table:
    return pa.table(
        {
            "src": pa.array(list(purposes), pa.uint32()),
            "purpose": pa.array(list(purposes.values()), pa.string()),
            "main_reason": pa.array([reason] * len(purposes), pa.string()),
        }
    )


def conclude(
    engine: CampaignsEngine,
    batches: list[pa.RecordBatch],
    day: int,
    carry: Memory | None = None,
    gap: int = 0,
    tables: dict[str, pa.Table] | None = None,
) -> Outcome[Memory]:
    summary = summary_of(engine, *batches)
    start = DAY + day * DAY_NS
    context: Context[Memory] = Context("1d", start, start + DAY_NS, gap=gap, tables=tables or {})
    return engine.conclude(summary, carry, context)


def run(
    days: int,
    of: Callable[[int], list[pa.RecordBatch]],
    settings: dict[str, Any] | None = None,
    tables: Callable[[int], dict[str, pa.Table]] | None = None,
) -> list[Outcome[Memory]]:
    """One outcome a day, over noise of 600 hosts."""
    engine = CampaignsEngine(
        Site(settings={f"darknet.campaigns.{k}": v for k, v in (settings or {}).items()})
    )
    out: list[Outcome[Memory]] = []
    for day in range(days):
        carry = out[-1].carry if out else None
        out.append(
            conclude(engine, [*noise(600, day), *of(day)], day, carry, tables=tables(day) if tables else None)
        )
    return out


def rows(outcome: Outcome[Memory]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = outcome.tables["campaigns"].to_pylist()
    return found


def events(outcomes: list[Outcome[Memory]]) -> list[tuple[int, str, str]]:
    """(day, campaign, event) in order."""
    return [
        (day, row["campaign"], event)
        for day, outcome in enumerate(outcomes)
        for row in rows(outcome)
        for event in row["events"].split(",")
        if event
    ]
