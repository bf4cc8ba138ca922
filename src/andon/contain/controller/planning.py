"""What holding an intent would take at each enforcer. Pure: ``Enforcer.plan`` has no side effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from andon.contain.contract import PATHS, Enforcer, NotExpressible, Plan
from andon.records.intent import Intent


@dataclass(frozen=True)
class Plans:
    """``by_name``: of those that can hold it; ``unfit``: of those that cannot, why."""

    by_name: Mapping[str, Plan]
    unfit: Mapping[str, str]

    @property
    def open_paths(self) -> tuple[str, ...]:
        """Ways that stay open although every one of them does its part."""
        plans = list(self.by_name.values())
        if not plans:
            return ()
        return tuple(path for path in PATHS if all(path in plan.open_paths for plan in plans))

    @property
    def feasible(self) -> bool:
        return bool(self.by_name)

    def to_dict(self) -> dict[str, Any]:
        return {
            "plans": [plan.to_dict() for plan in self.by_name.values()],
            "unfit": dict(self.unfit),
            "open_paths": list(self.open_paths),
        }


def plans_of(intent: Intent, enforcers: Mapping[str, Enforcer]) -> Plans:
    """Of the enforcers that the intent names, or of all."""
    by_name: dict[str, Plan] = {}
    unfit: dict[str, str] = {}
    for name in intent.enforcers or tuple(enforcers):
        enforcer = enforcers.get(name)
        if enforcer is None:
            unfit[name] = "no enforcer of this name is configured"
            continue
        if (intent.action, intent.subject.kind) not in enforcer.supports:
            unfit[name] = f"it cannot {intent.action} a {intent.subject.kind}"
            continue
        try:
            by_name[name] = enforcer.plan(intent)
        except NotExpressible as error:
            unfit[name] = str(error)
        except Exception as error:  # of a third party's enforcer: it is told apart, not trusted
            unfit[name] = f"an error of this enforcer: {type(error).__name__}: {error}"
    return Plans(by_name, unfit)


def same_wish(one: Intent, other: Intent) -> bool:
    """Whether they ask for the same: action, whose traffic, towards whom."""
    return wish(one) == wish(other)


def wish(intent: Intent) -> tuple[str, ...]:
    """What an intent asks for, to be compared."""
    target = intent.target
    return (
        intent.action,
        intent.subject.kind,
        intent.subject.value,
        *((target.kind, target.value) if target else ()),
    )
