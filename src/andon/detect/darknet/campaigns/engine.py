"""The engine: a day of packets in, campaigns with the identities they had before out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.campaigns import nmf
from andon.detect.darknet.campaigns.changes import FORGET
from andon.detect.darknet.campaigns.memory import DEAD, Memory
from andon.detect.darknet.campaigns.profile import Profiles, profiles
from andon.detect.darknet.campaigns.purposes import Purposes
from andon.detect.darknet.campaigns.report import CAMPAIGNS, MEMBERS, campaigns_table, findings, members_table
from andon.detect.darknet.campaigns.summary import READ, DaySources
from andon.detect.darknet.campaigns.track import Day, Told, advance
from andon.detect.darknet.campaigns.units import Start, Units, find
from andon.records.contract import Context, Outcome, Site, State, Window

METHODS = ("mixture", "nmf")


def engine(site: Site) -> CampaignsEngine:
    return CampaignsEngine(site)


class CampaignsEngine:
    """See the package's text. Settings ``darknet.campaigns.*``: ``method`` ("mixture", or "nmf" for the published
    one), ``sources`` (most kept of a day), ``least_sources`` (of a new campaign), ``kept`` (campaigns remembered),
    ``death_days`` (quiet days until one is called dead), ``findings`` (most of a day), ``bases`` (of the NMF)."""

    name: ClassVar[str] = "darknet.campaigns"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = READ
    window: ClassVar[Window] = Window(tile="1d", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = (
        "darknet.tools:sources",
        "darknet.fingerprint:sources",
        "darknet.purpose:sources",
    )
    uses: ClassVar[tuple[str, ...]] = (
        "hash_key",
        "darknet.campaigns.method",
        "darknet.campaigns.sources",
        "darknet.campaigns.least_sources",
        "darknet.campaigns.kept",
        "darknet.campaigns.death_days",
        "darknet.campaigns.findings",
        "darknet.campaigns.bases",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"campaigns": CAMPAIGNS, "members": MEMBERS}
    )
    limit: ClassVar[int] = 32 << 20
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._key = site.hash_key
        self._method = str(site.setting(self.name, "method", "mixture"))
        if self._method not in METHODS:
            raise ValueError(
                f"darknet.campaigns.method is {self._method!r}; it is one of {', '.join(METHODS)}"
            )
        self._sources = self._number(site, "sources", 200_000, 1_000, 240_000)
        self._least = self._number(site, "least_sources", 8, 3, 10_000)
        self._kept = self._number(site, "kept", 2_000, 1, 20_000)
        self._death_days = self._number(site, "death_days", 7, 1, FORGET)
        self._findings = self._number(site, "findings", 50, 1, 1_000)
        self._bases = self._number(site, "bases", 20, 2, 100)

    def _number(self, site: Site, name: str, default: int, low: int, high: int) -> int:
        value = int(site.setting(self.name, name, default))
        if not low <= value <= high:
            raise ValueError(f"{self.name}.{name} is {value}; it is a number from {low:,} to {high:,}")
        return value

    def empty(self) -> DaySources:
        return DaySources(self._sources, self._key)

    def summarise(self, batch: pa.RecordBatch, into: DaySources) -> DaySources:
        into.add(batch)
        return into

    def merge(self, a: DaySources, b: DaySources) -> DaySources:
        a.merge(b)
        return a

    def conclude(self, summary: DaySources, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        memory = carry or Memory()
        if not summary.packets:
            return Outcome(carry=memory)  # nothing was heard: no campaign is quieter than the rest
        sources = profiles(
            summary, ctx.tables.get("darknet.tools:sources"), ctx.tables.get("darknet.fingerprint:sources")
        )
        bits = int(np.bitwise_or.reduce(sources.hours)) if len(sources) else 0
        observed = (bits >> np.arange(24)) & 1 == 1
        day = Day(ctx.start, len(sources), sources.one_in, observed)
        if self._method == "nmf":
            units, bases = nmf.trace(sources, memory, ctx.gap, self._bases, self._key)
            memory = replace(memory, bases=bases)
        else:
            units = find(sources, _starts(memory), self._least, self._key, memory.usual, day.share)
            day = replace(day, today=units.today, usual=memory.usual)
        after, told = advance(memory, units.units, day, self._death_days, self._least, self._method == "nmf")
        after = replace(
            after,
            usual=memory.usual.next_day(sources, _explained(told, len(sources)), memory.days, day.share),
        )
        purposes = Purposes(sources, ctx.tables.get("darknet.purpose:sources"))
        votes = {t.campaign.name: purposes.votes(t.unit.sources) for t in told if t.unit is not None}
        voted = {
            c.name: replace(
                c,
                survey=c.survey + votes[c.name].survey,
                attack=c.attack + votes[c.name].attack,
                judged=c.judged + votes[c.name].judged,
            )
            if c.name in votes
            else c
            for c in after.campaigns
        }
        after = replace(after, campaigns=tuple(voted.values())).bounded(self._kept)
        told = [replace(t, campaign=voted.get(t.campaign.name, t.campaign)) for t in told]
        members, cut = members_table(told, sources)
        return Outcome(
            findings=findings(
                (self.name, self.version),
                told,
                votes,
                sources,
                _left_out(summary, sources, units, after, memory, cut),
                self._findings,
                ctx,
            ),
            tables={"campaigns": campaigns_table(told, ctx.start, sources.one_in), "members": members},
            carry=after,
        )


def _starts(memory: Memory) -> dict[int, list[Start]]:
    """Campaigns as starts of today's fits, by header class; those seen lately before those that are not."""
    starts: dict[int, list[Start]] = {}
    order = sorted(range(len(memory.campaigns)), key=lambda n: (memory.campaigns[n].quiet, n))
    for n in order:
        c = memory.campaigns[n]
        if c.state != DEAD:
            starts.setdefault(c.klass, []).append(Start(n, c.ports, c.label, c.block))
    return starts


def _explained(told: Sequence[Told], size: int) -> np.ndarray:
    """Which sources belong to a campaign."""
    explained = np.zeros(size, np.bool_)
    for t in told:
        if t.unit is not None:
            explained[t.unit.sources] = True
    return explained


def _left_out(
    summary: DaySources, sources: Profiles, units: Units, after: Memory, before: Memory, cut: int
) -> str:
    text = []
    if sources.one_in > 1:
        kept = int(sources.packets.sum())
        text.append(
            f"Only one source in {sources.one_in} was kept: there were more than {summary.rows.limit:,} (raise "
            f"darknet.campaigns.sources); {summary.packets - kept:,} of {summary.packets:,} scan packets are from the "
            "others, numbers are scaled up, and campaigns too small for the sample are not called quiet."
        )
    if units.classes_left_out:
        text.append(f"{units.classes_left_out:,} header classes with the fewest sources were not looked at.")
    if units.floods:
        text.append(f"{units.floods:,} groups aimed at one dark address were left out as floods.")
    if after.forgotten > before.forgotten:
        text.append(f"{after.forgotten - before.forgotten:,} campaigns were forgotten for want of room.")
    if cut:
        text.append(f"{cut:,} sources are not in the table of members.")
    return " ".join(text)


__all__ = ["CampaignsEngine", "engine"]
