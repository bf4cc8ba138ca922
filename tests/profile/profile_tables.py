"""Days of sessions, links, sightings and reports, told in a few words, as the tables that other engines publish."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from andon.detect.darknet.link.tables import LOADERS
from andon.detect.darknet.sightings.tables import PORT_SETS
from andon.records.contract import Context
from andon.records.joint import BEHAVIOURS, LINKS, MATCHES, SESSIONS
from andon.records.kinds import REPORT, marked
from andon.records.report import REPORT as REPORT_SCHEMA
from andon.records.sighting import SIGHTING

DAY = 86_400_000_000_000
FIRST = 20_500  # days since 1970


def number(address: str) -> int:
    return int(ipaddress.IPv4Address(address))


@dataclass
class Days:
    """Collects rows by day (0, 1, ...)."""

    rows: dict[int, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    count: int = 0

    def _add(self, day: int, table: str, row: dict[str, Any]) -> None:
        self.rows.setdefault(day, {}).setdefault(table, []).append(row)

    def session(self, day: int, address: int, behaviours: list[tuple[str, str]], role: str = "bot", targets: str = "",
                steps: tuple[str, ...] = ("scan", "login"), family: str = "") -> None:  # fmt: skip
        """One session; ``targets``: of its exploit."""
        self.count += 1
        name, at = f"hp/{self.count}", (FIRST + day) * DAY + self.count * 1_000_000
        self._add(day, "sessions", {
            "session": name, "start": at, "end": at, "src": str(ipaddress.IPv4Address(address)), "address": address,
            "honeypot": "cowrie", "protocol": "telnet", "dst_port": 23, "role": role, "role_confidence": 0.9,
            "family": family,
            "family_confidence": 0.8 if family else 0.0, "family_evidence": "", "steps": list(steps),
            "techniques": ["T1110"],
            "cves": [v for k, v in behaviours if k == "exploit"], "targets": [targets] if targets else [],
            "cluster": "",
            "login": True, "commands": 3,
        })  # fmt: skip
        for kind, value in behaviours:
            self._add(day, "behaviours", {"session": name, "at": at, "address": address, "sensor": "hp", "kind": kind,
                                          "value": value, "role": role})  # fmt: skip

    def link(
        self, day: int, mark: str, kind: str, value: str, sources: int, probability: float = 0.99
    ) -> None:
        ports = mark.replace(",", "").isdigit()
        self._add(day, "links", {
            "mark_kind": "port-set" if ports else "fingerprint", "mark": mark, "kind": kind, "value": value,
            "sources": sources,
            "networks_24": sources, "decoys": 0.2, "p_value": 1e-9, "fdr": 0.001, "effect": 20.0,
            "probability": probability,
            "first": FIRST * DAY, "last": (FIRST + day) * DAY, "lag_median": 0, "series": f"{mark}{kind}{value}",
        })  # fmt: skip

    def scan(self, day: int, addresses: range, fingerprint: str, ports: str) -> None:
        """Sources with a fingerprint ("" for none) and a set of ports."""
        for address in addresses:
            for port in ports.split(","):
                self._add(day, "sources", {
                    "first": (FIRST + day) * DAY, "last": (FIRST + day) * DAY, "src": address, "dst_port": int(port),
                    "protocol": 6, "fingerprint": fingerprint, "packets": 3,
                })  # fmt: skip
            self._add(day, "portsets", {"src": address, "ports": ports, "family": 0})

    def context(self, day: int, partial: bool = False) -> Context[Any]:
        rows = self.rows.get(day, {})
        schemas = {
            "intel.session:sessions": ("sessions", SESSIONS), "intel.session:behaviours": ("behaviours", BEHAVIOURS),
            "darknet.link:links": ("links", LINKS), "darknet.link:matches": ("matches", MATCHES),
            "darknet.link:loaders": ("loaders", LOADERS), "darknet.sightings:sources": ("sources", SIGHTING),
            "darknet.sightings:portsets": ("portsets", PORT_SETS),
        }  # fmt: skip
        tables = {
            name: pa.Table.from_pylist(rows[short], schema)
            for name, (short, schema) in schemas.items()
            if short in rows
        }
        start = (FIRST + day) * DAY
        return Context(span="1d", start=start, end=start + DAY, partial=partial, tables=tables)


def report(name: str, day: int, **items: list[str]) -> dict[str, Any]:
    """A row of ``records.report.REPORT``; types of mentions with an underline for the hyphen."""
    mentions = [
        {"type": kind.replace("_", "-"), "value": value, "text": value, "at": 1000 * place}
        for place, (kind, value) in enumerate(
            (kind, value) for kind, values in items.items() for value in values
        )
    ]
    return {"id": name, "published": (FIRST + day) * DAY, "dated": True, "title": f"Report {name}", "source": "r.jsonl",
            "language": "en", "characters": 100, "mentions": mentions}  # fmt: skip


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return marked(pa.RecordBatch.from_pylist(list(rows), REPORT_SCHEMA), REPORT)


DECOYS = tuple(
    report(f"D{n}", 3 + n % 4, port=[a, b], port_set=[f"{a},{b}"], cve=[cve])
    for n, (a, b, cve) in enumerate(
        (("23", "88", "CVE-2014-8361"), ("23", "81", "CVE-2018-10561"), ("445", "8081", "CVE-2016-20016"),
        ("23", "2323", "CVE-2015-2051"),
         ("80", "3389", "CVE-2017-17215"), ("22", "443", "CVE-2019-7256"), ("23", "8443", "CVE-2020-10173"),
         ("80", "88", "CVE-2018-10561"))
    )
)  # fmt: skip
