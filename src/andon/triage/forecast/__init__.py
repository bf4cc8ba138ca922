"""Forecast: how many packets each port of the darknet will get in the hours of the next day, and when it gets more.

Lives on ``darknet.census:slots``. The ports with most packets (``ports``, 64) are followed hour by hour for four
weeks. At midnight UTC the coming day is forecast in several ways (``triage.prediction.volume``), and the day that
is over is held against its forecasts. A forecast is shown, and can raise a finding, only while the gate of its port
is open (``triage.prediction.gate``): on this telescope's own past it beat the better of two trivial baselines. What
is forecast but not shown stands in the table ``quality`` alone, with the losses of all.

Findings (kind ``volume-forecast``): an hour of a shown port with more packets than the 95 % quantile and so many
that chance would give one such hour in ``false_alarms`` (0.1) a day over all shown ports; and a forecast of a day
with twice the usual total. Days that were seen in part (fewer than 140 of 144 slots) are not learnt from.

Settings ``triage.forecast.*``: ``ports`` (64), ``findings`` (10) a day, ``false_alarms`` (0.1) a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from andon.records.contract import Context, Nothing, OnTables, Outcome, Site, State, Window
from andon.records.finding import Finding
from andon.triage.forecast import report
from andon.triage.forecast.memory import MISSING, WAYS, Volumes
from andon.triage.prediction import gate
from andon.triage.prediction.volume import BASELINES, DAY, LEAST_DAYS, LONGEST, forecasts, pinball

SLOTS: Final = "darknet.census:slots"
_HOUR: Final = 3600 * 1_000_000_000
_SEEN: Final = 140  # of 144 slots that make a day
_LEAST_PACKETS: Final = 24  # of a port in a day, to be followed


def engine(site: Site) -> ForecastEngine:
    return ForecastEngine(site)


class ForecastEngine(OnTables):
    """See the module text. Raises ValueError for a setting out of range."""

    name: ClassVar[str] = "triage.forecast"
    version: ClassVar[int] = 1
    window: ClassVar[Window] = Window(tile="10min", spans=("10min",))
    needs: ClassVar[tuple[str, ...]] = (SLOTS,)
    uses: ClassVar[tuple[str, ...]] = (
        "triage.forecast.ports",
        "triage.forecast.findings",
        "triage.forecast.false_alarms",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType(
        {"forecast": report.FORECAST, "volume": report.VOLUME, "quality": report.QUALITY}
    )
    carries: ClassVar[type[State]] = Volumes

    def __init__(self, site: Site) -> None:
        self._most = site.count(self.name, "ports", 64, 4096)
        self._findings = site.count(self.name, "findings", 10, 1000)
        self._false_alarms = site.number(self.name, "false_alarms", 0.1, 1000.0)

    def conclude(self, summary: Nothing, carry: Volumes | None, ctx: Context[Volumes]) -> Outcome[Volumes]:
        memory = Volumes() if carry is None else carry.copy()
        hour = ctx.start // _HOUR
        day = hour // DAY
        tables = {name: schema.empty_table() for name, schema in self.publishes.items()}
        findings: tuple[Finding, ...] = ()
        if memory.day >= 0 and day > memory.day:
            tables["quality"] = self._turn(memory, day)
            tables["forecast"] = report.forecast_table(memory)
            findings = report.unusual_days(memory, self._findings, ctx)
        elif memory.day < 0:
            memory.day = day
        memory.hour = hour
        _add(memory, ctx.tables.get(SLOTS), hour % DAY)
        memory.slots += 1
        if ctx.end % _HOUR == 0:
            tables["volume"] = report.volume_table(memory)
            findings += report.exceeded(memory, self._findings, self._false_alarms, ctx)
        memory.told += len(findings)
        return Outcome(findings=findings, tables=tables, carry=memory)

    def _turn(self, memory: Volumes, day: int) -> pa.Table:
        """The day is over: judge its forecasts, remember it, choose the ports, forecast the new one. The table of
        quality."""
        whole = memory.slots >= _SEEN
        counted = memory.today if whole else np.full_like(memory.today, MISSING)
        losses = np.full((len(memory.ports), WAYS), np.nan)
        if whole:
            for at in range(len(memory.ports)):
                if np.isfinite(memory.quantiles[at, 0, 0, 0]):
                    losses[at] = [
                        pinball(memory.today[at].astype(np.float64), memory.quantiles[at, way])
                        for way in range(WAYS)
                    ]
        memory.losses = np.concatenate([memory.losses[:, :, 1:], losses[:, :, None]], axis=2)
        quality = report.quality_table(memory, losses)
        blank = min(day - memory.day - 1, LONGEST)
        gap = np.full((len(memory.ports), blank * DAY), MISSING, np.int64)
        memory.hours = np.concatenate([memory.hours, counted, gap], axis=1)[:, -LONGEST * DAY :]
        if whole:
            self._choose(memory)
        memory.strange, memory.slots, memory.told, memory.day = {}, 0, 0, day
        memory.today = np.zeros((len(memory.ports), DAY), np.int64)
        self._forecast(memory)
        return quality

    def _choose(self, memory: Volumes) -> None:
        """Keep the ports with most packets in the last four weeks, those of today that are new included."""
        fresh = [(n, code) for code, n in memory.strange.items() if n >= _LEAST_PACKETS]
        fresh.sort(key=lambda pair: (-pair[0], pair[1]))
        memory.with_ports(np.array([code for _, code in fresh[: self._most]], np.int64))
        total = np.maximum(memory.hours, 0).sum(axis=1)
        for code, n in {code: n for n, code in fresh[: self._most]}.items():
            total[np.searchsorted(memory.ports, code)] = n
        # What has been followed for long stays before what came today with as much.
        order = np.lexsort((memory.ports, -total))[: self._most]
        memory.take(np.sort(order))

    def _forecast(self, memory: Volumes) -> None:
        memory.quantiles[:] = np.nan
        memory.mean[:], memory.alpha[:], memory.shown[:] = np.nan, np.nan, gate.SHUT
        for at in range(len(memory.ports)):
            known = memory.hours[at].reshape(-1, DAY).min(axis=1) >= 0
            since = LONGEST - int(np.argmin(known[::-1])) if not known.all() else 0
            past = memory.hours[at, since * DAY :]
            if len(past) < LEAST_DAYS * DAY:
                continue
            weekday = (memory.day + 3) % 7  # 1970-01-01 was a Thursday
            memory.quantiles[at], (memory.mean[at], memory.alpha[at]) = forecasts(past, weekday)
            trivial = len(BASELINES)
            memory.shown[at] = gate.chosen(memory.losses[at, trivial:], memory.losses[at, :trivial])


def _add(memory: Volumes, slots: pa.Table | None, hour: int) -> None:
    if slots is None or not slots.num_rows:
        return
    proto, port, packets = (slots[name].to_numpy().astype(np.int64) for name in ("proto", "port", "packets"))
    kept = (proto == 6) | (proto == 17)
    code, packets = (proto << 16 | port)[kept], packets[kept]
    at = np.searchsorted(memory.ports, code)
    known = np.zeros(len(code), bool)
    inside = at < len(memory.ports)
    known[inside] = memory.ports[at[inside]] == code[inside]
    np.add.at(memory.today, (at[known], hour), packets[known])
    for key, count in zip(code[~known].tolist(), packets[~known].tolist(), strict=True):
        memory.strange[key] = memory.strange.get(key, 0) + count


__all__ = ["ForecastEngine", "engine"]
