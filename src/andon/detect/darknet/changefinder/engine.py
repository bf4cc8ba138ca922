"""The engine: counts of a span are one point of each series."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.changefinder.carry import SILENT, TOTAL, Followed
from andon.detect.darknet.changefinder.kernel import ONLY_ASKING, TCP_WANTED, UDP_WANTED
from andon.detect.darknet.changefinder.options import NAME, SETTINGS, options_of
from andon.detect.darknet.changefinder.report import ROW_FLOOR, VERSION, Change, alerts_table, findings
from andon.detect.darknet.changefinder.sdar import LEAST, Step, learn
from andon.detect.darknet.changefinder.summary import READ, Ports
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.coordination import ALERTS

SHORT: Final = 12  # a span of which more than a twelfth was not observed is no point (50 s of ten minutes)
_LOG_LEAST: Final = 1e-2  # least variance of logarithms


class ChangeFinder:
    """See the package text. Raises ValueError for settings that make no sense."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    on_request: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = READ
    window: Window = Window(tile="10min", spans=("10min",))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ("hash_key", *(f"{NAME}.{name}" for name in SETTINGS))
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"alerts": ALERTS})
    limit: ClassVar[int] = 20 << 20
    carries: ClassVar[type[State]] = Followed

    def __init__(self, site: Site) -> None:
        self.options = options_of(site)
        self.window = Window(tile=self.options.span, spans=(self.options.span,))
        self._hash_key = site.hash_key
        self._wanted = (
            TCP_WANTED * ("tcp" in self.options.protocols)
            | UDP_WANTED * ("udp" in self.options.protocols)
            | ONLY_ASKING * (self.options.packets == "scan")
        )

    def empty(self) -> Ports:
        return Ports(self.options.pairs, self._hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Ports) -> Ports:
        into.add(batch, self._wanted)
        return into

    def merge(self, a: Ports, b: Ports) -> Ports:
        a.merge(b)
        return a

    def conclude(self, summary: Ports, carry: Followed | None, ctx: Context[Followed]) -> Outcome[Followed]:
        options = self.options
        before = carry or Followed.empty()
        length = ctx.end - ctx.start
        if summary.last - summary.first < length - length // SHORT:
            return Outcome(carry=before)
        packets = summary.packets.astype(np.int64)
        sources, all_sources = summary.sources()
        heard = np.zeros(0, np.int64)
        if options.per == "port":
            heard = np.flatnonzero((packets >= options.least_packets) & (sources >= options.least_sources))
        after, dropped = before.follow(heard, sources, options.ports if options.per == "port" else 0)
        counts = np.zeros((len(after.codes), 2), np.int64)
        counts[after.codes == TOTAL] = packets.sum(), all_sources
        ports = after.codes >= 0
        counts[ports, 0], counts[ports, 1] = packets[after.codes[ports]], sources[after.codes[ports]]
        x = np.log1p(counts) if options.scale == "log" else counts.astype(np.float64)
        least = _LOG_LEAST if options.scale == "log" else LEAST[0]
        steps = [
            learn(after.state[:, n], after.seen, x[:, n], options.forgetting, options.early == "mean", least)
            for n in range(2)
        ]
        after.seen += 1
        score = np.stack([step.score for step in steps], axis=1)
        score[after.seen <= options.ignored] = 0.0
        high = score.max(axis=1) > options.threshold
        new = high & ~after.high
        after.high = high
        changes = self._changes(after, score, new, counts, steps, ctx)
        reported = [change for change in changes if change.new]
        more = max(len(reported) - options.findings, 0)
        reported = reported[: options.findings]
        return Outcome(
            findings=findings(
                reported,
                more,
                dropped,
                1 << summary.pairs.level,
                packets,
                (summary.first, summary.last),
                options,
                ctx,
            ),
            tables={"alerts": alerts_table(changes, reported, ctx)},
            carry=after,
        )

    def _changes(
        self,
        after: Followed,
        score: np.ndarray,
        new: np.ndarray,
        counts: np.ndarray,
        steps: list[Step],
        ctx: Context[Followed],
    ) -> list[Change]:
        """Series with half the threshold and more, highest score first."""
        best = score.max(axis=1)
        rows = np.flatnonzero(
            (best >= ROW_FLOOR * self.options.threshold) & (best > 0) & (after.codes != SILENT)
        )
        rows = rows[np.lexsort((after.codes[rows], -best[rows]))]
        length = ctx.end - ctx.start
        made = []
        for row in rows.tolist():
            which = int(np.argmax(score[row]))
            expected = [float(step.expected[row]) for step in steps]
            if self.options.scale == "log":
                expected = [float(np.expm1(value)) for value in expected]
            made.append(
                Change(
                    code=int(after.codes[row]),
                    score=float(best[row]),
                    which=which,
                    now=(int(counts[row, 0]), int(counts[row, 1])),
                    expected=(expected[0], expected[1]),
                    begins=ctx.start - int(steps[which].ago[row]) * length,
                    rising=bool(steps[which].rising[row]),
                    new=bool(new[row]),
                )
            )
        return made
