"""What an enforcer is: something that can hold intents (a switch, a firewall, a list that others fetch).

The reconciler owns the order of calls. ``plan`` has no side effects and is pure; ``apply`` and ``revoke`` are
idempotent by the id of the intent; ``actual`` tells what is really there, so that a restart, a flush by hand or a
damaged list is seen and mended. An enforcer touches only what bears its own mark (cookie, comment, table, file). It
is called from one thread at a time, and every call ends within some seconds or raises Unreachable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

from andon.records.intent import Intent

# Ways by which traffic gets from one party to the other; a plan names those it leaves open.
IPV4, IPV6, QUIC, NAMES, ESTABLISHED, ELSEWHERE = "ipv4", "ipv6", "quic", "names", "established", "elsewhere"
PATHS: Final = (IPV4, IPV6, QUIC, NAMES, ESTABLISHED, ELSEWHERE)
# NAMES: a name with more addresses than are closed. ELSEWHERE: a way round the place where the enforcer stands.


class NotExpressible(ValueError):
    """This enforcer cannot hold this intent; the text says why. Nothing was done."""


class Unreachable(Exception):
    """The other side cannot be reached or does not answer now; it is tried again."""


class Rejected(Exception):
    """The other side is there and does not take it (table full, not permitted); the text is what it said."""


@dataclass(frozen=True)
class Limits:
    """``rules``: most native rules it holds. ``intents_per_second``: 0 for no bound."""

    rules: int
    intents_per_second: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What would be done. ``commands`` and ``inverse`` are native and complete: someone could type them. ``touched``:
    what of the site is affected, in words. ``open_paths``: ways of PATHS by which the two parties can still reach
    each other. ``rules``: how many native rules it takes. ``native``: for the enforcer's own use."""

    intent: Intent
    enforcer: str
    commands: tuple[str, ...]
    inverse: tuple[str, ...]
    touched: tuple[str, ...] = ()
    open_paths: tuple[str, ...] = ()
    rules: int = 1
    native: Any = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "enforcer": self.enforcer, "commands": list(self.commands), "inverse": list(self.inverse),
            "touched": list(self.touched), "open_paths": list(self.open_paths), "rules": self.rules,
        }  # fmt: skip


@dataclass(frozen=True)
class Receipt:
    """That one intent is held. ``digest``: of the native rules, to be found again in ``actual``. ``seconds``: from the
    call to the other side's acknowledgement. ``detail``: JSON values."""

    intent: int
    enforcer: str
    digest: str
    seconds: float
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def to_dict(self) -> dict[str, Any]:
        return {
            "enforcer": self.enforcer, "digest": self.digest, "seconds": round(self.seconds, 6),
            "detail": dict(self.detail),
        }  # fmt: skip


OK, DEGRADED, DOWN = "ok", "degraded", "down"


@dataclass(frozen=True)
class Health:
    """``state``: OK (what it holds is in force), DEGRADED (in force, but something is not as it should be: standalone
    fail mode, another controller, no room), DOWN (not known to be in force). ``statement`` says why and what to do.
    ``epoch`` changes whenever the other side may have lost its rules (reconnect, restart)."""

    state: str
    statement: str = ""
    epoch: int = 0
    rules: int = 0
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class Enforcer(Protocol):
    """``supports``: (action, kind of the subject) it can hold."""

    @property
    def name(self) -> str: ...
    @property
    def supports(self) -> frozenset[tuple[str, str]]: ...
    @property
    def limits(self) -> Limits: ...

    def plan(self, intent: Intent) -> Plan:
        """What holding it would take. No side effects, no I/O. Raises NotExpressible."""

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        """Hold these; one receipt each, in order, once the other side acknowledged. All or nothing where the other
        side can; idempotent. Raises Unreachable, Rejected."""

    def revoke(self, intents: Sequence[int]) -> None:
        """Hold these no more; ids that are not held are no error. Raises Unreachable, Rejected."""

    def revoke_all(self) -> None:
        """The kill switch: take away everything that bears our mark, in one step. Raises Unreachable, Rejected."""

    def verify(self, receipt: Receipt) -> bool | None:
        """Read back whether it is in force as it was applied. None: it is held, and nobody can say yet whether it is in
        force (a list that no firewall has fetched since). Raises Unreachable."""

    def actual(self) -> Mapping[int, str]:
        """Which intents are really held: id -> digest. An intent of which a part is missing has another digest.
        Raises Unreachable."""

    def health(self) -> Health:
        """How it is; never raises."""

    def tick(self, now: int) -> Sequence[int]:
        """Called about ten times a second: expire what has no clock of its own, read what the other side said by
        itself (a flow removed, a connection lost). Gives ids that are not held any more. Never blocks."""

    def close(self) -> None:
        """Let go of connections; what is held stays."""
