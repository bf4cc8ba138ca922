"""A family: many sources that behave alike, as one row of a table.

A row says which tool sends (``tools.TOOLS``), from how many addresses, to which ports and when. All else that
happens on the Internet of the simulator is made of such rows; see ``catalogue`` for the default ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .solve import assignments
from .tools import TOOLS

KINDS = ("tool", "botnet", "worm", "survey", "noise", "backscatter", "flood")
PURPOSES = ("attack", "survey", "none", "backscatter")
MOST_SOURCES = 5_000_000
Ports = tuple[tuple[int, int], ...]  # (port, weight)


@dataclass(frozen=True)
class Always:
    """Active through the whole capture."""


@dataclass(frozen=True)
class Churn:
    """Every source comes and goes on its own: active for about ``lasts`` seconds from a random time on."""

    lasts: float


@dataclass(frozen=True)
class Repeat:
    """All sources are active together for ``lasts`` seconds every ``every`` seconds, first after ``offset``."""

    every: float
    lasts: float
    offset: float = 0.0


@dataclass(frozen=True)
class InStep:
    """All sources wake within ``jitter`` seconds of ``wake`` and stop within ``jitter`` of ``stop`` (from start)."""

    wake: float
    stop: float
    jitter: float = 2.0


@dataclass(frozen=True)
class Growth:
    """Sources are infected along a logistic curve: half of them by ``half``, e-fold time ``efold`` (seconds)."""

    half: float
    efold: float


@dataclass(frozen=True)
class Bursts:
    """On for about ``on`` seconds, off for about ``off``, each source (victim) by itself."""

    on: float
    off: float


Schedule = Always | Churn | Repeat | InStep | Growth | Bursts


@dataclass(frozen=True)
class Change:
    """From ``at`` seconds on the family scans ``ports`` (empty: as before), with ``tool`` (empty: as before)."""

    at: float
    ports: Ports = ()
    tool: str = ""


@dataclass(frozen=True)
class Family:
    """One row of the family table.

    ``weight`` is the share of packets relative to other families, ``spread`` the sigma of the log-normal packets
    per source, ``nat`` the share of addresses with two to five infected hosts behind them, ``shares_hosts_with``
    a family and the share of this one's sources that are also infected with it, ``one_block`` puts all sources
    into one /24, ``relation`` is an expression that every packet satisfies (tool ``raw``).
    ZMap's sources share one scan as its shards if ``sharded``, and count addresses without its default blocklist
    if ``blocklist``. ``ports_each`` > 0: every source scans that many of the ports. Raises ValueError for values
    out of range.
    """

    name: str
    tool: str
    kind: str
    purpose: str
    sources: int
    weight: float
    ports: Ports = ((23, 1),)
    schedule: Schedule = Always()
    changes: tuple[Change, ...] = ()
    spread: float = 1.0
    nat: float = 0.0
    shares_hosts_with: tuple[str, float] = ("", 0.0)
    one_block: bool = False
    organisation: str = ""
    relation: str = ""
    ports_each: int = 0
    sharded: bool = False
    blocklist: bool = False

    def __post_init__(self) -> None:
        where = f"family {self.name!r}"
        if not self.name:
            raise ValueError("a family needs a name")
        for tool in (self.tool, *(c.tool for c in self.changes if c.tool)):
            if tool not in TOOLS:
                raise ValueError(f"{where}: unknown tool {tool!r}; tools are {', '.join(TOOLS)}")
        if self.kind not in KINDS:
            raise ValueError(f"{where}: unknown kind {self.kind!r}; kinds are {', '.join(KINDS)}")
        if self.purpose not in PURPOSES:
            raise ValueError(f"{where}: unknown purpose {self.purpose!r}; purposes are {', '.join(PURPOSES)}")
        if self.sources < 1:
            raise ValueError(f"{where}: needs at least one source, not {self.sources}")
        if self.sources > MOST_SOURCES:
            raise ValueError(f"{where}: at most {MOST_SOURCES:,} sources, not {self.sources:,}")
        if self.one_block and self.sources > 254:
            raise ValueError(f"{where}: a /24 holds 254 sources, not {self.sources}")
        if not self.weight > 0:
            raise ValueError(f"{where}: weight must be above 0, not {self.weight}")
        if not 0 <= self.nat <= 1 or not 0 <= self.shares_hosts_with[1] <= 1:
            raise ValueError(f"{where}: shares lie between 0 and 1")
        if self.relation:
            if self.tool != "raw":
                raise ValueError(f"{where}: a relation goes with the tool 'raw', not {self.tool!r}")
            try:
                assignments(self.relation)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
        for ports in (self.ports, *(c.ports for c in self.changes if c.ports)):
            if not ports or any(not 0 <= p <= 65535 or not 1 <= w <= 1000 for p, w in ports):
                raise ValueError(f"{where}: ports are (0 to 65535, weight 1 to 1000), at least one")

    def with_sources(self, sources: int) -> Family:
        """The same family with another number of sources."""
        return replace(self, sources=max(1, min(sources, 254) if self.one_block else sources))
