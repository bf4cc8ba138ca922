"""From surprising ports to events: alerts that share sources are one, repeats are revisions, and others may agree."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from andon.detect.darknet.synchrony import known
from andon.detect.darknet.synchrony.carry import Carry
from andon.detect.darknet.synchrony.groups import Counted
from andon.detect.darknet.synchrony.judge import Judged
from andon.detect.darknet.synchrony.kernel import ICMP_CODE, PROTOCOLS
from andon.detect.darknet.synchrony.report import SPAN_NS, About, Alert, finding, identity
from andon.detect.darknet.synchrony.series import PARTNERS, Series, grouped, sketch
from andon.detect.darknet.synchrony.summary import Tile
from andon.detect.darknet.synchrony.surprise import SHARP, e_value
from andon.records.contract import Context
from andon.records.coordination import STOP
from andon.records.finding import Finding

_LEAST_16 = 5  # /16 networks of an event's sources
_FLOOR = 10.0  # e-values below this are not in the table
_MOST_ROWS = 500  # of a span in the table
_MOST_FINDINGS = 20  # of a span
_MOST_GROUPED = 200  # alerts of a span whose sources are compared
_AGAIN = 144  # spans after which a series that goes on is told again
_GROWN = 2.0
_AGREE_BEFORE = 6 * 3600 * 1_000_000_000  # others may have been up to so much earlier (ns)
_MIRAI = "tcp.seq == ip.dst"
_MIRAI_SHARE = 0.3


@dataclass
class Told:
    """Findings and rows of a span; ``names``: series by (unit, stop); ``reported``: series with a finding."""

    findings: list[Finding] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    names: dict[tuple[int, bool], str] = field(default_factory=dict)
    reported: list[Series] = field(default_factory=list)
    left_out: int = 0  # series that had something to tell beyond ``_MOST_FINDINGS``


def tell(
    state: Carry,
    counted: Counted,
    began: Judged,
    ended: Judged,
    tile: Tile,
    surveys: int,
    budget: float,
    ctx: Context[Any],
) -> Told:
    """Take a span's surprises into the open series of ``state`` and say what is worth saying."""
    span = ctx.start // SPAN_NS
    _history(state, counted, began.usual, span)
    _claims(state, ctx)
    told = Told()
    groups: list[tuple[bool, list[Alert]]] = []
    for stop, judged in ((False, began), (True, ended)):
        found = _alerts(state, counted, ended.usual, judged, stop, span, ctx)
        told.alerts += found
        raised = sorted((a for a in found if a.alerted), key=lambda a: (-a.e, a.unit))
        sketches = [sketch(a.sources) for a in raised[:_MOST_GROUPED]]
        groups += [(stop, [raised[i] for i in group]) for group in grouped(sketches)]
        groups += [(stop, [a]) for a in raised[_MOST_GROUPED:]]
    groups.sort(key=lambda g: (-max(a.e for a in g[1]), g[0], g[1][0].unit))
    for stop, group in groups:
        series = _series(state, stop, group, span)
        for a in group:
            told.names[a.unit, stop] = identity(series)
        judged = ended if stop else began
        about = About(
            surveys, judged.common, tile.rows.level, budget, judged.bar.threshold,
            (span - max(state.memory.reach, state.first)) / 144, counted.one_target, span - state.first,
        )  # fmt: skip
        _report(state, series, group, about, counted, span, ctx, told)
    if told.left_out:
        # Said in the finding of the most surprising one; what is left out is told when it is surprising again.
        first = told.findings[0]
        told.findings[0] = replace(
            first,
            statement=f"{first.statement} {told.left_out:,} more events of these ten minutes are left out: at most "
            f"{_MOST_FINDINGS} are told at a time, all are in the table of alerts.",
            attributes={**first.attributes, "findings_left_out": told.left_out},
        )
    return told


def _history(state: Carry, counted: Counted, expected: np.ndarray, span: int) -> None:
    at = np.searchsorted(state.new.unit, counted.unit)
    rows = np.stack([np.full(len(counted.unit), span), counted.unit, counted.active, counted.new], axis=1)
    # Ports that two networks or fewer asked for are not worth a place; their sum is in darknet.census.
    kept = (counted.active > 2) | np.isin(counted.unit, state.open.units(stop=False))
    state.history.take(span, rows[kept], expected[at][kept])


def _claims(state: Carry, ctx: Context[Any]) -> None:
    """What the other engines said of late."""
    rows = []
    for number, partner in enumerate(PARTNERS):
        table = ctx.tables.get(f"{partner}:alerts@last")
        if table is None or not table.num_rows:
            continue
        chosen = np.flatnonzero(table["alerted"].to_numpy(zero_copy_only=False))
        if not len(chosen):
            continue
        port = table["port"].to_numpy()[chosen].astype(np.int64)
        protocol = table["protocol"].to_numpy()[chosen]
        code = np.select([protocol == p for p in PROTOCOLS], range(len(PROTOCOLS)), -1)
        unit = (code.astype(np.int64) << 16) | np.where(code == ICMP_CODE, 0, port)
        stop = np.array([d == STOP for d in table["direction"].to_pylist()], np.int64)[chosen]
        begins, end = (table[name].cast("int64").to_numpy()[chosen] for name in ("begins", "end"))
        made = np.stack([np.full(len(chosen), number), unit, stop, begins, end], axis=1).astype(np.int64)
        rows.append(made[code >= 0])
    state.claim(np.concatenate(rows) if rows else np.zeros((0, 5), np.int64), ctx.start - 86_400_000_000_000)


def _alerts(
    state: Carry,
    counted: Counted,
    active: np.ndarray,
    judged: Judged,
    stop: bool,
    span: int,
    ctx: Context[Any],
) -> list[Alert]:
    rows = np.flatnonzero((judged.e >= _FLOOR) | judged.alerted)
    rows = rows[np.lexsort((judged.unit[rows], -judged.e[rows]))][:_MOST_ROWS]
    found = []
    for i in rows.tolist():
        unit = int(judged.unit[i])
        scale = int(
            np.argmax(
                judged.weights * e_value(judged.tails[i], SHARP * judged.weights / judged.bar.threshold)
            )
        )
        begin = judged.begins[scale]
        length = span + 1 - begin
        if stop:
            sources = state.memory.silent(unit, max(begin - max(length, 6), 0), begin)
            begins = begin * SPAN_NS
        else:
            sources = state.memory.since(unit, begin)
            begins = (
                _first_minute(counted, unit, float(judged.mean[i]), ctx) if scale <= 1 else begin * SPAN_NS
            )
        count, mean = judged.count[i], judged.mean[i]
        if scale >= 2:
            count, mean = judged.total[i, scale - 2], judged.expected[i, scale - 2]
        elif scale == 0 and stop:
            count, mean = judged.total[i, 3], judged.expected[i, 3]
        elif scale == 0:
            at = int(np.searchsorted(counted.unit, unit))
            count, mean = counted.minutes[at].max(), mean / 10
        wide = len(np.unique(sources >> 16)) >= _LEAST_16
        found.append(
            Alert(
                unit, stop, int(count), float(mean), judged.names[scale], float(judged.e[i]),
                float(judged.tails[i, scale]), begins, sources, bool(judged.alerted[i]) and wide,
                _usual_packets(state, counted, active, unit),
            )
        )  # fmt: skip
    return found


def _first_minute(counted: Counted, unit: int, mean: float, ctx: Context[Any]) -> int:
    """When the new networks of a span began to be more than usual (ns)."""
    minutes = counted.minutes[int(np.searchsorted(counted.unit, unit))]
    usual = mean / 10
    more = np.flatnonzero(minutes > usual + 3 * np.sqrt(usual) + 0.5)
    return ctx.start + (int(more[0]) if len(more) else 0) * 60_000_000_000


def _usual_packets(state: Carry, counted: Counted, active: np.ndarray, unit: int) -> float:
    """Packets a span to a port by what its level lets expect."""
    level = active[int(np.searchsorted(state.active.unit, unit))]
    mine = (counted.pairs.unit == unit) & ~counted.fresh
    each = float(counted.pairs.packets[mine].mean()) if mine.any() else 1.5
    return float(level * each)


def _series(state: Carry, stop: bool, group: list[Alert], span: int) -> Series:
    """The series of a group of alerts: an open one, or a new one."""
    units = tuple(sorted(a.unit for a in group))
    own = sketch(np.unique(np.concatenate([a.sources for a in group])))
    series = state.open.find(stop, units, own)
    best = max(a.e for a in group)
    if series is None:
        begins = min(a.begins for a in group)
        series = Series(stop, span, span, begins, units, units, own)
        state.open.add(series)
    series.last = span
    series.units = tuple(sorted({*series.units, *units}))
    series.sources = np.unique(np.concatenate([series.sources, own]))[: max(len(own), 256)]
    series.best = max(series.best, float(np.log10(max(best, 1e-30))))
    return series


def _report(
    state: Carry,
    series: Series,
    group: list[Alert],
    about: About,
    counted: Counted,
    span: int,
    ctx: Context[Any],
    told: Told,
) -> None:
    mine = state.claims[
        np.isin(state.claims[:, 1], series.units)
        & (state.claims[:, 2] == int(series.stop))
        & (state.claims[:, 4] >= series.begins - _AGREE_BEFORE)
    ]
    for number in range(len(PARTNERS)):
        ends = mine[mine[:, 0] == number, 4]
        if len(ends) and not series.agreed[number]:
            series.agreed[number] = int(ends.min())
    if series.stop:
        sources = np.unique(np.concatenate([a.sources for a in group]))
    else:
        begin = min(series.opened, series.begins // SPAN_NS)
        sources = np.unique(np.concatenate([state.memory.since(u, begin) for u in series.units]))
    partners = int((series.agreed > 0).sum())
    new = series.revision == 0
    grown = len(sources) >= _GROWN * max(series.reported_sources, 1)
    if not (new or grown or partners > series.told or span - series.reported >= _AGAIN):
        return
    if len(told.findings) >= _MOST_FINDINGS:
        told.left_out += 1
        return
    series.revision += 1
    series.reported, series.reported_sources, series.told = span, len(sources), partners
    named = _named(sources, counted, series, ctx)
    packets = _packets(sources, counted, series)
    state_of = "new" if new else "continued"
    told.findings.append(finding(series, group, sources, packets, state_of, named, about, ctx))
    told.reported.append(series)


def _packets(sources: np.ndarray, counted: Counted, series: Series) -> np.ndarray:
    """Packets of each source (ascending) to the ports of a series in this span (int64)."""
    out = np.zeros(len(sources), np.int64)
    if len(sources):
        pairs = counted.pairs
        at = np.minimum(np.searchsorted(sources, pairs.source), len(sources) - 1)
        mine = (sources[at] == pairs.source) & np.isin(pairs.unit, np.array(series.units, np.int64))
        np.add.at(out, at[mine], pairs.packets[mine])
    return out


def _named(
    sources: np.ndarray, counted: Counted, series: Series, ctx: Context[Any]
) -> dict[str, tuple[str, float]]:
    """Fingerprint, tool and port set of a clear share of the sources."""
    tables = ctx.tables
    fingerprint = known.shared_name(tables.get("darknet.fingerprint:sources@last"), "relation", sources)
    if not fingerprint[0] and not series.stop:
        mine = counted.fresh & np.isin(counted.pairs.unit, series.units)
        carrying = int((counted.pairs.mirai[mine] > 0).sum())
        if mine.any() and carrying >= max(3, _MIRAI_SHARE * mine.sum()):
            fingerprint = (_MIRAI, carrying / int(mine.sum()))
    sets = tables.get("darknet.portsets:sources@last")
    column = next(
        (c for c in ("set", "ports", "port_set") if sets is not None and c in sets.schema.names), ""
    )
    return {
        "fingerprint": fingerprint,
        "tool": known.shared_name(tables.get("darknet.tools:sources@last"), "tool", sources),
        "port_set": known.shared_name(sets, column, sources) if column else ("", 0.0),
    }
