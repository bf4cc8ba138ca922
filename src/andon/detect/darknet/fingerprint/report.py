"""Words and tables for people: one finding per family and span, one per pair of fingerprints on one address."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.carry import Families, Known
from andon.detect.darknet.fingerprint.measure import GLOBAL_BITS, SESSION_BITS, Measured, Packets
from andon.detect.darknet.fingerprint.overlap import (
    SAME,
    Several,
    Shared,
    Tools,
    several,
    with_families,
    with_tools,
)
from andon.detect.darknet.fingerprint.sample import Family
from andon.detect.darknet.fingerprint.senders import made_up, senders
from andon.detect.darknet.fingerprint.tables import FAMILIES, SOURCES, coverage, coverage_table
from andon.records.expression import (
    ExpressionError,
    NotExpressible,
    canonical,
    chance_rate,
    parse,
    session_sql,
)
from andon.records.expression.fields import FIELDS
from andon.records.finding import Check, Entity, Evidence, Finding

GUARD = "tcp.flags & 0x3f == 2"
_CONCRETE_SESSIONS = 5
_QUERIED_SESSIONS = 20
_TOP_PORTS = 10
_MOST_DEFAULTS = 10
_MOST_PAIRS = 20
_LEAST_BITS = 6.0
_SPOOFED = (
    "The senders are most likely made up: their addresses are drawn at random (among them ones that cannot send on the "
    "Internet), or each sent one packet to the same target. Blocking them would hit bystanders."
)


@dataclass(frozen=True)
class Day:
    """The span that is reported on."""

    engine: tuple[str, int]
    window: tuple[int, int]
    packets: Packets
    syn: int
    one_source_in: int
    tools: pa.Table | None
    left_out: Sequence[str]


@dataclass(frozen=True)
class Judged:
    """A family with all that is said of it."""

    measured: Measured
    kind: str
    known: Known
    tools: list[Shared]
    families: list[Shared]
    spoofed: bool

    @property
    def known_as(self) -> str:
        return self.tools[0].name if self.tools and self.tools[0].share >= SAME else ""

    @property
    def relation(self) -> str:
        return self.measured.family.relation


def kind_of(family: Family) -> str:
    """The kind of finding that a family is."""
    try:
        rate = chance_rate(parse(family.relation))
    except ExpressionError:
        return "scan-order"
    return "stack-default" if rate > 2.0**-_LEAST_BITS else "scanner-fingerprint"


def report(
    day: Day, families: Sequence[Family], carried: Families
) -> tuple[tuple[Finding, ...], dict[str, pa.Table]]:
    """(findings, tables); what was seen is noted in ``carried``."""
    packets, tools = day.packets, Tools.of(day.tools)
    measured = [packets.measure(family) for family in families]
    ranked = sorted(
        (m for m in measured if len(m.rows)), key=lambda m: (-len(m.family.sources), m.family.relation)
    )
    marked = [m for m in ranked if kind_of(m.family) == "scanner-fingerprint"]
    shared = {m.family.relation: s for m, s in zip(marked, with_families(marked), strict=True)}
    judged = []
    for m in ranked:
        kind = kind_of(m.family)
        known = carried.see(
            m.family.relation, m.family.scope, kind, day.window[0], len(m.family.sources), m.total
        )
        spoofed = made_up(packets, m)
        judged.append(
            Judged(m, kind, known, with_tools(m, packets, tools), shared.get(m.family.relation, []), spoofed)
        )
    fingerprints = [j for j in judged if j.kind == "scanner-fingerprint"]
    pairs = several(
        [j.measured for j in fingerprints if not j.spoofed],
        [j.known_as for j in fingerprints if j.known_as],
        packets,
        tools,
    )
    carrying_more = np.unique(np.concatenate([p.addresses for p in pairs] or [np.empty(0, np.uint32)]))
    shown = [j for j in judged if j.kind != "stack-default"]
    shown += [j for j in judged if j.kind == "stack-default"][:_MOST_DEFAULTS]
    findings = [_family_finding(day, j, carrying_more) for j in shown]
    findings += [_several_finding(day, pair) for pair in pairs[:_MOST_PAIRS]]
    return tuple(findings), _tables(day, judged, fingerprints, tools)


def _family_finding(day: Day, judged: Judged, carrying_more: np.ndarray) -> Finding:
    m = judged.measured
    addresses = day.packets.sample.src[m.family.sources]
    order = np.lexsort((addresses, -m.packets))
    entities = tuple(Entity("ipv4-addr", _dotted(addresses[at]), max(1, int(m.packets[at]))) for at in order)
    expected = _chance_sources(day, m)
    confidence = 0.99 * max(0.0, 1.0 - expected / max(1, len(addresses)))
    more = int(np.isin(addresses, carrying_more).sum())
    return Finding(
        engine=day.engine[0],
        engine_version=day.engine[1],
        kind=judged.kind,
        title=_title(judged),
        statement=_statement(day, judged, expected, more),
        confidence=confidence,
        calibration=f"evidence per source of at least {_needed(m.family):.0f} bits, so {expected:.2g} of the "
        f"{len(day.packets.sample.src) * day.one_source_in:,} sources by chance; at most 0.99, because several "
        "programs may share a relation"
        if judged.kind != "stack-default"
        else "many unrelated programs share such a value",
        window=day.window,
        subject=("fingerprint", judged.relation),
        first_seen=m.first,
        last_seen=m.last,
        count=max(m.total, len(m.rows)),
        entities=entities,
        evidence=tuple(_evidence(day, m, order)),
        attack=("T1595.001",) if judged.kind != "stack-default" else (),
        severity="informational" if judged.spoofed else "low" if judged.known_as else "",
        attributes=_attributes(day, judged, expected, more),
    )


def _needed(family: Family) -> float:
    return SESSION_BITS if family.scope == "session" else GLOBAL_BITS


def _chance_sources(day: Day, m: Measured) -> float:
    return float(len(day.packets.sample.src) * day.one_source_in * 2.0 ** -_needed(m.family))


def _title(judged: Judged) -> str:
    m = judged.measured
    count = _number(len(m.family.sources), "source")
    if judged.spoofed:
        count = _number(len(senders(m)), "source")
        return f"{judged.relation}: flood from {count}, most likely made up"
    if judged.kind == "stack-default":
        return f"{judged.relation}: {count} (a default of operating systems)"
    if judged.kind == "scan-order":
        return f"{judged.relation}: {count} scan in this order"
    if judged.known_as:
        return f"{judged.relation}: {count}, known as {judged.known_as}"
    return f"{judged.relation}: {count} share this relation"


def _statement(day: Day, judged: Judged, expected: float, more: int) -> str:
    m, family = judged.measured, judged.measured.family
    count = _number(len(family.sources), "source")
    if judged.kind == "stack-default":
        return (
            f"{count} sent about {m.total:,} TCP SYN packets with {judged.relation}. The field is one that operating "
            "systems fill with defaults, so the value alone does not tell a scanner from others."
            + (" " + _SPOOFED if judged.spoofed else "")
        )
    text = f"{count} sent about {m.total:,} TCP SYN packets that satisfy {judged.relation}"
    if family.scope == "session":
        text += ", each with a key of its own that stays the same over its packets"
    text += ". "
    if family.scope == "global":
        by_chance = m.chance(max(0, day.syn - m.total))
        few = f"{by_chance:,.3g}" if by_chance >= 0.01 else "less than 0.01"
        text += f"Chance would give {few} among the other {max(0, day.syn - m.total):,} SYN packets. "
    if m.excess:
        text += (
            f"Another {_number(len(m.unproven), 'source')} sent one or a few such packets, too few to prove it of "
            f"each, but far more than chance explains ({m.looked_at * 2.0**-family.bits:,.3g}). "
        )
    if judged.spoofed:
        text += _SPOOFED + " "
    if m.ports:
        text += f"Ports: {_port_words(m)}. "
    weak = {name: mask for name, mask in m.proven.items() if mask != FIELDS[name].mask and name in FIELDS}
    for name, mask in weak.items():
        info = FIELDS[name]
        text += f"Of {name}, {mask.bit_count()} of {info.bits} bits varied here; for the others it is not proven. "
    if judged.known_as:
        text += (
            f"The known tool {judged.known_as} is named for {judged.tools[0].share:.0%} of these sources. "
        )
    elif judged.tools:
        text += f"{judged.tools[0].sources:,} of them are also named as {judged.tools[0].name}. "
    if more:
        text += f"{_number(more, 'source')} of them carry another fingerprint in other packets. "
    if judged.known.spans > 1:
        text += f"Seen in {judged.known.spans} spans so far. "
    if day.one_source_in > 1:
        text += f"There were more sources than memory holds: one in {day.one_source_in} was looked at. "
    return text.strip()


def _evidence(day: Day, m: Measured, order: np.ndarray) -> list[Evidence]:
    family = m.family
    addresses = day.packets.sample.src[family.sources]
    if family.scope == "global":
        relation = f"{GUARD} and ({family.relation})"
        if _unparsable(relation):
            return [Evidence(f"{_number(len(addresses), 'source')} in this order")]
        chance = m.chance(max(0, day.syn - m.total))
        if kind_of(family) == "stack-default":
            chance = max(0, day.syn - m.total) / 65536  # if the field were drawn freely
        return [Evidence(f"TCP SYN packets with {family.relation}", Check(relation, by_chance=chance))]
    text = (
        f"{_number(len(addresses), 'source')} whose packets agree on a key over packets that differ, with at least "
        f"{SESSION_BITS:.0f} bits of evidence each"
    )
    items = [Evidence(text)]
    for at in order[:_CONCRETE_SESSIONS]:
        source, key = _dotted(addresses[at]), int(m.keys[at])
        relation = f"{GUARD} and (ip.src == {source}) and ({with_key(family.relation, key)})"
        others = int(day.packets.sample.packets[family.sources[at]]) - int(m.packets[at])
        items.append(
            Evidence(
                f"{source}: packets with the key {key:#x}",
                Check(relation, by_chance=m.chance(max(0, others))),
            )
        )
    items += _session_query(m, addresses[order[:_QUERIED_SESSIONS]])
    return items


def _session_query(m: Measured, addresses: np.ndarray) -> list[Evidence]:
    """The SQL that counts the sessions of these sources."""
    keyed = f"{GUARD} and ({m.family.relation})"
    try:
        sql = session_sql(parse(keyed), "chosen")
    except NotExpressible:
        return []
    listed = ", ".join(str(int(address)) for address in addresses)
    sql = f"WITH chosen AS (SELECT * FROM packets WHERE src IN ({listed})) {sql}"
    senders = " or ".join(f"ip.src == {_dotted(address)}" for address in addresses)
    text = (
        f"sessions of the {_number(len(addresses), 'source')} with most packets: packets that agree on a key, with at "
        "least 40 bits of evidence (SQL over packets.parquet as the table packets)"
    )
    check = Check(
        f"{keyed} and ({senders})",
        by_chance=len(addresses) * 2.0**-SESSION_BITS,
        tool="duckdb",
        expression=sql,
    )
    return [Evidence(text, check)]


def with_key(relation: str, key: int) -> str:
    """A session relation with its key as a constant: something tcpdump can count.

    >>> with_key("tcp.seq == ip.dst ^ key32", 255)
    'tcp.seq == ip.dst ^ 0xff'
    """
    return str(canonical(parse(relation.replace("key16", hex(key)).replace("key32", hex(key)))))


def _unparsable(relation: str) -> bool:
    try:
        parse(relation)
    except ExpressionError:
        return True
    return False


def _attributes(day: Day, judged: Judged, expected: float, more: int) -> dict[str, Any]:
    m, family = judged.measured, judged.measured.family
    share, low, high = m.precision()
    made: dict[str, Any] = {
        "scope": family.scope,
        "bits": round(float(family.bits), 2),
        "layer": family.layer,
        "proven_bits": {
            name: {
                "varied": hex(mask),
                "never_varied": hex(FIELDS[name].mask & ~mask),
                "bits": mask.bit_count(),
            }
            for name, mask in sorted(m.proven.items())
            if name in FIELDS
        },
        "sources": len(family.sources),
        "sources_unproven": len(m.unproven) if m.excess else 0,
        "packets": m.total,
        "packets_from": "scaled up from each source's sample",
        "precision": {"estimate": round(share, 4), "low": round(low, 4), "high": round(high, 4)},
        "precision_of": "packets that satisfy the relation which come from these sources (95 % Wilson interval)"
        if family.scope == "global"
        else "packets of these sources that fit their key (95 % Wilson interval)",
        "expected_chance_packets": float(f"{m.chance(max(0, day.syn - m.total)):.3g}"),
        "expected_chance_sources": float(f"{expected:.3g}"),
        "ports": _ports(m),
        "known_as": judged.known_as,
        "overlap_tools": [_shared(s, "tool") for s in judged.tools[:10]],
        "overlap_families": [_shared(s, "relation") for s in judged.families[:10]],
        "sources_with_another_fingerprint": more,
        "spoofed": judged.spoofed,
        "born": judged.known.born,
        "spans_seen": judged.known.spans,
        "one_source_in": day.one_source_in,
    }
    if family.scope == "global" and not _unparsable(family.relation):
        made["exact"] = {"relation": f"{GUARD} and ({family.relation})"}
    return made


def _shared(shared: Shared, word: str) -> dict[str, Any]:
    return {word: shared.name, "sources": shared.sources, "share": round(shared.share, 4)}


def _ports(m: Measured) -> list[dict[str, Any]]:
    total = max(1.0, float(m.total))
    top = list(m.ports.items())[:_TOP_PORTS]
    return [{"port": port, "share": round(min(1.0, count / total), 4)} for port, count in top]


def _port_words(m: Measured) -> str:
    entries = _ports(m)
    words = [f"{e['port']} ({e['share']:.0%})" for e in entries[:3]]
    if len(m.ports) > 3:
        words.append("others")
    return ", ".join(words)


def _several_finding(day: Day, pair: Several) -> Finding:
    count = len(pair.addresses)
    order = np.lexsort((pair.addresses, -pair.packets))
    return Finding(
        engine=day.engine[0],
        engine_version=day.engine[1],
        kind="multiple-infection",
        title=f"{_number(count, 'source')} carry two fingerprints: {pair.names[0]} and {pair.names[1]}",
        statement=f"{_number(count, 'source')} sent packets with {pair.names[0]} and other packets with "
        f"{pair.names[1]}: two programs on one machine, or several machines behind one address.",
        confidence=0.95,
        calibration="the packets that carry one fingerprint but not the other would prove each by themselves; "
        "whether it is one machine or several cannot be seen (judgement)",
        window=day.window,
        subject=("fingerprints", f"{pair.names[0]} + {pair.names[1]}"),
        first_seen=pair.first,
        last_seen=pair.last,
        count=int(pair.packets.sum()),
        entities=tuple(
            Entity("ipv4-addr", _dotted(pair.addresses[at]), int(pair.packets[at])) for at in order
        ),
        attack=("T1595.001",),
        attributes={"fingerprints": list(pair.names), "sources": count},
    )


def _tables(
    day: Day, judged: Sequence[Judged], fingerprints: Sequence[Judged], tools: Tools
) -> dict[str, pa.Table]:
    sample = day.packets.sample
    rows = []
    for j in judged:
        m = j.measured
        rows.append(
            (
                j.relation, j.kind, m.family.scope, m.family.layer, float(m.family.bits), len(m.family.sources),
                m.total, m.chance(max(0, day.syn - m.total)), *m.precision(), m.first, m.last, j.known.born,
                j.known.spans, j.known_as, j.spoofed,
            )
        )  # fmt: skip
    families = pa.Table.from_arrays(
        [pa.array([row[n] for row in rows], field.type) for n, field in enumerate(FAMILIES)], schema=FAMILIES
    )
    listed = [j for j in judged if j.kind != "stack-default"]
    parts: list[tuple[Any, ...]] = [
        (
            sample.src[j.measured.family.sources],
            [j.relation] * len(j.measured.family.sources),
            j.measured.packets,
            j.measured.hits.astype(np.int64),
            j.measured.sampled.astype(np.int64),
            j.measured.keys.astype(np.int64)
            if len(j.measured.keys)
            else np.full(len(j.measured.hits), -1, np.int64),
        )
        for j in listed
    ]
    sources = pa.Table.from_arrays(
        [
            pa.array([text for part in parts for text in part[n]], field.type)
            if n == 1
            else pa.array(np.concatenate([part[n] for part in parts] or [np.empty(0, np.int64)]), field.type)
            for n, field in enumerate(SOURCES)
        ],
        schema=SOURCES,
    )
    marked = np.zeros(sample.rows, np.bool_)
    for j in fingerprints:
        marked[j.measured.rows] = True
    carried = np.bincount(day.packets.of_row[marked], minlength=len(sample.src))
    explained = carried / np.maximum(1, day.packets.sizes)
    scans = np.ones(len(sample.src), np.bool_)
    for j in judged:
        if j.spoofed:
            scans[senders(j.measured)] = False
    cover = coverage(sample, explained, tools.by_address(), scans)
    most = int(day.packets.sizes.max(initial=0))
    unseen = day.syn - int(sample.packets.sum())
    table = coverage_table(cover, day.window, day.one_source_in, unseen, most, day.left_out)
    return {"families": families, "sources": sources, "coverage": table}


def _dotted(address: int) -> str:
    return str(ipaddress.IPv4Address(int(address)))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
