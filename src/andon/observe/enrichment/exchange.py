"""Whole documents: MISP events (attributes, objects, references), STIX 2.1 bundles, graphs as nodes and edges.

What one MISP event or STIX report lists is tied to that event as ``seen-in``: the graph treats it as one more thing
that
is shared, no stronger than its size allows. Ties inside an object (a domain-ip, a file, a whois object) are
relations of
their own. Of a STIX pattern every compared value is taken; a pattern names what to look for and joins nothing by
itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from andon.observe.enrichment.values import (
    Refused,
    Rows,
    kind_of,
    moment,
    node,
    operator,
    usual_relation,
    words,
)
from andon.records.infrastructure import (
    ADDRESS,
    ANNOUNCED,
    CASE,
    CERTIFICATE,
    CONFIGURED,
    CONTACTS,
    DOMAIN,
    DROPS,
    FETCHED,
    FILE,
    FILE_NAME,
    IS_A,
    MALWARE,
    NAMED,
    OPERATOR,
    REGISTRANT,
    RELATED,
    RELATIONS,
    RESOLVES,
    SEEN_IN,
)

_MOST: Final = 1_000_000
_COMPARISON: Final = re.compile(
    r"(domain-name:value|ipv[46]-addr:value|url:value|email-addr:value|file:name|file:hashes\.'?[\w-]+'?|"
    r"x509-certificate:hashes\.'?[\w-]+'?)\s*=\s*'((?:[^'\\]|\\.){1,400})'"
)
_GALAXY: Final = re.compile(
    r'misp-galaxy:(?:malpedia|[a-z0-9-]*malware|tool|ransomware|botnet|rat)="([^"]+)"'
)
_STIX: Final = {
    "domain-name": DOMAIN,
    "ipv4-addr": ADDRESS,
    "ipv6-addr": ADDRESS,
    "url": "url",
    "email-addr": REGISTRANT,
}
_VERBS: Final = {
    "resolves-to": RESOLVES,
    "communicates-with": CONTACTS,
    "beacons-to": CONTACTS,
    "exfiltrates-to": CONTACTS,
    "downloads": FETCHED,
    "drops": DROPS,
    "controls": CONFIGURED,
    "uses": "",
    "indicates": "",
    "related-to": RELATED,
    "variant-of": RELATED,
    "belongs-to": "",
    "derived-from": RELATED,
    "duplicate-of": RELATED,
    "based-on": "",
    "consists-of": "",
    "hosts": "",
    "owns": "",
    "compromises": "",
}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value[:_MOST] if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def misp_events(document: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """MISP events, alone, in a response or in an array."""
    if depth > 4:
        return
    if isinstance(document, list):
        for item in _dicts(document):
            yield from misp_events(item, depth + 1)
    elif isinstance(document, dict):
        if isinstance(document.get("Event"), dict):
            yield document["Event"]
        elif "Attribute" in document or "Object" in document:
            yield document
        else:
            for key in ("response", "events"):
                yield from misp_events(document.get(key), depth + 1)


def misp(rows: Rows, event: dict[str, Any], origin: str) -> None:
    """Attributes, objects and references of one event."""
    label = _text(event.get("info")) or _text(event.get("uuid")) or "event"
    case = (CASE, words(f"{label} ({event['uuid'][:8]})" if _text(event.get("uuid")) else label))
    day = moment(event.get("date"))
    families = [
        hit[1] for tag in _dicts(event.get("Tag")) if (hit := _GALAXY.fullmatch(_text(tag.get("name"))))
    ]
    by_uuid: dict[str, tuple[str, str]] = {}
    for number, attribute in enumerate(_dicts(event.get("Attribute")), 1):
        _attribute(rows, attribute, case, day, origin, f"attribute {number}", by_uuid, families)
    referring: list[tuple[str, str]] = []
    for number, item in enumerate(_dicts(event.get("Object")), 1):
        where = f"object {number}"
        found: list[tuple[str, str]] = []
        for attribute in _dicts(item.get("Attribute")):
            found += _attribute(rows, attribute, case, day, origin, where, by_uuid, families)
        _inside(rows, found, day, origin)
        if found and _text(item.get("uuid")):
            by_uuid[item["uuid"]] = found[0]
        referring += [
            (_text(item.get("uuid")), _text(reference.get("referenced_uuid")))
            for reference in _dicts(item.get("ObjectReference"))
        ]
    for a, b in referring:
        if a in by_uuid and b in by_uuid:
            _tie(rows, by_uuid[a], by_uuid[b], "", day, day, origin)


def _attribute(
    rows: Rows,
    attribute: dict[str, Any],
    case: tuple[str, str],
    day: int | None,
    origin: str,
    where: str,
    by_uuid: dict[str, tuple[str, str]],
    families: list[str],
) -> list[tuple[str, str]]:
    """Nodes that an attribute names; composite types (filename|sha256, domain|ip) name two."""
    if attribute.get("deleted") is True:
        rows.skipped.add(f"{where}: deleted")
        return []
    types, value = _text(attribute.get("type")), _text(attribute.get("value"))
    first = moment(attribute.get("first_seen")) or day
    last = moment(attribute.get("last_seen")) or first
    found: list[tuple[str, str]] = []
    for kind_word, part in zip(types.split("|"), value.split("|"), strict=False):
        kind = kind_of(kind_word)
        if kind_word in (
            "port",
            "text",
            "comment",
            "datetime",
            "counter",
            "size-in-bytes",
            "boolean",
            "float",
        ):
            continue
        if not kind:
            rows.skipped.add(f"{where}: an attribute of type {kind_word[:30]!r}")
            continue
        try:
            found.append(node(kind, part))
        except Refused as error:
            rows.skipped.add(f"{where}: {part[:40]!r}: {error}")
    for made in found:
        rows.add(made, SEEN_IN, case, origin, first, last)
        if made[0] == FILE:
            for family in families:
                rows.add(made, IS_A, (MALWARE, words(family)), origin, first, last)
    _inside(rows, found, first, origin)
    if found and _text(attribute.get("uuid")):
        by_uuid[attribute["uuid"]] = found[0]
    return found


def _inside(rows: Rows, found: list[tuple[str, str]], when: int | None, origin: str) -> None:
    """Ties between the things that one object names: hashes of one file, a name and its address."""
    hashes = [value for kind, value in found if kind == FILE]
    best = rows.same(list(dict.fromkeys(hashes)), origin, "object") if hashes else ""
    others = [made for made in found if made[0] != FILE]
    if best:
        for made in others:
            _tie(rows, (FILE, best), made, "", when, when, origin)
        return
    names = [made for made in others if made[0] == DOMAIN]
    for made in others:
        for subject in names[:8]:
            if made[0] != DOMAIN:
                _tie(rows, subject, made, "", when, when, origin)


def _tie(
    rows: Rows,
    a: tuple[str, str],
    b: tuple[str, str],
    relation: str,
    first: int | None,
    last: int | None,
    origin: str,
) -> None:
    if not relation:
        relation, turned = usual_relation(a[0], b[0])
        a, b = (b, a) if turned else (a, b)
    rows.add(a, relation, b, origin, first, last)


def stix(rows: Rows, bundle: dict[str, Any], origin: str) -> None:
    """Observables, indicators, malware, reports and relationships of a bundle."""
    objects = _dicts(bundle.get("objects"))
    nodes: dict[str, list[tuple[str, str]]] = {}
    for number, item in enumerate(objects, 1):
        identity = _text(item.get("id"))
        try:
            made = _stix_node(rows, item, origin, f"object {number}")
        except Refused as error:
            rows.skipped.add(f"object {number}: {error}")
            continue
        if made and identity:
            nodes[identity] = made
    for item in objects:
        kind = item.get("type")
        first = moment(item.get("start_time") or item.get("first_seen"))
        last = moment(item.get("stop_time") or item.get("last_seen")) or first
        if kind == "relationship":
            verb = _text(item.get("relationship_type"))
            relation = verb if verb in RELATIONS else _VERBS.get(verb)
            if relation is None or verb == "resolves-to":
                relation = RESOLVES if verb == "resolves-to" else ""
            for a in nodes.get(_text(item.get("source_ref")), ())[:100]:
                for b in nodes.get(_text(item.get("target_ref")), ())[:100]:
                    _tie(rows, a, b, relation, first, last, origin)
        elif kind in ("report", "grouping", "observed-data", "campaign", "intrusion-set", "incident"):
            case = nodes.get(_text(item.get("id")))
            for ref in item.get("object_refs", ()) if isinstance(item.get("object_refs"), list) else ():
                for named in nodes.get(_text(ref), ()) if case else ():
                    if case and named[0] != CASE:
                        rows.add(named, SEEN_IN, case[0], origin, first, last)
        for key, relation in (
            ("resolves_to_refs", ""),
            ("belongs_to_refs", ANNOUNCED),
            ("sample_refs", IS_A),
        ):
            for ref in item.get(key, ()) if isinstance(item.get(key), list) else ():
                for a in nodes.get(_text(item.get("id")), ()):
                    for b in nodes.get(_text(ref), ()):
                        a_to_b = (b, a) if relation == IS_A else (a, b)
                        _tie(
                            rows,
                            *a_to_b,
                            relation if relation != IS_A or a_to_b[0][0] == FILE else "",
                            None,
                            None,
                            origin,
                        )


def _stix_node(rows: Rows, item: dict[str, Any], origin: str, where: str) -> list[tuple[str, str]]:
    kind = _text(item.get("type"))
    if item.get("revoked") is True:
        rows.skipped.add(f"{where}: revoked")
        return []
    if kind in _STIX:
        return [node(_STIX[kind], _text(item.get("value")))]
    if kind == "autonomous-system":
        return [(OPERATOR, operator(item.get("number"), _text(item.get("name")) or "?"))]
    if kind in {"malware", "tool"}:
        return [(MALWARE, words(_text(item.get("name"))))]
    if kind in ("file", "x509-certificate"):
        hashes = item.get("hashes")
        texts = (
            [text for text in hashes.values() if isinstance(text, str)] if isinstance(hashes, dict) else []
        )
        texts = [text for text in texts if len(text) in (32, 40, 64)]
        if kind == "x509-certificate":
            mark = max(texts, key=len) if texts else _text(item.get("serial_number"))
            return [node(CERTIFICATE, mark)]
        best = rows.same(texts, origin, where)
        if best and _text(item.get("name")):
            rows.link(FILE, best, NAMED, FILE_NAME, item["name"], origin, where)
        return [(FILE, best)] if best else []
    if kind in ("report", "grouping", "campaign", "intrusion-set", "incident"):
        return [(CASE, words(_text(item.get("name")) or _text(item.get("id"))))]
    if kind == "indicator":
        return _pattern(rows, _text(item.get("pattern")), where)
    if kind in ("relationship", "identity", "marking-definition", "bundle", "observed-data"):
        return []
    if item.get("value") or item.get("name"):
        rows.skipped.add(f"{where}: an object of type {kind[:40]!r}")
    return []


def _pattern(rows: Rows, pattern: str, where: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path, text in _COMPARISON.findall(pattern[:100_000]):
        head = path.split(":", 1)[0]
        kind = _STIX.get(
            head, CERTIFICATE if head == "x509-certificate" else FILE_NAME if path == "file:name" else FILE
        )
        try:
            found.append(node(kind, re.sub(r"\\(.)", r"\1", text)))
        except Refused as error:
            rows.skipped.add(f"{where}: {text[:40]!r}: {error}")
    if not found:
        rows.skipped.add(f"{where}: a pattern without a name, address, file or certificate")
    return list(dict.fromkeys(found))


def graph(rows: Rows, document: dict[str, Any], origin: str) -> None:
    """``{"nodes": [...], "edges": [[a, b], ...]}``, node ids as ``kind:value`` or with fields kind (type) and value
    (label); edges also as objects with source, target, and relation, first, last where they are said. Other fields of
    nodes are not read."""
    known: dict[str, tuple[str, str]] = {}
    refused: set[str] = set()
    for number, item in enumerate(_dicts(document.get("nodes")), 1):
        identity = str(item.get("id", ""))
        head, _, tail = identity.partition(":")
        kind = kind_of(_text(item.get("kind")) or _text(item.get("type")) or head)
        value = _text(item.get("value")) or _text(item.get("label")) or (tail if kind_of(head) else identity)
        try:
            if not kind:
                raise Refused(f"a node of kind {head[:30]!r}")
            known[identity] = node(kind, value)
        except Refused as error:
            refused.add(identity)
            rows.skipped.add(f"node {number}: {identity[:60]!r}: {error}")
    edges = document.get("edges") or document.get("links") or []
    for number, item in enumerate(edges[:_MOST] if isinstance(edges, list) else [], 1):
        if isinstance(item, dict):
            a, b = str(item.get("source", "")), str(item.get("target", ""))
        elif isinstance(item, list) and len(item) >= 2:
            a, b = str(item[0]), str(item[1])
            item = {}
        else:
            rows.skipped.add(f"edge {number}: neither a pair nor an object")
            continue
        ends: list[tuple[str, str]] = []
        for text in (a, b):
            if text in known:
                ends.append(known[text])
                continue
            head, _, tail = text.partition(":")
            try:
                if text in refused or not kind_of(head):
                    raise Refused("not among the nodes")
                ends.append(node(kind_of(head), tail))
            except Refused as error:
                rows.skipped.add(f"edge {number}: {text[:60]!r}: {error}")
        if len(ends) == 2:
            said = _text(item.get("relation")) or _text(item.get("kind")) or _text(item.get("type"))
            relation = said if said in RELATIONS else ""
            first = moment(item.get("first") or item.get("first_seen"))
            last = moment(item.get("last") or item.get("last_seen"))
            _tie(rows, ends[0], ends[1], relation, first, last, origin)
