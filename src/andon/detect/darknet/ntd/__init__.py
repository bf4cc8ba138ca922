"""Dark-NTD: networks that ask for the same ports in the same minutes, found in one tensor.

The tensor engine of Dark-TRACER (IEEE Access 10, 2022), in the low-rank non-negative form lraNTD; parameters as in
the code its authors published. Half an hour of requests is a sparse tensor of minutes, /16 networks and ports; it is
brought to a small core by fibres of itself (``fibres``), decomposed into non-negative factors from several random
starts (``tucker``), and networks and ports above a threshold in coupled columns are alerted (``groups``). Setting
``rules = "corrected"`` mends the faults known of the published code, one switch each (docs/factorisation.md).

Runs on request. A detector of reference: for alerts to act on there is ``darknet.synchrony``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pyarrow as pa

from andon.detect.darknet.ntd.settings import NAMES, NtdSetting
from andon.detect.darknet.ntd.span import Span, analyse
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.coordination import ALERTS
from andon.sketch.factors.alerts import findings, ordered, table
from andon.sketch.factors.cells import READ, Cells
from andon.sketch.factors.traffic import Listed, protocols, surveys, traffic
from andon.sketch.factors.usual import Usual

_CONFIDENCE = (
    0.5,
    "not calibrated: the published rules give no probability; the score orders alerts (docs/factorisation.md)",
)


def engine(site: Site) -> NtdEngine:
    return NtdEngine(site)


class NtdEngine:
    """See the module text."""

    name: ClassVar[str] = "darknet.ntd"
    version: ClassVar[int] = 1
    on_request: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = READ
    window: ClassVar[Window] = Window(tile="10min", spans=("30min",))
    needs: ClassVar[tuple[str, ...]] = ("darknet.purpose:sources@last",)
    uses: ClassVar[tuple[str, ...]] = ("lists", "hash_key", *(f"darknet.ntd.{name}" for name in NAMES))
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"alerts": ALERTS})
    limit: ClassVar[int] = 400 << 20
    carries: ClassVar[type[State]] = Usual

    def __init__(self, site: Site) -> None:
        self.setting = NtdSetting.of(site, self.name)
        self._key = site.hash_key
        self._listed = Listed(site.lists)

    def empty(self) -> Cells:
        return Cells(self.setting.cells, self._key)

    def summarise(self, batch: pa.RecordBatch, into: Cells) -> Cells:
        into.add(batch)
        return into

    def merge(self, a: Cells, b: Cells) -> Cells:
        a.merge(b)
        return a

    def conclude(self, summary: Cells, carry: Usual | None, ctx: Context[Usual]) -> Outcome[Usual]:
        setting = self.setting
        usual = carry or Usual()
        if not summary.packets:
            return Outcome(tables={"alerts": ALERTS.empty_table()}, carry=usual)
        left_out = surveys(ctx.tables.get(self.needs[0])) if setting.surveys_out else np.empty(0, np.int64)
        spans: list[Span] = []
        for protocol in protocols(setting.udp):
            seen = traffic(summary, ctx.start, ctx.end, protocol)
            seen = seen.without_ports(setting.excluded).without_sources(left_out)
            if setting.lists_out:
                seen = seen.take(~self._listed.find(seen.source))
            spans.append(analyse(seen, setting, usual, 1 << summary.rows.level))
        alerts = ordered([alert for span in spans for alert in span.alerts])
        notes = _notes(summary, spans)
        keys = np.concatenate([span.keys for span in spans])
        hosts = np.concatenate([span.hosts for span in spans])
        order = np.argsort(keys)
        return Outcome(
            findings=findings((self.name, self.version), alerts, ctx, setting.findings, _CONFIDENCE, notes),
            tables={"alerts": table(self.name, alerts, ctx)},
            carry=usual.after(keys[order], hosts[order]),
        )


def _notes(summary: Cells, spans: list[Span]) -> list[str]:
    notes = [note for span in spans for note in span.notes]
    if summary.rows.level:
        kept = int(summary.rows.columns["packets"].sum())
        notes.append(
            f"Only one /16 network in {1 << summary.rows.level} was looked at, as there were more than "
            f"{summary.rows.limit:,} cells (raise darknet.ntd.cells); {summary.packets - kept:,} of "
            f"{summary.packets:,} requests are from the others."
        )
    return notes


__all__ = ["NtdEngine", "engine"]
