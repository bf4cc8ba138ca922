"""The engine ``darknet.tools``: which sources run which known tool (see the package text)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.tools.catalogue import BITS_PER_SIGNATURE, LANE_BITS, Catalogue, load
from andon.detect.darknet.tools.judge import Judged, judge_global
from andon.detect.darknet.tools.report import SOURCES, findings, sources_table
from andon.detect.darknet.tools.sample import Sample, value_code
from andon.detect.darknet.tools.sessions import judge_session
from andon.detect.darknet.tools.summary import LIMIT, ToolsSummary
from andon.records.columns import column
from andon.records.contract import Context, Nothing, Outcome, Site, State, Window
from andon.records.expression import evaluate_many

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


class ToolsEngine:
    """Names the sources of known tools, one finding per tool and span.

    Settings: ``darknet.tools.false_alarms`` (default 0.01), how many sources a day may be named by chance, per
    tool; ``darknet.tools.least_packets`` (default 1), distinct hits asked for whatever the arithmetic says:
    with 1 a 32-bit relation may be believed on one packet, with 2 never.

    Raises ValueError for settings out of range.
    """

    name: ClassVar[str] = "darknet.tools"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = _COLUMNS
    window: ClassVar[Window] = Window("1d", ("1d",))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = (
        "hash_key",
        "darknet.tools.false_alarms",
        "darknet.tools.least_packets",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"sources": SOURCES})
    limit: ClassVar[int] = LIMIT
    carries: ClassVar[type[State]] = Nothing

    def __init__(self, site: Site, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or load()
        self.budget = float(site.setting(self.name, "false_alarms", 0.01))
        self.least = int(site.setting(self.name, "least_packets", 1))
        if not 0.0 < self.budget <= 1.0:
            raise ValueError(
                f"darknet.tools.false_alarms is {self.budget}; it is a number above 0, at most 1"
            )
        if self.least < 1:
            raise ValueError(f"darknet.tools.least_packets is {self.least}; it is at least 1")
        self.key = site.hash_key
        self._bundle = self.catalogue.bundle()
        every = (*self.catalogue.globals, *self.catalogue.sessions)
        self._codes = [(signature, value_code(signature)) for signature in every]
        self._signatures = Counter(signature.tool for signature in every)
        self._identity = np.array([s.identity for s in self.catalogue.globals], np.int64)
        self._explains = sum(
            2 << (LANE_BITS + BITS_PER_SIGNATURE * s.number) for s in self.catalogue.globals if s.explains
        )

    def empty(self) -> ToolsSummary:
        return ToolsSummary(len(self.catalogue.globals), self.key)

    def summarise(self, batch: pa.RecordBatch, into: ToolsSummary) -> ToolsSummary:
        if batch.num_rows:
            columns = {name: column(batch, name) for name in self.columns}
            into.add(evaluate_many(self._bundle, columns), columns, self._identity, self._explains)
        return into

    def merge(self, a: ToolsSummary, b: ToolsSummary) -> ToolsSummary:
        a.merge(b)
        return a

    def judge(self, summary: ToolsSummary) -> list[Judged]:
        """Every signature's sources, in the order of the catalogue's numbers: globals first, then sessions."""
        samples = (Sample(summary.guarded, self.key), Sample(summary.others, self.key))
        judged = []
        for signature, code in self._codes:
            # The budget is a tool's, so its signatures share it.
            share = self.budget / self._signatures[signature.tool]
            if signature.scope == "global":
                judged.append(judge_global(signature, code, summary, samples, share, self.least))
            elif code is not None:
                judged.append(judge_session(signature, code, *samples, share))
        return judged

    def conclude(
        self, summary: ToolsSummary, carry: Nothing | None, ctx: Context[Nothing]
    ) -> Outcome[Nothing]:
        judged = self.judge(summary)
        return Outcome(
            findings=findings(
                self.name, self.version, self.catalogue, summary, judged, self.budget, (ctx.start, ctx.end)
            ),
            tables={"sources": sources_table(self.catalogue, judged)},
        )
