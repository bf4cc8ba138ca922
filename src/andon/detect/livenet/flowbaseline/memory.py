"""What is remembered: of each terminal how long it is known and what it usually sends to one place; of each
terminal's use of a service its usual hours of the week.

The profile of a series (a terminal's use of a service in a direction) is its mean number of flows in each of the 168
hours of the week, over the days on which it was used: an absence is no observation. A mean is over at most
``WEEKS`` weeks, so that it follows slow change. Beside it stand sums for what a flow carries (bytes, others) and for
how much hours differ from what was expected. Bounded: at most ``limit`` series, those seen last and longest; a
terminal or series unseen for ``KEPT`` days is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final, Self

import numpy as np

from andon.sketch.state import StateError, pack, split, unpack
from andon.sketch.state import join as joined

WEEKS: Final = 8
KEPT: Final = 60
METRICS: Final = ("flows", "fan-out", "volume", "scan", "exfiltration", "new-service")
BINS: Final = 400  # of the surprises of the past, an eighth wide
_U8, _I8, _F8 = np.uint64, np.int64, np.float64


def _none(dtype: type, *shape: int) -> np.ndarray:
    return np.zeros((0, *shape), dtype)


@dataclass
class Terminals:
    """Parallel arrays, ascending by ``key``. ``days``: on which it was seen and learned from; ``probed``, ``sent``:
    decaying maxima of the (address, port) pairs asked in vain in an hour, and of the bytes to one destination in a
    day; ``opened``, ``quiet``, ``count``: (terminals, metrics) day since which an alert is open (-1: none), days it
    was quiet since, days it was surprising."""

    key: np.ndarray = field(default_factory=lambda: _none(_U8))
    peer: np.ndarray = field(default_factory=lambda: _none(_I8))
    days: np.ndarray = field(default_factory=lambda: _none(_I8))
    last: np.ndarray = field(default_factory=lambda: _none(_I8))
    probed: np.ndarray = field(default_factory=lambda: _none(_F8))
    sent: np.ndarray = field(default_factory=lambda: _none(_F8))
    opened: np.ndarray = field(default_factory=lambda: _none(_I8, len(METRICS)))
    quiet: np.ndarray = field(default_factory=lambda: _none(_I8, len(METRICS)))
    count: np.ndarray = field(default_factory=lambda: _none(_I8, len(METRICS)))


@dataclass
class Series:
    """Parallel arrays, ascending by ``key``. ``seen``: (series, 7) days of each weekday that are in the profile, at
    most ``WEEKS``; ``profile``: (series, 168) float16 mean flows; ``level``: mean flows of a day; ``carried``:
    (series, 3) decaying sums of flows, bytes out, others; ``spread``: (series, 3, 2) sums for the dispersion of
    flows, others and the logarithm of bytes (``expect.dispersion``)."""

    key: np.ndarray = field(default_factory=lambda: _none(_U8))
    owner: np.ndarray = field(default_factory=lambda: _none(_U8))
    group: np.ndarray = field(default_factory=lambda: _none(_U8))  # service and direction
    peers: np.ndarray = field(default_factory=lambda: _none(_U8))  # the same among its peers
    last: np.ndarray = field(default_factory=lambda: _none(_I8))
    days: np.ndarray = field(default_factory=lambda: _none(_I8))  # since it began or was learned anew
    seen: np.ndarray = field(default_factory=lambda: _none(np.uint8, 7))
    profile: np.ndarray = field(default_factory=lambda: _none(np.float16, 168))
    level: np.ndarray = field(default_factory=lambda: _none(_F8))
    carried: np.ndarray = field(default_factory=lambda: _none(_F8, 3))
    spread: np.ndarray = field(default_factory=lambda: _none(_F8, 3, 2))


def aligned(held: Terminals | Series, key: np.ndarray, **start: float) -> tuple[np.ndarray, np.ndarray]:
    """Make room in ``held`` for these keys (distinct); gives (their rows, which of them are new). New rows are 0, or
    as ``start`` says."""
    merged = np.union1d(held.key, key)
    if len(merged) > len(held.key):
        old = np.searchsorted(merged, held.key)
        fresh = np.setdiff1d(np.arange(len(merged)), old)
        for each in fields(held):
            before = getattr(held, each.name)
            after = np.zeros((len(merged), *before.shape[1:]), before.dtype)
            after[old] = before
            if each.name in start:
                after[fresh] = start[each.name]
            setattr(held, each.name, after)
        held.key = merged
        rows = np.searchsorted(merged, key)
        return rows, np.isin(rows, fresh)
    return np.searchsorted(held.key, key), np.zeros(len(key), np.bool_)


def kept(held: Terminals | Series, rows: np.ndarray) -> None:
    """Only these rows (ascending)."""
    for each in fields(held):
        setattr(held, each.name, getattr(held, each.name)[rows])


@dataclass
class Memory:
    """``past``: (metrics, BINS) decaying counts of the surprises of terminals' days; ``events``: (peer, metric, day)
    of changes of many peers at once that still go on; ``days``: that were learned from."""

    terminals: Terminals = field(default_factory=Terminals)
    series: Series = field(default_factory=Series)
    past: np.ndarray = field(default_factory=lambda: np.zeros((len(METRICS), BINS)))
    events: np.ndarray = field(default_factory=lambda: _none(_I8, 3))
    days: int = 0
    forgotten: int = 0  # series left out at the last day for want of room

    def forget(self, day: int, limit: int) -> None:
        """What was unseen for long, and what there is no room for."""
        series, terminals = self.series, self.terminals
        alive = np.flatnonzero(day - series.last <= KEPT)
        order = np.lexsort((series.key[alive], -series.days[alive], -series.last[alive]))[:limit]
        self.forgotten = len(alive) - len(order)
        kept(series, np.sort(alive[order]))
        kept(terminals, np.flatnonzero(day - terminals.last <= KEPT))

    def days_of(self, terminal: np.ndarray) -> np.ndarray:
        """Days learned from of each terminal (keys; all are remembered)."""
        days: np.ndarray = self.terminals.days[np.searchsorted(self.terminals.key, terminal)]
        return days

    def copy(self) -> Memory:
        return Memory.from_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        parts = []
        for name, held in (("terminals", self.terminals), ("series", self.series)):
            arrays = {each.name: getattr(held, each.name) for each in fields(held)}
            if "profile" in arrays:
                arrays["profile"] = arrays["profile"].view(np.uint16)
            parts.append(pack(f"flowbaseline-{name}", 1, arrays))
        last = pack(
            "flowbaseline",
            1,
            {"past": self.past, "events": self.events},
            {"days": self.days, "forgotten": self.forgotten},
        )
        return joined(joined(parts[0], parts[1]), last)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        both, last = split(data)
        first, second = split(both)
        arrays, scalars = unpack("flowbaseline", 1, last)
        terminals, series = (
            _restored(kind, unpack(f"flowbaseline-{name}", 1, part)[0])
            for kind, name, part in ((Terminals, "terminals", first), (Series, "series", second))
        )
        if arrays["past"].shape != (len(METRICS), BINS) or arrays["events"].shape[1:] != (3,):
            raise StateError("memory of flows: another number of metrics")
        made = cls()
        assert isinstance(terminals, Terminals) and isinstance(series, Series)
        made.terminals, made.series = terminals, series
        made.past, made.events = arrays["past"], arrays["events"]
        made.days, made.forgotten = scalars["days"], scalars["forgotten"]
        return made


def _restored(kind: type[Terminals] | type[Series], arrays: dict[str, np.ndarray]) -> Terminals | Series:
    made = kind()
    number = len(arrays.get("key", ()))
    for each in fields(made):
        empty = getattr(made, each.name)
        if each.name not in arrays:
            raise StateError(f"memory of flows lacks {each.name}")
        array = arrays[each.name]
        if each.name == "profile":
            array = array.view(np.float16)
        if array.dtype != empty.dtype or array.shape != (number, *empty.shape[1:]):
            raise StateError(f"memory of flows: {each.name} has another shape")
        setattr(made, each.name, array)
    return made
