"""A growth of the infrastructure graph as a STIX 2.1 bundle: observables, relationships, one grouping.

Ids of observables are UUIDv5 of their identifying properties as the standard has it (STIX 2.1, 2.9), so that the
same name is
the same object everywhere; the others are UUIDv5 of ours. Machines of ours never leave the house this way. A
relationship says first and last sight, and the group's members carry their probability as the confidence of the
relationship that led to them. What STIX has no object for (a detection name) is left out and counted.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from andon.records.finding import timestamp
from andon.records.infrastructure import (
    ADDRESS,
    ANNOUNCED,
    CERTIFICATE,
    DOMAIN,
    FILE,
    FILE_NAME,
    IS_A,
    MALWARE,
    NAME_SERVER,
    OPERATOR,
    REGISTERED,
    REGISTRANT,
    REGISTRAR,
    RELATIONS,
    RESOLVES,
    SAME,
)
from andon.share.formats.stix_ids import EPOCH, HASHES, NAMESPACE, observable, stamp
from andon.triage.infrastructure.export import edges_of, nodes_of, origins
from andon.triage.infrastructure.graph import Graph, interval
from andon.triage.infrastructure.growth import Growth


def stix_bundle(graph: Graph, growth: Growth, at: int | None = None) -> tuple[dict[str, Any], int]:
    """(bundle, things that STIX has no object for) of a growth. ``at``: ns that objects say they were made; None:
    the last
    sight of what is in it, so that the same graph gives the same bytes."""
    nodes = nodes_of(graph, growth)
    rows = edges_of(graph, nodes)
    seen = [last for row in rows.tolist() if (last := interval(graph, row)[1]) is not None]
    made_at = _time(at if at is not None else max(seen, default=None))
    objects: dict[str, dict[str, Any]] = {}
    ids: dict[int, str] = {}
    left_out = 0
    for node in nodes.tolist():
        kind, value = graph.name(node)
        made = _object(kind, value, made_at)
        if made is None:
            left_out += 1
            continue
        ids[node] = made["id"]
        objects[made["id"]] = made
    chances = {(m.kind, m.value): m.probability for m in growth.members}
    for row in rows.tolist():
        made = _relationship(graph, row, ids, chances, made_at)
        if made is not None:
            objects[made["id"]] = made
    members = [ids[node] for m in growth.members for node in graph.find(f"{m.kind}:{m.value}") if node in ids]
    if members:
        seeds = ", ".join(m.value for m in growth.members if m.seed)
        body: dict[str, Any] = {
            "type": "grouping",
            "spec_version": "2.1",
            "created": made_at,
            "modified": made_at,
            "name": f"Infrastructure grown from {seeds}"[:250],
            "description": f"{len(members)} things in the same hands as the seeds, as far as is known; "
            f"{growth.stopped}.",
            "context": "suspicious-activity",
            "object_refs": list(dict.fromkeys(members)),
        }
        body["id"] = f"grouping--{uuid.uuid5(NAMESPACE, ' '.join(members))}"
        objects[body["id"]] = body
    identity = uuid.uuid5(NAMESPACE, " ".join(sorted(objects)) + made_at)
    return {"type": "bundle", "id": f"bundle--{identity}", "objects": list(objects.values())}, left_out


def _time(ns: int | None) -> str:
    return EPOCH if ns is None else stamp(timestamp(ns))


def _domain_object(kind: str, made_at: str, name: str, **more: Any) -> dict[str, Any]:
    identity = f"{kind}--{uuid.uuid5(NAMESPACE, f'{kind} {name}')}"
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": identity,
        "created": made_at,
        "modified": made_at,
        "name": name,
        **more,
    }


def _object(kind: str, value: str, made_at: str) -> dict[str, Any] | None:
    if kind in (DOMAIN, REGISTERED, NAME_SERVER):
        return observable("domain-name", {"value": value})
    if kind == ADDRESS:
        return observable(f"ipv{ip_address(value).version}-addr", {"value": value})
    if kind == FILE:
        return observable("file", {"hashes": {HASHES[len(value)]: value}}) if len(value) in HASHES else None
    if kind == FILE_NAME:
        return observable("file", {"name": value})
    if kind == CERTIFICATE:
        if len(value) in HASHES:
            return observable("x509-certificate", {"hashes": {HASHES[len(value)]: value}})
        return observable("x509-certificate", {"serial_number": value.rpartition("/")[2]})
    if kind == REGISTRANT:
        if "@" in value:
            return observable("email-addr", {"value": value})
        return _domain_object("identity", made_at, value, identity_class="unknown")
    if kind == REGISTRAR:
        return _domain_object("identity", made_at, value, identity_class="organization")
    if kind == OPERATOR:
        if value.startswith("as") and value[2:].isdigit():
            return observable("autonomous-system", {"number": int(value[2:])})
        return _domain_object("identity", made_at, value, identity_class="organization")
    if kind == MALWARE:
        return _domain_object("malware", made_at, value, is_family=True)
    return None


def _relationship(
    graph: Graph, row: int, ids: dict[int, str], chances: dict[tuple[str, str], float], made_at: str
) -> dict[str, Any] | None:
    ends = int(graph.nodes.source[row]), int(graph.nodes.target[row])
    if ends[0] not in ids or ends[1] not in ids or ids[ends[0]] == ids[ends[1]]:
        return None
    relation = RELATIONS[int(graph.nodes.relation[row])]
    kinds = [graph.name(node)[0] for node in ends]
    verb = "related-to"
    if relation == RESOLVES and kinds[1] == ADDRESS:
        verb = "resolves-to"
    elif relation == ANNOUNCED and kinds[0] == ADDRESS and ids[ends[1]].startswith("autonomous-system"):
        verb = "belongs-to"
    elif relation == SAME:
        verb = "duplicate-of"
    elif relation == IS_A:
        verb = "related-to"
    first, last = interval(graph, row)
    body: dict[str, Any] = {
        "type": "relationship",
        "spec_version": "2.1",
        "created": made_at,
        "modified": made_at,
        "relationship_type": verb,
        "source_ref": ids[ends[0]],
        "target_ref": ids[ends[1]],
        "description": relation,
    }
    if first is not None:
        body["start_time"] = _time(first)
    # The standard wants an end that lies after the start.
    if last is not None and (first is None or _time(last) > _time(first)):
        body["stop_time"] = _time(last)
    chance = [chances[name] for name in (graph.name(node) for node in ends) if name in chances]
    if len(chance) == 2:
        body["confidence"] = round(100 * min(chance))
    feeds = origins(graph, row)
    if feeds:
        body["external_references"] = [{"source_name": feed, "description": "feed"} for feed in feeds]
    body["id"] = (
        f"relationship--{uuid.uuid5(NAMESPACE, f'{ids[ends[0]]} {relation} {ids[ends[1]]} {first} {last}')}"
    )
    return body


def kinds_left_out(growth: Growth) -> Sequence[str]:
    """Kinds of members that a bundle does not hold."""
    return sorted({m.kind for m in growth.members if _object(m.kind, m.value, EPOCH) is None})
