"""Synchrony: ports that sources from many networks begin to ask for, or stop asking for, at the same time.

Every ten minutes the scan packets of a telescope are reduced to pairs of source and port (``kernel``). Pairs of
survey scanners are left out; of the others the /24 networks that are new to a port, and those that are active, are
counted (``groups``, ``memory``) and compared with what the port's own past and the rest of the telescope let expect:
in a capture's first day by levels that forget (``baseline``, ``judge``), afterwards by a reference that the time being
judged has no part in (``reference``, ``stretches``), from one minute to a day. Ports are also asked how many of those
that came for hours still come (``regulars``). What is left of surprise is an
e-value; the threshold follows from a budget of false alerts a day over all 131,073 ports (``surprise``). No port
is left out for being busy, UDP and echo requests count too, and stops are told as well as starts.

Compared with Dark-TRACER (Han et al., IEEE Access 10, 2022), whose three engines look at packets of /16 networks
over fixed windows and alert by thresholds: baselines of every port instead of lists of excluded ones, memory of who
asked for what instead of counts alone, and an explicit budget of alerts.

Settings: ``darknet.synchrony.alerts_per_day`` (1), ``.memory_days`` (14), ``.remembered`` (3,000,000 pairs),
``.pairs`` (1,000,000 in ten minutes; beyond that one source in 2^level is kept).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.synchrony import groups, judge, reference, stretches
from andon.detect.darknet.synchrony.carry import Carry
from andon.detect.darknet.synchrony.events import Told, tell
from andon.detect.darknet.synchrony.kernel import answering
from andon.detect.darknet.synchrony.report import SPAN_NS, activity_table, alerts_table
from andon.detect.darknet.synchrony.series import PARTNERS
from andon.detect.darknet.synchrony.summary import READ, Tile
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.coordination import ACTIVITY, ALERTS
from andon.sketch.surveys import Listed, surveys

_SPANS_A_DAY = 144
_START_SHARE, _STOP_SHARE = 0.6, 0.3  # of the budget; the rest is left for what the model does not know
_LEAST_PAIRS = 1000


def engine(site: Site) -> SynchronyEngine:
    return SynchronyEngine(site)


class SynchronyEngine:
    """See the module text. Raises ValueError for settings out of range."""

    name: ClassVar[str] = "darknet.synchrony"
    version: ClassVar[int] = 3
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = READ
    window: ClassVar[Window] = Window(tile="10min", spans=("10min",))
    needs: ClassVar[tuple[str, ...]] = (
        *(f"{partner}:alerts@last" for partner in PARTNERS),
        "darknet.purpose:sources@last",
        "darknet.fingerprint:sources@last",
        "darknet.tools:sources@last",
        "darknet.portsets:sources@last",
    )
    uses: ClassVar[tuple[str, ...]] = (
        "lists",
        "hash_key",
        "darknet.synchrony.alerts_per_day",
        "darknet.synchrony.memory_days",
        "darknet.synchrony.remembered",
        "darknet.synchrony.pairs",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"alerts": ALERTS, "activity": ACTIVITY})
    limit: ClassVar[int] = 64 << 20
    carries: ClassVar[type[State]] = Carry

    def __init__(self, site: Site) -> None:
        self._site = site
        self._budget = float(site.setting(self.name, "alerts_per_day", 1.0))
        days = float(site.setting(self.name, "memory_days", 14))
        self._horizon = round(days * _SPANS_A_DAY)
        self._remembered = int(site.setting(self.name, "remembered", 3_000_000))
        self._pairs = int(site.setting(self.name, "pairs", 1_000_000))
        if not 0 < self._budget <= 1000:
            raise ValueError(
                f"{self.name}.alerts_per_day is {self._budget:g}; it lies above 0 and up to 1000"
            )
        if self._horizon < 1:
            raise ValueError(f"{self.name}.memory_days is {days:g}; it must be at least ten minutes")
        if self._pairs < _LEAST_PAIRS or self._remembered < self._pairs:
            raise ValueError(
                f"{self.name}.pairs is {self._pairs:,} and .remembered {self._remembered:,}; the first must be at "
                f"least {_LEAST_PAIRS:,}, the second no less than the first"
            )
        self._listed = Listed(site.lists)
        self._answers = answering()

    def empty(self) -> Tile:
        return Tile(self._pairs, self._site.hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Tile) -> Tile:
        into.add(batch, self._answers)
        return into

    def merge(self, a: Tile, b: Tile) -> Tile:
        a.merge(b)
        return a

    def conclude(self, summary: Tile, carry: Carry | None, ctx: Context[Carry]) -> Outcome[Carry]:
        state = Carry() if carry is None else carry.copy()
        if not summary.rows.used:  # a span without packets is a failure of the sensor, not news
            return Outcome(carry=state)
        span = ctx.start // SPAN_NS
        pairs = summary.pairs()
        left_out = self._listed.find(pairs.source) | groups.sweeping(pairs)
        left_out |= np.isin(pairs.source, surveys(ctx.tables.get("darknet.purpose:sources@last")))
        surveying = len(np.unique(pairs.source[left_out]))
        pairs = pairs.where(~left_out)
        seen = state.memory.take(
            pairs.key, np.ones(len(pairs), np.bool_), span, self._horizon, self._remembered
        )
        narrow = seen.ports < groups.SWEEP_EVER
        surveying += len(np.unique(pairs.source[~narrow]))
        pairs, seen = pairs.where(narrow), seen.where(narrow)
        counted = groups.count(pairs, seen)
        before = state.span if state.span >= 0 else None
        if state.first < 0:
            state.first = span
        for levels in (state.new, state.active):
            levels.admit(counted.unit)
        hour = span // 6
        if before is None or before // 6 != hour:
            for ref, levels, spec in (
                (state.of_new, state.new, reference.STARTS),
                (state.of_active, state.active, reference.STOPS),
            ):
                ref.turn(levels.unit, levels.total[:, 0], state.hour_spans, hour, spec)
            state.hour_spans = 0
        state.hour_spans += 1
        young = not state.of_new.ready
        state.open.close(span)
        eventful = state.open.units(stop=False)
        held, held_active = (np.isin(levels.unit, eventful) for levels in (state.new, state.active))
        judge.advance(state.new, before, span, ~held, young)
        judge.advance(state.active, before, span, ~held_active, young)
        budget, age = self._budget / _SPANS_A_DAY, span - state.first
        starting, stopping = budget * _START_SHARE, budget * _STOP_SHARE
        began = judge.starts(state.new, counted, span, age, starting, held, state.memory, young)
        ended = judge.stops(state.active, counted, span, age, stopping, held_active, state.memory, young)
        if began is None or ended is None:
            began = stretches.starts(state.of_new, state.new, counted, span, starting, held, state.memory)
            ended = stretches.stops(
                state.of_active, state.active, counted, span, stopping, held_active, state.memory
            )
        told: Told = tell(state, counted, began, ended, summary, surveying, self._budget, ctx)
        judge.settle(state.active, np.unique(ended.unit[ended.alerted]))
        if span % 6 == 0:
            for levels in (state.new, state.active):
                levels.forget()
        state.span = span
        return Outcome(
            findings=tuple(told.findings),
            tables={
                "alerts": alerts_table(told.alerts, told.names, ctx),
                "activity": activity_table(told.reported, state.history),
            },
            carry=state,
        )
