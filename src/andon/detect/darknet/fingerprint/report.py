"""Findings for people: one per family and span, one per pair of fingerprints on one address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.carry import Families
from andon.detect.darknet.fingerprint.evidence import dotted, evidence
from andon.detect.darknet.fingerprint.judged import (
    GUARD,
    Day,
    Judged,
    chance_sources,
    expressible,
    kind_of,
    needed_bits,
    number,
)
from andon.detect.darknet.fingerprint.overlap import (
    Several,
    Shared,
    Tools,
    by_relation,
    several,
    with_families,
    with_tools,
)
from andon.detect.darknet.fingerprint.sample import Family
from andon.detect.darknet.fingerprint.senders import constants, made_up, networks_24, targets
from andon.detect.darknet.fingerprint.stacks import stack_of
from andon.detect.darknet.fingerprint.statement import calibration, statement, title
from andon.detect.darknet.fingerprint.tables import Coverage, coverage_of, tables
from andon.records.expression.fields import FIELDS
from andon.records.finding import Entity, Finding

__all__ = ["Day", "kind_of", "report"]
_TOP_PORTS = 10
_MOST_DEFAULTS = 10
_MOST_PAIRS = 20


def report(
    day: Day, families: Sequence[Family], carried: Families
) -> tuple[tuple[Finding, ...], dict[str, pa.Table]]:
    """(findings, tables); what was seen is noted in ``carried``."""
    packets, tools = day.packets, Tools.of(day.tools)
    judged = _judge(day, families, carried, tools)
    fingerprints = [j for j in judged if j.kind == "scanner-fingerprint"]
    pairs = (
        []
        if day.again
        else several(
            [j.measured for j in fingerprints if not j.spoofed],
            [j.known_as for j in fingerprints if j.known_as],
            packets,
            tools,
        )
    )
    more = np.unique(np.concatenate([p.addresses for p in pairs] or [np.empty(0, np.uint32)]))
    cover = coverage_of(day, judged, tools)
    marked = [j for j in judged if j.kind != "stack-default"]
    shown = [j for j in marked if j.news or not day.again]
    defaults = [j for j in judged if j.kind == "stack-default"]
    shown += defaults[:_MOST_DEFAULTS]
    if day.again:
        told = len(marked) - len(shown)
        untold = [f"no finding on {number(told, 'family', 'families')} told of before (table families)"]
        day = replace(day, untold=untold if told else [])
    else:
        day = replace(day, untold=_untold(len(defaults) - _MOST_DEFAULTS, len(pairs) - _MOST_PAIRS))
    findings = [_family_finding(day, j, more, cover) for j in shown]
    findings += [_several_finding(day, pair) for pair in pairs[:_MOST_PAIRS]]
    return tuple(findings), tables(day, judged, cover)


def _untold(defaults: int, pairs: int) -> list[str]:
    """What is in the tables alone."""
    texts = []
    if defaults > 0:
        texts.append(f"no finding on {defaults:,} more constants of systems (table families)")
    if pairs > 0:
        texts.append(
            f"no finding on {pairs:,} more pairs of fingerprints that share addresses (table sources)"
        )
    return texts


def _judge(day: Day, families: Sequence[Family], carried: Families, tools: Tools) -> list[Judged]:
    packets = day.packets
    measured = [packets.measure(family) for family in families]
    ranked = sorted(
        (m for m in measured if len(m.rows)), key=lambda m: (-len(m.family.sources), m.family.relation)
    )
    kinds = [kind_of(m.family) for m in ranked]
    marked = [m for m, kind in zip(ranked, kinds, strict=True) if kind != "stack-default"]
    shared = {m.family.relation: s for m, s in zip(marked, with_families(marked), strict=True)}
    judged = []
    for m, kind in zip(ranked, kinds, strict=True):
        family = m.family
        news = carried.is_news(family.relation, day.window[0])
        known = carried.see(family.relation, family.scope, kind, day.window[0], len(family.sources), m.total)
        spoofed = made_up(packets, m, kind)
        judged.append(
            Judged(
                measured=m,
                kind=kind,
                known=known,
                news=news,
                tools=with_tools(m, packets, tools) or by_relation(m, day.relations),
                families=shared.get(family.relation, []),
                spoofed=spoofed,
                targets=targets(packets, m) if spoofed else [],
                constants=constants(packets, m) if kind == "scanner-fingerprint" else [],
            )
        )
    return judged


def _family_finding(day: Day, judged: Judged, carrying_more: np.ndarray, cover: Coverage) -> Finding:
    m = judged.measured
    addresses = day.packets.sample.src[m.family.sources]
    order = np.lexsort((addresses, -m.packets))
    expected = chance_sources(day, m)
    more = int(np.isin(addresses, carrying_more).sum())
    return Finding(
        engine=day.engine[0],
        engine_version=day.engine[1],
        kind=judged.kind,
        title=title(judged),
        statement=statement(day, judged, more),
        confidence=0.99 * max(0.0, 1.0 - expected / max(1, len(addresses))),
        calibration=calibration(day, judged, needed_bits(m.family)),
        window=day.window,
        subject=("fingerprint", judged.relation),
        first_seen=m.first,
        last_seen=m.last,
        count=max(m.total, len(m.rows)),
        entities=_entities(judged, addresses, order),
        evidence=tuple(evidence(day, judged, order)),
        attack=_technique(judged),
        severity="informational" if judged.spoofed else "low" if judged.known_as else "",
        attributes=_attributes(day, judged, expected, more, cover),
    )


def _technique(judged: Judged) -> tuple[str, ...]:
    if judged.targets:
        return ("T1498.001",)  # direct network flood
    return () if judged.kind == "stack-default" else ("T1595.001",)


def _entities(judged: Judged, addresses: np.ndarray, order: np.ndarray) -> tuple[Entity, ...]:
    """The sources; of a flood with made-up senders what it is aimed at, since the senders are nobody."""
    if judged.targets:
        return tuple(Entity("ipv4-addr", dotted(address), packets) for address, packets in judged.targets)
    packets = judged.measured.packets
    return tuple(Entity("ipv4-addr", dotted(addresses[at]), max(1, int(packets[at]))) for at in order)


def _attributes(day: Day, judged: Judged, expected: float, more: int, cover: Coverage) -> dict[str, Any]:
    m, family = judged.measured, judged.measured.family
    others = max(0, day.syn - m.total)
    exact = family.scope == "global" and expressible(family.relation)
    addresses = day.packets.sample.src[family.sources]
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
        "constants": [
            {"field": name, "value": value, "share": share} for name, value, share in judged.constants
        ],
        "sources": len(family.sources),
        "sources_by_number": len(m.slow),
        "sources_unproven": len(m.unproven),
        "sources_with_one_packet": int((m.sent == 1).sum()),
        "networks_24": networks_24(addresses),
        "packets": m.total,
        "packets_from": "scaled up from each source's sample",
        "expected_chance_packets": float(f"{m.chance(others):.3g}"),
        "expected_chance_sources": float(f"{expected:.3g}"),
        "ports": _ports(judged),
        "known_as": judged.known_as,
        "overlap_tools": [_shared(s, "tool") for s in judged.tools[:10]],
        "overlap_families": [_shared(s, "relation") for s in judged.families[:10]],
        "sources_with_another_fingerprint": more,
        "spoofed": judged.spoofed,
        "entities_are": "targets" if judged.targets else "sources",
        "born": judged.known.born,
        "spans_seen": judged.known.spans,
        "one_source_in": day.one_source_in,
        "span": {
            "sources": sum(cover.sources),
            "made_up_sources": cover.made_up,
            "without_fingerprint_sources_share": round(cover.without_sources, 4),
            "without_fingerprint_packets_share": round(cover.without_packets, 4),
            "left_out": day.span_left_out,
        },
    }
    if expressible(family.relation):
        share, low, high = m.precision()
        made["precision"] = {"estimate": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
        made["precision_of"] = (
            "packets that satisfy the relation which come from these sources (95 % Wilson interval)"
            if family.scope == "global"
            else "packets of these sources that fit their key (95 % Wilson interval)"
        )
    if day.chance_families is not None and judged.kind == "scanner-fingerprint":
        made["expected_chance_families"] = float(f"{day.chance_families:.3g}")
    if judged.kind == "stack-default":
        made["stack"] = stack_of(family.relation)
    if exact:
        made["exact"] = {"relation": f"{GUARD} and ({family.relation})"}
    return made


def _shared(shared: Shared, word: str) -> dict[str, Any]:
    return {word: shared.name, "sources": shared.sources, "share": round(shared.share, 4)}


def _ports(judged: Judged) -> list[dict[str, Any]]:
    m = judged.measured
    total = max(1.0, float(m.total))
    top = list(m.ports.items())[:_TOP_PORTS]
    return [{"port": port, "share": round(min(1.0, count / total), 4)} for port, count in top]


def _several_finding(day: Day, pair: Several) -> Finding:
    count = len(pair.addresses)
    order = np.lexsort((pair.addresses, -pair.packets))
    return Finding(
        engine=day.engine[0],
        engine_version=day.engine[1],
        kind="multiple-infection",
        title=f"{number(count, 'source')} carry two fingerprints: {pair.names[0]} and {pair.names[1]}",
        statement=f"{number(count, 'source')} sent packets with {pair.names[0]} and other packets with "
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
            Entity("ipv4-addr", dotted(pair.addresses[at]), int(pair.packets[at])) for at in order
        ),
        attack=("T1595.001",),
        attributes={"fingerprints": list(pair.names), "sources": count},
    )
