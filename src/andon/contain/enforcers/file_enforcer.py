"""What enforcers have in common whose intents are lines of files: hold, let go, expire, tell what is there.

The daemon that reads the files has no clock for them: ``tick`` takes out what has had its time. A reload that has not
been done is never passed over: ``actual`` and ``verify`` see to it first, and raise if they cannot.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from andon.contain.contract import DEGRADED, DOWN, OK, Health, Limits, Plan, Receipt, Rejected, Unreachable
from andon.contain.enforcers.files import Held, MarkedFiles, digest
from andon.contain.enforcers.reload import Reload, checked
from andon.contain.enforcers.steady import Steady
from andon.records.intent import Intent


@dataclass(frozen=True)
class Daemon:
    """``reload``: the command; empty: the daemon looks for itself. ``check``: one that fails if the files are wrong."""

    reload: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    settle: float = 0.5
    patience: float = 10.0


class FileEnforcer:
    """Subclasses have ``plan`` and ``supports``; ``Plan.native`` is a tuple of Items. ``clock``: ns UTC."""

    def __init__(
        self,
        name: str,
        files: MarkedFiles,
        daemon: Daemon,
        rules: int,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._name = name
        self._files = files
        self._daemon = daemon
        self._rules = rules
        self._clock = Steady(clock)
        self._reload = Reload(daemon.reload, daemon.settle, daemon.patience)
        self._begun = False
        self._epoch = 0
        self._changed = 0
        self._error = ""
        self._scanned: Held | None = None
        self._next = 0  # the first end

    @property
    def name(self) -> str:
        return self._name

    @property
    def limits(self) -> Limits:
        return Limits(self._rules)

    def plan(self, intent: Intent) -> Plan:
        raise NotImplementedError

    def _loaded(self) -> str:
        """Why the daemon does not have the files as they are now; "" if it has, or cannot be asked."""
        return ""

    def _held(self) -> Held:
        held = self._files.held()
        if not self._begun:
            self._begun = True
            # Whether the daemon read what an earlier run of ours wrote is not known.
            if held.until:
                self._reload.ask()
        if self._files.changed != self._changed:
            self._changed = self._files.changed
            self._epoch += 1
        return held

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        began, now = time.perf_counter(), self._clock()
        held = self._held()
        after = Held(dict(held.until), dict(held.items))
        for plan in plans:
            if plan.intent.until > now:
                after.until[plan.intent.id] = plan.intent.until
                after.items[plan.intent.id] = frozenset(plan.native)
        size = len(after.owners())
        if size > self._rules:
            raise Rejected(f"{size} lines are more than the {self._rules} of max_rules")
        self._write(held, after)
        state = self._tell()
        seconds = time.perf_counter() - began
        return [
            Receipt(
                one.intent.id, self._name, digest(one.native), seconds, {"lines": len(one.native), "reload": state}
            )
            for one in plans
        ]  # fmt: skip

    def revoke(self, intents: Sequence[int]) -> None:
        held = self._held()
        gone = set(intents)
        if gone & held.until.keys():
            self._write(held, _without(held, gone))
        self._tell()

    def revoke_all(self) -> None:
        held = self._held()
        # A daemon that reads its files anew may turn somebody away meanwhile: not for nothing.
        if held.until or held.damaged or held.foreign:
            self._write(held, Held())
        self._reload.settle(at_once=True)

    def _write(self, before: Held, after: Held) -> None:
        """Raises Rejected if the check does not like it; then everything is as before."""
        if not self._files.write(after):
            return
        if self._daemon.check and after.until:
            try:
                complaint = checked(self._daemon.check, self._daemon.patience)
            except Unreachable:
                self._files.write(before)
                raise
            if complaint:
                self._files.write(before)
                raise Rejected(f"{self._daemon.check[0]}: {complaint}")
        self._reload.ask()

    def _tell(self) -> str:
        """Reload now if that is not too often; else a tick does."""
        if not self._reload.owed:
            return "done" if self._daemon.reload else "none"
        if not self._reload.due and not self._reload.error:
            return "owed"
        self._reload.settle()
        return "done"

    @property
    def reads_back(self) -> bool:
        """Whether anybody can be asked for what is in force: else ``actual`` says what is written, and was told."""
        return bool(self._daemon.reload)

    def verify(self, receipt: Receipt) -> bool | None:
        self._reload.settle()
        held = self._held()
        if receipt.intent not in held.until or self._digest(held, receipt.intent) != receipt.digest:
            return False
        return not self._loaded() if self.reads_back else None

    def actual(self) -> Mapping[int, str]:
        held = self._held()
        self._reload.settle()
        waits = self._loaded()
        if waits:
            raise Unreachable(waits)
        now = self._clock()
        return {intent: self._digest(held, intent) for intent, until in held.until.items() if until > now}

    def _digest(self, held: Held, intent: int) -> str:
        return ("damaged-" if held.damaged else "") + digest(held.items.get(intent, ()))

    def health(self) -> Health:
        try:
            held = self._held()
            self._reload.poll()
            loaded = "" if self._reload.owed else self._loaded()
        except (Unreachable, Rejected) as error:
            return Health(DOWN, str(error), self._epoch)
        rules = len(held.owners())
        detail = {"intents": len(held.until), "reloads": self._reload.count}
        if self._error or self._reload.error or loaded:
            return Health(DOWN, self._error or self._reload.error or loaded, self._epoch, rules, detail)
        if held.damaged:
            statement = "a file is gone or its head was changed by somebody; applying anew mends it"
            return Health(DOWN, statement, self._epoch, rules, detail)
        if held.foreign:
            statement = f"{held.foreign} lines were added by somebody; the next change removes them"
            return Health(DEGRADED, statement, self._epoch, rules, detail)
        if rules > 0.9 * self._rules:
            return Health(DEGRADED, f"{rules} of {self._rules} lines are in use", self._epoch, rules, detail)
        return Health(OK, "", self._epoch, rules, detail)

    def tick(self, now: int) -> Sequence[int]:
        """Takes out what has ended. What cannot be written is tried again at the next tick, and is in ``health``."""
        self._clock.told(now)
        self._reload.poll()
        if not self._begun:
            return ()
        ended: list[int] = []
        try:
            held = self._held()
            if held is not self._scanned:
                self._scanned, self._next = held, min(held.until.values(), default=1 << 63)
            if now >= self._next:
                ended = [intent for intent, until in held.until.items() if until <= now]
                self._write(held, _without(held, set(ended)))
            self._error = ""
        except (Unreachable, Rejected) as error:
            self._error = str(error)
            return ()
        self._reload.poll()
        return ended

    def close(self) -> None:
        with contextlib.suppress(Rejected, Unreachable):
            self._reload.settle(at_once=True)
        self._reload.close()


def _without(held: Held, gone: set[int]) -> Held:
    return Held(
        {intent: until for intent, until in held.until.items() if intent not in gone},
        {intent: items for intent, items in held.items.items() if intent not in gone},
    )
