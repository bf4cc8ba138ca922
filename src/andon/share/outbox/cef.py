"""CEF: ``CEF:0|vendor|product|version|kind|title|severity|key=value ...`` (ArcSight's Common Event Format).

In the header ``\\`` and ``|`` are escaped and a line break becomes a space; in values ``\\`` and ``=`` are escaped and
a line break becomes ``\\n``. Other control characters become spaces. Keys that a message has no value for are left out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from andon.share.outbox.parcel import Parcel

SEVERITY = {"informational": 1, "low": 3, "medium": 6, "high": 8, "critical": 10}
_MESSAGE = 1023  # characters that CEF gives to msg
_VALUE = 512


def cef(parcel: Parcel, version: str) -> str:
    """One event. The body's own names decide: a finding (``andon.finding/1``) or an alert, whose details may stand
    at the top or under ``attributes``."""
    body = parcel.data()
    body = body if isinstance(body, Mapping) else {}
    details = body.get("attributes")
    values = {**(details if isinstance(details, Mapping) else {}), **body}
    severity = SEVERITY.get(str(values.get("severity")), 5)
    title = str(values.get("title") or parcel.subject)
    parts = ("Andon", "Andon", version, parcel.kind, title[:_VALUE], str(severity))
    head = "|".join(_header(part) for part in parts)
    extension = " ".join(f"{key}={_value(value)}" for key, value in _pairs(parcel, values))
    return f"CEF:0|{head}|{extension}"


def _pairs(parcel: Parcel, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "externalId", parcel.id
    yield "rt", str(parcel.created // 1_000_000)
    yield "cat", parcel.kind
    for key, name in (("start", "first_seen"), ("end", "last_seen")):
        moment = _milliseconds(values.get(name))
        if moment is not None:
            yield key, str(moment)
    count = values.get("count", values.get("packets"))
    if isinstance(count, int):
        yield "cnt", str(count)
    yield from _source(values)
    port, protocol = _port(values.get("dst_ports"))
    if port:
        yield "dpt", port
    if protocol:
        yield "proto", protocol
    subject = values.get("subject")
    named = subject.get("value") if isinstance(subject, Mapping) else subject
    labelled = (
        ("finding", values.get("id")),
        ("engine", values.get("engine")),
        ("subject", named),
        ("series", values.get("series")),
        ("organisation", values.get("organisation") or values.get("org")),
        ("state", values.get("state")),
    )
    for number, (label, value) in enumerate(labelled, 1):
        if isinstance(value, str | int) and value != "":
            yield f"cs{number}Label", label
            yield f"cs{number}", str(value)[:_VALUE]
    yield "msg", parcel.text[:_MESSAGE]


def _source(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found = values.get("src") or values.get("src_ip") or values.get("address")
    entities = values.get("entities")
    if found is None and isinstance(entities, list) and len(entities) == 1:
        only = entities[0]
        found = only.get("value") if isinstance(only, Mapping) else None
    try:
        address = ipaddress.ip_address(str(found))
    except ValueError:
        return
    if address.version == 4:
        yield "src", str(address)
    else:
        yield "c6a2Label", "Source IPv6 Address"
        yield "c6a2", str(address)


def _port(ports: Any) -> tuple[str, str]:
    """The first of [[port, protocol, packets], ...] or [{"port": ..., "protocol": ...}, ...]."""
    if not isinstance(ports, list) or not ports:
        return "", ""
    first = ports[0]
    if isinstance(first, Mapping):
        port, protocol = first.get("port"), first.get("protocol", first.get("proto", ""))
    elif isinstance(first, list) and len(first) >= 2:
        port, protocol = first[:2]
    else:
        port, protocol = first, ""
    numbered = isinstance(port, int) and 0 <= port < 65536
    return (str(port), str(protocol)[:31]) if numbered else ("", "")


def _milliseconds(text: Any) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        return int(datetime.fromisoformat(text[:19] + "+00:00").timestamp() * 1000)
    except ValueError:
        return None


def _header(text: str) -> str:
    return _plain(text.replace("\n", " ")).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=").replace("\r\n", "\n")
    return _plain(escaped.replace("\n", "\\n").replace("\r", "\\r"))


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
