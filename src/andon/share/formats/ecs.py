"""Findings, cases and intents in the Elastic Common Schema, version 8.17 (``ecs.version``), and as a bulk request.

A finding is ``event.kind`` alert; ``rule.id`` is its engine and kind, ``event.severity`` and the word are ours as the
detection engine grades them (21, 47, 73, 99 of 100; informational 0). A case is an alert too (its rule is "case"), an
intent an event of category configuration. ``andon.*`` holds what the schema has no field for. ``_id`` of the bulk
request is the id with its revision, and its action is ``create``: a repetition is refused by the index (409) and
changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from andon import __version__
from andon.share.formats.techniques import name_of
from andon.share.formats.view import CASE, INTENT, View
from andon.share.policy import AMBER

VERSION: Final = "8.17.0"
_SEVERITY: Final[Mapping[str, int]] = {
    "informational": 0,
    "low": 21,
    "medium": 47,
    "high": 73,
    "critical": 99,
}
_CATEGORY: Final[Mapping[str, str]] = {
    "infected-terminal": "malware", "suspected-terminal": "malware", "asset-suspected-infected": "malware",
    "malware-link": "malware", "malware-profile": "malware", "alert-episode": "intrusion_detection",
    "scanned-vulnerability": "vulnerability", "suspected-url": "web", "redirect-chain": "web",
}  # fmt: skip
_MOST: Final = 100  # related.*
_FAILED: Final = frozenset(("failed", "refused"))
_DONE: Final = frozenset(("applied", "verified", "expired", "revoked"))


def document(told: View, level: str = AMBER) -> dict[str, Any]:
    """The document of a view."""
    made: dict[str, Any] = {
        "@timestamp": told.last if told.last and told.what != INTENT else told.issued or "1970-01-01T00:00:00Z",
        "ecs": {"version": VERSION},
        "message": told.title,
        "event": _event(told),
        "rule": {
            "id": f"{told.engine}:{told.kind}" if told.engine else told.kind, "name": told.title[:1024],
            "category": told.kind, "description": told.statement, "ruleset": told.engine or "andon",
        },
        "observer": {"product": "Andon", "vendor": "Andon", "version": __version__},
        "tags": [f"tlp:{level}"],
        "labels": {"kind": told.kind, "id": told.id},
    }  # fmt: skip
    _ends(told, made)
    related: dict[str, list[str]] = {}
    for kind, value in dict.fromkeys([told.subject, *told.entities]):
        name = {
            "ipv4-addr": "ip",
            "ipv6-addr": "ip",
            "user-account": "user",
            "domain-name": "hosts",
            "device": "hosts",
            "x-host": "hosts",
            "file": "hash",
        }.get(kind)
        if name and (name != "ip" or "/" not in value):
            some = related.setdefault(name, [])
            if len(some) < _MOST:
                some.append(value)
    if related:
        made["related"] = related
    if told.attack:
        made["threat"] = _threat(told.attack)
    urls = [value for kind, value in (told.subject, *told.entities) if kind == "url"]
    if urls:
        made["url"] = {"original": urls[0], **({"full": urls[0]} if "://" in urls[0] else {})}
    made["andon"] = {
        "id": told.id, "series": told.series, "revision": told.revision, "severity": told.severity,
        "subject": {"type": told.subject[0], "value": told.subject[1]}, "count": told.count, "state": told.state,
        **({} if told.confidence is None else {"confidence": told.confidence}),
        "evidence": [{"statement": statement, **({"check": dict(check)} if check else {})}
                     for statement, check in told.evidence],
    }  # fmt: skip
    return made


def _event(told: View) -> dict[str, Any]:
    made: dict[str, Any] = {
        "kind": "event" if told.what == INTENT else "alert", "module": "andon", "provider": "andon",
        "dataset": f"andon.{told.what}", "id": f"{told.id}-{told.revision}", "code": told.kind, "action": told.kind,
        "category": ["configuration"] if told.what == INTENT else
        sorted({"threat" if told.what == CASE else "network", _CATEGORY.get(told.kind, "network")}),
        "type": ["change"] if told.what == INTENT else ["indicator"] if told.hostile else ["info"],
        "created": told.issued or told.last,
    }  # fmt: skip
    if told.what == INTENT:
        made["outcome"] = (
            "failure" if told.state in _FAILED else "success" if told.state in _DONE else "unknown"
        )
    elif told.what == CASE:
        made["type"] = ["info"]
    if told.severity:
        made["severity"] = _SEVERITY[told.severity]
    if told.first:
        made["start"] = told.first
    if told.last:
        made["end"] = told.last
    if not made["created"]:
        del made["created"]
    if told.confidence is not None:
        made["risk_score"] = round(100 * told.confidence, 2)
    return made


def _ends(told: View, made: dict[str, Any]) -> None:
    source, destination = told.source, told.destination
    if source:
        made["source"] = {"ip": source, "address": source}
    end: dict[str, Any] = {}
    if destination:
        end |= {"ip": destination, "address": destination}
    if told.named:
        end["domain"] = told.named
    if told.ports:
        port, protocol = told.ports[0]
        end["port"] = port
        if protocol:
            made["network"] = {"transport": protocol}
    if end:
        made["destination"] = end
    if told.user:
        made["user"] = {"name": told.user}
    hosts = [one for one in told.ours if one[0] != "user-account"]
    if hosts:
        kind, value = hosts[0]
        made["host"] = (
            {"ip": [value]} if kind in ("ipv4-addr", "ipv6-addr") and "/" not in value else {"name": value}
        )
    if told.what == CASE and isinstance(told.body.get("site"), str) and told.body["site"]:
        made["organization"] = {"id": told.body["site"]}


def _threat(attack: list[str]) -> dict[str, Any]:
    parents = list(dict.fromkeys(one.partition(".")[0] for one in attack))
    below = [one for one in attack if "." in one]
    technique: dict[str, Any] = {"id": parents, "name": [name_of(one) for one in parents]}
    if below:
        technique["subtechnique"] = {"id": below, "name": [name_of(one) for one in below]}
    return {"framework": "MITRE ATT&CK", "technique": technique}


def bulk(told: View, index: str = "logs-andon-default", level: str = AMBER) -> str:
    """Two lines of a ``_bulk`` request: what to do, and the document."""
    action = {"create": {"_index": index, "_id": f"{told.what}-{told.id}-{told.revision}"}}
    return f"{json.dumps(action)}\n{json.dumps(document(told, level), ensure_ascii=False)}\n"
