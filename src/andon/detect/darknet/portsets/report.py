"""Families, births and coverage in words, with checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

import numpy as np

from andon.detect.darknet.portsets import names
from andon.detect.darknet.portsets.births import Birth
from andon.detect.darknet.portsets.carry import Family
from andon.detect.darknet.portsets.coverage import (
    MARKED,
    MIXED,
    NEW_PORT,
    ONE_PORT,
    OTHER,
    SET,
    SEVERAL,
    SURVEY,
    SWEEPER,
    Coverage,
)
from andon.detect.darknet.portsets.scanners import Scanners
from andon.detect.darknet.portsets.shown import Shown, when
from andon.records.contract import Locator
from andon.records.finding import Check, Entity, Evidence, Finding, timestamp

_FIRST = 5  # sources named in a birth
_SYSTEMS = 5
_HOUR = 3_600_000_000_000


@dataclass(frozen=True)
class Reporter:
    """``engine`` is (name, version); ``scanners`` are all sources that were looked at, ``here`` those of the span;
    ``one_in``: how many sources one of them stands for; ``left_out`` says what a cap left out, or is empty; ``record``:
    how long the record is, and what was looked at."""

    engine: tuple[str, int]
    window: tuple[int, int]
    scanners: Scanners
    here: Scanners
    one_in: int
    left_out: str
    record: str
    locator: Locator | None

    def family(self, f: Family, s: Shown, line: Sequence[Family], sibling: bool) -> Finding:
        """A family of a day; ``sibling``: an older one has the same set."""
        text = names.text(f.codes)
        return self._finding(
            kind="port-set",
            title=f"{len(s.rows):,} sources scan ports {text}",
            statement=self._story(f, s, line),
            subject=("port-set", text),
            aspect=str(f.number) if sibling else "",
            span=(s.first, s.last),
            sources=(s.address, s.sent),
            confidence=0.95,
            calibration="every source at 0.95 or more by a mixture with a background of independent scanners",
            evidence=(self._check(s), *self._weights(s)),
            attributes={
                "family": f.number,
                "ports": text,
                "weights": [round(w, 4) for w in s.weights],
                "networks_24": s.networks,
                "sure_sources": s.sure,
                "estimated_sources": round(s.estimated, 1),
                "born": timestamp(f.born),
                "since_start": f.since_start,
                "parent": f.parent,
                "line": [{"ports": names.text(one.codes), "born": timestamp(one.born)} for one in line],
                "fingerprint": s.mark,
                "fingerprint_share": round(s.mark_share, 4),
            },
        )

    def birth(self, b: Birth, s: Shown, tests: float, level: float, confirms: bool, more: int = 0) -> Finding:
        """A set that was not there before; ``confirms``: of a day, when an hour may have told of it already; ``more``:
        births of the span that are not told."""
        text = names.text(b.codes)
        old = (
            f" It resembles {names.text(b.relative)}, known before; new is {names.text(b.new)}."
            if b.relative
            else ""
        )
        p = b.log_p / np.log(10)
        return self._finding(
            kind="port-set-birth",
            title=f"New port set {text}: {len(s.rows):,} sources",
            statement=" ".join(
                filter(
                    None,
                    (
                        f"Ports {text} are scanned by {len(s.rows):,} sources of {s.networks:,} networks (/24); "
                        f"{_past(b)}.{old} {self.record}",
                        f"{self._shares(s)}." if len(s.codes) > 1 else "",
                        f"First: {self._first(s)}.",
                        self._systems(s),
                        self._mark(s),
                        "An alarm of an hour, if there was one, has the same series." if confirms else "",
                        f"{more:,} more births of this window are in the table births." if more else "",
                        self.left_out,
                    ),
                )
            ),
            subject=("port-set", text),
            aspect="birth",
            span=(s.first, s.last),
            sources=(s.address, s.sent),
            confidence=1 - level,
            calibration=f"false discovery rate {level:.2g} over {tests:,.0f} sets (Benjamini and Hochberg)",
            evidence=(
                Evidence(
                    f"{b.networks:,} networks (/24) have {names.text(b.evidence)}; independent scanners and the "
                    f"past would give {b.expected:.3g}, and so many with a probability of 10^{p:.0f}."
                ),
                self._check(s),
                *self._weights(s),
            ),
            attributes={
                "ports": text,
                "new_ports": names.text(b.new),
                "known_relative": names.text(b.relative),
                "evidence": names.text(b.evidence),
                "networks_24": b.networks,
                "expected": round(b.expected, 4),
                "log10_p": round(float(p), 2),
                "weights": [round(w, 4) for w in s.weights],
                "fingerprint": s.mark,
                "fingerprint_share": round(s.mark_share, 4),
            },
        )

    def coverage(
        self, c: Coverage, told: int, untold: int, small: int, learning: str, others: str
    ) -> Finding:
        """One finding a day: what explains the scanners. ``others``: which engines' answers were missing."""
        n, total = c.sources, max(1, c.total)
        left = int(c.packets[ONE_PORT] + c.packets[OTHER])

        def share(value: int) -> str:
            return f"{value:,} ({100 * value / total:.1f} %)"

        parts = [
            f"Of {c.total:,} sources {share(int(n[MARKED]))} have a fingerprint or a known tool, "
            f"{share(int(n[SURVEY] + n[SWEEPER]))} are surveys or sweep more than 16 ports.",
            f"A port set alone explains {share(c.by_port_set)}: {int(n[SET]):,} by one family without a foreign "
            f"packet, {int(n[MIXED]):,} with some, {int(n[SEVERAL]):,} by one of several families.",
            f"{int(n[NEW_PORT]):,} scan a single port that is new." if n[NEW_PORT] else "",
            f"Neither explains {share(c.neither)}, {100 * left / max(1, c.all_packets):.1f} % of the packets: "
            f"{int(n[ONE_PORT]):,} scan one port, which by itself explains nothing, {int(n[OTHER]):,} scan several. "
            f"{c.one_target:,} of them sent to one dark address only.",
            f"{told:,} families are told, {untold:,} more are in the table families." if untold else "",
            f"{small:,} sets of fewer than 20 networks (/24) are not told." if small else "",
            learning,
            others,
            self.left_out,
        ]
        return self._finding(
            kind="port-set",
            title=f"{100 * c.neither / total:.1f} % of the scanners have neither fingerprint nor port set",
            statement=" ".join(filter(None, parts)),
            subject=("coverage", "portset"),
            aspect="",
            span=(int(self.scanners.first.min()), int(self.scanners.last.max())),
            sources=(np.zeros(0, np.uint32), np.zeros(0, np.int64)),
            confidence=1.0,
            calibration="counted",
            evidence=(),
            attributes={
                "sources": c.total,
                "packets": c.all_packets,
                "by_port_set": c.by_port_set,
                "neither": c.neither,
            },
            count=c.all_packets,
        )

    def _finding(
        self,
        *,
        kind: str,
        title: str,
        statement: str,
        subject: tuple[str, str],
        aspect: str,
        span: tuple[int, int],
        sources: tuple[np.ndarray, np.ndarray],
        confidence: float,
        calibration: str,
        evidence: tuple[Evidence, ...],
        attributes: dict[str, object],
        count: int = -1,
    ) -> Finding:
        address, sent = sources
        order = np.lexsort((address, -sent))
        return Finding(
            engine=self.engine[0],
            engine_version=self.engine[1],
            kind=kind,
            title=title,
            statement=statement,
            confidence=confidence,
            calibration=calibration,
            window=self.window,
            subject=subject,
            first_seen=span[0],
            last_seen=span[1],
            count=int(sent.sum()) if count < 0 else count,
            entities=tuple(
                Entity("ipv4-addr", str(IPv4Address(int(address[i]))), int(sent[i])) for i in order.tolist()
            ),
            evidence=evidence,
            attack=("T1595",) if len(address) else (),
            attributes=attributes,
            aspect=aspect,
        )

    def _story(self, f: Family, s: Shown, line: Sequence[Family]) -> str:
        stages = [f"{names.text(one.codes)} ({when(one)})" for one in line]
        told = f"The line: {' -> '.join(stages)}." if len(stages) > 1 else f"Known {when(f)}."
        unsure = len(s.rows) - s.sure
        return " ".join(
            filter(
                None,
                (
                    f"{len(s.rows):,} sources of {s.networks:,} networks (/24) scan ports {names.text(f.codes)} "
                    f"and no others to speak of, {s.packets:,} packets. {self._shares(s)}.",
                    told,
                    f"{unsure:,} of them could belong to another family with these ports." if unsure else "",
                    f"About {s.estimated:,.0f} sources are expected with those that showed too little."
                    if s.estimated > 1.1 * len(s.rows)
                    else "",
                    self._mark(s),
                    self.left_out,
                ),
            )
        )

    def _shares(self, s: Shown) -> str:
        parts = [
            f"{names.text((code,))}: {100 * w:.0f} %" for code, w in zip(s.codes, s.weights, strict=True)
        ]
        return f"Shares of the packets: {', '.join(parts)}"

    def _weights(self, s: Shown) -> tuple[Evidence, ...]:
        if len(s.codes) < 2:
            return ()
        parts = [
            f"{names.text((code,))} {w:.3f} ({low:.3f} to {high:.3f})"
            for code, w, low, high in zip(s.codes, s.weights, s.low, s.high, strict=True)
        ]
        return (Evidence(f"Weights with 95 % intervals over sources: {', '.join(parts)}."),)

    def _check(self, s: Shown) -> Evidence:
        here = self.here
        to_ports = np.where(np.isin(here.codes, s.codes), here.counts, 0)
        named = np.isin(here.address, s.address)[here.owner]
        mine, others = int(to_ports[named].sum()), int(to_ports[~named].sum()) * self.one_in
        text = (
            f"Scan packets to these ports in this window: {mine:,} are from the sources named here, "
            f"{others:,} from others. The check counts both"
        )
        return Evidence(text, Check(names.relation(s.codes), float(others)))

    def _first(self, s: Shown) -> str:
        first = self.scanners.first[s.rows]
        order = np.lexsort((s.address, first))[:_FIRST]
        return ", ".join(
            f"{IPv4Address(int(s.address[i]))} at {timestamp(int(first[i]))}" for i in order.tolist()
        )

    def _systems(self, s: Shown) -> str:
        if self.locator is None:
            return ""
        _, systems = self.locator.locate(s.address)
        top = Counter(name or "unknown" for name in systems).most_common(_SYSTEMS)
        return f"Autonomous systems: {', '.join(f'{name} ({n:,})' for name, n in top)}."

    def _mark(self, s: Shown) -> str:
        if not s.mark:
            return ""
        return f"{100 * s.mark_share:.0f} % of the sources show {s.mark}."


def _past(b: Birth) -> str:
    if not b.most:
        return f"{names.text(b.evidence)} was not met before, in the record or within 60 days"
    return f"no earlier window within 60 days had more than {b.most:,} networks with {names.text(b.evidence)}"
