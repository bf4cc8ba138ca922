"""A finding: a claim with evidence that others can check.

The JSON form (one object a line) is public API, ``andon.finding/1``; its schema is ``finding.schema.json``
beside this file and is explained in ``docs/findings.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from andon.records.neutral import plain_json

SCHEMA_NAME = "andon.finding/1"
INLINE_ENTITIES = 100

SEVERITIES = ("informational", "low", "medium", "high", "critical")

# One table of kinds: what an engine may raise, and how much it matters if nothing else is known.
KINDS: Mapping[str, str] = {
    "census": "informational",
    "known-tool": "low",
    "scanner-fingerprint": "medium",
    "scan-order": "low",
    "stack-default": "informational",
    "multiple-infection": "medium",
    "backscatter-victim": "medium",
    "scanner-purpose": "low",
    "input-damage": "low",
    "load-shed": "medium",
    "capture-gap": "medium",
    "memory-lost": "medium",
    "own-host-alert": "medium",
    "coordinated-activity": "medium",
    "campaign": "low",
    "port-set": "informational",
    "port-set-birth": "medium",
    "malware-link": "medium",
    "malware-profile": "medium",
    "malware-life-cycle": "informational",
    "asset-suspected-infected": "high",
    "infected-terminal": "high",
    "suspected-terminal": "medium",
    "suspected-destination": "medium",
    "beacon": "low",
    "suspected-url": "medium",
    "redirect-chain": "medium",
    "user-at-risk": "low",
    "flow-anomaly": "low",
    "alert-episode": "medium",
    "scanned-vulnerability": "medium",
    "volume-forecast": "informational",
}


@dataclass(frozen=True)
class Entity:
    """A thing a finding is about; ``type`` is a STIX 2.1 name such as ``ipv4-addr``."""

    type: str
    value: str
    packets: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.type, "value": self.value}


@dataclass(frozen=True)
class Check:
    """Something the reader can run with a tool we did not write, and what it should give.

    ``relation`` is an expression of ours (``records.expression``). The runner translates it for ``tool``
    (``expression``) and counts it exactly (``expected``); an engine leaves both empty. ``by_chance`` is the
    number of packets (for SQL over sources: rows) that unrelated traffic would give."""

    relation: str
    by_chance: float
    tool: str = "tcpdump"
    expression: str = ""
    expected: int | None = None
    input: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "tool": self.tool,
            "expression": self.expression,
            "relation": self.relation,
            "expected": self.expected,
            "by_chance": self.by_chance,
            "input": list(self.input),
        }


@dataclass(frozen=True)
class Evidence:
    statement: str
    check: Check | None = None

    def to_dict(self) -> dict[str, Any]:
        body: dict[str, Any] = {"statement": self.statement}
        if self.check is not None:
            body["check"] = self.check.to_dict()
        return body


def sql_text(text: str) -> str:
    """A string of SQL.

    >>> sql_text("o'hara")
    "'o''hara'"
    """
    return "'" + text.replace("'", "''") + "'"


def address_type(text: str, other: str) -> str:
    """STIX name of an entity that is an address, or ``other`` if it is none.

    >>> address_type("192.0.2.1", "domain-name"), address_type("a.example", "domain-name")
    ('ipv4-addr', 'domain-name')
    """
    try:
        return f"ipv{ip_address(text).version}-addr"
    except ValueError:
        return other


def timestamp(ns: int) -> str:
    """RFC 3339 text in UTC, with as many of the nine fraction digits as are needed.

    >>> timestamp(1_767_225_600_000_000_000)
    '2026-01-01T00:00:00Z'
    """
    seconds, fraction = divmod(ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"


def nanoseconds(text: str) -> int:
    """ns since 1970 of RFC 3339 text; without an offset it is UTC. Raises ValueError.

    >>> nanoseconds("1970-01-01T00:00:01.000000005Z")
    1000000005
    """
    head, dot, rest = text.strip().partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    zone = rest[len(digits) :] if dot else ""
    moment = datetime.fromisoformat((head + zone).replace("Z", "+00:00").replace("z", "+00:00"))
    if moment.tzinfo is None:
        moment = datetime.fromisoformat(moment.isoformat() + "+00:00")
    return int(moment.timestamp()) * 1_000_000_000 + int((digits[:9] or "0").ljust(9, "0"))


def _digest(*parts: object) -> str:
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def series_of(engine: str, *parts: str) -> str:
    """The ``series`` of an engine's findings about a subject (type, value)."""
    return _digest(engine, *parts)


def fingerprint_name(relation: str) -> str:
    """The name of a fingerprint that ``darknet.fingerprint`` found, as ``andon fingerprints`` shows it.

    >>> fingerprint_name("tcp.seq == ip.dst")
    'fp-dac33e68'
    """
    return f"fp-{series_of('darknet.fingerprint', 'fingerprint', relation)[:8]}"


@dataclass(frozen=True)
class Finding:
    """One claim. Times are ns since 1970 UTC; ``window`` is (start, end), end exclusive.

    ``entities`` holds all entities, most packets first; the JSON form carries the first hundred, all of them
    go to ``entities.parquet``. ``confidence`` is a probability; ``calibration`` says how it was come by.
    ``aspect`` tells apart series of one subject (an alert's deduplication key); it is hashed, not shown.

    Raises ValueError for a kind, severity or confidence that is not in the tables above.
    """

    engine: str
    engine_version: int
    kind: str
    title: str
    statement: str
    confidence: float
    calibration: str
    window: tuple[int, int]
    subject: tuple[str, str]  # (type, value)
    first_seen: int
    last_seen: int
    count: int  # packets
    entities: tuple[Entity, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    attack: tuple[str, ...] = ()
    severity: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 1
    aspect: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of finding {self.kind!r}; known: {', '.join(KINDS)}")
        if not self.severity:
            object.__setattr__(self, "severity", KINDS[self.kind])
        if self.severity not in SEVERITIES:
            raise ValueError(f"unknown severity {self.severity!r}; known: {', '.join(SEVERITIES)}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence {self.confidence} is not a probability")

    @property
    def series(self) -> str:
        """The same thing over time: hash of engine, subject and aspect, if there is one."""
        return series_of(self.engine, *self.subject, *((self.aspect,) if self.aspect else ()))

    @property
    def id(self) -> str:
        return _digest(self.engine, self.engine_version, self.series, *self.window)

    def with_evidence(self, evidence: tuple[Evidence, ...]) -> Finding:
        return replace(self, evidence=evidence)

    def to_dict(self) -> dict[str, Any]:
        """The public JSON form as a dictionary, in the order of the schema."""
        return {
            "schema": SCHEMA_NAME,
            "id": self.id,
            "series": self.series,
            "revision": self.revision,
            "engine": self.engine,
            "engine_version": self.engine_version,
            "kind": self.kind,
            "title": self.title,
            "statement": self.statement,
            "severity": self.severity,
            "confidence": round(self.confidence, 6),
            "calibration": self.calibration,
            "window": {"start": timestamp(self.window[0]), "end": timestamp(self.window[1])},
            "subject": {"type": self.subject[0], "value": self.subject[1]},
            "first_seen": timestamp(self.first_seen),
            "last_seen": timestamp(self.last_seen),
            "count": self.count,
            "entities": [entity.to_dict() for entity in self.entities[:INLINE_ENTITIES]],
            "entities_total": len(self.entities),
            "evidence": [item.to_dict() for item in self.evidence],
            "attack": list(self.attack),
            "attributes": dict(self.attributes),
        }

    def to_json(self) -> str:
        return plain_json(json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False))
