"""Which events the log lacks, given how each enforcer stands to an intent. Pure.

Success "any": one enforcer that holds it is enough, and it fails when none can; "all": one that cannot is a failure.
An enforcer that cannot express the intent counts as one that failed for good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from andon.contain.contract import Receipt
from andon.records.intent import ACCEPTED, APPLIED, FAILED, VERIFIED, WANTED, IntentEvent
from andon.store.intents import NOBODY, State

Standing = tuple[str, Receipt | None, str]  # as Worker.standing gives it
_GOOD: Final = ("held", "verified")


def standing_events(
    state: State, standings: Mapping[str, Standing], unfit: Mapping[str, str], now: int
) -> list[IntentEvent]:
    """The events that bring ``state`` up to date, in order; none if it is. ``unfit``: enforcers that cannot express
    it, and why."""
    if state.state not in WANTED:
        return []
    intent, held = state.intent.id, {}
    for name, (how, receipt, _) in standings.items():
        if how in _GOOD and receipt is not None:
            held[name] = receipt
    failed = {name: why for name, (how, _, why) in standings.items() if how == "failed"} | dict(unfit)
    every = state.intent.success == "all"
    applied = len(held) == len(standings) + len(unfit) if every else bool(held)
    verified = applied and _count(standings, "verified") >= (len(standings) if every else 1)
    given_up = bool(failed) if every else len(failed) == len(standings) + len(unfit)

    said = {name: dict(one) for name, one in state.receipts.items()}
    new = [one.to_dict() for name, one in held.items() if said.get(name) != one.to_dict()]
    lost = sorted(name for name in said if name not in held and name in failed)
    events: list[IntentEvent] = []
    at = state.state

    def add(to: str, reasons: Sequence[str] = (), **detail: Any) -> None:
        nonlocal at
        events.append(IntentEvent(intent, to, NOBODY, now, tuple(reasons), detail))
        at = to

    if applied and at in (ACCEPTED, FAILED):
        add(APPLIED, receipts=new)
    elif applied and new and at == VERIFIED and any(one["enforcer"] in said for one in new):
        add(APPLIED, ("it was lost and is applied again",), receipts=new)
    elif new and at != ACCEPTED:
        add(at, note="receipt", receipts=new)
    if applied and verified and at == APPLIED:
        add(VERIFIED)
    if given_up and not applied and at != FAILED:
        add(FAILED, [f"{name}: {why}" for name, why in sorted(failed.items())], lost=lost)
    return events


def _count(standings: Mapping[str, Standing], how: str) -> int:
    return sum(one[0] == how for one in standings.values())
