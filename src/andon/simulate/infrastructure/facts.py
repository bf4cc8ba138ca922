"""Facts as the collectors of the world would know them, each known with chance 1 - missing, and the truth about
them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

DAY = 86_400


@dataclass
class Facts:
    """Everything that a feed could tell. Times are seconds since 1970."""

    rng: np.random.Generator
    missing: float
    dns: list[tuple[str, str, str, int, int]] = field(default_factory=list)  # name, type, data, first, last
    whois: list[dict[str, object]] = field(default_factory=list)
    certificates: list[dict[str, object]] = field(default_factory=list)
    tls: list[tuple[int, str, str, str]] = field(default_factory=list)  # time, address, name, fingerprint
    samples: list[dict[str, object]] = field(default_factory=list)
    runs: list[dict[str, object]] = field(default_factory=list)
    operators: dict[str, tuple[int, str]] = field(default_factory=dict)
    # (kind, value) -> campaign; things that several share belong to none.
    owned: dict[tuple[str, str], int] = field(default_factory=dict)
    # What truly hangs together, known to somebody or not; names and values, of the campaign that is being planted.
    ties: list[tuple[str, str]] = field(default_factory=list)

    def known(self) -> bool:
        return bool(self.rng.random() >= self.missing)

    def seen(self, first: int, last: int) -> tuple[int, int]:
        """What a sensor saw of an interval: it begins later and ends earlier."""
        length = max(last - first, DAY)
        a = first + int(length * self.rng.beta(1, 12))
        b = first + length - int(length * self.rng.beta(1, 12))
        return min(a, b), max(a, b)

    def resolves(self, name: str, address: str, first: int, last: int) -> None:
        self.ties.append((name, address))
        if self.known():
            self.dns.append((name, "A", address, *self.seen(first, last)))

    def served(self, name: str, server: str, first: int, last: int) -> None:
        self.ties.append((name, server))
        if self.known():
            self.dns.append((name, "NS", server, *self.seen(first, last)))

    def registered(
        self,
        name: str,
        created: int,
        expires: int,
        registrar: str,
        email: str,
        person: str,
        servers: list[str],
    ) -> None:
        """One look at the registration data. E-mail and person are lost apart from one another."""
        self.ties += [(name, email), (name, person.lower())]
        row: dict[str, object] = {"domain": name, "created": created, "expires": expires, "updated": created}
        if self.known():
            row["registrar"] = registrar
        if email and self.known():
            row["registrant_email"] = email
        if person and self.known():
            row["registrant_name"] = person
        kept = [server for server in servers if self.known()]
        if kept:
            row["name_servers"] = kept
        if len(row) > 4:
            self.whois.append(row)

    def certified(self, names: list[str], serial: str, first: int, last: int) -> None:
        self.ties += [(name, serial) for name in names]
        kept = [name for name in names if self.known()]
        if kept:
            self.certificates.append(
                {
                    "fingerprint_sha256": serial,
                    "common_name": kept[0],
                    "name_value": "\n".join(kept),
                    "not_before": first,
                    "not_after": last,
                }
            )

    def handshake(self, when: int, address: str, name: str, serial: str) -> None:
        self.ties.append((address, serial))
        if self.known():
            self.tls.append((when, address, name, serial))

    def owns(self, campaign: int, kind: str, value: str) -> None:
        self.owned[kind, value] = campaign

    def digest(self) -> str:
        """A made-up SHA-256."""
        return self.rng.bytes(32).hex()
