"""CEF: ``CEF:0|vendor|product|version|kind|title|severity|key=value ...`` (ArcSight's Common Event Format).

In the header ``\\`` and ``|`` are escaped and a line break becomes a space; in values ``\\`` and ``=`` are escaped and
a line break becomes ``\\n``. Other control characters become spaces. Keys that a message has no value for are left out.
Severities are those that CEF's bands make of ours: 0, 3, 6, 8 and 10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from andon.share.formats.view import CASE, INTENT, View, milliseconds

SEVERITY: Final[Mapping[str, int]] = {"informational": 0, "low": 3, "medium": 6, "high": 8, "critical": 10}
_UNKNOWN: Final = 5
_MESSAGE: Final = 1023  # characters that CEF gives to msg
_VALUE: Final = 512


def cef(
    told: View, version: str, text: str | None = None, wire_id: str = "", created: int | None = None
) -> str:
    """One event. ``text``: for people, else the statement; ``wire_id``: identity of the message, else that of the
    finding; ``created``: ns, of the message."""
    severity = SEVERITY.get(told.severity, _UNKNOWN)
    parts = ("Andon", "Andon", version, told.kind, (told.title or told.kind)[:_VALUE], str(severity))
    head = "|".join([header(part) for part in parts])
    extension = " ".join([f"{key}={value(said)}" for key, said in pairs(told, text, wire_id, created)])
    return f"CEF:0|{head}|{extension}"


def pairs(told: View, text: str | None, wire_id: str, created: int | None) -> Iterator[tuple[str, str]]:
    """Keys and values, as they are."""
    yield "externalId", wire_id or f"{told.id}-{told.revision}"
    moment = milliseconds(told.issued) if created is None else created // 1_000_000
    if moment is not None:
        yield "rt", str(moment)
    yield "cat", told.kind
    for key, time in (("start", told.first), ("end", told.last)):
        moment = milliseconds(time) if time else None
        if moment is not None:
            yield key, str(moment)
    if told.count:
        yield "cnt", str(told.count)
    yield from _ends(told)
    reason = told.attributes.get("alert_kind")
    if isinstance(reason, str):
        yield "reason", reason[:_VALUE]
    if told.ports:
        port, protocol = told.ports[0]
        yield "dpt", str(port)
        if protocol:
            yield "proto", protocol
    if told.what == INTENT:
        yield "act", told.kind
    if told.user:
        yield "suser", told.user[:1023]
    if told.attack:
        yield "techniqueId", ",".join(told.attack)[:_VALUE]
    labelled = (
        (told.what, told.id),
        ("engine", told.engine) if told.engine else ("tool", _tools(told.attributes.get("tools"))),
        ("subject", told.subject[1]),
        ("series", told.series),
        ("organisation", told.attributes.get("organisation") or told.attributes.get("site")),
        ("state", told.state),
    )
    for number, (label, said) in enumerate(labelled, 1):
        if isinstance(said, str | int) and said != "":
            yield f"cs{number}Label", label
            yield f"cs{number}", str(said)[:_VALUE]
    yield "msg", (text if text is not None else told.statement or told.title)[:_MESSAGE]


def _ends(told: View) -> Iterator[tuple[str, str]]:
    source, destination = told.source, told.destination
    if source and ":" not in source:
        yield "src", source
    elif source:
        yield "c6a2Label", "Source IPv6 Address"
        yield "c6a2", source
    if destination and ":" not in destination:
        yield "dst", destination
    elif destination:
        yield "c6a3Label", "Destination IPv6 Address"
        yield "c6a3", destination
    if told.named:
        yield "destinationDnsDomain", told.named[:255]
    if told.what == CASE and told.ours and told.ours[0][0] in ("device", "x-host", "domain-name"):
        yield "dhost", told.ours[0][1][:1023]


def _tools(tools: Any) -> str:
    """Names of [{"name": ...}, ...]."""
    listed = tools if isinstance(tools, list) else []
    return ", ".join(str(tool.get("name", "")) for tool in listed if isinstance(tool, Mapping))


def header(text: str) -> str:
    return _plain(text.replace("\n", " ")).replace("\\", "\\\\").replace("|", "\\|")


def value(text: str) -> str:
    """Escaped, on one line.

    >>> value("a=b")
    'a\\\\=b'
    """
    escaped = text.replace("\\", "\\\\").replace("=", "\\=").replace("\r\n", "\n")
    return _plain(escaped.replace("\n", "\\n").replace("\r", "\\r"))


def _plain(text: str) -> str:
    return text if text.isprintable() else "".join([c if c.isprintable() else " " for c in text])
