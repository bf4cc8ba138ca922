"""Alerts in words: findings and the tables ``alerts`` and ``activity``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.synchrony.carry import History
from andon.detect.darknet.synchrony.kernel import PROTOCOLS, TCP_CODE, UDP_CODE
from andon.detect.darknet.synchrony.series import PARTNERS, Series
from andon.records.contract import Context
from andon.records.coordination import ACTIVITY, ALERTS, START, STOP
from andon.records.finding import Check, Entity, Evidence, Finding, series_of, timestamp

NAME: Final = "darknet.synchrony"
VERSION: Final = 1
SPAN_NS: Final = 600_000_000_000
_TIME = pa.timestamp("ns", tz="UTC")
_MOST_CHECKED = 8  # ports of a finding that get a check
_MOST_ENTITIES = 20_000
_LARGEST_LOG = 30.0
_WINDOWS: Final = {
    "regulars": "in this hour that had come for hours before",
    "1min": "within one minute",
    "10min": "within ten minutes",
    "1h": "in the hour so far",
    "2h": "in the hour so far and the one before",
    "6h": "in the last six hours",
    "1d": "in the last day",
}


@dataclass(frozen=True)
class Alert:
    """One (unit, direction) of a span that is surprising."""

    unit: int
    stop: bool
    count: int  # networks of the scale that surprises most
    mean: float  # expected of it
    scale: str  # name of the scale, see ``_WINDOWS``
    e: float
    p: float
    begins: int  # ns
    sources: np.ndarray  # int64, ascending
    alerted: bool
    usual_packets: float  # expected in the span from what is always there


@dataclass(frozen=True)
class About:
    """What is true of a whole span, for the words of its findings."""

    surveys: int  # sources left out as surveys
    common: float
    level: int  # one source in 2^level was kept
    budget: float
    bar: float
    days: float  # the memory reaches back
    one_target: int
    history: int  # spans concluded before this one


def port_name(unit: int) -> str:
    """``23/tcp``, ``53/udp`` or ``icmp-echo``."""
    code = unit >> 16
    if code == TCP_CODE:
        return f"{unit & 0xFFFF}/tcp"
    return f"{unit & 0xFFFF}/udp" if code == UDP_CODE else "icmp-echo"


def subject(units: tuple[int, ...]) -> tuple[str, str]:
    return "port-set", ",".join(port_name(u) for u in units)


def aspect(series: Series) -> str:
    """Tells apart the events that one port-set has in the course of time."""
    return f"{STOP if series.stop else START} {timestamp(series.opened * SPAN_NS)}"


def identity(series: Series) -> str:
    return series_of(NAME, *subject(series.subject), aspect(series))


def log10(e: float) -> float:
    return float(min(np.log10(max(e, 1e-30)), _LARGEST_LOG))


def alerts_table(alerts: list[Alert], names: Mapping[tuple[int, bool], str], ctx: Context[Any]) -> pa.Table:
    """``records.coordination.ALERTS``; ``names``: series by (unit, stop)."""
    order = sorted(alerts, key=lambda a: (a.stop, a.unit))
    rows = {
        "start": [ctx.start] * len(order),
        "end": [ctx.end] * len(order),
        "begins": [a.begins for a in order],
        "direction": [STOP if a.stop else START for a in order],
        "port": [a.unit & 0xFFFF for a in order],
        "protocol": [PROTOCOLS[a.unit >> 16] for a in order],
        "sources": [len(a.sources) for a in order],
        "blocks": [len(np.unique(a.sources >> 16)) for a in order],
        "score": [log10(a.e) for a in order],
        "alerted": [a.alerted for a in order],
        "series": [names.get((a.unit, a.stop), "") if a.alerted else "" for a in order],
    }
    columns = {
        k: pa.array(v, pa.int64()).cast(_TIME) if k in ("start", "end", "begins") else v
        for k, v in rows.items()
    }
    return pa.table(columns, schema=ALERTS)


def activity_table(series: list[Series], history: History) -> pa.Table:
    """``records.coordination.ACTIVITY`` of the ports of these series over the last day."""
    columns: dict[str, list[Any]] = {name: [] for name in ACTIVITY.names}
    for s in series:
        rows, expected = history.of(s.units)
        for (span, unit, active, new), due in zip(rows.tolist(), expected.tolist(), strict=True):
            columns["series"].append(identity(s))
            columns["port"].append(unit & 0xFFFF)
            columns["protocol"].append(PROTOCOLS[unit >> 16])
            columns["start"].append(span * SPAN_NS)
            columns["end"].append((span + 1) * SPAN_NS)
            columns["sources"].append(active)
            columns["new_sources"].append(new)
            columns["expected"].append(due)
    made = {
        k: pa.array(v, pa.int64()).cast(_TIME) if k in ("start", "end") else v for k, v in columns.items()
    }
    return pa.table(made, schema=ACTIVITY)


def finding(
    series: Series,
    alerts: list[Alert],
    sources: np.ndarray,
    packets: np.ndarray,
    state: str,
    named: Mapping[str, tuple[str, float]],
    about: About,
    ctx: Context[Any],
) -> Finding:
    """The finding on a series in this span. ``sources``: all of its own (int64, ascending), with their
    ``packets`` to its ports in the span; ``named``: what is known
    of them (``fingerprint``, ``tool``, ``port_set``) with the share it is known of."""
    best = max(alerts, key=lambda a: (a.e, -a.unit))
    ports = [port_name(u) for u in series.units]
    networks = len(np.unique(sources >> 16))
    agreed = {
        name: timestamp(int(at)) for name, at in zip(PARTNERS, series.agreed.tolist(), strict=True) if at
    }
    what = "stopped asking" if series.stop else "began to ask"
    title = (
        f"{len(sources):,} sources of {networks:,} /16 networks {what} together: {_some(ports)}"
        if len(sources)
        else f"Sources {what} together: {_some(ports)}"
    )
    log_e = log10(best.e)
    return Finding(
        engine=NAME,
        engine_version=VERSION,
        kind="coordinated-activity",
        title=title,
        statement=_statement(series, best, state, named, agreed, about),
        confidence=1.0 - 0.05 * min(1.0, about.bar / max(best.e, 1e-9)),
        calibration=(
            f"a threshold that lets {about.budget:g} false alerts a day pass at most where nothing happens, "
            "tested on simulated telescopes (benchmarks/coordination)"
        ),
        window=(ctx.start, ctx.end),
        subject=subject(series.subject),
        first_seen=min(series.begins, ctx.start),
        last_seen=ctx.end - 1,
        count=int(packets.sum()),
        entities=tuple(
            Entity("ipv4-addr", str(IPv4Address(int(sources[i]))), int(packets[i]))
            for i in np.argsort(-packets, kind="stable")[:_MOST_ENTITIES].tolist()
        ),
        evidence=_evidence(series, alerts, about),
        attack=() if series.stop else ("T1595",),
        attributes={
            "event": STOP if series.stop else START,
            "state": state,
            "ports": [
                {
                    "port": a.unit & 0xFFFF,
                    "protocol": PROTOCOLS[a.unit >> 16],
                    "sources": len(a.sources),
                    "lost_sources" if series.stop else "new_sources": a.count,
                    "expected_sources" if series.stop else "expected_new_sources": round(a.mean, 3),
                    "scale": a.scale,
                    "log10_e_value": round(log10(a.e), 2),
                }
                for a in sorted(alerts, key=lambda a: a.unit)
            ],
            "all_ports": ports,
            "sources": len(sources),
            "entities_left_out": max(0, len(sources) - _MOST_ENTITIES),
            "networks_16": networks,
            "e_value": float(f"{min(best.e, 1e30):.3g}"),
            "log10_e_value": round(log_e, 2),
            "threshold": float(f"{about.bar:.3g}"),
            "alerts_per_day": about.budget,
            "begins": timestamp(series.begins),
            "agree": agreed,
            **{key: {"name": name, "share": round(share, 3)} for key, (name, share) in named.items() if name},
            "not": _is_not(series, best, sources, about),
        },
        revision=series.revision,
        aspect=aspect(series),
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _statement(
    series: Series,
    best: Alert,
    state: str,
    named: Mapping[str, tuple[str, float]],
    agreed: Mapping[str, str],
    about: About,
) -> str:
    when = _WINDOWS[best.scale]
    port = port_name(best.unit)
    if series.stop:
        text = (
            f"{port} was asked by {best.count:,} networks {when}, where {best.mean:,.1f} were to be expected, while "
            "the rest of the telescope was as usual."
        )
    else:
        text = (
            f"{best.count:,} networks asked for {port} {when} that had not asked for it before; {best.mean:,.2f} were "
            "to be expected."
        )
    text += f" The e-value of this is 10^{log10(best.e):.1f}; an alert needs 10^{log10(about.bar):.1f}."
    for key, (name, share) in sorted(named.items()):
        if name:
            text += f" {share:.0%} of the sources share the {key.replace('_', ' ')} {name}."
    if agreed:
        text += f" {', '.join(agreed)} alerted too."
    if state != "new":
        text += f" Continued since {timestamp(series.begins)}."
    if about.history < 36:
        text += (
            f" The baseline is {about.history} spans of ten minutes of this capture alone, so what was asked for "
            "before it began is not known."
        )
    if about.level:
        text += f" Only one source in {1 << about.level} was kept, there were too many; counts are of these."
    return text


def _evidence(series: Series, alerts: list[Alert], about: About) -> tuple[Evidence, ...]:
    found = []
    for a in sorted(alerts, key=lambda a: (-a.e, a.unit))[:_MOST_CHECKED]:
        code, port = a.unit >> 16, a.unit & 0xFFFF
        words = (
            f"{port_name(a.unit)}: {a.count:,} {'active' if series.stop else 'new'} networks "
            f"{_WINDOWS[a.scale]}, {a.mean:,.2f} expected, tail probability {a.p:.2g}"
        )
        if code == TCP_CODE:
            relation = f"tcp.dstport == {port} and tcp.flags & 0x3f == 2"
        elif code == UDP_CODE:
            relation = f"udp.dstport == {port}"
        else:
            found.append(Evidence(words + ". Echo requests have no expression to count them by"))
            continue
        found.append(
            Evidence(
                words + ". The check counts the packets to the port",
                Check(relation, round(a.usual_packets, 3)),
            )
        )
    if len(alerts) > _MOST_CHECKED:
        found.append(Evidence(f"{len(alerts) - _MOST_CHECKED} more ports have no check of their own"))
    return tuple(found)


def _is_not(series: Series, best: Alert, sources: np.ndarray, about: About) -> list[str]:
    wide, networks = len(np.unique(sources >> 16)), len(np.unique(sources >> 8))
    rows = [
        f"not a survey organisation: the sources lie in {networks:,} /24 of {wide:,} /16 networks, and "
        f"{about.surveys:,} sources that lists, darknet.purpose or their own breadth call surveys were left out",
        "not backscatter: only packets that ask were counted, no SYN-ACK, RST, ICMP error or UDP answer",
        f"not a sensor's failure or return: all other ports together were at {about.common:.0%} of their level",
        "not the hour or the day: what came at this hour the day before, and what all other ports did now, is in the "
        "expectation",
    ]
    if not series.stop:
        rows.append(
            f"not one loud host, nor forged senders aimed at one dark address: networks are counted, not packets, and "
            f"{about.one_target:,} sources that asked one address alone were left out"
        )
    return rows
