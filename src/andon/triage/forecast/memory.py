"""What is remembered of volumes: hourly counts of the ports with most packets, today's forecasts, and past losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

import numpy as np

from andon.sketch.state import pack, unpack
from andon.triage.prediction.gate import KEPT
from andon.triage.prediction.volume import BASELINES, CANDIDATES, DAY, LONGEST, TAUS

MISSING: Final = -1
WAYS: Final = len(BASELINES) + len(CANDIDATES)


@dataclass
class Volumes:
    """``ports``: ascending codes (protocol << 16 | port). By port: ``hours`` (ports, LONGEST * 24), MISSING where
    nothing is known, the last column is the hour before ``day``; ``today`` (ports, 24); ``quantiles`` (ports, WAYS,
    24, TAUS), NaN where nothing was forecast; ``mean`` (ports, 24) and ``alpha`` of the Hawkes process; ``losses``
    (ports, WAYS, KEPT). ``strange``: packets of today's other ports, by code (131,072 and echo requests are all
    there are). ``slots``: of today that were seen; ``hour``: that is filled just now. Days and hours are since
    1970, -1 before the first."""

    ports: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    hours: np.ndarray = field(default_factory=lambda: np.zeros((0, LONGEST * DAY), np.int64))
    today: np.ndarray = field(default_factory=lambda: np.zeros((0, DAY), np.int64))
    quantiles: np.ndarray = field(default_factory=lambda: np.zeros((0, WAYS, DAY, len(TAUS))))
    mean: np.ndarray = field(default_factory=lambda: np.zeros((0, DAY)))
    alpha: np.ndarray = field(default_factory=lambda: np.zeros(0))
    losses: np.ndarray = field(default_factory=lambda: np.zeros((0, WAYS, KEPT)))
    shown: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # candidate, or SHUT
    spoken: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # day of the last finding, -1
    strange: dict[int, int] = field(default_factory=dict)
    day: int = -1
    slots: int = 0
    hour: int = -1
    told: int = 0  # findings of today

    _NAMES: ClassVar = ("ports", "hours", "today", "quantiles", "mean", "alpha", "losses", "shown", "spoken")

    def copy(self) -> Volumes:
        made: dict[str, Any] = {name: getattr(self, name).copy() for name in self._NAMES}
        return Volumes(
            **made, strange=dict(self.strange), day=self.day, slots=self.slots, hour=self.hour, told=self.told
        )

    def take(self, rows: np.ndarray) -> None:
        for name in self._NAMES:
            setattr(self, name, getattr(self, name)[rows])

    def with_ports(self, codes: np.ndarray) -> None:
        """Room for new ports, of which nothing is known yet."""
        n = len(codes)
        fresh = {
            "ports": codes.astype(np.int64),
            "hours": np.full((n, LONGEST * DAY), MISSING, np.int64),
            "today": np.zeros((n, DAY), np.int64),
            "quantiles": np.full((n, WAYS, DAY, len(TAUS)), np.nan),
            "mean": np.full((n, DAY), np.nan),
            "alpha": np.full(n, np.nan),
            "losses": np.full((n, WAYS, KEPT), np.nan),
            "shown": np.full(n, -1, np.int64),
            "spoken": np.full(n, -1, np.int64),
        }
        for name, values in fresh.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))
        self.take(np.argsort(self.ports, kind="stable"))

    def to_bytes(self) -> bytes:
        arrays = {name: getattr(self, name) for name in self._NAMES}
        rows = sorted(self.strange.items())
        arrays["strange"] = np.array(rows, "<i8").reshape(-1, 2)
        scalars = {"day": self.day, "slots": self.slots, "hour": self.hour, "told": self.told}
        return pack("volumes", 1, arrays, scalars)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("volumes", 1, data)
        strange = {int(a): int(b) for a, b in arrays.pop("strange").tolist()}
        held: dict[str, Any] = {**arrays, **scalars}
        return cls(strange=strange, **held)
