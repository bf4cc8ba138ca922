"""Alerts, episodes and cases to store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from andon.records.alert import ALERT
from andon.records.case import Case
from andon.records.kinds import ALERT as KIND
from andon.records.triage import EPISODES, episode_id
from made_contacts import record_batch

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
RULES = ("2013028", "2100498", "W-5710", "W-31101", "A-NewPath")


def alert_row(number: int, **changes: Any) -> dict[str, Any]:
    """One alert of a small network: a few hosts, rules and sources."""
    mixed = number * 2654435761 % 2**32
    row: dict[str, Any] = {
        "ts": number * SECOND,
        "product": ("suricata", "wazuh", "aminer")[mixed % 3],
        "rule": RULES[mixed % 5],
        "title": f"Rule {RULES[mixed % 5]} fired",
        "severity": mixed // 7 % 5,
        "category": "web",
        "host": f"host{mixed // 11 % 6}",
        "address": f"10.0.0.{mixed // 11 % 6}",
        "user": "" if mixed % 4 else f"user{mixed // 13 % 3}",
        "src": f"198.51.100.{mixed // 17 % 9}",
        "src_port": mixed % 65536,
        "dst": f"10.0.0.{mixed // 11 % 6}",
        "dst_port": 443,
        "protocol": "tcp",
        "name": "",
        "path": "",
        "digest": "",
        "command": "",
        "attack": "T1110" if mixed % 5 == 0 else "",
        "cve": "",
        "disposition": 0,
        "count": 1,
        "uid": "",
        "site": "",
        "position": number,
        "raw": f'{{"n": {number}}}',
        "source": "eve",
    }
    return {**row, **changes}


def alerts(rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """A batch of ALERT."""
    return record_batch(rows, ALERT, KIND)


def some_alerts(count: int, first: int = 0, **changes: Any) -> pa.RecordBatch:
    """``count`` alerts, a second apart."""
    return alerts([alert_row(number, **changes) for number in range(first, first + count)])


def episode_row(number: int = 1, **changes: Any) -> dict[str, Any]:
    """One episode; its id follows from what it is of."""
    row: dict[str, Any] = {
        "site": "",
        "host": f"host{number % 4}",
        "address": f"10.0.0.{number % 4}",
        "product": "suricata",
        "rule": RULES[number % 5],
        "title": "A rule fired",
        "severity": 3,
        "category": "web",
        "first": number * 60 * SECOND,
        "last": (number * 60 + 30) * SECOND,
        "alerts": 4,
        "over": True,
        "sources": [f"198.51.100.{number % 9}"],
        "targets": ["10.0.0.1:443/tcp"],
        "users": [],
        "names": [],
        "paths": ["/etc/passwd"],
        "digests": [],
        "commands": [],
        "attack": ["T1110"],
        "cves": [],
        "disposition": 0,
        "score": 0.25 + number,
        "probability": float("nan"),
        "rank": number,
        "tier": "inspect",
        "why_tier": "budget",
        "reasons": ["seen on no other host"],
        "weights": [1.5],
        "features": [0.5, 1.25, float(number)],
        "model": "first-seen",
        "audit_probability": 0.01,
        "worth": 0.125,
    }
    row.update(changes)
    row.setdefault("id", episode_id(row["site"], row["host"], row["product"], row["rule"], row["first"]))
    return row


def episodes(*rows: Mapping[str, Any]) -> pa.Table:
    """A table of EPISODES."""
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in EPISODES]
    return pa.Table.from_arrays(columns, schema=EPISODES)


def case(number: int = 1, **changes: Any) -> Case:
    """An open case of one host."""
    values: dict[str, Any] = {
        "id": f"case{number:04d}",
        "version": 0,
        "state": "open",
        "tier": "inspect",
        "level": "medium",
        "priority": float(number),
        "title": f"Something odd on host{number % 4}",
        "statement": "Two rules that nobody else sees.",
        "entities": (("hostname", f"host{number % 4}"), ("ipv4-addr", f"10.0.0.{number % 4}")),
        "first_seen": number * 60 * SECOND,
        "last_seen": (number * 60 + 30) * SECOND,
        "opened": 0,
        "updated": 0,
        "items": (("episode", f"{number:024x}"),),
        "judgement": {"verification": {"decision": "inspect"}},
    }
    return Case(**{**values, **changes})
