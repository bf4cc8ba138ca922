"""The controller: what was decided is in force, what ended is not, and somebody is told when that is not so.

Written ahead: ACCEPTED is on disk before an enforcer hears of it; APPLIED, with the receipts, after the other side
acknowledged; VERIFIED after it was read back. From ``consider`` to the enforcer's thread there is no queue that is
polled: the thread is woken. Everything else (expiry, other processes' events, enforcers that hang) is done by ``step``,
which is called some ten times a second; nothing in it waits for an enforcer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from andon.contain.contract import DOWN, OK, Enforcer, Health, Receipt
from andon.contain.controller.desk import Desk
from andon.contain.controller.judging import Judges
from andon.contain.controller.planning import Plans, plans_of
from andon.contain.controller.recording import Standing, standing_events
from andon.contain.controller.scribe import Scribe
from andon.contain.controller.settings import Settings
from andon.contain.controller.worker import FAILED, PENDING, SECOND, Worker
from andon.records.finding import timestamp
from andon.records.intent import (
    ALLOW,
    APPLIED,
    EXPIRED,
    PROPOSED,
    REVOKED,
    VERIFIED,
    WANTED,
    IntentEvent,
)
from andon.records.intent import FAILED as FAILED_STATE
from andon.store.errors import StoreError
from andon.store.intents import HELD, NOBODY, NOTE, SITE, Conflict, IntentLog, State, uptime


def _silent(kind: str, text: str) -> None:
    del kind, text


class Controller(Desk):
    """``enforcers`` by name; ``now``: time of day (ns), ``up``: since boot (ns); ``alarm(kind, text)`` from any thread.

    Only who holds ``controller.lock`` beside the log talks to enforcers; a second one stands by, says so, still takes
    proposals, approvals and the kill switch (through the log), and takes over when the first is gone. Close it.
    Raises StoreError."""

    def __init__(
        self,
        log: IntentLog,
        policy: Any,
        resolver: Any,
        terrain: Any,
        enforcers: Mapping[str, Enforcer],
        mode: Literal["dry-run", "manual", "auto"] = "dry-run",
        now: Callable[[], int] = time.time_ns,
        alarm: Callable[[str, str], None] = _silent,
        *,
        up: Callable[[], int] = uptime,
        settings: Settings | None = None,
        judges: Judges | None = None,
    ) -> None:
        super().__init__(log, policy, resolver, terrain, enforcers, mode, now, alarm, up, judges)
        self._settings = settings or Settings()
        self._workers: dict[str, Worker] = {}
        self._plans: dict[int, Plans] = {}
        self._hanging: dict[str, str] = {}
        self._absent: dict[
            str, int
        ] = {}  # until when enforcers that are not configured any more may hold something
        self._seen = log.head.number
        self._generation = log.generation
        self._synced = 0
        self._scribe = Scribe(self._record)
        self._scribe.start()
        self._take_over()

    # ------------------------------------------------------------------ every step

    def step(self) -> None:
        """One turn; takes milliseconds. Never raises for what can go wrong outside: that is an alarm."""
        with self._mutex:
            if not self._lock.held and not self._take_over():
                self._catch_up()
                return
            self._check_clock()
            self._catch_up()
            self._check_flag()
            self._finish_proposed()
            self._expire()
            self._pay()
            if self._moves and not self.log.damage:
                self._follow_moves()
            self._watch()
            if self.clock.up() - self._synced > SECOND:
                self._synced = self.clock.up()
                self._try(self.log.sync, "room")
                self._lock.alive(self.clock.now())
                self._watch_absent()

    def status(self) -> dict[str, Any]:
        """How everything stands, as JSON."""
        with self._mutex:
            said = self.summary()
            said["enforcers"] = {
                name: self._workers[name].status() if name in self._workers else {"state": "idle"}
                for name in self.enforcers
            }
            said["unrecorded"] = len(self._owed) + self._scribe.waiting
            return said

    def close(self, seconds: float = 5.0) -> None:
        """Let go of enforcers, log lock and threads. What is in force stays."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.stop(0)
        for worker in workers:
            worker.stop(seconds)
        self._scribe.stop(seconds)
        with self._mutex:
            self._lock.release(self.clock.now())

    def idle(self) -> bool:
        """Whether all that is wanted is in force, all that ended is taken away and all is written down, as far as is
        known. For tests and ``apply``."""
        with self._mutex:
            return not self._scribe.waiting and not any(one.unfinished() for one in self._workers.values())

    # ------------------------------------------------------------------ taking over

    def _take_over(self) -> bool:
        now = self.clock.now()
        if self._try(lambda: self._lock.take(now)) is None:
            return False
        if not self._lock.held:
            who = self._lock.holder()
            self.alarms.on("standby", f"another controller is at work ({who}): this one stands by")
            return False
        self.alarms.over("standby", "this controller has taken over")
        if gap := self._lock.gap(now):
            self.alarms.once("uncontrolled", f"{gap}; what is in force is compared with what is wanted now")
        if self.log.repaired:
            self.alarms.once("store", self.log.repaired)
        self._try(self.log.refresh)
        live = self.log.live()
        self._note("a controller took over", {"mode": self.mode, "enforcers": sorted(self.enforcers)})
        wanted = [one for one in live if one.state in WANTED]
        self._find_absent(wanted)
        self._moves = True  # leases, lists and the policy may have changed while nobody looked
        gone = [one.intent.id for one in wanted if not self._allowed(one)]
        if self.mode != "dry-run" or wanted or self._flagged():
            self._begin_work(gone)
        else:
            self._settle_all()
        threading.Thread(target=self._prove, name="proof of the intent log", daemon=True).start()
        return True

    def _find_absent(self, wanted: Sequence[State]) -> None:
        """Enforcers that hold something and are not configured any more: nobody here can take it away."""
        for name in sorted({name for one in wanted for name in one.receipts} - set(self.enforcers)):
            until = max(one.intent.until for one in wanted if name in one.receipts)
            count = sum(name in one.receipts for one in wanted)
            self._absent[name] = until
            self.alarms.on(
                "enforcer-absent",
                f"{name} holds {count} intent{'s' if count != 1 else ''} and is not configured any more: its rules "
                f"stay until {timestamp(until)} at the latest. Configure it again, or take them away by hand: "
                "`andon contain show ID` prints how",
                name,
            )

    def _watch_absent(self) -> None:
        for name in [name for name, until in self._absent.items() if until <= self.clock.now()]:
            del self._absent[name]
            self.alarms.over("enforcer-absent", f"what {name} held has ended by its own clock", name)

    def _allowed(self, state: State) -> bool:
        """Whether the mode lets it be in force."""
        return self.mode == "auto" or (
            self.mode == "manual" and (not state.automatic or bool(state.approvals))
        )

    def _begin_work(self, gone: Sequence[int] = ()) -> None:
        """Hand all enforcers to their threads. ``gone``: what the mode does not let be in force any more."""
        for name, enforcer in self.enforcers.items():
            if name not in self._workers:
                worker = Worker(enforcer, self, self.clock.now, self.clock.up, self._settings)
                worker.frozen = bool(self.log.damage)
                self._workers[name] = worker
        self._settle_all()  # what is wanted first: a thread that starts with nothing would take all away
        self._end([self._event(one, REVOKED, NOBODY, (f"the mode is {self.mode} now",)) for one in gone])
        for worker in self._workers.values():
            if not worker.is_alive():
                worker.start()

    def _prove(self) -> None:
        """The whole log, beside everything else: opening it proves the newest segment alone."""
        try:
            found = self.log.verify()
        except StoreError as error:
            self.alarms.on("store", str(error))
            return
        if not found.whole and not self.log.damage:
            self.alarms.on(
                "store", f"an older part of the intent log is damaged: {found.damage[0]}", "archive"
            )

    # ------------------------------------------------------------------ what is wanted

    def _settle_all(self) -> None:
        for state in self.log.live():
            self._settle(state.intent.id)

    def _settle(self, intent: int) -> None:
        """Tell the enforcers whether this one is wanted."""
        state = self.log.get(intent)
        if state is not None and not state.ended:
            self._mind(state)
        if state is None or state.state not in WANTED or intent in self._struck or self._hold is not None:
            if self._plans.pop(intent, None) is not None or state is None or state.ended:
                for worker in self._workers.values():
                    worker.let_go(intent)
                self.alarms.over("not-in-force", f"intent {intent:016x} has ended", f"{intent:016x}")
            return
        if not self._workers:
            return
        plans = self._plans.get(intent) or plans_of(state.intent, self.enforcers)
        self._plans[intent] = plans
        for name, plan in plans.by_name.items():
            said = state.receipts.get(name)
            known = (
                Receipt(intent, name, str(said["digest"]), float(said["seconds"]), said.get("detail", {}))
                if said
                else None
            )
            self._workers[name].hold(plan, self._ends[intent], known)
        if not plans.by_name and state.intent.action != ALLOW:  # an exemption is held by the guard
            self._scribe.mark((intent,))

    def _accepted(self, intent: int, plans: Plans | None) -> None:
        if self._lock.held:
            if plans is not None and self._workers:
                self._plans[intent] = plans
            self._settle(intent)

    def _let_go(self, intents: Sequence[int]) -> None:
        for intent in intents:
            self._plans.pop(intent, None)
            for worker in self._workers.values():
                worker.let_go(intent)

    def _strike(self) -> None:
        for worker in list(self._workers.values()):
            worker.kill()

    def _pull(self) -> None:
        if not self._lock.held:
            return
        if not self._workers:
            self._begin_work()
        self._plans.clear()
        for worker in self._workers.values():
            self.alarms.on("kill-switch", f"{worker.enforcer.name}: not confirmed yet", worker.enforcer.name)
            worker.kill()

    def _catch_up(self) -> None:
        """What other processes wrote."""
        self._try(self.log.refresh)
        self._check_damage()
        for worker in self._workers.values():
            worker.frozen = bool(self.log.damage)
        if self.log.generation != self._generation:
            self._generation, self._seen = self.log.generation, self.log.head.number
            if not self.log.damage and self._lock.held:
                self._settle_all()
        if self.log.head.number == self._seen:
            return
        for entry in self._entries():
            self._seen = entry.number
            if entry.event.intent == SITE:
                if entry.event.state == HELD and entry.number not in self._pulled:
                    self._pulled.add(entry.number)
                    if self.log.hold is not None:
                        self._pull()
            elif self._lock.held:
                self._settle(entry.event.intent)
        self._seen = max(self._seen, self.log.head.number)

    def _entries(self) -> Sequence[Any]:
        try:
            return self.log.since(self._seen)
        except StoreError as error:
            self.alarms.on("store", str(error))
            return ()

    def _finish_proposed(self) -> None:
        """Proposals that nobody has decided on: of a process that only writes, or that died in between."""
        for state in self.log.live():
            if state.state == PROPOSED and not self.log.damage:
                self._decide_late(state)

    def _expire(self) -> None:
        up, due = self.clock.up(), []
        while self._heap and self._heap[0][0] <= up:
            end, intent = self._pop()
            state = self.log.get(intent)
            if self._ends.get(intent) == end:
                del self._ends[intent]
                if state is not None and not state.ended and intent not in self._struck:
                    due.append(self._event(intent, EXPIRED, NOBODY, ("its time is over",)))
        if due:
            self._end(due)

    def _check_clock(self) -> None:
        if off := self.clock.jumped():
            way = "ahead" if off > 0 else "back"
            self.alarms.on(
                "clock",
                f"the time of day was set {way} by {abs(off) / SECOND:.0f} s: what is in force ends after the time it "
                "was given, by the clock since boot; new records follow the new time once nothing is in force",
            )
            if not any(state.state in WANTED for state in self.log.live()):
                self.clock.anchor()
        else:
            self.alarms.over("clock", "the clocks agree again")

    def _watch(self) -> None:
        """Enforcers that do not come back from a call."""
        for name, worker in self._workers.items():
            doing, seconds = worker.busy()
            if seconds > self._settings.hangs:
                said = f"{name} has not come back from {doing} for {seconds:.0f} s"
                if name not in self._hanging:
                    self._scribe.mark(worker.pending())
                self._hanging[name] = said
                self.alarms.on("enforcer-hangs", f"{said}: the others go on; restart Andon if it lasts", name)
            elif name in self._hanging:
                del self._hanging[name]
                self.alarms.over("enforcer-hangs", f"{name} answers again", name)
                self._scribe.mark(worker.pending())

    # ------------------------------------------------------------------ what the enforcers did

    def _standings(self, plans: Plans, intent: int) -> dict[str, Standing]:
        found: dict[str, Standing] = {}
        for name in plans.by_name:
            how, receipt, why = self._workers[name].standing(intent)
            if how == PENDING and name in self._hanging:
                how, why = FAILED, self._hanging[name]
            found[name] = (how, receipt, why)
        return found

    def _record(self, intents: set[int]) -> set[int]:
        """Called by the scribe. Gives those to be tried again."""
        with self._mutex:
            if self.log.damage:
                return set()
            batches, replaced = self._news(intents)
            if not batches:
                return set()
            try:
                self._written([event for batch in batches for event in batch])
            except Conflict:  # somebody was faster with one of them: the others must not wait for it
                self._try(self.log.refresh)
                return self._record_singly(batches)
            except (StoreError, ValueError) as error:
                self.alarms.on("store", f"what is in force cannot be recorded: {error}", "record")
                return intents
            for old in replaced:
                self._settle(old)
            return set()

    def _news(self, intents: set[int]) -> tuple[list[list[IntentEvent]], set[int]]:
        """(events of each intent, in order; intents that another one has taken the place of)."""
        batches: list[list[IntentEvent]] = []
        replaced: dict[int, int] = {}
        for intent in sorted(intents):
            state, plans = self.log.get(intent), self._plans.get(intent)
            if state is None or plans is None or intent in self._struck:
                continue
            if state.intent.action == ALLOW and not plans.by_name:
                continue
            found = standing_events(state, self._standings(plans, intent), plans.unfit, self.clock.now())
            old = self._replaced(state, found)
            if old:
                replaced[old] = intent
            if found:
                batches.append(found)
        kept = [batch for batch in batches if batch[0].intent not in replaced]
        ends = [
            [self._event(old, REVOKED, NOBODY, (f"{new:016x} took its place",))]
            for old, new in replaced.items()
        ]
        return kept + ends, set(replaced)

    def _record_singly(self, batches: Sequence[Sequence[IntentEvent]]) -> set[int]:
        again: set[int] = set()
        for batch in batches:
            try:
                self._written(batch)
                for event in batch:
                    self._settle(event.intent)
            except (Conflict, StoreError, ValueError):
                again.add(batch[0].intent)
        return again

    def _written(self, events: Sequence[IntentEvent]) -> None:
        self.log.append(events, {})
        self.alarms.over("store", "what is in force is recorded again", "record")
        self._tell(events)

    def _replaced(self, state: State, events: Sequence[IntentEvent]) -> int:
        """The intent whose place this one has taken with these events; 0 if there is none."""
        old = self.log.get(state.intent.replaces) if state.intent.replaces else None
        if old is None or old.ended or not any(event.state == APPLIED for event in events):
            return 0
        return old.intent.id

    def _tell(self, events: Sequence[IntentEvent]) -> None:
        for event in events:
            about = f"{event.intent:016x}"
            if "note" in event.detail:
                continue
            if event.state == FAILED_STATE:
                why = "; ".join(event.reasons)
                self.alarms.on("not-in-force", f"intent {about} is wanted and not in force: {why}", about)
            elif event.state in (APPLIED, VERIFIED):
                self.alarms.over("not-in-force", f"intent {about} is in force", about)

    # ------------------------------------------------------------------ Reports: from the workers' threads

    def changed(self, intents: set[int]) -> None:
        self._scribe.mark(intents)

    def health(self, name: str, health: Health) -> None:
        if health.state == OK:
            self.alarms.over("enforcer", f"{name} is well again", name)
        else:
            how = "is not to be reached" if health.state == DOWN else "is not as it should be"
            self.alarms.on("enforcer", f"{name} {how}: {health.statement}", name)

    def strays(self, name: str, intents: frozenset[int], kept: bool) -> None:
        names = ", ".join(f"{intent:016x}" for intent in sorted(intents)[:5])
        more = f" and {len(intents) - 5} more" if len(intents) > 5 else ""
        if kept:
            text = f"{name} holds what the proven part of the log does not know ({names}{more}): it is left alone"
            self.alarms.on("stray-rules", text, name)
            return
        self.alarms.once(
            "stray-rules", f"{name} held what is nobody's intent ({names}{more}): it was taken away"
        )
        self.alarms.over("stray-rules", about=name)

    def restarted(self, name: str) -> None:
        self.alarms.once(
            "enforcer-restarted",
            f"{name} restarted or was reached anew: what it holds is compared with what is wanted",
        )

    def lost(self, name: str, intents: set[int]) -> None:
        names = ", ".join(f"{intent:016x}" for intent in sorted(intents)[:5])
        more = f" and {len(intents) - 5} more" if len(intents) > 5 else ""
        again = "nothing is applied while the log is damaged" if self.log.damage else "applied again"
        self.alarms.once("rules-lost", f"{name} did not hold {names}{more} any more: {again}")
        self._scribe.mark(intents)

    def pulled(self, name: str, error: str) -> None:
        if error:
            text = (
                f"{name}: the kill switch did not get through ({error}): tried until it does. By hand: the "
            )
            text += "the inverse commands that `andon contain show ID` prints"
            self.alarms.on("kill-switch", text, f"{name} down")
        else:
            self.alarms.over("kill-switch", f"{name} has taken it", f"{name} down")
            self.alarms.over("kill-switch", f"{name} holds nothing any more", name)

    def _note(self, text: str, detail: Mapping[str, Any]) -> None:
        event = IntentEvent(SITE, NOTE, NOBODY, self.clock.now(), (text,), detail)
        self._try(lambda: self.log.append([event], {}))
