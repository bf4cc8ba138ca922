"""What a planted scenario is made of: how many campaigns, how careful their operators are, how crowded the world is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Scenario:
    """Shares and probabilities are 0..1. Raises ValueError for what cannot be.

    ``missing``: chance that a fact (this name had that address) is known to nobody; ``hosting``: share of a campaign's
    names on hosts shared with strangers; ``reuse``: chance that a registration uses an e-mail address that the campaign
    had used before; ``privacy``: share of registrations behind a privacy service; ``decoys``: innocent names for
    each name
    of a campaign that live on its rented servers at the same time; ``attested``: chance that a part of a campaign which
    no persona, lease, certificate, name server or sample ties to the rest of it is tied to it by samples configured
    with both (0: whoever hides a name behind a privacy service on a shared host has hidden it from everybody)."""

    seed: int = 1
    campaigns: int = 12
    smallest: int = 6  # names of a campaign
    largest: int = 60
    owners: int = 1500  # innocent people and companies with names of their own
    missing: float = 0.2
    hosting: float = 0.3
    reuse: float = 0.8
    privacy: float = 0.3
    decoys: float = 0.3
    cdn: float = 0.1
    dynamic: float = 0.05  # names under dynamic DNS parents
    own_name_server: float = 0.3
    certificates: float = 0.6  # names with a certificate of their own making
    samples: float = 0.5  # malware samples for each name
    lease_days: float = 60.0
    expired: float = 0.1  # names of campaigns that others register afterwards
    sinkholed: float = 0.05
    shared_tool: float = 0.4  # campaigns that use a tool of another
    bulletproof: float = 0.2  # rented servers at hosts where several campaigns live on one address
    attested: float = 0.0
    days: int = 900
    start: datetime = datetime(2024, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        for name in (
            "missing",
            "hosting",
            "reuse",
            "privacy",
            "cdn",
            "dynamic",
            "own_name_server",
            "certificates",
            "expired",
            "sinkholed",
            "shared_tool",
            "bulletproof",
            "attested",
        ):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        if not 1 <= self.campaigns <= 10_000 or not 0 <= self.owners <= 2_000_000:
            raise ValueError("there are 1 to 10,000 campaigns and at most 2,000,000 owners")
        if not 2 <= self.smallest <= self.largest <= 10_000:
            raise ValueError("a campaign has 2 to 10,000 names, and smallest is not above largest")
        if self.days < 60 or self.lease_days < 1 or self.decoys < 0 or self.samples < 0:
            raise ValueError("at least 60 days, leases of a day, and no negative number of decoys or samples")
        if self.start.tzinfo is None:
            object.__setattr__(self, "start", self.start.replace(tzinfo=UTC))
