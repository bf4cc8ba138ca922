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
    """One event. The body's own names decide: a finding (``andon.finding/1``), or an alert (``andon.alert/1``), whose
    details stand at the top."""
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
    reason = values.get("alert_kind")
    if isinstance(reason, str):
        yield "reason", reason[:_VALUE]
    port, protocol = _port(values.get("dst_ports"))
    if port:
        yield "dpt", port
    if protocol:
        yield "proto", protocol
    subject = values.get("subject")
    named = subject.get("value") if isinstance(subject, Mapping) else subject
    labelled = (
        ("finding", values.get("id")),
        ("engine", values["engine"]) if "engine" in values else ("tool", _tools(values.get("tools"))),
        ("subject", named),
        ("series", values.get("series")),
        ("organisation", values.get("organisation")),
        ("state", values.get("state")),
    )
    for number, (label, value) in enumerate(labelled, 1):
        if isinstance(value, str | int) and value != "":
            yield f"cs{number}Label", label
            yield f"cs{number}", str(value)[:_VALUE]
    yield "msg", parcel.text[:_MESSAGE]


def _source(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The address that it is about: the subject's, or that of the only entity."""
    entities = values.get("entities")
    things = [values.get("subject"), *(entities if isinstance(entities, list) and len(entities) == 1 else ())]
    for thing in things:
        try:
            address = ipaddress.ip_address(str(thing.get("value")) if isinstance(thing, Mapping) else "")
            break
        except ValueError:
            continue
    else:
        return
    if address.version == 4:
        yield "src", str(address)
    else:
        yield "c6a2Label", "Source IPv6 Address"
        yield "c6a2", str(address)


def _port(ports: Any) -> tuple[str, str]:
    """The first of [[port, protocol, packets], ...]."""
    if not isinstance(ports, list) or not ports or not isinstance(ports[0], list) or len(ports[0]) < 2:
        return "", ""
    port, protocol = ports[0][:2]
    numbered = isinstance(port, int) and 0 <= port < 65536
    return (str(port), str(protocol)[:31]) if numbered else ("", "")


def _tools(tools: Any) -> str:
    """Names of [{"name": ...}, ...]."""
    listed = tools if isinstance(tools, list) else []
    return ", ".join(str(tool.get("name", "")) for tool in listed if isinstance(tool, Mapping))


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
