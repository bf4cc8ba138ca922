"""Alerts on ports as the table ``alerts`` and as findings of kind ``coordinated-activity``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.contract import Context
from andon.records.coordination import ALERTS, START
from andon.records.finding import Check, Entity, Evidence, Finding, series_of, timestamp
from andon.records.packet import PROTO_UDP
from andon.sketch.factors.traffic import MINUTE, Traffic

ROWS = 2_000  # of the table, for a span: alerts first, then by score
_ENTITIES = 5_000
_NETWORKS = 8  # named in the text


@dataclass(frozen=True)
class Alert:
    """A port of a span. ``mine``: the cells of the sources that take part, on this port; ``minutes`` (bool per minute
    of the span) when the group acted; ``how``: which components agreed, in words; ``told``: attributes."""

    protocol: int
    port: int
    mine: Traffic
    minutes: np.ndarray
    score: float
    alerted: bool
    others: int  # packets to the port from elsewhere
    how: str = ""
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> tuple[str, str]:
        return ("port", f"{self.port}/{'udp' if self.protocol == PROTO_UDP else 'tcp'}")

    @property
    def begins(self) -> int:
        """First minute in which the group acted, in ns."""
        at = int(np.argmax(self.minutes))
        return self.mine.start + at * MINUTE

    def one_address(self) -> bool:
        """Level 4 of the published rules: more than 70 % of packets and of networks go to one dark address. A network
        counts for an address with what it sent to it in cells that hold packets to no other."""
        mine = self.mine
        single = mine.one >= 0
        if not single.any():
            return False
        _, at = np.unique(mine.one[single], return_inverse=True)
        packets = np.bincount(at, weights=mine.packets[single].astype(np.float64))
        best = int(np.argmax(packets))
        hosts = len(np.unique(mine.host()[single][at == best]))
        return bool(
            packets[best] > 0.7 * int(mine.packets.sum()) and hosts > 0.7 * len(np.unique(mine.host()))
        )


def ordered(alerts: Sequence[Alert]) -> list[Alert]:
    """Alerts before the others, then by score; at most ``ROWS``."""
    return sorted(alerts, key=lambda a: (not a.alerted, -a.score, a.protocol, a.port))[:ROWS]


def table(engine: str, alerts: Sequence[Alert], ctx: Context[Any]) -> pa.Table:
    """Rows of ``records.coordination.ALERTS`` in the order given."""
    columns = {
        "start": [int(ctx.start)] * len(alerts),
        "end": [int(ctx.end)] * len(alerts),
        "begins": [alert.begins for alert in alerts],
        "direction": [START] * len(alerts),
        "port": [alert.port for alert in alerts],
        "protocol": [alert.protocol for alert in alerts],
        "sources": [len(np.unique(alert.mine.source)) for alert in alerts],
        "blocks": [len(np.unique(alert.mine.host())) for alert in alerts],
        "score": [float(alert.score) for alert in alerts],
        "alerted": [alert.alerted for alert in alerts],
        "series": [series_of(engine, *alert.subject) if alert.alerted else "" for alert in alerts],
    }
    return pa.table({name: pa.array(columns[name], ALERTS.field(name).type) for name in ALERTS.names}, ALERTS)


def findings(
    engine: tuple[str, int],
    alerts: Sequence[Alert],
    ctx: Context[Any],
    most: int,
    confidence: tuple[float, str],
    notes: Sequence[str],
) -> tuple[Finding, ...]:
    """One finding for each of the ``most`` first alerts; the first says how many more there were. ``notes``: what a cap
    or a rule left out, said in each."""
    raised = [alert for alert in alerts if alert.alerted]
    more = len(raised) - min(len(raised), most)
    left = [f"{more:,} further ports were alerted in this span; they are in the table."] if more else []
    return tuple(
        _finding(engine, alert, ctx, confidence, [*notes, *(left if at == 0 else [])], more)
        for at, alert in enumerate(raised[:most])
    )


def _finding(
    engine: tuple[str, int],
    alert: Alert,
    ctx: Context[Any],
    confidence: tuple[float, str],
    notes: Sequence[str],
    more: int,
) -> Finding:
    mine = alert.mine
    name = alert.subject[1]
    source, at = np.unique(mine.source, return_inverse=True)
    packets = np.bincount(at, weights=mine.packets.astype(np.float64)).astype(np.int64)
    order = np.lexsort((source, -packets))[:_ENTITIES]
    network, at = np.unique(source >> 16, return_inverse=True)
    members = np.bincount(at)
    largest = np.lexsort((network, -members))[:_NETWORKS]
    one = alert.one_address()
    first = mine.start + int(mine.minute.min()) * MINUTE
    last = mine.start + (int(mine.minute.max()) + 1) * MINUTE
    acted = ", ".join(_stretches(alert.minutes, mine.start)) or "no single minute"
    where = ", ".join(f"{_network(int(network[i]))} ({int(members[i]):,})" for i in largest.tolist())
    statement = (
        f"{len(source):,} source{'s' * (len(source) != 1)} in {len(network):,} /16 networks asked for {name} with "
        f"{int(packets.sum()):,} packets and are most active in the same minutes: {acted}. {alert.how} "
    )
    statement += (
        "More than 70 % of packets and networks go to one dark address, so this may be aimed at it, or a mistake in "
        "somebody's settings. "
        if one
        else ""
    )
    statement += (
        "This says that networks are busy together and share the port, not that one person steers them: a survey "
        "that scans from many networks, or an event that moves many hosts at once, looks alike. "
    )
    filter_ = f"udp.dstport == {alert.port}"
    if alert.protocol != PROTO_UDP:
        filter_ = f"tcp.dstport == {alert.port} and tcp.flags & 0x3f == 2"
    return Finding(
        engine=engine[0],
        engine_version=engine[1],
        kind="coordinated-activity",
        title=f"{len(network):,} networks act together on {name}",
        statement=(statement + " ".join(notes)).strip(),
        confidence=confidence[0],
        calibration=confidence[1],
        window=(ctx.start, ctx.end),
        subject=alert.subject,
        first_seen=first,
        last_seen=min(last, ctx.end) - 1,
        count=int(packets.sum()),
        entities=tuple(
            Entity("ipv4-addr", str(IPv4Address(int(source[i]))), int(packets[i])) for i in order.tolist()
        ),
        evidence=(
            Evidence(
                f"Requests for {name} in the span; {alert.others:,} of them are not from the group",
                Check(filter_, float(alert.others)),
            ),
            Evidence(f"Sources by /16: {where}"),
        ),
        attack=("T1595.001",) if not one else (),
        severity="low" if one else "",
        attributes={
            "port": alert.port,
            "protocol": alert.protocol,
            "sources": len(source),
            "networks": len(network),
            "score": round(float(alert.score), 3),
            "minutes": [timestamp(mine.start + m * MINUTE) for m in np.flatnonzero(alert.minutes).tolist()],
            "one_address": one,
            **alert.told,
            **({"alerts_left_out": more} if more else {}),
        },
    )


def _stretches(minutes: np.ndarray, start: int) -> list[str]:
    """Runs of minutes as times of day, at most six.

    >>> _stretches(np.array([0, 1, 1, 0, 1], bool), 0)
    ['00:01-00:02', '00:04']
    """
    edges = np.flatnonzero(np.diff(np.r_[0, minutes.astype(np.int8), 0]))
    runs = [(a, b - 1) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]

    def clock(minute: int) -> str:
        return timestamp(start + minute * MINUTE)[11:16]

    said = [clock(a) if a == b else f"{clock(a)}-{clock(b)}" for a, b in runs[:6]]
    return said + ([f"and {len(runs) - 6} more"] if len(runs) > 6 else [])


def _network(number: int) -> str:
    """
    >>> _network(0xC633)
    '198.51.0.0/16'
    """
    return f"{number >> 8}.{number & 255}.0.0/16"
