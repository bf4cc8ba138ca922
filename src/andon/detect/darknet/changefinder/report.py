"""Changes in words: the table of alerts and a finding for each change that begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.darknet.changefinder.carry import TOTAL
from andon.detect.darknet.changefinder.kernel import UDP_BIT
from andon.detect.darknet.changefinder.options import NAME, Options
from andon.records.contract import Context
from andon.records.coordination import ALERTS, START, STOP
from andon.records.finding import Check, Evidence, Finding, series_of
from andon.records.packet import PROTO_TCP, PROTO_UDP

VERSION: Final = 1
ROW_FLOOR: Final = 0.5  # of the threshold: scores from here on have a row
_TIME = pa.timestamp("ns", tz="UTC")
_WHAT: Final = ("packets", "sources")
_CALIBRATION: Final = (
    "not a probability: the threshold is the published one; benchmarks/glasso counts its false alerts on simulated "
    "traffic"
)


@dataclass(frozen=True)
class Change:
    """One series in one span. ``now`` and ``expected`` are (packets, sources); ``score`` that of the higher of the
    two and ``which`` says which; ``begins`` in ns; ``new``: above the threshold, and not so in the span before."""

    code: int
    score: float
    which: int
    now: tuple[int, int]
    expected: tuple[float, float]
    begins: int
    rising: bool
    new: bool

    @property
    def port(self) -> int:
        return self.code & 0xFFFF if self.code >= 0 else 0

    @property
    def protocol(self) -> int:
        return 0 if self.code < 0 else PROTO_UDP if self.code & UDP_BIT else PROTO_TCP

    @property
    def subject(self) -> tuple[str, str]:
        if self.code == TOTAL:
            return "telescope", "total"
        return "port", f"{self.port}/{'tcp' if self.protocol == PROTO_TCP else 'udp'}"


def alerts_table(changes: list[Change], reported: list[Change], ctx: Context[Any]) -> pa.Table:
    """A row for each change: port 0 and protocol 0 stand for the whole telescope."""
    told = {change.code for change in reported}
    rows = len(changes)
    return pa.table(
        {
            "start": pa.array([ctx.start] * rows, pa.int64()).cast(_TIME),
            "end": pa.array([ctx.end] * rows, pa.int64()).cast(_TIME),
            "begins": pa.array([change.begins for change in changes], pa.int64()).cast(_TIME),
            "direction": [START if change.rising else STOP for change in changes],
            "port": [change.port for change in changes],
            "protocol": [change.protocol for change in changes],
            "sources": [change.now[1] for change in changes],
            "blocks": [0] * rows,  # not known to this engine
            "score": [change.score for change in changes],
            "alerted": [change.code in told for change in changes],
            "series": [series_of(NAME, *change.subject) if change.code in told else "" for change in changes],
        },
        schema=ALERTS,
    )


def findings(
    reported: list[Change],
    more: int,
    dropped: int,
    sampled: int,
    packets: np.ndarray,
    times: tuple[int, int],
    options: Options,
    ctx: Context[Any],
) -> tuple[Finding, ...]:
    """A finding for each change. ``more`` changes of the span are not reported, ``dropped`` ports were not
    followed any longer for want of room, only one source in ``sampled`` was counted; ``packets`` by code;
    ``times`` of the first and last packet (ns)."""
    text = ""
    if more:
        text += f" {more:,} other changes of this span are in the table alerts alone."
    if dropped:
        text += f" {dropped:,} ports were not followed for want of room (raise {NAME}.ports)."
    if sampled > 1:
        text += f" Numbers of sources are estimates from one source in {sampled} (raise {NAME}.pairs)."
    return tuple(_finding(change, text, packets, times, options, ctx) for change in reported)


def _finding(
    change: Change,
    left_out: str,
    packets: np.ndarray,
    times: tuple[int, int],
    options: Options,
    ctx: Context[Any],
) -> Finding:
    kind, name = change.subject
    where = name if kind == "port" else "the whole telescope"
    what = _WHAT[change.which]
    statement = (
        f"The course of {what} on {where} changed: {change.now[0]:,} packets of {change.now[1]:,} sources in "
        f"{options.span}, where the means before were {change.expected[0]:,.1f} and {change.expected[1]:,.1f}. Change "
        f"score {change.score:.1f}, threshold {options.threshold:g}; the largest step lies in the span that began "
        f"{(ctx.start - change.begins) // (ctx.end - ctx.start)} spans ago (0: this one). A change of numbers is no "
        f"proof that sources act together: one loud source is enough for packets.{left_out}"
    )
    if kind == "port":
        port, chance = change.code, round(change.expected[0], 1)
        evidence = "All packets of the kind that is counted here in the span; by chance: the mean before."
    else:
        port, chance = int(np.argmax(packets)), 0.0
        evidence = "The port with most packets in the span."
    return Finding(
        engine=NAME,
        engine_version=VERSION,
        kind="coordinated-activity",
        title=f"{where}: {what} {'rise' if change.rising else 'fall'}, {change.now[change.which]:,} "
        f"against {change.expected[change.which]:,.1f}",
        statement=statement,
        confidence=0.5,
        calibration=_CALIBRATION,
        window=(ctx.start, ctx.end),
        subject=change.subject,
        first_seen=max(times[0], ctx.start),
        last_seen=min(times[1], ctx.end - 1),
        count=change.now[0],
        evidence=(Evidence(evidence, Check(_relation(port, options), chance)),),
        severity="" if change.rising else "low",
        attributes={
            "score": round(change.score, 6),
            "series": what,
            "direction": START if change.rising else STOP,
            "expected_packets": round(change.expected[0], 3),
            "expected_sources": round(change.expected[1], 3),
        },
    )


def _relation(code: int, options: Options) -> str:
    if code & UDP_BIT:
        return f"udp.dstport == {code & 0xFFFF}"
    asking = " and tcp.flags & 0x14 == 0" if options.packets == "scan" else ""
    return f"tcp.dstport == {code & 0xFFFF}{asking}"
