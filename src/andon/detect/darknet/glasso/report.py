"""Densities and ports of a span in words: two tables, and a finding for each port of an alert."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.glasso.hosts import Chosen
from andon.detect.darknet.glasso.options import NAME, Options
from andon.detect.darknet.glasso.ports import ATTACK, NEXT, ONE, SURVEY, Port
from andon.detect.darknet.glasso.removal import Removal, distance_of
from andon.detect.darknet.glasso.solver import Solution
from andon.detect.darknet.glasso.summary import Counts
from andon.records.contract import Context
from andon.records.coordination import ALERTS, START
from andon.records.finding import Check, Entity, Evidence, Finding, series_of
from andon.records.packet import PROTO_TCP

VERSION: Final = 1
_TIME = pa.timestamp("ns", tz="UTC")
_FIELDS: list[pa.Field[Any]] = [
    pa.field("start", _TIME, nullable=False),
    pa.field("end", _TIME, nullable=False),
    pa.field("rho", pa.float64(), nullable=False),
    pa.field("networks", pa.int64(), nullable=False),  # compared
    pa.field("edges", pa.float64(), nullable=False),
    pa.field("density", pa.float64(), nullable=False),  # as the setting `density` defines it
    pa.field("largest_block", pa.int64(), nullable=False),  # networks
    pa.field("converged", pa.bool_(), nullable=False),
    pa.field("judged", pa.bool_(), nullable=False),  # the history was long enough
    pa.field("score", pa.float64(), nullable=False),  # standard deviations, see removal.py; 0.0 if not judged
    pa.field("alerted", pa.bool_(), nullable=False),
]
DENSITIES: Final = pa.schema(_FIELDS)
_LEVEL: Final = {ATTACK: "attack", SURVEY: "survey", NEXT: "next", ONE: "one point"}
_SEVERITY: Final = {ATTACK: "medium", SURVEY: "low", NEXT: "low", ONE: "low"}
_CALIBRATION: Final = (
    "not a probability: the published rule has no error rate of its own; benchmarks/glasso counts its false alerts on "
    "simulated traffic"
)
_NETWORK_MASK: Final = 0xFFFF0000


@dataclass(frozen=True)
class Span:
    """Everything concluded of one span."""

    summary: Counts
    chosen: Chosen
    solutions: list[Solution]
    densities: list[float]
    judged: list[Removal | None]
    ports: list[Port]
    ports_left_out: int
    unreadable: int  # entries of lists
    group: np.ndarray  # of each network, as `Solution.degree` counts them

    @property
    def score(self) -> float:
        return max((result.score for result in self.judged if result), default=0.0)

    @property
    def best(self) -> int:
        """Position of the rho with the highest score."""
        scores = [result.score if result else 0.0 for result in self.judged]
        return scores.index(max(scores))

    def links(self, port: Port) -> tuple[float, float]:
        """Mean links, at the rho with the highest score, of a network that sent to a port, and how many standard errors
        that lies above the mean of all networks: large for the ports of those that moved together."""
        degree = self.solutions[self.best].degree[self.group]
        mine = degree[np.searchsorted(self.chosen.host, port.host)]
        spread = max(float(degree.std()), 1e-9)
        return float(mine.mean()), float((mine.mean() - degree.mean()) / spread * np.sqrt(len(mine)))

    @property
    def alerted(self) -> list[int]:
        """Positions of the rho whose newest density is an alert."""
        return [n for n, result in enumerate(self.judged) if result and result.newest]


def densities_table(span: Span, ctx: Context[Any]) -> pa.Table:
    rows = len(span.solutions)
    return pa.table(
        {
            "start": pa.array([ctx.start] * rows, pa.int64()).cast(_TIME),
            "end": pa.array([ctx.end] * rows, pa.int64()).cast(_TIME),
            "rho": [answer.rho for answer in span.solutions],
            "networks": [len(span.chosen.host)] * rows,
            "edges": [answer.edges for answer in span.solutions],
            "density": span.densities,
            "largest_block": [answer.largest for answer in span.solutions],
            "converged": [answer.converged for answer in span.solutions],
            "judged": [result is not None for result in span.judged],
            "score": [result.score if result else 0.0 for result in span.judged],
            "alerted": [bool(result and result.newest) for result in span.judged],
        },
        schema=DENSITIES,
    )


def alerts_table(span: Span, reported: list[Port], ctx: Context[Any]) -> pa.Table:
    """A row for each port with a level, in every span that was judged; all of them have the score of the span."""
    ports = span.ports if any(result for result in span.judged) else []
    told = {(port.port, port.protocol) for port in reported}
    rows = len(ports)
    time = pa.array([ctx.start] * rows, pa.int64()).cast(_TIME)
    alerted = [(port.port, port.protocol) in told for port in ports]
    return pa.table(
        {
            "start": time,
            "end": pa.array([ctx.end] * rows, pa.int64()).cast(_TIME),
            "begins": time,
            "direction": [START] * rows,
            "port": [port.port for port in ports],
            "protocol": [port.protocol for port in ports],
            "sources": [len(port.host) for port in ports],
            "blocks": [len(port.host) for port in ports],
            "score": [span.score] * rows,
            "alerted": alerted,
            "series": [
                series_of(NAME, *_subject(port)) if yes else ""
                for port, yes in zip(ports, alerted, strict=True)
            ],
        },
        schema=ALERTS,
    )


def findings(span: Span, reported: list[Port], options: Options, ctx: Context[Any]) -> tuple[Finding, ...]:
    """A finding for each of the ports. ``reported`` are those whose level is wanted, as many as are allowed."""
    return tuple(_finding(span, port, reported, options, ctx) for port in reported)


def _subject(port: Port) -> tuple[str, str]:
    return "port", _name(port)


def _name(port: Port) -> str:
    return f"{port.port}/{'tcp' if port.protocol == PROTO_TCP else 'udp'}"


def _finding(span: Span, port: Port, reported: list[Port], options: Options, ctx: Context[Any]) -> Finding:
    rhos = [span.solutions[n].rho for n in span.alerted]
    best = span.best
    networks, total = len(port.host), len(span.chosen.host)
    answer, density = span.solutions[best], span.densities[best]
    judged = span.judged[best]
    links, above = span.links(port)
    where = f"tcp.dstport == {port.port}" if port.protocol == PROTO_TCP else f"udp.dstport == {port.port}"
    statement = (
        f"{total:,} source networks (/16) moved together more than usual: at rho {answer.rho:g} {answer.edges:,.0f} "
        f"pairs of them are linked, a density of {density:.3g}, {judged.score if judged else 0.0:.1f} standard "
        f"deviations above the spans before (threshold {distance_of(options.theta):.1f}); alert at rho "
        f"{', '.join(f'{rho:g}' for rho in rhos)}. {networks:,} of them ({100 * port.share:.1f} %) sent to "
        f"{_name(port)}: level {port.level}, {_LEVEL[port.level]}. One that did has {links:.1f} links on average, "
        f"{above:+.1f} standard errors from the mean of all."
    )
    if port.point >= 0:
        statement += " More than 70 % of its packets and networks go to one dark address."
    statement += (
        " This is a claim about the span, not about the port: every port that many of the networks asked is named, "
        "also one that they always ask (its networks then have no more links than others). It is no proof of a common "
        "controller: surveys and outages move networks together as well."
    )
    statement += _left_out(span, reported)
    packets = int(port.packets.sum())
    return Finding(
        engine=NAME,
        engine_version=VERSION,
        kind="coordinated-activity",
        title=f"{_name(port)}: asked by {networks:,} of {total:,} networks while they moved together",
        statement=statement,
        confidence=0.5,
        calibration=_CALIBRATION,
        window=(ctx.start, ctx.end),
        subject=_subject(port),
        first_seen=max(span.summary.first, ctx.start),
        last_seen=min(span.summary.last, ctx.end - 1),
        count=packets,
        entities=tuple(
            Entity("ipv4-addr", f"{IPv4Address(host << 16)}/16", number)
            for host, number in zip(port.host.tolist(), port.packets.tolist(), strict=True)
        ),
        evidence=(
            Evidence(
                f"All packets to {_name(port)} in the span, from networks compared and others. Evenly spread over "
                "the ports seen it would be the number given as chance.",
                Check(where, _even(span)),
            ),
            *(
                Evidence(
                    f"{IPv4Address(host << 16)}/16 sent {number:,} of the packets counted here to it.",
                    Check(f"ip.src & {_NETWORK_MASK:#x} == {host << 16:#x} and {where}", 0.0),
                )
                for host, number in zip(port.host[:2].tolist(), port.packets[:2].tolist(), strict=True)
            ),
        ),
        attack=("T1595",) if port.level in (ATTACK, NEXT) else (),
        severity=_SEVERITY[port.level],
        attributes={
            "level": port.level,
            "share_of_networks": round(port.share, 6),
            "networks": total,
            "rho": rhos,
            "density": density,
            "edges": answer.edges,
            "score": round(span.score, 6),
            "links": round(links, 3),
            "links_above": round(above, 3),
            "hosts": options.hosts,
            "samples": options.samples,
        },
    )


def _even(span: Span) -> float:
    """Packets a port would get if all counted packets fell evenly on the ports seen."""
    ports = np.unique(span.summary.pair_table()[1])
    return round(span.summary.packets / max(len(ports), 1), 1)


def _left_out(span: Span, reported: list[Port]) -> str:
    chosen, text = span.chosen, ""
    others = chosen.active - len(chosen.host) - chosen.unknown - chosen.surveys
    if others:
        text += f" Of {chosen.active:,} networks {others:,} were not chosen."
    if chosen.unknown:
        text += f" {chosen.unknown:,} could not be, for want of room for their ports (raise {NAME}.pairs)."
    if chosen.surveys:
        text += f" {chosen.surveys:,} were dropped as survey scanners' of the day before."
    if span.summary.listed:
        text += f" {span.summary.listed:,} packets of listed scanners were left out."
    if span.unreadable:
        text += f" {span.unreadable:,} entries of the lists are no prefixes."
    more = len(span.ports) + span.ports_left_out - len(reported)
    if more:
        text += f" {more:,} other ports of this span are not reported on their own (table alerts)."
    failed = [answer.rho for answer in span.solutions if not answer.converged]
    if failed:
        text += (
            f" The solution for rho {', '.join(f'{rho:g}' for rho in failed)} is not exact: it was given up."
        )
    return text
