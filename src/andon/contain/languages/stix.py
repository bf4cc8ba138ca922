"""Intents as STIX 2.1 courses of action, and courses of action of others as proposals.

A ``course-of-action`` *mitigates* an ``indicator`` of what is cut (4.3, 4.7, Appendix B). STIX 2.1 reserves the
property ``action`` for later, so what a machine needs stands in a property extension (7.3) that the bundle defines:
action, parties, seconds, and the same as OpenC2. Ids are UUIDv5 of what an object is about, so that a repetition is the
same object. Systems of ours are told only where ``own`` is set: whoever gets a course of action against a C2 server
need not learn who spoke to it.

On the way in, the extension is read; without it, a course of action whose name says that something is to be blocked is
read as that, if it mitigates indicators that name single addresses, prefixes, names or URLs. All others are left
to people ("train users" mitigates indicators too).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_network
from typing import Any, Final

from andon.contain.contract import NotExpressible
from andon.contain.languages.document import DocumentError, a_text, an_object, bounded, shown
from andon.contain.languages.openc2 import commands
from andon.contain.languages.openc2_check import PF
from andon.contain.languages.request import MOST_INTENTS, SECOND, Asker, Imported, net_party
from andon.records.finding import nanoseconds, timestamp
from andon.records.intent import (
    ACTIONS,
    ADDRESS,
    ALLOW,
    BLOCK,
    BLOCK_PAIR,
    DOMAIN,
    HOST,
    MIRROR,
    PARTIES,
    PREFIX,
    PROXY,
    QUARANTINE,
    URL,
    Intent,
    Party,
)
from andon.share.stix import NAMESPACE

_BORN: Final = "2020-01-01T00:00:00.000Z"  # of what is always the same, here and in ``share``
EXTENSION: Final = f"extension-definition--{uuid.uuid5(NAMESPACE, 'extension-definition containment/1')}"
_IDENTITY: Final = f"identity--{uuid.uuid5(NAMESPACE, 'identity andon')}"
_SCHEMA: Final = (
    "extension_type: property-extension. action: one of allow, proxy, mirror, block-pair, sinkhole, block, quarantine. "
    "subject, target: {kind: host, address, prefix, domain or url; value}. seconds: how long it holds. until: when it "
    "ends, RFC 3339. openc2: the same as OpenC2 commands."
)
_OURS: Final = frozenset((BLOCK_PAIR, QUARANTINE, PROXY, MIRROR))  # their subject is a system of ours
_VERBS: Final = re.compile(r"\b(block|deny|drop|blackhole|blocklist|firewall)", re.IGNORECASE)
_COMPARISON: Final = re.compile(
    r"(ipv4-addr|ipv6-addr|domain-name|url):value\s*(=|ISSUBSET)\s*'((?:[^'\\]|\\['\\]){1,2048})'"
)
_KINDS: Final = {"domain-name": DOMAIN, "url": URL}
_MOST_PATTERN: Final = 20_000  # characters
_SHOWN: Final = 250


def bundle(intents: Sequence[Intent], own: bool = False) -> dict[str, Any]:
    """A bundle of courses of action."""
    made: dict[str, dict[str, Any]] = {}
    for intent in intents:
        for one in objects(intent, own):
            made.setdefault(one["id"], one)
    number = uuid.uuid5(NAMESPACE, " ".join(f"{key}{one['modified']}" for key, one in made.items()))
    return {"type": "bundle", "id": f"bundle--{number}", "objects": list(made.values())}


def objects(intent: Intent, own: bool = False) -> list[dict[str, Any]]:
    """The objects of one intent: who says it, the extension, the course of action, indicators, relationships."""
    time = _milliseconds(intent.created)
    key = f"{intent.id:016x}"
    subject = intent.subject if own or not _is_ours(intent) else None
    said = [intent.action, subject.value if subject else "a system of ours"]
    if intent.target is not None:
        said += ["towards", intent.target.value]
    extension: dict[str, Any] = {
        "extension_type": "property-extension", "action": intent.action, "seconds": intent.ttl / SECOND,
        "until": timestamp(intent.until),
    }  # fmt: skip
    if subject is not None:
        extension["subject"] = _party(subject)
    if intent.target is not None:
        extension["target"] = _party(intent.target)
    if subject is not None:
        with suppress(NotExpressible):
            extension["openc2"] = commands(intent if own else intent.with_(reason=""), PF)
    action = {
        **_object("course-of-action", key, time), "name": shown(" ".join(said), _SHOWN),
        "description": shown(intent.reason, 2000) if own and intent.reason else shown(" ".join(said), 2000),
        "external_references": [{"source_name": "andon", "external_id": key, "description": "intent"}],
        "extensions": {EXTENSION: extension},
    }  # fmt: skip
    made = [_identity(), _definition(), action]
    for party, kind in _mitigated(intent, subject):
        pattern = _pattern(party)
        if not pattern:
            continue
        indicator = {
            **_object("indicator", f"{kind} {pattern}", time), "name": shown(party.value, _SHOWN),
            "indicator_types": [kind], "pattern": pattern, "pattern_type": "stix", "valid_from": time,
        }  # fmt: skip
        relation = {
            **_object("relationship", f"{action['id']} mitigates {indicator['id']}", time),
            "relationship_type": "mitigates", "source_ref": action["id"], "target_ref": indicator["id"],
        }  # fmt: skip
        made += [indicator, relation]
    return made


def _is_ours(intent: Intent) -> bool:
    return intent.subject.kind == HOST or intent.action in _OURS


def _mitigated(intent: Intent, subject: Party | None) -> list[tuple[Party, str]]:
    """Parties that are cut, and what an indicator of each indicates. What is allowed is nothing to mitigate."""
    if intent.action == ALLOW:
        return []
    made: list[tuple[Party, str]] = []
    if intent.target is not None:
        made.append((intent.target, "malicious-activity"))
    if subject is not None and not (_is_ours(intent) and intent.target is not None):
        made.append((subject, "compromised" if _is_ours(intent) else "malicious-activity"))
    return made


def _party(party: Party) -> dict[str, str]:
    return {"kind": party.kind, "value": party.value}


def _object(kind: str, key: str, time: str) -> dict[str, Any]:
    return {
        "type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid.uuid5(NAMESPACE, f'{kind} {key}')}",
        "created_by_ref": _IDENTITY, "created": time, "modified": time,
    }  # fmt: skip


def _identity() -> dict[str, Any]:
    return {
        "type": "identity", "spec_version": "2.1", "id": _IDENTITY, "created": _BORN, "modified": _BORN,
        "name": "Andon", "identity_class": "system",
    }  # fmt: skip


def _definition() -> dict[str, Any]:
    return {
        "type": "extension-definition", "spec_version": "2.1", "id": EXTENSION, "created_by_ref": _IDENTITY,
        "created": _BORN, "modified": _BORN, "name": "Containment", "schema": _SCHEMA, "version": "1.0.0",
        "description": "What a course of action does to whose traffic, and for how long.",
        "extension_types": ["property-extension"],
    }  # fmt: skip


def _milliseconds(time: int) -> str:
    seconds, rest = divmod(time, SECOND)
    return f"{timestamp(seconds * SECOND).removesuffix('Z')}.{rest // 1_000_000:03d}Z"


def _pattern(party: Party) -> str:
    """A STIX pattern that names the party; "" for a host without addresses."""
    if party.kind in (DOMAIN, URL):
        kind = "domain-name" if party.kind == DOMAIN else "url"
        return f"[{kind}:value = {_quoted(party.value)}]"
    values = (party.value,) if party.kind in (ADDRESS, PREFIX) else party.addresses
    return " OR ".join(f"[{_comparison(value)}]" for value in values)


def _comparison(value: str) -> str:
    net = ip_network(value)
    single = net.prefixlen == net.max_prefixlen
    return f"ipv{net.version}-addr:value {'=' if single else 'ISSUBSET'} {_quoted(value)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def read(document: Any, asker: Asker) -> Imported:
    """What the courses of action of a bundle (or of one object, or a list of them) would do, as proposals. Raises
    DocumentError for what is no STIX."""
    given = bounded(document)
    if isinstance(given, dict):
        given = given.get("objects", []) if given.get("type") == "bundle" else [given]
    if not isinstance(given, list) or not all(isinstance(one, dict) and "type" in one for one in given):
        raise DocumentError("a STIX bundle or an array of objects was expected")
    by_id = {one["id"]: one for one in given if isinstance(one.get("id"), str)}
    intents: list[Intent] = []
    left_out: list[str] = []
    for one in by_id.values():
        if one.get("type") != "course-of-action":
            continue
        name = shown(str(one.get("name", "")), 80)
        try:
            intents += _taken(one, by_id, asker, left_out)
        except DocumentError as error:
            left_out.append(f"{shown(one['id'], 80)} ({name}): {error}")
        if len(intents) > MOST_INTENTS:
            raise DocumentError(f"more than {MOST_INTENTS:,} things to do")
    return Imported(tuple(intents), left_out=tuple(left_out))


def _taken(
    one: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]], asker: Asker, left_out: list[str]
) -> list[Intent]:
    if one.get("revoked") is True:
        raise DocumentError("it was revoked")
    extensions = one.get("extensions", {})
    reason = f"{one.get('name', '')}: {one.get('description', '')}"
    if isinstance(extensions, dict) and EXTENSION in extensions:
        return [_of_extension(an_object(extensions[EXTENSION], "extension"), one, asker, reason)]
    if not _VERBS.search(str(one.get("name", ""))):
        raise DocumentError("it says nothing that a machine could do")
    made: list[Intent] = []
    for relation in by_id.values():
        if (
            relation.get("type") == "relationship"
            and relation.get("relationship_type") == "mitigates"
            and relation.get("source_ref") == one["id"]
        ):
            indicator = by_id.get(str(relation.get("target_ref")), {})
            try:
                made += _of_indicator(indicator, one, asker, reason)
            except DocumentError as error:
                left_out.append(f"{shown(str(relation.get('target_ref')), 80)}: {error}")
    if not made:
        raise DocumentError("it mitigates nothing that names an address, prefix, name or URL")
    return made


def _of_extension(said: Mapping[str, Any], one: Mapping[str, Any], asker: Asker, reason: str) -> Intent:
    action = said.get("action")
    if action not in ACTIONS:
        raise DocumentError(f"action: {shown(str(action), 40)!r} is none")
    seconds = said.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 10**9:
        raise DocumentError("seconds: a number was expected")
    ttl = round(seconds * SECOND)
    if "until" in said:
        try:
            ttl = min(ttl, nanoseconds(a_text(said["until"], "until", 40)) - asker.now)
        except ValueError as error:
            raise DocumentError(f"until: {error}") from error
    if "subject" not in said:
        raise DocumentError("whose traffic is meant is withheld")
    target = _given(said["target"], asker) if "target" in said else None
    return asker.intent(action, _given(said["subject"], asker), target, ttl, "stix", one["id"], reason)


def _given(party: Any, asker: Asker) -> Party:
    said = an_object(party, "party")
    kind, value = said.get("kind"), said.get("value")
    if kind not in PARTIES or not isinstance(value, str):
        raise DocumentError("party: a kind and a value were expected")
    return asker.of(kind, value)


def _of_indicator(
    indicator: Mapping[str, Any], one: Mapping[str, Any], asker: Asker, reason: str
) -> list[Intent]:
    if indicator.get("type") != "indicator" or indicator.get("revoked") is True:
        raise DocumentError("no indicator, or revoked")
    if indicator.get("pattern_type", "stix") != "stix":
        raise DocumentError("a pattern of another language")
    ttl = asker.ttl
    if "valid_until" in indicator:
        try:
            ttl = min(ttl, nanoseconds(a_text(indicator["valid_until"], "valid_until", 40)) - asker.now)
        except ValueError as error:
            raise DocumentError(f"valid_until: {error}") from error
    return [
        asker.intent(BLOCK, party, None, ttl, "stix", one["id"], reason)
        for party in parties(a_text(indicator.get("pattern"), "pattern", _MOST_PATTERN), asker)
    ]


def parties(pattern: str, asker: Asker) -> list[Party]:
    """The parties that a pattern names, if it is nothing but comparisons joined by OR: of others, one part says
    nothing. Raises DocumentError."""
    found = _COMPARISON.findall(pattern)
    rest = _COMPARISON.sub("", pattern).replace("OR", "").translate({ord(c): None for c in " \t\r\n[]()"})
    if not found or rest:
        raise DocumentError("the pattern does not just name addresses, prefixes, names or URLs")
    made: list[Party] = []
    for kind, operator, value in found:
        text = re.sub(r"\\(.)", r"\1", value)
        if kind in _KINDS:
            if operator != "=":
                raise DocumentError("ISSUBSET is for addresses")
            made.append(asker.of(_KINDS[kind], text))
        else:
            party = net_party(asker, text)
            if (":" in text) != (kind == "ipv6-addr"):
                raise DocumentError(f"{shown(text, 60)!r} is no {kind}")
            made.append(party)
    return made
