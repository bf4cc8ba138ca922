"""Lists written as JSON: MISP events and warning lists, STIX 2.1 bundles, and plain arrays or lines of objects.

Of a STIX indicator the pattern is read only as far as it names one thing: comparisons with ``=`` joined by OR.
Where AND, FOLLOWEDBY or NOT joins them, one part alone says nothing, and the indicator is counted and left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from andon.observe.lists import Skipped, TableError
from andon.observe.reputation.entries import Raw
from andon.observe.reputation.formats import TYPES, _row, colour_of, columns_of, when
from andon.records.reputation import BLACK, DOMAIN, HOST, WHITE

_COMPARISON: Final = re.compile(r"(domain-name|ipv4-addr|ipv6-addr|url):value\s*=\s*'((?:[^'\\]|\\.)*)'")
_QUOTED: Final = re.compile(r"'(?:[^'\\]|\\.)*'")
_JOINED: Final = re.compile(r"\b(AND|FOLLOWEDBY|NOT)\b")
_GALAXY: Final = re.compile(
    r'misp-galaxy:(?:malpedia|[a-z0-9-]*malware|tool|ransomware|botnet|rat)="([^"]+)"'
)


def read(path: Path, text: str, skipped: Skipped) -> pa.Table:
    """Rows of ``entries.RAW``. Raises TableError."""
    raw = Raw()
    try:
        document = json.loads(text)
    except ValueError:
        document = list(_lines(text, skipped))
        if not document:
            raise TableError(f"{path}: neither JSON nor lines of JSON") from None
    except RecursionError:
        raise TableError(f"{path}: JSON nested too deeply") from None
    if isinstance(document, dict) and document.get("type") == "bundle":
        _stix(raw, document, skipped)
    elif isinstance(document, dict) and isinstance(document.get("list"), list):
        _warning_list(raw, document, skipped)
    else:
        found = False
        for event in _events(document):
            _event(raw, event, skipped)
            found = True
        if not found and isinstance(document, list):
            _objects(raw, document, skipped)
        elif not found:
            raise TableError(
                f"{path}: JSON, but no MISP event or warning list, STIX bundle or array of entries"
            )
    return raw.table()


def _lines(text: str, skipped: Skipped) -> Iterator[Any]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                skipped.add(f"line {number}: {line[:60]!r}: not JSON")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _objects(raw: Raw, items: list[Any], skipped: Skipped) -> None:
    for number, item in enumerate(items, 1):
        if isinstance(item, str):
            raw.add(item, number)
            continue
        names = list(item) if isinstance(item, dict) else []
        place = columns_of(names)
        if "value" not in place:
            skipped.add(f"item {number}: no name, address or URL in it")
            continue
        values = list(item.values())
        said = {
            ours: str(values[at]) for ours, at in place.items() if isinstance(values[at], str | int | float)
        }
        if "value" in said:
            _row(raw, said, number)


def _events(document: Any) -> Iterator[dict[str, Any]]:
    """MISP events, alone, in a response, or in an array."""
    if isinstance(document, dict):
        if isinstance(document.get("Event"), dict):
            yield document["Event"]
        elif "Attribute" in document or "Object" in document:
            yield document
        else:
            for key in ("response", "events"):
                inner = document.get(key)
                yield from _events(inner if isinstance(inner, list | dict) else None)
    else:
        for item in _dicts(document):
            if "Event" in item or "Attribute" in item:
                yield from _events(item)


def _tagged(item: dict[str, Any]) -> str:
    """The family that the tags name."""
    for tag in _dicts(item.get("Tag")):
        match = _GALAXY.fullmatch(_text(tag.get("name")))
        if match:
            return match[1]
    return ""


def _event(raw: Raw, event: dict[str, Any], skipped: Skipped) -> None:
    family, day = _tagged(event), event.get("date")
    attributes = _dicts(event.get("Attribute"))
    for item in _dicts(event.get("Object")):
        attributes += _dicts(item.get("Attribute"))
    for number, attribute in enumerate(attributes, 1):
        kind, value = _text(attribute.get("type")), _text(attribute.get("value"))
        if kind not in TYPES:
            continue  # hashes, file names: nothing that a terminal contacts
        if attribute.get("to_ids") is False or attribute.get("deleted") is True:
            skipped.add(f"attribute {number}: {value[:60]!r}: not for detection (to_ids)")
            continue
        said = {"value": value, "type": kind, "family": _tagged(attribute) or family}
        said["added"] = str(attribute.get("first_seen") or attribute.get("timestamp") or day or "")
        _row(raw, said, number)


def _warning_list(raw: Raw, document: dict[str, Any], skipped: Skipped) -> None:
    """Names that MISP warns not to take for indicators."""
    kind, name = _text(document.get("type")), _text(document.get("name"))
    if kind not in ("hostname", "string", "cidr", ""):
        raise TableError(
            f"a MISP warning list of type {kind!r} cannot be matched; there are hostname, string and cidr"
        )
    for number, item in enumerate(document["list"], 1):
        if isinstance(item, str):
            said = {"hostname": DOMAIN, "string": HOST}.get(kind, "")
            raw.add(item, number, said if "/" not in item and ":" not in item else "", WHITE, list=name)
        else:
            skipped.add(f"item {number}: not a text")


def _stix(raw: Raw, bundle: dict[str, Any], skipped: Skipped) -> None:
    objects = _dicts(bundle.get("objects"))
    names = {
        _text(item.get("id")): _text(item.get("name")) for item in objects if item.get("type") == "malware"
    }
    family = {
        _text(item.get("source_ref")): names.get(_text(item.get("target_ref")), "")
        for item in objects
        if item.get("type") == "relationship" and item.get("relationship_type") == "indicates"
    }
    for number, item in enumerate(objects, 1):
        if item.get("type") != "indicator":
            continue
        pattern = _text(item.get("pattern"))
        if item.get("pattern_type", "stix") != "stix" or item.get("revoked") is True:
            skipped.add(f"object {number}: a pattern of another kind, or revoked")
            continue
        found = _COMPARISON.findall(pattern)
        if not found or _JOINED.search(_QUOTED.sub("", pattern)):
            skipped.add(f"object {number}: {pattern[:60]!r}: names no single name, address or URL")
            continue
        benign = "benign" in (item.get("indicator_types") or [])
        for kind, value in found:
            raw.add(
                re.sub(r"\\(.)", r"\1", value), number, TYPES[kind], colour_of("white" if benign else BLACK),
                family=family.get(_text(item.get("id")), ""), added=when(item.get("valid_from")),
            )  # fmt: skip
