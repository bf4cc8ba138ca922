"""What to simulate: size, time and difficulty of an organisation, checked when it is made."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

SECOND: Final = 1000  # times inside the simulation are whole milliseconds since its start
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
FORMATS: Final = ("native", "combined")


@dataclass(frozen=True)
class Scenario:
    """Days of an organisation behind a proxy, and of those who attack it.

    ``start`` is rounded down to a day (UTC). ``campaigns``: how many (None: 4 and one more for each 250 terminals).
    ``users``: the proxy names the user. ``inspect``: share of the TLS hosts whose tunnels the proxy opens. ``black``:
    mean share of a campaign's destinations that the black list knows. ``missing_referer``: chance that a hop of a
    redirect chain comes without its referer. ``exposure``: malicious pages met by a mean user in a week, without an
    infection. ``stray``: share of terminals that once touch a black-listed host for no bad reason. ``joiners``: share
    of terminals that come during the second half. ``poison``: an attacker makes clean terminals fetch black-listed
    images. ``black_cdn``: a content network stands on the black list. ``camera``: address of an infected camera that
    scans the Internet, "" for none. ``lease_days``: addresses change after so many days (0: never). Raises ValueError.

    >>> Scenario(seed=1).length // DAY
    3
    """

    seed: int
    terminals: int = 500
    days: int = 3
    start: datetime = datetime(2026, 4, 6, tzinfo=UTC)
    campaigns: int | None = None
    users: bool = True
    inspect: float = 0.4
    black: float = 0.35
    missing_referer: float = 0.2
    exposure: float = 0.01
    stray: float = 0.002
    joiners: float = 0.03
    poison: bool = False
    black_cdn: bool = False
    camera: str = ""
    lease_days: int = 0
    begin: int = field(init=False, repr=False, compare=False)  # ms since 1970

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"the seed is a whole number from 0 on, not {self.seed}")
        if not 20 <= self.terminals <= 50_000:
            raise ValueError(f"an organisation has 20 to 50,000 terminals, not {self.terminals:,}")
        if not 1 <= self.days <= 400:
            raise ValueError(f"a scenario lasts 1 to 400 days, not {self.days}")
        if self.start.tzinfo is None:
            raise ValueError(f"the start {self.start} needs a time zone; write it with UTC")
        if not 0 < self.start.timestamp() < 4e9:
            raise ValueError(f"the start {self.start} does not fit into the logs")
        if self.campaigns is not None and not 0 <= self.campaigns <= self.terminals // 2:
            raise ValueError(
                f"{self.terminals} terminals bear 0 to {self.terminals // 2} campaigns, not {self.campaigns}"
            )
        for name in ("inspect", "black", "missing_referer", "stray", "joiners"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {value}")
        if not 0 <= self.exposure <= 2:
            raise ValueError(f"exposure is between 0 and 2 a week, not {self.exposure}")
        if not 0 <= self.lease_days <= 400:
            raise ValueError(f"addresses are held for 0 (for ever) to 400 days, not {self.lease_days}")
        if self.camera:
            try:
                ipaddress.IPv4Address(self.camera)
            except ValueError:
                raise ValueError(f"the camera's address {self.camera!r} is no IPv4 address") from None
        object.__setattr__(self, "begin", int(self.start.timestamp()) // 86400 * DAY)

    def rng(self, name: str, day: int = 0) -> np.random.Generator:
        """The random numbers of one part (and day): a change of another part does not disturb them."""
        return np.random.default_rng([self.seed, 17, day, *name.encode()])

    @property
    def length(self) -> int:
        """Milliseconds."""
        return self.days * DAY

    @property
    def attacks(self) -> int:
        """Number of campaigns."""
        return (
            min(4 + self.terminals // 250, self.terminals // 8) if self.campaigns is None else self.campaigns
        )

    @property
    def holiday(self) -> int:
        """The day on which (almost) nobody works, -1 if the scenario is too short for one: Wednesday of week two."""
        return 9 if self.days > 10 else -1

    @property
    def shift_change(self) -> int:
        """The day from which on some departments work at other hours; -1 if there is none."""
        return 14 if self.days > 15 else -1

    def weekday(self, day: int) -> int:
        """0 is Monday."""
        return int((self.begin // DAY + day + 3) % 7)
