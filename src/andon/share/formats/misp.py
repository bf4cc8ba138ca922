"""Findings, cases and intents as MISP events (MISP core format, draft-dulaunoy-misp-core-format).

One event a finding, case or intent; its ``uuid`` follows from the id, so that a later revision is the same event with a
later ``timestamp``. An attribute says ``to_ids`` only where the view calls the value hostile and no warning list
names it (``share.policy.Caution``): events whose attributes all said so have put 8.8.8.8 on block lists. Where two
things belong together they are an object of MISP's templates (network-connection, ip-port, domain-ip,
course-of-action); what people read is an annotation. Techniques are tags of the galaxy mitre-attack-pattern.

``{"Event": {...}}`` is what a file that PyMISP loads holds and what ``/events/add`` takes; ``feed`` makes the files
of a MISP feed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from andon.share.formats.stix import bpf
from andon.share.formats.stix_ids import NAMESPACE, uuid5
from andon.share.formats.techniques import NAMES
from andon.share.formats.view import CASE, INTENT, Thing, View, milliseconds, view
from andon.share.policy import AMBER, Caution

_THREAT: Final[Mapping[str, str]] = {
    "critical": "1",
    "high": "1",
    "medium": "2",
    "low": "3",
    "informational": "4",
}
_TEMPLATES: Final[
    Mapping[str, tuple[str, str, str]]
] = {  # name: (uuid, version, meta-category) of misp-objects
    "ip-port": ("9f8cea74-16fe-4968-a2b4-026676949ac6", "10", "network"),
    "domain-ip": ("43b3b146-77eb-4931-b4cc-b66c60f28734", "11", "network"),
    "network-connection": ("af16764b-f8e5-4603-9de1-de34d272f80b", "7", "network"),
    "annotation": ("5d8dc046-15a1-4ca3-a09f-ed4ede7c4487", "3", "misc"),
    "course-of-action": ("3d1c2c06-68a9-4394-8c8d-258d115f796f", "1", "misc"),
}
_NETWORK, _OTHER, _TARGET = "Network activity", "Other", "Targeting data"
_SPACE: Final = NAMESPACE.bytes
_MOST: Final = 500  # attributes of one event
_TEXT: Final = 20_000


class Writer:
    """Makes events. ``organisation``: who says it (Orgc). Pure."""

    def __init__(self, organisation: str = "Andon", caution: Caution | None = None) -> None:
        self.caution = caution or Caution()
        self.organisation = {"name": organisation[:250], "uuid": _uuid(f"organisation {organisation}")}

    def event(self, told: View, level: str = AMBER) -> dict[str, Any]:
        """``{"Event": {...}}``. Raises ValueError for a view without an id."""
        if not told.id:
            raise ValueError("what has no id cannot be told to MISP")
        uuid = _uuid(f"event {self.organisation['uuid']} {told.what} {told.id}")
        issued = str((milliseconds(told.issued) or 0) // 1000 + min(told.revision - 1, 1 << 31))
        span = {"first_seen": told.first, "last_seen": max(told.first, told.last)} if told.first else {}
        ids = {one for one in told.hostile if not self.caution.holds(*one)}
        page = _Page(uuid, issued, span, ids)
        if told.what == INTENT:
            self._intent(told, page)
        else:
            self._things(told, page)
        if told.telling and told.relation and (text := bpf(told.relation)):
            page.attribute("pattern-in-traffic", _NETWORK, text, comment="tcpdump (BPF) filter")
        notes = [told.statement, *(f"- {statement}" for statement, _ in told.evidence)]
        page.object("annotation", [("text", "text", _OTHER, "\n".join(notes)[:_TEXT] or told.title, False),
                                   ("type", "text", _OTHER, "Executive Summary", False)])  # fmt: skip
        tags = [f"tlp:{level}", f'andon:kind="{told.kind}"', *map(_technique, told.attack)]
        if told.severity:
            tags.append(f'andon:severity="{told.severity}"')
        if told.what == CASE:
            tags += [
                f'andon:attacker="{one}"' for one in told.body.get("attacker") or () if isinstance(one, str)
            ]
            tags += [
                f'andon:verdict="{one["label"]}"'
                for one in _mappings(told.body.get("verdicts"))
                if "label" in one
            ]
        return {
            "Event": {
                "uuid": uuid,
                "info": _line(told.title) or told.kind,
                "date": (told.first or told.issued)[:10] or "1970-01-01",
                "timestamp": issued,
                "published": False,
                "analysis": "2" if told.state in ("closed", "") else "1",
                "threat_level_id": _THREAT.get(told.severity, "4"),
                "distribution": "0" if level in ("red", "amber+strict") else "1",
                "Orgc": self.organisation,
                "Tag": [_tag(name) for name in dict.fromkeys(tags)],
                "Attribute": page.attributes,
                "Object": page.objects,
            }
        }

    def _things(self, told: View, page: _Page) -> None:
        senders, targets = set(told.senders), set(told.targets)
        for one in dict.fromkeys([told.subject, *told.entities]):
            page.thing(one, one in senders and one not in targets)
        source, destination, port = told.source, told.destination, told.ports[0] if told.ports else None
        if source and destination:
            parts = [
                ("ip-src", "ip-src", _NETWORK, source, False),
                ("ip-dst", "ip-dst", _NETWORK, destination, False),
            ]
            if port:
                parts.append(("dst-port", "port", _NETWORK, str(port[0]), False))
                if port[1]:
                    parts.append(("layer4-protocol", "text", _OTHER, port[1], False))
            page.object("network-connection", parts)
        elif source and port:
            parts = [
                ("ip-src", "ip-src", _NETWORK, source, (_kind(source), source) in page.ids),
                ("dst-port", "port", _NETWORK, str(port[0]), False),
            ]
            page.object("ip-port", parts)
        if told.named and destination:
            page.object(
                "domain-ip",
                [("domain", "domain", _NETWORK, told.named, ("domain-name", told.named) in page.ids),
                 ("ip", "ip-dst", _NETWORK, destination, False)],
            )  # fmt: skip

    def _intent(self, told: View, page: _Page) -> None:
        for one in told.entities:
            page.thing(one, False)
        page.object(
            "course-of-action",
            [
                ("name", "text", _OTHER, told.title, False),
                ("description", "text", _OTHER, told.statement or told.title, False),
                ("stage", "text", _OTHER, "Response", False),
                ("objective", "text", _OTHER, f"state: {told.state}", False),
            ],
        )


class _Page:
    """Attributes and objects of one event, each once."""

    def __init__(self, uuid: str, time: str, span: Mapping[str, str], ids: set[Thing]) -> None:
        self.uuid, self.time, self.span, self.ids = uuid, time, span, ids
        self.attributes: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []
        self._seen: set[tuple[str, str]] = set()

    def thing(self, thing: Thing, sender: bool) -> None:
        kind, value = thing
        if kind in ("ipv4-addr", "ipv6-addr"):
            self.attribute("ip-src" if sender else "ip-dst", _NETWORK, value, thing in self.ids)
        elif kind == "domain-name":
            self.attribute("domain", _NETWORK, value, thing in self.ids)
        elif kind == "url":
            self.attribute("url", _NETWORK, value, thing in self.ids)
        elif kind == "user-account":
            self.attribute("target-user", _TARGET, value)
        elif kind in ("device", "x-host"):
            self.attribute("target-machine", _TARGET, value)
        elif kind == "vulnerability":
            self.attribute("vulnerability", "External analysis", value)
        elif kind == "file" and len(value) in (32, 40, 64) and value.isalnum():
            name = {32: "md5", 40: "sha1", 64: "sha256"}[len(value)]
            self.attribute(name, "Payload delivery", value)
        elif kind and value:
            self.attribute("text", _OTHER, f"{kind}: {value}")

    def attribute(
        self, kind: str, category: str, value: str, to_ids: bool = False, comment: str = ""
    ) -> None:
        if (kind, value) in self._seen or len(self.attributes) >= _MOST or not value:
            return
        self._seen.add((kind, value))
        self.attributes.append(self._made(kind, category, value, to_ids, comment, ""))

    def object(self, name: str, parts: Iterable[tuple[str, str, str, str, bool]]) -> None:
        uuid, version, category = _TEMPLATES[name]
        own = _uuid(f"{self.uuid} {name}")
        inner = [
            {**self._made(kind, group, value, to_ids, "", f"{own} {relation}"), "object_relation": relation}
            for relation, kind, group, value, to_ids in parts
            if value
        ]
        if inner:
            self.objects.append(
                {
                    "name": name,
                    "meta-category": category,
                    "template_uuid": uuid,
                    "template_version": version,
                    "uuid": own,
                    "timestamp": self.time,
                    "distribution": "5",
                    "Attribute": inner,
                }
            )

    def _made(
        self, kind: str, category: str, value: str, to_ids: bool, comment: str, key: str
    ) -> dict[str, Any]:
        return {
            "uuid": _uuid(f"{key or self.uuid} {kind} {value}"), "type": kind, "category": category, "value": value,
            "to_ids": to_ids, "disable_correlation": False, "comment": comment, "timestamp": self.time,
            "distribution": "5", **self.span,
        }  # fmt: skip


def event_of(document: Mapping[str, Any], level: str = AMBER, organisation: str = "Andon") -> dict[str, Any]:
    """``{"Event": ...}`` of a finding's, alert's, case's or intent's JSON form. Raises ValueError for what has no
    id."""
    return _writer(organisation).event(view(document), level)


@lru_cache(maxsize=8)
def _writer(organisation: str) -> Writer:
    return Writer(organisation)


def feed(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """File name to text of a feed: an event a file, ``manifest.json`` and ``hashes.csv``."""
    files: dict[str, str] = {}
    manifest: dict[str, Any] = {}
    hashes: list[str] = []
    for event in events:
        body = event["Event"]
        files[f"{body['uuid']}.json"] = json.dumps(event, ensure_ascii=False)
        manifest[body["uuid"]] = manifest_entry(event)
        held = [*body["Attribute"], *(inner for one in body["Object"] for inner in one["Attribute"])]
        for one in held:
            digest = hashlib.md5(
                one["value"].encode("utf-8", "surrogatepass"), usedforsecurity=False
            ).hexdigest()
            hashes.append(f"{digest},{body['uuid']}")
    files["manifest.json"] = json.dumps(manifest, ensure_ascii=False)
    files["hashes.csv"] = "".join(f"{line}\n" for line in dict.fromkeys(hashes))
    return files


def manifest_entry(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest of a feed says of one event."""
    body = event["Event"]
    return {
        name: body[name]
        for name in ("info", "Orgc", "analysis", "Tag", "timestamp", "date", "threat_level_id")
    }


def _uuid(text: str) -> str:
    return uuid5(_SPACE, f"misp {text}")


_COLOURS: Final[Mapping[str, str]] = {
    "tlp:clear": "#ffffff", "tlp:green": "#339900", "tlp:amber": "#ffc000", "tlp:amber+strict": "#ffc000",
    "tlp:red": "#cc0033",
}  # fmt: skip


def _tag(name: str) -> dict[str, str]:
    return {"name": name, "colour": _COLOURS.get(name, "#3d5a80")}


def _technique(technique: str) -> str:
    """As the galaxy writes it: ``NAME - NUMBER``; a number without a name as a tag of ours."""
    name = NAMES.get(technique)
    return (
        f'misp-galaxy:mitre-attack-pattern="{name} - {technique}"'
        if name
        else f'andon:technique="{technique}"'
    )


def _kind(address: str) -> str:
    return "ipv6-addr" if ":" in address else "ipv4-addr"


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:1000]


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
