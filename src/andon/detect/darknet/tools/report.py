"""Words and tables for people: one finding per tool and span, and the table of sources."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.tools.catalogue import Catalogue, Tool
from andon.detect.darknet.tools.judge import Judged
from andon.detect.darknet.tools.sessions import EVIDENCE_BITS
from andon.detect.darknet.tools.summary import ToolsSummary
from andon.records.finding import Check, Entity, Evidence, Finding

SOURCES = pa.schema(
    [
        pa.field("src", pa.uint32(), nullable=False),
        pa.field("tool", pa.string(), nullable=False),
        pa.field("packets", pa.int64(), nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
    ]
)
_TOP_PORTS = 10
_CONCRETE_SESSIONS = 5
_LANE_WORDS = ("TCP SYN", "UDP")


@dataclass(frozen=True)
class ToolSources:
    """The sources of one tool over all its signatures; parallel arrays, most packets first."""

    tool: Tool
    judged: tuple[Judged, ...]  # those that name a source
    sources: np.ndarray
    packets: np.ndarray
    confidence: np.ndarray
    first: int
    last: int


def by_tool(catalogue: Catalogue, judged: Sequence[Judged]) -> list[ToolSources]:
    """Signatures put together by tool; only tools with a source, in the order of the catalogue."""
    found = []
    for tool in catalogue.tools:
        mine = _without_repeats([j for j in judged if j.signature.tool == tool.name])
        if not mine:
            continue
        every = np.concatenate([j.sources for j in mine])
        sources, back = np.unique(every, return_inverse=True)
        packets = np.zeros(len(sources), np.int64)
        confidence = np.zeros(len(sources))
        at = 0
        for j in mine:
            where = back[at : at + len(j.sources)]
            at += len(j.sources)
            packets[where] += j.packets
            confidence[where] = np.maximum(confidence[where], j.confidence)
        order = np.lexsort((sources, -packets))
        found.append(
            ToolSources(
                tool=tool,
                judged=mine,
                sources=sources[order],
                packets=packets[order],
                confidence=confidence[order],
                first=min(int(j.first.min()) for j in mine),
                last=max(int(j.last.max()) for j in mine),
            )
        )
    return found


def _without_repeats(judged: Sequence[Judged]) -> tuple[Judged, ...]:
    """Without empty ones, and each session source under the first signature only that names it: later ones
    describe the same packets again, while global signatures of other lanes add packets of their own."""
    kept = []
    seen = np.empty(0, np.uint32)
    for j in judged:
        if j.signature.scope == "session":
            new = ~np.isin(j.sources, seen)
            seen = np.concatenate([seen, j.sources])
            j = replace(
                j,
                sources=j.sources[new],
                packets=j.packets[new],
                confidence=j.confidence[new],
                first=j.first[new],
                last=j.last[new],
                keys=j.keys[new],
            )
        if len(j.sources):
            kept.append(j)
    return tuple(kept)


def sources_table(catalogue: Catalogue, judged: Sequence[Judged]) -> pa.Table:
    """The published table ``sources``: a row for each source and tool, ordered by tool, then packets."""
    found = by_tool(catalogue, judged)
    return pa.table(
        {
            "src": np.concatenate([t.sources for t in found] or [np.empty(0, np.uint32)]).astype(np.uint32),
            "tool": [t.tool.name for t in found for _ in range(len(t.sources))],
            "packets": np.concatenate([t.packets for t in found] or [np.empty(0, np.int64)]),
            "confidence": np.concatenate([t.confidence for t in found] or [np.empty(0)]),
        },
        schema=SOURCES,
    )


def findings(
    name: str,
    version: int,
    catalogue: Catalogue,
    summary: ToolsSummary,
    judged: Sequence[Judged],
    budget: float,
    window: tuple[int, int],
) -> tuple[Finding, ...]:
    """One finding for each tool that has a source."""
    made = []
    for group in by_tool(catalogue, judged):
        tool, count = group.tool, len(group.sources)
        expected = sum(j.expected for j in group.judged)
        best = float(group.confidence.max())
        confidence = best * (1.0 - min(1.0, float(expected) / count))
        packets = int(group.packets.sum())
        entities = tuple(
            Entity("ipv4-addr", _dotted(source), int(number))
            for source, number in zip(group.sources, group.packets, strict=True)
        )
        made.append(
            Finding(
                engine=name,
                engine_version=version,
                kind="known-tool",
                title=f"{tool.title}: {_number(count, 'source')}, {_number(packets, 'packet')}",
                statement=_statement(group, packets, budget),
                severity="medium" if tool.purpose == "attack" and best >= 0.9 else "",
                confidence=confidence,
                calibration=_calibration(group, expected),
                window=window,
                subject=("tool", tool.name),
                first_seen=group.first,
                last_seen=group.last,
                count=packets,
                entities=entities,
                evidence=tuple(item for j in group.judged for item in _evidence(j, summary)),
                attack=tool.attack,
                attributes=_attributes(group, summary, catalogue.date, expected),
            )
        )
    return tuple(made)


def _statement(group: ToolSources, packets: int, budget: float) -> str:
    tool, count = group.tool, len(group.sources)
    text = (
        f"{_number(count, 'source')} sent {_number(packets, 'packet')} that show {tool.title}: {tool.sign}. "
        f"Sources are named so that at most {budget:g} a day would be by chance."
    )
    single = sum(j.single for j in group.judged)
    if single:
        text += f" {_number(single, 'source')} sent one such packet only; the relation is rare enough to name them."
    sampled = min(j.sampled for j in group.judged)
    if sampled < 1.0:
        text += f" There were more sources than the tables hold: one source in {round(1 / sampled)} was looked at."
    by_ports = sum(j.by_ports for j in group.judged)
    if by_ports:
        favoured = sorted({port for j in group.judged for port in j.favoured})[:_TOP_PORTS]
        text += f" {_number(by_ports, 'source')} are named by their ports and the guard alone"
        text += f" (favoured: {', '.join(map(str, favoured))})." if favoured else "."
    if min(float(j.signature.trust) for j in group.judged) < 0.9:
        text += f" Not proof of the tool: {tool.collisions}."
    return text


def _calibration(group: ToolSources, expected: float) -> str:
    tested = max(j.tested for j in group.judged)
    return (
        f"binomial tail bound over about {tested:,} tested sources (expected by chance: {expected:.2g}), times the "
        "catalogue's trust in the relation (a judgement about look-alikes, not measured)"
    )


def _evidence(judged: Judged, summary: ToolsSummary) -> list[Evidence]:
    signature = judged.signature
    if signature.scope == "session":
        text = (
            f"{_number(len(judged.sources), 'source')} with one value of {signature.relation.rpartition(' == ')[0]} "
            f"over packets that differ in {', '.join(signature.vary)}: at least {EVIDENCE_BITS:.0f} bits of evidence"
        )
        items = [Evidence(text)]
        for at in np.lexsort((judged.sources, -judged.packets))[:_CONCRETE_SESSIONS]:
            source, key = _dotted(judged.sources[at]), int(judged.keys[at])
            chance = int(judged.packets[at]) * signature.rate
            items.append(
                Evidence(
                    f"{source}: packets with the key {key:#x}",
                    Check(f"ip.src == {source} and {signature.with_key(key)}", by_chance=chance),
                )
            )
        return items
    lane = _LANE_WORDS[signature.lane]
    chance = judged.looked_at * signature.rate
    text = f"{lane} packets with {signature.relation}"
    if signature.trials == "guard":
        text += f", among those with {signature.guard}"
    items = [Evidence(text, Check(signature.check, by_chance=chance))]
    if signature.min_ports and len(judged.sources):
        largest = int(judged.packets.argmax())
        source = _dotted(judged.sources[largest])
        items.append(
            Evidence(
                f"the largest source, {source}: packets that pass the guard (its operating system may do the same)",
                Check(
                    f"ip.src == {source} and {signature.guard}",
                    by_chance=float(judged.packets[largest]) / 65536,
                ),
            )
        )
    return items


def _attributes(group: ToolSources, summary: ToolsSummary, date: str, expected: float) -> dict[str, Any]:
    tool, first = group.tool, group.judged[0].signature
    return {
        "tool": tool.name,
        "purpose": tool.purpose,
        "scope": first.scope,
        "relations": [j.signature.relation for j in group.judged],
        "guards": [j.signature.guard for j in group.judged],
        "chance_rate": max(j.signature.rate for j in group.judged),
        "collisions": tool.collisions,
        "versions": tool.versions,
        "valid_from": tool.valid_from,
        "valid_to": tool.valid_to,
        "source_of_relation": tool.source,
        "catalogue_date": date,
        "sources": len(group.sources),
        "sources_on_one_packet": sum(j.single for j in group.judged),
        "sources_by_ports": sum(j.by_ports for j in group.judged),
        "favoured_ports": sorted({port for j in group.judged for port in j.favoured}),
        "packets": int(group.packets.sum()),
        "tested_sources": max(j.tested for j in group.judged),
        "expected_chance_sources": float(f"{expected:.3g}"),
        "share_of_sources_looked_at": min(j.sampled for j in group.judged),
        "ports": _ports(group, summary),
        "ports_from": "all hits" if first.scope == "global" else "a sample of up to 8 packets a source",
    }


def _ports(group: ToolSources, summary: ToolsSummary) -> list[dict[str, Any]]:
    """The ten most frequent destination ports with their shares of the packets (of the sample, for sessions)."""
    counts: dict[int, int] = {}
    for j in group.judged:
        if j.signature.scope == "session":
            found = dict(j.ports)
        else:
            row = summary.ports[j.signature.number]
            top = np.lexsort((np.arange(len(row)), -row))[: 2 * _TOP_PORTS]
            found = {int(port): int(row[port]) for port in top if row[port]}
        for port, count in found.items():
            counts[port] = counts.get(port, 0) + count
    total = sum(
        int(summary.ports[j.signature.number].sum()) for j in group.judged if j.signature.scope == "global"
    )
    total += sum(sum(j.ports.values()) for j in group.judged if j.signature.scope == "session")
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP_PORTS]
    return [{"port": port, "share": round(count / max(1, total), 4)} for port, count in ranked]


def _dotted(address: int) -> str:
    return str(ipaddress.IPv4Address(int(address)))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
