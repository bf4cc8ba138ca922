"""Our tables in the kernel: read, changed, read back. Everything here runs in the thread of the place.

Before every call the kernel's generation is compared with the one after our own last change; only if somebody changed
rules meanwhile, anybody's, are our tables read again.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from andon.contain.contract import Plan, Receipt, Rejected
from andon.contain.enforcers.nft.base import base_commands, delete_commands, families
from andon.contain.enforcers.nft.elements import Element
from andon.contain.enforcers.nft.held import Change, Held, held_from, note_rules, rules_digest
from andon.contain.enforcers.nft.library import Library, Missing
from andon.contain.enforcers.nft.netlink import key_bytes, ledger_bytes
from andon.contain.enforcers.nft.place import Place
from andon.contain.enforcers.nft.settings import Settings
from andon.contain.enforcers.nft.shapes import LEDGER, Shape, first_shapes, shape_commands

MOST_SHAPES: Final = 128  # sets for prefixes, each with rules that every packet passes
_SLACK: Final = 1.5  # seconds; the kernel lists ends in whole ones
Wanted = Mapping[int, tuple[Sequence[Element], float]]


class Tables:
    """``clock``: nanoseconds UTC, steady. ``lock`` is over ``held``, at which a tick looks from another thread.
    ``epoch`` grows when something of ours is found gone; ``bypass``: flow tables, whose connections pass no chain."""

    def __init__(self, settings: Settings, place: Place, clock: Callable[[], int]) -> None:
        self._settings = settings
        self._place = place
        self._clock = clock
        self._entered = 0
        self._generation: int | None = None
        self._base = hashlib.sha256("\n".join(base_commands(settings)).encode()).hexdigest()[:32]
        self.first = frozenset(first_shapes(settings))
        self.lock = threading.Lock()
        self.held = Held()
        # Monotonic seconds: when an intent ends is fixed when it is first seen, whatever becomes of clock or rules.
        self._ends: dict[int, float] = {}
        self.made = False  # whether a table of ours was ever seen or made
        self.epoch = 0
        self.version = ""
        self.bypass = 0

    def current(self) -> bool:
        """Whether nothing has to be read or made anew before a change. Raises Unreachable, Rejected."""
        return (
            self.held.whole
            and self._place.entered == self._entered
            and self._place.netlink.generation() == self._generation
        )

    def sync(self, library: Library) -> None:
        """Read the tables again if anybody but us has changed anything. Raises Unreachable, Rejected."""
        if self._place.entered != self._entered:
            self.epoch += self._entered > 0
            self._entered, self._generation = self._place.entered, None
        now = time.monotonic()
        generation = self._place.netlink.generation()
        with self.lock:
            self.held.expired(now)
        if generation == self._generation:
            return
        for _ in range(5):
            found = held_from(self._listed(library), self._base, time.monotonic())
            flows = library.read("list flowtables", terse=True)
            after = self._place.netlink.generation()
            if after == generation:
                break
            generation = after
        self.bypass = sum("flowtable" in one for one in flows)
        self.version = next((one["metainfo"]["version"] for one in flows if "metainfo" in one), "")
        with self.lock:
            self.epoch += self.made and _lost(self.held, found, now)
            self.held = found
            self._ends = {intent: until for intent, until in self._ends.items() if until > now}
            for intent, until in found.until.items():
                self._ends.setdefault(intent, until)
        self.made = self.made or found.present
        self._generation = generation

    def _listed(self, library: Library, terse: bool = False) -> list[list[dict[str, Any]]]:
        made: list[list[dict[str, Any]]] = []
        for family in families(self._settings):
            try:
                made.append(library.read(f"list table {family} {self._settings.table}", terse))
            except Missing:
                made.append([])
        return made

    def apply(self, library: Library, plans: Sequence[Plan]) -> None:
        """All or nothing. Raises Missing, Rejected, Unreachable."""
        self._retried(library, lambda: self._apply(library, plans))

    def revoke(self, library: Library, intents: Sequence[int]) -> None:
        self._retried(library, lambda: self._revoke(library, intents))

    def clear(self, library: Library) -> None:
        """Away with everything, those tables too that earlier settings made."""
        library.run("\n".join(delete_commands(self._settings)))
        with self.lock:
            self.held, self._ends = Held(), {}
        self.made, self._generation = False, None

    def verify(self, library: Library, receipt: Receipt) -> bool:
        """Whether the rules are as we made them, and the kernel has each element when asked for it by its key."""
        self.sync(library)
        elements = list(self.held.parts.get(receipt.intent, ()))
        if not self.held.whole or self.held.digest(receipt.intent) != receipt.digest:
            return False
        table, word, netlink = self._settings.table, f"{receipt.intent:016x}", self._place.netlink
        keys: dict[Shape, list[bytes]] = {}
        for element in elements:
            keys.setdefault(element.shape, []).append(key_bytes(element.key))
        if not netlink.has(table, LEDGER, ledger_bytes(receipt.intent)):
            return False
        found = [netlink.comments(table, shape, listed) for shape, listed in keys.items()]
        return all(
            comments is not None and all(word in one.split(",") for one in comments) for comments in found
        )

    def _retried(self, library: Library, work: Callable[[], None]) -> None:
        """Once more if the kernel named something as missing: somebody took it away since we last looked."""
        self.sync(library)
        try:
            work()
        except Missing:
            self._generation = None
            self.sync(library)
            work()

    def _transact(self, library: Library, commands: Sequence[str]) -> None:
        before = self._generation
        library.run("\n".join(commands))
        after = self._place.netlink.generation()
        self._generation = after if before is not None and after == (before + 1) & 0xFFFFFFFF else None

    def _note_rules(self, library: Library) -> None:
        """Read back what chains and sets look like, and keep it in the table."""
        rules = rules_digest(self._listed(library, terse=True))
        self._transact(library, note_rules(self._settings.table, rules, self._base))
        self.held.rules = self.held.noted = rules

    def _apply(self, library: Library, plans: Sequence[Plan]) -> None:
        now, wall = time.monotonic(), self._clock()
        with self.lock:
            held = self.held
            wanted: dict[int, tuple[Sequence[Element], float]] = {}
            for plan in plans:
                until = self._ends.get(plan.intent.id) or now + (plan.intent.until - wall) / 1e9
                # What has ended meanwhile is not begun.
                if until > now and not _same(held, plan, until):
                    wanted[plan.intent.id] = (plan.native, until)
            if not wanted:
                return
            shapes = {element.shape for elements, _ in wanted.values() for element in elements}
            if len((held.shapes | shapes) - self.first) > MOST_SHAPES:
                raise Rejected(f"prefixes of more than {MOST_SHAPES} different lengths and actions")
            if not held.whole:
                self._rebuild(library, wanted, shapes, now)
                self._ends.update((intent, until) for intent, (_, until) in wanted.items())
                return
            change = Change(self._settings.table)
            size = _differ(change, held, wanted, (), now)
            self._bound(size)
            new = sorted(shapes - held.shapes, key=lambda one: one.name)
            if new:
                library.at_home()
            made = [line for shape in new for line in shape_commands(shape, self._settings)]
            self._transact(library, [*made, *change.commands()])
            for intent, (elements, until) in wanted.items():
                held.drop(intent)
                held.hold(intent, elements, until)
                self._ends[intent] = until
            if new:
                held.shapes |= shapes
                self._note_rules(library)

    def _rebuild(self, library: Library, wanted: Wanted, shapes: set[Shape], now: float) -> None:
        """The whole table anew, with what is held and what is wanted, in one transaction: nothing is open meanwhile."""
        library.at_home()
        made = Held(shapes=set(self.first) | self.held.shapes | shapes, present=True)
        for intent, until in self.held.until.items():
            if intent not in wanted:
                made.hold(intent, self.held.parts[intent], until)
        for intent, (elements, until) in wanted.items():
            made.hold(intent, elements, until)
        # A damaged table may have lost a set that an element needs.
        made.shapes |= {element.shape for element in made.owners}
        self._bound(len(made.owners) + len(made.until))
        change = Change(self._settings.table)
        for intent, until in made.until.items():
            change.note(intent, until - now, fresh=True)
        for element, owners in made.owners.items():
            change.put(element, owners, made.lasting(element) - now, fresh=True)
        base = base_commands(self._settings, sorted(made.shapes, key=lambda one: one.name))
        self._transact(library, [*delete_commands(self._settings), *base, *change.commands()])
        self.held, self.made = made, True
        self._note_rules(library)

    def _revoke(self, library: Library, intents: Sequence[int]) -> None:
        with self.lock:
            for intent in intents:
                self._ends.pop(intent, None)
            gone = [one for one in dict.fromkeys(intents) if one in self.held.until]
            if not gone or not self.held.present:
                return
            change = Change(self._settings.table)
            _differ(change, self.held, {}, gone, time.monotonic())
            self._transact(library, change.commands())
            for intent in gone:
                self.held.drop(intent)

    def _bound(self, size: int) -> None:
        if size > self._settings.max_elements:
            raise Rejected(f"{size} elements are more than the {self._settings.max_elements} of max_elements")


def _differ(change: Change, held: Held, wanted: Wanted, gone: Iterable[int], now: float) -> int:
    """What makes ``wanted`` and unmakes ``gone``; the number of elements afterwards."""
    size = len(held.owners) + len(held.until)
    claims: dict[Element, list[int]] = {}
    for intent in gone:
        change.forget(intent)
        size -= 1
    for intent, (elements, until) in wanted.items():
        fresh = intent not in held.until
        change.note(intent, until - now, fresh)
        size += fresh
        for element in elements:
            claims.setdefault(element, []).append(intent)
    touched = set(wanted) | set(gone)
    concerned = dict.fromkeys(claims)
    for intent in touched:
        concerned.update(dict.fromkeys(held.parts.get(intent, ())))
    for element in concerned:
        before = held.owners.get(element, ())
        stay = [one for one in before if one not in touched]
        owners = [*stay, *claims.get(element, ())]
        if not owners:
            change.remove(element)
        else:
            ends = [held.until[one] for one in stay] + [wanted[one][1] for one in claims.get(element, ())]
            change.put(element, owners, max(ends) - now, fresh=not before)
        size += bool(owners) - bool(before)
    return size


def _same(held: Held, plan: Plan, until: float) -> bool:
    """Whether it is held already, as it is to be."""
    return (
        held.whole
        and abs(held.until.get(plan.intent.id, 0.0) - until) < _SLACK
        and set(held.parts.get(plan.intent.id, ())) == set(plan.native)
    )


def _lost(before: Held, found: Held, now: float) -> bool:
    """Whether something is gone or damaged that should still be there."""
    if before.whole and not found.whole:
        return True
    return any(
        until > now + _SLACK and not set(before.parts[intent]) <= set(found.parts.get(intent, ()))
        for intent, until in before.until.items()
    )
