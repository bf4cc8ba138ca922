"""From a wish to the events that record what became of it: escalated, refused, tried dry, waiting, or accepted.

The parts that judge come in as ``Judges``; left alone they are the guard, the proposals and the escalation of this
package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from andon.contain.contract import PATHS, Enforcer
from andon.contain.controller.planning import Plans, plans_of
from andon.records.intent import (
    ACCEPTED,
    ALLOW,
    BLOCK_PAIR,
    DRY_RUN,
    HOST,
    PROPOSED,
    REFUSED,
    WAITING,
    Intent,
    IntentEvent,
)
from andon.store.intents import NOBODY, Hold, State

REFUSE, ASK = "refuse", "needs-approval"
_COMMANDS: Final = 50  # of a plan that go into the log


@dataclass(frozen=True)
class Judges:
    """``guard(intent, terrain, held, now) -> Ruling``; ``held(intent, state, since, automatic)`` makes what it takes;
    ``propose(case, policy, resolver, terrain, now, new_id, material)``; ``escalate(intent, paths, now, new_id, policy,
    terrain)``; ``renew(intent, resolver, now, new_id)``: the same with its parties as they are now, or None;
    ``taken(intent, resolver, now)``: why an address of it is somebody else's now, or ""."""

    guard: Callable[..., Any]
    held: Callable[..., Any]
    propose: Callable[..., list[Intent]]
    escalate: Callable[..., Intent | None]
    renew: Callable[..., Intent | None]
    taken: Callable[..., str]


def our_judges() -> Judges:
    """Those of this package, imported when they are needed."""
    from andon.contain.escalate import escalated
    from andon.contain.guard import Held, guard
    from andon.contain.propose import intents_of
    from andon.contain.resolve import renewed, taken

    return Judges(guard, Held, intents_of, escalated, renewed, taken)


@dataclass
class Outcome:
    """What became of one wish: its events, and its plans if it was accepted."""

    intent: Intent
    state: str
    events: list[IntentEvent]
    plans: Plans | None = None


@dataclass(frozen=True)
class Bench:
    """Everything that a judgement depends on, at one moment. ``states``: what is in force, waits or was tried dry."""

    judges: Judges
    enforcers: Mapping[str, Enforcer]
    policy: Any
    terrain: Any
    states: Sequence[State]
    mode: str
    hold: Hold | None
    now: int
    new_id: Callable[[], int]
    failed: Callable[[str], None] = field(default=lambda text: None)

    @cached_property
    def _held(self) -> list[tuple[State, Any]]:
        """As the guard takes them."""
        make = self.judges.held
        return [
            (one, make(one.intent, one.state, one.since, one.automatic and not one.approvals))
            for one in self.states
        ]

    def dry(self, intent: Intent) -> bool:
        """Whether nothing is done about it but to write down what would be."""
        return self.mode == "dry-run" or (self.mode == "manual" and intent.requested_by == NOBODY)

    def outcomes(self, intent: Intent, actor: str, approved: Sequence[str] = ()) -> list[Outcome]:
        """Of one wish: one, or two where it is escalated. ``approved``: who has agreed already to the same."""
        plans = plans_of(intent, self.enforcers)
        harder = self._escalated(intent, plans)
        if harder is None:
            return [self._ruled(intent, actor, plans, approved)]
        second = self._ruled(harder, actor, plans_of(harder, self.enforcers))
        if second.state in (ACCEPTED, DRY_RUN):
            why = f"replaced by {harder.id:016x}: {harder.escalated or harder.reason}"
            return [self._outcome(intent, REFUSED, actor, (why,), {"escalated": f"{harder.id:016x}"}), second]
        # The harder one may not be done, or not yet: then the milder one is better than nothing.
        return [self._ruled(intent, actor, plans, approved), second]

    def ruling(self, intent: Intent) -> tuple[str, tuple[str, ...]]:
        """(decision, reasons) of the guard; an error in it refuses."""
        dry = self.dry(intent)
        held = [
            known
            for state, known in self._held
            if state.intent.id not in (intent.id, intent.replaces) and (state.state != DRY_RUN or dry)
        ]
        try:
            ruling = self.judges.guard(intent, self.terrain, held, self.now)
            said = str(ruling.decision), tuple(str(reason) for reason in ruling.reasons)
        except Exception as error:
            why = f"the guard failed ({type(error).__name__}: {error}): nothing is done without it"
            self.failed(why)
            return REFUSE, (why,)
        self.failed("")
        return said

    def _escalated(self, intent: Intent, plans: Plans) -> Intent | None:
        if intent.action != BLOCK_PAIR:
            return None
        paths = plans.open_paths if plans.feasible else PATHS if self.enforcers else ()
        if not paths:
            return None
        return self.judges.escalate(intent, paths, self.now, self.new_id, self.policy, self.terrain)

    def _ruled(self, intent: Intent, actor: str, plans: Plans, approved: Sequence[str] = ()) -> Outcome:
        decision, reasons = self.ruling(intent)
        detail: dict[str, Any] = {"ruling": decision, **short(plans)}
        if decision == REFUSE:
            return self._outcome(intent, REFUSED, actor, reasons, detail)
        if self.dry(intent):
            return self._outcome(intent, DRY_RUN, actor, reasons, self._tried(intent, detail, decision))
        if self.hold is not None and intent.requested_by == NOBODY:
            why = f"the kill switch was pulled by {self.hold.actor}: nothing is cut automatically until it is released"
            return self._outcome(intent, REFUSED, actor, (why,), detail | {"kill_switch": True})
        if not plans.feasible and intent.action != ALLOW:  # the guard holds an exemption, whoever else does
            said = "; ".join(f"{name}: {why}" for name, why in plans.unfit.items()) or "none is configured"
            return self._outcome(intent, REFUSED, actor, (f"no enforcer can hold it ({said})",), detail)
        needed = _needed(intent, decision)
        if needed > len(approved):
            return self._outcome(intent, WAITING, actor, reasons, detail | {"approvals": needed})
        if approved:
            detail["approved_by"] = list(approved)
        return self._outcome(intent, ACCEPTED, actor, reasons, detail, plans)

    def _tried(self, intent: Intent, detail: Mapping[str, Any], decision: str) -> dict[str, Any]:
        """What a report of dry runs needs to know: how many people would have had to agree, and how many hosts of ours
        used what would have been cut (-1: nobody counts that)."""
        return {**detail, "approvals": _needed(intent, decision), "used_by": _used_by(intent, self.terrain)}

    def _outcome(
        self,
        intent: Intent,
        state: str,
        actor: str,
        reasons: tuple[str, ...],
        detail: Mapping[str, Any],
        plans: Plans | None = None,
    ) -> Outcome:
        events = [
            IntentEvent(intent.id, PROPOSED, actor, self.now),
            IntentEvent(intent.id, state, NOBODY, self.now, reasons, detail),
        ]
        return Outcome(intent, state, events, plans)


def short(plans: Plans) -> dict[str, Any]:
    """Plans for the log: a plan of thousands of commands keeps the first ones and says how many there were."""
    said = plans.to_dict()
    for plan in said["plans"]:
        for part in ("commands", "inverse", "touched"):
            if len(plan[part]) > _COMMANDS:
                plan[part] = [*plan[part][:_COMMANDS], f"... {len(plan[part]) - _COMMANDS} more"]
    return said


def _used_by(intent: Intent, terrain: Any) -> int:
    users = getattr(terrain, "users", None)
    what = intent.target or (intent.subject if intent.subject.kind != HOST else None)
    if users is None or what is None:
        return -1
    from andon.contain.guard import reach_of

    return int(users.of(reach_of(what)))


def _needed(intent: Intent, decision: str) -> int:
    return max(intent.approvals, 1 if decision == ASK else 0)


def person(actor: str) -> None:
    """Raises ValueError for what is no name of a person."""
    from andon.contain.guard.ruling import same_name

    if same_name(actor) in ("", NOBODY) or len(actor) > 128 or not actor.isprintable():
        raise ValueError(f"{actor[:50]!r} is not the name of a person: say who you are")
