"""Sensors behind a source: what the runner is given of each, and who is waited for.

Each source of each sensor is a member, NAME/SENSOR/SOURCE, with a time of its own. A sensor that is named in the
configuration has a place, NAME/SENSOR, that holds time back until its first message says which sources it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from andon.observe.live.source import Piece
from andon.records.kinds import KINDS, PACKET, marked
from andon.records.packet import SCHEMA
from andon.run.bus.message import Part
from andon.run.bus.track import Fresh, Track
from andon.run.live.clocks import MEMBERS

NOTHING: Final = pa.RecordBatch.from_pylist([], schema=SCHEMA)
_AHEAD: Final = 60_000_000_000  # ns: no sensor's time runs further ahead


@dataclass
class Reading:
    """What was read since the start. ``refused`` by reason."""

    messages: int = 0
    rows: int = 0
    nbytes: int = 0
    duplicates: int = 0
    gaps: int = 0
    lost: int = 0
    late: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Members:
    """``idle``: seconds of silence after which nobody waits for one. ``clock``: ns since 1970; ``now``: seconds."""

    def __init__(
        self, name: str, sensors: Sequence[str], idle: float, forgeable: bool, clock: Callable[[], int],
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._name, self._idle, self._forgeable = name, idle, forgeable
        self._clock, self._now = clock, now
        self.awaited = {f"{name}/{sensor}": tuple(KINDS) for sensor in sensors}
        self._heard: dict[str, float] = {}  # member -> when
        self._silent: set[str] = set()

    def open(self, tracks: Mapping[str, Track]) -> Iterator[dict[str, Any]]:
        """After a start; gives what is to be told."""
        for sensor, track in tracks.items():
            for source in track.sources:
                self._heard[self._member(sensor, source)] = self._now()
        for place in self.awaited:
            if place.partition("/")[2] in tracks:
                yield {"type": "finished", "source": place}
            else:
                self._heard[place] = self._now()

    def silent(self) -> Iterator[dict[str, Any]]:
        """Who has not been heard for too long; each is told once."""
        now = self._now()
        for name, heard in self._heard.items():
            if name not in self._silent and now - heard >= self._idle:
                self._silent.add(name)
                yield {"type": "idle", "source": name}

    def left(self, sensor: str, track: Track) -> Iterator[dict[str, Any]]:
        """The sensor is another analyser's from now on."""
        for source in track.sources:
            name = self._member(sensor, source)
            self._heard.pop(name, None)
            yield {"type": "finished", "source": name}

    def pieces(self, part: Part, track: Track, fresh: Fresh, read: Reading) -> Iterator[Piece]:
        """What a part gives: that its sensor is known, what is missing before it, its rows, what happened after."""
        now = self._now()
        events = [*self._membership(part, track), *self._missing(part, fresh, read)]
        if events:
            yield self._note(*events)
        for one in part.sources:
            member = self._member(part.sensor, one)
            if member in self._heard or len(self._heard) < MEMBERS:
                self._heard[member] = now
            self._silent.discard(member)
        if part.count and not part.held:
            source = self._member(part.sensor, next(iter(part.sources), ""))
            why = "larger than a message of the bus may be"
            yield self._note(
                {"type": "lost", "source": source, "rows": part.count, "noun": "records", "why": why}
            )
        for start, stop in fresh.ranges if part.held else ():
            yield from self._rows(part, start, stop)
        if fresh.events and part.events:
            yield self._note(*[self._told_by(part.sensor, event) for event in part.events])

    def _note(self, *events: Mapping[str, Any]) -> Piece:
        return Piece(NOTHING, {}, self._name, events=events)

    def _rows(self, part: Part, start: int, stop: int) -> Iterator[Piece]:
        at = 0
        for one in part.held:
            rows = one.batch.num_rows
            low, high = max(start, at), min(stop, at + rows)
            if low < high:
                batch, position = one.batch.slice(low - at, high - low), dict[str, Any]()
                if part.kind != PACKET:
                    batch, position = (
                        marked(batch, part.kind),
                        {"promise": one.promise if high == at + rows else None},
                    )
                forgeable = one.forgeable or self._forgeable
                yield Piece(batch, position, self._member(part.sensor, one.source), forgeable)
            at += rows

    def _membership(self, part: Part, track: Track) -> Iterator[dict[str, Any]]:
        """The sensor's sources as they are now, where that is news."""
        place = f"{self._name}/{part.sensor}"
        if self._heard.pop(place, None) is not None:
            yield {"type": "finished", "source": place}
        before = track.sources
        for source, kinds in part.sources.items():
            if before.get(source) != kinds:
                name = self._member(part.sensor, source)
                yield {"type": "member", "source": name, "of": self._name, "kinds": list(kinds)}
        for source in before.keys() - part.sources.keys():
            name = self._member(part.sensor, source)
            self._heard.pop(name, None)
            yield {"type": "finished", "source": name}
        track.sources = dict(part.sources)

    def _missing(self, part: Part, fresh: Fresh, read: Reading) -> Iterator[dict[str, Any]]:
        place = f"{self._name}/{part.sensor}"
        if fresh.renewed:
            why = "the sensor has a new store: what it had not sent is lost"
            yield {"type": "gap", "source": place, "why": why}
        read.late += fresh.late
        if fresh.gap:
            read.gaps += 1
            read.lost += fresh.lost
            between = {"from": fresh.since, "to": part.clock} if fresh.since else {}
            kind = {"type": "lost", "rows": fresh.lost} if fresh.lost else {"type": "gap"}
            yield {
                **kind,
                **between,
                "source": place,
                "why": "the bus does not hold all that the sensor sent",
            }

    def _told_by(self, sensor: str, event: Mapping[str, Any]) -> dict[str, Any]:
        source = str(event.get("source", ""))
        name = self._member(sensor, source) if source else f"{self._name}/{sensor}"
        made = {**event, "source": name}
        if made["type"] == "heartbeat":
            made["time"] = min(int(made["time"]), self._clock() + _AHEAD)
        return made

    def _member(self, sensor: str, source: str) -> str:
        return f"{self._name}/{sensor}/{source}"
