"""What the events of the log make of each intent: its state is that of the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from andon.records.finding import nanoseconds, timestamp
from andon.records.intent import ENDED, PROPOSED, REFUSED, REVOKED, Intent, IntentEvent, may_follow

# Events that are of no intent but of the site. HELD: the kill switch was pulled; RELEASED: somebody let go of it.
SITE: Final = 0
HELD, RELEASED, NOTE = "held", "released", "note"
SITE_STATES: Final = frozenset((HELD, RELEASED, NOTE))
NOBODY: Final = "andon"  # who acts when no person does


class Conflict(Exception):
    """This event cannot follow what the log says now: somebody else was faster. Nothing was written."""


@dataclass(frozen=True)
class State:
    """Where an intent stands. ``since``, ``actor``, ``reasons``, ``number``: of the event that brought it there.
    ``proposed`` (ns, UTC), ``up`` (ms since boot) and ``boot`` (id): when it was proposed, by both clocks.
    ``approvals``: who agreed. ``receipts``: by enforcer, as ``Receipt.to_dict`` has them. ``detail``: of that event."""

    intent: Intent
    state: str
    since: int
    actor: str
    number: int
    proposed: int
    up: int
    boot: str
    reasons: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    receipts: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def automatic(self) -> bool:
        """Whether no person asked for it."""
        return self.intent.requested_by == NOBODY

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def rests(self) -> bool:
        """Ended by a person or refused: what it says is not to be asked for again by itself before ``until``."""
        return self.state == REFUSED or (self.state == REVOKED and self.actor != NOBODY)

    def to_dict(self) -> dict[str, Any]:
        return {
            "intent": self.intent.to_dict(), "state": self.state, "since": timestamp(self.since),
            "actor": self.actor, "number": self.number, "proposed": timestamp(self.proposed), "up": self.up,
            "boot": self.boot, "reasons": list(self.reasons), "approvals": list(self.approvals),
            "receipts": {name: dict(one) for name, one in self.receipts.items()}, "detail": dict(self.detail),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> State:
        """The inverse. Raises ValueError, KeyError, TypeError."""
        return cls(
            intent=Intent.from_dict(given["intent"]),
            state=given["state"],
            since=nanoseconds(given["since"]),
            actor=given["actor"],
            number=int(given["number"]),
            proposed=nanoseconds(given["proposed"]),
            up=int(given["up"]),
            boot=given["boot"],
            reasons=tuple(given["reasons"]),
            approvals=tuple(given["approvals"]),
            receipts=given["receipts"],
            detail=given["detail"],
        )


@dataclass(frozen=True)
class Hold:
    """The kill switch was pulled: by whom, when, why. Nothing is cut automatically until it is released."""

    actor: str
    since: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {"actor": self.actor, "since": timestamp(self.since), "reason": self.reason}


@dataclass(frozen=True)
class Entry:
    """An event as it stands in the log: its number, the hash of its line, when by the clock since boot, and the intent
    where it is the first of one."""

    number: int
    hash: str
    up: int
    boot: str
    event: IntentEvent
    document: Intent | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "number": self.number, "time": timestamp(self.event.time),
            "intent": f"{self.event.intent:016x}" if self.event.intent else "", "state": self.event.state,
            "actor": self.event.actor, "reasons": list(self.event.reasons), "detail": dict(self.event.detail),
            "hash": self.hash,
        }  # fmt: skip


def check(state: State | None, event: IntentEvent, document: Intent | None) -> None:
    """Raises Conflict where ``event`` cannot follow ``state``, ValueError where it makes no sense anywhere.

    An event that repeats the state and whose detail has a "note" adds something to an intent (an agreement, a receipt)
    and changes nothing else; it is taken as long as the intent has not ended."""
    if event.intent == SITE:
        if event.state not in SITE_STATES:
            raise ValueError(f"{event.state!r} is nothing that happens to a site")
        return
    name = f"{event.intent:016x}"
    if state is None:
        if event.state != PROPOSED:
            raise Conflict(f"intent {name} is not known: it ended a while ago, or was never there")
        if document is None or document.id != event.intent:
            raise ValueError(f"the first event of intent {name} does not come with it")
        return
    noted = event.state == state.state and not state.ended and "note" in event.detail
    if not noted and not may_follow(event.state, state.state):
        raise Conflict(
            f"intent {name} is {state.state} since {timestamp(state.since)} by {state.actor}: it cannot become "
            f"{event.state} now"
        )


def folded(state: State | None, entry: Entry) -> State:
    """The state after ``entry``; nothing is checked. Raises KeyError where the intent itself is not known."""
    event = entry.event
    if state is None:
        if entry.document is None:
            raise KeyError(event.intent)
        return State(
            intent=entry.document, state=event.state, since=event.time, actor=event.actor, number=entry.number,
            proposed=event.time, up=entry.up, boot=entry.boot, reasons=event.reasons, detail=event.detail,
        )  # fmt: skip
    receipts = dict(state.receipts)
    for one in event.detail.get("receipts", ()):
        receipts[str(one["enforcer"])] = one
    for name in event.detail.get("lost", ()):
        receipts.pop(name, None)
    approvals = state.approvals
    if event.detail.get("approval") and event.actor not in approvals:
        approvals = (*approvals, event.actor)
    approvals = (
        *approvals,
        *(str(one) for one in event.detail.get("approved_by", ()) if one not in approvals),
    )
    if event.state == state.state and "note" in event.detail:
        return replace(state, receipts=receipts, approvals=approvals)
    return replace(
        state, state=event.state, since=event.time, actor=event.actor, number=entry.number,
        reasons=event.reasons, approvals=approvals, receipts=receipts, detail=event.detail,
    )  # fmt: skip
