"""What the kernel holds of ours: read from a listing, kept up with our own transactions.

An element's comment names the intents that need it (16 hex digits each, at most seven); the set ``intents`` has one
element per intent (its id in two halves) that lives as long as the intent. Together they say after a restart of ours
whose every element is and until when, without a file of our own. Times are those of the monotonic clock: the kernel's
timeouts do not follow the wall clock either.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from andon.contain.contract import Rejected
from andon.contain.enforcers.nft.elements import Element, digest
from andon.contain.enforcers.nft.shapes import LEDGER, Shape, shape_named

MOST_OWNERS: Final = 7  # 16 digits each and a comma; the kernel keeps 128 characters
_OWNERS: Final = re.compile(r"[0-9a-f]{16}(,[0-9a-f]{16})*")
_BASE_KEY: Final = (0, 0)
_VOLATILE: Final = frozenset(("handle", "elem", "metainfo", "packets", "bytes"))


@dataclass
class Held:
    """``until``: monotonic seconds by intent; ``owners``: by element; ``parts``: the inverse of it. ``rules``: a digest
    of tables, sets, chains and rules as listed, without elements; ``noted``: what it was when we made them."""

    until: dict[int, float] = field(default_factory=dict)
    owners: dict[Element, tuple[int, ...]] = field(default_factory=dict)
    parts: dict[int, list[Element]] = field(default_factory=dict)
    shapes: set[Shape] = field(default_factory=set)
    present: bool = False
    rules: str = ""
    noted: str = ""
    _ends: list[tuple[float, int]] = field(default_factory=list)
    _digests: dict[int, str] = field(default_factory=dict)  # as far as they were asked for

    @property
    def whole(self) -> bool:
        """Whether the chains are as we made them. If not, no element is in force for certain."""
        return self.present and bool(self.noted) and self.rules == self.noted

    def digests(self, now: float) -> dict[int, str]:
        """By intent. Damaged chains make every digest another one."""
        mark = "" if self.whole else "damaged-"
        return {intent: mark + self.digest(intent) for intent, until in self.until.items() if until > now}

    def digest(self, intent: int) -> str:
        """Of the elements that are there for it."""
        found = self._digests.get(intent)
        if found is None:
            found = self._digests[intent] = digest(self.parts.get(intent, ()))
        return found

    def hold(self, intent: int, elements: Iterable[Element], until: float) -> None:
        self.until[intent] = until
        self._digests.pop(intent, None)
        heapq.heappush(self._ends, (until, intent))
        self.parts[intent] = list(elements)
        for element in self.parts[intent]:
            owners = self.owners.get(element, ())
            if intent not in owners:
                self.owners[element] = (*owners, intent)

    def drop(self, intent: int) -> None:
        self.until.pop(intent, None)
        self._digests.pop(intent, None)
        for element in self.parts.pop(intent, ()):
            left = tuple(one for one in self.owners.get(element, ()) if one != intent)
            if left:
                self.owners[element] = left
            else:
                self.owners.pop(element, None)

    def expired(self, now: float) -> list[int]:
        """Intents whose time is over; they are forgotten."""
        found = []
        while self._ends and self._ends[0][0] <= now:
            _, intent = heapq.heappop(self._ends)
            if self.until.get(intent, now + 1) <= now:
                self.drop(intent)
                found.append(intent)
        return found

    def lasting(self, element: Element) -> float:
        """Until when the last of its intents needs it."""
        return max((self.until.get(one, 0.0) for one in self.owners.get(element, ())), default=0.0)


def held_from(tables: Sequence[Sequence[Mapping[str, Any]]], base: str, now: float) -> Held:
    """From the JSON listings of our tables; all of them empty: nothing there. ``base``: digest of the commands that
    would make them; a table made by others or by other settings does not count as whole. ``now``: monotonic seconds.
    """
    made = Held(present=any(tables))
    ledger: dict[int, float] = {}
    listed: list[tuple[Element, str]] = []
    for objects in tables:
        for one in objects:
            given = one.get("set")
            if given is None:
                continue
            if given["name"] == LEDGER:
                noted, _, by = _read_ledger(given.get("elem", ()), now, ledger).partition(",")
                made.noted = noted if by == base else ""
                continue
            shape = shape_named(given["name"])
            if shape is None or shape.family != given["family"]:
                continue
            made.shapes.add(shape)
            for entry in given.get("elem", ()):
                element = entry.get("elem") if isinstance(entry, Mapping) else None
                if element is not None:
                    listed.append((Element(shape, _key(element["val"])), element.get("comment", "")))
    made.rules = rules_digest(tables)
    parts: dict[int, list[Element]] = {intent: [] for intent in ledger}
    for element, comment in listed:
        if _OWNERS.fullmatch(comment):
            for word in comment.split(","):
                if int(word, 16) in parts:
                    parts[int(word, 16)].append(element)
    for intent, elements in parts.items():
        made.hold(intent, elements, ledger[intent])
    return made


def _read_ledger(entries: Iterable[Any], now: float, into: dict[int, float]) -> str:
    noted = ""
    for entry in entries:
        element = entry.get("elem") if isinstance(entry, Mapping) else None
        if element is None:
            continue
        high, low = element["val"]["concat"]
        if (high, low) == _BASE_KEY:
            noted = element.get("comment", "")
        elif "expires" in element:
            # Listed in whole seconds, rounded down: better a second too long in our book than one too short.
            into[high << 32 | low] = now + element["expires"] + 1.0
    return noted


def _key(value: Any) -> str:
    return " . ".join(value["concat"]) if isinstance(value, Mapping) else str(value)


def rules_digest(tables: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Of everything but elements, handles and counters."""
    kept = [_stable(one) for objects in tables for one in objects if "metainfo" not in one]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:32]


def _stable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _stable(one) for key, one in value.items() if key not in _VOLATILE}
    return [_stable(one) for one in value] if isinstance(value, list) else value


class Change:
    """Commands for one transaction, gathered by set. An element that is changed or removed is first added: what is
    there already is no error to ``add``, what is not there any more (just expired) would be one to ``delete``."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._away: dict[str, list[str]] = {}
        self._there: dict[str, list[str]] = {}
        self._places: dict[Shape, str] = {}

    def remove(self, element: Element) -> None:
        self._away.setdefault(self._set(element.shape), []).append(element.key)

    def put(self, element: Element, owners: Sequence[int], seconds: float, fresh: bool) -> None:
        """``fresh``: it is not there. Raises Rejected if too many intents share it."""
        if len(owners) > MOST_OWNERS:
            raise Rejected(
                f"{element.line()} is held for {MOST_OWNERS} intents already; an element can name no more"
            )
        if not fresh:
            self.remove(element)
        comment = ",".join(f"{one:016x}" for one in owners)
        self._there.setdefault(self._set(element.shape), []).append(
            f'{element.key} timeout {_time(seconds)} comment "{comment}"'
        )

    def note(self, intent: int, seconds: float, fresh: bool) -> None:
        """The intent itself."""
        place, key = f"inet {self._table} {LEDGER}", ledger_key(intent)
        if not fresh:
            self._away.setdefault(place, []).append(key)
        self._there.setdefault(place, []).append(f"{key} timeout {_time(seconds)}")

    def forget(self, intent: int) -> None:
        self._away.setdefault(f"inet {self._table} {LEDGER}", []).append(ledger_key(intent))

    def commands(self) -> list[str]:
        made = []
        for place, keys in self._away.items():
            listed = ", ".join(dict.fromkeys(keys))
            made += [f"add element {place} {{ {listed} }}", f"delete element {place} {{ {listed} }}"]
        return made + [f"add element {place} {{ {', '.join(keys)} }}" for place, keys in self._there.items()]

    def _set(self, shape: Shape) -> str:
        place = self._places.get(shape)
        if place is None:
            place = self._places[shape] = f"{shape.family} {self._table} {shape.name}"
        return place


def ledger_key(intent: int) -> str:
    return f"0x{intent >> 32:08x} . 0x{intent & 0xFFFFFFFF:08x}"


def note_rules(table: str, rules: str, base: str) -> list[str]:
    """Keeps the digest of the rules, and of the commands that made them, in the table itself, without a timeout."""
    place, key = f"inet {table} {LEDGER}", ledger_key(0)
    return [
        f"add element {place} {{ {key} }}",
        f"delete element {place} {{ {key} }}",
        f'add element {place} {{ {key} comment "{rules},{base}" }}',
    ]


def _time(seconds: float) -> str:
    """
    >>> _time(61.5)
    '61s500ms'
    """
    whole, rest = divmod(max(1, int(seconds * 1000 + 0.5)), 1000)
    return f"{whole}s{rest}ms" if rest else f"{whole}s"
