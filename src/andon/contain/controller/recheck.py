"""Whether what is in force may still be: asked when the policy, an exemption or a warning list is another by now.

Only what people wrote counts: the policy's protected things and asset classes, warning lists, exemptions. Names in
leases do not: a host that is cut off may still ask for a lease, and would free itself by the name that it gives there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from andon.records.intent import ACCEPTED, ALLOW, CUTTING, PROXY, Intent

_BY_PEOPLE: Final = frozenset(
    (
        "protected",
        "protected-name",
        "protected-mac",
        "protected-port",
        "protected-class",
        "warning-list",
        "exempt",
    )
)


def forbidden_by_now(intent: Intent, policy: Any, exempt: Sequence[Intent], now: int) -> str:
    """Why an intent must not be in force any more, in words; "" if nothing is known. ``exempt``: the ALLOW intents that
    are in force. A ``policy`` that is none of ours says nothing."""
    from andon.contain.guard import Held
    from andon.contain.guard.never import forbidden
    from andon.contain.guard.reach import reach_of
    from andon.contain.policy import Policy

    if not isinstance(policy, Policy) or not (intent.action in CUTTING or intent.action == PROXY):
        return ""
    terrain = _terrain(_ByIdentity(policy))
    also = terrain.shield.carriers
    target = None if intent.target is None else reach_of(intent.target, also)
    held = [Held(one, ACCEPTED, one.created, False) for one in exempt if one.action == ALLOW]
    for rule, why in forbidden(intent, reach_of(intent.subject, also), target, terrain, held, now):
        if rule in _BY_PEOPLE:
            return why
    return ""


class _ByIdentity:
    """A key for the cache: policies are compared as objects."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def __hash__(self) -> int:
        return id(self.policy)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.policy is other.policy


@lru_cache(2)
def _terrain(key: _ByIdentity) -> Any:
    from andon.contain.guard import terrain_of

    return terrain_of(key.policy)
