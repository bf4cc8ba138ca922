"""A small world for the asset engine: lists, a day's tables, and running it day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from andon.detect.darknet.asset import AssetEngine, engine
from andon.records import joint
from andon.records.asset import ASSET, LEASE
from andon.records.contract import Context, Organisation, Outcome, Site
from andon.records.finding import Finding
from andon.records.sighting import SIGHTING

DAY = 86_400 * 10**9
HOUR = DAY // 24
START = 1_772_323_200 * 10**9  # 2026-03-01
FINGERPRINT = "tcp.seq == ip.dst"
OTHER = "tcp.window == 0x3908"


def number(text: str) -> int:
    a, b, c, d = map(int, text.split("."))
    return a << 24 | b << 16 | c << 8 | d


def asset(
    address: str, name: str = "", begin: int | None = None, end: int | None = None, **more: Any
) -> dict[str, Any]:
    """A row of ASSET; a lease if it has a name and a beginning. Times in ns after START."""
    row: dict[str, Any] = {name_: "" for name_ in ASSET.names if ASSET.field(name_).type == pa.string()}
    row |= {
        "asset": name, "address": address, "first": number(address), "last": number(address), "services": [],
        "basis": LEASE if name and begin is not None else "list",
        "valid_from": None if begin is None else START + begin,
        "valid_to": None if end is None else START + end,
        "device": "IP Camera", "vendor": "Hikvision", "product": "DS-2CD", "source": "list.csv: line 2",
    }  # fmt: skip
    return row | more


def sighting(
    address: str,
    at: int,
    fingerprint: str = FINGERPRINT,
    port: int = 23,
    packets: int = 1,
    last: int | None = None,
) -> dict[str, Any]:
    return {
        "first": START + at, "last": START + (at if last is None else last), "src": number(address), "dst_port": port,
        "protocol": 6, "fingerprint": fingerprint, "packets": packets,
    }  # fmt: skip


def link(
    mark: str = FINGERPRINT, value: str = "SATORI", kind: str = joint.TOKEN, probability: float = 0.99
) -> dict[str, Any]:
    return {
        "mark_kind": joint.MARK_FINGERPRINT, "mark": mark, "kind": kind, "value": value, "sources": 9, "networks_24": 9,
        "decoys": 0.0, "p_value": 1e-9, "fdr": 0.0, "effect": 9.0, "probability": probability, "first": START,
        "last": START + DAY, "lag_median": 0, "series": f"link-{mark}-{value}",
    }  # fmt: skip


def page(family: str = "SATORI", **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {field.name: [] if pa.types.is_list(field.type) else "" for field in joint.PROFILES}
    row |= {
        "family": family, "fingerprints": [FINGERPRINT], "tokens": [family], "probability": 0.98,
        "series": f"page-{family}", "targets": ["Hikvision|DS-2CD|IP Camera"],
        "first_darknet": 0, "first_honeypot": 0, "first_report": 0,
        "state": "epidemic", "cves": ["CVE-2021-36260"],
    }  # fmt: skip
    return row | more


def session(
    address: str, at: int, role: str = joint.BOT, family: str = "SATORI", name: str = "h/1"
) -> dict[str, Any]:
    row: dict[str, Any] = {field.name: [] if pa.types.is_list(field.type) else "" for field in joint.SESSIONS}
    row |= {
        "session": name, "start": START + at, "end": START + at + 10**9, "src": address, "address": number(address),
        "honeypot": "cowrie", "protocol": "telnet", "dst_port": 23, "role": role, "role_confidence": 0.9,
        "family": family, "family_confidence": 0.9, "login": True, "commands": 3,
    }  # fmt: skip
    return row | {}


def behaviour(name: str, value: str, kind: str = joint.TOKEN, address: str = "192.0.2.1") -> dict[str, Any]:
    return {
        "session": name, "at": START, "address": number(address), "sensor": "h", "kind": kind, "value": value,
        "role": joint.BOT,
    }  # fmt: skip


def site(
    listed: Sequence[Mapping[str, Any]], organisations: Sequence[Organisation] = (), **settings: Any
) -> Site:
    return Site(
        assets=pa.Table.from_pylist([dict(row) for row in listed], schema=ASSET),
        organisations=tuple(organisations),
        settings={f"darknet.asset.{name}": value for name, value in settings.items()},
    )


def tables(**rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.Table]:
    """``sightings``, ``sessions``, ``behaviours``, ``links``, ``profiles``, ``portsets``, ``purposes``."""
    schemas = {
        "sightings": ("darknet.sightings:sources", SIGHTING),
        "sessions": ("intel.session:sessions", joint.SESSIONS),
        "behaviours": ("intel.session:behaviours", joint.BEHAVIOURS),
        "links": ("darknet.link:links", joint.LINKS),
        "profiles": ("intel.profile:profiles", joint.PROFILES),
        "portsets": ("darknet.sightings:portsets", pa.schema([("src", pa.uint32()), ("ports", pa.string())])),
        "purposes": ("darknet.purpose:sources", pa.schema([("src", pa.uint32()), ("purpose", pa.string())])),
    }
    return {
        schemas[name][0]: pa.Table.from_pylist([dict(row) for row in given], schema=schemas[name][1])
        for name, given in rows.items()
    }


def made(where: Site) -> AssetEngine:
    found = engine(where)
    assert found is not None
    return found


def run(where: Site, days: Sequence[Mapping[str, pa.Table]]) -> list[Outcome[Any]]:
    """Outcomes of consecutive days; the carry goes through its bytes each time."""
    one = made(where)
    carry: Any = None
    outcomes = []
    for day, given in enumerate(days):
        context: Context[Any] = Context(
            span="1d", start=START + day * DAY, end=START + (day + 1) * DAY, tables=given
        )
        outcome = one.conclude(one.empty(), carry, context)
        assert outcome.carry is not None
        carry = one.carries.from_bytes(outcome.carry.to_bytes())
        outcomes.append(outcome)
    return outcomes


def told(outcomes: Sequence[Outcome[Any]]) -> list[Finding]:
    return [finding for outcome in outcomes for finding in outcome.findings]
