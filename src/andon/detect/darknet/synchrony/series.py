"""One alert for one event: alerts of ports with the same sources, and of the same port again, are one series.

A series is opened by the first alert, keeps its subject, takes in ports that the same sources turn to, and is closed
when nothing was surprising about its ports for ``CALM`` spans. What comes within that time is a revision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError

CALM: Final = 36  # spans without surprise after which a series is closed
REMEMBERED: Final = 256  # sources of a series, those with the lowest hashes
_OVERLAP = 0.3  # share of the sources of the smaller group that are the larger one's too
_MOST_OPEN = 1024
_SALT = np.uint64(0x5EED5EED5EED5EED)
PARTNERS: Final = ("darknet.glasso", "darknet.nmf", "darknet.ntd", "darknet.changefinder")


@dataclass
class Series:
    """``units`` are its ports (kernel units), ``subject`` those it was opened with; times in spans."""

    stop: bool
    opened: int
    last: int  # newest alert
    begins: int  # ns, estimated
    subject: tuple[int, ...]
    units: tuple[int, ...]
    sources: np.ndarray  # lowest hashes, ascending (uint64)
    revision: int = 0
    reported: int = 0  # span of the last finding
    reported_sources: int = 0
    best: float = 0.0  # log10 of the largest e-value
    agreed: np.ndarray = field(default_factory=lambda: np.zeros(len(PARTNERS), np.int64))  # ns, 0: not yet
    told: int = 0  # number of partners when last reported


def sketch(sources: np.ndarray) -> np.ndarray:
    """The lowest ``REMEMBERED`` hashes of the sources, ascending."""
    return np.sort(mix64_array(sources.astype(np.uint64), _SALT))[:REMEMBERED]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the smaller set that is in the larger one, from their lowest hashes."""
    if not len(a) or not len(b):
        return 0.0
    # Where one list is cut, only hashes below its end can be compared.
    ends = [x[-1] for x in (a, b) if len(x) >= REMEMBERED]
    if ends:
        low = min(ends)
        a, b = a[a <= low], b[b <= low]
    smaller = min(len(a), len(b))
    return len(np.intersect1d(a, b, assume_unique=True)) / smaller if smaller else 0.0


def grouped(sketches: list[np.ndarray]) -> list[list[int]]:
    """Indices of alerts that share their sources, group by group."""
    groups: list[list[int]] = []
    for i, own in enumerate(sketches):
        mine = [g for g in groups if any(overlap(own, sketches[j]) >= _OVERLAP for j in g)]
        groups = [g for g in groups if g not in mine]
        groups.append(sorted([i, *(j for g in mine for j in g)]))
    return sorted(groups)


@dataclass
class Open:
    """All open series."""

    series: list[Series] = field(default_factory=list)

    def close(self, span: int) -> None:
        """Drop what has been calm."""
        self.series = [s for s in self.series if span - s.last <= CALM]

    def units(self, stop: bool) -> np.ndarray:
        """Units (ascending) of open series."""
        found = [u for s in self.series if s.stop == stop for u in s.units]
        return np.unique(np.array(found, np.int64))

    def find(self, stop: bool, units: tuple[int, ...], own: np.ndarray) -> Series | None:
        """The open series that an alert belongs to: one of these units, or one with these sources."""
        for s in self.series:
            if s.stop == stop and set(s.units) & set(units):
                return s
        for s in self.series:
            if s.stop == stop and len(own) >= 8 and overlap(own, s.sources) >= _OVERLAP:
                return s
        return None

    def add(self, made: Series) -> None:
        self.series.append(made)
        if len(self.series) > _MOST_OPEN:
            self.series.remove(min(self.series, key=lambda s: (s.last, s.opened, s.subject)))

    def arrays(self) -> dict[str, np.ndarray]:
        numbers = [
            (s.stop, s.opened, s.last, s.begins, s.revision, s.reported, s.reported_sources, s.told, len(s.subject),
             len(s.units), len(s.sources))
            for s in self.series
        ]  # fmt: skip
        flat = [u for s in self.series for u in (*s.subject, *s.units)]
        return {
            "series.numbers": np.array(numbers, np.int64).reshape(-1, 11),
            "series.units": np.array(flat, np.int64),
            "series.best": np.array([s.best for s in self.series], np.float64),
            "series.agreed": np.array([s.agreed for s in self.series], np.int64).reshape(-1, len(PARTNERS)),
            "series.sources": np.concatenate([np.zeros(0, np.uint64), *(s.sources for s in self.series)]),
        }

    @classmethod
    def of(cls, arrays: dict[str, Any]) -> Self:
        """From what ``arrays`` gave. Raises StateError."""
        try:
            numbers, flat = arrays["series.numbers"], arrays["series.units"].tolist()
            best, agreed, sources = arrays["series.best"], arrays["series.agreed"], arrays["series.sources"]
            found, unit, source = [], 0, 0
            for row, e, partners in zip(numbers.tolist(), best.tolist(), agreed, strict=True):
                (
                    stop,
                    opened,
                    last,
                    begins,
                    revision,
                    reported,
                    reported_sources,
                    told,
                    subjects,
                    units,
                    kept,
                ) = row
                found.append(
                    Series(
                        bool(stop), opened, last, begins, tuple(flat[unit : unit + subjects]),
                        tuple(flat[unit + subjects : unit + subjects + units]), sources[source : source + kept].copy(),
                        revision, reported, reported_sources, e, partners.copy(), told,
                    )
                )  # fmt: skip
                unit += subjects + units
                source += kept
        except (KeyError, ValueError) as error:
            raise StateError(f"damaged series of alerts: {error}") from error
        if unit != len(flat) or source != len(sources):
            raise StateError("damaged series of alerts: ports or sources left over")
        return cls(found)
