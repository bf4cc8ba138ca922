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


@dataclass(frozen=True)
class Found:
    """What a search gives: families (sources are indices into the sample it was given) and what it left out."""

    families: tuple[Family, ...]
    left_out: tuple[str, ...] = ()


# A search is given the sample, how many sources make a family, and the telescope's prefixes (or none).
Search = Callable[[Sample, int, Sequence[str]], Found]


def by_algebra(sample: Sample, least: int, prefixes: Sequence[str]) -> Found:
    """The layers of exact search (``discover``)."""
    # Imported when used: they compile a good deal, which a run without scanners does not need.
    from andon.detect.darknet.fingerprint.discover import Budget, discover

    # No clock: the sample was cut to the budget before, and what is found must not depend on the machine's speed.
    budget = Budget(seconds=math.inf, min_sources=least)
    made = discover(sample, budget=budget, telescope_prefixes=prefixes)
    return Found((*made.families, *made.stack_defaults), tuple(made.left_out))


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
        {"families": FAMILIES, "sources": SOURCES, "coverage": COVERAGE}
    )
    limit: ClassVar[int] = LIMIT
    carries: ClassVar[type[State]] = Families

    def __init__(self, site: Site, search: Search = by_algebra) -> None:
        self.search = search
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
        sample = summary.sample()
        packets = Packets(sample)
        families, left_out = self.families(packets, carried)
        day = Day(
            engine=(self.name, self.version),
            window=(ctx.start, ctx.end),
            packets=packets,
            syn=summary.packets,
            one_source_in=2**summary.level,
            tools=ctx.tables.get("darknet.tools:sources"),
            left_out=left_out,
        )
        findings, tables = report(day, families, carried)
        carried.forget(ctx.start)
        return Outcome(findings=findings, tables=tables, carry=carried)

    def families(self, packets: Packets, carried: Families) -> tuple[list[Family], list[str]]:
        """(families with their sources as indices into the sample, what the search left out): carried ones first,
        then those that the search finds in the packets that are left."""
        sample = packets.sample
        found: dict[str, Family] = {}
        free = np.ones(sample.rows, np.bool_)
        for known in carried.to_search():
            again = recognise(packets, known.relation, known.scope, 2, free)
            if again is not None:
                found[known.relation] = again[0]
                free[again[1]] = False
        left, index = without_rows(sample, ~free)
        searched, most = earliest(left, int(self.cpu_seconds * ROWS_PER_SECOND))
        left_out = []
        if searched.rows < left.rows:
            left_out.append(
                f"within {self.cpu_seconds:g} s of search only the earliest {most} packets of a source, "
                f"{searched.rows:,} of {left.rows:,} packets in the sample"
            )
        if searched.rows:
            answer = self.search(searched, self.least, self.prefixes)
            left_out += answer.left_out
            for family in answer.families:
                sources = index[family.sources]
                before = found.get(family.relation)
                if before is not None:
                    found[family.relation] = replace(
                        before, sources=np.union1d(before.sources, sources).astype(np.int64)
                    )
                elif len(sources) >= self.least or kind_of(family) == "scan-order":
                    found[family.relation] = replace(family, sources=np.sort(sources))
        return self.simplest_first(packets, list(found.values())), left_out

    def simplest_first(self, packets: Packets, families: Sequence[Family]) -> list[Family]:
        """Without session sources that a global family explains: a relation with a free key fits more than it says,
        so what is left of a source when the packets of global families are gone must still prove the key."""
        sample = packets.sample
        taken = np.zeros(sample.rows, np.bool_)
        for family in families:
            if family.scope == "global" and kind_of(family) == "scanner-fingerprint":
                taken[packets.measure(family).rows] = True
        touched = np.bincount(packets.of_row[taken], minlength=len(sample.src)) > 0
        kept = []
        for family in families:
            if family.scope == "session" and touched[family.sources].any():
                again = recognise(packets, family.relation, "session", 1, ~taken)
                proved = again[0].sources if again is not None else np.empty(0, np.int64)
                sources = family.sources
                family = replace(family, sources=sources[~touched[sources] | np.isin(sources, proved)])
                least = 2 if family.layer == "carried" else self.least
                if len(family.sources) < least:
                    continue
            kept.append(family)
        return kept
