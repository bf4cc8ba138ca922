"""When a pair cannot be closed on every path, the host is cut off instead: by rule, and with the reason.

An infected host and its controller have more ways to each other than one address pair: IPv6 beside IPv4, QUIC beside
TCP, a name with a hundred addresses, a connection that is open already. A block that leaves one of them open looks as
if it worked. So a plan that names an open path makes a quarantine of the host out of the pair block. A host that must
not be cut off wholly keeps its pair block, and somebody is told what stays open and has to agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from andon.contain.contract import ELSEWHERE, ESTABLISHED, IPV4, IPV6, NAMES, QUIC
from andon.contain.guard.reach import reach_of
from andon.contain.guard.terrain import Terrain
from andon.contain.policy.model import Policy
from andon.records.intent import ADDRESS, BLOCK_PAIR, HOST, QUARANTINE, SHORTEST, Intent
from andon.records.neutral import neutral

_WORDS: Final = {
    IPV4: "IPv4",
    IPV6: "IPv6",
    QUIC: "QUIC (UDP 443)",
    NAMES: "further addresses of the name",
    ESTABLISHED: "connections that are open already",
    ELSEWHERE: "a way round the place where it is cut",
}


def escalated(
    intent: Intent,
    open_paths: Sequence[str],
    now: int,
    new_id: Callable[[], int],
    policy: Policy | None = None,
    terrain: Terrain | None = None,
) -> Intent | None:
    """What takes the place of a pair block that leaves paths open: a quarantine of its subject until the pair block
    would have ended; or, if that host must not be cut off wholly, the pair block with the open paths said and one
    approval at least. None if nothing is open, if it is no pair block, if its time is over, or if that has been said
    and agreed to already. ``open_paths``: of ``contract.PATHS``. It goes through the guard like any other."""
    rest = intent.until - now
    if intent.action != BLOCK_PAIR or not open_paths or rest < SHORTEST or intent.target is None:
        return None
    paths = ", ".join(_WORDS.get(path, neutral(str(path)[:40])) for path in dict.fromkeys(open_paths))
    target = neutral(intent.target.value[:80])
    if why := _spared(intent, policy, terrain):
        said = f"stays a pair block because {why}; open towards {target}: {paths}"
        if intent.escalated == said:
            return None
        return intent.with_(
            id=new_id(),
            approvals=max(1, intent.approvals),
            escalated=said,
            created=now,
            ttl=rest,
            replaces=intent.id,
        )
    return intent.with_(
        id=new_id(), action=QUARANTINE, target=None, created=now, ttl=rest, replaces=intent.id,
        escalated=f"the pair with {target} cannot be closed on every path; open: {paths}",
    )  # fmt: skip


def _spared(intent: Intent, policy: Policy | None, terrain: Terrain | None) -> str:
    """Why the subject must not be cut off wholly; "" if it may."""
    subject = intent.subject
    if subject.kind not in (HOST, ADDRESS):
        return "its subject is no single host"
    if policy is not None and subject.asset_class in policy.protect.never_quarantine:
        return f"{neutral(subject.value[:80])} is of class {subject.asset_class}, which is not quarantined by itself"
    if terrain is not None:
        reach = reach_of(subject, terrain.shield.carriers)
        if not terrain.is_inside(reach):
            return f"{neutral(subject.value[:80])} is no host of ours"
        if label := terrain.shield.of_spans(reach.spans):
            return f"{neutral(subject.value[:80])} is protected ({label})"
    return ""
