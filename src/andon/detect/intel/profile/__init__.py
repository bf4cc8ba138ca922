"""Profiles: for each family of malware one page, from its fingerprint to the reports that speak of it.

Each day's sessions, behaviours, links, sightings and reports go into a bounded memory (``day``, ``memory``). From it
families are made (``families``): strong and rare evidence joins, what many have in common does not. Reports are matched
by the rarity of what they share with a family, against shuffled ones (``matching``); families that no honeypot has met
are found through ports, exploits and reports. ``life`` says how a family grows and fades, ``targets`` on what it lives.

All input is optional: with reports alone there is nothing to tell, with honeypots alone pages have no fingerprint.
Nothing here says who is behind a family: tokens are copied with the source code they stand in.

Settings ``intel.profile.*``: ``reports`` (default and most 4,000) of a day that are kept, ``families`` (200) told of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar, Final

import pyarrow as pa

from andon.detect.intel.profile import day as days
from andon.detect.intel.profile import families as clusters
from andon.detect.intel.profile import life, matching, targets
from andon.detect.intel.profile.memory import Memory
from andon.detect.intel.profile.page import DAY, Page, pages, renumbered
from andon.detect.intel.profile.summary import Reports
from andon.detect.intel.profile.tables import CURVE, NAME, REPORTS, curve_table, profiles_table, reports_table
from andon.detect.intel.profile.tell import VERSION, tell
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.joint import PROFILES
from andon.records.kinds import REPORT

_LIMITS: Final = {"reports": (4_000, 4_000), "families": (200, 5_000)}
_BORN: Final = 50  # families that reports give rise to


def engine(site: Site) -> ProfileEngine:
    return ProfileEngine(site)


class ProfileEngine:
    """See the module text. Raises ValueError for a setting out of range."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    reads: ClassVar[tuple[str, ...]] = (REPORT,)
    columns: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window(tile="1d", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = (
        days.SESSIONS,
        days.BEHAVIOURS,
        days.CONTROLLERS,
        days.LINKS,
        days.MATCHES,
        days.DELIVERIES,
        days.SOURCES,
        days.PORT_SETS,
    )
    uses: ClassVar[tuple[str, ...]] = ("assets", "hash_key", *(f"intel.profile.{name}" for name in _LIMITS))
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"profiles": PROFILES, "curve": CURVE, "reports": REPORTS}
    )
    limit: ClassVar[int] = 256 << 20
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._limits = {name: site.count(self.name, name, *of) for name, of in _LIMITS.items()}
        self._key = site.hash_key
        self._known = targets.KnownSystems(site.assets)

    def empty(self) -> Reports:
        return Reports(self._limits["reports"])

    def summarise(self, batch: pa.RecordBatch, into: Reports) -> Reports:
        if batch.num_rows:
            into.add(batch)
        return into

    def merge(self, a: Reports, b: Reports) -> Reports:
        a.merge(b)
        return a

    def conclude(self, summary: Reports, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        memory = Memory() if carry is None else carry.copy()
        today = ctx.start // DAY
        memory.reports |= summary.rows()
        days.take(memory, ctx.tables, today, self._key)
        targets.enter(
            memory,
            self._known,
            ctx.tables.get(days.SOURCES),
            ctx.tables.get(days.PORT_SETS),
            ctx.start,
            ctx.end,
        )
        memory.forget(today)
        found, left_out = self._pages(memory, today, ctx.partial)
        findings, memory.families = tell(found, {**memory.left_out, "families": left_out}, ctx)
        return Outcome(
            findings=findings,
            tables={
                "profiles": profiles_table(found),
                "curve": curve_table(found, today),
                "reports": reports_table(found),
            },
            carry=memory,
        )

    def _pages(self, memory: Memory, today: int, partial: bool) -> tuple[list[Page], int]:
        index = life.index_of(memory)
        families = clusters.find(memory)
        first = {id(one): first_seen(one, memory, index) for one in families}
        matching.match(memory, families, first)
        families = matching.join_by_reports(families)
        families += matching.born_of_reports(memory, families, _BORN)
        lives = [life.live(one, memory, today, index, partial) for one in families]
        for place, (successor, share) in life.replaced(families, memory).items():
            if lives[place].state == life.DECLINE:
                lives[place] = replace(lives[place], state=life.REPLACED, successor=successor, moved=share)
        marks = {place: life.marks_of(one, memory) for place, one in enumerate(families)}
        classes = targets.enriched(memory, marks)
        found = renumbered(pages(memory, families, lives, classes), memory.families)
        most = self._limits["families"]
        return found[:most], max(0, len(found) - most)


def first_seen(family: clusters.Family, memory: Memory, index: dict[str, list[int]]) -> int:
    """ns of the day on which it begins, at honeypots or in the darknet; 0 if it was not seen."""
    days = life.days_of(family, memory, index)
    shown = [one.day for one in days if one.sessions]
    scans = {one.day: one.darknet for one in days if one.darknet}
    return min([*shown, *([life.onset(scans, memory.begin)] if scans else [])], default=0) * DAY


__all__ = ["ProfileEngine", "engine"]
