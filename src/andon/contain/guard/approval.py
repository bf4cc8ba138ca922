"""Who may agree to an intent. Another person than the one who asks, and each person once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from andon.contain.guard.ruling import AUTOMATON, same_name
from andon.records.intent import Intent

_LONGEST: Final = 128


@dataclass(frozen=True)
class Approval:
    """``accepted``: the actor's word counts; ``complete``: no more is needed; ``missing``: how many people are."""

    accepted: bool
    complete: bool
    missing: int
    reason: str


def approval(intent: Intent, given: Sequence[str], actor: str, needed: int = 1) -> Approval:
    """What the word of ``actor`` does for an intent that waits. ``given``: who agreed before; ``needed``: how many have
    to where the policy's rule asks for none but the guard did. Nobody agrees to what they asked for, nobody agrees
    twice, and Andon itself agrees to nothing. The guard is to be asked again before anything is done: what is forbidden
    stays so however many agree.

    >>> from andon.records.intent import Intent, Party
    >>> one = Intent(1, "quarantine", Party("host", "pc7"), None, 10**9, "", "alice", 0, approvals=1)
    >>> approval(one, (), "Alice ").reason
    'who asked for it cannot agree to it'
    """
    least = max(needed, intent.approvals, 1)
    asked = same_name(intent.requested_by)
    agreed = {name for name in map(same_name, given) if name and name not in (AUTOMATON, asked)}
    who = same_name(actor)
    reason = ""
    if not who or len(actor) > _LONGEST:
        reason = "who agrees has a name of at most 128 characters"
    elif who == AUTOMATON:
        reason = "Andon cannot agree to anything"
    elif who == asked:
        reason = "who asked for it cannot agree to it"
    elif who in agreed:
        reason = f"{actor.strip()} has agreed already; another person is needed"
    accepted = not reason
    missing = max(0, least - len(agreed | ({who} if accepted else set())))
    if accepted:
        reason = f"{actor.strip()} agrees" + (f"; {missing} more needed" if missing else "")
    return Approval(accepted, missing == 0, missing, reason)
