"""The tables this engine publishes: all victims and targets, and what was set aside and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.backscatter import classes
from andon.detect.darknet.backscatter.episodes import Episodes
from andon.detect.darknet.backscatter.gather import Victim
from andon.detect.darknet.backscatter.summary import Summary
from andon.detect.darknet.backscatter.targets import Flood, Reflection
from andon.detect.darknet.backscatter.victims import Answers
from andon.detect.darknet.backscatter.wording import ports_text

_WITH_PORTS = 100  # targets, largest first, whose reflectors' ports are looked up
_TIME = pa.timestamp("ns", tz="UTC")

VICTIMS = pa.schema(
    [
        ("address", pa.uint32()),
        ("class", pa.string()),
        ("packets", pa.int64()),
        ("first", _TIME),
        ("last", _TIME),
        ("flood", pa.string()),  # "SYN flood", ...
        ("partners", pa.int64()),  # dark addresses hit (at most 200 can be told apart); for targets, sources
        ("busiest_minute", pa.int64()),  # packets; for targets, new sources
        ("attacks", pa.int64()),
        (
            "worldwide_rate",
            pa.float64(),
        ),  # forged packets a second in the heaviest attack; 0 if it cannot be said
        ("ports", pa.string()),
    ]
)
SET_ASIDE = pa.schema([("reason", pa.string()), ("sources", pa.int64()), ("packets", pa.int64())])


def victims_table(
    victims: list[Victim], reflections: list[Reflection], floods: list[Flood], answers: Answers
) -> pa.Table:
    rows: list[tuple[Any, ...]] = []
    for victim in victims:
        rate, udp = victim.peak_rate, victim.nature == "UDP flood"
        rows.append(
            (
                victim.address, "spoofed-dos-victim", victim.packets, int(victim.episodes.first.min()),
                int(victim.episodes.last.max()), victim.nature, victim.addresses,
                int(victim.episodes.window_packets.max()), len(victim.episodes), rate.value if rate else 0.0,
                ports_text(victim.ports, udp),
            )
        )  # fmt: skip
    for place, item in enumerate(reflections):
        few = item.sources if place < _WITH_PORTS else item.sources[:0]
        ports = answers.ports(few, (classes.SYN_ACK, classes.RST, classes.RST_ACK, classes.UDP_ANSWER))
        rows.append(
            (
                item.target, "reflection-target", item.packets * item.scale, item.first, item.last, "reflection",
                len(item.sources) * item.scale, item.burst, 1, 0.0, ports_text(ports, True),
            )
        )  # fmt: skip
    rows += [
            (
                flood.target, "reflection-target" if flood.reflected else "spoofed-flood-target", flood.packets,
                flood.first, flood.last, f"{classes.KINDS[flood.kind]} flood", flood.sources, flood.burst, 1, 0.0,
                str(flood.dst_port[0]),
            )
        for flood in floods
    ]  # fmt: skip
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(VICTIMS)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, VICTIMS, strict=True)], schema=VICTIMS)


def aside_table(episodes: Episodes, reasons: dict[str, np.ndarray], summary: Summary) -> pa.Table:
    rows = [
        (reason, len(np.unique(episodes.source[which])), int(episodes.packets[which].sum()))
        for reason, which in reasons.items()
        if which.any()
    ]
    level = max(summary.bins.level, summary.answers.level)
    if level:
        kept_packets = int(summary.bins.table()[1]["packets"].sum())
        answered = int(summary.totals[1 : classes.TALK].sum())
        rows.append(
            (f"memory limit: answering addresses kept, 1 in {1 << level}", 0, max(answered - kept_packets, 0))
        )
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SET_ASIDE)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SET_ASIDE, strict=True)], schema=SET_ASIDE)
