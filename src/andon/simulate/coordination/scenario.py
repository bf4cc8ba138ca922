"""What to simulate: telescopes, days, rate and seed of a scenario of coordinated activity, checked when it is made."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from andon.records.contract import SECOND

from ..internet.addresses import Space, space
from ..internet.config import InternetConfig

HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR
RATE: Final = (
    0.067  # packets per second and dark address: what NICTER reports for 2021 to 2023 (2.1 M a year)
)


@dataclass(frozen=True)
class Scenario:
    """A seeded stretch of days as one or several telescope blocks see it.

    ``rate`` is the expected number of packets per second and dark address, planted activity not counted. ``quiet``
    plants nothing: background alone, decoys neither. ``calm`` days at the beginning have no planted event, so that
    engines with a memory can learn; None: three days of seven or more, else a quarter of the days. ``before_mirai``:
    ports that only Mirai's descendants made popular (2323, 5555, 7547, 37215 ...) are as empty as in summer 2016.
    ``start`` is rounded down to an hour. Raises ValueError.

    >>> Scenario(seed=1, telescope=("192.0.2.0/24",), days=2).addresses
    256
    """

    seed: int
    telescope: tuple[str, ...] = ("198.18.0.0/20",)
    days: float = 7.0
    start: datetime = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
    rate: float = RATE
    quiet: bool = False
    calm: float | None = None
    before_mirai: bool = False
    blocks: tuple[ipaddress.IPv4Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"the seed is a whole number from 0 on, not {self.seed}")
        if not 1 / 24 <= self.days <= 366:
            raise ValueError(f"a scenario lasts from one hour to 366 days, not {self.days} days")
        if not 0 < self.rate <= 10:
            raise ValueError(
                f"the rate lies above 0 and up to 10 packets/s per dark address, not {self.rate}"
            )
        if self.start.tzinfo is None:
            raise ValueError(f"the start {self.start} needs a time zone; write it with UTC")
        if not 0 < self.start.timestamp() < 4e9:
            raise ValueError(f"the start {self.start} does not fit into a capture file")
        if self.calm is not None and not 0 <= self.calm <= self.days:
            raise ValueError(
                f"calm days are between 0 and the {self.days} days of the scenario, not {self.calm}"
            )
        object.__setattr__(self, "blocks", InternetConfig(0, telescope=self.telescope).blocks)
        if self.addresses < 16:
            raise ValueError(f"a scenario needs at least 16 dark addresses, not {self.addresses}")

    @property
    def addresses(self) -> int:
        """Number of dark addresses."""
        return sum(b.num_addresses for b in self.blocks)

    @property
    def start_ns(self) -> int:
        return int(self.start.timestamp()) // 3600 * HOUR

    @property
    def end_ns(self) -> int:
        return self.start_ns + round(self.days * 24) * HOUR

    @property
    def calm_ns(self) -> int:
        """When planted events may begin."""
        calm = self.calm if self.calm is not None else (3.0 if self.days >= 7 else self.days / 4)
        return self.start_ns + round(calm * 24) * HOUR

    @property
    def space(self) -> Space:
        """The dark addresses numbered one after the other."""
        return space(self.blocks)
