"""One enforcer and the thread that alone talks to it.

The thread is driven by state, not by a queue of commands: ``hold`` and ``let_go`` change what is wanted and wake it,
and each turn it makes what is there into what is wanted. So nothing can be done twice or in the wrong order, and an
enforcer that comes back after a minute is told what is wanted then. Each enforcer has a thread of its own: one that
hangs delays no other, and the controller sees for how long it has hung (``busy``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from andon.contain.contract import DOWN, Enforcer, Health, Plan, Receipt, Rejected, Unreachable
from andon.contain.controller.settings import Settings
from andon.contain.reconcile import differences

SECOND: Final = 1_000_000_000
PENDING, HELD, VERIFIED, FAILED = "pending", "held", "verified", "failed"
_CALM: Final = 60 * SECOND  # held for so long, earlier failures are forgotten
_VERIFY_SINGLY: Final = 16  # beyond, one look at all that is there is cheaper


class Reports(Protocol):
    """Whom the worker tells; called from its thread, must not block."""

    def changed(self, intents: set[int]) -> None:
        """What ``standing`` says of these is another now."""

    def health(self, name: str, health: Health) -> None: ...
    def strays(self, name: str, intents: frozenset[int], kept: bool) -> None:
        """Rules that are nobody's intent were found, and removed unless ``kept``."""

    def restarted(self, name: str) -> None:
        """It may have lost all its rules; they are compared at once."""

    def lost(self, name: str, intents: set[int]) -> None:
        """Were held and are not there any more, or not as they were; they are applied again."""

    def pulled(self, name: str, error: str) -> None:
        """After the kill switch: all is taken away (error ""), or not yet and why."""


@dataclass(frozen=True)
class _Wanted:
    plan: Plan
    ends: int  # by the clock since boot, ns


@dataclass
class _Failure:
    error: str
    attempts: int
    again: int  # not before, by the clock since boot, ns


class Worker(threading.Thread):
    """``now``: steady time of day (ns), ``up``: since boot (ns). Start it, and ``stop`` it when done.

    ``frozen``: nothing is applied and nothing that is not known is removed (the log is damaged)."""

    def __init__(
        self,
        enforcer: Enforcer,
        reports: Reports,
        now: Callable[[], int],
        up: Callable[[], int],
        settings: Settings,
    ) -> None:
        super().__init__(name=f"enforcer {enforcer.name}", daemon=True)
        self.enforcer = enforcer
        self.health = Health(DOWN, "not asked yet")
        self.frozen = False
        self._reports, self._now, self._up, self._settings = reports, now, up, settings
        self._cond = threading.Condition()
        self._wanted: dict[int, _Wanted] = {}
        self._acknowledged: dict[int, Receipt] = {}  # of an earlier life: believed once it is seen there
        self._held: dict[int, Receipt] = {}
        self._verified: set[int] = set()
        self._unsaid: set[int] = set()  # held, and the enforcer cannot say yet whether it is in force
        self._failures: dict[int, _Failure] = {}
        self._revoking: set[int] = set()
        self._urgent = self._stopped = self._kill = False
        self._synced = False
        self._epoch: int | None = None
        self._next_look = self._again = 0
        self._down_tries = 0
        self._busy: tuple[str, int] | None = None
        # Whether what it holds is in force: a list is only when somebody has fetched it, which ``verify`` alone knows.
        self._proves = bool(getattr(enforcer, "reads_back", True))
        self._tokens, self._filled = float(enforcer.limits.intents_per_second or 0), up()

    # ------------------------------------------------------------------ for the controller, any thread

    def hold(self, plan: Plan, ends: int, acknowledged: Receipt | None = None) -> None:
        """Hold ``plan`` until ``ends`` (clock since boot); ``acknowledged``: its receipt, if the log has one."""
        with self._cond:
            known = self._wanted.get(plan.intent.id)
            if known is not None and known.plan is plan:
                return
            self._wanted[plan.intent.id] = _Wanted(plan, ends)
            if acknowledged is not None and plan.intent.id not in self._held:
                self._acknowledged[plan.intent.id] = acknowledged
            self._wake()

    def let_go(self, intent: int) -> None:
        """Hold it no more; nothing if it is not held."""
        with self._cond:
            self._acknowledged.pop(intent, None)
            self._failures.pop(intent, None)
            if self._wanted.pop(intent, None) is not None or intent in self._held:
                self._revoking.add(intent)
                self._wake()

    def kill(self) -> None:
        """Take all away and hold nothing; it is tried until it is done."""
        with self._cond:
            self._wanted.clear()
            self._acknowledged.clear()
            self._failures.clear()
            self._kill, self._again = True, 0
            self._wake()

    def wants(self, intent: int) -> bool:
        with self._cond:
            return intent in self._wanted

    def standing(self, intent: int) -> tuple[str, Receipt | None, str]:
        """(PENDING, HELD, VERIFIED or FAILED, receipt, error)."""
        with self._cond:
            receipt = self._held.get(intent)
            if receipt is not None:
                return (VERIFIED if intent in self._verified else HELD), receipt, ""
            failure = self._failures.get(intent)
            if failure is not None:
                return FAILED, None, failure.error
            if self._down_tries and intent in self._wanted:
                return FAILED, None, self.health.statement
            return PENDING, None, ""

    def busy(self) -> tuple[str, float]:
        """What it is being asked right now, and for how many seconds; ("", 0.0) if nothing."""
        busy = self._busy
        return ("", 0.0) if busy is None else (busy[0], (self._up() - busy[1]) / SECOND)

    def pending(self) -> list[int]:
        """Wanted and not held yet."""
        with self._cond:
            return [name for name in self._wanted if name not in self._held]

    def unfinished(self) -> bool:
        """Whether something of what it was told is still to be done: to hold, to take away, the kill switch."""
        with self._cond:
            ended = any(name not in self._wanted for name in self._held)
            return bool(self._kill or self._revoking or ended) or any(
                n not in self._held for n in self._wanted
            )

    def status(self) -> dict[str, Any]:
        doing, seconds = self.busy()
        with self._cond:
            return {
                "state": self.health.state, "statement": self.health.statement, "epoch": self.health.epoch,
                "rules": self.health.rules, "wanted": len(self._wanted), "held": len(self._held),
                "verified": len(self._verified), "failed": len(self._failures.keys() - self._held.keys()),
                "killing": self._kill,
                "doing": doing, "seconds": round(seconds, 3),
            }  # fmt: skip

    def stop(self, seconds: float) -> bool:
        """Whether the thread ended in time; what is held stays."""
        with self._cond:
            self._stopped = True
            self._wake()
        if self.is_alive():
            self.join(seconds)
        return not self.is_alive()

    def _wake(self) -> None:
        self._urgent = True
        self._cond.notify()

    # ------------------------------------------------------------------ its own thread

    def run(self) -> None:
        while True:
            with self._cond:
                if not self._urgent and not self._stopped:
                    self._cond.wait(self._settings.tick)
                urgent, self._urgent = self._urgent, False
                if self._stopped:
                    break
            try:
                self.turn(urgent)
            except Exception as error:  # an enforcer of a third party, or a case nobody thought of: goes on
                self._is_down(f"{type(error).__name__}: {error}")
        with suppress(Exception):
            self.enforcer.close()

    def turn(self, urgent: bool = False) -> None:
        """One turn. ``urgent``: something changed; what is wanted comes before the look at how things are."""
        if self._kill:
            self._pull()
        if not (urgent and self._synced):
            self._look()
        if self._up() < self._again:
            return
        try:
            if not self._synced or self._up() >= self._next_look:
                self._reconcile()
            self._revoke()
            self._apply()
            self._verify()
        except Unreachable as error:
            self._is_down(str(error) or "it does not answer")

    def _look(self) -> None:
        """What the enforcer says by itself, and how it is."""
        with self._calling("tick"):
            gone = set(self.enforcer.tick(self._now()))
        self._lose(gone)
        with self._calling("health"):
            health = self.enforcer.health()
        if health.epoch != self._epoch:
            if self._epoch is not None:
                self._reports.restarted(self.enforcer.name)
            self._epoch, self._synced, self._again = health.epoch, False, 0
        elif health.state != DOWN and self.health.state == DOWN and self._down_tries == 0:
            self._synced = False
        if not (self._down_tries and health.state != DOWN):  # a call failed: it is down until one succeeds
            self._set_health(health)

    def _set_health(self, health: Health) -> None:
        changed = (health.state, health.statement) != (self.health.state, self.health.statement)
        self.health = health
        if changed:
            self._reports.health(self.enforcer.name, health)

    def _is_down(self, why: str) -> None:
        self._synced = False
        self._down_tries += 1
        pause = min(self._settings.retry_cap, self._settings.retry_first * 2 ** min(self._down_tries - 1, 16))
        self._again = self._up() + int(pause * SECOND)
        self._set_health(Health(DOWN, why, self._epoch or 0))
        self._reports.changed(set(self.pending()))

    def _reached(self) -> None:
        if self._down_tries:
            self._down_tries = 0
            with self._calling("health"):
                self._set_health(self.enforcer.health())

    def _lose(self, gone: set[int]) -> None:
        """These are not there any more. What ends anyway within a second is not missed."""
        with self._cond:
            gone &= self._held.keys()
            for name in gone:
                self._held.pop(name)
                self._verified.discard(name)
            soon = self._up() + SECOND
            missed = {name for name in gone if name in self._wanted and self._wanted[name].ends > soon}
            for name in missed:
                self._fight(name)
        if missed:
            self._reports.lost(self.enforcer.name, missed)

    def _fight(self, name: int) -> None:
        """Again at once the first time, later and later if it keeps vanishing: it is no use to fight ten times a
        second with somebody else's controller."""
        before = self._failures.get(name)
        if before is not None and self._up() - before.again < _CALM:
            self._fail(name, "it was applied and keeps vanishing", before.attempts + 1)
        else:
            self._failures[name] = _Failure("it was lost", 0, 0)

    def _fail(self, name: int, error: str, attempts: int | None = None) -> None:
        with self._cond:
            if name not in self._wanted:
                return
            before = self._failures.get(name)
            tries = attempts if attempts is not None else (before.attempts + 1 if before else 1)
            pause = min(self._settings.refused_cap, self._settings.refused_first * 2 ** min(tries - 1, 16))
            self._failures[name] = _Failure(error, tries, self._up() + int(pause * SECOND))

    def _reconcile(self) -> None:
        with self._calling("actual"):
            actual = self.enforcer.actual()
        self._reached()
        with self._cond:
            wanted = {name for name, one in self._wanted.items() if one.ends > self._up()}
            known = {**self._acknowledged, **self._held}
            digests = {name: receipt.digest for name, receipt in known.items()}
            found = differences(wanted, digests, actual)
            adopted = {name for name in found.right if name not in self._held}
            self._unsaid &= self._held.keys()
            asked, self._unsaid = self._unsaid, set()
            for name in found.right:
                self._held[name] = known[name]
                if self._proves and name not in asked:
                    self._verified.add(name)
                failure = self._failures.get(name)
                if failure is not None and self._up() - failure.again >= _CALM:
                    del self._failures[name]
            self._revoking |= found.stray & self._held.keys()
            ours = found.stray & (self._held.keys() | self._revoking)
        strays = found.stray - ours
        if strays:
            if not self.frozen:
                with self._calling("revoke"):
                    self.enforcer.revoke(sorted(strays))
            self._reports.strays(self.enforcer.name, strays, self.frozen)
        self._lose({*found.missing, *found.changed} & self._held.keys())
        with self._cond:
            self._acknowledged.clear()
        self._synced = True
        self._next_look = self._up() + int(self._settings.reconcile_every * SECOND)
        if adopted:
            self._reports.changed(adopted)

    def _revoke(self) -> None:
        with self._cond:
            ended = {name for name in self._held if name not in self._wanted}
            ended |= {
                name for name, one in self._wanted.items() if one.ends <= self._up()
            } & self._held.keys()
            gone = sorted(ended | self._revoking)
        if not gone:
            return
        try:
            with self._calling("revoke"):
                self.enforcer.revoke(gone)
        except Rejected as error:
            raise Unreachable(f"it does not take rules away: {error}") from error
        self._reached()
        with self._cond:
            for name in gone:
                self._held.pop(name, None)
                self._verified.discard(name)
                self._revoking.discard(name)
        self._reports.changed(set(gone))

    def _apply(self) -> None:
        plans = [] if self.frozen else self._due()
        if not plans:
            return
        try:
            self._applied(plans)
        except Rejected as error:
            if len(plans) == 1:
                self._refused(plans[0], error)
                return
            for plan in plans:  # one that it does not take must not keep the others out
                try:
                    self._applied([plan])
                except Rejected as single:
                    self._refused(plan, single)

    def _due(self) -> list[Plan]:
        """What is wanted, not held, and not waiting after a failure, within the room and the pace there is."""
        limits, up = self.enforcer.limits, self._up()
        with self._cond:
            due = [
                one.plan
                for name, one in self._wanted.items()
                if name not in self._held
                and one.ends > up
                and ((failure := self._failures.get(name)) is None or failure.again <= up)
            ]
            room = limits.rules - sum(self._wanted[n].plan.rules for n in self._held if n in self._wanted)
        plans = []
        for plan in due[: self._pace(len(due)) if due else 0]:
            if plan.rules > room:
                said = f"no room: it takes {plan.rules} rules, {room} of {limits.rules} are left"
                self._refused(plan, Rejected(said))
                continue
            room -= plan.rules
            plans.append(plan)
            if len(plans) >= self._settings.batch:
                self._urgent = True
                break
        return plans

    def _pace(self, wanted: int) -> int:
        rate = self.enforcer.limits.intents_per_second
        if rate <= 0:
            return wanted
        up = self._up()
        self._tokens = min(max(1.0, rate), self._tokens + (up - self._filled) / SECOND * rate)
        self._filled = up
        count = min(wanted, int(self._tokens))
        self._tokens -= count
        return count

    def _applied(self, plans: list[Plan]) -> None:
        try:
            with self._calling("apply"):
                receipts = list(self.enforcer.apply(plans))
        except (Unreachable, Rejected):
            raise
        except Exception as error:  # of this intent, as far as anybody can tell: the others go on
            raise Rejected(f"{type(error).__name__}: {error}") from error
        self._reached()
        if [one.intent for one in receipts] != [plan.intent.id for plan in plans]:
            raise Rejected(
                f"it answered {len(plans)} plans with receipts for others: an error of this enforcer"
            )
        with self._cond:
            for receipt in receipts:
                self._held[receipt.intent] = receipt
                self._verified.discard(receipt.intent)
        self._reports.changed({receipt.intent for receipt in receipts})

    def _refused(self, plan: Plan, error: Rejected) -> None:
        self._fail(plan.intent.id, str(error) or "refused without a reason")
        self._reports.changed({plan.intent.id})

    def _verify(self) -> None:
        """Read back what was applied. What the enforcer cannot tell yet is asked again after the next comparison."""
        with self._cond:
            open_ = [
                one
                for name, one in self._held.items()
                if name not in self._verified and name not in self._unsaid
            ]
        if not open_:
            return
        if self._proves and len(open_) > _VERIFY_SINGLY:
            with self._calling("actual"):
                actual = self.enforcer.actual()
            for receipt in open_:
                self._read_back(receipt, actual.get(receipt.intent) == receipt.digest)
        else:
            for receipt in open_:
                with self._calling("verify"):
                    right = self.enforcer.verify(receipt)
                self._read_back(receipt, right)
        self._reports.changed({receipt.intent for receipt in open_})

    def _read_back(self, receipt: Receipt, right: bool | None) -> None:
        with self._cond:
            if self._held.get(receipt.intent) is not receipt:
                return
            failure = self._failures.get(receipt.intent)
            if right is not False and failure is not None:
                failure.again = self._up()
            if right:
                self._verified.add(receipt.intent)
            elif right is None:
                self._unsaid.add(receipt.intent)
            else:
                self._held.pop(receipt.intent)
                self._fail(receipt.intent, "it says that it holds it, and it is not there when read back")

    def _pull(self) -> None:
        if self._up() < self._again:
            return
        try:
            with self._calling("revoke_all"):
                self.enforcer.revoke_all()
        except Exception as error:
            why = str(error) or type(error).__name__
            self._is_down(f"the kill switch did not get through: {why}")
            self._reports.pulled(self.enforcer.name, why)
            return
        with self._cond:
            gone = set(self._held)
            self._held.clear()
            self._verified.clear()
            self._revoking.clear()
            self._kill = False
        self._reached()
        self._synced = False  # read back that nothing is left
        self._reports.pulled(self.enforcer.name, "")
        self._reports.changed(gone)

    @contextmanager
    def _calling(self, what: str) -> Iterator[None]:
        self._busy = (what, self._up())
        try:
            yield
        finally:
            self._busy = None
