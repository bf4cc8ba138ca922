"""What is remembered from day to day, bounded, as one document.

- ``items``: how often each behaviour was seen, first and last day; ``pairs``: how often two in one session;
- ``links``: the newest word of ``darknet.link`` on each (mark, behaviour);
- ``sets``: which ports the sources of a fingerprint asked for ("" stands for sources without one);
- ``days``: sources of each item on each day, as a count and the lowest 128 hashes (KMV; Bar-Yossef et al.,
RANDOM 2002);
- ``stays``: up to 256 sources of each item with the lowest hashes, first and last day: how long a source stays,
who moves;
- ``kinds``: devices by class among the sources of each mark; ``reports``; ``families``: who is who, and what was told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

from andon.sketch.state import StateError, pack, unpack

MOST_ITEMS, MOST_PAIRS, MOST_LINKS = 20_000, 60_000, 5_000
MOST_SETS, MOST_DAYS, MOST_STAYS, MOST_REPORTS, MOST_FAMILIES = 20_000, 20_000, 1_500, 5_000, 500
KMV, SAMPLE = 128, 256
REMEMBERED: Final = 400  # days


@dataclass
class Memory:
    """See the module text. Keys of ``days`` are (item, day number since 1970)."""

    items: dict[str, list[int]] = field(default_factory=dict)  # item -> [sessions, first day, last day]
    pairs: dict[tuple[str, str], int] = field(default_factory=dict)
    links: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # (mark, behaviour) -> row
    sets: dict[str, dict[str, int]] = field(default_factory=dict)
    days: dict[tuple[str, int], list[Any]] = field(
        default_factory=dict
    )  # -> [sources, hashes, sessions, loaders]
    stays: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    kinds: dict[str, dict[str, list[int]]] = field(default_factory=dict)  # mark -> class -> hashes of assets
    targets: dict[str, list[str]] = field(default_factory=dict)  # exploit -> "vendor|product|device"
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    families: list[dict[str, Any]] = field(default_factory=list)
    loaders: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # loader -> credential -> sessions after a bot's
    ports: dict[str, int] = field(default_factory=dict)  # port -> source-days
    sources: int = 0  # source-days of the darknet
    begin: int = 0  # first day with darknet sources
    left_out: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Memory:
        return self.from_bytes(self.to_bytes())

    def forget(self, day: int) -> None:
        """Drop what is too old or too much; what goes is counted."""
        self._cut("items", MOST_ITEMS, lambda entry: (-entry[1][0], entry[0]))
        self._cut("pairs", MOST_PAIRS, lambda entry: (-entry[1], entry[0]))
        self._cut("links", MOST_LINKS, lambda entry: (-entry[1]["sources"], entry[0]))
        self._cut("stays", MOST_STAYS, lambda entry: (-len(entry[1]), entry[0]))
        self._cut("reports", MOST_REPORTS, lambda entry: (-entry[1]["published"], entry[0]))
        self._cut("kinds", MOST_STAYS, lambda entry: (-sum(map(len, entry[1].values())), entry[0]))
        self._cut("ports", MOST_ITEMS, lambda entry: (-entry[1], entry[0]))
        self._cut("loaders", MOST_ITEMS, lambda entry: (-sum(entry[1].values()), entry[0]))
        for key in [key for key in self.days if key[1] <= day - REMEMBERED]:
            del self.days[key]
        self._cut("days", MOST_DAYS, lambda entry: (-entry[0][1], -entry[1][0], entry[0]))
        left = MOST_SETS
        for name in sorted(self.sets, key=lambda one: (one == "", -sum(self.sets[one].values()), one)):
            ordered = sorted(self.sets[name].items(), key=lambda entry: (-entry[1], entry[0]))
            kept = ordered[: max(min(left, MOST_SETS // 10), 0)]
            self._count("sets", len(ordered) - len(kept))
            self.sets[name] = dict(kept)
            left -= len(kept)
        self.families = self.families[-MOST_FAMILIES:]

    def _cut(self, name: str, most: int, order: Any) -> None:
        held: dict[Any, Any] = getattr(self, name)
        if len(held) > most:
            self._count(name, len(held) - most)
            setattr(self, name, dict(sorted(sorted(held.items(), key=order)[:most])))

    def _count(self, name: str, number: int) -> None:
        if number > 0:
            self.left_out[name] = self.left_out.get(name, 0) + number

    def to_bytes(self) -> bytes:
        body = {
            "items": self.items,
            "pairs": [[a, b, n] for (a, b), n in sorted(self.pairs.items())],
            "links": [[a, b, row] for (a, b), row in sorted(self.links.items())],
            "sets": self.sets,
            "days": [[name, day, entry] for (name, day), entry in sorted(self.days.items())],
            "stays": {name: sorted(held.items()) for name, held in self.stays.items()},
            "kinds": self.kinds,
            "targets": self.targets,
            "reports": self.reports,
            "families": self.families,
            "loaders": self.loaders,
            "ports": self.ports,
            "sources": self.sources,
            "begin": self.begin,
            "left_out": self.left_out,
        }
        text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return pack("profiles", 1, {"json": np.frombuffer(text.encode("utf-8", "replace"), np.uint8)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, _ = unpack("profiles", 1, data)
        try:
            body = json.loads(arrays["json"].tobytes())
            body["pairs"] = {(a, b): n for a, b, n in body["pairs"]}
            body["links"] = {(a, b): row for a, b, row in body["links"]}
            body["days"] = {(name, day): entry for name, day, entry in body["days"]}
            body["stays"] = {name: {int(h): when for h, when in held} for name, held in body["stays"].items()}
            return cls(**body)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise StateError(f"damaged memory of profiles: {error}") from error


def union(entries: list[list[Any]]) -> int:
    """Distinct sources of several entries of ``days`` together: exact below ``KMV`` hashes, else estimated.

    >>> union([[2, [1, 5], 0, 0], [2, [5, 9], 0, 0]])
    3
    """
    if len(entries) == 1:
        return int(entries[0][0])
    if not entries:
        return 0
    hashes: list[int] = sorted({h for entry in entries for h in entry[1]})
    most = max(int(entry[0]) for entry in entries)
    if all(entry[0] <= KMV for entry in entries):
        return max(len(hashes), most)
    # Only hashes below the least bound of a full entry are known for all of them.
    bound: int = min(entry[1][-1] for entry in entries if entry[0] > KMV)
    below = sum(h <= bound for h in hashes)
    return max(round((below - 1) * 2**32 / max(bound, 1)), most)
