"""MITRE ATT&CK as a STIX 2.0 or 2.1 bundle (``enterprise-attack.json``): techniques, groups, software, campaigns,
uses.

Only what is in force is read (neither revoked nor deprecated). Artefacts are cut out of the texts of ``uses``
relationships, where ATT&CK quotes them: what stands between backquotes or ``<code>`` marks, by its shape."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from andon.observe.knowledge.documents import MOST, KnowledgeError, document

_QUOTED: Final = re.compile(r"<code>(.{3,300}?)</code>|`([^`\n]{3,300})`")
_KEY: Final = re.compile(r"^(?:HK(?:LM|CU|U|CR|CC)|HKEY_[A-Z_]+)\b", re.IGNORECASE)
_FILE: Final = re.compile(
    r"^[\w.-]{1,60}\.(?:"
    r"exe|dll|sys|bat|cmd|ps1|vbs|js|py|sh|so|dat|tmp|ini|lnk|hta|php|aspx?|jsp|jar|doc[xm]?|xls[xm]?|pdf|txt|db)$",
    re.IGNORECASE,
)
_PATH: Final = re.compile(r"^(?:[A-Za-z]:\\|%[A-Za-z]+%|\\\\|~?/)[^\s].{2,}$")
_PER_ENTITY: Final = 500


@dataclass
class Actor:
    """A group, campaign or piece of software of ATT&CK. ``uses``: numbers of techniques; ``software``: numbers;
    ``users``: numbers of groups; ``artefacts``: (kind, value)."""

    number: str
    name: str
    kind: str  # "group", "campaign", "family"
    aliases: tuple[str, ...]
    description: str
    created: str
    uses: set[str] = field(default_factory=set)
    software: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    artefacts: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class Attack:
    """``version``: of the collection, or the newest change (ISO date); ``left_out``: objects revoked, deprecated,
    damaged."""

    techniques: dict[str, tuple[str, tuple[str, ...]]]
    actors: dict[str, Actor]
    version: str
    left_out: int


_KINDS: Final = {"intrusion-set": "group", "campaign": "campaign", "malware": "family", "tool": "family"}


def read(path: Path) -> Attack:
    """Raises OSError, KnowledgeError."""
    bundle = document(path)
    items = bundle.get("objects") if isinstance(bundle, dict) else None
    if not isinstance(items, list) or bundle.get("type") != "bundle":
        raise KnowledgeError(
            f"{path}: not a STIX bundle; needed is ATT&CK's enterprise-attack.json "
            "(github.com/mitre-attack/attack-stix-data)"
        )
    by_id: dict[str, tuple[str, str]] = {}  # STIX id -> (type, number)
    found = Attack({}, {}, "", 0)
    edges = []
    for item in items[:MOST]:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            found.left_out += 1
            continue
        kind = item.get("type")
        if item.get("revoked") is True or item.get("x_mitre_deprecated") is True:
            found.left_out += 1
        elif kind == "attack-pattern":
            if number := _number(item, "T"):
                by_id[item["id"]] = ("technique", number)
                found.techniques[number] = (_text(item.get("name"), 200), _tactics(item))
        elif kind in _KINDS:
            if number := _number(item, "GSC"):
                by_id[item["id"]] = (_KINDS[kind], number)
                given = item.get("aliases") or item.get("x_mitre_aliases")
                aliases = given if isinstance(given, list) else []
                found.actors[number] = Actor(
                    number, _text(item.get("name"), 200), _KINDS[kind],
                    tuple(_text(each, 200) for each in aliases[:200] if isinstance(each, str)),
                    _text(item.get("description"), 20_000), _text(item.get("created"), 10),
                )  # fmt: skip
        elif kind == "relationship" and item.get("relationship_type") in ("uses", "attributed-to"):
            edges.append(item)
        elif kind == "x-mitre-collection":
            found.version = _text(item.get("x_mitre_version"), 20)
    for item in edges:
        _join(item, by_id, found)
    if not found.techniques or not found.actors:
        raise KnowledgeError(
            f"{path}: a STIX bundle without techniques, or without groups and software, of ATT&CK"
        )
    if not found.version:
        dates = [_text(item.get("modified"), 10) for item in items[:MOST] if isinstance(item, dict)]
        found.version = "as of " + max(dates, default="")
    return found


def _join(item: dict[str, Any], by_id: dict[str, tuple[str, str]], found: Attack) -> None:
    source, target = by_id.get(str(item.get("source_ref"))), by_id.get(str(item.get("target_ref")))
    if source is None or target is None or source[0] == "technique":
        return
    actor = found.actors[source[1]]
    if item["relationship_type"] == "attributed-to":
        if source[0] == "campaign" and target[0] == "group":
            actor.users.add(target[1])
        return
    if target[0] == "technique":
        if len(actor.uses) < _PER_ENTITY:
            actor.uses.add(target[1])
        for each in artefacts(_text(item.get("description"), 20_000)):
            if len(actor.artefacts) < _PER_ENTITY:
                actor.artefacts.add(each)
    elif target[0] == "family":
        if len(actor.software) < _PER_ENTITY:
            actor.software.add(target[1])
        if source[0] == "group":
            found.actors[target[1]].users.add(source[1])


def artefacts(text: str) -> list[tuple[str, str]]:
    """(kind of Observation, value) of what a text quotes.

    >>> artefacts("adds `HKCU\\\\Software\\\\X\\\\Run` and drops <code>evil.dll</code>")
    [('registry', 'HKCU\\\\Software\\\\X\\\\Run'), ('file-name', 'evil.dll')]
    """
    found = []
    for match in _QUOTED.finditer(text):
        value = (match[1] or match[2]).strip()
        if _KEY.match(value):
            found.append(("registry", value))
        elif _FILE.match(value):
            found.append(("file-name", value))
        elif _PATH.match(value):
            found.append(("path", value))
        else:
            found.append(("command", value))
    return found


def _number(item: dict[str, Any], letters: str) -> str:
    references = item.get("external_references")
    for each in references if isinstance(references, list) else []:
        if isinstance(each, dict) and each.get("source_name") == "mitre-attack":
            number = _text(each.get("external_id"), 12)
            if re.fullmatch(rf"[{letters}]\d{{4}}(?:\.\d{{3}})?", number):
                return number
    return ""


def _tactics(item: dict[str, Any]) -> tuple[str, ...]:
    phases = item.get("kill_chain_phases")
    return tuple(
        _text(each.get("phase_name"), 40)
        for each in (phases[:20] if isinstance(phases, list) else [])
        if isinstance(each, dict) and each.get("kill_chain_name") == "mitre-attack"
    )


def _text(value: Any, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


def users_of(found: Attack) -> dict[str, set[str]]:
    """family number -> groups that use it, also by way of a campaign that is told to be theirs."""
    table: dict[str, set[str]] = defaultdict(set)
    for actor in found.actors.values():
        if actor.kind == "family":
            table[actor.number] |= actor.users
        elif actor.kind == "campaign":
            for number in actor.software:
                table[number] |= actor.users
    return table
