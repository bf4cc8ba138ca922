"""What is known of the world while a case is verified. ``tables.TableFacts`` answers from Arrow tables; a test or
another store may answer in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Coverage:
    """How much of the traffic the flow sensor shows. ``share`` is a cautious estimate (lower 95 % bound) made from
    ``of`` pairs of addresses that network alerts prove to have talked, of which ``seen`` are among the flows."""

    share: float
    seen: int
    of: int


@dataclass(frozen=True)
class History:
    """What analysts said of a signature: ``true`` and ``false`` of all its verdicts, ``here_true`` and
    ``here_false`` of those about the same host or the same other end; ``analysts`` who said the latter."""

    true: int = 0
    false: int = 0
    here_true: int = 0
    here_false: int = 0
    analysts: int = 0


@dataclass(frozen=True)
class Service:
    address: str
    port: int
    protocol: str
    service: str
    first: int
    last: int
    flows: int


class Facts(Protocol):
    """Times are ns, UTC. Nothing raises for what is not known: it is empty, zero or None."""

    def conversations(self, addresses: Sequence[str], begin: int, end: int) -> pa.Table:
        """Rows of ``records.triage.CONVERSATIONS`` that touch one of the addresses and overlap the time."""

    def observed(self) -> tuple[int, int]:
        """From when to when there are flows; (0, 0) without any."""

    def coverage(self) -> Coverage: ...

    def services(self, addresses: Sequence[str]) -> Sequence[Service]: ...

    def aliases(self, address: str) -> Sequence[str]:
        """All addresses of the same system, itself first."""

    def assets(self, addresses: Sequence[str], at: int) -> Sequence[Mapping[str, Any]]:
        """Rows of ``records.asset.ASSET`` that speak of these addresses at that time."""

    def inside(self, address: str) -> bool: ...

    def sanctioned(self, address: str) -> str:
        """Name of the list on which the address stands as a scanner that may scan; ""."""

    def reputation(self, value: str) -> tuple[str, str]:
        """("black" or "white", name of the list) of an address or a name; ("", "")."""

    def clients(self, address: str, begin: int, end: int) -> int:
        """How many of our addresses talked to it in that time."""

    def history(
        self, product: str, rule: str, names: Sequence[str], peers: Sequence[str], before: int
    ) -> History:
        """``names``: of the host, and its addresses; ``before``: verdicts of this time or later do not count."""

    def episodes(self, names: Sequence[str], begin: int, end: int) -> Sequence[Mapping[str, Any]]:
        """Episodes of the host of these names and addresses, those screened out too, that overlap the time."""

    def findings(self, values: Sequence[str], begin: int, end: int) -> Sequence[Mapping[str, Any]]:
        """Findings (public JSON) about one of these addresses or names in that time."""

    def products(self, cve: str) -> Sequence[str]:
        """Products that a CVE concerns, lower case; empty if not known."""
