"""Which intents a switch is to hold, with their rules; two intents may need one and the same rule.

For a switch two rules with the same table, priority and match are one, and the later takes the earlier's place. So
each rule has one owner, the intent that needs it longest, whose cookie and time-out it bears; when the owner goes, the
rule is handed to the next. What one priority does is the same for every intent, so that handing on changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from andon.contain.enforcers.openflow.rule import Key, Rule


@dataclass(frozen=True)
class Entry:
    """``until``: ns, UTC. ``deadline``: the same moment on the monotonic clock, seconds, which no one can set.
    ``told``: we were told to hold it; else it was found at the switch."""

    id: int
    rules: dict[Key, Rule]
    until: int
    deadline: float
    told: bool = False


class Book:
    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._needed: dict[Key, set[int]] = {}

    def __contains__(self, number: object) -> bool:
        return number in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def rules(self) -> int:
        """How many different ones."""
        return len(self._needed)

    def get(self, number: int) -> Entry | None:
        return self._entries.get(number)

    def put(self, entry: Entry) -> set[Key]:
        """Hold this, in the place of what had its id. Gives the rules that may have changed."""
        touched = self.drop(entry.id) | entry.rules.keys()
        self._entries[entry.id] = entry
        for key in entry.rules:
            self._needed.setdefault(key, set()).add(entry.id)
        return touched

    def drop(self, number: int) -> set[Key]:
        """Hold it no more. Gives the rules that may have changed."""
        entry = self._entries.pop(number, None)
        if entry is None:
            return set()
        for key in entry.rules:
            self._needed[key].discard(number)
            if not self._needed[key]:
                del self._needed[key]
        return set(entry.rules)

    def clear(self) -> None:
        self._entries.clear()
        self._needed.clear()

    def owner(self, key: Key) -> Entry | None:
        """The intent whose cookie this rule bears; None if nobody needs it."""
        needed = self._needed.get(key)
        if not needed:
            return None
        return max((self._entries[number] for number in needed), key=lambda entry: (entry.deadline, entry.id))

    def wanted(self, keys: Iterable[Key] | None = None) -> Sequence[tuple[Rule, Entry]]:
        """Rules with their owners: these, or all."""
        found = []
        for key in tuple(self._needed) if keys is None else keys:
            owner = self.owner(key)
            if owner is not None:
                found.append((owner.rules[key], owner))
        return found
