"""What is written down, what could not be written down, and when each intent ends.

Endings happen even if the log cannot be written: they are owed then, kept here, and written down when it can be.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from andon.contain.alarms import Alarms
from andon.contain.clock import SteadyClock, ends
from andon.contain.controller.planning import Plans
from andon.records.intent import IntentEvent
from andon.store.errors import StoreDamaged, StoreError
from andon.store.intents import Conflict, IntentLog, State

T = TypeVar("T")


class Ledger:
    """The log, the clocks and the alarms together. ``now``: time of day, ``up``: since boot (ns)."""

    def __init__(
        self, log: IntentLog, now: Callable[[], int], alarm: Callable[[str, str], None], up: Callable[[], int]
    ) -> None:
        self.log = log
        self.clock = SteadyClock(now, up)
        self.alarms = Alarms(alarm, up)
        self._mutex = threading.RLock()
        self._struck: set[int] = set()  # taken away, and the log does not say so yet
        self._owed: list[IntentEvent] = []
        self._owe_again = 0
        self._ends: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def _end(self, events: Sequence[IntentEvent]) -> None:
        """Write down, then act; what cannot be written down is done all the same, and owed."""
        ids = [event.intent for event in events]
        if not events:
            return
        for attempt in (events, *([event] for event in events)) if len(events) > 1 else (events,):
            try:
                self.log.append(list(attempt), {})
            except Conflict:
                continue  # one by one: somebody else ended one of them
            except StoreError as error:
                self._struck.update(ids)
                self._owed += [one for one in events if one not in self._owed]
                self.alarms.on("store", f"endings cannot be recorded: {error}", "owed")
                break
            if attempt is events:
                break
        self._let_go(ids)

    def _pay(self) -> None:
        """Write down what is owed, if that can be done now; tried once a second."""
        if not self._owed or self.log.damage or self.clock.up() < self._owe_again:
            return
        self._owe_again = self.clock.up() + 1_000_000_000
        first: dict[int, IntentEvent] = {}
        for one in self._owed:
            known = self.log.get(one.intent)
            if known is not None and not known.ended:
                first.setdefault(one.intent, one)
        try:
            self.log.append(list(first.values()), {})
        except (StoreError, Conflict):
            return
        self._struck -= {one.intent for one in self._owed}
        self._owed = []
        self.alarms.over("store", "endings are recorded again", "owed")

    def _mind(self, state: State) -> None:
        """Remember when it ends."""
        intent = state.intent.id
        if intent not in self._ends:
            end = ends(state, self.clock, self.log.boot, self.log.latest)
            self._ends[intent] = end
            heapq.heappush(self._heap, (end, intent))

    def _pop(self) -> tuple[int, int]:
        return heapq.heappop(self._heap)

    def _check_damage(self) -> None:
        if self.log.damage:
            self.alarms.on("store", self.log.trouble(), "damage")
        else:
            self.alarms.over("store", "the intent log is whole again", "damage")

    def _state_of(self, intent: int) -> State:
        state = self.log.get(intent)
        if state is None:
            raise Conflict(f"intent {intent:016x} is not known: it ended a while ago, or was never there")
        return state

    def _event(
        self,
        intent: int,
        state: str,
        actor: str,
        reasons: Sequence[str] = (),
        detail: Mapping[str, Any] | None = None,
    ) -> IntentEvent:
        return IntentEvent(intent, state, actor, self.clock.now(), tuple(reasons), detail or {})

    def _try(self, act: Callable[[], T], about: str = "write") -> T | None:
        """An error of the store is an alarm, and over when it works again."""
        try:
            found = act()
        except (StoreError, Conflict) as error:
            kind = "damage" if isinstance(error, StoreDamaged) else about
            self.alarms.on("store", str(error), kind)
            return None
        self.alarms.over("store", "the intent log can be used again", about)
        return found

    # ------------------------------------------------------------------ hooks

    def _accepted(self, intent: int, plans: Plans | None) -> None:
        """It is to be held, and the log says so."""

    def _let_go(self, intents: Sequence[int]) -> None:
        """These are to be held no more."""

    def _strike(self) -> None:
        """Tell the enforcers to take everything away, from any thread, whoever else is at work here."""

    def _pull(self) -> None:
        """Take everything away."""
