"""The guard: may this be done? A pure function of the intent, the site, what is in force and the time.

It answers *refuse* for what nobody may do (``never``), *needs-approval* for what does not happen without somebody who
agrees (``asks``), and *allow* for the rest; always with reasons in words. It trusts nobody: not the policy, not a case,
not an analyst, not another part of Andon. Every address, name, hardware address and port of both parties is looked at
in every spelling (``spelling``), since one enforcer cuts by address, another by name, the third by port.

Nothing is read, asked or remembered here. The same arguments give the same answer; who approves something has the guard
asked again with what is true by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from andon.contain.guard.approval import Approval, approval
from andon.contain.guard.asks import (
    CHECK,
    FLOWS,
    FORGEABLE,
    evidence_in_words,
    fields_of,
    least_share,
    limits,
)
from andon.contain.guard.never import forbidden
from andon.contain.guard.reach import Reach, reach_of
from andon.contain.guard.ruling import (
    ALLOWED,
    AUTOMATON,
    FORBIDDEN,
    IN_FORCE,
    NEEDS_APPROVAL,
    Held,
    Ruling,
    is_automatic,
)
from andon.contain.guard.terrain import Terrain, Users, terrain_of
from andon.records.intent import Intent

__all__ = [
    "ALLOWED", "AUTOMATON", "CHECK", "FLOWS", "FORBIDDEN", "FORGEABLE", "IN_FORCE", "NEEDS_APPROVAL", "Approval",
    "Held", "Reach", "Ruling", "Terrain", "Users", "approval", "fields_of", "guard", "is_automatic", "least_share",
    "reach_of", "terrain_of",
]  # fmt: skip

_MOST: Final = 12  # reasons that are told


def guard(intent: Intent, ground: Terrain, held: Sequence[Held], now: int) -> Ruling:
    """Whether an intent may be carried out. ``held``: what is known already, decided or not; ``now``: ns.

    >>> from andon.contain.policy import load_policy
    >>> from andon.records.intent import Party
    >>> resolver = Party("address", "::ffff:8.8.8.8", ("::ffff:8.8.8.8",))
    >>> wanted = Intent(1, "block", resolver, None, 60 * 10**9, "on a list", "alice", 0)
    >>> guard(wanted, terrain_of(load_policy(None)), (), 0).decision
    'refuse'
    """
    also = ground.shield.carriers
    subject = reach_of(intent.subject, also)
    target = None if intent.target is None else reach_of(intent.target, also)
    said = dict.fromkeys(forbidden(intent, subject, target, ground, held, now))
    if said:
        return _ruling(FORBIDDEN, list(said))
    said = dict.fromkeys(limits(intent, subject, target, ground, held, now))
    if said:
        return _ruling(NEEDS_APPROVAL, list(said))
    who = "without a human" if is_automatic(intent) else "as asked for"
    fields = evidence_in_words(intent, ground.flows)
    ground_text = f", on evidence of {fields}" if fields else ""
    return Ruling(ALLOWED, (f"nothing stands against it, {who}{ground_text}",), ("allow",))


def _ruling(decision: str, said: list[tuple[str, str]]) -> Ruling:
    return Ruling(
        decision, tuple(reason for _, reason in said[:_MOST]), tuple(dict.fromkeys(rule for rule, _ in said))
    )
