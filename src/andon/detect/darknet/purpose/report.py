"""Purposes in words: the table of sources and one finding for each class."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.purpose.evidence import (
    ATTACK,
    PURPOSES,
    SURVEY,
    THRESHOLD,
    UNDECIDED,
    Judged,
    Known,
)
from andon.detect.darknet.purpose.profile import Sources
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding

_TIME = pa.timestamp("ns", tz="UTC")
_FIELDS: list[pa.Field[Any]] = [
    pa.field("src", pa.uint32(), nullable=False),
    pa.field("purpose", pa.string(), nullable=False),  # survey, attack, undecided
    pa.field("score", pa.float64(), nullable=False),  # log-odds, positive for a survey
    pa.field("packets", pa.int64(), nullable=False),  # scan packets
    pa.field("reasons", pa.string(), nullable=False),
    pa.field("main_reason", pa.string(), nullable=False),
    pa.field("organisation", pa.string(), nullable=False),  # "" if no list names it
    pa.field("tool", pa.string(), nullable=False),
    pa.field("ports", pa.int64(), nullable=False),  # estimates, see profile.Sources
    pa.field("destinations", pa.int64(), nullable=False),
    pa.field("days", pa.int64(), nullable=False),  # of the last 30, today included
    pa.field("first", _TIME, nullable=False),
    pa.field("last", _TIME, nullable=False),
]
SOURCES = pa.schema(_FIELDS)
_MOST_ROWS = 100_000
_MOST_UNDECIDED = 1_000  # entities of the finding on undecided sources
_CHECKED = 3
_CALIBRATION = (
    "nine to one or better by added log-odds of the reasons; weights compared with a simulated Internet and with "
    "public scanner labels (benchmarks/purpose)"
)
_SECOND = 1_000_000_000


def table(sources: Sources, known: Known, judged: Judged, day: int) -> pa.Table:
    """The sources judged, most packets first; the decided ones come before the undecided ones if there are more
    than 100,000. ``day`` is the start of the day in ns."""
    order = np.lexsort((sources.address, -sources.packets, judged.purpose == UNDECIDED))[:_MOST_ROWS]
    order = order[np.lexsort((sources.address[order], -sources.packets[order]))]
    main = judged.main_reason()
    organisations, tools = known.listed.organisations, known.tools
    rows = order.tolist()
    return pa.table(
        {
            "src": sources.address[order],
            "purpose": [PURPOSES[judged.purpose[i]] for i in rows],
            "score": judged.score[order],
            "packets": sources.packets[order],
            "reasons": [judged.words(i) for i in rows],
            "main_reason": [main[i] for i in rows],
            "organisation": [
                organisations[known.listed.organisation[i]] if known.listed.organisation[i] >= 0 else ""
                for i in rows
            ],
            "tool": [tools[known.tool[i]] if known.tool[i] >= 0 else "" for i in rows],
            "ports": np.round(sources.ports[order]).astype(np.int64),
            "destinations": np.round(sources.targets[order]).astype(np.int64),
            "days": np.maximum(known.past.came[order], 1),
            "first": pa.array(day + sources.first[order] * _SECOND).cast(_TIME),
            "last": pa.array(day + sources.last[order] * _SECOND).cast(_TIME),
        },
        schema=SOURCES,
    )


def findings(
    engine: tuple[str, int],
    sources: Sources,
    known: Known,
    judged: Judged,
    left_out: str,
    forged: str,
    ctx: Context[Any],
) -> tuple[Finding, ...]:
    """One finding for each class that has sources.

    ``left_out`` says what a cap left out and ``forged`` which sources took part in floods, or they are empty. The
    finding on undecided sources names those with most packets; all that were judged are in the table."""
    total = int(sources.packets.sum())
    made = []
    main = judged.main_reason()
    for purpose in (SURVEY, ATTACK, UNDECIDED):
        rows = np.flatnonzero(judged.purpose == purpose)
        if not len(rows):
            continue
        rows = rows[np.lexsort((sources.address[rows], -sources.packets[rows]))]
        packets = int(sources.packets[rows].sum())
        counts = Counter(main[i] for i in rows.tolist())
        organisations = Counter(
            known.listed.organisations[number]
            for number in known.listed.organisation[rows].tolist()
            if number >= 0
        )
        named = rows if purpose != UNDECIDED else rows[:_MOST_UNDECIDED]
        who = _classes(purpose, len(rows), packets, total, counts)
        made.append(
            Finding(
                engine=engine[0],
                engine_version=engine[1],
                kind="scanner-purpose",
                title=_title(purpose, len(rows), packets, total),
                statement=" ".join(
                    filter(
                        None, (who, _named(organisations), left_out, forged if purpose == UNDECIDED else "")
                    )
                ),
                confidence=0.9 if purpose != UNDECIDED else 1.0,
                calibration=_CALIBRATION
                if purpose != UNDECIDED
                else "says only that the evidence does not suffice",
                window=(ctx.start, ctx.end),
                subject=("purpose", PURPOSES[purpose]),
                first_seen=ctx.start + int(sources.first[rows].min()) * _SECOND,
                last_seen=ctx.start + int(sources.last[rows].max()) * _SECOND,
                count=packets,
                entities=tuple(
                    Entity("ipv4-addr", str(IPv4Address(int(sources.address[i]))), int(sources.packets[i]))
                    for i in named.tolist()
                ),
                evidence=tuple(_evidence(sources, judged, i) for i in rows[:_CHECKED].tolist()),
                attack=("T1595",) if purpose == ATTACK else (),
                severity={SURVEY: "low", ATTACK: "medium", UNDECIDED: "informational"}[purpose],
                attributes={
                    "sources": len(rows),
                    "packets": packets,
                    "main_reasons": dict(counts.most_common()),
                    "organisations": dict(organisations.most_common(50)),
                },
            )
        )
    return tuple(made)


def _title(purpose: int, sources: int, packets: int, total: int) -> str:
    noun = {SURVEY: "survey", ATTACK: "attacking", UNDECIDED: "undecided"}[purpose]
    plural = "source" if sources == 1 else "sources"
    return f"{sources:,} {noun} {plural}, {100 * packets / max(total, 1):.1f} % of scan packets"


def _classes(purpose: int, sources: int, packets: int, total: int, counts: Counter[str]) -> str:
    noun = "source scans" if sources == 1 else "sources scan"
    claim = {
        SURVEY: f"{sources:,} {noun} to survey the Internet",
        ATTACK: f"{sources:,} {noun} to attack",
        UNDECIDED: f"For {sources:,} source{'s' * (sources != 1)} the evidence does not reach nine to one either way",
    }[purpose]
    reasons = ", ".join(f"{name} ({number:,})" for name, number in counts.most_common(6))
    return (
        f"{claim}: {packets:,} of {total:,} scan packets. Weightiest reason by number of sources: {reasons}. "
        f"A source is called survey from {THRESHOLD:+g} on, attack from {-THRESHOLD:+g}, in added log-odds."
    )


def _named(organisations: Counter[str]) -> str:
    if not organisations:
        return ""
    named = ", ".join(f"{name} ({number:,})" for name, number in organisations.most_common(8))
    return f"Organisations by the lists given: {named}."


def _evidence(sources: Sources, judged: Judged, i: int) -> Evidence:
    address = int(sources.address[i])
    text = (
        f"{IPv4Address(address)}: {int(sources.packets[i]):,} scan packets, score {judged.score[i]:+.1f}: "
        f"{judged.words(i) or 'no reason either way'}"
    )
    # Of a TCP scanner the SYNs can be counted by themselves; else all its packets.
    syn = " and tcp.flags & 0x3f == 2" if sources.protocols[i] == 1 else ""
    text += "" if syn else ". The check counts all its packets"
    return Evidence(text, Check(f"ip.src == {address:#x}{syn}", 0.0))
