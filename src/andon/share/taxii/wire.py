"""What both sides of TAXII 2.1 agree on: media types, times, what a STIX object must have to travel, markings.

Sections are those of the OASIS standard of 10 June 2021: media types 1.6.8, objects without versions 3.4.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from andon.records.finding import nanoseconds

TAXII: Final = "application/taxii+json;version=2.1"
STIX: Final = "application/stix+json;version=2.1"
LARGEST: Final = 1 << 20  # bytes of one object as JSON
_ID: Final = re.compile(
    r"[a-z][a-z0-9-]{1,248}--[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")

# Levels of the Traffic Light Protocol, mildest first. "white" of TLP 1 is "clear" of TLP 2.
LEVELS: Final = ("clear", "green", "amber", "amber+strict", "red")
_MARKINGS: Final[Mapping[str, int]] = {
    f"marking-definition--{number}": LEVELS.index(level)
    for number, level in (
        ("613f2e26-407d-48c7-9eca-b8e91df99dc9", "clear"),  # TLP 1 (STIX 2.1, 7.2.1.4)
        ("34098fce-860f-48ae-8e50-ebd3cc5e41da", "green"),
        ("f88d31f6-486f-44da-b317-01333bde0b82", "amber"),
        ("5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "red"),
        ("94868c89-83c2-464b-929b-a1a8aa3c8487", "clear"),  # TLP 2 (extension of the OASIS committee)
        ("bab4a63c-aed9-4cf5-a766-dfca5abac2bb", "green"),
        ("55d920b0-5e8b-4f79-9ee9-91f868d9b421", "amber"),
        ("939a9414-2ddd-4d32-a0cd-375ea402b003", "amber+strict"),
        ("e828b379-4e03-4974-9ac4-e53a884c97c1", "red"),
    )
}


class NotStix(ValueError):
    """Something that is no STIX object that could be sent or taken."""


@dataclass(frozen=True)
class Stix:
    """One object as it is kept and sent. ``version``: ns of ``modified`` or ``created``, 0 for what has neither;
    ``tlp``: index in LEVELS; ``text``: its JSON."""

    id: str
    type: str
    spec_version: str
    version: int
    version_text: str
    tlp: int
    text: str


def stix(item: Any, unmarked: int = 0) -> Stix:
    """The object, checked. ``unmarked``: TLP of what bears no TLP marking.

    Raises NotStix for what has no usable type, id or times, and for more than a mebibyte.
    """
    if not isinstance(item, dict):
        raise NotStix("not an object")
    kind, number = item.get("type"), item.get("id")
    if not isinstance(kind, str) or not isinstance(number, str) or not _ID.fullmatch(number):
        raise NotStix("no STIX id")
    if number.partition("--")[0] != kind:
        raise NotStix(f"id {number[:80]} is not of type {kind[:40]!r}")
    said = item.get("modified", item.get("created", ""))
    if said != "" and (not isinstance(said, str) or not _STAMP.fullmatch(said)):
        raise NotStix(f"{number}: modified or created is no time")
    try:
        version = nanoseconds(said) if said else 0
        text = json.dumps(item, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (ValueError, OverflowError, RecursionError) as error:  # lone surrogates, month 13, too deep
        raise NotStix(f"{number}: {str(error)[:100] or 'cannot be written'}") from None
    if size > LARGEST:
        raise NotStix(f"{number}: {size:,} bytes, more than {LARGEST:,}")
    spec = item.get("spec_version", "2.1" if "created" not in item else "2.0")
    return Stix(number, kind, str(spec)[:16], version, said, tlp(item, unmarked), text)


def tlp(item: Mapping[str, Any], unmarked: int = 0) -> int:
    """The strictest TLP marking of an object or of a part of it. Markings themselves are for everybody.

    >>> LEVELS[tlp({"type": "x", "object_marking_refs": ["marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"]})]
    'red'
    """
    if item.get("type") == "marking-definition":
        return 0
    named = list(_texts(item.get("object_marking_refs")))
    parts = item.get("granular_markings")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            named += _texts([part.get("marking_ref")])
    return max((_MARKINGS[name] for name in named if name in _MARKINGS), default=unmarked)


def _texts(value: Any) -> Iterable[str]:
    return (one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def read_json(data: bytes) -> Any:
    """JSON from outside. Raises ValueError for anything else, NaN and too deep nesting included."""

    def never(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(data, parse_constant=never)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def stamp(microseconds: int) -> str:
    """A TAXII timestamp with six digits of the second (section 2: UTC, RFC 3339).

    >>> stamp(1_767_225_600_000_001)
    '2026-01-01T00:00:00.000001Z'
    """
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:06d}Z"


def moment(text: str) -> int:
    """ns of a TAXII timestamp. Raises ValueError.

    >>> moment("2026-01-01T00:00:00.5Z")
    1767225600500000000
    """
    if not _STAMP.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no time: write 2026-01-01T00:00:00.000000Z")
    return nanoseconds(text)
