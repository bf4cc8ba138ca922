"""Flows as evidence: who talked to whom in ten minutes, and what our addresses were seen to answer on.

Verification (``triage.verification``) asks of a case whether the target answered, what it runs, what it did afterwards.
This engine folds flows into the tables that answer: ``conversations`` (one row for each source, target, port and
protocol of a span), ``services`` (inside addresses that answered, with when they were first seen to) and ``coverage``
(what did not fit). Spans are ten minutes, so that a live case has its evidence soon; longer times are unions of spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import pyarrow as pa

from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.inside import Inside
from andon.records.triage import CONVERSATIONS, COVERAGE, SERVICES
from andon.triage.evidence.conversations import Conversations
from andon.triage.evidence.memory import Memory

_DAY = 86_400_000_000_000


def engine(site: Site) -> Evidence:
    return Evidence(site)


class Evidence:
    """See the module text. Settings: ``rows``, most conversations of a span; ``remembered``, most services that are
    remembered; ``days``, after how many without an answer a service is forgotten."""

    name: ClassVar[str] = "triage.evidence"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("flow",)
    columns: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window(tile="10min", spans=("10min",))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = (
        "inside",
        "hash_key",
        "triage.evidence.rows",
        "triage.evidence.remembered",
        "triage.evidence.days",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"conversations": CONVERSATIONS, "services": SERVICES, "coverage": COVERAGE}
    )
    limit: ClassVar[int] = 1 << 29
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._inside = Inside(site.inside)
        self._salt = site.hash_key
        self._rows = site.count(self.name, "rows", 200_000, 2_000_000)
        self._remembered = site.count(self.name, "remembered", 100_000, 2_000_000)
        self._days = site.count(self.name, "days", 30, 400)

    def empty(self) -> Conversations:
        return Conversations(self._rows, self._salt)

    def summarise(self, batch: pa.RecordBatch, into: Conversations) -> Conversations:
        into.add(batch)
        return into

    def merge(self, a: Conversations, b: Conversations) -> Conversations:
        a.merge(b)
        return a

    def conclude(self, summary: Conversations, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        if not summary.flows and carry is None:
            return Outcome()
        memory = carry.copy() if carry is not None else Memory(told=ctx.start // _DAY)
        conversations = summary.conversations()
        seen = memory.learn(conversations, self._inside)
        memory.forget(ctx.end - self._days * _DAY, self._remembered)
        # Once a day everything that is remembered, so that nobody has to read a month of spans.
        today = ctx.end // _DAY
        services = memory.every() if today > memory.told else memory.some(seen)
        memory.told = max(memory.told, today)
        kept = int(conversations.column("flows").to_numpy().sum())
        coverage = {"flows": [summary.flows], "left_out": [summary.flows - kept]}
        return Outcome(
            tables={
                "conversations": conversations,
                "services": services,
                "coverage": pa.table(coverage, COVERAGE),
            },
            carry=memory,
        )


__all__ = ["Evidence", "engine"]
