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
from socket import AF_INET, inet_pton
from typing import Any

from andon.records.finding import Evidence, Finding, nanoseconds, series_of

MASKED = "(masked)"
# All three begin with the digit that they look for, not with the boundary before it: they are tried at digits only.
_ADDRESS = re.compile(
    r"\d(?<!\w\d)\d{0,2}(?:\.\d{1,3}|\[\.\]\d{1,3}){3}(?:/\d{1,2})?"
)  # as it is, or defanged
_NUMBER = re.compile(r"\d(?<!\w\d)(?:\d{4,9}|(?<=0)x[0-9a-fA-F]{3,8})\b")
_DIGITS = re.compile(r"\d(?:\d\d|[.\[]|(?<=0)x)")  # nothing that is hidden is without one of these
_SHORT = 64
_LONGEST = 15  # characters of an address
_REMEMBERED = 1 << 16
_SMALL = 1 << 24  # numbers up to here are counts
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
        # Short texts that show nothing: names of members, kinds and most addresses come again and again.
        self._same: set[str] = set()
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
        same = self._same
        made: dict[str, Any] = {}
        for name, value in body.items():
            key = name if type(name) is str else str(name)
            kind = type(value)
            if name in _COUNTED or kind in _PLAIN:
                made[key] = value
            elif kind is str:
                made[key] = value if value in same else self.text(value)
            elif name == "entities" and isinstance(value, list):
                made[key] = self._entities(value)
            else:
                made[key] = self.value(value)
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

    def _entities(self, entities: list[Any]) -> list[Any]:
        """Those that are the same when masked. Most of a document are entities, and most of them are seen to show
        nothing without being built anew: flat, and all of their words known."""
        shows_nothing, left = self._same.issuperset, []
        for one in entities:
            try:
                same = type(one) is dict and shows_nothing(one) and shows_nothing(one.values())
            except TypeError:  # a list or a mapping inside
                same = False
            if same or self._shows_nothing(one):
                left.append(one)
        return left

    def _shows_nothing(self, entity: Any) -> bool:
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
        if text in self._same:
            return text
        made = self._told(text)
        if made == text and len(text) <= _SHORT:
            self._remember(text)
        return made

    def _remember(self, text: str) -> None:
        if len(self._same) >= _REMEMBERED:
            self._same.clear()
        self._same.add(text)

    def _told(self, text: str) -> str:
        if len(text) <= _LONGEST and text.count(".") == 3 and (address := _dotted(text)) is not None:
            return MASKED if self.dark(address) else text
        if not _DIGITS.search(text):
            return text
        return _NUMBER.sub(self._number, _ADDRESS.sub(self._address, text))

    def _address(self, match: re.Match[str]) -> str:
        text = match[0]
        if text in self._same:
            return text
        if self._shows(text):
            return MASKED
        self._remember(text)  # what a statement names stands among the entities too
        return text

    def _shows(self, text: str) -> bool:
        """Whether a dark address is in it, as ``IPv4Network(text, strict=False)`` reads it, without what that costs.
        What it refuses (digits that are not ASCII, octets with a leading zero or above 255, prefixes above 32) is no
        address."""
        if (exact := _dotted(text)) is not None:
            return self.dark(exact)
        if not text.isascii():
            return False
        numbers, _, length = text.replace("[.]", ".").partition("/")
        address = 0
        for octet in numbers.split("."):
            value = int(octet)
            if value > 255 or (octet[0] == "0" and octet != "0"):
                return False
            address = address << 8 | value
        span = 0
        if length:
            if int(length) > 32:
                return False
            span = (1 << 32 - int(length)) - 1
        first, last = address & ~span, address | span
        at = bisect_right(self._begins, last) - 1
        return at >= 0 and self._stops[at] >= first

    def _number(self, match: re.Match[str]) -> str:
        text = match[0]
        if text[1] != "x":
            return MASKED if self.dark(int(text)) else text
        value = int(text, 16)
        shown = self.dark(value) or value >> 16 in self._halves or value & 0xFFFF in self._halves
        return MASKED if shown else text

    def value(self, value: Any) -> Any:
        """A value of JSON, checks left out."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is dict:
            return self._mapping(value)
        if kind is list:
            return [self._mapping(item) if type(item) is dict else self.value(item) for item in value]
        if kind in _PLAIN:
            return value
        if kind is int:
            return self._whole(value)
        # Types that are like those of JSON: a look at what they inherit costs more than all the above.
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return self._whole(value) if isinstance(value, int) else value

    def _whole(self, value: int) -> int | str:
        return MASKED if value > _SMALL and self.dark(value) else value

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        same, made = self._same, {}
        for key, item in value.items():
            kind = type(item)
            if kind is str:
                told = item if item in same else self.text(item)
            elif kind in _PLAIN:
                told = item
            elif kind is int:
                told = self._whole(item)
            elif key == "check" and isinstance(item, Mapping):
                continue
            else:
                told = self.value(item)
            made[key if key in same else self.text(str(key))] = told
        return made


def _dotted(text: str) -> int | None:
    """The address that a text is, and nothing besides."""
    try:
        return int.from_bytes(inet_pton(AF_INET, text))
    except (OSError, ValueError):  # ValueError: what C takes for no text
        return None
