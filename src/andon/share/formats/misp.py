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

from andon.share.formats.misp_page import NAMES_OF_OURS, NETWORK, OTHER, Page
from andon.share.formats.stix import bpf, dumps
from andon.share.formats.techniques import NAMES
from andon.share.formats.view import CASE, INTENT, View, milliseconds, view
from andon.share.policy import AMBER, Caution

_THREAT: Final[Mapping[str, str]] = {
    "critical": "1",
    "high": "1",
    "medium": "2",
    "low": "3",
    "informational": "4",
}
_TEXT: Final = 20_000
_SHORT: Final = 120  # tags that are remembered


class Writer:
    """Makes events. ``organisation``: who says it (Orgc). Pure."""

    def __init__(self, organisation: str = "Andon", caution: Caution | None = None) -> None:
        self.caution = caution or Caution()
        self.organisation = {
            "name": organisation[:250],
            "uuid": NAMES_OF_OURS.of(f"organisation {organisation}"),
        }
        self._orgc = dumps(self.organisation)

    def event(self, told: View, level: str = AMBER) -> dict[str, Any]:
        """``{"Event": {...}}``. Raises ValueError for a view without an id."""
        page = self._page(told)
        return {
            "Event": {
                **self._head(told, level, page),
                "Orgc": self.organisation,
                "Tag": [_tag(name) for name in _tags(told, level)],
                "Attribute": page.attributes(),
                "Object": page.objects(),
            }
        }

    def text(self, told: View, level: str = AMBER) -> str:
        """The event as JSON in one line: ``dumps(event(...))``, in two thirds of the time."""
        page = self._page(told)
        head = dumps(self._head(told, level, page))[:-1]
        tags = ",".join(
            [_tag_text(one) if len(one) < _SHORT else dumps(_tag(one)) for one in _tags(told, level)]
        )
        return f'{{"Event":{head},"Orgc":{self._orgc},"Tag":[{tags}],{page.text()}}}}}'

    def _page(self, told: View) -> Page:
        if not told.id:
            raise ValueError("what has no id cannot be told to MISP")
        uuid = NAMES_OF_OURS.of(f"event {self.organisation['uuid']} {told.what} {told.id}")
        issued = str((milliseconds(told.issued) or 0) // 1000 + min(told.revision - 1, 1 << 31))
        span = {"first_seen": told.first, "last_seen": max(told.first, told.last)} if told.first else {}
        ids = {one for one in told.hostile if not self.caution.holds(*one)}
        page = Page(uuid, issued, span, ids)
        if told.what == INTENT:
            self._intent(told, page)
        else:
            self._things(told, page)
        if told.telling and (relation := told.relation) and (text := bpf(relation)):
            page.attribute("pattern-in-traffic", NETWORK, text, comment="tcpdump (BPF) filter")
        notes = [told.statement, *(f"- {statement}" for statement, _ in told.evidence)]
        page.object("annotation", [("text", "text", OTHER, "\n".join(notes)[:_TEXT] or told.title, False),
                                   ("type", "text", OTHER, "Executive Summary", False)])  # fmt: skip
        return page

    def _head(self, told: View, level: str, page: Page) -> dict[str, Any]:
        """What stands before the organisation, the tags and the attributes."""
        return {
            "uuid": page.uuid,
            "info": _line(told.title) or told.kind,
            "date": (told.first or told.issued)[:10] or "1970-01-01",
            "timestamp": page.time,
            "published": False,
            "analysis": "2" if told.state in ("closed", "") else "1",
            "threat_level_id": _THREAT.get(told.severity, "4"),
            "distribution": "0" if level in ("red", "amber+strict") else "1",
        }

    def _things(self, told: View, page: Page) -> None:
        senders = set(told.senders).difference(told.targets)
        page.things(dict.fromkeys([told.subject, *told.entities]), senders)
        source, destination, port = told.source, told.destination, told.ports[0] if told.ports else None
        if source and destination:
            parts = [
                ("ip-src", "ip-src", NETWORK, source, False),
                ("ip-dst", "ip-dst", NETWORK, destination, False),
            ]
            if port:
                parts.append(("dst-port", "port", NETWORK, str(port[0]), False))
                if port[1]:
                    parts.append(("layer4-protocol", "text", OTHER, port[1], False))
            page.object("network-connection", parts)
        elif source and port:
            parts = [
                ("ip-src", "ip-src", NETWORK, source, (_kind(source), source) in page.ids),
                ("dst-port", "port", NETWORK, str(port[0]), False),
            ]
            page.object("ip-port", parts)
        if told.named and destination:
            page.object(
                "domain-ip",
                [("domain", "domain", NETWORK, told.named, ("domain-name", told.named) in page.ids),
                 ("ip", "ip-dst", NETWORK, destination, False)],
            )  # fmt: skip

    def _intent(self, told: View, page: Page) -> None:
        page.things(told.entities)
        page.object(
            "course-of-action",
            [
                ("name", "text", OTHER, told.title, False),
                ("description", "text", OTHER, told.statement or told.title, False),
                ("stage", "text", OTHER, "Response", False),
                ("objective", "text", OTHER, f"state: {told.state}", False),
            ],
        )


def _tags(told: View, level: str) -> Iterable[str]:
    """Names of the tags, each once."""
    tags = [f"tlp:{level}", f'andon:kind="{told.kind}"', *map(_technique, told.attack)]
    if told.severity:
        tags.append(f'andon:severity="{told.severity}"')
    if told.what == CASE:
        tags += [f'andon:attacker="{one}"' for one in told.body.get("attacker") or () if isinstance(one, str)]
        tags += [
            f'andon:verdict="{one["label"]}"'
            for one in _mappings(told.body.get("verdicts"))
            if "label" in one
        ]
    return dict.fromkeys(tags)


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


_COLOURS: Final[Mapping[str, str]] = {
    "tlp:clear": "#ffffff", "tlp:green": "#339900", "tlp:amber": "#ffc000", "tlp:amber+strict": "#ffc000",
    "tlp:red": "#cc0033",
}  # fmt: skip


def _tag(name: str) -> dict[str, str]:
    return {"name": name, "colour": _COLOURS.get(name, "#3d5a80")}


@lru_cache(maxsize=1 << 10)
def _tag_text(name: str) -> str:
    return dumps(_tag(name))


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
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:1000]


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
