"""The one finding of a day's census, in words and with checks."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, ClassVar, Protocol

import numpy as np

from andon.detect.darknet.census.places import Located
from andon.detect.darknet.census.prefixes import Prefixes
from andon.detect.darknet.census.summary import Census
from andon.detect.darknet.census.units import CLASSES, ICMP_AT, TCP_SYN, UDP_AT, protocol_name, unit_name
from andon.records.contract import Context, Nothing
from andon.records.finding import Check, Entity, Evidence, Finding, timestamp

_TOP = 10


class Named(Protocol):
    name: ClassVar[str]
    version: ClassVar[int]


def _share(part: int, whole: int) -> str:
    """
    >>> _share(1, 3), _share(1, 100000), _share(0, 5)
    ('33.3 %', '<0.1 %', '0 %')
    """
    if not part:
        return "0 %"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent >= 0.05 else "<0.1 %"


def _count(number: int, noun: str) -> str:
    """
    >>> _count(1, "source"), _count(2000, "source")
    ('1 source', '2,000 sources')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def finding(
    engine: Named,
    summary: Census,
    sources: tuple[np.ndarray, np.ndarray, np.ndarray],
    prefixes: Prefixes,
    places: Located | None,
    ctx: Context[Nothing],
) -> Finding:
    """What arrived in the span; ``sources`` as of ``Census.by_source``."""
    address, sent, _ = sources
    units, packets, unit_sources, unit_targets = summary.by_unit()
    first, last = int(summary.times[0]), int(summary.times[1])
    distinct = len(address) << summary.sources.level
    nets24, of_net = np.unique(address >> 8, return_inverse=True)
    net_packets = np.bincount(of_net, weights=sent, minlength=len(nets24)).astype(np.int64)
    by_sources = np.lexsort((units, -packets, -unit_sources))[:_TOP]
    by_packets = np.lexsort((units, -packets))[:_TOP]
    top = np.lexsort((address, -sent))[:100]
    top_nets = np.lexsort((nets24, -net_packets))[:_TOP]
    entities = tuple(Entity("ipv4-addr", str(IPv4Address(int(address[i]))), int(sent[i])) for i in top)
    text = [
        _arrivals(summary, prefixes, distinct, first, last),
        _what(summary),
        _ports(units[by_sources], packets[by_sources], unit_sources[by_sources]),
        *_who(entities, summary.packets),
        _telescope(prefixes),
        *_places(places),
        *_limits(summary),
    ]
    attributes: dict[str, Any] = {
        "packets": summary.packets,
        "sources": distinct,
        "destinations": prefixes.seen,
        "exact": summary.exact,
        "telescope": [str(part.network) for part in prefixes.parts],
        "telescope_addresses": prefixes.addresses,
        "telescope_given": prefixes.given,
        "classes": {name: int(n) for name, n in zip(CLASSES, summary.classes, strict=True) if n},
        "protocols": _protocols(summary),
        "ports_by_sources": [_row(units, packets, unit_sources, unit_targets, i) for i in by_sources],
        "ports_by_packets": [_row(units, packets, unit_sources, unit_targets, i) for i in by_packets],
        "networks_by_packets": [
            {"network": f"{IPv4Address(int(nets24[i]) << 8)}/24", "packets": int(net_packets[i])}
            for i in top_nets
        ],
    }
    if places is not None:
        for name, tops in (("countries", places.countries), ("systems", places.systems)):
            attributes[name] = [{"name": n, "packets": p, "sources": s} for n, p, s in tops]
    return Finding(
        engine=engine.name,
        engine_version=engine.version,
        kind="census",
        title=f"{_count(summary.packets, 'packet')} from {_count(distinct, 'source')}",
        statement=" ".join(text),
        confidence=1.0,
        calibration="counted, not judged"
        + ("" if summary.exact else "; distinct sources and destinations estimated from a sample"),
        window=(ctx.start, ctx.end),
        subject=("census", "day"),
        first_seen=first,
        last_seen=last,
        count=summary.packets,
        entities=entities,
        evidence=_evidence(summary, units, packets, entities),
        attributes=attributes,
    )


def _arrivals(summary: Census, prefixes: Prefixes, distinct: int, first: int, last: int) -> str:
    seconds = (last - first) / 1e9
    rate = f", {summary.packets / seconds:,.0f} a second" if seconds >= 1 else ""
    about = "" if summary.sources.level == 0 else "about "
    whole = timestamp(first // 10**9 * 10**9), timestamp(last // 10**9 * 10**9)
    return (
        f"{_count(summary.packets, 'packet')} from {about}{_count(distinct, 'IPv4 source')} to "
        f"{_count(prefixes.seen, 'IPv4 destination')}, {whole[0]} to {whole[1]}{rate}."
    )


def _what(summary: Census) -> str:
    ranked = sorted(zip(summary.classes.tolist(), CLASSES, strict=True), key=lambda pair: -pair[0])
    shares = [f"{name.replace('tcp', 'TCP')} {_share(n, summary.packets)}" for n, name in ranked if n]
    return f"Of the packets: {', '.join(shares)}."


def _ports(units: np.ndarray, packets: np.ndarray, sources: np.ndarray) -> str:
    if not len(units):
        return "No IPv4 packets."
    tops = [
        f"{unit_name(int(unit))} ({_count(int(number), 'source')}, {_count(int(count), 'packet')})"
        for unit, count, number in zip(units[:5], packets[:5], sources[:5], strict=True)
    ]
    return f"Ports with most sources: {', '.join(tops)}."


def _who(entities: tuple[Entity, ...], total: int) -> list[str]:
    if not entities:
        return []
    part = sum(entity.packets for entity in entities[:10])
    most = f"Most active: {entities[0].value} with {_count(entities[0].packets, 'packet')}"
    if len(entities) == 1:
        return [f"{most}."]
    return [f"{most}; the first {min(10, len(entities))} sources sent {_share(part, total)} of all packets."]


def _telescope(prefixes: Prefixes) -> str:
    if not prefixes.parts:
        return (
            "The telescope could not be inferred: the destinations seen are spread too thinly over the "
            "address space (is this a capture of a scanner's own traffic?). Give its prefixes with "
            "--telescope."
        )
    named = ", ".join(str(part.network) for part in prefixes.parts[:5])
    more = f" and {len(prefixes.parts) - 5} more" if len(prefixes.parts) > 5 else ""
    how = "as given" if prefixes.given else "inferred from the destinations, not given"
    seen = sum(part.seen for part in prefixes.parts)
    text = f"Telescope: {named}{more} ({how}); {seen:,} of {prefixes.addresses:,} addresses were reached"
    if prefixes.stray:
        text += f", and {_count(prefixes.stray, 'destination')} outside"
    if prefixes.inside:
        text += (
            f". {_count(prefixes.inside, 'packet')} came from inside the telescope, which a dark address "
            "never sends: live hosts, spoofed sources or a two-way capture"
        )
    return text + "."


def _places(places: Located | None) -> list[str]:
    if places is None or not places.looked_up:
        return []
    countries = ", ".join(f"{name} ({_count(sent, 'packet')})" for name, sent, _ in places.countries[:5])
    systems = ", ".join(f"{name} ({_count(sent, 'packet')})" for name, sent, _ in places.systems[:3])
    part = (
        ""
        if places.looked_up == places.sources
        else f" (of the {places.looked_up:,} sources with most packets)"
    )
    return [f"Countries{part}: {countries}. Networks: {systems}."]


def _limits(summary: Census) -> list[str]:
    text = []
    for rows, noun in ((summary.sources, "sources"), (summary.targets, "destinations")):
        if rows.level:
            one_in = 1 << rows.level
            error = 100 * float(np.sqrt((one_in - 1) / 10_000))
            text.append(
                f"Distinct {noun} are estimated from a sample of one in {one_in:,}: the standard error of "
                f"10,000 is {error:.0f} %, of 1,000,000 {error / 10:.1f} %."
            )
    if summary.sources.level:
        text.append("Tops of sources and networks are of that sample.")
    if summary.nets.level:
        text.append("Distinct destinations in all are an estimate.")
    return text


def _protocols(summary: Census) -> dict[str, int]:
    used = np.flatnonzero(summary.protocols)
    ranked = used[np.lexsort((used, -summary.protocols[used]))]
    return {protocol_name(int(proto)): int(summary.protocols[proto]) for proto in ranked}


def _row(
    units: np.ndarray, packets: np.ndarray, sources: np.ndarray, targets: np.ndarray, at: int
) -> dict[str, Any]:
    return {
        "port": unit_name(int(units[at])),
        "packets": int(packets[at]),
        "sources": int(sources[at]),
        "destinations": int(targets[at]),
    }


def _evidence(
    summary: Census, units: np.ndarray, packets: np.ndarray, entities: tuple[Entity, ...]
) -> tuple[Evidence, ...]:
    evidence = []
    if summary.classes[TCP_SYN]:
        text = f"{_count(int(summary.classes[TCP_SYN]), 'TCP SYN')} without ACK, FIN, RST, PSH or URG"
        evidence.append(Evidence(text, Check("tcp.flags & 0x3f == 2", 0.0)))
    ported = units < ICMP_AT
    if ported.any():
        at = np.flatnonzero(ported)[np.argmax(packets[ported])]
        unit = int(units[at])
        relation = f"tcp.dstport == {unit}" if unit < UDP_AT else f"udp.dstport == {unit - UDP_AT}"
        text = f"{unit_name(unit)} has most packets: {int(packets[at]):,}"
        evidence.append(Evidence(text, Check(relation, 0.0)))
    if entities:
        relation = f"ip.src == {int(IPv4Address(entities[0].value)):#x}"
        text = f"{entities[0].value} is the most active source: {_count(entities[0].packets, 'packet')}"
        evidence.append(Evidence(text, Check(relation, 0.0)))
    return tuple(evidence)
