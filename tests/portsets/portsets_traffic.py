"""Made-up scanners for the tests of port sets, as packet batches, and the engine over hours or days of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.portsets import PortSets
from andon.detect.darknet.portsets.carry import Remembered
from andon.records.contract import Context, Outcome, Site
from made_packets import DARK, packets, summary_of

HOUR_NS, DAY_NS = 3_600_000_000_000, 86_400_000_000_000
DAY = 20_000 * DAY_NS
BUSY = (
    (23, 40),
    (445, 12),
    (22, 10),
    (80, 8),
    (3389, 6),
    (443, 5),
    (8080, 4),
    (1433, 3),
    (5555, 2),
    (6379, 2),
)


def batch(**given: Any) -> pa.RecordBatch:
    """``second`` of ``start``, the rest as in ``made_packets``."""
    return packets(PortSets.columns, **{"start": DAY, **given})


def addresses(count: int, seed: int) -> np.ndarray:
    """Distinct addresses, all over."""
    rng = np.random.default_rng((seed, 77))
    return np.unique(rng.integers(0x01000000, 0xDF000000, 2 * count))[rng.permutation(count)][:count]


def family(
    source: np.ndarray,
    ports: Sequence[tuple[int, int]],
    packets: float,
    seed: int,
    start: int = DAY,
    length: float = 86_400,
) -> pa.RecordBatch:
    """Sources that draw ports by weight, 1 + a Poisson number of packets each, at any time of ``length`` seconds."""
    rng = np.random.default_rng((seed, start // HOUR_NS))
    each = 1 + rng.poisson(max(packets - 1, 0), len(source))
    size = int(each.sum())
    weight = np.array([w for _, w in ports], float)
    return batch(
        start=start,
        second=rng.uniform(0, length - 1, size),
        src=np.repeat(source, each),
        dst=DARK + rng.integers(0, 1 << 16, size),
        dst_port=rng.choice([p for p, _ in ports], size, p=weight / weight.sum()),
    )


def noise(count: int, seed: int, start: int = DAY, length: float = 86_400) -> pa.RecordBatch:
    """Independent scanners: mostly one port, by popularity, some several; a heavy tail of packets."""
    rng = np.random.default_rng((seed, start // HOUR_NS, 1))
    popular = np.array([w for _, w in BUSY], float)
    tail = rng.integers(1, 65536, 300)
    ports = np.r_[[p for p, _ in BUSY], tail]
    share = np.r_[popular * 0.9 / popular.sum(), np.full(300, 0.1 / 300)]
    source = addresses(count, seed + start // HOUR_NS)
    several = np.minimum(rng.geometric(0.7, count), 8)
    owner = np.repeat(np.arange(count), several)
    chosen = rng.choice(ports, len(owner), p=share)
    each = 1 + (rng.exponential(3, len(owner))).astype(int)
    size = int(each.sum())
    return batch(
        start=start,
        second=rng.uniform(0, length - 1, size),
        src=np.repeat(source[owner], each),
        dst=DARK + rng.integers(0, 1 << 16, size),
        dst_port=np.repeat(chosen, each),
    )


class Run:
    """The engine over spans, one after the other; ``outcome`` is the last one."""

    def __init__(self, span: str = "1d", site: Site | None = None, begin: int = DAY) -> None:
        self.engine = PortSets(site or Site())
        self.span, self.at, self.carry = span, begin, None
        self.length = DAY_NS if span == "1d" else HOUR_NS
        self.outcome: Outcome[Remembered] = Outcome()

    def next(
        self, *batches: pa.RecordBatch, tables: dict[str, pa.Table] | None = None
    ) -> Outcome[Remembered]:
        """Conclude the next span with these packets."""
        summary = summary_of(self.engine, *batches)
        context: Context[Remembered] = Context(self.span, self.at, self.at + self.length, tables=tables or {})
        self.outcome = self.engine.conclude(summary, self.carry, context)
        self.carry = self.outcome.carry
        self.at += self.length
        return self.outcome

    def families(self) -> dict[str, dict[str, Any]]:
        """Rows of the table of families, by ports."""
        return {row["ports"]: row for row in self.outcome.tables["families"].to_pylist()}

    def births(self) -> list[str]:
        """Ports of the births that are told."""
        return [f.attributes["ports"] for f in self.outcome.findings if f.kind == "port-set-birth"]
