"""What is remembered of campaigns between days: bounded, and as bytes.

A campaign is remembered with what it looked like when it was last active (its port mix averaged over days), samples of
its sources by keyed hash, and a ring of sixty days of volume. Dead ones stay until thirty days after they were last
seen, so that they can come back under their name. Beyond ``most`` campaigns those quiet the longest go first; how many
were forgotten alive is counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from andon.detect.darknet.campaigns.units import MOST_NETWORKS, MOST_PORTS, SAMPLE
from andon.detect.darknet.campaigns.usual import Usual
from andon.sketch.state import StateError, pack, unpack

RING, COURSE = 60, 4  # days of volume; columns
ACTIVE, QUIET, DEAD = 0, 1, 2
STATES = ("active", "quiet", "dead")
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
Mix = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Campaign:
    """``born`` and ``last`` are starts of days in ns. ``ever`` holds the lowest hashes of all its sources, for
    their number; ``sample`` those of the last day. ``ring`` (60, 4): day number, packets, sources, median packets of
    a source."""

    name: str
    born: int
    last: int
    active_days: int
    from_start: bool  # was there on the first day observed: when it began is not known
    state: int
    quiet: int  # observed days since it was last seen
    longest: int  # longest pause that it came back from, in observed days
    sway: float  # usual total variation of its ports from the averaged mix
    level: int  # sources at the last report of growth, or the usual number
    klass: int
    label: str
    size: int  # sources on the last active day
    ports: Mix  # averaged
    hours: np.ndarray
    networks: Mix
    block: int
    sample: np.ndarray
    ever: np.ndarray
    ring: np.ndarray
    survey: int = 0  # sources called so by darknet.purpose, all days added
    attack: int = 0
    judged: int = 0
    acted: bool = (
        True  # it was seen to act as one; who was there on the first day may be a standing population
    )
    seen: int = -1  # all sources in the cells of ``base`` on the last active day; -1: not known
    own: int = 0  # of these its own
    # Cells by which it is seen without being told apart, and what was usual there before it came.
    base: Mix = field(default_factory=lambda: (np.zeros(0, np.int64), np.zeros(0)))

    def sources_ever(self) -> int:
        """Distinct sources in all, estimated from the lowest hashes (exact below 256)."""
        if len(self.ever) < SAMPLE:
            return len(self.ever)
        return int((SAMPLE - 1) / (float(self.ever[-1]) / 2.0**64))

    def recent(self, days: int) -> np.ndarray:
        """(packets, sources, median packets of a source) of the last active days, oldest first; at most ``days``."""
        return self.ring[self.ring[:, 0] > 0][-days:, 1:]


@dataclass(frozen=True)
class Memory:
    """All campaigns, oldest first; ``days``: observed days so far; ``forgotten``: alive ones left out for want of
    room. ``bases``: state of the NMF method, empty for ours."""

    campaigns: tuple[Campaign, ...] = ()
    days: int = 0
    forgotten: int = 0
    bases: dict[str, np.ndarray] = field(default_factory=dict)
    usual: Usual = field(default_factory=Usual.empty)

    def bounded(self, most: int) -> Memory:
        if len(self.campaigns) <= most:
            return self
        order = sorted(
            self.campaigns, key=lambda c: (c.state == DEAD, c.quiet, -c.active_days, -c.size, c.name)
        )
        alive = sum(c.state != DEAD for c in order[most:])
        kept = tuple(sorted(order[:most], key=lambda c: (c.born, c.name)))
        return replace(self, campaigns=kept, forgotten=self.forgotten + alive)

    def to_bytes(self) -> bytes:
        rows = self.campaigns
        text = json.dumps(
            [[c.name, c.label] for c in rows], separators=(",", ":"), ensure_ascii=False
        ).encode()
        arrays: dict[str, np.ndarray] = {
            "text": np.frombuffer(text, np.uint8),
            "numbers": np.array([[getattr(c, name) for name in _NUMBERS] for c in rows], "<i8").reshape(
                len(rows), len(_NUMBERS)
            ),
            "sway": np.array([c.sway for c in rows], "<f8"),
            "hours": _stack([c.hours for c in rows], 24, "<f8"),
            "ring": _stack([c.ring.reshape(-1) for c in rows], RING * COURSE, "<i8"),
            "sample": _stack([c.sample for c in rows], SAMPLE, "<u8", int(_ALL)),
            "ever": _stack([c.ever for c in rows], SAMPLE, "<u8", int(_ALL)),
        }
        for name, width in _MIXES:
            mixes = [getattr(c, name) for c in rows]
            arrays[f"{name}.codes"] = _stack([m[0] for m in mixes], width, "<i8", -1)
            arrays[f"{name}.shares"] = _stack([m[1] for m in mixes], width, "<f8")
        arrays |= {
            "base.cells": _stack([c.base[0] for c in rows], _MOST_BASE, "<i8", -1),
            "base.means": _stack([c.base[1] for c in rows], _MOST_BASE, "<f8"),
        }
        arrays |= {
            "usual.cells": self.usual.cells,
            "usual.means": self.usual.means,
            "usual.rest": self.usual.rest,
        }
        arrays |= {f"bases.{name}": array for name, array in sorted(self.bases.items())}
        return pack("campaigns", _VERSION, arrays, {"days": self.days, "forgotten": self.forgotten})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        numbered: tuple[str, ...] = _NUMBERS
        try:
            arrays, scalars = unpack("campaigns", _VERSION, data)
        except StateError as error:
            try:  # version 1 did not count by cells: what it lacks is not known
                arrays, scalars = unpack("campaigns", 1, data)
            except StateError:
                raise error from None
            numbered = _NUMBERS[: -len(_SINCE_2)]
        try:
            texts: list[Any] = json.loads(arrays["text"].tobytes())
            rows = []
            for i, (name, label) in enumerate(texts):
                numbers: dict[str, Any] = dict(zip(numbered, arrays["numbers"][i].tolist(), strict=True))
                numbers["from_start"] = bool(numbers["from_start"])
                numbers["acted"] = bool(numbers.get("acted", not numbers["from_start"]))
                mixes: dict[str, Any] = {}
                for key, _ in _MIXES:
                    codes = arrays[f"{key}.codes"][i]
                    mixes[key] = (codes[codes >= 0], arrays[f"{key}.shares"][i][codes >= 0])
                sample, ever = arrays["sample"][i], arrays["ever"][i]
                if "base.cells" in arrays:
                    cells, means = arrays["base.cells"][i], arrays["base.means"][i]
                    mixes["base"] = (cells[cells >= 0], means[cells >= 0])
                rows.append(
                    Campaign(
                        name=str(name), label=str(label), sway=float(arrays["sway"][i]), hours=arrays["hours"][i],
                        ring=arrays["ring"][i].reshape(RING, COURSE), sample=sample[sample < _ALL],
                        ever=ever[ever < _ALL], **mixes, **numbers,
                    )
                )  # fmt: skip
            if len(rows) != len(arrays["numbers"]):
                raise StateError("damaged memory of campaigns: names and numbers differ in number")
            bases = {key[6:]: array for key, array in arrays.items() if key.startswith("bases.")}
            usual = Usual(arrays["usual.cells"], arrays["usual.means"], arrays["usual.rest"])
            if not len(usual.cells) == len(usual.means) == len(usual.rest):
                raise StateError("damaged memory of campaigns: cells and means differ in number")
            return cls(tuple(rows), scalars["days"], scalars["forgotten"], bases, usual)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise StateError(f"damaged memory of campaigns: {error}") from error


_VERSION, _SINCE_2 = 2, ("acted", "seen", "own")
_NUMBERS = (
    "born", "last", "active_days", "from_start", "state", "quiet", "longest", "level", "klass", "size", "block",
    "survey", "attack", "judged", *_SINCE_2,
)  # fmt: skip
_MOST_BASE = 8
_MIXES = (("ports", MOST_PORTS * 2), ("networks", MOST_NETWORKS))


def _stack(rows: list[np.ndarray], width: int, dtype: str, fill: int = 0) -> np.ndarray:
    out = np.full((len(rows), width), fill, dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row[:width]
    return out
