"""What to simulate: size, time and difficulty of a scenario with planted links, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from andon.records.contract import SECOND

HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
NULLS: Final = ("", "shift", "rename")
SHIFT: Final = 200 * DAY  # how far the honeypots' logs are moved where nothing may be linked


@dataclass(frozen=True)
class Scenario:
    """Days of bot families at a telescope, at honeypots, in reports, and on the devices of partners.

    Whatever is None is drawn from the seed. ``devices``: how many get infected; four in ten as many are not.
    ``lease``: mean days that an address is held (None: every address pool has its own, half a day to for ever).
    ``nat``: share of the pools whose devices share addresses. ``contamination``: packets of a fingerprint that come
    from others, and foreign packets of infected devices, as a share of the families' own. ``clock_offset``: seconds
    that the honeypots' clocks are ahead. ``detection``: chance that a packet of a family with a fingerprint is
    recognised. ``null``: "shift" moves the honeypots' logs 200 days into the past; "rename" gives every visit at a
    honeypot to a family drawn at random and has the reports speak of families that are not there: links between
    fingerprints and behaviours found in either are false. ``start`` is rounded down to an hour. Raises ValueError.

    >>> Scenario(seed=1).end - Scenario(seed=1).begin == 21 * DAY
    True
    """

    seed: int
    days: float = 21.0
    start: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    devices: int = 5000
    families: int = 10
    honeypots: int | None = None
    lease: float | None = None
    nat: float | None = None
    contamination: float | None = None
    clock_offset: float | None = None
    detection: float | None = None
    null: str = ""
    drawn: dict[str, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"the seed is a whole number from 0 on, not {self.seed}")
        if not 0.25 <= self.days <= 366:
            raise ValueError(f"a scenario lasts from a quarter of a day to 366 days, not {self.days} days")
        if self.start.tzinfo is None:
            raise ValueError(f"the start {self.start} needs a time zone; write it with UTC")
        if not 2 * SHIFT / SECOND < self.start.timestamp() < 4e9:
            raise ValueError(f"the start {self.start} does not fit into the logs")
        if not 20 <= self.devices <= 200_000:
            raise ValueError(f"between 20 and 200,000 devices get infected, not {self.devices}")
        if not 1 <= self.families <= 60:
            raise ValueError(f"a scenario has 1 to 60 families, not {self.families}")
        if self.null not in NULLS:
            raise ValueError(f"null is one of {', '.join(repr(n) for n in NULLS)}, not {self.null!r}")
        rng = self.rng("parameters")
        drawn = {
            "honeypots": float(rng.integers(1, 5)),
            "nat": float(rng.uniform(0.0, 0.25)),
            "contamination": float(rng.uniform(0.01, 0.12)),
            "clock_offset": float(np.round(rng.normal(0.0, 40.0), 1)),
            "detection": float(rng.uniform(0.85, 0.995)),
        }
        limits = {"honeypots": (1, 50), "nat": (0, 1), "contamination": (0, 0.9), "detection": (0.01, 1)}
        for name, value in drawn.items():
            given = getattr(self, name)
            drawn[name] = value if given is None else float(given)
            low, high = limits.get(name, (-86400, 86400))
            if not low <= drawn[name] <= high:
                raise ValueError(f"{name} lies between {low} and {high}, not {drawn[name]}")
        if self.lease is not None and not 0.02 <= self.lease <= 10_000:
            raise ValueError(f"an address is held for 0.02 to 10,000 days, not {self.lease}")
        object.__setattr__(self, "drawn", drawn)

    def rng(self, name: str) -> np.random.Generator:
        """The random numbers of one part of the scenario: a change of another part does not disturb them."""
        return np.random.default_rng([self.seed, 11, *name.encode()])

    @property
    def begin(self) -> int:
        """First nanosecond."""
        return int(self.start.timestamp()) // 3600 * HOUR

    @property
    def end(self) -> int:
        return self.begin + round(self.days * 24) * HOUR

    @property
    def sensors(self) -> int:
        """Number of honeypot hosts."""
        return round(self.drawn["honeypots"])

    @property
    def log_shift(self) -> int:
        """Nanoseconds added to true time in the honeypots' logs."""
        return round(self.drawn["clock_offset"] * SECOND) - (SHIFT if self.null == "shift" else 0)
