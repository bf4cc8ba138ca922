"""Proxy graph: from terminals and destinations, white, gray and black, to the malicious among the gray and the infected
who never touched black.

Lives on the tables of ``livenet.edges``, with what ``livenet.beacon`` and ``livenet.url`` say of destinations. It keeps
the graph of the last days (``memory``); destinations have a prior (``prior``), black contacts are weighed (``black``),
guilt spreads over the graph (``judge``, ``sketch.bipartite.guilt``), and every log-odds is told as the sum of its parts
(``tables``, ``report``). docs/proxygraph.md tells how to read it and what was measured.

Settings ``livenet.proxygraph.*``: ``days`` (14) remembered; ``edges`` (8,000,000) at most; ``proof`` ("default" or
"any"); ``findings`` (50 of each kind a day); ``listed`` (1,000 rows of the ranked tables); ``terminal`` (0.5) and
``destination`` (0.5), probabilities from which a finding is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import pyarrow as pa

from andon.detect.livenet.proxygraph import tables
from andon.detect.livenet.proxygraph.black import ANY, DEFAULT
from andon.detect.livenet.proxygraph.judge import judge
from andon.detect.livenet.proxygraph.memory import Memory, remember
from andon.detect.livenet.proxygraph.report import Telling, findings
from andon.records.contract import Context, Nothing, OnTables, Outcome, Site, State, Window
from andon.records.livenet import GRAY, REASONS, SUSPECTS

_NEEDS: Final = {
    "edges": "livenet.edges:edges",
    "destinations": "livenet.edges:destinations",
    "terminals": "livenet.edges:terminals",
    "beacons": "livenet.beacon:beacons",
    "hosts": "livenet.url:hosts",
}
_LIMITS: Final = {
    "days": (14, 90),
    "edges": (8_000_000, 100_000_000),
    "findings": (50, 10_000),
    "certain": (500, 10_000),
    "listed": (1_000, 100_000),
}
_LEAST: Final = {"terminal": 0.1, "destination": 0.5}
_NANO = 1_000_000_000


def engine(site: Site) -> ProxyGraph:
    return ProxyGraph(site)


class ProxyGraph(OnTables):
    """See the module text. Raises ValueError for a setting out of range."""

    name: ClassVar[str] = "livenet.proxygraph"
    version: ClassVar[int] = 1
    window: ClassVar[Window] = Window(tile="1h", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = tuple(_NEEDS.values())
    uses: ClassVar[tuple[str, ...]] = (
        "lists",
        *(f"livenet.proxygraph.{name}" for name in (*_LIMITS, *_LEAST, "proof")),
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {
            "gray": GRAY,
            "terminals": SUSPECTS,
            "reasons": REASONS,
            "blame": tables.BLAME,
            "black": tables.BLACK,
            "coverage": tables.COVERAGE,
        }
    )
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._site = site
        self._limit = {name: site.count(self.name, name, *of) for name, of in _LIMITS.items()}
        self._proof = str(site.setting(self.name, "proof", DEFAULT))
        if self._proof not in (ANY, DEFAULT):
            raise ValueError(f'livenet.proxygraph.proof is {self._proof!r}; it is "{DEFAULT}" or "{ANY}"')
        least = {name: site.number(self.name, name, value, 1.0) for name, value in _LEAST.items()}
        self._telling = Telling(
            (self.name, self.version), self._proof, self._limit["findings"], self._limit["certain"], **least
        )

    def conclude(self, summary: Nothing, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        memory = remember(
            carry or Memory.empty(),
            {name: ctx.tables.get(need) for name, need in _NEEDS.items()},
            ctx.start // _NANO,
            ctx.end // _NANO,
            self._limit["days"],
            self._limit["edges"],
        )
        judged = judge(memory, self._site, self._proof, ctx.end // _NANO)
        ranked = tables.rank(judged, self._limit["listed"])
        reasons, unlisted = tables.reasons_table(judged, ranked)
        return Outcome(
            findings=findings(judged, ranked, self._telling, ctx),
            tables={
                "gray": tables.gray_table(judged, ranked, reasons, ctx.start),
                "terminals": tables.suspects_table(judged, ranked, ctx.start),
                "reasons": reasons,
                "blame": tables.blame_table(judged, ranked),
                "black": tables.black_table(judged),
                "coverage": tables.coverage_table(judged, unlisted),
            },
            carry=memory,
        )


__all__ = ["ProxyGraph", "engine"]
