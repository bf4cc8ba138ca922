"""Census: how much arrives, from whom, to which ports, and what the telescope is.

Packets are counted exactly by protocol and port (ICMP: type) and by class. Distinct sources and
destinations of each port are exact as long as the day has at most ``darknet.census.pairs`` (1.25 million by
default) pairs of port and source, and of port and destination; beyond that they are estimated from a sample
of one in 2^level, with a standard error of sqrt(N (2^level - 1)) on an estimate of N, and marked ``exact =
false``.

Tables: ``slots`` every ten minutes; ``telescope``, ``ports`` and ``sources`` (the 1,000 with most packets)
every day. If no telescope can be inferred, the table ``telescope`` has one row, 0.0.0.0/0, whose
``addresses`` are the destinations seen, so that rates per address still mean something.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.census.places import Places, locate
from andon.detect.darknet.census.prefixes import TELESCOPE, observed
from andon.detect.darknet.census.report import finding
from andon.detect.darknet.census.summary import SMALLEST_LIMIT, Census
from andon.detect.darknet.census.units import split
from andon.records.contract import Context, Nothing, Outcome, Site, State, Window

_TIME = pa.timestamp("ns", tz="UTC")
_COUNTS: list[pa.Field[Any]] = [
    pa.field("proto", pa.uint8(), nullable=False),
    pa.field("port", pa.uint16(), nullable=False),  # ICMP: the type
    pa.field("packets", pa.int64(), nullable=False),
    pa.field("sources", pa.int64(), nullable=False),
    pa.field("destinations", pa.int64(), nullable=False),
    pa.field("exact", pa.bool_(), nullable=False),  # whether the two before are; packets always are
]
PORTS = pa.schema(_COUNTS)
_START: list[pa.Field[Any]] = [pa.field("start", _TIME, nullable=False)]
SLOTS = pa.schema(_START + _COUNTS)
_SOURCE: list[pa.Field[Any]] = [
    pa.field("src", pa.uint32(), nullable=False),
    pa.field("packets", pa.int64(), nullable=False),
    pa.field("ports", pa.int64(), nullable=False),  # distinct protocols and ports
    pa.field("country", pa.string(), nullable=False),  # "" without a table of places
]
SOURCES = pa.schema(_SOURCE)
_TOP_SOURCES = 1000
_PAIRS = 1_250_000


def engine(site: Site) -> CensusEngine:
    return CensusEngine(site)


class CensusEngine:
    """See the module text. Raises ValueError for a telescope prefix that is none, or a cap that is too
    low."""

    name: ClassVar[str] = "darknet.census"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = (
        "ts",
        "src",
        "dst",
        "dst_port",
        "proto",
        "tcp_flags",
        "layers",
        "icmp_type",
    )
    window: ClassVar[Window] = Window(tile="10min", spans=("10min", "1d"))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ("telescope", "locator", "hash_key", "darknet.census.pairs")
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"telescope": TELESCOPE, "slots": SLOTS, "ports": PORTS, "sources": SOURCES}
    )
    limit: ClassVar[int] = 64 << 20
    carries: ClassVar[type[State]] = Nothing

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pairs = int(site.setting(self.name, "pairs", _PAIRS))
        if self._pairs < SMALLEST_LIMIT:
            raise ValueError(
                f"darknet.census.pairs is {self._pairs:,}; it must be at least {SMALLEST_LIMIT:,}"
            )

    def empty(self) -> Census:
        return Census(self._pairs, self._site.hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Census) -> Census:
        into.add(batch)
        return into

    def merge(self, a: Census, b: Census) -> Census:
        a.merge(b)
        return a

    def conclude(self, summary: Census, carry: Nothing | None, ctx: Context[Nothing]) -> Outcome[Nothing]:
        if ctx.span != "1d":
            return Outcome(tables={"slots": _counts(summary, ctx.start)})
        if not summary.packets:
            return Outcome()
        sources = summary.by_source()
        prefixes = observed(summary, sources, self._site.telescope)
        ports = _counts(summary)
        places = locate(self._site.locator, sources)
        top = _top_sources(sources, self._site.locator)
        return Outcome(
            findings=(finding(self, summary, sources, prefixes, places, ctx),),
            tables={"telescope": prefixes.table, "ports": ports, "sources": top},
        )


def _counts(summary: Census, start: int | None = None) -> pa.Table:
    units, packets, sources, targets = summary.by_unit()
    proto, port, header = split(units)
    exact = np.full(len(units), summary.exact)
    columns = {
        "proto": proto,
        "port": port,
        "packets": packets,
        "sources": sources,
        "destinations": targets,
        "exact": exact,
    }
    columns = {name: values[header] for name, values in columns.items()}
    if start is None:
        return pa.table(columns, schema=PORTS)
    times = pa.array(np.full(int(header.sum()), start, np.int64)).cast(_TIME)
    return pa.table({"start": times, **columns}, schema=SLOTS)


def _top_sources(sources: tuple[np.ndarray, np.ndarray, np.ndarray], locator: Places) -> pa.Table:
    address, packets, ports = sources
    top = np.lexsort((address, -packets))[:_TOP_SOURCES]
    country, system = locator.locate(address[top]) if locator is not None else ([""] * len(top),) * 2
    columns = {"src": address[top], "packets": packets[top], "ports": ports[top]}
    return pa.table({**columns, "country": country, "as": system}, schema=SOURCES)
