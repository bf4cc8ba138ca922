"""The enforcer for a switch that speaks OpenFlow 1.3: plan, apply, revoke, read back, tell how it is."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from math import ceil
from typing import Final

from andon.contain.contract import (
    DEGRADED,
    DOWN,
    OK,
    Health,
    Limits,
    NotExpressible,
    Plan,
    Receipt,
    Rejected,
    Unreachable,
)
from andon.contain.enforcers.openflow import wire
from andon.contain.enforcers.openflow.book import Entry
from andon.contain.enforcers.openflow.keeper import Keeper, cookie_of
from andon.contain.enforcers.openflow.pipeline import MARK
from andon.contain.enforcers.openflow.rule import Key, Rule, digest
from andon.contain.enforcers.openflow.rules import Maker
from andon.contain.enforcers.openflow.settings import Settings
from andon.records import intent as words
from andon.records.intent import Intent

_CONNECT: Final = 3.0  # seconds that the first call waits for a connection
_LONGEST: Final = 65_535


class OpenFlowEnforcer:
    """Holds intents as rules of one switch. ``clock``: ns, UTC.

    Connects at the first call and stays connected; what is held survives it (the switch keeps the rules, each with
    its own time-out)."""

    def __init__(self, name: str, settings: Settings, clock: Callable[[], int] = time.time_ns) -> None:
        self._name = name
        self.settings = settings
        self._maker = Maker(name, settings)
        self._keeper = Keeper(settings, clock)
        self._full = ""  # what the switch said when it last had no room

    @property
    def name(self) -> str:
        return self._name

    @property
    def supports(self) -> frozenset[tuple[str, str]]:
        given = self.settings
        actions = [words.ALLOW, words.BLOCK_PAIR, words.BLOCK, words.QUARANTINE]
        actions += [words.MIRROR] if given.capture else []
        actions += [words.PROXY] if given.proxy else []
        actions += [words.SINKHOLE] if given.sinkhole else []
        kinds = (words.HOST, words.ADDRESS, words.PREFIX, words.DOMAIN)
        return frozenset((action, kind) for action in actions for kind in kinds)

    @property
    def limits(self) -> Limits:
        return Limits(self.settings.rules)

    @property
    def control(self) -> tuple[str, ...]:
        """Addresses by which the switch is reached: what must not be cut."""
        given = self.settings.connect or self.settings.listen
        with suppress(ValueError):
            if given is not None and given.kind != "unix" and not ip_address(given.host).is_unspecified:
                return (str(ip_address(given.host)),)
        return ()

    def plan(self, intent: Intent) -> Plan:
        """Raises NotExpressible."""
        if (intent.action, intent.subject.kind) not in self.supports:
            raise NotExpressible(f"this switch does not hold {intent.action} of a {intent.subject.kind}")
        if cookie_of(intent.id) == wire.ALL_BITS:
            raise NotExpressible("OpenFlow keeps this cookie for itself")
        rules = self._maker.rules(intent)
        cookie, target = cookie_of(intent.id), self.settings.target
        head = f"cookie={cookie:#x},hard_timeout={_seconds(intent.ttl / 1e9)},send_flow_rem,"
        typed = ["ovs-ofctl", "-O", "OpenFlow13"]
        return Plan(
            intent=intent,
            enforcer=self._name,
            commands=tuple(shlex.join([*typed, "add-flow", target, head + rule.text()]) for rule in rules),
            inverse=(shlex.join([*typed, "del-flows", target, f"cookie={cookie:#x}/-1"]),),
            touched=self._maker.touched(intent),
            open_paths=self._maker.open_paths(intent),
            rules=len(rules),
            native=rules,
        )

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        """All of them in one bundle, where the switch has bundles; else one after another, and none if one fails.

        Raises Unreachable, Rejected."""
        start = time.monotonic()
        self._keeper.connected(_CONNECT)
        with self._keeper.lock:
            session = self._keeper.connected(0.0)
            book, moment, now = self._keeper.book, time.monotonic(), self._keeper.now()
            before = {plan.intent.id: book.get(plan.intent.id) for plan in plans}
            touched: set[Key] = set()
            left = {plan.intent.id: (plan.intent.until - now) / 1e9 for plan in plans}
            for number, entry in before.items():
                if entry is not None and entry.told:
                    # When it ends was settled when we first heard of it, whatever the time of day is now.
                    left[number] = entry.deadline - moment
                if left[number] <= 0:
                    raise Rejected(f"intent {number:016x} has ended {-left[number]:.0f} s ago")
            for plan in plans:
                number, rules = plan.intent.id, {rule.key: rule for rule in plan.native}
                until = now + round(left[number] * 1e9)
                touched |= book.put(Entry(number, rules, until, moment + left[number], told=True))
            try:
                if book.rules > self.settings.rules:
                    raise Rejected(
                        f"that would be {book.rules:,} rules, and it is to hold {self.settings.rules:,}"
                    )
                self._keeper.wanted_again(before)
                self._keeper.push(touched, after=self._stale(before))
            except (Rejected, Unreachable) as error:
                self._back(before, touched, error)
                raise
            self._full = ""
            for plan in plans:
                self._keeper.seen.pop(plan.intent.id, None)
            seconds = time.monotonic() - start
            detail = {"datapath": f"{session.features.datapath:016x}", "bundle": session.bundles}
        return [
            Receipt(plan.intent.id, self._name, digest(plan.native), seconds, {**detail, "rules": plan.rules})
            for plan in plans
        ]

    def _stale(self, before: Mapping[int, Entry | None]) -> list[bytes]:
        """Messages that take away rules which these intents had and need no more."""
        book = self._keeper.book
        gone: list[tuple[int, Rule]] = []
        for number, entry in before.items():
            had = dict(entry.rules) if entry else dict(self._keeper.seen.get(number, {}))
            gone += [(number, rule) for key, rule in had.items() if book.owner(key) is None]
        return [
            wire.flow_mod(0, rule, cookie_of(number), command=wire.DELETE_STRICT) for number, rule in gone
        ]

    def _back(self, before: Mapping[int, Entry | None], touched: set[Key], error: Exception) -> None:
        """The book as it was; and the switch, where it has no bundles and took a part."""
        book = self._keeper.book
        new: dict[int, Mapping[Key, Rule]] = {}
        for number in before:
            held = book.get(number)
            new[number] = held.rules if held else {}
            book.drop(number)
        for entry in before.values():
            if entry is not None:
                book.put(entry)
        if isinstance(error, Rejected) and "full" in str(error):
            self._full = str(error)
        session = self._keeper.session
        if isinstance(error, Rejected) and session is not None and not session.bundles:
            undo = [
                wire.flow_mod(0, rule, cookie_of(number), command=wire.DELETE_STRICT)
                for number, rules in new.items()
                for key, rule in rules.items()
                if book.owner(key) is None
            ]
            with suppress(Rejected, Unreachable):
                self._keeper.push(touched, after=undo)

    def revoke(self, intents: Sequence[int]) -> None:
        """By cookie; a rule that another intent needs too is handed on to it. Raises Unreachable, Rejected.

        What cannot be taken away now is, as soon as the switch is there again."""
        numbers = list(dict.fromkeys(intents))
        if not numbers:
            return
        try:
            self._keeper.connected(_CONNECT)
            with self._keeper.lock:
                touched = {key for number in numbers for key in self._keeper.book.drop(number)}
                self._keeper.push(touched, after=self._keeper.deletions(numbers))
                for number in numbers:
                    self._keeper.seen.pop(number, None)
        except (Unreachable, Rejected):
            self._keeper.doom(numbers)
            raise

    def revoke_all(self) -> None:
        """Everything with our mark, in our tables, in one bundle; the pipeline stays, so that nobody is cut off.

        Raises Unreachable, Rejected."""
        try:
            self._keeper.connected(_CONNECT)
            with self._keeper.lock:
                self._keeper.book.clear()
                self._keeper.push(set(), after=self._keeper.deletions(None))
                self._keeper.seen.clear()
        except (Unreachable, Rejected):
            self._keeper.doom(None)
            raise

    def verify(self, receipt: Receipt) -> bool:
        """Raises Unreachable."""
        return self.actual().get(receipt.intent) == receipt.digest

    def actual(self) -> Mapping[int, str]:
        """Raises Unreachable."""
        self._keeper.connected(_CONNECT)
        with self._keeper.lock:
            stats = self._keeper.read()
            found: dict[int, list[Rule]] = {}
            there: dict[Key, Rule] = {}
            for stat in stats:
                found.setdefault(stat.cookie & ~MARK, []).append(stat.rule)
                there[stat.rule.key] = stat.rule
            for entry in self._keeper.book:
                # Rules that it shares with an intent that holds longer bear that one's cookie.
                shared = [there[key] for key in entry.rules if key in there and self._owner(key) != entry.id]
                if shared:
                    found.setdefault(entry.id, []).extend(shared)
        return {number: digest(rules) for number, rules in found.items()}

    def _owner(self, key: Key) -> int:
        owner = self._keeper.book.owner(key)
        return owner.id if owner else 0

    def health(self) -> Health:
        """Never raises; the first time it waits some seconds for a connection."""
        keeper = self._keeper
        try:
            session = keeper.connected(_CONNECT)
            keeper.tried.wait(_CONNECT)
        except Unreachable as error:
            target = str(self.settings.connect or self.settings.listen)
            text = str(error) if target in str(error) else f"{target}: {error}"
            return Health(DOWN, f"{text}; it is tried again", keeper.epoch, 0, {"flushes": keeper.flushes})
        troubles = self._troubles()
        if keeper.failing:
            troubles.insert(0, f"it is not as it is to be: {keeper.failing}")
        detail = {
            "datapath": f"{session.features.datapath:016x}", "tables": session.features.tables,
            "description": list(session.description), "bundles": session.bundles, "flushes": keeper.flushes,
            "role": "none" if session.role is None else wire.ROLES.get(session.role, str(session.role)),
            "fail_mode": self._fail_mode(), "intents": len(keeper.book),
        }  # fmt: skip
        state = DOWN if not keeper.piped else DEGRADED if troubles else OK
        return Health(state, "; ".join(troubles), keeper.epoch, keeper.book.rules, detail)

    def _fail_mode(self) -> str:
        return self._keeper.bridge.fail_mode if self._keeper.bridge else self.settings.fail_mode

    def _troubles(self) -> list[str]:
        keeper, session, found = self._keeper, self._keeper.session, []
        mode = self._fail_mode()
        if keeper.bridge_trouble:
            found.append(
                f"its database does not answer ({keeper.bridge_trouble}): its fail mode is not known"
            )
        elif mode == "standalone":
            found.append(
                "fail mode standalone: when the switch loses its controller or restarts it forwards everything;"
                " set it to secure (ovs-vsctl set-fail-mode BRIDGE secure)"
            )
        elif mode != "secure":
            found.append('fail mode not known: give ovsdb, or fail_mode = "secure" if you have seen to it')
        if session is not None and session.role == wire.SLAVE:
            found.append("another controller has taken the switch over; stop one of the two")
        if keeper.bridge and self.settings.connect and keeper.bridge.controllers:
            found.append(
                f"it has a controller besides ({', '.join(keeper.bridge.controllers)}), whose changes flush rules"
            )
        if keeper.bridge and self.settings.listen and len(keeper.bridge.controllers) > 1:
            found.append(f"it has other controllers besides ({', '.join(keeper.bridge.controllers)})")
        if keeper.others:
            tables = ", ".join(map(str, keeper.others))
            found.append(f"others have rules in table {tables}, which may lead round what is held here")
        if keeper.missing_ports:
            found.append(f"it has no port {', '.join(keeper.missing_ports)}")
        if self._full:
            found.append(f"it had no room: {self._full}")
        return found

    def tick(self, now: int) -> Sequence[int]:
        """Never blocks."""
        self._keeper.start()
        self._keeper.expired(now)
        return self._keeper.gone()

    def close(self) -> None:
        """The rules stay, and end by themselves."""
        self._keeper.close()


def _seconds(left: float) -> int:
    """As a hard time-out: 16 bits; what holds longer is pushed again in time."""
    return max(1, min(ceil(left), _LONGEST))
