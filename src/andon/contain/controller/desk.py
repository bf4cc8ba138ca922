"""Where decisions are taken and written down: by cases, by people, by the kill switch.

Nothing here talks to an enforcer; ``Controller`` does, and hears of it by ``_accepted``, ``_let_go``, ``_pull``. All is
written down first and done then. If the log cannot be written, nothing new is done; endings happen all the same, are
remembered here (``_owed``) and written down when it can be. The kill switch alone acts first: before it does, it raises
its flag (a file), so that a crash in between does not undo it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from andon.contain.contract import Enforcer
from andon.contain.controller.flag import flag, lower_flag, raise_flag
from andon.contain.controller.judging import REFUSE, Bench, Judges, Outcome, our_judges, person, short
from andon.contain.controller.ledger import Ledger
from andon.contain.controller.lock import ControllerLock
from andon.contain.controller.planning import plans_of, wish
from andon.contain.controller.recheck import forbidden_by_now
from andon.contain.ids import new_id
from andon.records.intent import (
    ACCEPTED,
    ALLOW,
    CUTTING,
    DRY_RUN,
    HOST,
    QUARANTINE,
    REFUSED,
    REVOKED,
    WAITING,
    WANTED,
    Intent,
    IntentEvent,
)
from andon.store.errors import StoreError
from andon.store.intents import HELD, NOBODY, RELEASED, SITE, Conflict, Hold, IntentLog, State

T = TypeVar("T")
# Nothing is enforced; what people ask for is; what cases ask for is too.
MODES: Final = ("dry-run", "manual", "auto")
_PATIENCE: Final = 0.05  # seconds that the kill switch waits for its turn


class Desk(Ledger):
    """The part of the controller that any process may be. See ``Controller``."""

    def __init__(
        self,
        log: IntentLog,
        policy: Any,
        resolver: Any,
        terrain: Any,
        enforcers: Mapping[str, Enforcer],
        mode: str,
        now: Callable[[], int],
        alarm: Callable[[str, str], None],
        up: Callable[[], int],
        judges: Judges | None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"the mode of containment is one of {', '.join(MODES)}, not {mode!r}")
        super().__init__(log, now, alarm, up)
        self.mode, self.enforcers = mode, dict(enforcers)
        self._policy, self._resolver, self._terrain = policy, resolver, terrain
        self._judges = judges
        self._lock = ControllerLock(log.folder)
        self._pulled: set[int] = set()  # numbers of kill switches that were seen to
        self._hold: Hold | None = None  # pulled, and the log does not say so yet
        self._moves = False  # leases may be others: hosts are to be looked up again

    @property
    def hold(self) -> Hold | None:
        """Set while the kill switch is pulled."""
        return self._hold or self.log.hold

    @property
    def active(self) -> bool:
        """Whether this one, and no other process, talks to the enforcers."""
        return self._lock.held

    def update(self, policy: Any = None, resolver: Any = None, terrain: Any = None) -> None:
        """From now on judge by these; None leaves one as it is."""
        with self._mutex:
            self._policy = self._policy if policy is None else policy
            self._resolver = self._resolver if resolver is None else resolver
            self._terrain = self._terrain if terrain is None else terrain
            self._moves = True

    # ------------------------------------------------------------------ cases and people

    def consider(self, case: Any, material: Any = None) -> list[Intent]:
        """What the policy wants done about a case, judged, recorded and, in mode "auto", on its way to the enforcers
        when this returns; ``material``: what the case's items say (``propose.Material``). Wishes that are in force or
        wait already, and those that a person took back or that were refused for the same case, are not repeated until
        their time would have been over. Raises StoreError (then nothing is enforced)."""
        with self._mutex:
            self.log.refresh()
            bench = self._bench()
            given = (case, self._policy, self._resolver, self._terrain, bench.now, new_id, material)
            outcomes: list[Outcome] = []
            taken = self._taken(str(case.id))
            for intent in bench.judges.propose(*given):
                if not taken.isdisjoint(_covered_by(intent)):
                    continue
                found = bench.outcomes(intent, NOBODY)
                outcomes += found
                taken |= {wish(one.intent) for one in found}
            return self._enter(outcomes)

    def propose(self, intent: Intent, actor: str) -> State:
        """A person's wish, judged like any other (an agreement is still needed where policy or guard want one). Gives
        where it stands. Raises ValueError, StoreError."""
        person(actor)
        with self._mutex:
            self.log.refresh()
            intent = intent.with_(requested_by=actor)
            entered = self._enter(self._bench().outcomes(intent, actor))
            return self._state_of(entered[-1].id)

    def renew(self, intent: int, actor: str, ttl: int, reason: str = "") -> State:
        """The same for ``ttl`` ns from now, under a new id: the old one ends when the new one is in force. Raises
        Conflict if it has ended, ValueError, StoreError."""
        person(actor)
        with self._mutex:
            self.log.refresh()
            old = self._state_of(intent)
            if old.ended:
                raise Conflict(f"intent {intent:016x} is {old.state}: propose it anew")
            if other := next((one for one in self.log.live() if one.intent.replaces == intent), None):
                raise Conflict(f"intent {intent:016x} is being renewed already, as {other.intent.id:016x}")
            new = old.intent.with_(
                id=new_id(self.clock.now()), ttl=ttl, created=self.clock.now(), requested_by=actor,
                reason=reason or old.intent.reason, replaces=intent, approvals=old.intent.approvals,
            )  # fmt: skip
            entered = self._enter(self._bench().outcomes(new, actor))
            return self._state_of(entered[-1].id)

    def approve(self, intent: int, actor: str) -> State:
        """One person agrees; the guard is asked again when it is the last who is needed. Gives where it stands. Raises
        Conflict if nothing waits for it, ValueError for the requester and for who has agreed already, StoreError."""
        from andon.contain.guard.approval import approval

        person(actor)
        with self._mutex:
            self.log.refresh()
            state = self._state_of(intent)
            if state.state != WAITING:
                raise Conflict(f"intent {intent:016x} is {state.state}: it does not wait for anybody")
            word = approval(state.intent, state.approvals, actor, int(state.detail.get("approvals", 1)))
            if not word.accepted:
                raise ValueError(f"intent {intent:016x}: {word.reason}")
            if not word.complete:
                detail = {"note": "approval", "approval": True, "missing": word.missing}
                self.log.append([self._event(intent, WAITING, actor, (), detail)], {})
                return self._state_of(intent)
            return self._conclude(state, actor)

    def enact(self, intent: int, actor: str) -> State:
        """What was tried dry, now in earnest: the same under a new id, its host looked up again, asked for by
        ``actor``. Gives where it stands. Raises Conflict if it is not a dry run, ValueError, StoreError."""
        person(actor)
        with self._mutex:
            self.log.refresh()
            dry = self._state_of(intent)
            if dry.state != DRY_RUN:
                raise Conflict(f"intent {intent:016x} is {dry.state}: it is no dry run")
            if self.mode == "dry-run":
                raise ValueError(
                    "the mode is dry-run: nothing is enforced; set [contain] mode to manual or auto"
                )
            now = self.clock.now()
            new = self._moved(dry.intent) or dry.intent
            new = new.with_(
                id=new_id(now), created=now, ttl=dry.intent.ttl, requested_by=actor, replaces=intent
            )
            entered = self._enter(self._bench().outcomes(new, actor))
            return self._state_of(entered[-1].id)

    def _conclude(self, state: State, actor: str) -> State:
        """All have agreed: the guard's last word, as things are now."""
        intent = state.intent
        moved = self._moved(intent)
        if moved is not None and moved.subject.addresses:
            return self._state_of(self._replace(state, moved, actor, (*state.approvals, actor)))
        decision, reasons = self._bench().ruling(intent)
        plans = plans_of(intent, self.enforcers)
        agreed = {"approval": True}
        if decision == REFUSE or not (plans.feasible or intent.action == ALLOW):
            why = (
                reasons if decision == REFUSE else ("no enforcer can hold it any more", *plans.unfit.values())
            )
            self.log.append([self._event(intent.id, REFUSED, actor, why, agreed)], {})
        else:
            self.log.append([self._event(intent.id, ACCEPTED, actor, reasons, agreed | short(plans))], {})
            self._moves = self._moves or intent.action == ALLOW
            self._accepted(intent.id, plans)
        return self._state_of(intent.id)

    # ------------------------------------------------------------------ hosts that move

    def _moved(self, intent: Intent) -> Intent | None:
        """The intent with its parties as they are now; None if they are what they were, or if that cannot be said."""
        now = self.clock.now()
        try:
            found = self._judge().renew(intent, self._resolver, now, new_id(now))
        except Exception as error:
            self.alarms.on("resolver", f"hosts cannot be looked up again ({type(error).__name__}: {error})")
            return None
        self.alarms.over("resolver", "hosts can be looked up again")
        return found

    def _follow_moves(self) -> None:
        """What people protected or exempted by now is let go. Leases may have changed: the old address of a host may be
        somebody else's by now, so what names it is taken back at once, and goes on with the new one if the guard lets
        it. A host of which no address is known any more keeps what it has: a list that could not be read must not let
        everybody go."""
        self._moves = False
        exempt = [one.intent for one in self.log.live() if one.intent.action == ALLOW and one.state in WANTED]
        for state in self.log.live():
            intent = state.intent
            if state.state not in WANTED or intent.id in self._struck:
                continue
            if why := forbidden_by_now(intent, self._policy, exempt, self.clock.now()):
                self._end([self._event(intent.id, REVOKED, NOBODY, (why,), {"protected": True})])
                self.alarms.once("protected", f"intent {intent.id:016x} is taken back: {why}")
                continue
            if intent.subject.kind != HOST:
                continue
            moved = self._moved(intent)
            about = f"{intent.id:016x}"
            if (moved is None or not moved.subject.addresses) and (why := self._taken_by_others(intent)):
                self._end([self._event(intent.id, REVOKED, NOBODY, (why,), {"moved": NOBODY})])
                self.alarms.once("moved", f"intent {about} is taken back: {why}")
            elif moved is None:
                self.alarms.over("moved", about=about)
            elif not moved.subject.addresses:
                text = f"no address of {intent.subject.value} is known any more; intent {about} keeps the ones it had"
                self.alarms.on("moved", text, about)
            else:
                try:
                    self._replace(state, moved, NOBODY, state.approvals)
                except (StoreError, Conflict) as error:
                    self.alarms.on(
                        "moved", f"{intent.subject.value} moved, and that cannot be recorded: {error}", about
                    )
                    self._moves = True

    def _taken_by_others(self, intent: Intent) -> str:
        """Why one of its addresses is somebody else's now; "" if none is."""
        try:
            return self._judge().taken(intent, self._resolver, self.clock.now())
        except Exception as error:
            self.alarms.on("resolver", f"hosts cannot be looked up again ({type(error).__name__}: {error})")
            return ""

    def _replace(self, state: State, moved: Intent, actor: str, approved: Sequence[str]) -> int:
        """The old one back and the new one in, in one write. Gives the id that goes on. Raises StoreError."""
        outcomes = self._bench().outcomes(moved, state.intent.requested_by, approved)
        why = f"its host moved; it goes on as {moved.id:016x} ({outcomes[0].state})"
        first = [self._event(state.intent.id, REVOKED, NOBODY, (why,), {"moved": actor})]
        self._enter(outcomes, first)
        self._let_go((state.intent.id,))
        self.alarms.once(
            "moved", f"{moved.subject.value} moved: intent {state.intent.id:016x} is taken back, {why}"
        )
        return outcomes[0].intent.id

    def revoke(self, intents: Sequence[int], actor: str, reason: str) -> list[int]:
        """Take these back, now. Gives those that had not ended. Raises ValueError. If it cannot be recorded it is done
        all the same by the controller at work, and is an alarm; elsewhere StoreError is raised and nothing is done."""
        person(actor)
        with self._mutex:
            self._try(self.log.refresh)
            found = [self.log.get(one) for one in intents]
            live = [one.intent.id for one in found if one is not None and not one.ended]
            events = [self._event(one, REVOKED, actor, (reason,)) for one in live]
            if not self._lock.held:
                self.log.append(events, {})
            else:
                self._end(events)
            return live

    # ------------------------------------------------------------------ the kill switch

    def kill_switch(self, actor: str, reason: str) -> list[int]:
        """Revoke everything on every enforcer at once, and cut nothing automatically until ``release``. Gives the
        intents it ended. Works in any state of the log; what cannot be recorded is, when it can be. ``actor`` may be
        anybody's name. Raises StoreError where this is not the controller at work and neither the log nor the flag
        file can be written (then nobody hears of it)."""
        self._hold = Hold(actor, self.clock.now(), reason)
        if not self._mutex.acquire(timeout=_PATIENCE):
            self._strike()  # a slow disk or a log that is locked holds somebody up: the enforcers are told all the same
            self._mutex.acquire()
        try:
            if self._lock.held:
                raise_flag(self.log.folder, actor, reason)
            self._pull()
            self.alarms.on("kill-switch", f"pulled by {actor}: {reason}")
            self._try(self.log.refresh)
            return self._record_kill(actor, reason)
        finally:
            self._mutex.release()

    def _record_kill(self, actor: str, reason: str) -> list[int]:
        for attempt in range(3):
            live = [one for one in self.log.live() if one.state != DRY_RUN]
            ended = [one.intent.id for one in live if one.intent.id not in self._struck]
            events = [
                IntentEvent(SITE, HELD, actor, self.clock.now(), (reason,), {"ended": len(ended)}),
                *(self._event(one, REVOKED, actor, (f"kill switch: {reason}",)) for one in ended),
            ]
            try:
                last = self.log.append(events if attempt < 2 else events[:1], {})
            except Conflict:  # somebody ended one of them at this moment
                self._try(self.log.refresh)
                continue
            except StoreError as error:
                self._unrecorded_kill(actor, reason, events, ended, error)
                return ended
            self._pulled.update(range(last - len(events) + 1, last + 1))
            self._hold = None
            self._try(lambda: lower_flag(self.log.folder))
            self._let_go(ended)
            return ended
        return []

    def _unrecorded_kill(
        self, actor: str, reason: str, events: Sequence[IntentEvent], ended: Sequence[int], error: StoreError
    ) -> None:
        if not raise_flag(self.log.folder, actor, reason) and not self._lock.held:
            self._hold = None
            raise error
        if self._lock.held:
            self._struck.update(ended)
            self._owed += [one for one in events if one.state != HELD]
            self._let_go(ended)
        self.alarms.on("store", f"the kill switch was pulled and that cannot be recorded: {error}", "kill")

    def release(self, actor: str, reason: str = "") -> None:
        """The kill switch is let go: automatic containment goes on. What it took away does not come back by itself.
        Raises Conflict if it is not pulled, ValueError, StoreError."""
        person(actor)
        with self._mutex:
            self.log.refresh()
            if self.hold is None and flag(self.log.folder) is None:
                raise Conflict("the kill switch is not pulled")
            self.log.append(
                [IntentEvent(SITE, RELEASED, actor, self.clock.now(), (reason,) if reason else ())], {}
            )
            lower_flag(self.log.folder)
            self._hold = None
            self.alarms.over("kill-switch", f"released by {actor}")

    def _flagged(self) -> bool:
        return flag(self.log.folder) is not None

    def _check_flag(self) -> None:
        """The file that pulls the switch when nothing else can."""
        said = flag(self.log.folder)
        if said is None:
            return
        if self.hold is None:
            self.kill_switch(*said)
        elif self._hold is not None and not self.log.damage:
            with suppress(StoreError):
                held = IntentEvent(SITE, HELD, self._hold.actor, self._hold.since, (self._hold.reason,))
                self._pulled.add(self.log.append([held], {}))
                self._hold = None
        if self._hold is None and self.log.hold is not None:
            self._try(lambda: lower_flag(self.log.folder))
            self.alarms.over("store", "the kill switch is recorded", "kill")

    # ------------------------------------------------------------------ inside

    def _judge(self) -> Judges:
        if self._judges is None:
            self._judges = our_judges()
        return self._judges

    def _bench(self) -> Bench:
        return Bench(
            self._judge(), self.enforcers, self._policy, self._terrain,
            [one for one in self.log.live() if one.intent.id not in self._struck],
            self.mode, self.hold, self.clock.now(), new_id, self._guard_said,
        )  # fmt: skip

    def _guard_said(self, trouble: str) -> None:
        if trouble:
            self.alarms.on("guard", trouble)
        else:
            self.alarms.over("guard", "the guard answers again")

    def _enter(self, outcomes: Sequence[Outcome], before: Sequence[IntentEvent] = ()) -> list[Intent]:
        """Write down, in one go, then hand over."""
        if not outcomes:
            return []
        events = [*before, *(event for one in outcomes for event in one.events)]
        self.log.append(events, {one.intent.id: one.intent for one in outcomes})
        for one in outcomes:
            if one.state == ACCEPTED:
                self._moves = self._moves or one.intent.action == ALLOW  # what it exempts is let go
                self._accepted(one.intent.id, one.plans)
            else:
                self._mind(self._state_of(one.intent.id))
        return [one.intent for one in outcomes]

    def _decide_late(self, state: State) -> None:
        try:
            outcomes = self._bench().outcomes(state.intent, state.actor)
        except Exception as error:  # of a judge: the turn goes on, with kill switch and ends
            why = f"intent {state.intent.id:016x} cannot be judged ({type(error).__name__}: {error})"
            self.alarms.on("guard", why, "late")
            return
        first, *others = outcomes
        try:
            self.log.append(
                [*first.events[1:], *(event for one in others for event in one.events)],
                {one.intent.id: one.intent for one in others},
            )
        except (StoreError, Conflict) as error:
            self.alarms.on("store", f"a proposal cannot be decided on: {error}", "late")
            return
        for one in outcomes:
            if one.state == ACCEPTED:
                self._accepted(one.intent.id, one.plans)

    def _taken(self, case: str) -> set[tuple[str, ...]]:
        """Wishes not to be repeated now."""
        now = self.clock.now()
        taken = {
            wish(state.intent)
            for state in self.log.live()
            if state.intent.id not in self._struck and (state.state != DRY_RUN or self.mode != "auto")
        }
        for state in self.log.rested(case):
            if state.intent.until > now and (self.hold or not state.detail.get("kill_switch")):
                taken.add(wish(state.intent))
        return taken

    def summary(self) -> dict[str, Any]:
        """The part of the status that any process knows."""
        states: dict[str, int] = {}
        for state in self.log.live():
            states[state.state] = states.get(state.state, 0) + 1
        head = self.log.head
        return {
            "mode": self.mode, "active": self.active, "controller": "this one" if self.active else self._lock.holder(),
            "hold": self.hold.to_dict() if self.hold else None, "states": states,
            "log": {
                "head": head.number, "hash": head.hash, "signed": self.log.signed,
                "trouble": self.log.trouble(), "repaired": self.log.repaired,
            },
            "alarms": [{"kind": kind, "text": text} for kind, text in self.alarms.active()],
            "wanted": sum(states.get(one, 0) for one in WANTED),
        }  # fmt: skip


def _covered_by(intent: Intent) -> list[tuple[str, ...]]:
    """The same wish, and those that do all that it does and more."""
    same = [wish(intent)]
    if intent.action in CUTTING and intent.action != QUARANTINE:
        same.append((QUARANTINE, intent.subject.kind, intent.subject.value))
    return same
