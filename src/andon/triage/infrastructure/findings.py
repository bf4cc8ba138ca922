"""Relations from what Andon itself found: each finding or case ties the things that it names.

``seen-in`` a case is a tie like another: a finding about two things says much, one with a hundred sources next to
nothing,
and the graph weighs it by that. Machines of ours (own prefixes, private addresses, accounts) become ``host``: they
were in
contact, they are not the attacker's, and nothing is followed through them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

import pyarrow as pa

from andon.records.finding import Finding
from andon.records.infrastructure import ADDRESS, CASE, DOMAIN, FILE, HOST, MALWARE, RELATION, SEEN_IN

MOST_ENTITIES: Final = 100  # of one finding
_PRIVATE: Final = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
    )
)
_NAME: Final = re.compile(
    r"(?=.{4,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)+"
)
_HASH: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}")
_Network = IPv4Network | IPv6Network
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def from_findings(findings: Iterable[Finding | Mapping[str, Any]], own: Sequence[str] = ()) -> pa.Table:
    """``RELATION`` rows of findings, as objects or in their JSON form. ``own``: prefixes that are ours.

    What names nothing that the graph knows gives no row. Raises ValueError for a prefix that is none.

    >>> from_findings([]).num_rows
    0
    """
    networks = tuple(ip_network(text, strict=False) for text in own)
    columns: tuple[list[Any], ...] = tuple([] for _ in RELATION)
    for finding in findings:
        if isinstance(finding, Finding):
            first: int | None
            last: int | None
            label, engine = finding.id, finding.engine
            named = [
                finding.subject,
                *((entity.type, entity.value) for entity in finding.entities[:MOST_ENTITIES]),
            ]
            first, last = finding.first_seen, finding.last_seen
        else:
            label, engine = str(finding.get("id", "")), str(finding.get("engine", ""))
            things = [finding.get("subject"), *_items(finding.get("entities"))[:MOST_ENTITIES]]
            named = [
                (str(t.get("type", "")), str(t.get("value", ""))) for t in things if isinstance(t, Mapping)
            ]
            first, last = (_ns(finding.get(key)) for key in ("first_seen", "last_seen"))
        if label:
            _add(columns, f"finding {label}", named, first, last, engine or "findings", networks)
    return _table(columns)


def from_case(
    label: str,
    entities: Iterable[tuple[str, str]],
    first: int | None = None,
    last: int | None = None,
    origin: str = "cases",
    own: Sequence[str] = (),
) -> pa.Table:
    """``RELATION`` rows of one case: ``entities`` are (type, value) as in ``records.case.Case``; times in ns.

    >>> from_case("c1", [("domain-name", "a.example"), ("ipv4-addr", "10.0.0.1")]).column("source_kind").to_pylist()
    ['domain', 'host']
    """
    columns: tuple[list[Any], ...] = tuple([] for _ in RELATION)
    networks = tuple(ip_network(text, strict=False) for text in own)
    _add(columns, f"case {label}", list(entities), first, last, origin, networks)
    return _table(columns)


def node_of(kind: str, value: str, own: tuple[_Network, ...] = ()) -> tuple[str, str] | None:
    """(kind, value) in the graph of an entity of STIX, None for what the graph does not hold.

    >>> node_of("url", "http://evil.example/a"), node_of("ipv4-addr", "10.1.2.3"), node_of("port", "23")
    (('domain', 'evil.example'), ('host', '10.1.2.3'), None)
    """
    text = value.strip().lower().rstrip(".")
    if kind in ("user-account", "host", "terminal", "asset", "x-host"):
        return (HOST, text[:200]) if text else None
    if kind in ("malware", "malware-family"):
        return (MALWARE, text[:200]) if text else None
    if kind == "url" or "://" in text:
        text = text.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1]
        text = text.rsplit(":", 1)[0] if text.count(":") == 1 else text
        kind = "domain-name"
    if kind in ("file", "hash", "digest"):
        return (FILE, text) if _HASH.fullmatch(text) else None
    if kind in ("domain-name", "ipv4-addr", "ipv6-addr", "domain", "ip", "destination", "hostname"):
        try:
            made = ip_address(text.strip("[]"))
        except ValueError:
            return (DOMAIN, text) if _NAME.fullmatch(text) else None
        ours = any(made in net for net in (*_PRIVATE, *own) if net.version == made.version)
        return (HOST if ours else ADDRESS), str(made)
    return None


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _ns(text: Any) -> int | None:
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        if moment.tzinfo is None:
            return None
        since = moment - _EPOCH
        return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    except (ValueError, OverflowError):
        return None


def _add(
    columns: tuple[list[Any], ...],
    label: str,
    named: list[tuple[str, str]],
    first: int | None,
    last: int | None,
    origin: str,
    own: tuple[_Network, ...],
) -> None:
    nodes = dict.fromkeys(node for kind, value in named if (node := node_of(kind, value, own)) is not None)
    for kind, value in nodes:
        row = (kind, value, SEEN_IN, CASE, label, first, last, 1, origin)
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)


def _table(columns: tuple[list[Any], ...]) -> pa.Table:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, RELATION, strict=True)]
    return pa.table(arrays, schema=RELATION)
