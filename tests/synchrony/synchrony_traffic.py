"""Made-up telescope traffic for the tests of synchrony: an ordinary background and what is planted in it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from andon.detect.darknet.synchrony import engine
from andon.detect.darknet.synchrony.carry import Carry
from andon.detect.darknet.synchrony.summary import READ
from andon.records.contract import Context, Outcome, Site
from made_packets import packets

MINUTE = 60 * 10**9
SPAN = 10 * MINUTE
START = 20_000 * 144 * SPAN  # a midnight
DARK = 0xC6120000  # 198.18.0.0/24
PORTS = np.array([23, 445, 22, 80, 3389, 443, 8080, 1433, 5555, 6379, 8443, 3306, *range(20000, 20100)])
_SHARE = 1 / np.arange(1, len(PORTS) + 1) ** 0.9


def batch(ts: np.ndarray, src: np.ndarray, dst: np.ndarray, **given: object) -> pa.RecordBatch:
    """Packets, TCP SYN unless said otherwise, in order of time."""
    order = np.argsort(ts, kind="stable")
    made = packets(READ, ts=ts, src=src, dst=dst, **{"dst_port": 23, "tcp_seq": 1, **given})
    return made.take(pa.array(order))


def strangers(rng: np.random.Generator, count: int) -> np.ndarray:
    """Addresses strewn over the Internet."""
    return rng.integers(0x01000000, 0xC0000000, count)


def dark(rng: np.random.Generator, count: int) -> np.ndarray:
    return DARK + rng.integers(0, 256, count)


def planted(
    rng: np.random.Generator, src: np.ndarray, begin: float, lasts: float, each: int = 2, **given: object
) -> pa.RecordBatch:
    """``each`` packets of every source, the first within ``lasts`` minutes from minute ``begin`` on."""
    first = begin + rng.random(len(src)) * lasts
    at = np.concatenate([first, *(first + rng.random(len(src)) * 5 for _ in range(each - 1))])
    many = np.tile(src, each)
    return batch(
        START + (at * MINUTE).astype(np.int64), many, given.pop("dst", dark(rng, len(many))), **given
    )


class Telescope:
    """A background of visitors, each at one port for a few minutes, and residents that stay; span by span."""

    def __init__(self, seed: int, visitors: float = 150.0, residents: int = 200) -> None:
        self.rng = np.random.default_rng(seed)
        self.visitors = visitors
        self.residents = strangers(self.rng, residents)
        self.home = self.rng.choice(PORTS, residents, p=_SHARE / _SHARE.sum())

    def span(
        self, number: int, rate: float = 1.0, minutes: tuple[float, float] = (0.0, 10.0)
    ) -> pa.RecordBatch:
        """The packets of a span; ``rate`` scales it, ``minutes`` are those in which the sensor works."""
        rng = self.rng
        n = rng.poisson(self.visitors * rate)
        src, port = strangers(rng, n), rng.choice(PORTS, n, p=_SHARE / _SHARE.sum())
        here = rng.random(len(self.residents)) < 0.6 * min(rate, 1.5)
        who, ports = (
            np.r_[np.repeat(src, 2), self.residents[here]],
            np.r_[np.repeat(port, 2), self.home[here]],
        )
        at = rng.random(len(who)) * 10
        kept = (at >= minutes[0]) & (at < minutes[1])
        ts = START + number * SPAN + (at * MINUTE).astype(np.int64)
        return batch(ts[kept], who[kept], dark(rng, int(kept.sum())), dst_port=ports[kept])


class Run:
    """The engine over spans, with what it said."""

    def __init__(self, site: Site | None = None) -> None:
        self.engine = engine(site or Site())
        self.carry: Carry | None = None
        self.outcomes: list[Outcome[Carry]] = []

    def span(
        self, number: int, *batches: pa.RecordBatch, tables: dict[str, pa.Table] | None = None
    ) -> Outcome[Carry]:
        summary = self.engine.empty()
        begin = START + number * SPAN
        for each in batches:
            ts = each["ts"].cast("int64").to_numpy()
            mine = each.filter(pa.array((ts >= begin) & (ts < begin + SPAN)))
            summary = self.engine.summarise(mine, summary)
        context: Context[Carry] = Context("10min", begin, begin + SPAN, tables=tables or {})
        outcome = self.engine.conclude(summary, self.carry, context)
        self.carry = outcome.carry
        self.outcomes.append(outcome)
        return outcome

    def play(self, telescope: Telescope, numbers: Iterable[int], *more: pa.RecordBatch) -> Run:
        """Spans of background with what is planted in them."""
        for number in numbers:
            self.span(number, telescope.span(number), *more)
        return self

    def alerted(self, direction: str = "") -> list[dict[str, object]]:
        """Rows of the tables of alerts that were raised."""
        rows = [row for o in self.outcomes for row in o.tables.get("alerts", pa.table({})).to_pylist()]
        return [r for r in rows if r["alerted"] and direction in ("", r["direction"])]

    def findings(self) -> list[object]:
        return [f for o in self.outcomes for f in o.findings]
