"""Findings and tables of a day of flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.livenet.flowbaseline.day import Day
from andon.detect.livenet.flowbaseline.judge import (
    FAN,
    FLOWS,
    KINDS,
    LEARNED_EARLY,
    NEW,
    SCAN,
    SENT,
    VOLUME,
    Judged,
)
from andon.detect.livenet.flowbaseline.memory import METRICS
from andon.detect.livenet.flowbaseline.places import peers_name
from andon.detect.livenet.flowbaseline.summary import FlowDay
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, sql_text
from andon.records.neutral import neutral

_TIME = pa.timestamp("ns", tz="UTC")
_HOUR: Final = 3_600_000_000_000
DIRECTIONS: Final = ("out", "within", "in")
HOURS: Final = pa.schema(
    [
        pa.field("terminal", pa.string(), nullable=False),
        pa.field("service", pa.string(), nullable=False),
        pa.field(
            "direction", pa.string(), nullable=False
        ),  # "out" of the organisation, "within" it, "in" to the terminal
        pa.field("hour", _TIME, nullable=False),
        pa.field("flows", pa.int64(), nullable=False),
        pa.field("bytes_out", pa.int64(), nullable=False),  # from the terminal
        pa.field("bytes_in", pa.int64(), nullable=False),
        pa.field(
            "others", pa.int64(), nullable=False
        ),  # distinct addresses on the other side; above 64 estimated
        pa.field("expected_flows", pa.float64(), nullable=False),
        pa.field("expected_bytes_out", pa.float64(), nullable=False),
        pa.field("expected_others", pa.float64(), nullable=False),
        pa.field(
            "surprise", pa.float64(), nullable=False
        ),  # -log10 of the tail, before calibration; 0 while learning
    ]
)
TERMINALS: Final = pa.schema(
    [
        pa.field("terminal", pa.string(), nullable=False),
        pa.field("peers", pa.string(), nullable=False),
        pa.field("days", pa.int64(), nullable=False),  # learned from
        pa.field("learning", pa.bool_(), nullable=False),  # not judged yet
        pa.field("flows", pa.int64(), nullable=False),
        pa.field(
            "probed", pa.int64(), nullable=False
        ),  # most (address, port) pairs inside asked in vain in an hour
        pa.field("sent", pa.int64(), nullable=False),  # most bytes to one destination outside
        pa.field("sent_to", pa.string(), nullable=False),
        pa.field(
            "p_value", pa.float64(), nullable=False
        ),  # least of the six metrics, calibrated; 1 while learning
        pa.field("alert", pa.string(), nullable=False),  # metrics that are open alerts of today
    ]
)
CALIBRATION: Final = (
    "the chance is the share of the past days of all terminals that were as surprising, with an exponential tail; the "
    "confidence is one minus the rate of false discoveries that was asked for"
)
_ATTACK: Final = {SCAN: ("T1046",), SENT: ("T1048",), VOLUME: ("T1048",)}
_NOT: Final = {
    FLOWS: "A backup, an update or a program left running looks the same",
    FAN: "A new mesh or peer-to-peer program looks the same",
    VOLUME: "A backup or a large upload that somebody wanted looks the same",
    SCAN: "A monitoring system, or a server that was switched off and is still asked, looks the same",
    SENT: "A backup or a large upload that somebody wanted looks the same",
    NEW: "New software looks the same",
}


@dataclass(frozen=True)
class Told:
    """What findings need besides: (name, version) of the engine, the setting, and what a cap left out."""

    engine: tuple[str, int]
    rate: float
    most: int
    learning: int
    left_out: str


def hours(summary: FlowDay, day: Day, judged: Judged, start: int, most: int) -> pa.Table:
    """Hours with flows, most surprising first, at most ``most``."""
    series, hour = np.nonzero(day.flows)
    rank = np.lexsort((hour, series, -judged.cells[series, hour]))[:most]
    series, hour = series[rank], hour[rank]
    mean = judged.mean[series, hour]
    return pa.table(
        {
            "terminal": summary.names.of(day.terminal[day.owner[series]]),
            "service": summary.names.of(day.service[series]),
            "direction": [DIRECTIONS[d] for d in day.direction[series].tolist()],
            "hour": pa.array(start + hour * _HOUR).cast(_TIME),
            "flows": day.flows[series, hour].astype(np.int64),
            "bytes_out": day.out[series, hour].astype(np.int64),
            "bytes_in": day.back[series, hour].astype(np.int64),
            "others": day.fan[series, hour].astype(np.int64),
            "expected_flows": mean,
            "expected_bytes_out": mean * judged.each[series, 0],
            "expected_others": np.minimum(mean, mean * judged.each[series, 1]),
            "surprise": judged.cells[series, hour],
        },
        schema=HOURS,
    )


def terminals(summary: FlowDay, day: Day, judged: Judged, days: np.ndarray) -> pa.Table:
    """By name of the terminal."""
    names = summary.names.of(day.terminal)
    hosts = summary.hosts.of(day.to, "")
    alerts = [
        ", ".join(name for name, on in zip(METRICS, row, strict=True) if on) for row in judged.alert.tolist()
    ]
    made = pa.table(
        {
            "terminal": names,
            "peers": [peers_name(peer) for peer in day.peer.tolist()],
            "days": days,
            "learning": ~judged.ready,
            "flows": day.total,
            "probed": day.probed.max(axis=1, initial=0).astype(np.int64),
            "sent": day.sent.astype(np.int64),
            "sent_to": hosts,
            "p_value": judged.p.min(axis=1, initial=1.0),
            "alert": alerts,
        },
        schema=TERMINALS,
    )
    return made.sort_by([("terminal", "ascending")])


def findings(
    told: Told, summary: FlowDay, day: Day, judged: Judged, days: int, ctx: Context[Any]
) -> tuple[Finding, ...]:
    """Events of peers, alerts of terminals (the least likely first), drifts; while learning, one that says so."""
    made = []
    for (peer, metric), rows in sorted(judged.events.items()):
        made.append(_event(told, summary, day, judged, peer, metric, rows, ctx))
    own = judged.fresh
    rows = np.flatnonzero(own.any(axis=1))
    rows = rows[np.lexsort((day.terminal[rows], np.where(own, judged.p, 1.0).min(axis=1)[rows]))]
    for rank, row in enumerate(rows[: told.most].tolist(), 1):
        made.append(_alert(told, summary, day, judged, row, np.flatnonzero(own[row]), rank, ctx))
    more = max(0, len(rows) - told.most)
    changed = np.flatnonzero(judged.drifted.any(axis=1))
    if len(changed):
        made.append(_drift(told, summary, day, judged, changed, ctx))
    if days < told.learning or more or told.left_out:
        made.append(_state(told, days, more, len(day.terminal), int((~judged.ready).sum()), ctx))
    return tuple(made)


def _finding(told: Told, ctx: Context[Any], **given: Any) -> Finding:
    return Finding(
        engine=told.engine[0],
        engine_version=told.engine[1],
        kind="flow-anomaly",
        calibration=CALIBRATION,
        window=(ctx.start, ctx.end),
        **given,
    )


def _alert(
    told: Told,
    summary: FlowDay,
    day: Day,
    judged: Judged,
    row: int,
    metrics: np.ndarray,
    rank: int,
    ctx: Context[Any],
) -> Finding:
    name = summary.names.of(day.terminal[row : row + 1])[0]
    by_p = metrics[np.argsort(judged.p[row, metrics], kind="stable")]
    reasons = [_reason(summary, day, judged, row, int(m)) for m in by_p]
    main = int(by_p[0])
    first, last = _times(day, row, ctx.start)
    away = (SENT in metrics or VOLUME in metrics) and day.sent[row] > 0
    target = summary.hosts.of(day.to[row : row + 1], "")[0] if away else ""
    entities = [Entity(_type(name), name, int(day.total[row]))]
    entities += [Entity(_type(target), target)] if target else []
    techniques = [t for m in by_p.tolist() for t in _ATTACK.get(m, ())]
    return _finding(
        told,
        ctx,
        title=f"{neutral(name)}: {_titles(main)}",
        statement=f"{neutral(name)}: " + "; ".join(reasons) + f". {_NOT[main]}.",
        confidence=1.0 - told.rate,
        subject=(_type(name), name),
        first_seen=first,
        last_seen=last,
        count=int(day.total[row]),
        entities=tuple(entities),
        evidence=tuple(_evidence(summary, day, judged, row, int(m), ctx) for m in by_p),
        attack=tuple(dict.fromkeys(techniques)),
        severity="medium" if SCAN in metrics or SENT in metrics else "low",
        attributes={
            "rank": rank,
            "metrics": [METRICS[m] for m in by_p.tolist()],
            "p_value": float(judged.p[row, main]),
            "value": float(judged.value[row, main]),
            "expected": float(judged.usual[row, main]),
            "hour": int(judged.hour[row, main]),
            "peers": peers_name(int(day.peer[row])),
            "destination": neutral(target),
        },
    )


def _reason(summary: FlowDay, day: Day, judged: Judged, row: int, metric: int) -> str:
    value, usual, p = judged.value[row, metric], judged.usual[row, metric], judged.p[row, metric]
    chance = (
        f"a terminal has something as unusual about once in {1 / p:,.0f} days"
        if p > 2.0 / max(judged.past, 1)
        else f"at most one of the {judged.past:,} terminal-days before was as unusual"
    )
    at = f"{int(judged.hour[row, metric]):02d}:00 UTC"
    where = int(judged.where[row, metric])
    service = direction = ""
    if where >= 0:
        service = neutral(summary.names.of(day.service[where : where + 1])[0])
        direction = ("to the outside", "within the organisation", "from the outside")[
            int(day.direction[where])
        ]
    if metric == FLOWS:
        return f"{value:,.0f} flows of {service} {direction} in the hour from {at}, {usual:,.1f} expected; {chance}"
    if metric == FAN:
        many = f"about {value:,.0f} other addresses in the hour from {at}"
        return f"{service} {direction} with {many}, {usual:,.1f} expected; {chance}"
    if metric == VOLUME:
        return f"{_bytes(value)} sent by {service} in the hour from {at}, {_bytes(usual)} expected; {chance}"
    if metric == SCAN:
        return (
            f"asked about {value:,.0f} pairs of address and port inside without an answer in the hour from {at}, "
            f"{usual:,.1f} in its usual worst hour; {chance}"
        )
    if metric == SENT:
        target = neutral(summary.hosts.of(day.to[row : row + 1], "an unnamed destination")[0])
        return f"{_bytes(value)} sent to {target} in the day, {_bytes(usual)} the most in its past; {chance}"
    return (
        f"{service} {direction}, which it never used before and few others use: {value:,.0f} flows; {chance}"
    )


def _evidence(
    summary: FlowDay, day: Day, judged: Judged, row: int, metric: int, ctx: Context[Any]
) -> Evidence:
    name = sql_text(summary.names.of(day.terminal[row : row + 1])[0])
    usual = float(judged.usual[row, metric])
    where = int(judged.where[row, metric])
    if metric in (SCAN, SENT) or where < 0:
        column = "probed" if metric == SCAN else "sent"
        sql = f"SELECT CAST(sum({column}) AS BIGINT) FROM livenet_flowbaseline_terminals WHERE terminal = {name}"
        return Evidence(
            _reason(summary, day, judged, row, metric), Check("", usual, tool="sql", expression=sql)
        )
    service = sql_text(summary.names.of(day.service[where : where + 1])[0])
    column = {FLOWS: "flows", FAN: "others", VOLUME: "bytes_out", NEW: "flows"}[metric]
    direction = DIRECTIONS[int(day.direction[where])]
    sql = (
        f"SELECT CAST(sum({column}) AS BIGINT) FROM livenet_flowbaseline_hours WHERE terminal = {name} AND service = "
        f"{service} AND direction = '{direction}'"
    )
    if metric != NEW:
        sql += f" AND epoch_ns(hour) = {ctx.start + int(judged.hour[row, metric]) * _HOUR}"
    return Evidence(_reason(summary, day, judged, row, metric), Check("", usual, tool="sql", expression=sql))


def _event(
    told: Told,
    summary: FlowDay,
    day: Day,
    judged: Judged,
    peer: int,
    metric: int,
    rows: np.ndarray,
    ctx: Context[Any],
) -> Finding:
    names = summary.names.of(day.terminal[rows])
    metric = min(
        KINDS[[kind[0] for kind in KINDS].index(metric)], key=lambda m: float(judged.p[rows, m].min())
    )
    worst = int(rows[np.argmin(judged.p[rows, metric])])
    label = peers_name(peer)
    most = neutral(summary.names.of(day.terminal[worst : worst + 1])[0])
    times = [_times(day, int(row), ctx.start) for row in rows]
    return _finding(
        told,
        ctx,
        title=f"{len(rows):,} terminals of {label}: {_titles(metric)}",
        statement=(
            f"{len(rows):,} terminals of {label} changed on one day, which is one event of theirs and rarely an attack "
            f"on each: {_titles(metric)}. The most surprising, {most}: {_reason(summary, day, judged, worst, metric)}. "
            "A new program, a changed shift or a moved server does this."
        ),
        confidence=1.0 - told.rate,
        subject=("peers", f"{label} {METRICS[metric]}"),
        first_seen=min(t[0] for t in times),
        last_seen=max(t[1] for t in times),
        count=int(day.total[rows].sum()),
        entities=tuple(
            Entity(_type(name), name, int(many))
            for name, many in zip(names, day.total[rows].tolist(), strict=True)
        ),
        evidence=(_evidence(summary, day, judged, worst, metric, ctx),),
        attributes={"peers": label, "metrics": [METRICS[metric]], "terminals": len(rows)},
    )


def _drift(
    told: Told, summary: FlowDay, day: Day, judged: Judged, rows: np.ndarray, ctx: Context[Any]
) -> Finding:
    names = summary.names.of(day.terminal[rows])
    shown = ", ".join(neutral(name) for name in names[:10])
    times = [_times(day, int(row), ctx.start) for row in rows]
    return _finding(
        told,
        ctx,
        title=f"{len(rows):,} terminals: a change stayed and is the new usual",
        statement=(
            f"What was told of {shown}{' and others' if len(names) > 10 else ''} stayed; from today on it is learned "
            f"as their usual, and for {LEARNED_EARLY} days their services are not judged. If it was an attack, it "
            "still is one."
        ),
        confidence=1.0,
        subject=("drift", "terminals"),
        first_seen=min(t[0] for t in times),
        last_seen=max(t[1] for t in times),
        count=int(day.total[rows].sum()),
        entities=tuple(
            Entity(_type(name), name, int(many))
            for name, many in zip(names, day.total[rows].tolist(), strict=True)
        ),
        severity="informational",
        attributes={"terminals": len(rows), "drift": True},
    )


def nobody_inside(engine: tuple[str, int], summary: FlowDay, ctx: Context[Any]) -> Finding:
    """A day of flows that are nobody's of ours."""
    return Finding(
        engine=engine[0], engine_version=engine[1], kind="flow-anomaly", severity="informational",
        title="Flow baselines: no flow has a side inside",
        statement=(
            f"None of {summary.flows:,} flows begins or ends at an address inside, so no terminal was looked at. "
            "Inside are private addresses unless the organisation's own prefixes are given (--inside)."
        ),
        confidence=1.0, calibration=CALIBRATION, window=(ctx.start, ctx.end), subject=("state", engine[0]),
        first_seen=ctx.start, last_seen=ctx.end - 1, count=0, attributes={"flows": summary.flows},
    )  # fmt: skip


def _state(told: Told, days: int, more: int, every: int, new: int, ctx: Context[Any]) -> Finding:
    text = []
    if days < told.learning:
        text.append(
            f"Learning, {days} of {told.learning} days: what is usual is not known yet, and no flow is called unusual."
        )
    if more:
        text.append(f"{more:,} more terminals have alerts (livenet.flowbaseline:terminals, column alert).")
    text.append(told.left_out)
    return _finding(
        told,
        ctx,
        title=f"Flow baselines: learning, {days} of {told.learning} days"
        if days < told.learning
        else "Flow baselines",
        statement=" ".join(filter(None, text)),
        confidence=1.0,
        subject=("state", "livenet.flowbaseline"),
        first_seen=ctx.start,
        last_seen=ctx.end - 1,
        count=0,
        severity="informational",
        attributes={"days": days, "learning": told.learning, "terminals": every, "terminals_learning": new},
    )


def _titles(metric: int) -> str:
    return {
        FLOWS: "unusually many flows",
        FAN: "unusually many other addresses",
        VOLUME: "an unusual amount sent",
        SCAN: "probes machines inside",
        SENT: "much sent to one destination",
        NEW: "a service never used before",
    }[metric]


def _times(day: Day, row: int, start: int) -> tuple[int, int]:
    """First and last hour of a terminal, ns."""
    active = np.flatnonzero(day.flows[day.owner == row].sum(axis=0) > 0)
    return start + int(active[0]) * _HOUR, start + (int(active[-1]) + 1) * _HOUR - 1


def _type(name: str) -> str:
    return address_type(name, "user-account")


def _bytes(number: float) -> str:
    """
    >>> _bytes(2_340_000), _bytes(900)
    ('2.34 MB', '900 bytes')
    """
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} bytes"
