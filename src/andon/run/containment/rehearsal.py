"""A policy rehearsed on the cases of a store: what would have been cut, waited for, or refused, and why.

No enforcer is asked and nothing is written. Cases are taken in the order of their ends, each judged as it stands now,
with the host looked up for the time of the case, and as if it were open: what people made of it came later. What would
have been in force then counts against the guard's limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from andon.contain.guard import ALLOWED, FORBIDDEN, NEEDS_APPROVAL, Held, Terrain, guard
from andon.contain.policy import Policy
from andon.contain.propose import Material, intents_of
from andon.contain.resolve import Resolver
from andon.records.case import MERGED, OPEN, Case
from andon.records.intent import CUTTING, DRY_RUN, WAITING, Intent

_WOULD: Final = {ALLOWED: "done", NEEDS_APPROVAL: "wait", FORBIDDEN: "refuse"}


@dataclass(frozen=True)
class Rehearsed:
    """``would``: "done" (without a human), "wait" (for an agreement) or "refuse"; ``rules``: of the guard."""

    case: Case
    intent: Intent
    would: str
    reasons: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def cuts(self) -> bool:
        """Whether traffic would have ended without a human."""
        return self.would == "done" and self.intent.action in CUTTING

    def to_dict(self) -> dict[str, Any]:
        return {
            "case": self.case.id, "level": self.case.level, "tier": self.case.tier, "would": self.would,
            "reasons": list(self.reasons), "rules": list(self.rules), "intent": self.intent.to_dict(),
        }  # fmt: skip


def rehearse(
    cases: Iterable[Case],
    material: Callable[[Case], Material],
    policy: Policy,
    resolver: Resolver,
    terrain: Terrain,
) -> Iterator[Rehearsed]:
    """What becomes of each wish. ``material``: what the items of a case say."""
    number = iter(range(1, 1 << 62))
    held: list[Held] = []
    for case in sorted(cases, key=lambda one: (one.last_seen, one.id)):
        now = case.last_seen
        held = [one for one in held if one.intent.until > now]
        if case.state == MERGED:
            continue
        asked = replace(case, state=OPEN)
        for intent in intents_of(asked, policy, resolver, terrain, now, number.__next__, material(case)):
            if any(_same(one.intent, intent) for one in held):
                continue
            ruling = guard(intent, terrain, held, now)
            would = _WOULD[ruling.decision]
            yield Rehearsed(case, intent, would, ruling.reasons, ruling.rules)
            if would != "refuse":
                held.append(Held(intent, DRY_RUN if would == "done" else WAITING, now, automatic=True))


def _same(one: Intent, other: Intent) -> bool:
    """The same wish, or one that does all of it."""
    ends = [None if i.target is None else i.target.value for i in (one, other)]
    if one.subject.value != other.subject.value:
        return False
    return one.action == other.action and ends[0] == ends[1]


def totals(done: Iterable[Rehearsed]) -> dict[str, dict[str, int]]:
    """Counts by action and fate, and of the guard's rules that asked or refused."""
    by_action: dict[str, Counter[str]] = {}
    rules: Counter[str] = Counter()
    for one in done:
        by_action.setdefault(one.intent.action, Counter())[one.would] += 1
        if one.would != "done":
            rules.update(one.rules)
    return {**{action: dict(counts) for action, counts in by_action.items()}, "rules": dict(rules)}
