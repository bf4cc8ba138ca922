"""What containment tells sinks: what became of intents, and alarms of the controller; through the outbox, each once."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from andon.share.contain_notice import ALARM, INTENT, alarm_message, intent_message
from andon.share.daedalus import Message as Told
from andon.store.casebook import Casebook, Message
from andon.store.intents import Entry, IntentLog

ACTOR: Final = "containment"
TOLD_CURSOR = "containment.told"
_PAGE: Final = 200
_ALARMS: Final = 1000  # that wait to be told; more, and the oldest are only counted
# Told as what became of the intent: the log says so, and with it the message of that intent.
_SAID_BY_INTENTS: Final = frozenset(("not-in-force",))


class Teller:
    """How far the log of intents was told is a cursor that moves in the transaction that queues the messages. Alarms
    come from any thread and wait here for the next turn."""

    def __init__(self, book: Casebook, sinks: Sequence[str], now: Callable[[], int]) -> None:
        self._book, self._sinks, self._now = book, sinks, now
        self._mutex = threading.Lock()
        self._alarms: deque[tuple[str, int, str, str]] = deque()
        self._number = self._dropped = 0
        self._told = -1

    def alarm(self, kind: str, text: str) -> None:
        """From any thread."""
        if kind in _SAID_BY_INTENTS:
            return
        now = self._now()
        with self._mutex:
            self._number += 1  # two alarms of one moment are two
            self._alarms.append((f"alarm-{kind}-{now}-{self._number}", now, kind, text))
            if len(self._alarms) > _ALARMS:
                self._alarms.popleft()
                self._dropped += 1

    def once(self, intents: IntentLog) -> None:
        """Queue what is new. Raises StoreError."""
        if self._told < 0:
            self._told = self._book.cursor(TOLD_CURSOR)
        if self._told > intents.head.number:  # the log was begun anew
            self._told = 0
        entries = intents.since(self._told, _PAGE)
        with self._mutex:
            alarms, dropped = list(self._alarms), self._dropped
        if not entries and not alarms:
            return
        messages = [message for entry in entries for message in self._of(intents, entry)]
        for key, time, kind, text in alarms:
            messages += self._to_all(key, ALARM, alarm_message(kind, text, time))
        if dropped:
            key, time, *_ = alarms[-1]
            text = f"{dropped:,} earlier alarms were not told, more came than can be queued: see the log of Andon"
            messages += self._to_all(f"{key}-dropped", ALARM, alarm_message("alarms", text, time))
        to = entries[-1].number if entries else self._told
        with self._book.work(ACTOR) as work:
            work.record(messages=messages)
            work.move(TOLD_CURSOR, to)
        self._told = to
        queued = {key for key, *_ in alarms}
        with self._mutex:
            while self._alarms and self._alarms[0][0] in queued:
                self._alarms.popleft()
            self._dropped -= dropped

    def _of(self, intents: IntentLog, entry: Entry) -> list[Message]:
        event, state = entry.event, intents.get(entry.event.intent)
        if state is None or "note" in event.detail:
            return []
        told = intent_message(state.intent, event.state, event.actor, event.time, event.reasons)
        return (
            [] if told is None else self._to_all(f"intent-{event.intent:016x}-{entry.number}", INTENT, told)
        )

    def _to_all(self, key: str, kind: str, told: Told) -> list[Message]:
        body = json.loads(told.json)
        return [Message(key, sink, kind, told.subject, told.text, body) for sink in self._sinks]
