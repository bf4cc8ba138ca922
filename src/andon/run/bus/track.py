"""How far a sensor's segments were taken, and what of a part is new.

A part is a range of (segment, row). What lies below where the track stands was taken already, unless it was missed: a
range that was jumped over is remembered, so that what comes after all (a producer that sent in another order after a
fault) is taken and not thought a duplicate. Closing a segment moves the track to row 0 of the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from andon.records.kinds import PACKET

Place = tuple[int, int]  # segment, row
_MOST_MISSING: Final = 64
_MOST_PAST: Final = 16


class Ranged(Protocol):
    """What is needed to know of a part."""

    @property
    def epoch(self) -> str: ...
    @property
    def segment(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def end(self) -> bool: ...
    @property
    def row(self) -> int: ...
    @property
    def clock(self) -> int: ...
    @property
    def kind(self) -> str: ...


@dataclass(frozen=True)
class Fresh:
    """What of a part is new: ranges of its rows (from 0 in the part), and whether its events are. ``gap``: something
    before it did not come, ``lost`` packets of it; ``late``: it came after what follows it; ``older``: it is of a
    store that the sensor does not use any more; ``renewed``: of a store that it did not use before."""

    ranges: tuple[tuple[int, int], ...] = ()
    events: bool = False
    gap: bool = False
    lost: int = 0
    late: bool = False
    older: bool = False
    renewed: bool = False
    since: int = 0  # ns: clock of what came before the gap

    @property
    def anything(self) -> bool:
        return bool(self.ranges) or self.events


@dataclass
class Track:
    """``loose``: somebody else may have taken what lies between, so a jump is no gap. ``row``: packets of all time."""

    epoch: str
    at: Place
    row: int
    clock: int = 0
    partition: int = -1
    loose: bool = False
    missing: list[tuple[Place, Place]] = field(default_factory=list)
    past: list[str] = field(default_factory=list)
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def before(cls, part: Ranged) -> Track:
        """Of a sensor that was never heard."""
        return cls(part.epoch, (part.segment, part.first), part.row, part.clock)

    def take(self, part: Ranged) -> Fresh:
        """What of the part is new; it counts as taken from now on.

        >>> from types import SimpleNamespace as Part
        >>> part = Part(epoch="a", segment=1, first=0, count=10, end=True, row=0, clock=5, kind="packet")
        >>> track = Track.before(part)
        >>> track.take(part).ranges, track.take(part).anything
        (((0, 10),), False)
        """
        renewed = False
        if part.epoch != self.epoch:
            if part.epoch in self.past:
                return Fresh(older=True)
            renewed = True
            self.past = [*self.past, self.epoch][-_MOST_PAST:]
            self.epoch, self.missing = part.epoch, []
            self.at, self.row = (part.segment, part.first), part.row
        low: Place = (part.segment, part.first)
        high: Place = (part.segment + 1, 0) if part.end else (part.segment, part.first + part.count)
        begin = self.at
        gap = low > begin and not self.loose
        if gap:
            self.missing = [*self.missing, (begin, low)][-_MOST_MISSING:]
        lost, since = (max(0, part.row - self.row) if gap else 0), self.clock
        if low >= begin:
            new = [(low, high)] if high > low else []
            late = False
        else:
            new = self._found(low, min(high, begin))
            late = bool(new)
            if high > begin:
                new.append((begin, high))
        if high > begin:
            self.at = high
            self.row = part.row + (part.count if part.kind == PACKET else 0)
            self.clock, self.loose = part.clock, False
        ranges, events = [], False
        for a, b in new:
            top = part.first + part.count
            start, stop = min(a[1], top), (top if b[0] > part.segment else min(b[1], top))
            if stop > start:
                ranges.append((start - part.first, stop - part.first))
            events = events or (part.end and b == high)
        return Fresh(tuple(ranges), events, gap, lost, late, False, renewed, since)

    def _found(self, low: Place, high: Place) -> list[tuple[Place, Place]]:
        """What of a range was missing; it is not any more."""
        found, left = [], []
        for a, b in self.missing:
            x, y = max(a, low), min(b, high)
            if x >= y:
                left.append((a, b))
                continue
            found.append((x, y))
            left += [(p, q) for p, q in ((a, x), (y, b)) if p < q]
        self.missing = left[-_MOST_MISSING:]
        return sorted(found)

    def to_json(self) -> list[Any]:
        return [self.epoch, *self.at, self.row, self.clock, self.partition, int(self.loose), self.missing, self.past,
                self.sources]  # fmt: skip

    @classmethod
    def from_json(cls, given: list[Any]) -> Track:
        epoch, segment, at, row, clock, partition, loose, missing, past, sources = given
        ranges = [((a[0], a[1]), (b[0], b[1])) for a, b in missing]
        kinds: Mapping[str, list[str]] = sources
        return cls(epoch, (segment, at), row, clock, partition, bool(loose), ranges, list(past),
                   {name: tuple(of) for name, of in kinds.items()})  # fmt: skip

    def copy(self) -> Track:
        return Track.from_json(self.to_json())
