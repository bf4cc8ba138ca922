"""What darknet.link remembers: thirty days of both sides, bounded, with one sample of sources for both.

The darknet side has a row for each source, day and fingerprint; the honeypot side a row for each session, and its
behaviours. When there is more than ``limit`` allows, both sides keep the sources whose keyed hash lies below 2^-level
(as ``sketch.rows`` does): a source that is kept is kept on both sides, so that matches are thinned out but never torn.
The level falls again when the days that needed it are forgotten. Times are seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np

from andon.detect.darknet.link.texts import pack_texts, renumber, unpack_texts
from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError, pack, unpack

MOST_LEVEL: Final = 6  # a /24 then holds four addresses of the sample: fewer would leave the decoys no place
_DARKNET = {"src": "<u4", "first": "<u4", "last": "<u4", "fingerprint": "<i4", "ports": "<i4", "aside": "|u1"}
_SESSIONS = {
    "address": "<u4", "at": "<u4", "port": "<i4", "sensor": "<i4", "role": "|u1", "aside": "|u1", "count": "<i4",
}  # fmt: skip


def sampled(addresses: np.ndarray, level: int, salt: int) -> np.ndarray:
    """Whether addresses (uint32) are in the sample of a level."""
    if level == 0:
        return np.ones(len(addresses), np.bool_)
    kept: np.ndarray = mix64_array(addresses.astype(np.uint64), np.uint64(salt)) >> np.uint64(64 - level) == 0
    return kept


@dataclass(frozen=True)
class Darknet:
    """Rows (source, fingerprint, set of ports, from, to); ``fingerprint`` and ``ports`` are numbers into the texts of
    the history, -1 where there is none. Rows set ``aside`` (1) are looked at for the clock alone."""

    src: np.ndarray
    first: np.ndarray
    last: np.ndarray
    fingerprint: np.ndarray
    ports: np.ndarray
    aside: np.ndarray

    def __len__(self) -> int:
        return len(self.src)

    def take(self, rows: np.ndarray) -> Darknet:
        return Darknet(*(getattr(self, name)[rows] for name in _DARKNET))


@dataclass(frozen=True)
class Sessions:
    """Rows (address, at, port, sensor, role, aside), ``count`` behaviours each in ``behaviour``, and their names."""

    address: np.ndarray
    at: np.ndarray
    port: np.ndarray
    sensor: np.ndarray
    role: np.ndarray
    aside: np.ndarray
    count: np.ndarray
    behaviour: np.ndarray
    name: list[str]

    def __len__(self) -> int:
        return len(self.address)

    def begins(self) -> np.ndarray:
        """Where the behaviours of each session begin."""
        return np.asarray(np.cumsum(self.count, dtype=np.int64) - self.count)

    def take(self, rows: np.ndarray) -> Sessions:
        columns = {name: getattr(self, name)[rows] for name in _SESSIONS}
        names = [self.name[row] for row in rows.tolist()]
        return Sessions(
            **columns, behaviour=self.behaviour[spans(self.begins()[rows], columns["count"])], name=names
        )


def spans(begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers begin, begin + 1, ... of each (begin, count), one after the other.

    >>> spans(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    counts = counts.astype(np.int64)
    total = int(counts.sum())
    starts = np.cumsum(counts) - counts
    return np.repeat(begins - starts, counts) + np.arange(total)


def _none() -> tuple[Darknet, Sessions]:
    dark = Darknet(*(np.zeros(0, kind) for kind in _DARKNET.values()))
    columns: dict[str, Any] = {name: np.zeros(0, kind) for name, kind in _SESSIONS.items()}
    return dark, Sessions(**columns, behaviour=np.zeros(0, np.int32), name=[])


@dataclass(frozen=True)
class Told:
    """What was said of each link, by series: sources and the end of the span (s) when it was last told."""

    series: list[str] = field(default_factory=list)
    sources: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    at: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class History:
    """See the module text. ``fingerprints``, ``port_sets``, ``behaviours`` ("KIND\\x1fVALUE") and ``sensors`` are the
    texts of the numbers; ``levels`` holds (day, level) of the days remembered; ``lost_rows`` and ``lost_sessions``
    count what the sample left out of them."""

    darknet: Darknet
    sessions: Sessions
    fingerprints: list[str]
    port_sets: list[str]
    behaviours: list[str]
    sensors: list[str]
    levels: np.ndarray  # int64 (n, 4): day, level, rows left out, sessions left out
    told: Told

    @classmethod
    def empty(cls) -> Self:
        dark, sessions = _none()
        return cls(dark, sessions, [], [], [], [], np.zeros((0, 4), np.int64), Told())

    @property
    def level(self) -> int:
        return int(self.levels[:, 1].max(initial=0))

    @property
    def lost(self) -> tuple[int, int]:
        """(darknet rows, sessions) that the sample left out in the days remembered."""
        return int(self.levels[:, 2].sum()), int(self.levels[:, 3].sum())

    def after(
        self, dark: Darknet, sessions: Sessions, oldest: int, day: int, limit: tuple[int, int], salt: int
    ) -> History:
        """The history with a day more (its numbers are of this history's texts) and without what ended before
        ``oldest`` (s). ``limit``: most darknet rows, most sessions."""
        levels = self.levels[self.levels[:, 0] * 86400 >= oldest]
        old_dark = self.darknet.take(np.flatnonzero(self.darknet.last >= oldest))
        old_sessions = self.sessions.take(np.flatnonzero(self.sessions.at >= oldest))
        level = int(levels[:, 1].max(initial=0))
        while True:
            keep_dark = [np.flatnonzero(sampled(part.src, level, salt)) for part in (old_dark, dark)]
            keep_sessions = [
                np.flatnonzero(sampled(part.address, level, salt)) for part in (old_sessions, sessions)
            ]
            sizes = (sum(map(len, keep_dark)), sum(map(len, keep_sessions)))
            if (sizes[0] <= limit[0] and sizes[1] <= limit[1]) or level == MOST_LEVEL:
                break
            level += 1
        lost = len(old_dark) + len(dark) - sizes[0], len(old_sessions) + len(sessions) - sizes[1]
        new = replace(
            self,
            darknet=_joined_darknet(old_dark.take(keep_dark[0]), dark.take(keep_dark[1]), limit[0]),
            sessions=_joined_sessions(
                old_sessions.take(keep_sessions[0]), sessions.take(keep_sessions[1]), limit[1]
            ),
        )
        over = sizes[0] - len(new.darknet), sizes[1] - len(new.sessions)
        row = np.array([[day, level, lost[0] + over[0], lost[1] + over[1]]], np.int64)
        return replace(new, levels=np.concatenate([levels, row]))._renumbered()

    def _renumbered(self) -> History:
        dark, sessions = self.darknet, self.sessions
        prints, print_of = renumber(self.fingerprints, dark.fingerprint)
        ports, ports_of = renumber(self.port_sets, dark.ports)
        behaviours, behaviour_of = renumber(self.behaviours, sessions.behaviour)
        sensors, sensor_of = renumber(self.sensors, sessions.sensor)
        return replace(
            self,
            darknet=replace(
                dark,
                fingerprint=print_of[dark.fingerprint].astype(np.int32),
                ports=ports_of[dark.ports].astype(np.int32),
            ),
            sessions=replace(
                sessions,
                behaviour=behaviour_of[sessions.behaviour].astype(np.int32),
                sensor=sensor_of[sessions.sensor].astype(np.int32),
            ),
            fingerprints=prints,
            port_sets=ports,
            behaviours=behaviours,
            sensors=sensors,
        )

    def to_bytes(self) -> bytes:
        arrays = {f"darknet.{name}": getattr(self.darknet, name) for name in _DARKNET}
        arrays |= {f"session.{name}": getattr(self.sessions, name) for name in _SESSIONS}
        arrays |= {"behaviour": self.sessions.behaviour, "levels": self.levels}
        arrays |= {"told.sources": self.told.sources, "told.at": self.told.at}
        texts = {
            "names": self.sessions.name, "fingerprints": self.fingerprints, "port_sets": self.port_sets,
            "behaviours": self.behaviours, "sensors": self.sensors, "told": self.told.series,
        }  # fmt: skip
        for name, values in texts.items():
            arrays |= pack_texts(name, values)
        return pack("link history", 1, arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, _ = unpack("link history", 1, data)
        try:
            dark = Darknet(*(arrays[f"darknet.{name}"] for name in _DARKNET))
            columns: dict[str, Any] = {name: arrays[f"session.{name}"] for name in _SESSIONS}
            sessions = Sessions(**columns, behaviour=arrays["behaviour"], name=unpack_texts("names", arrays))
            told = Told(unpack_texts("told", arrays), arrays["told.sources"], arrays["told.at"])
            texts = {
                name: unpack_texts(name, arrays)
                for name in ("fingerprints", "port_sets", "behaviours", "sensors")
            }
            made = cls(darknet=dark, sessions=sessions, **texts, levels=arrays["levels"], told=told)
        except KeyError as error:
            raise StateError(f"damaged history of links: no {error}") from error
        if len(sessions.name) != len(sessions) or int(sessions.count.sum()) != len(sessions.behaviour):
            raise StateError("damaged history of links: sessions and their behaviours do not agree")
        return made


def _joined_darknet(a: Darknet, b: Darknet, limit: int) -> Darknet:
    """Both in order of (source, first, ...); beyond the limit, which only a flood of one sample reaches, the oldest
    go."""
    columns = [np.concatenate([getattr(a, name), getattr(b, name)]) for name in _DARKNET]
    joined = Darknet(*columns)
    if len(joined) > limit:
        newest = np.lexsort((joined.src, -joined.last.astype(np.int64)))[:limit]
        joined = joined.take(newest)
    order = np.lexsort((joined.ports, joined.fingerprint, joined.last, joined.first, joined.src))
    return joined.take(order)


def _joined_sessions(a: Sessions, b: Sessions, limit: int) -> Sessions:
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in _SESSIONS
    }
    joined = Sessions(
        **columns, behaviour=np.concatenate([a.behaviour, b.behaviour]), name=[*a.name, *b.name]
    )
    names = np.array(joined.name, dtype=object)
    rank = (
        np.argsort(np.argsort(names, kind="stable"), kind="stable") if len(names) else np.zeros(0, np.int64)
    )
    if len(joined) > limit:
        newest = np.lexsort((rank, -joined.at.astype(np.int64)))[:limit]
        joined, rank = joined.take(newest), rank[newest]
    return joined.take(np.lexsort((rank, joined.at, joined.address)))
