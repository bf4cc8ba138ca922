"""An intent: what is to be done to whose traffic, for how long, why, and on whose word. Times are ns, UTC.

An intent never changes. What happens to it is told by events (``IntentEvent``), which are only ever added to; its
state is that of the last one. Its id is 63 bits wide, so that it fits a signed column and an OpenFlow cookie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from andon.records.finding import nanoseconds, timestamp

SCHEMA_NAME: Final = "andon.intent/1"

# From the mildest to the hardest. ALLOW takes back nothing: it keeps others from cutting what it names.
ALLOW, PROXY, MIRROR, BLOCK_PAIR = "allow", "proxy", "mirror", "block-pair"
SINKHOLE, BLOCK, QUARANTINE = "sinkhole", "block", "quarantine"
ACTIONS: Final = (ALLOW, PROXY, MIRROR, BLOCK_PAIR, SINKHOLE, BLOCK, QUARANTINE)
CUTTING: Final = frozenset(
    (BLOCK_PAIR, SINKHOLE, BLOCK, QUARANTINE)
)  # after these something does not arrive any more

# What a party can be. HOST: a system of ours, with all its addresses, resolved when the intent was made.
HOST, ADDRESS, PREFIX, DOMAIN, URL = "host", "address", "prefix", "domain", "url"
PARTIES: Final = (HOST, ADDRESS, PREFIX, DOMAIN, URL)

LONGEST: Final = 7 * 86_400 * 1_000_000_000  # ns; whoever wants longer renews it
SHORTEST: Final = 1_000_000_000

PROPOSED, REFUSED, DRY_RUN, WAITING, ACCEPTED = "proposed", "refused", "dry-run", "waiting", "accepted"
APPLIED, VERIFIED, FAILED, EXPIRED, REVOKED = "applied", "verified", "failed", "expired", "revoked"
STATES: Final = (
    PROPOSED, REFUSED, DRY_RUN, WAITING, ACCEPTED, APPLIED, VERIFIED, FAILED, EXPIRED, REVOKED,
)  # fmt: skip
# In these the enforcers are to hold it (FAILED: they are to and do not yet: it is tried again until it expires).
WANTED: Final = frozenset((ACCEPTED, APPLIED, VERIFIED, FAILED))
ENDED: Final = frozenset((REFUSED, EXPIRED, REVOKED))
_NEXT: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset((PROPOSED,)),
    PROPOSED: frozenset((REFUSED, DRY_RUN, WAITING, ACCEPTED, EXPIRED, REVOKED)),
    DRY_RUN: frozenset((EXPIRED, REVOKED)),
    WAITING: frozenset((REFUSED, ACCEPTED, EXPIRED, REVOKED)),
    ACCEPTED: frozenset((APPLIED, FAILED, EXPIRED, REVOKED)),
    APPLIED: frozenset((VERIFIED, FAILED, EXPIRED, REVOKED)),
    VERIFIED: frozenset((APPLIED, FAILED, EXPIRED, REVOKED)),
    FAILED: frozenset((APPLIED, EXPIRED, REVOKED)),
    REFUSED: frozenset(),
    EXPIRED: frozenset(),
    REVOKED: frozenset(),
}


def may_follow(state: str, after: str) -> bool:
    """Whether an intent in state ``after`` ("" before its first event) can come into ``state``.

    >>> may_follow(REVOKED, APPLIED), may_follow(APPLIED, REVOKED)
    (True, False)
    """
    return state in _NEXT[after]


@dataclass(frozen=True)
class Party:
    """One side of what is to be cut. ``value``: address, prefix, name, URL, or the name of a host. The rest is how it
    was resolved when the intent was made: an address that moves on later does not take the intent with it."""

    kind: str
    value: str
    addresses: tuple[str, ...] = ()  # every current one, IPv4 and IPv6, as text
    mac: str = ""  # "00:11:22:33:44:55"
    switch: str = ""  # name of the enforcer it is connected to
    port: int = 0  # number of the port there; 0: not known
    asset_class: str = ""  # as the policy calls it: "workstation", "server", "critical", ...
    basis: str = ""  # by what the addresses are known
    resolved: int = 0

    def __post_init__(self) -> None:
        if self.kind not in PARTIES:
            raise ValueError(f"a party is one of {', '.join(PARTIES)}, not {self.kind!r}")

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "value": self.value, "addresses": list(self.addresses), "mac": self.mac,
            "switch": self.switch, "port": self.port, "asset_class": self.asset_class, "basis": self.basis,
            "resolved": timestamp(self.resolved),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Party:
        """The inverse of ``to_dict``. Raises ValueError, KeyError, TypeError."""
        made = {**given, "addresses": tuple(given.get("addresses", ()))}
        if "resolved" in made:
            made["resolved"] = nanoseconds(made["resolved"])
        return cls(**made)


@dataclass(frozen=True)
class Ground:
    """One thing that speaks for an intent. ``field``: where it was seen; two that differ in it are independent
    ("darknet", "livenet", "intel", "malware", "flows", or "alerts:PRODUCT"). ``forgeable``: names of the sources that
    anybody can send to, if it came through no other; all such grounds together are one kind of evidence."""

    kind: str  # "finding", "episode", "check" (of the case's verification), "analyst"
    id: str
    field: str
    statement: str = ""
    forgeable: str = ""

    def to_dict(self) -> dict[str, Any]:
        made = {"kind": self.kind, "id": self.id, "field": self.field, "statement": self.statement}
        return made | ({"forgeable": self.forgeable} if self.forgeable else {})


@dataclass(frozen=True)
class Intent:
    """``subject``: whose traffic; ``target``: towards whom (BLOCK_PAIR needs one; None: towards everybody).
    ``level`` and ``classes``: as the case was judged. ``approvals``: how many people besides the requester must agree.
    ``enforcers``: the names of those that are to hold it; ``success``: whether "all" of them have to or "any"."""

    id: int
    action: str
    subject: Party
    target: Party | None
    ttl: int  # ns
    reason: str
    requested_by: str  # an analyst's name, or "andon"
    created: int
    grounds: tuple[Ground, ...] = ()
    case: str = ""
    level: str = ""
    classes: tuple[str, ...] = ()
    rule: str = ""  # of the policy
    approvals: int = 0
    enforcers: tuple[str, ...] = ()
    success: str = "any"
    escalated: str = ""  # why it is harder than the policy's rule had it
    replaces: int = 0  # the intent that it was escalated from or renews

    def __post_init__(self) -> None:
        if not 0 < self.id < 1 << 63:
            raise ValueError(f"{self.id} is no id of an intent")
        if self.action not in ACTIONS:
            raise ValueError(f"an action is one of {', '.join(ACTIONS)}, not {self.action!r}")
        if not SHORTEST <= self.ttl <= LONGEST:
            raise ValueError("an intent holds for a second at least and seven days at most")
        if self.action == BLOCK_PAIR and self.target is None:
            raise ValueError(f"{BLOCK_PAIR} needs a target")
        if self.success not in ("any", "all"):
            raise ValueError("success is any or all")

    @property
    def until(self) -> int:
        """When it ends, whatever happens."""
        return self.created + self.ttl

    def to_dict(self) -> dict[str, Any]:
        """As JSON (``andon.intent/1``)."""
        return {
            "schema": SCHEMA_NAME, "id": f"{self.id:016x}", "action": self.action, "subject": self.subject.to_dict(),
            "target": None if self.target is None else self.target.to_dict(), "ttl": self.ttl / 1e9,
            "until": timestamp(self.until), "reason": self.reason, "requested_by": self.requested_by,
            "created": timestamp(self.created), "grounds": [one.to_dict() for one in self.grounds], "case": self.case,
            "level": self.level, "classes": list(self.classes), "rule": self.rule, "approvals": self.approvals,
            "enforcers": list(self.enforcers), "success": self.success, "escalated": self.escalated,
            "replaces": f"{self.replaces:016x}" if self.replaces else "",
        }  # fmt: skip

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Intent:
        """The inverse of ``to_dict``. Raises ValueError, KeyError, TypeError."""
        if given.get("schema") != SCHEMA_NAME:
            raise ValueError(f"schema is {given.get('schema')!r}, not {SCHEMA_NAME}")
        target = given["target"]
        return cls(
            id=int(given["id"], 16),
            action=given["action"],
            subject=Party.from_dict(given["subject"]),
            target=None if target is None else Party.from_dict(target),
            ttl=round(float(given["ttl"]) * 1e9),
            reason=given["reason"],
            requested_by=given["requested_by"],
            created=nanoseconds(given["created"]),
            grounds=tuple(Ground(**one) for one in given.get("grounds", ())),
            case=given.get("case", ""),
            level=given.get("level", ""),
            classes=tuple(given.get("classes", ())),
            rule=given.get("rule", ""),
            approvals=int(given.get("approvals", 0)),
            enforcers=tuple(given.get("enforcers", ())),
            success=given.get("success", "any"),
            escalated=given.get("escalated", ""),
            replaces=int(given.get("replaces") or "0", 16),
        )

    def with_(self, **changes: Any) -> Intent:
        """Another intent, made from this one."""
        return replace(self, **changes)


@dataclass(frozen=True)
class IntentEvent:
    """Something that happened to an intent. ``state``: the one it is in from then on. ``detail``: what belongs to it as
    JSON values: reasons of the guard, receipts, errors. The first one (PROPOSED) carries the intent."""

    intent: int
    state: str
    actor: str
    time: int
    reasons: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
