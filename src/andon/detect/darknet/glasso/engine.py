"""The engine: ten minutes of counts into densities, densities into alerts, alerts into ports."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.glasso.history import History
from andon.detect.darknet.glasso.hosts import choose, covariance
from andon.detect.darknet.glasso.options import NAME, SETTINGS, options_of
from andon.detect.darknet.glasso.ports import ports_of
from andon.detect.darknet.glasso.report import (
    DENSITIES,
    VERSION,
    Span,
    alerts_table,
    densities_table,
    findings,
)
from andon.detect.darknet.glasso.solver import graphical_lasso_path
from andon.detect.darknet.glasso.summary import READ, Counts
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.coordination import ALERTS
from andon.sketch.surveys import Listed

SHORT_NS: Final = 50_000_000_000  # a span of which so much was not observed is not judged
_PURPOSES: Final = "darknet.purpose:sources@last"


class Glasso:
    """See the package text and ``docs/glasso.md``. Raises ValueError for settings that make no sense."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    on_request: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = READ
    window: ClassVar[Window] = Window(tile="10min", spans=("10min",))
    needs: ClassVar[tuple[str, ...]] = (_PURPOSES,)
    uses: ClassVar[tuple[str, ...]] = ("lists", "hash_key", *(f"{NAME}.{name}" for name in SETTINGS))
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"alerts": ALERTS, "densities": DENSITIES}
    )
    limit: ClassVar[int] = 40 << 20
    carries: ClassVar[type[State]] = History

    def __init__(self, site: Site) -> None:
        self.options = options_of(site)
        self._hash_key = site.hash_key
        self._listed = Listed(site.lists if self.options.survey == "drop" else {})
        self._wanted = np.zeros((2, 1 << 16), np.uint8)
        for row, name in enumerate(("tcp", "udp")):
            if name in self.options.protocols:
                self._wanted[row] = 2 if self.options.packets == "scan" else 1
                self._wanted[row, list(self.options.ignore)] = 0

    def empty(self) -> Counts:
        return Counts(self.options.samples, self.options.pairs, self._hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Counts) -> Counts:
        into.add(batch, self._wanted, self._listed, self.options.sample_ns)
        return into

    def merge(self, a: Counts, b: Counts) -> Counts:
        a.merge(b)
        return a

    def conclude(self, summary: Counts, carry: History | None, ctx: Context[History]) -> Outcome[History]:
        options = self.options
        history = carry if carry and carry.rho == options.rho else History.empty(options.rho)
        if summary.last - summary.first < ctx.end - ctx.start - SHORT_NS:
            return Outcome(carry=history)
        chosen = choose(summary, options, ctx.start, ctx.tables.get(_PURPOSES))
        total = len(chosen.host)
        if total < 2:
            return Outcome(carry=history)
        cov, size, group = covariance(chosen.counts)
        solutions = graphical_lasso_path(cov, size, options.rho)
        scale = 1.0 if options.density == "half" else 2.0
        densities = [scale * answer.edges / (total * (total - 1)) for answer in solutions]
        history, judged = history.judge(
            densities, options.theta, options.history, options.warm_up, options.forget_alerts
        )
        ports, left_out = ports_of(summary, chosen)
        span = Span(
            summary, chosen, solutions, densities, judged, ports, left_out, self._listed.unreadable, group
        )
        reported = [port for port in ports if port.level in options.levels] if span.alerted else []
        # The published order is by share of networks; if not all can be reported, those whose networks have most links.
        reported = sorted(reported, key=lambda port: -span.links(port)[1])[: options.findings]
        return Outcome(
            findings=findings(span, reported, options, ctx),
            tables={
                "alerts": alerts_table(span, reported, ctx),
                "densities": densities_table(span, ctx),
            },
            carry=history,
        )
