"""Next step: which signature will a host raise next?

Lives on ``triage.screening:episodes``: an episode that begins is a step of its host. A chain of order 5 with
back-off (``triage.prediction.markov``) says each step before it sees it, and learns it; a chain of order 1 ("what
usually follows the last signature") does the same and is the bar. What is expected next is published only while the
gate is open (``triage.prediction.gate``): in the last four weeks, at least seven days of them, the longer memory
foretold more of this site's own steps than the short one, by more than its daily spread explains. The table
``quality`` has every day's figures, shown or not.

No findings: a foretold step is context for whoever looks at the host, no claim that it will be attacked.

Settings ``triage.nextstep.*``: ``hosts`` (50,000), ``confidence`` (0.8: from which on an expectation is published).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.columns import table_of
from andon.records.contract import Context, Nothing, OnTables, Outcome, Site, State, Window
from andon.triage.nextstep.memory import SIGNATURES, Steps
from andon.triage.prediction import gate

EPISODES: Final = "triage.screening:episodes"
_DAY: Final = 86_400_000_000_000
_TIME: Final = pa.timestamp("ns", tz="UTC")
_NEXT: list[pa.Field[Any]] = [
    pa.field("time", _TIME, nullable=False),  # end of the span
    pa.field("site", pa.string(), nullable=False),
    pa.field("host", pa.string(), nullable=False),
    pa.field("product", pa.string(), nullable=False),  # of the signature that is expected next
    pa.field("rule", pa.string(), nullable=False),
    pa.field("title", pa.string(), nullable=False),
    pa.field("probability", pa.float64(), nullable=False),  # share of the times that it followed
]
NEXT: Final = pa.schema(_NEXT)
_QUALITY: list[pa.Field[Any]] = [
    pa.field("day", _TIME, nullable=False),
    pa.field("steps", pa.int64(), nullable=False),
    pa.field("foretold", pa.int64(), nullable=False),
    pa.field("foretold_order_1", pa.int64(), nullable=False),
    pa.field("confident", pa.int64(), nullable=False),  # said with at least the confidence of the settings
    pa.field("confident_foretold", pa.int64(), nullable=False),
    pa.field("left_out", pa.int64(), nullable=False),  # steps without room, since the beginning
    pa.field("shown", pa.bool_(), nullable=False),  # whether the gate was open on that day
]
QUALITY: Final = pa.schema(_QUALITY)


def engine(site: Site) -> NextStepEngine:
    return NextStepEngine(site)


class NextStepEngine(OnTables):
    """See the module text. Raises ValueError for a setting out of range."""

    name: ClassVar[str] = "triage.nextstep"
    version: ClassVar[int] = 1
    window: ClassVar[Window] = Window(tile="10min", spans=("10min",))
    needs: ClassVar[tuple[str, ...]] = (EPISODES,)
    uses: ClassVar[tuple[str, ...]] = ("triage.nextstep.hosts", "triage.nextstep.confidence")
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"next": NEXT, "quality": QUALITY})
    carries: ClassVar[type[State]] = Steps

    def __init__(self, site: Site) -> None:
        self._hosts = site.count(self.name, "hosts", 50_000, 1_000_000)
        self._confidence = site.number(self.name, "confidence", 0.8, 1.0)

    def conclude(self, summary: Nothing, carry: Steps | None, ctx: Context[Steps]) -> Outcome[Steps]:
        memory = Steps() if carry is None else carry.copy()
        quality = QUALITY.empty_table()
        day = ctx.start // _DAY
        if memory.day >= 0 and day > memory.day:
            quality = _judged(memory)
        memory.day = day
        hosts, symbols = self._steps(memory, ctx)
        told = NEXT.empty_table()
        if len(hosts):
            said, chance, order = memory.chain.steps(hosts, symbols)
            short, _, _ = memory.one.steps(hosts, symbols)
            step, sure = order >= 0, chance >= self._confidence
            right = said == symbols
            memory.counts += [
                int((step & part).sum()) for part in (step, right, short == symbols, sure, sure & right)
            ]
            if memory.shown:
                told = self._expected(memory, np.unique(hosts), ctx.end)
        return Outcome(tables={"next": told, "quality": quality}, carry=memory)

    def _steps(self, memory: Steps, ctx: Context[Steps]) -> tuple[np.ndarray, np.ndarray]:
        """(hosts, signatures) of the episodes that begin in the span, in time order."""
        table = ctx.tables.get(EPISODES)
        if table is None or not table.num_rows:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first = table["first"].cast(pa.int64())
        table = table.filter(pc.and_(pc.greater_equal(first, ctx.start), pc.less(first, ctx.end)))
        names = ("site", "host", "product", "rule")
        table = table.sort_by([(name, "ascending") for name in ("first", *names)])
        hosts, symbols = [], []
        columns = (table[name].to_pylist() for name in (*names, "title"))
        for site, host, product, rule, title in zip(*columns, strict=True):
            at = _number(memory.hosts, (site, host), self._hosts)
            # The words of a rule may change; the first that were seen stand for it.
            what = _number(memory.signatures, (product, rule, title), SIGNATURES)
            if at < 0 or what < 0:
                memory.left_out += 1
                continue
            hosts.append(at)
            symbols.append(what)
        return np.array(hosts, np.int64), np.array(symbols, np.int64)

    def _expected(self, memory: Steps, hosts: np.ndarray, end: int) -> pa.Table:
        said, chance = memory.chain.next(hosts)
        known, names = list(memory.signatures), list(memory.hosts)
        rows = [
            (end, *names[host], *known[what], p)
            for host, what, p in zip(hosts.tolist(), said.tolist(), chance.tolist(), strict=True)
            if what >= 0 and p >= self._confidence
        ]
        return table_of(rows, NEXT)


def _number(known: dict[Any, int], key: Any, most: int) -> int:
    """The number of a key, a new one if there is room, else -1."""
    at = known.get(key)
    if at is None:
        if len(known) >= most:
            return -1
        at = known[key] = len(known)
    return at


def _judged(memory: Steps) -> pa.Table:
    """The day is over: its row of quality; the gate for the next day."""
    steps, foretold, short, sure, sure_right = memory.counts.tolist()
    row = (memory.day * _DAY, steps, foretold, short, sure, sure_right, memory.left_out, memory.shown)
    errors = [1 - foretold / steps, 1 - short / steps] if steps else [np.nan, np.nan]
    memory.errors = np.concatenate([memory.errors[:, 1:], np.array(errors)[:, None]], axis=1)
    memory.shown = gate.chosen(memory.errors[:1], memory.errors[1:]) != gate.SHUT
    memory.counts = np.zeros(5, np.int64)
    return table_of([row] if steps else [], QUALITY)


__all__ = ["NextStepEngine", "engine"]
