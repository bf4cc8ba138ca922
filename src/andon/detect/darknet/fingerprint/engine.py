"""The engine ``darknet.fingerprint``: relations between header fields that many sources share and nobody listed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.again import (
    WHOLE,
    Turn,
    part_to_search,
    searched_in_words,
    turn_of,
)
from andon.detect.darknet.fingerprint.carry import KNOWN, Families
from andon.detect.darknet.fingerprint.measure import Packets, earliest, recognise, without_rows
from andon.detect.darknet.fingerprint.names import Names
from andon.detect.darknet.fingerprint.order import Orders, order_families
from andon.detect.darknet.fingerprint.order_findings import ORDERS, order_findings
from andon.detect.darknet.fingerprint.overlap import tool_marks
from andon.detect.darknet.fingerprint.parts import without_parts
from andon.detect.darknet.fingerprint.precedence import simplest_first
from andon.detect.darknet.fingerprint.report import Day, kind_of, report
from andon.detect.darknet.fingerprint.sample import Family, Sample
from andon.detect.darknet.fingerprint.summary import LIMIT, FingerprintSummary
from andon.detect.darknet.fingerprint.tables import COVERAGE, FAMILIES, SOURCES
from andon.records.columns import column
from andon.records.contract import Context, Outcome, Site, State, Window, duration_ns
from andon.sketch.hashing import mix64_array

_COLUMNS = (
    "ts",
    "src",
    "dst",
    "src_port",
    "dst_port",
    "tcp_flags",
    "tcp_seq",
    "tcp_ack",
    "ip_id",
    "ttl",
    "tcp_window",
    "ip_len",
    "layers",
)
# A search costs about this much a row of the sample, so the budget is kept by rows: the answer must not depend on
# how fast the machine is. docs/fingerprints.md says how it was measured.
ROWS_PER_SECOND = 32_000
# Sources that a known family needs to be seen again. Chance gives 0.04 of 600,000 sources to a relation: three of them
# once in a hundred days of a thousand families.
LEAST_CARRIED = 3
LEAST_CARRIED_SHORT = 4  # there are 144 times as many short spans
_DAY_SPAN = "1d"


@dataclass(frozen=True)
class Found:
    """What a search gives: families (sources are indices into the sample it was given), what it left out, and how many
    families chance would give where it knows."""

    families: tuple[Family, ...]
    left_out: tuple[str, ...] = ()
    chance_families: float | None = None


# A search is given the sample, how many sources make a family, the telescope's prefixes (or none), and which part of
# what is costly is to be done.
Search = Callable[[Sample, int, Sequence[str], Turn], Found]


# Which sources scan in an order of addresses; only those whose turn it is.
SearchOrders = Callable[[Sample, Turn], Orders]


def no_orders(sample: Sample, turn: Turn) -> Orders:
    """For a search of relations alone."""
    return Orders((), 0, 0)


def by_algebra(sample: Sample, least: int, prefixes: Sequence[str], turn: Turn = WHOLE) -> Found:
    """The layers of exact search (``discover``)."""
    # Imported when used: they compile a good deal, which a run without scanners does not need.
    from andon.detect.darknet.fingerprint.discover import Budget, discover

    # No clock: the sample was cut to the budget before, and what is found must not depend on the machine's speed.
    budget = Budget(seconds=math.inf, min_sources=least, turn=turn)
    made = discover(sample, budget=budget, telescope_prefixes=prefixes)
    return Found((*made.families, *made.stack_defaults), tuple(made.left_out), made.chance_families)


def by_genes(seed: int) -> Search:
    """The genetic search (``ga``), the published baseline, as a search with this seed."""

    def search(sample: Sample, least: int, prefixes: Sequence[str], turn: Turn = WHOLE) -> Found:
        from andon.detect.darknet.fingerprint import ga

        settings = ga.Settings(least_sources=least)
        return Found(tuple(ga.evolve(sample, seed, settings).families))

    return search


class FingerprintEngine:
    """Finds fingerprints, one finding per family and span.

    Settings: ``darknet.fingerprint.cpu_seconds`` (default 60), about how long the search of one span may take; it is
    kept by the number of packets searched, so that the answer is the same on every machine.
    ``darknet.fingerprint.min_sources`` (default 20), how many sources make a family. ``darknet.fingerprint.every``
    (default empty): "10min", say, concludes spans of ten minutes beside those of a day: what they show for the first
    time becomes a finding at once, and a span is searched whole only if none was before (``again``).
    ``darknet.fingerprint.cpu_seconds_again`` (default 2), about how long the search of any later one may take.

    Raises ValueError for settings out of range.
    """

    name: ClassVar[str] = "darknet.fingerprint"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = _COLUMNS
    window: ClassVar[Window] = Window(_DAY_SPAN, (_DAY_SPAN,))
    needs: ClassVar[tuple[str, ...]] = ("darknet.tools:sources", "darknet.fingerprint:known@last")
    uses: ClassVar[tuple[str, ...]] = (
        "hash_key",
        "telescope",
        "relations",
        "darknet.fingerprint.every",
        "darknet.fingerprint.cpu_seconds",
        "darknet.fingerprint.cpu_seconds_again",
        "darknet.fingerprint.min_sources",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"families": FAMILIES, "sources": SOURCES, "orders": ORDERS, "coverage": COVERAGE, "known": KNOWN}
    )
    limit: ClassVar[int] = LIMIT
    carries: ClassVar[type[State]] = Families

    def __init__(
        self, site: Site, search: Search = by_algebra, orders: SearchOrders = order_families
    ) -> None:
        self.search = search
        self.orders = orders
        self.key = site.hash_key
        self.prefixes = site.telescope
        self.marks = tool_marks(site.relations)
        self.cpu_seconds = site.number(self.name, "cpu_seconds", 60, 86_400)
        self.cpu_seconds_again = site.number(self.name, "cpu_seconds_again", 2, 86_400)
        self.least = int(site.setting(self.name, "min_sources", 20))
        if self.least < 2:
            raise ValueError(f"{self.name}.min_sources is {self.least}; it is at least 2")
        self.every = str(site.setting(self.name, "every", ""))
        if self.every:
            vars(self)["window"] = _window(f"{self.name}.every", self.every)

    def empty(self) -> FingerprintSummary:
        return FingerprintSummary(self.key)

    def summarise(self, batch: pa.RecordBatch, into: FingerprintSummary) -> FingerprintSummary:
        if batch.num_rows:
            into.add({name: column(batch, name) for name in self.columns})
        return into

    def merge(self, a: FingerprintSummary, b: FingerprintSummary) -> FingerprintSummary:
        a.merge(b)
        return a

    def conclude(
        self, summary: FingerprintSummary, carry: Families | None, ctx: Context[Families]
    ) -> Outcome[Families]:
        carried = Families() if carry is None else carry.copy()
        carried.learn(ctx.tables.get("darknet.fingerprint:known@last"))
        short = ctx.span != _DAY_SPAN
        # A whole search of every short span would cost what the day's costs, 144 times a day.
        turn = turn_of(ctx.start, ctx.end) if short and carry is not None else WHOLE
        packets = Packets(summary.sample())
        enough = LEAST_CARRIED_SHORT if short else LEAST_CARRIED
        families, searched = self.families(packets, carried, turn, ctx.start, enough)
        if short:  # what systems fill in by themselves is the day's to tell
            families = [family for family in families if kind_of(family) != "stack-default"]
        orders = self.orders(packets.sample, turn)
        names, window = (self.name, self.version), (ctx.start, ctx.end)
        day = Day(
            engine=names,
            window=window,
            packets=packets,
            syn=summary.packets,
            one_source_in=2**summary.level,
            tools=ctx.tables.get("darknet.tools:sources"),
            left_out=(*searched.left_out, *orders.left_out),
            chance_families=searched.chance_families,
            ordered=np.concatenate([one.rows for one in orders.found] or [np.empty(0, np.int64)]),
            again=short,
            relations=self.marks if short else {},
        )
        findings, tables = report(day, families, carried)
        in_order, table = order_findings(orders, packets.sample, names, window, carried, short)
        carried.forget(ctx.start)
        tables |= {"orders": table, "known": carried.table()}
        return Outcome((*findings, *in_order), tables, carried)

    def families(
        self,
        packets: Packets,
        carried: Families,
        turn: Turn = WHOLE,
        start: int = 0,
        enough: int = LEAST_CARRIED,
    ) -> tuple[list[Family], Found]:
        """(families with their sources as indices into the sample, the search's own answer): carried ones first, then
        those that the search finds in the packets that are left; in a part of them where only a ``turn`` is due.
        ``enough`` sources show a carried one again."""
        sample = packets.sample
        found: dict[str, Family] = {}
        free = np.ones(sample.rows, np.bool_)
        known = carried.to_search()
        for one in sorted(known, key=lambda k: k.scope == "session"):
            again = recognise(packets, one.relation, one.scope, enough, free)
            if again is not None:
                found[one.relation] = again[0]
                free[again[1]] = False
        left, index = without_rows(sample, ~free)
        names = Names([one.relation for one in known], self.prefixes)
        if turn.whole:
            answer = self._search_whole(left)
        else:
            answer = self._search_part(left, turn, start)
            rest = Packets(left)
            answer = replace(answer, families=tuple(_everywhere(answer.families, rest, self.least)))
        for family in answer.families:
            sources = index[family.sources]
            relation = names.of(family)
            before = found.get(relation)
            if before is not None:
                every = np.union1d(before.sources, sources).astype(np.int64)
                found[relation] = replace(before, sources=every)
            elif len(sources) >= self.least or kind_of(family) == "scan-order":
                found[relation] = replace(family, relation=relation, sources=np.sort(sources))
        whole = without_parts(packets, list(found.values()), self.least, self.marks.values())
        return simplest_first(packets, whole, self.least, enough), answer

    def _search_whole(self, left: Sample) -> Found:
        searched, most = earliest(left, int(self.cpu_seconds * ROWS_PER_SECOND))
        # So few sources make no family: nothing is compiled for a capture of a scan or two.
        enough = len(searched.src) >= self.least
        answer = self.search(searched, self.least, self.prefixes, WHOLE) if enough else Found(())
        if searched.rows < left.rows:
            text = (
                f"within {self.cpu_seconds:g} s of search only the earliest {most} packets of a source, "
                f"{searched.rows:,} of {left.rows:,} packets in the sample"
            )
            answer = replace(answer, left_out=(text, *answer.left_out))
        return answer

    def _search_part(self, left: Sample, turn: Turn, start: int) -> Found:
        salt = int(mix64_array(np.array([start], np.uint64), np.uint64(self.key))[0])
        part, index = part_to_search(left, int(self.cpu_seconds_again * ROWS_PER_SECOND), salt)
        answer = (
            self.search(part, self.least, self.prefixes, turn) if len(part.src) >= self.least else Found(())
        )
        families = tuple(replace(family, sources=index[family.sources]) for family in answer.families)
        text = searched_in_words(part, left, turn)
        return replace(answer, families=families, left_out=(text, *answer.left_out))


def _everywhere(families: Sequence[Family], packets: Packets, least: int) -> Iterator[Family]:
    """Families that a part of the packets showed, with all of their sources."""
    for family in families:
        again = recognise(packets, family.relation, family.scope, least)
        if again is None:
            yield family
        else:
            yield replace(family, sources=np.union1d(family.sources, again[0].sources).astype(np.int64))


def _window(name: str, every: str) -> Window:
    """Spans of this length, and days made of them. Raises ValueError."""
    try:
        length = duration_ns(every)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    # A day's tiles may all be open at once where files are read in any order.
    if length < duration_ns("6min") or duration_ns(_DAY_SPAN) % length:
        raise ValueError(f"{name} is {every!r}; a day is a whole number of it, and it is at least 6min")
    whole = length == duration_ns(_DAY_SPAN)
    return Window(_DAY_SPAN if whole else every, (_DAY_SPAN,) if whole else (every, _DAY_SPAN))
