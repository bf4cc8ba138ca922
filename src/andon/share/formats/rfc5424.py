"""Syslog messages of RFC 5424: heading, structured data, and text behind the byte order mark.

What a machine reads is in one element of structured data, ``andon@32473`` (6.3; 32473 is the enterprise number that is
kept for documentation, since the project has none): id, kind, subject, ends, counts. ``"``, ``\\`` and ``]`` are
escaped there. The same heading carries CEF, LEEF, ECS or OCSF as its text where a collector wants one of them; then
there is no structured data and no mark, which collectors of these do not expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from andon.records.finding import timestamp
from andon.share.formats.view import View

FACILITY: Final = 16  # local0
LEVEL: Final[Mapping[str, int]] = {"informational": 6, "low": 5, "medium": 4, "high": 3, "critical": 2}
LIMIT: Final = 8192  # octets that every receiver should take (RFC 5425, 4.3.1)
_BOM: Final = "\ufeff"
_ELEMENT: Final = "andon@32473"
_VALUE: Final = 512
_WORST: Final = 4


def heading(severity: str, kind: str, created: int, hostname: str = "-") -> str:
    """``<PRI>1 TIME HOST andon - KIND `` (6.2), up to where structured data begin. ``created``: ns."""
    word = "".join([c for c in kind if c.isascii() and c.isprintable() and c != " "])[:32] or "-"
    moment = timestamp(created // 1000 * 1000)
    return f"<{FACILITY * 8 + LEVEL.get(severity, _WORST)}>1 {moment} {hostname} andon - {word} "


def carried(text: str, severity: str, kind: str, created: int, hostname: str = "-") -> bytes:
    """A text of another format behind the heading, at most ``LIMIT`` octets."""
    return cut(f"{heading(severity, kind, created, hostname)}- {text}")


def message(
    told: View, text: str = "", wire_id: str = "", created: int | None = None, hostname: str = "-"
) -> bytes:
    """A whole message of a view, structured data and text, at most ``LIMIT`` octets. ``created``: ns."""
    from andon.share.formats.view import milliseconds

    at = created if created is not None else (milliseconds(told.issued) or 0) * 1_000_000
    fields = {
        "id": wire_id or told.id, told.what: told.id, "kind": told.kind, "severity": told.severity,
        "engine": told.engine, "series": told.series, "subject": told.subject[1], "src": told.source,
        "dst": told.destination, "name": told.named, "user": told.user, "first": told.first, "last": told.last,
        "count": str(told.count) if told.count else "", "port": str(told.ports[0][0]) if told.ports else "",
        "technique": ",".join(told.attack), "state": told.state,
    }  # fmt: skip
    data = "".join([f' {key}="{_escaped(value[:_VALUE])}"' for key, value in fields.items() if value])
    said = text or (f"{told.title}: {told.statement}" if told.statement else told.title)
    return cut(f"{heading(told.severity, told.kind, at, hostname)}[{_ELEMENT}{data}] {_BOM}{_plain(said)}")


def framed(octets: bytes) -> bytes:
    """Octet-counted, as TCP and TLS carry it (RFC 6587, 3.4.1; RFC 5425, 4.3).

    >>> framed(b"<1>1 -")
    b'6 <1>1 -'
    """
    return b"%d " % len(octets) + octets


def cut(text: str) -> bytes:
    """At most ``LIMIT`` octets, no character and no escape broken."""
    octets = text.encode("utf-8", "replace")
    if len(octets) > LIMIT:
        octets = octets[:LIMIT].decode("utf-8", "ignore").rstrip("\\").encode()
    return octets


def _escaped(text: str) -> str:
    return _plain(text).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _plain(text: str) -> str:
    return text if text.isprintable() else "".join([c if c.isprintable() else " " for c in text])
