"""Sightings: who was seen in the darknet, on which ports, from when to when, with which fingerprint.

The darknet side of the joint analysis, in the words that the honeypot side is joined with: one row for each source,
port and episode of a day (``records.sighting``), and the set of ports of each source. Made from packets; or taken over
from sightings that somebody else made (records of kind ``darknet-source``), where captures may not leave the house.
The fingerprints of packets come from ``darknet.fingerprint`` and ``darknet.tools``, port-set families from
``darknet.portsets``; each may be missing.

Answers and backscatter are no scans. Up to ``darknet.sightings.rows`` rows (600,000) are kept a day; beyond that a
sample of one source in 2^level with all its ports, and the table ``coverage`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.sightings.summary import READ, Sightings
from andon.detect.darknet.sightings.tables import PORT_SETS, Fingerprints, Rows, port_sets, sightings_table
from andon.records.contract import Context, Nothing, Outcome, Site, State, Window
from andon.records.kinds import DARKNET_SOURCE, PACKET
from andon.records.sighting import SIGHTING

_RELATIONS, _TOOLS, _FAMILIES = (
    "darknet.fingerprint:sources",
    "darknet.tools:sources",
    "darknet.portsets:sources",
)
_TIME = pa.timestamp("ns", tz="UTC")
_COVERAGE: list[pa.Field[Any]] = [
    pa.field("start", _TIME, nullable=False),
    pa.field("end", _TIME, nullable=False),
    pa.field("packets", pa.int64(), nullable=False),  # scan packets, of all sources
    pa.field("kept_packets", pa.int64(), nullable=False),  # of the sources kept
    pa.field("sources", pa.int64(), nullable=False),  # kept
    pa.field("one_source_in", pa.int64(), nullable=False),  # 1: every source was kept
    pa.field("answers", pa.int64(), nullable=False),  # packets that ask for nothing
    pa.field("nameless", pa.int64(), nullable=False),  # given fingerprints too long to be one
]
COVERAGE: Final = pa.schema(_COVERAGE)
_MOST_ROWS = 600_000


def engine(site: Site) -> SightingsEngine:
    return SightingsEngine(site)


class SightingsEngine:
    """See the module text. Raises ValueError for a number of rows that is not between 1 and 600,000."""

    name: ClassVar[str] = "darknet.sightings"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = (PACKET, DARKNET_SOURCE)
    columns: ClassVar[tuple[str, ...]] = READ
    window: ClassVar[Window] = Window(tile="1d", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = (_RELATIONS, _TOOLS, _FAMILIES)
    uses: ClassVar[tuple[str, ...]] = ("hash_key", "darknet.sightings.rows")
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"sources": SIGHTING, "portsets": PORT_SETS, "coverage": COVERAGE}
    )
    limit: ClassVar[int] = 64 << 20
    carries: ClassVar[type[State]] = Nothing

    def __init__(self, site: Site) -> None:
        self._rows = site.count(self.name, "rows", _MOST_ROWS, _MOST_ROWS)
        self._key = site.hash_key

    def empty(self) -> Sightings:
        return Sightings(self._rows, self._key)

    def summarise(self, batch: pa.RecordBatch, into: Sightings) -> Sightings:
        if batch.num_rows:
            into.add(batch)
        return into

    def merge(self, a: Sightings, b: Sightings) -> Sightings:
        a.merge(b)
        return a

    def conclude(self, summary: Sightings, carry: Nothing | None, ctx: Context[Nothing]) -> Outcome[Nothing]:
        rows = Rows(summary)
        known = Fingerprints(ctx.tables.get(_RELATIONS), ctx.tables.get(_TOOLS))
        coverage = pa.table(
            {
                "start": [ctx.start],
                "end": [ctx.end],
                "packets": [summary.packets],
                "kept_packets": [int(rows.packets.sum())],
                "sources": [len(np.unique(rows.src))],
                "one_source_in": [1 << summary.rows.level],
                "answers": [summary.answers],
                "nameless": [summary.nameless],
            },
            schema=COVERAGE,
        )
        return Outcome(
            tables={
                "sources": sightings_table(rows, summary.names, known, ctx.start),
                "portsets": port_sets(rows, ctx.tables.get(_FAMILIES)),
                "coverage": coverage,
            },
        )
