"""User risk: who will meet something malicious in the next seven days?

Lives on the day's tables. Every terminal has counters, forgotten with half-lives of 1, 7 and 30 days (``counters``,
``memory``). A Poisson rate shrunk to that of all gives a forecast from the first day on (``rate``); gradient boosted
trees join it when there are enough finished weeks of this very organisation to learn from (``boost``, ``weekly``).
Each week's forecast is kept and held against what came (``quality``): the table ``quality`` shows whether the
forecasts are worth anything here. Sharif et al. (CCS 2018) forecast exposure of mobile users from HTTP counters with a
neural network, Yavneh et al. (PLOS ONE 2021) from past infections and co-infection alone; both kinds of evidence are
counters here, and which of them is worth something is left to the organisation's own weeks.

Settings ``livenet.userrisk.*``: ``findings`` (20) a week, ``lift`` (4.0 times the mean forecast), ``least`` (0.05),
``certain`` (0.95: probability from which on a gray destination counts as malicious), ``weeks`` (4) finished before
trees are trained, ``kept`` (16) weeks to learn from, ``rows`` (100,000) of them, ``terminals`` (100,000), ``days``
(45) until an unseen terminal is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import pyarrow as pa

from andon.detect.livenet.userrisk import counters, report, weekly
from andon.detect.livenet.userrisk.memory import Memory
from andon.records.contract import Context, Nothing, OnTables, Outcome, Site, State, Window
from andon.records.finding import Finding

_DAY: Final = 86_400_000_000_000


def engine(site: Site) -> UserRiskEngine:
    return UserRiskEngine(site)


class UserRiskEngine(OnTables):
    """See the module text. Raises ValueError for a setting out of range."""

    name: ClassVar[str] = "livenet.userrisk"
    version: ClassVar[int] = 1
    window: ClassVar[Window] = Window(tile="1h", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = counters.NEEDS
    uses: ClassVar[tuple[str, ...]] = (
        "hash_key",
        *(
            f"livenet.userrisk.{name}"
            for name in ("findings", "lift", "least", "certain", "weeks", "kept", "rows", "terminals", "days")
        ),
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"risk": report.RISK, "quality": report.QUALITY}
    )
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._limits = report.Limits(
            site.count(self.name, "findings", 20, 1000),
            site.number(self.name, "lift", 4.0, 1000.0, least=1.0),
            site.number(self.name, "least", 0.05, 1.0, least=0.0),
        )
        self._certain = site.number(self.name, "certain", 0.95, 1.0, least=0.5)
        self._weeks = max(site.count(self.name, "weeks", 4, 52), 2)
        self._kept = max(site.count(self.name, "kept", 16, 104), self._weeks)
        self._rows = site.count(self.name, "rows", 100_000, 5_000_000)
        self._most = site.count(self.name, "terminals", 100_000, 5_000_000)
        self._forget = max(site.count(self.name, "days", 45, 365), 14)
        self._key = site.hash_key

    def conclude(self, summary: Nothing, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        memory = carry or Memory()
        day = counters.day(ctx.tables, ctx.start, memory.habit, memory.met(), self._certain, self._key)
        if not day.names and not memory.names:
            return Outcome(
                tables={name: schema.empty_table() for name, schema in self.publishes.items()}, carry=memory
            )
        memory, met = memory.after(day, ctx.start // _DAY, self._forget, self._most)
        memory, finished = weekly.outcomes(memory, met, self._kept, self._rows)
        if finished:
            memory = weekly.learned(memory, self._weeks)
        of = weekly.forecast(memory)
        who = report.told(memory, of)
        findings: tuple[Finding, ...] = ()
        if weekly.due(memory):
            findings = report.findings((self.name, self.version), memory, of, who, day, self._limits, ctx)
            memory = weekly.snapped(memory, of)
        return Outcome(
            findings=findings,
            tables={"risk": who.table, "quality": report.quality_table(memory.quality)},
            carry=memory,
        )


__all__ = ["UserRiskEngine", "engine"]
