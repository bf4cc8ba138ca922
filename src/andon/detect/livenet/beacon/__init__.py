"""Beacon: which terminals poll a destination, at which period, and does that speak against the destination?

Lives on the tables of ``livenet.edges``. Edges to popular destinations are left alone (``gather``); of the others the
visits (``polls``) of at least ``visits`` a day get a likelihood ratio of their intervals (``intervals``), and the
best of them the whole examination: periodogram (``spectrum``), significance by dealing the times anew (``chance``),
autocorrelation, sizes, and with prevalence inside a score and log-odds (``score``). Rare edges with few visits a day
are remembered for ``days`` days (``memory``) and judged over all of them. RITA's score stands beside ours (``rita``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.livenet.beacon.gather import DESTINATIONS, EDGES, TERMINALS, Gathered, gathered
from andon.detect.livenet.beacon.memory import PER_DAY, Memory
from andon.detect.livenet.beacon.polls import visits_of
from andon.detect.livenet.beacon.report import findings, last_contacts, table
from andon.detect.livenet.beacon.rows import Rows, Settings, daily, slow, together
from andon.records.contract import Context, Nothing, OnTables, Outcome, Site, State, Window
from andon.records.livenet import BEACONS

_SECOND = 1_000_000_000
_RARE = 5  # visitors of a destination whose edges are remembered
_APART_DAYS = 300.0  # s between visits that count for days


def engine(site: Site) -> BeaconEngine:
    return BeaconEngine(site)


class BeaconEngine(OnTables):
    """See the module text."""

    name: ClassVar[str] = "livenet.beacon"
    version: ClassVar[int] = 1
    window: ClassVar[Window] = Window(tile="1h", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = (EDGES, DESTINATIONS, TERMINALS)
    uses: ClassVar[tuple[str, ...]] = (
        "livenet.beacon.visits",
        "livenet.beacon.popular",
        "livenet.beacon.judged",
        "livenet.beacon.permutations",
        "livenet.beacon.days",
        "livenet.beacon.remembered",
        "livenet.beacon.findings",
        "livenet.beacon.score",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"beacons": BEACONS})
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._settings = Settings(
            visits=max(4, site.count(self.name, "visits", 6, 1000)),
            judged=site.count(self.name, "judged", 10_000, 1_000_000),
            permutations=max(8, site.count(self.name, "permutations", 20, 1000)),
        )
        self._popular = site.number(self.name, "popular", 0.05, 1.0)
        self._days = site.count(self.name, "days", 7, 31)
        self._remembered = site.count(self.name, "remembered", 200_000, 10_000_000)
        self._findings = site.count(self.name, "findings", 50, 10_000)
        self._score = float(site.setting(self.name, "score", 0.5))
        if not 0 < self._score < 1:
            raise ValueError(f"livenet.beacon.score is {self._score}; it is between 0 and 1")

    def conclude(self, summary: Nothing, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        memory = carry or Memory.empty()
        seen = gathered(ctx.tables, self._popular)
        if seen is None:
            nothing = (np.zeros(0, np.uint64), np.zeros(1, np.int64), np.zeros(0, np.int64))
            return Outcome(
                tables={"beacons": BEACONS.empty_table()},
                carry=memory.next_day(*nothing, self._oldest(ctx), self._remembered),
            )
        times, offsets = visits_of(seen.edges)
        memory, rare, keys = self._remember(seen, memory, ctx, np.diff(offsets))
        found = daily(seen, times, offsets, self._settings)
        rows = together(found, slow(seen, memory, rare, keys, ctx.start / _SECOND, self._settings))
        made, last = table(seen, rows), last_contacts(seen, rows)
        said = _left_out(rows, memory)
        return Outcome(
            findings=findings(
                (self.name, self.version), made, last, rows, self._score, self._findings, said, ctx
            ),
            tables={"beacons": made},
            carry=memory,
        )

    def _oldest(self, ctx: Context[Any]) -> int:
        return ctx.end // _SECOND - self._days * 86_400

    def _remember(
        self, seen: Gathered, memory: Memory, ctx: Context[Any], visits: np.ndarray
    ) -> tuple[Memory, np.ndarray, np.ndarray]:
        """(the memory with this day, the rare edges that come seldom, their keys)."""
        rare = np.flatnonzero((visits <= PER_DAY) & (seen.visitors <= _RARE) & ~seen.popular)
        keys = seen.keys(rare)
        times, offsets = visits_of(seen.edges.take(rare), _APART_DAYS)
        # Two edges share a key once in billions of pairs; the first stands.
        _, first = np.unique(keys, return_index=True)
        if len(first) < len(keys):
            times, offsets = visits_of(seen.edges.take(rare[first]), _APART_DAYS)
            rare, keys = rare[first], keys[first]
        absolute = np.floor(times).astype(np.int64) + ctx.start // _SECOND
        return memory.next_day(keys, offsets, absolute, self._oldest(ctx), self._remembered), rare, keys


def _left_out(rows: Rows, memory: Memory) -> str:
    text = []
    if rows.left_out:
        text.append(
            f"{rows.left_out:,} edges with a lower likelihood ratio were not examined (raise livenet.beacon.judged)."
        )
    if memory.forgotten:
        text.append(
            f"{memory.forgotten:,} rare edges were not remembered for want of room (raise livenet.beacon.remembered): "
            "polls that come less than six times a day may be missed."
        )
    return " ".join(text)


__all__ = ["BeaconEngine", "engine"]
