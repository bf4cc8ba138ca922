"""What to simulate: how long, how large, and how badly it is observed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from andon.simulate.organisation.scenario import DAY
from andon.simulate.organisation.scenario import Scenario as Organisation

PAST: Final = 20  # days of verdicts before the first


@dataclass(frozen=True)
class Scenario:
    """``alerts``: a day, all products together; ``true``, ``false``: causes a day that a careful screening would show
    (means of Poisson numbers). ``stale``: share of the asset list that is out of date; ``missing``: share of the flows
    that no sensor reported; ``skew``: standard deviation of the clocks of products, s; ``outside``: the flow sensor
    stands outside of the firewall and sees what that drops (None: drawn). Raises ValueError.

    >>> Scenario(seed=1).organisation.days
    3
    """

    seed: int
    days: int = 3
    terminals: int = 200
    alerts: int = 100_000
    true: float = 5.0
    false: float = 95.0
    stale: float = 0.2
    missing: float = 0.1
    skew: float = 20.0
    outside: bool | None = None
    start: datetime = datetime(2026, 4, 6, tzinfo=UTC)

    def __post_init__(self) -> None:
        if not 1 <= self.days <= 60:
            raise ValueError(f"a scenario lasts 1 to 60 days, not {self.days}")
        if not 1000 <= self.alerts <= 5_000_000:
            raise ValueError(f"1,000 to 5,000,000 alerts a day, not {self.alerts:,}")
        for name, most in (("true", 100.0), ("false", 5000.0), ("skew", 600.0)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} is between 0 and {most:g}, not {getattr(self, name)}")
        for name in ("stale", "missing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {getattr(self, name)}")
        _ = self.organisation  # its own checks

    @property
    def organisation(self) -> Organisation:
        """The organisation in which it happens; its own campaigns are left out, since all attacks are planned here."""
        return Organisation(
            seed=self.seed, terminals=self.terminals, days=self.days, start=self.start, campaigns=0, exposure=0.0,
            stray=0.0,
        )  # fmt: skip

    def rng(self, name: str, number: int = 0) -> np.random.Generator:
        """Random numbers of one part; a change of another does not disturb them."""
        return np.random.default_rng([self.seed, 41, number, *name.encode()])

    @property
    def length(self) -> int:
        """ms."""
        return self.days * DAY
