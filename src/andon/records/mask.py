"""Records that can be shown without giving the telescope away.

A masked record holds no dark address, no check, and no constant that is a dark address or begins like one; its
``id`` and ``series`` are made from the masked subject, since a hash of an address can be reversed by trying all.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, collapse_addresses
from typing import Any

from andon.records.finding import Evidence, Finding, nanoseconds, series_of

MASKED = "(masked)"
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}|\[\.\]\d{1,3}){3}(?:/\d{1,2})?")  # as it is, or defanged
_NUMBER = re.compile(r"\b0x[0-9a-fA-F]{3,8}\b|\b\d{5,10}\b")
_DIGITS = re.compile(r"\d{3}|\d\.|\d\[|0x")  # nothing that is hidden is without one of these
_SHORT = 64
_REMEMBERED = 1 << 16
_PLAIN = frozenset((float, bool, type(None)))
_COUNTED = frozenset(
    ("count", "revision", "engine_version", "version", "confidence", "entities_total", "priority", "ttl", "schema",
     "id", "series", "first_seen", "last_seen", "opened", "updated", "created", "until", "window")
)  # fmt: skip


class Mask:
    """Hides the addresses of these networks.

    >>> Mask([IPv4Network("203.0.112.0/22")]).text("to 203.0.113.9 with 0xcb007109")
    'to (masked) with (masked)'
    """

    def __init__(self, networks: Sequence[IPv4Network]) -> None:
        self.networks = list(networks)
        self._known: dict[str, str] = {}
        whole = list(collapse_addresses(self.networks))
        self._begins = [int(n.network_address) for n in whole]
        self._stops = [int(n.broadcast_address) for n in whole]
        # A constant may show a prefix in its upper or lower 16 bits (an address half, a shifted address).
        self._halves = {int(n.network_address) >> 16 for n in networks}

    def dark(self, address: int) -> bool:
        at = bisect_right(self._begins, address) - 1
        return at >= 0 and address <= self._stops[at]

    def finding(self, finding: Finding) -> Finding:
        """The finding without anything that shows where the telescope is."""
        return replace(
            finding,
            title=self.text(finding.title),
            statement=self.text(finding.statement),
            calibration=self.text(finding.calibration),
            subject=(finding.subject[0], self.text(finding.subject[1])),
            entities=tuple(e for e in finding.entities if self.text(e.value) == e.value),
            evidence=tuple(Evidence(self.text(item.statement)) for item in finding.evidence),
            attributes=self.value(finding.attributes),
        )

    def document(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON form of a finding, a case or an intent, likewise."""
        made: dict[str, Any] = {}
        for name, value in body.items():
            kind = type(value)
            if name in _COUNTED or kind in _PLAIN:
                made[str(name)] = value
            else:
                made[str(name)] = self.text(value) if kind is str else self._member(str(name), value)
        subject = body.get("subject")
        if isinstance(subject, Mapping) and made["subject"] != subject:
            self._rename(made, body)
        if isinstance(made.get("entities"), list) and "entities_total" in made:
            gone = len(body["entities"]) - len(made["entities"])
            total = body["entities_total"]
            made["entities_total"] = max(0, total - gone) if isinstance(total, int) else total
        return made

    def _rename(self, made: dict[str, Any], body: Mapping[str, Any]) -> None:
        """Ids that are no hash of what is hidden."""
        engine, subject = str(body.get("engine", "")), made["subject"]
        series = series_of(engine, str(subject.get("type")), str(subject.get("value")))
        window = body.get("window")
        try:
            moments = (
                [nanoseconds(str(window[end])) for end in ("start", "end")]
                if isinstance(window, Mapping)
                else []
            )
        except (KeyError, ValueError, OverflowError):
            moments = []  # whoever sent it knows of no window
        if "series" in body:
            made["series"] = series
        if "id" in body:
            made["id"] = series_of(engine, str(body.get("engine_version", "")), series, *map(str, moments))

    def _member(self, name: str, value: Any) -> Any:
        if name == "entities" and isinstance(value, list):
            return [one for one in value if self._shows_nothing(one)]
        return self.value(value)

    def _shows_nothing(self, entity: Any) -> bool:
        """Whether it is the same when masked. Most of a document are entities: a flat one is not built anew for it."""
        if type(entity) is not dict:
            return bool(self.value(entity) == entity)
        for key, item in entity.items():
            kind = type(item)
            if type(key) is not str or (kind is not str and kind not in _PLAIN):
                return bool(self.value(entity) == entity)
            if (kind is str and self.text(item) != item) or self.text(key) != key:
                return False
        return True

    def text(self, text: str) -> str:
        """The text with dark addresses, and numbers that show one, replaced."""
        # The same names and values come again and again.
        made = self._known.get(text)
        if made is None:
            if len(text) > _SHORT:
                return self._told(text)
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            made = self._known[text] = self._told(text)
        return made

    def _told(self, text: str) -> str:
        if not _DIGITS.search(text):
            return text
        return _NUMBER.sub(self._number, _ADDRESS.sub(self._address, text))

    def _address(self, match: re.Match[str]) -> str:
        """As ``IPv4Network(text, strict=False)`` reads it, without what that costs. What it refuses (digits that are
        not ASCII, octets with a leading zero or above 255, prefixes above 32) is no address."""
        text = match[0]
        if not text.isascii():
            return text
        numbers, _, length = text.replace("[.]", ".").partition("/")
        address = 0
        for octet in numbers.split("."):
            value = int(octet)
            if value > 255 or (octet[0] == "0" and octet != "0"):
                return text
            address = address << 8 | value
        span = 0
        if length:
            if int(length) > 32:
                return text
            span = (1 << 32 - int(length)) - 1
        first, last = address & ~span, address | span
        at = bisect_right(self._begins, last) - 1
        return MASKED if at >= 0 and self._stops[at] >= first else text

    def _number(self, match: re.Match[str]) -> str:
        hexadecimal = match.group().startswith("0x")
        value = int(match.group(), 0) if hexadecimal else int(match.group())
        shown = self.dark(value) or (hexadecimal and bool({value >> 16, value & 0xFFFF} & self._halves))
        return MASKED if shown else match.group()

    def value(self, value: Any) -> Any:
        """A value of JSON, checks left out."""
        kind = type(value)
        if kind is dict:
            return self._mapping(value)
        if kind is list:
            return [self.value(item) for item in value]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, float) or value is None:
            return value
        if isinstance(value, dict | Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and value > 1 << 24 and self.dark(value):
            return MASKED
        return value

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        known, made = self._known, {}
        for key, item in value.items():
            if key == "check" and isinstance(item, Mapping):
                continue
            kind = type(item)
            if kind is str:
                told = known.get(item)
                if told is None:
                    told = self.text(item)
            else:
                told = item if kind in _PLAIN else self.value(item)
            name = known.get(key)
            made[self.text(str(key)) if name is None else name] = told
        return made
