"""A small organisation written down by hand, and cases in it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from andon.records.asset import ASSET
from andon.records.triage import CONVERSATIONS, EPISODES, SERVICES
from andon.triage.verification import VERDICTS, Subject, TableFacts

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = 1_775_606_400 * SECOND  # of the attempt
SERVER, PC, ATTACKER = "10.0.0.5", "10.0.1.7", "198.51.100.9"
INSIDE = ("10.0.0.0/8",)


def talk(minute: float, src: str, dst: str, port: int, flows: int = 1, **more: Any) -> dict[str, Any]:
    """A conversation, ``minute`` after the attempt; answered unless ``failed`` is given."""
    at = NOW + int(minute * MINUTE)
    row = {
        "src": src, "dst": dst, "port": port, "protocol": "tcp", "first": at, "last": at + SECOND, "flows": flows,
        "failed": 0, "unknown": 0, "bytes_out": 500 * flows, "bytes_in": 900 * flows, "service": "", "largest_out": 500,
        "largest_in": 900, "longest": SECOND,
    }  # fmt: skip
    return row | more


def refused(minute: float, src: str, dst: str, port: int, flows: int = 1) -> dict[str, Any]:
    nothing = {"bytes_out": 0, "bytes_in": 0, "largest_out": 0, "largest_in": 0, "longest": 0}
    return talk(minute, src, dst, port, flows, failed=flows, **nothing)


def usual() -> list[dict[str, Any]]:
    """Two days before and some hours after: clients of the server's web port, its updates, a terminal's web."""
    rows = []
    for hour in range(-48, 5):
        rows.append(
            talk(
                60 * hour + 7,
                f"10.0.1.{hour % 9 + 20}",
                SERVER,
                443,
                20,
                largest_in=30_000,
                largest_out=4_000,
            )
        )
        rows.append(talk(60 * hour + 9, SERVER, "203.0.113.50", 443, 2))
        rows.append(talk(60 * hour + 11, PC, "203.0.113.60", 443, 5))
        rows += [talk(60 * hour + 13, f"10.0.1.{n + 100}", "203.0.113.60", 443, 3) for n in range(12)]
    return rows


def conversations(rows: list[dict[str, Any]]) -> pa.Table:
    return _table(rows, CONVERSATIONS)


def services(*ports: int, address: str = SERVER) -> pa.Table:
    rows = [
        {
            "address": address, "port": port, "protocol": "tcp", "service": "", "first": NOW - 2 * DAY, "last": NOW,
            "flows": 500, "clients": 9,
        }
        for port in ports
    ]  # fmt: skip
    return _table(rows, SERVICES)


def asset(
    product: str, *ports: int, basis: str = "list", days: int = 3, system: str = "", address: str = SERVER
) -> pa.Table:
    a, b, c, d = map(int, address.split("."))
    number = a << 24 | b << 16 | c << 8 | d
    texts = {name: "" for name in ASSET.names if pa.types.is_string(ASSET.field(name).type)}
    row = texts | {
        "asset": "S1", "first": number, "last": number, "address": address,
        "valid_from": NOW - days * DAY, "valid_to": None,
        "basis": basis, "product": product, "os": system, "source": "list.csv",
        "services": [{"port": p, "transport": "tcp", "protocol": "", "banner": ""} for p in ports],
    }  # fmt: skip
    return _table([row], ASSET)


def episode(**more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": "e1", "site": "", "host": SERVER, "address": SERVER, "product": "suricata", "rule": "1",
        "title": "EXPLOIT Apache Struts OGNL",
        "severity": 4, "category": "attack", "first": NOW, "last": NOW, "alerts": 1, "over": True,
        "sources": [ATTACKER],
        "targets": [f"{SERVER}:443/tcp"], "users": [], "names": [], "paths": [], "digests": [],
        "commands": [], "attack": [],
        "cves": [], "disposition": 0, "tier": "inspect",
            }  # fmt: skip
    return row | more


def outbound(**more: Any) -> dict[str, Any]:
    given = {
        "host": PC, "address": PC, "title": "MALWARE beacon", "sources": [PC], "rule": "2",
        "targets": [f"{ATTACKER}:443/tcp"],
    }  # fmt: skip
    return episode(**(given | more))


def case(*rows: dict[str, Any], findings: tuple[dict[str, Any], ...] = ()) -> Subject:
    hosts = tuple(dict.fromkeys(r["host"] for r in rows))
    addresses = tuple(dict.fromkeys(r["address"] for r in rows))
    return Subject("c1", hosts, addresses, rows, findings, (NOW, NOW + HOUR))


def proofs(seen: int, unseen: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(episodes, conversations) from which the coverage of the flow sensor is estimated."""
    told = [
        episode(id=f"p{n}", host=f"10.0.2.{n % 200}", address=f"10.0.2.{n % 200}", severity=1,
                tier="screened", title="INFO",
                sources=[f"10.0.2.{n % 200}"], targets=[f"192.0.2.{n % 250}:80/tcp"], rule=f"p{n}")
        for n in range(seen + unseen)
    ]  # fmt: skip
    return told, [talk(0, f"10.0.2.{n % 200}", f"192.0.2.{n % 250}", 80) for n in range(seen)]


def facts(
    rows: list[dict[str, Any]] | None = None,
    episodes: list[dict[str, Any]] | None = None,
    seen: int = 100,
    unseen: int = 0,
    **more: Any,
) -> TableFacts:
    """``usual()`` and ``rows``; a sensor that shows ``seen`` of ``seen + unseen`` proofs."""
    told, proved = proofs(seen, unseen)
    tables = {
        "triage.evidence:conversations": conversations([*usual(), *(rows or []), *proved]),
        "triage.evidence:services": more.pop("services", services(443, 22)),
        "triage.screening:episodes": _table([*(episodes or []), *told], EPISODES),
    }
    return TableFacts(tables, INSIDE, **more)


def verdicts(label: str, number: int, analysts: int = 2, **more: Any) -> pa.Table:
    rows = [
        {
            "product": "suricata", "rule": "1", "host": SERVER, "peers": [], "label": label,
            "analyst": f"a{n % analysts}",
            "shown": "top", "time": NOW - DAY - n,
        }
        | more
        for n in range(number)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, VERDICTS)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        values = [row[field.name] if field.name in row else _nothing(field.type) for row in rows]
        if pa.types.is_timestamp(field.type):
            columns.append(pa.array(values, pa.int64()).cast(field.type))
        else:
            columns.append(pa.array(values, field.type))
    return pa.table(columns, schema=schema)


def _nothing(kind: pa.DataType) -> Any:
    """For columns of a ranker, which verification does not look at."""
    return "" if pa.types.is_string(kind) else [] if pa.types.is_list(kind) else 0
