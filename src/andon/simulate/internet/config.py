"""What to simulate: the one argument of the simulator, checked when it is made."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from .catalogue import default_families
from .family import Family

# Five disjoint /18 in distinct /8s whose high bits differ, so that relations on them can be seen.
DEFAULT_TELESCOPE: Final = (
    "23.90.64.0/18",
    "58.181.128.0/18",
    "101.44.0.0/18",
    "146.71.192.0/18",
    "203.8.0.0/18",
)
SECOND: Final = 1_000_000_000


@dataclass(frozen=True)
class InternetConfig:
    """A seeded Internet as one or more telescopes see it.

    ``packets`` is met exactly. ``noise`` is the share of packets that are background noise; of the others,
    ``contamination`` is the share of a scanning source's packets that come from an ordinary host behind the same
    address. ``families`` None stands for the default table, scaled to the number of packets; ``extra`` families
    are added to it. ``noise_sources`` None stands for one per 36 noise packets, at most 500,000. ``families=()`` and
    no ``extra`` gives nothing but noise. Raises ValueError.

    >>> InternetConfig(seed=1, packets=1000, telescope=("192.0.2.0/24",)).addresses
    256
    """

    seed: int
    packets: int = 1_000_000
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    duration: float = 3600.0
    telescope: tuple[str, ...] = DEFAULT_TELESCOPE
    noise: float = 0.5
    contamination: float = 0.0
    families: tuple[Family, ...] | None = None
    extra: tuple[Family, ...] = ()
    noise_sources: int | None = None
    blocks: tuple[ipaddress.IPv4Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"the seed is a whole number from 0 on, not {self.seed}")
        if not 1 <= self.packets <= 10**11:
            raise ValueError(f"packets must be between 1 and 10^11, not {self.packets}")
        if not 1 <= self.duration <= 366 * 86400:
            raise ValueError(f"the duration must be between 1 second and 366 days, not {self.duration} s")
        if self.start.tzinfo is None:
            raise ValueError(f"the start {self.start} needs a time zone; write it with UTC")
        if not 0 < self.start.timestamp() < 4e9:
            raise ValueError(f"the start {self.start} does not fit into a capture file")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise is a share of packets between 0 and 1, not {self.noise}")
        if not 0 <= self.contamination < 1:
            raise ValueError(
                f"contamination is a share of packets from 0 to below 1, not {self.contamination}"
            )
        if self.noise_sources is not None and self.noise_sources < 1:
            raise ValueError(f"noise_sources must be at least 1, not {self.noise_sources}")
        object.__setattr__(self, "blocks", _blocks(self.telescope))
        table = default_families(self) if self.families is None else self.families
        names = [f.name for f in (*table, *self.extra)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"family {name!r} is there twice")

    @property
    def addresses(self) -> int:
        """Number of dark addresses."""
        return sum(b.num_addresses for b in self.blocks)

    @property
    def start_ns(self) -> int:
        """Start in whole microseconds, as nanoseconds since 1970."""
        return round(self.start.timestamp() * 1_000_000) * 1000

    @property
    def end_ns(self) -> int:
        return self.start_ns + round(self.duration * 1_000_000) * 1000


def _blocks(telescope: tuple[str, ...]) -> tuple[ipaddress.IPv4Network, ...]:
    if not telescope:
        raise ValueError("a telescope needs at least one block such as 192.0.2.0/24")
    blocks: list[ipaddress.IPv4Network] = []
    for text in telescope:
        try:
            block = ipaddress.IPv4Network(text)
        except ValueError as error:
            raise ValueError(f"telescope block {text!r}: {error}") from None
        if block.prefixlen < 8:
            raise ValueError(f"telescope block {text} is larger than a /8")
        for other in blocks:
            if block.overlaps(other):
                raise ValueError(f"telescope blocks {other} and {block} overlap")
        blocks.append(block)
    return tuple(blocks)


def parse_family(text: str) -> Family:
    """A family from ``NAME:EXPR:SOURCES``, as the command line gives it: a raw SYN scanner of that relation.

    >>> parse_family("cookie:tcp.seq == rotl32(ip.dst, 7):500").sources
    500
    """
    name, _, rest = text.partition(":")
    expression, _, count = rest.rpartition(":")
    if not name or not expression.strip() or not count.strip().isdigit():
        raise ValueError(
            f"{text!r} is not NAME:EXPR:SOURCES, for example 'cookie:tcp.seq == ip.dst ^ 0x55:500'"
        )
    return Family(
        name=name.strip(), tool="raw", kind="botnet", purpose="attack", sources=int(count), weight=int(count) / 100,
        ports=((23, 4), (80, 2), (8080, 2), (5555, 1), (2323, 1)), relation=expression.strip(),
    )  # fmt: skip
