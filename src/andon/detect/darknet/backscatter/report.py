"""Findings in the words of a telescope operator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from andon.detect.darknet.backscatter import classes
from andon.detect.darknet.backscatter.episodes import MOST_COUNTED
from andon.detect.darknet.backscatter.gather import Victim
from andon.detect.darknet.backscatter.targets import UNROUTABLE_EXPECTED, Flood, Reflection
from andon.detect.darknet.backscatter.thresholds import ENGINE, Thresholds
from andon.detect.darknet.backscatter.victims import Answers
from andon.detect.darknet.backscatter.wording import (
    about,
    clock,
    dotted,
    duration,
    flavours_text,
    ports_text,
    relation,
)
from andon.records.finding import Check, Entity, Evidence, Finding, timestamp

VERSION = 1
KIND = "backscatter-victim"
_MOST_ENTITIES = 20_000
_TCP = (classes.SYN_ACK, classes.RST, classes.RST_ACK)
_UDP = (classes.UDP_ANSWER,)


@dataclass(frozen=True)
class View:
    """What all findings of a span share."""

    window: tuple[int, int]
    dark: int  # addresses of the telescope; 0 if unknown
    known: bool  # the telescope was given by the operator
    rules: Thresholds
    scale: int  # one in so many answering addresses was kept
    stray: float  # mean answers of an address that is no victim
    answers_each: float  # mean answers to one dark address
    requests_each: float  # mean other packets to one dark address
    set_aside: dict[str, int]

    @property
    def left_out(self) -> str:
        if self.scale == 1:
            return ""
        return (
            f" The memory limit was reached: of the answering addresses 1 in {self.scale} was kept, chosen by a keyed"
            f" hash, so about {self.scale - 1} in {self.scale} victims are not listed."
        )


def finding(view: View, address: int, what: str, **fields: Any) -> Finding:
    attributes = {"class": what, "dark_addresses": view.dark, **fields.pop("attributes")}
    if view.set_aside:
        attributes["set_aside"] = dict(view.set_aside)
    return Finding(
        engine=ENGINE,
        engine_version=VERSION,
        kind=KIND,
        window=view.window,
        subject=("ipv4-addr", dotted(address)),
        attributes=attributes,
        **fields,
    )


def victim_finding(victim: Victim, view: View) -> Finding:
    name, episodes, rules = dotted(victim.address), victim.episodes, view.rules
    first, last = int(episodes.first.min()), int(episodes.last.max())
    attacks = "one attack" if len(episodes) == 1 else f"{len(episodes)} attacks"
    seen = f"{'more than ' if victim.at_least else 'about '}{victim.addresses:,}"
    tcp = victim.flavours[list(_TCP)].sum() >= victim.flavours[classes.UDP_ANSWER]
    ports = f" Attacked ports: {ports_text(victim.ports, not tcp)}." if victim.ports else ""
    rate = victim.peak_rate
    worldwide = (
        f" Worldwide that is about {about(rate.value)} forged packets a second (95 % interval {about(rate.low)} to"
        f" {about(rate.high)}) in the heaviest attack, if the forged addresses are uniform."
        if rate
        else ""
    )
    errors = int(victim.flavours[classes.ICMP_ERROR])
    router = (
        " Most answers are ICMP errors: the sender may be a router in front of the victim; the packet they quote is"
        " not read."
        if errors * 2 > int(victim.flavours[1 : classes.TALK].sum())
        else ""
    )
    busiest = int(episodes.window_packets.max())
    slow = f"; or {rules.slow} packets at any rate" if rules.slow else ""
    statement = (
        f"{name} sent {flavours_text(victim.flavours.tolist())} to {seen} dark addresses, which had sent it nothing:"
        f" it answers packets with randomly forged senders. {attacks[0].upper()}{attacks[1:]} between {clock(first)}"
        f" and {clock(last)} UTC with {victim.packets:,} packets, {busiest:,} of them in the busiest minute (needed"
        f" here: {rules.packets} packets, 60 s, {rules.rate} a minute to {rules.addresses} addresses{slow}).{ports}"
        f"{worldwide}{router}{view.left_out}"
    )
    return finding(
        view,
        victim.address,
        "spoofed-dos-victim",
        title=f"{name} is under a {victim.nature} from randomly forged addresses",
        statement=statement,
        confidence=_victim_confidence(victim, view),
        calibration=(
            "share of true victims among those called on simulated noise, scans and floods"
            " (benchmarks/backscatter/run.py); lower at the thresholds and where the telescope is only inferred"
        ),
        first_seen=first,
        last_seen=last,
        count=victim.packets,
        entities=(Entity("ipv4-addr", name, victim.packets),),
        evidence=_victim_evidence(victim, view),
        attack=("T1498.001",),
        attributes={
            "flood": victim.nature,
            "answers": _named(victim.flavours),
            "dark_addresses_hit": victim.addresses,
            "ports": [port for port, _ in victim.ports[:20]],
            "ports_total": len(victim.ports),
            "attacks": _attacks(victim),
            "thresholds": {
                "packets": rules.packets,
                "rate_per_minute": rules.rate,
                "addresses_per_minute": rules.addresses,
                "packets_at_any_rate": rules.slow,
                "scaled_packets": round(rules.scaled_packets, 3),
                "scaled_rate": round(rules.scaled_rate, 3),
            },
        },
    )


def _named(flavours: np.ndarray) -> dict[str, int]:
    return {classes.FLAVOURS[n]: int(flavours[n]) for n in range(1, classes.TALK) if flavours[n]}


def _victim_confidence(victim: Victim, view: View) -> float:
    fast = float(victim.episodes.window_addresses.max()) >= 2 * view.rules.addresses
    strong = fast or victim.addresses >= 4 * max(view.rules.slow, view.rules.packets)
    if view.dark == 0:
        return 0.7
    if not view.known and view.dark < 256:
        return 0.8
    return 0.98 if strong else 0.93


def _attacks(victim: Victim) -> list[dict[str, Any]]:
    episodes, rows = victim.episodes, []
    for n in range(min(len(episodes), 20)):
        rate = victim.rates[n]
        row: dict[str, Any] = {
            "start": timestamp(int(episodes.first[n])),
            "end": timestamp(int(episodes.last[n])),
            "packets": int(episodes.packets[n]),
            "dark_addresses": round(float(episodes.addresses[n])),
            "busiest_minute": int(episodes.window_packets[n]),
        }
        if episodes.addresses[n] >= MOST_COUNTED:
            row["dark_addresses_are"] = "at least"
        if rate is not None:
            row["packets_per_second_worldwide"] = {
                name: float(f"{value:.3g}")
                for name, value in (("estimate", rate.value), ("low", rate.low), ("high", rate.high))
            }
        rows.append(row)
    return rows


def _victim_evidence(victim: Victim, view: View) -> tuple[Evidence, ...]:
    counts, items = victim.flavours, []
    chance = round(view.stray, 2)
    if counts[classes.SYN_ACK]:
        check = Check(relation("src", victim.address, classes.SYN_ACK), chance)
        items.append(Evidence(f"SYN-ACK packets from {dotted(victim.address)}", check))
    if counts[classes.RST] + counts[classes.RST_ACK]:
        check = Check(relation("src", victim.address, classes.RST), chance)
        items.append(Evidence(f"RST packets from {dotted(victim.address)}", check))
    if counts[classes.UDP_ANSWER] > counts[list(_TCP)].sum() and victim.ports:
        port = victim.ports[0][0]
        check = Check(relation("src", victim.address, classes.UDP_ANSWER, port), chance)
        items.append(Evidence(f"UDP from port {port} of {dotted(victim.address)}", check))
    if not items:
        check = Check(relation("src", victim.address), chance)
        items.append(
            Evidence(f"all packets from {dotted(victim.address)} (nearly all are ICMP answers)", check)
        )
    return tuple(items)


def reflection_finding(found: Reflection, answers: Answers, view: View) -> Finding:
    name = dotted(found.target)
    flavours = answers.of(found.sources)
    total = flavours.sum(axis=0)
    packets = flavours[:, 1 : classes.TALK].sum(axis=1)
    tcp, udp = answers.ports(found.sources, _TCP), answers.ports(found.sources, _UDP)
    sort = _sort_of(total)
    many = sort != "UDP"
    port_text = ports_text(tcp if many else udp, not many)
    ports = f" They come from {'TCP' if many else 'UDP'} ports {port_text}." if port_text else ""
    estimate = "" if found.scale == 1 else f" (1 in {found.scale} senders was kept; times {found.scale})"
    others = (
        f" Other dark addresses got answers from {found.others:.2g} on average in that minute."
        if view.dark > 1
        else ""
    )
    what = "UDP amplification" if sort == "UDP" else f"{sort} reflection"
    order = np.argsort(-packets, kind="stable")[:_MOST_ENTITIES]
    statement = (
        f"{len(found.sources) * found.scale:,} addresses sent answers to {name} alone{estimate}:"
        f" {flavours_text(total.tolist())}, in {duration(found.last - found.first)} from {clock(found.first)} UTC,"
        f" {found.burst:,} of them within one minute, and {name} had not asked. These answers are backscatter of"
        f" packets in which {name} was forged as the sender: a reflection attack on it. The senders are the"
        f" reflectors, not the attackers.{ports}{others}"
    )
    return finding(
        view,
        found.target,
        "reflection-target",
        title=f"{what} aimed at {name}: {len(found.sources) * found.scale:,} reflectors",
        statement=statement,
        confidence=0.97 if found.burst >= 4 * view.rules.reflectors else 0.9,
        calibration="no address was called a target on simulated noise and scans (benchmarks/backscatter/run.py)",
        first_seen=found.first,
        last_seen=found.last,
        count=found.packets,
        entities=tuple(Entity("ipv4-addr", dotted(int(found.sources[n])), int(packets[n])) for n in order),
        evidence=_reflection_evidence(found, total, udp, view),
        attack=("T1498.002",),
        attributes={
            "flood": what,
            "answers": _named(total),
            "reflectors": len(found.sources) * found.scale,
            "reflectors_in_busiest_minute": found.burst,
            "tcp_ports": [port for port, _ in tcp[:20]],
            "udp_ports": [port for port, _ in udp[:20]],
        },
    )


def _sort_of(flavours: np.ndarray) -> str:
    """Protocol of most of the answers."""
    counts = {
        "TCP": flavours[list(_TCP)].sum(),
        "UDP": flavours[[classes.UDP_ANSWER, classes.UDP_FRAGMENT]].sum(),
        "ICMP": flavours[[classes.ICMP_ANSWER, classes.PORT_UNREACHABLE, classes.ICMP_ERROR]].sum(),
    }
    return max(counts, key=lambda name: int(counts[name]))


def _reflection_evidence(
    found: Reflection, total: np.ndarray, udp: list[tuple[int, int]], view: View
) -> tuple[Evidence, ...]:
    name, items = dotted(found.target), []
    chance = _elsewhere(view.answers_each, found.packets * found.scale, view)
    if total[classes.SYN_ACK]:
        items.append(
            Evidence(
                f"SYN-ACK packets to {name}", Check(relation("dst", found.target, classes.SYN_ACK), chance)
            )
        )
    if total[classes.RST] + total[classes.RST_ACK]:
        items.append(
            Evidence(f"RST packets to {name}", Check(relation("dst", found.target, classes.RST), chance))
        )
    for port, packets in udp[:3]:
        if packets * 10 >= found.packets:
            check = Check(relation("dst", found.target, classes.UDP_ANSWER, port), chance)
            items.append(Evidence(f"UDP from port {port} to {name}", check))
    if not items:
        items.append(Evidence(f"all packets to {name}", Check(relation("dst", found.target), chance)))
    icmp = int(total[[classes.ICMP_ANSWER, classes.PORT_UNREACHABLE, classes.ICMP_ERROR]].sum())
    if icmp:
        items.append(
            Evidence(f"{icmp:,} ICMP answers and errors to {name}; the packets they quote are not read")
        )
    return tuple(items)


def flood_finding(found: Flood, view: View) -> Finding:
    name, kind = dotted(found.target), classes.KINDS[found.kind]
    sources = f"{'' if found.scale == 1 else 'about '}{found.sources:,}"
    port, share = found.dst_port
    at_port = f", {share:.0%} of the sources to port {port}" if found.kind < classes.ICMP_KIND else ""
    signs = "; ".join(found.signs) or (
        f"the rate alone: {found.burst:,} new sources in one minute, spread over {found.eighths} of 256 /8 blocks"
    )
    others = (
        f" Other dark addresses had {found.others:.2g} new sources on average in that minute."
        if view.dark > 1
        else ""
    )
    check = Check(_flood_relation(found), _elsewhere(view.requests_each, found.packets, view))
    if found.reflected:
        what, title = "reflection-target", f"UDP from port {found.src_port[0]} of many hosts aimed at {name}"
        signs = f"{found.src_port[1]:.0%} of them send from UDP port {found.src_port[0]}, as answers of one service do"
    else:
        what, title = "spoofed-flood-target", f"{kind} flood from forged addresses aimed at {name}"
    statement = (
        f"{sources} sources sent {found.packets:,} packets ({kind}{at_port}) to {name} in"
        f" {duration(found.last - found.first)} from {clock(found.first)} UTC, {found.per_source:.1f} packets each."
        f" {'Sign of reflection' if found.reflected else 'Signs that the sources are forged'}: {signs}.{others}"
        + ("" if found.reflected else " So the source addresses name nobody.")
        + (
            ""
            if found.scale == 1
            else f" Counts are estimates from 1 in {found.scale} source-destination pairs."
        )
    )
    return finding(
        view,
        found.target,
        what,
        title=title,
        statement=statement,
        confidence=0.97 if found.signs else 0.85,
        calibration="no address was called a target on simulated noise and scans (benchmarks/backscatter/run.py)",
        first_seen=found.first,
        last_seen=found.last,
        count=found.packets,
        entities=(Entity("ipv4-addr", name, found.packets),),
        evidence=(Evidence(f"{kind} packets to {name}", check),),
        attack=("T1498.002" if found.reflected else "T1498.001",),
        attributes={
            "flood": f"{kind} flood",
            "sources": found.sources,
            "sources_in_busiest_minute": found.burst,
            "packets_by_kind": {classes.KINDS[n]: int(c) for n, c in enumerate(found.kinds) if c},
            "unroutable_share": round(found.unroutable, 4),
            "unroutable_share_if_random": round(UNROUTABLE_EXPECTED, 4),
            "slash8_blocks": found.eighths,
            "top_ttls": list(found.top_ttls),
            "top_ttl_share": round(found.ttl_share, 4),
            "ports": [port],
        },
    )


def _elsewhere(each: float, own: int, view: View) -> float:
    """Mean packets of that sort to one of the *other* dark addresses; 0 if there are none to compare with."""
    return round(max(each * view.dark - own, 0.0) / (view.dark - 1), 3) if view.dark > 1 else 0.0


def _flood_relation(found: Flood) -> str:
    base = relation("dst", found.target)
    if found.kind == classes.SYN_KIND:
        return f"{base} and tcp.flags & 0x17 == 0x2"
    port, share = found.dst_port
    if found.kind == classes.UDP_KIND:
        if found.reflected:
            return f"{base} and udp.srcport == {found.src_port[0]}"
        return f"{base} and udp.dstport == {port}" if share > 0.5 else base
    return base


def one_per_address(findings: list[Finding]) -> list[Finding]:
    """One finding per address: the one with most packets, which names what else was found."""
    best: dict[tuple[str, str], Finding] = {}
    for item in sorted(findings, key=lambda f: (-f.count, f.subject, f.title)):
        kept = best.get(item.subject)
        if kept is None:
            best[item.subject] = item
            continue
        also = [*kept.attributes.get("also", []), item.attributes["class"]]
        best[item.subject] = replace(
            kept,
            statement=f"{kept.statement} Also: {item.title}.",
            evidence=kept.evidence + item.evidence,
            attributes={**kept.attributes, "also": also},
        )
    return list(best.values())


def rest_finding(rest: list[Victim], view: View) -> Finding:
    """The victims that get no finding of their own, in numbers."""
    ordered = sorted(rest, key=lambda victim: (-victim.packets, victim.address))
    packets = sum(victim.packets for victim in rest)
    most = ordered[0]
    base = victim_finding(most, view)
    return replace(
        base,
        title=f"{len(rest):,} more victims of floods from randomly forged addresses",
        statement=(
            f"{len(rest):,} more addresses answered randomly forged packets, {packets:,} answers in all, each fewer"
            f" than the {view.rules.most_findings} victims reported one by one; the largest is {dotted(most.address)}"
            f" with {most.packets:,}. All are in the table of victims.{view.left_out}"
        ),
        subject=("backscatter", "further victims"),
        first_seen=min(int(victim.episodes.first.min()) for victim in rest),
        last_seen=max(int(victim.episodes.last.max()) for victim in rest),
        count=packets,
        confidence=0.93 if view.dark else 0.7,
        entities=tuple(Entity("ipv4-addr", dotted(v.address), v.packets) for v in ordered[:_MOST_ENTITIES]),
        evidence=(),
        attributes={"class": "spoofed-dos-victim", "victims": len(rest), "dark_addresses": view.dark},
    )
