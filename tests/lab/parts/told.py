"""What the product says it did: its log of intents, read beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon.records.intent import Intent
from andon.store.errors import StoreError
from andon.store.intents import IntentLog


@dataclass(frozen=True)
class Told:
    """One event. ``time``: ns, UTC, as the product has it."""

    intent: str
    action: str
    host: str
    state: str
    time: int
    actor: str
    reasons: tuple[str, ...]
    rule: str
    fields: tuple[str, ...]  # where its grounds were seen
    until: int
    escalated: str  # why it is harder than the policy had it

    def to_dict(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "state": self.state,
            "actor": self.actor,
            "reasons": list(self.reasons),
        }


def told(store: Path) -> list[Told]:
    """Every event so far, in order; [] if there is no log yet."""
    if not (store / "contain").is_dir():
        return []
    try:
        log = IntentLog(store / "contain", _key(store), read_only=True)
    except (StoreError, OSError):
        return []
    try:
        found = []
        intents: dict[int, Intent] = {}
        for entry in log.since(0):
            if entry.document is not None:
                intents[entry.event.intent] = entry.document
            intent = intents.get(entry.event.intent)
            found.append(
                Told(
                    f"{entry.event.intent:016x}",
                    intent.action if intent else "",
                    intent.subject.value if intent else "",
                    entry.event.state,
                    entry.event.time,
                    entry.event.actor,
                    tuple(entry.event.reasons),
                    intent.rule if intent else "",
                    tuple(sorted({ground.field for ground in intent.grounds})) if intent else (),
                    intent.until if intent else 0,
                    intent.escalated if intent else "",
                )
            )
        return found
    finally:
        log.close()


def _key(store: Path) -> bytes:
    return (store.parent / "chain.key").read_bytes().strip()
