"""What the log's lines say together: every intent that has not ended, some that have, and whether all is on hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from andon.records.finding import nanoseconds, timestamp
from andon.records.intent import PROPOSED, Intent, IntentEvent
from andon.store.intents.line import EVENT, FORMAT, SEGMENT, Line, Unproven
from andon.store.intents.state import HELD, RELEASED, SITE, Entry, Hold, State, folded

ENDED_KEPT: Final = 4096  # ended intents kept in memory; older ones are on disk alone


class Known:
    """States of intents, folded from entries in order. ``live``: not ended; ``ended``: the newest that have."""

    def __init__(self) -> None:
        self.live: dict[int, State] = {}
        self.ended: OrderedDict[int, State] = OrderedDict()
        self.rested: dict[str, set[int]] = {}  # by case: ended ones that keep it from being asked for again
        self.hold: Hold | None = None
        self.latest = 0  # the latest time said by any event, ns

    def get(self, intent: int) -> State | None:
        return self.live.get(intent) or self.ended.get(intent)

    def add(self, entry: Entry) -> None:
        """Raises KeyError for an intent whose first event was not seen."""
        self.latest = max(self.latest, entry.event.time)
        if entry.event.intent == SITE:
            if entry.event.state == HELD:
                reason = "; ".join(entry.event.reasons)
                self.hold = Hold(entry.event.actor, entry.event.time, reason)
            elif entry.event.state == RELEASED:
                self.hold = None
            return
        state = folded(self.get(entry.event.intent), entry)
        if not state.ended:
            self.live[state.intent.id] = state
            return
        self.live.pop(state.intent.id, None)
        self._keep(state)
        while len(self.ended) > ENDED_KEPT:
            name, gone = self.ended.popitem(last=False)
            if gone.rests:
                names = self.rested[gone.intent.case]
                names.discard(name)
                if not names:
                    del self.rested[gone.intent.case]

    def _keep(self, state: State) -> None:
        self.ended[state.intent.id] = state
        if state.rests:
            self.rested.setdefault(state.intent.case, set()).add(state.intent.id)

    def snapshot(self) -> dict[str, Any]:
        """As JSON: what has to be known to go on without the segments before. Of the ended ones those that still
        keep something from being asked for again."""
        resting = [one for one in self.ended.values() if one.rests and one.intent.until > self.latest]
        return {
            "intents": [one.to_dict() for one in (*self.live.values(), *resting)],
            "hold": self.hold.to_dict() if self.hold else None,
            "latest": timestamp(self.latest),
        }

    @classmethod
    def from_snapshot(cls, given: Mapping[str, Any]) -> Known:
        """The inverse. Raises ValueError, KeyError, TypeError."""
        made = cls()
        for one in given["intents"]:
            state = State.from_dict(one)
            if state.ended:
                made._keep(state)
            else:
                made.live[state.intent.id] = state
        if given["hold"] is not None:
            hold = given["hold"]
            made.hold = Hold(hold["actor"], nanoseconds(hold["since"]), hold["reason"])
        made.latest = nanoseconds(given["latest"])
        return made

    def __iter__(self) -> Iterator[State]:
        yield from self.live.values()
        yield from self.ended.values()


def event_body(
    number: int, prev: str, event: IntentEvent, document: Intent | None, up: int, boot: str
) -> dict[str, Any]:
    """The body of an event's line. ``up`` in ns."""
    body: dict[str, Any] = {
        "kind": EVENT, "n": number, "prev": prev, "up": up // 1_000_000, "boot": boot,
        "intent": f"{event.intent:016x}", "state": event.state, "actor": event.actor,
        "time": timestamp(event.time), "reasons": list(event.reasons), "detail": dict(event.detail),
    }  # fmt: skip
    if event.state == PROPOSED and document is not None:
        body["document"] = document.to_dict()
    return body


def header_body(
    number: int, prev: str, known: Known, time: int, up: int, boot: str, after: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The body of a segment's first line. ``after``: what was set aside before it (``repair``), or None."""
    return {
        "format": FORMAT, "kind": SEGMENT, "n": number, "prev": prev, "time": timestamp(time),
        "up": up // 1_000_000, "boot": boot, "state": known.snapshot(), "after": after,
    }  # fmt: skip


def entry_of(line: Line) -> Entry:
    """The event of a line. Raises Unproven."""
    body = line.body
    try:
        document = Intent.from_dict(body["document"]) if "document" in body else None
        event = IntentEvent(
            int(body["intent"], 16),
            str(body["state"]),
            str(body["actor"]),
            nanoseconds(body["time"]),
            tuple(body["reasons"]),
            body["detail"],
        )
        return Entry(line.number, line.hash, int(body["up"]), str(body["boot"]), event, document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unproven(f"its event does not read ({error!r})") from error


def known_of(line: Line) -> Known:
    """The states at a segment's first line. Raises Unproven."""
    try:
        if line.body["kind"] != SEGMENT or line.body["format"] != FORMAT:
            raise Unproven(f"it is not the first line of a segment of {FORMAT}")
        return Known.from_snapshot(line.body["state"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unproven(f"the states in it do not read ({error!r})") from error
