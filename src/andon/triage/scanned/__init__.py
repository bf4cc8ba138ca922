"""Is a vulnerability of ours being scanned for in our darknet now?

Where the operator gives a list of vulnerabilities (``Site.vulnerabilities``) and one of systems (``Site.assets``),
the ports by which the vulnerable products of our own systems are reached are known
(``triage.vulnerability.ports``). As soon as ``darknet.synchrony`` alerts a surge of scans of one of them, a finding
says which CVEs it may be about, which systems have the product, how many sources take part, since when, and with
which fingerprints.

No finding for ports that everybody scans every day (the web's), for products that are not on the asset list, or for
a port that was told of within a day. A surge at a port is no proof of exploitation of one CVE: the statement says
"may".

Settings ``triage.scanned.*``: ``findings`` (20) a span, ``days`` (7): for how long a surge is remembered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

import pyarrow as pa

from andon.records.columns import table_of
from andon.records.contract import Context, Nothing, OnTables, Outcome, Site, State, Window
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, timestamp
from andon.records.neutral import neutral
from andon.triage.scanned.memory import Surges
from andon.triage.vulnerability.darknet import ALERTS, SIGHTINGS, SLOTS, fingerprints_of, surges_of
from andon.triage.vulnerability.model import KIND, ExploitationModel
from andon.triage.vulnerability.owned import Owned
from andon.triage.vulnerability.ports import Door, Port
from andon.triage.vulnerability.rank import Known, Ranked, product_name, rank

_DAY: Final = 86_400_000_000_000
_TIME: Final = pa.timestamp("ns", tz="UTC")
_PROTOCOLS: Final = {"tcp": 6, "udp": 17}
_CVES: Final = 50  # of one port that are kept
_NAMED: Final = 10  # of them that a finding names
_SYSTEMS: Final = 20
_FIELDS: list[pa.Field[Any]] = [
    pa.field("start", _TIME, nullable=False),  # of the span that the surge was alerted in
    pa.field("port", pa.int32(), nullable=False),
    pa.field("transport", pa.string(), nullable=False),
    pa.field("cve", pa.string(), nullable=False),  # the first in order of those that the port is known for
    pa.field("cves", pa.int64(), nullable=False),
    pa.field("systems", pa.int64(), nullable=False),
    pa.field("first_surge", _TIME, nullable=False),
    pa.field("sources", pa.int64(), nullable=False),
    pa.field("told", pa.bool_(), nullable=False),
]
SCANNED: Final = pa.schema(_FIELDS)


@dataclass(frozen=True)
class Target:
    """A CVE of a product of ours, and the door by which it is reached."""

    one: Ranked
    door: Door


def engine(site: Site) -> ScannedEngine | None:
    """None without a list of vulnerabilities and one of systems: there is nothing to compare with."""
    return None if site.vulnerabilities is None or site.assets is None else ScannedEngine(site)


class ScannedEngine(OnTables):
    """See the module text. Raises ValueError for a setting out of range."""

    name: ClassVar[str] = "triage.scanned"
    version: ClassVar[int] = 1
    window: ClassVar[Window] = Window(tile="10min", spans=("10min",))
    needs: ClassVar[tuple[str, ...]] = (ALERTS, SLOTS, f"{SIGHTINGS}@last")
    uses: ClassVar[tuple[str, ...]] = (
        "vulnerabilities",
        "assets",
        "models",
        "triage.scanned.findings",
        "triage.scanned.days",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"scanned": SCANNED})
    carries: ClassVar[type[State]] = Surges

    def __init__(self, site: Site) -> None:
        self._site = site
        self._most = site.count(self.name, "findings", 20, 1000)
        self._days = site.count(self.name, "days", 7, 90)
        self._targets: dict[Port, list[Target]] | None = None

    def conclude(self, summary: Nothing, carry: Surges | None, ctx: Context[Surges]) -> Outcome[Surges]:
        memory = Surges() if carry is None else carry.copy()
        memory.forget(ctx.start - self._days * _DAY)
        surges = surges_of(ctx.tables.get(ALERTS))
        targets = self._known() if surges else {}
        findings: list[Finding] = []
        rows: list[tuple[Any, ...]] = []
        for port in sorted(surges.keys() & targets.keys(), key=lambda p: (-surges[p][2], p)):
            memory.add(port, *surges[port])
            known = memory.held[port]
            tell = known[3] < 0 or ctx.end - known[3] >= _DAY
            if tell and len(findings) < self._most:
                known[3] = ctx.end
                findings.append(self._finding(port, targets[port], known, surges[port][2], ctx))
            else:
                tell = False
            first = targets[port][0].one
            systems = max(t.one.match.count for t in targets[port] if t.one.match is not None)
            rows.append(
                (ctx.start, *port, first.cve, len(targets[port]), systems, known[0], surges[port][2], tell)
            )
        return Outcome(findings=tuple(findings), tables={"scanned": table_of(rows, SCANNED)}, carry=memory)

    def _known(self) -> dict[Port, list[Target]]:
        """The CVEs of products of ours by specific port, first in order first; made when first needed."""
        if self._targets is None:
            assert self._site.vulnerabilities is not None and self._site.assets is not None
            model = self._site.models.get(KIND)
            known = Known(None if model is None else ExploitationModel(model), owned=Owned(self._site.assets))
            found: dict[Port, list[Target]] = defaultdict(list)
            for one in rank(self._site.vulnerabilities, known)[0]:
                for door in one.doors():
                    if (
                        one.match is not None
                        and door.specific
                        and len(found[door.port, door.transport]) < _CVES
                    ):
                        found[door.port, door.transport].append(Target(one, door))
            self._targets = {port: held for port, held in found.items() if held}
        return self._targets

    def _finding(
        self, port: Port, targets: list[Target], known: list[int], sources: int, ctx: Context[Surges]
    ) -> Finding:
        number, transport = port
        first = targets[0].one
        assert first.match is not None
        names = fingerprints_of(ctx.tables.get(f"{SIGHTINGS}@last")).get(port, ())
        cves = [target.one.cve for target in targets]
        product = neutral(product_name(first.row) or "the product")
        more = f" and {len(cves) - 1} more" if len(cves) > 1 else ""
        service = f" ({targets[0].door.service})" if targets[0].door.service else ""
        statement = (
            f"Since {timestamp(known[0] // 10**9 * 10**9)} {sources:,} sources have begun to scan {number}/{transport}"
            f"{service} in our darknet at the same time. It is the port of {product}, which {first.match.count:,} of "
            f"our systems {'runs' if first.match.count == 1 else 'run'} "
            f"({'by CPE name' if first.match.by == 'cpe' else 'by name'}; versions were not compared), "
            f"and of {first.cve}{more}: they may be looking for it. SSVC says {first.decision}."
            + (
                f" Fingerprints at this port the day before: {neutral(', '.join(n for n, _ in names))}."
                if names
                else ""
            )
        )
        active = any(target.one.points.exploitation == "active" for target in targets)
        proto = _PROTOCOLS[transport]
        return Finding(
            engine=self.name,
            engine_version=self.version,
            kind="scanned-vulnerability",
            title=f"Scans of {number}/{transport} surge, the port of {product} ({first.cve}{more})",
            statement=statement,
            confidence=0.5,
            calibration="not calibrated: that the surge is there is darknet.synchrony's claim; that it is for this "
            "vulnerability is a guess by its port",
            window=(ctx.start, ctx.end),
            subject=("vulnerability", first.cve),
            aspect=f"{number}/{transport}",
            first_seen=known[0],
            last_seen=max(ctx.end - 1, known[0]),
            count=0,
            severity="high" if active else "",
            entities=tuple(
                Entity(address_type(system.address, "domain-name"), system.address)
                for system in first.match.systems[:_SYSTEMS]
                if system.address
            ),
            evidence=(
                Evidence(
                    f"darknet.synchrony alerts that scans of {number}/{transport} began",
                    Check(
                        relation="",
                        by_chance=0.0,
                        tool="sql",
                        expression="SELECT count(*) FROM darknet_synchrony_alerts WHERE "
                        f"port = {number} AND protocol = {proto} AND direction = 'start'",
                    ),
                ),
                Evidence(
                    f"the port is known from: {targets[0].door.by}; the systems match by {first.match.by}"
                ),
            ),
            attack=("T1595.002",),
            attributes={
                "port": f"{number}/{transport}",
                "service": targets[0].door.service,
                "cves": cves[:_NAMED],
                "cves_total": len(cves),
                "sources": sources,
                "first_surge": timestamp(known[0]),
                "fingerprints": [{"name": name, "sources": count} for name, count in names],
                "systems": [system.name for system in first.match.systems[:_SYSTEMS]],
                "systems_total": first.match.count,
                "matched_by": first.match.by,
                "decision": first.decision,
            },
        )


__all__ = ["SCANNED", "ScannedEngine", "engine"]
