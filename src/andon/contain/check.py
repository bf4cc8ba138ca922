"""The contract test of enforcers: ours and anybody's are held to the same promises (``contract.Enforcer``).

It is part of the package so that whoever writes an enforcer can run it from their own tests; see
``docs/write-your-own-enforcer.md``. It needs a site to enforce at (a switch, a firewall, a folder) that holds nothing
yet, and leaves it so. What it cannot see: whether traffic really stops. That takes a test with packets.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from andon.contain.contract import (
    DEGRADED,
    DOWN,
    OK,
    PATHS,
    Enforcer,
    Health,
    NotExpressible,
    Plan,
    Receipt,
)
from andon.records.intent import ACTIONS, ADDRESS, BLOCK_PAIR, LONGEST, PARTIES, Intent, Party

T = TypeVar("T")
_MOST_TEXT: Final = 1 << 20  # characters of a plan
_STRANGER: Final = 0x7FFF_0000_0000_0001  # the id of an intent that nobody holds


class ContractBroken(AssertionError):
    """The enforcer does not do what the contract says; the text says what."""


def check_enforcer(
    make: Callable[[], Enforcer],
    intents: Sequence[Intent],
    *,
    remembers: bool = True,
    seconds: float = 10.0,
    prompt: float = 1.0,
) -> tuple[str, ...]:
    """Hold an enforcer to the contract. ``make`` gives it, each time as a process that starts anew would have it, at
    the same site. ``intents``: two or more that it can hold, in force now, about different parties. ``remembers``:
    False for one that lives in the memory of its process alone. ``seconds``: that a call may take; ``prompt``: that one
    may take which asks nobody, plan and tick; give more of both where the machine is busy with other things.

    Gives what was checked, in words. Raises ContractBroken, and whatever the enforcer raises that it must not.
    """
    if len(intents) < 2 or len({one.id for one in intents}) < len(intents):
        raise ValueError("give two or more intents with different ids")
    held = _Site(make(), seconds, prompt)
    done: list[str] = []
    try:
        for name, step in (
            ("it says what it is", _declares),
            ("plans are pure, bounded and complete", _plans),
            ("what it cannot hold is NotExpressible", _says_no),
            ("nothing is held at the beginning", _empty),
            ("apply, receipts, actual and verify agree", _applies),
            ("apply is idempotent", _applies_again),
            ("two intents with the same match do not take each other away", _overlaps),
            ("revoke is idempotent and takes away nothing else", _revokes),
            ("a tick takes no time and ends nothing early", _ticks),
        ):
            step(held, intents)
            done.append(name)
        if remembers:
            held = _anew(held, make, intents)
            done.append("what is held survives close and is found by the next process")
        _revokes_all(held, intents)
        done.append("revoke_all leaves nothing")
        _ends(held, intents)
        done.append("what a tick gives back is not held any more")
    finally:
        try:
            held.enforcer.revoke_all()
        finally:
            held.enforcer.close()
    held.enforcer.close()
    done.append("close can be called twice")
    return tuple(done)


class _Site:
    """The enforcer, each call with its time, and its health looked at after each."""

    def __init__(self, enforcer: Enforcer, seconds: float, prompt: float) -> None:
        self.enforcer, self.seconds, self.prompt = enforcer, seconds, prompt
        self.receipts: dict[int, Receipt] = {}

    def call(self, what: str, do: Callable[[], T], seconds: float = 0.0) -> T:
        """What ``do`` gives."""
        began = time.monotonic()
        found = do()
        took, most = time.monotonic() - began, seconds or self.seconds
        if took > most:
            raise ContractBroken(f"{what} took {took:.1f} s, more than {most:g}")
        self.health(what)
        return found

    def health(self, after: str) -> Health:
        try:
            found = self.enforcer.health()
        except Exception as error:
            raise ContractBroken(f"after {after}: health raised {error!r}; it never does") from error
        _must(isinstance(found, Health) and found.state in (OK, DEGRADED, DOWN), f"after {after}: {found!r}")
        _must(found.state == OK or bool(found.statement), f"after {after}: {found.state} without a statement")
        _must(isinstance(found.epoch, int) and found.rules >= 0, f"after {after}: {found!r}")
        _json(dict(found.detail), "detail of health")
        return found

    def actual(self) -> dict[int, str]:
        found = self.call("actual", self.enforcer.actual)
        for id, digest in found.items():
            _must(isinstance(id, int) and isinstance(digest, str), f"actual gave {id!r}: {digest!r}")
        return dict(found)

    def apply(self, plans: Sequence[Plan]) -> list[Receipt]:
        made = list(self.call("apply", lambda: self.enforcer.apply(plans)))
        _must([one.intent for one in made] == [plan.intent.id for plan in plans],
              "apply: one receipt for each plan, in their order")  # fmt: skip
        for one in made:
            _must(one.enforcer == self.enforcer.name, f"a receipt is of {one.enforcer!r}, not of itself")
            _must(isinstance(one.digest, str) and bool(one.digest), "a receipt without a digest")
            _must(one.seconds >= 0, f"a receipt of {one.seconds} seconds")
            _json(one.to_dict(), "a receipt")
        return made

    def verify(self, receipt: Receipt) -> bool | None:
        found = self.call("verify", lambda: self.enforcer.verify(receipt))
        _must(found in (True, False, None), f"verify gave {found!r}")
        return found

    def holds(self, expected: Mapping[int, Receipt], when: str) -> None:
        """Exactly these are held, as they were applied."""
        found = self.actual()
        for id in expected.keys() - found.keys():
            raise ContractBroken(f"{when}: actual does not have {id:016x}")
        for id in found.keys() - expected.keys():
            raise ContractBroken(f"{when}: actual has {id:016x}, which is not held")
        for id, receipt in expected.items():
            _must(found[id] == receipt.digest,
                  f"{when}: {id:016x} is {found[id]!r}, and its receipt says {receipt.digest!r}")  # fmt: skip
            _must(self.verify(receipt) is not False, f"{when}: verify says that {id:016x} is not in force")


def _must(true: bool, text: str) -> None:
    if not true:
        raise ContractBroken(text)


def _json(value: Any, what: str) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractBroken(f"{what} is not JSON: {error}") from error


def _declares(held: _Site, intents: Sequence[Intent]) -> None:
    one = held.enforcer
    _must(isinstance(one.name, str) and bool(one.name), "it has no name")
    _must(one.limits.rules > 0 and one.limits.intents_per_second >= 0, f"limits: {one.limits}")
    for action, kind in one.supports:
        _must(action in ACTIONS and kind in PARTIES, f"supports: ({action!r}, {kind!r})")
    for intent in intents:
        pair = intent.action, intent.subject.kind
        _must(pair in one.supports, f"it is to be tried with {pair}, which it does not support")
    held.health("it was made")


def _plans(held: _Site, intents: Sequence[Intent]) -> None:
    one = held.enforcer
    for intent in intents:
        plan = _plan(held, intent)
        for what, found in (("twice", one.plan(intent)), ("in another thread", _elsewhere(one, intent))):
            _must(
                found.to_dict() == plan.to_dict(),
                f"a plan that is made {what} is another one: it is not pure",
            )


def _plan(held: _Site, intent: Intent) -> Plan:
    one = held.enforcer
    plan = held.call("plan", lambda: one.plan(intent), held.prompt)
    _must(plan.intent == intent and plan.enforcer == one.name, "a plan is of its intent and its enforcer")
    for name in ("commands", "inverse", "touched", "open_paths"):
        lines = getattr(plan, name)
        _must(
            isinstance(lines, tuple) and all(isinstance(line, str) for line in lines),
            f"{name}: a tuple of texts",
        )
    _must(bool(plan.commands) and bool(plan.inverse), "a plan says what would be typed, and how it is undone")
    _must(set(plan.open_paths) <= set(PATHS), f"open_paths {plan.open_paths}: those of contract.PATHS")
    _must(1 <= plan.rules <= one.limits.rules, f"a plan of {plan.rules} rules; limits say {one.limits.rules}")
    _must(len(_json(plan.to_dict(), "a plan")) <= _MOST_TEXT, "a plan of more than a megabyte")
    return plan


def _elsewhere(enforcer: Enforcer, intent: Intent) -> Plan:
    made: list[Plan] = []
    thread = threading.Thread(target=lambda: made.append(enforcer.plan(intent)))
    thread.start()
    thread.join()
    if not made:
        raise ContractBroken("plan raised in another thread: it is called from any")
    return made[0]


def _says_no(held: _Site, intents: Sequence[Intent]) -> None:
    """Whatever the intent: a plan or NotExpressible."""
    target = Party(ADDRESS, "198.51.100.200", ("198.51.100.200",))
    subjects = [intents[0].subject, Party("host", "nobody"), Party("address", "no address"), Party("prefix", "x/y"),
                Party("domain", "a b\n;c"), Party("url", "://"), Party("prefix", "0.0.0.0/0")]  # fmt: skip
    for action in ACTIONS:
        for subject in subjects:
            towards = intents[0].target or (target if action == BLOCK_PAIR else None)
            tried = intents[0].with_(action=action, subject=subject, target=towards)
            try:
                plan = held.enforcer.plan(tried)
            except NotExpressible as error:
                _must(bool(str(error)), "NotExpressible without a reason")
                continue
            except Exception as error:
                text = f"plan of {action} of {subject.kind} {subject.value!r} raised {error!r}, not NotExpressible"
                raise ContractBroken(text) from error
            pair = action, subject.kind
            _must(pair in held.enforcer.supports, f"it plans {pair}, which is not in supports")
            _must(bool(plan.commands), f"an empty plan for {pair}")


def _empty(held: _Site, intents: Sequence[Intent]) -> None:
    found = held.actual()
    _must(not found, f"the site holds {len(found)} intents already; a plan must not hold anything")
    held.call("revoke of nothing", lambda: held.enforcer.revoke([_STRANGER, *(one.id for one in intents)]))
    held.call("revoke_all of nothing", held.enforcer.revoke_all)
    _must(held.apply([]) == [], "apply of no plans")
    held.holds({}, "at the beginning")


def _applies(held: _Site, intents: Sequence[Intent]) -> None:
    plans = [held.enforcer.plan(one) for one in intents]
    first = held.apply(plans[:1])
    held.holds({one.intent: one for one in first}, "after one was applied")
    held.receipts = {one.intent: one for one in [*first, *held.apply(plans[1:])]}
    held.holds(held.receipts, "after all were applied")
    _must(held.health("apply").state != DOWN, f"it is down: {held.health('apply').statement}")


def _applies_again(held: _Site, intents: Sequence[Intent]) -> None:
    before = held.health("apply").rules
    again = held.apply([held.enforcer.plan(one) for one in reversed(intents)])
    for one in again:
        _must(
            one.digest == held.receipts[one.intent].digest, "the same plan has another digest the second time"
        )
    held.holds(held.receipts, "after all were applied again")
    after = held.health("apply").rules
    _must(before == after, f"{before} rules became {after} when the same was applied again")


def _overlaps(held: _Site, intents: Sequence[Intent]) -> None:
    """As in a renewal: both are held for a moment, then the older goes."""
    old = intents[0]
    new = old.with_(id=_STRANGER - 1, ttl=min(old.ttl + 10**9, LONGEST), replaces=old.id)
    (receipt,) = held.apply([held.enforcer.plan(new)])
    both = {**held.receipts, new.id: receipt}
    held.holds(both, "with a second intent of the same match")
    held.call("revoke", lambda: held.enforcer.revoke([old.id]))
    del both[old.id]
    held.holds(both, "after the older one of the same match was revoked")
    held.apply([held.enforcer.plan(old)])
    held.call("revoke", lambda: held.enforcer.revoke([new.id]))
    held.holds(held.receipts, "after the newer one of the same match was revoked")


def _revokes(held: _Site, intents: Sequence[Intent]) -> None:
    gone = held.receipts[intents[0].id]
    kept = {id: one for id, one in held.receipts.items() if id != gone.intent}
    for ids in ([_STRANGER], [], [gone.intent, _STRANGER], [gone.intent]):
        held.call(f"revoke of {ids}", lambda ids=ids: held.enforcer.revoke(ids))  # type: ignore[misc]
    held.holds(kept, "after one was revoked")
    _must(held.verify(gone) is False, "verify of one that was revoked is not False")
    (again,) = held.apply([held.enforcer.plan(intents[0])])
    _must(again.digest == gone.digest, "applied anew after it was revoked, it has another digest")
    held.holds(held.receipts, "after it was applied anew")


def _ticks(held: _Site, intents: Sequence[Intent]) -> None:
    now = time.time_ns()
    for late in range(3):
        gone = held.call("tick", lambda late=late: held.enforcer.tick(now + late * 10**8), held.prompt)  # type: ignore[misc]
        early = [id for id in gone if id in held.receipts]
        _must(not early, f"tick gives back {early}, which have time left")
    held.holds(held.receipts, "after some ticks")


def _anew(held: _Site, make: Callable[[], Enforcer], intents: Sequence[Intent]) -> _Site:
    held.enforcer.close()
    held.enforcer.close()
    made = _Site(make(), held.seconds, held.prompt)
    made.receipts = held.receipts
    try:
        made.health("it was made anew")
        made.holds(made.receipts, "in a process that came after close")
        made.call("revoke", lambda: made.enforcer.revoke([intents[-1].id]))
        left = {id: one for id, one in made.receipts.items() if id != intents[-1].id}
        made.holds(left, "after the new process revoked one")
        (again,) = made.apply([made.enforcer.plan(intents[-1])])
        made.receipts = {**left, again.intent: again}
    except BaseException:
        made.enforcer.revoke_all()
        made.enforcer.close()
        raise
    return made


def _ends(held: _Site, intents: Sequence[Intent]) -> None:
    """Ends are counted here or by the other side; what is given back must be gone, or go in a moment (a tick does not
    wait for the other side)."""
    held.apply([held.enforcer.plan(one) for one in intents])
    last = max(one.until for one in intents)
    gone = set(held.call("tick", lambda: held.enforcer.tick(last + 10**9), held.prompt))
    until = time.monotonic() + 2 * held.prompt
    while (still := gone & held.actual().keys()) and time.monotonic() < until:
        time.sleep(0.01)
    _must(not still, f"tick gave back {sorted(still)}, and actual has them")


def _revokes_all(held: _Site, intents: Sequence[Intent]) -> None:
    held.call("revoke_all", held.enforcer.revoke_all)
    held.holds({}, "after revoke_all")
    for one in held.receipts.values():
        _must(held.verify(one) is False, "verify is not False after revoke_all")
    held.call("revoke_all", held.enforcer.revoke_all)
    held.call("revoke", lambda: held.enforcer.revoke([one.id for one in intents]))
