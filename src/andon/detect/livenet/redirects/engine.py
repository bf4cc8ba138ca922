"""``livenet.redirects``: the way to a malicious page, hop by hop, from logs alone.

An hour's visits of a terminal in their order, with the last ten minutes of the hour before; ends (``ends``), chains
backwards from them (``chain``), their class (``classes``), and one finding for a final host however many users came
there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.redirects.ends import End, ends
from andon.detect.livenet.redirects.lists import Lists
from andon.detect.livenet.redirects.memory import Memory
from andon.detect.livenet.redirects.rebuild import Told, columns_of, told
from andon.detect.livenet.redirects.report import CHAINS, findings, table
from andon.detect.livenet.redirects.visits import Visits
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.sketch.urlscore import UrlScorer

DAY = 86_400_000_000_000
_PAST = "livenet.edges:destinations@last"


class RedirectEngine:
    """See the module text."""

    name: ClassVar[str] = "livenet.redirects"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("contact",)
    columns: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window(tile="1h", spans=("1h",))
    needs: ClassVar[tuple[str, ...]] = (_PAST,)
    uses: ClassVar[tuple[str, ...]] = (
        "hash_key",
        "models",
        "reputation",
        "livenet.redirects.visits",
        "livenet.redirects.ends",
        "livenet.redirects.findings",
        "livenet.redirects.probability",
        "livenet.redirects.remembered",
        "livenet.redirects.remembered_days",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"chains": CHAINS})
    limit: ClassVar[int] = 768 << 20
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._site = site
        self._visits = site.count(self.name, "visits", 1_000_000, 10_000_000)
        self._ends = site.count(self.name, "ends", 5_000, 100_000)
        self._findings = site.count(self.name, "findings", 20, 1_000)
        self._remembered = site.count(self.name, "remembered", 200_000, 5_000_000)
        self._days = site.count(self.name, "remembered_days", 30, 3_650)
        self._probability = site.number(self.name, "probability", 0.5, 1.0)

    @cached_property
    def _scorer(self) -> UrlScorer | None:
        model = self._site.models.get("url")
        return None if model is None else UrlScorer(model)

    @cached_property
    def _lists(self) -> Lists:
        return Lists(self._site.reputation)

    def empty(self) -> Visits:
        return Visits(self._visits, self._site.hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Visits) -> Visits:
        into.add(batch)
        return into

    def merge(self, a: Visits, b: Visits) -> Visits:
        a.merge(b)
        return a

    def conclude(self, summary: Visits, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        memory = carry or Memory()
        visits = summary.table()
        if memory.visits.num_rows:
            visits = pa.concat_tables([memory.visits, visits])
            order = pc.sort_indices(visits, sort_keys=[(name, "ascending") for name in visits.column_names])
            visits = visits.take(order).combine_chunks()
        found, left = ends(
            visits, ctx.start, self._lists, self._scorer, _past(ctx.tables.get(_PAST)), self._ends
        )
        columns = columns_of(visits) if found else None
        chains = [] if columns is None else self._chains(visits, columns, found, memory)
        terminals = np.array([one.terminal_key for one in chains], np.uint64)
        hosts = np.array([one.host_key for one in chains], np.uint64)
        day = ctx.start // DAY
        after = memory.next(visits, ctx.end, terminals, hosts, day, self._days, self._remembered)
        text = _left_out(summary, left)
        return Outcome(
            findings=findings(
                (self.name, self.version), chains, memory, ctx, self._probability, self._findings, text
            ),
            tables={"chains": table(chains)},
            carry=after,
        )

    def _chains(self, visits: pa.Table, columns: Any, found: list[End], memory: Memory) -> list[Told]:
        """One chain for a terminal and the host of its end: that of a download if there is one, else the first; none
        where the terminal met the host before (it comes back by itself then, as beacons do)."""
        rows = np.array([end.row for end in found])
        terminal, host = columns.terminal_key[rows], columns.host_key[rows]
        new = ~memory.met(terminal, host)
        best: dict[tuple[int, int], End] = {}
        for end, one, other, fresh in zip(found, terminal.tolist(), host.tolist(), new.tolist(), strict=True):
            if not fresh:
                continue
            held = best.get((one, other))
            if held is None or (held.kind == "page" and end.kind != "page"):
                best[one, other] = end
        return [
            made for end in best.values() if (made := told(visits, columns, end, self._scorer)) is not None
        ]


def _past(destinations: pa.Table | None) -> dict[str, bool] | None:
    """Hosts the organisation has met, True for those with several visitors."""
    if destinations is None or not destinations.num_rows:
        return None
    several = pc.greater_equal(destinations["visitors"], 3).to_pylist()
    return dict(zip(destinations["destination"].to_pylist(), several, strict=True))


def _left_out(summary: Visits, left: int) -> str:
    text = []
    if summary.level:
        text.append(
            f"Only one terminal in {1 << summary.level} was looked at: raise livenet.redirects.visits."
        )
    if left:
        text.append(f"{left:,} less likely ends were left out: raise livenet.redirects.ends.")
    return " ".join(text)
