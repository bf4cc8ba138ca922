"""The engine ``darknet.fingerprint``: relations between header fields that many sources share and nobody listed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.carry import Families
from andon.detect.darknet.fingerprint.measure import Packets, earliest, recognise, without_rows
from andon.detect.darknet.fingerprint.names import Names
from andon.detect.darknet.fingerprint.order import Orders, order_families
from andon.detect.darknet.fingerprint.order_findings import ORDERS, order_findings
from andon.detect.darknet.fingerprint.precedence import simplest_first
from andon.detect.darknet.fingerprint.report import Day, kind_of, report
from andon.detect.darknet.fingerprint.sample import Family, Sample
from andon.detect.darknet.fingerprint.summary import LIMIT, FingerprintSummary
from andon.detect.darknet.fingerprint.tables import COVERAGE, FAMILIES, SOURCES
from andon.records.columns import column
from andon.records.contract import Context, Outcome, Site, State, Window

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


@dataclass(frozen=True)
class Found:
    """What a search gives: families (sources are indices into the sample it was given), what it left out, and how many
    families chance would give where it knows."""

    families: tuple[Family, ...]
    left_out: tuple[str, ...] = ()
    chance_families: float | None = None


# A search is given the sample, how many sources make a family, and the telescope's prefixes (or none).
Search = Callable[[Sample, int, Sequence[str]], Found]


# Which sources scan in an order of addresses.
SearchOrders = Callable[[Sample], Orders]


def no_orders(sample: Sample) -> Orders:
    """For a search of relations alone."""
    return Orders((), 0, 0)


def by_algebra(sample: Sample, least: int, prefixes: Sequence[str]) -> Found:
    """The layers of exact search (``discover``)."""
    # Imported when used: they compile a good deal, which a run without scanners does not need.
    from andon.detect.darknet.fingerprint.discover import Budget, discover

    # No clock: the sample was cut to the budget before, and what is found must not depend on the machine's speed.
    budget = Budget(seconds=math.inf, min_sources=least)
    made = discover(sample, budget=budget, telescope_prefixes=prefixes)
    return Found((*made.families, *made.stack_defaults), tuple(made.left_out), made.chance_families)


def by_genes(seed: int) -> Search:
    """The genetic search (``ga``), the published baseline, as a search with this seed."""

    def search(sample: Sample, least: int, prefixes: Sequence[str]) -> Found:
        from andon.detect.darknet.fingerprint import ga

        settings = ga.Settings(least_sources=least)
        return Found(tuple(ga.evolve(sample, seed, settings).families))

    return search


class FingerprintEngine:
    """Finds fingerprints, one finding per family and span.

    Settings: ``darknet.fingerprint.cpu_seconds`` (default 60), about how long the search of one span may take; it is
    kept by the number of packets searched, so that the answer is the same on every machine.
    ``darknet.fingerprint.min_sources`` (default 20), how many sources make a family.

    Raises ValueError for settings out of range.
    """

    name: ClassVar[str] = "darknet.fingerprint"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = _COLUMNS
    window: ClassVar[Window] = Window("1d", ("1d",))
    needs: ClassVar[tuple[str, ...]] = ("darknet.tools:sources",)
    uses: ClassVar[tuple[str, ...]] = (
        "hash_key",
        "telescope",
        "darknet.fingerprint.cpu_seconds",
        "darknet.fingerprint.min_sources",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"families": FAMILIES, "sources": SOURCES, "orders": ORDERS, "coverage": COVERAGE}
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
        self.cpu_seconds = float(site.setting(self.name, "cpu_seconds", 60))
        self.least = int(site.setting(self.name, "min_sources", 20))
        if not 0 < self.cpu_seconds <= 86_400:
            raise ValueError(
                f"{self.name}.cpu_seconds is {self.cpu_seconds}; it is above 0 and at most 86400"
            )
        if self.least < 2:
            raise ValueError(f"{self.name}.min_sources is {self.least}; it is at least 2")

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
        packets = Packets(summary.sample())
        families, searched = self.families(packets, carried)
        orders = self.orders(packets.sample)
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
        )
        findings, tables = report(day, families, carried)
        in_order, table = order_findings(orders, packets.sample, names, window, carried)
        carried.forget(ctx.start)
        return Outcome((*findings, *in_order), {**tables, "orders": table}, carried)

    def families(self, packets: Packets, carried: Families) -> tuple[list[Family], Found]:
        """(families with their sources as indices into the sample, the search's own answer): carried ones first, then
        those that the search finds in the packets that are left."""
        sample = packets.sample
        found: dict[str, Family] = {}
        free = np.ones(sample.rows, np.bool_)
        known = carried.to_search()
        for one in sorted(known, key=lambda k: k.scope == "session"):
            again = recognise(packets, one.relation, one.scope, LEAST_CARRIED, free)
            if again is not None:
                found[one.relation] = again[0]
                free[again[1]] = False
        left, index = without_rows(sample, ~free)
        searched, most = earliest(left, int(self.cpu_seconds * ROWS_PER_SECOND))
        # So few sources make no family: nothing is compiled for a capture of a scan or two.
        enough = len(searched.src) >= self.least
        answer = self.search(searched, self.least, self.prefixes) if enough else Found(())
        if searched.rows < left.rows:
            text = (
                f"within {self.cpu_seconds:g} s of search only the earliest {most} packets of a source, "
                f"{searched.rows:,} of {left.rows:,} packets in the sample"
            )
            answer = replace(answer, left_out=(text, *answer.left_out))
        names = Names([one.relation for one in known], self.prefixes)
        for family in answer.families:
            sources = index[family.sources]
            relation = names.of(family)
            before = found.get(relation)
            if before is not None:
                every = np.union1d(before.sources, sources).astype(np.int64)
                found[relation] = replace(before, sources=every)
            elif len(sources) >= self.least or kind_of(family) == "scan-order":
                found[relation] = replace(family, relation=relation, sources=np.sort(sources))
        return simplest_first(packets, list(found.values()), self.least, LEAST_CARRIED), answer
