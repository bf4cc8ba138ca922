"""Flow baselines: what is usual for each terminal and service by hour of the week, and what is not.

Reads flows, or where there are none the contacts of proxy logs. A day is folded into hours (``summary``); what a
terminal does is compared with its own past, shrunk to that of its peers and of all (``expect``, ``memory``); what is
surprising becomes an alert only within a false-discovery rate and a budget, is told once, and is learned if it stays
(``judge``). Absence is never an anomaly. What needs no past is told from the first day on: steady attempts outside that
nobody answers (``tries``, ``strobes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

import pyarrow as pa

from andon.detect.livenet.flowbaseline import strobes
from andon.detect.livenet.flowbaseline.day import day_of
from andon.detect.livenet.flowbaseline.judge import Settings, judge
from andon.detect.livenet.flowbaseline.memory import Memory
from andon.detect.livenet.flowbaseline.places import Inside
from andon.detect.livenet.flowbaseline.report import (
    HOURS,
    TERMINALS,
    Told,
    findings,
    hours,
    nobody_inside,
    terminals,
)
from andon.detect.livenet.flowbaseline.summary import Both, FlowDay
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.kinds import CONTACT, kind_of

_DAY = 86_400_000_000_000


def engine(site: Site) -> FlowBaseline:
    return FlowBaseline(site)


class FlowBaseline:
    """See the module text."""

    name: ClassVar[str] = "livenet.flowbaseline"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("flow", "contact")
    columns: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window(tile="1h", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = (
        "inside",
        "hash_key",
        "livenet.flowbaseline.learning",
        "livenet.flowbaseline.budget",
        "livenet.flowbaseline.rate",
        "livenet.flowbaseline.drift",
        "livenet.flowbaseline.rows",
        "livenet.flowbaseline.remembered",
        "livenet.flowbaseline.findings",
        "livenet.flowbaseline.attempts",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"hours": HOURS, "terminals": TERMINALS, "unanswered": strobes.UNANSWERED}
    )
    limit: ClassVar[int] = 1 << 30
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._site = site
        self._inside = Inside(site.inside)
        self._settings = Settings(
            learning=site.count(self.name, "learning", 7, 60),
            budget=site.number(self.name, "budget", 0.2, 100.0),
            rate=site.number(self.name, "rate", 0.2, 1.0),
            drift=site.count(self.name, "drift", 5, 60),
        )
        self._rows = site.count(self.name, "rows", 1_000_000, 50_000_000)
        self._remembered = site.count(self.name, "remembered", 100_000, 5_000_000)
        self._most = site.count(self.name, "findings", 50, 10_000)
        self._attempts = site.count(self.name, "attempts", 20, 1_000_000)

    def empty(self) -> Both:
        return Both(self._rows, self._site.hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Both) -> Both:
        if kind_of(batch) == CONTACT:
            into.contacts.add_contacts(batch, self._inside)
        else:
            into.flows.add(batch, self._inside)
        return into

    def merge(self, a: Both, b: Both) -> Both:
        a.merge(b)
        return a

    def conclude(self, both: Both, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        summary = both.day
        if not summary.flows:
            return Outcome(carry=carry)
        told_by = (self.name, self.version)
        memory = carry.copy() if carry is not None else Memory()
        number = ctx.start // _DAY
        day = day_of(summary)
        if not len(day.series):
            return Outcome(findings=(nobody_inside(told_by, summary, ctx),), carry=memory)
        judged = judge(day, memory, number, self._settings)
        days = memory.days_of(day.terminal)
        memory.forget(number, self._remembered)
        told = Told(
            told_by, self._settings.rate, self._most, self._settings.learning,
            self._left_out(summary, memory),
        )  # fmt: skip
        tried = strobes.strobes(summary, self._attempts)
        vain, more = strobes.findings(tried, told.engine, self._most, ctx)
        if more:
            left_out = f"{more:,} more attempts in vain are in livenet.flowbaseline:unanswered (column told)."
            told = replace(told, left_out=" ".join(filter(None, (told.left_out, left_out))))
        return Outcome(
            findings=(*vain, *findings(told, summary, day, judged, memory.days, ctx)),
            tables={
                "hours": hours(summary, day, judged, ctx.start, self._rows // 5 + 1),
                "terminals": terminals(summary, day, judged, days),
                "unanswered": strobes.table(tried, self._rows // 5 + 1),
            },
            carry=memory,
        )

    def _left_out(self, summary: FlowDay, memory: Memory) -> str:
        text = []
        level = max(summary.rows.level, summary.fans.level, summary.sent.level, summary.who.level)
        if summary.tries.table.level > level:
            text.append(
                f"Attempts in vain are known of about one terminal in {1 << summary.tries.table.level} (raise "
                "livenet.flowbaseline.rows)."
            )
        if level:
            text.append(
                f"Only about one terminal in {1 << level} was looked at for want of room (raise "
                "livenet.flowbaseline.rows)."
            )
        if memory.forgotten:
            text.append(
                f"{memory.forgotten:,} series were not remembered (raise livenet.flowbaseline.remembered)."
            )
        return " ".join(text)


__all__ = ["FlowBaseline", "engine"]
