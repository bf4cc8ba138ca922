"""An engine that factorises the cells of half an hour, whichever way: what it leaves out, remembers and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Generic, TypeVar

import numpy as np
import pyarrow as pa

from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.coordination import ALERTS
from andon.sketch.factors.alerts import Alert, findings, ordered, table
from andon.sketch.factors.cells import READ, Cells
from andon.sketch.factors.settings import Common
from andon.sketch.factors.traffic import Traffic, protocols, traffic
from andon.sketch.factors.usual import Usual
from andon.sketch.surveys import Listed, surveys

_CONFIDENCE = (
    0.5,
    "not calibrated: the published rules give no probability; the score orders alerts (docs/factorisation.md)",
)
S = TypeVar("S", bound=Common)


@dataclass(frozen=True)
class Span:
    """What was found in one span and protocol. ``keys`` (protocol << 16 | port) with their ``hosts`` are what ``Usual``
    remembers."""

    alerts: list[Alert]
    notes: list[str]
    keys: np.ndarray
    hosts: np.ndarray


def used(engine: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """``Engine.uses`` of an engine with these settings."""
    return ("lists", "hash_key", *(f"{engine}.{name}" for name in names))


class FactorEngine(Generic[S]):
    """The contract but for ``name``, ``version`` and ``uses``, which the subclass has. ``analyse`` gives the alerts of
    the cells of a protocol that are left after surveys and ports were taken out; its last argument is the number of
    networks for each one in the sample."""

    name: ClassVar[str]
    version: ClassVar[int]
    uses: ClassVar[tuple[str, ...]]
    on_request: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("packet",)
    columns: ClassVar[tuple[str, ...]] = READ
    window: ClassVar[Window] = Window(tile="10min", spans=("30min",))
    needs: ClassVar[tuple[str, ...]] = ("darknet.purpose:sources@last",)
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"alerts": ALERTS})
    limit: ClassVar[int] = 400 << 20
    carries: ClassVar[type[State]] = Usual

    def __init__(self, site: Site, setting: S, analyse: Callable[[Traffic, S, Usual, int], Span]) -> None:
        self.setting = setting
        self._analyse = analyse
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
            spans.append(self._analyse(seen, setting, usual, 1 << summary.rows.level))
        alerts = ordered([alert for span in spans for alert in span.alerts])
        notes = [*(note for span in spans for note in span.notes), *self._sampled(summary)]
        keys = np.concatenate([span.keys for span in spans])
        hosts = np.concatenate([span.hosts for span in spans])
        order = np.argsort(keys)
        return Outcome(
            findings=findings((self.name, self.version), alerts, ctx, setting.findings, _CONFIDENCE, notes),
            tables={"alerts": table(self.name, alerts, ctx)},
            carry=usual.after(keys[order], hosts[order]),
        )

    def _sampled(self, summary: Cells) -> list[str]:
        """What the cap on cells left out, in words."""
        if not summary.rows.level:
            return []
        kept = int(summary.rows.columns["packets"].sum())
        return [
            f"Only one /16 network in {1 << summary.rows.level} was looked at, as there were more than "
            f"{summary.rows.limit:,} cells (raise {self.name}.cells); {summary.packets - kept:,} of "
            f"{summary.packets:,} requests are from the others."
        ]
