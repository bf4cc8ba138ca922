"""The nft enforcer: intents as elements of sets with a timeout, in a table of its own, through libnftables.

A change is one transaction of the kernel, so that many intents come and go together, and so does the kill switch. The
kernel itself ends what has had its time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

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
from andon.contain.enforcers.nft.base import base_commands
from andon.contain.enforcers.nft.elements import (
    Element,
    digest,
    elements_of,
    missing_setting,
    open_paths,
    sides_of,
)
from andon.contain.enforcers.nft.held import Change
from andon.contain.enforcers.nft.library import Library, NotHere
from andon.contain.enforcers.nft.place import Place
from andon.contain.enforcers.nft.settings import GATEWAY, Settings
from andon.contain.enforcers.nft.shapes import shape_commands
from andon.contain.enforcers.nft.tables import Tables
from andon.contain.enforcers.steady import Steady
from andon.records import intent as words
from andon.records.intent import ACTIONS, Intent

T = TypeVar("T")


class NftEnforcer:
    """See docs/enforcer-nft.md. ``clock``: nanoseconds UTC, by which an intent's end is known."""

    def __init__(self, name: str, settings: Settings, clock: Callable[[], int] = time.time_ns) -> None:
        self._name = name
        self._settings = settings
        self._place = Place(settings.netns, settings.library, settings.patience)
        self._now = Steady(clock)
        self._tables = Tables(settings, self._place, self._now)
        self._supports = _supports(settings)
        self._watch: Future[list[int]] | None = None
        self._pause = 0.0  # monotonic time before which tick does not look

    @property
    def name(self) -> str:
        return self._name

    @property
    def supports(self) -> frozenset[tuple[str, str]]:
        return self._supports

    @property
    def limits(self) -> Limits:
        return Limits(self._settings.max_elements)

    @property
    def control(self) -> tuple[str, ...]:
        """Where traffic is redirected or copied to: whoever cuts these off takes the redirection with them."""
        endpoints = [*(self._settings.proxy or {}).values(), *(self._settings.page or {}).values()]
        found = [one.address for one in endpoints if one.address is not None]
        found += [*(self._settings.sinkhole or {}).values(), *(self._settings.mirror or {}).values()]
        return tuple(dict.fromkeys(map(str, found)))

    def base(self) -> tuple[str, ...]:
        """The table without any intent, as commands; ``apply`` makes it when it is first needed."""
        return tuple(f"nft '{one}'" for one in base_commands(self._settings))

    def plan(self, intent: Intent) -> Plan:
        if (intent.action, intent.subject.kind) not in self.supports:
            lacks = missing_setting(intent, self._settings)
            raise NotExpressible(
                lacks or f"{intent.action} of a {intent.subject.kind} is not for a packet filter"
            )
        sides = sides_of(intent)
        elements = elements_of(intent, sides, self._settings)
        shapes = dict.fromkeys(one.shape for one in elements if one.shape not in self._tables.first)
        change, inverse = Change(self._settings.table), Change(self._settings.table)
        change.note(intent.id, intent.ttl / 1e9, fresh=True)
        inverse.forget(intent.id)
        for element in elements:
            change.put(element, (intent.id,), intent.ttl / 1e9, fresh=True)
            inverse.remove(element)
        made = [line for shape in shapes for line in shape_commands(shape, self._settings)]
        return Plan(
            intent=intent,
            enforcer=self._name,
            commands=tuple(f"nft '{line}'" for line in (*made, *change.commands())),
            inverse=tuple(f"nft '{line}'" for line in inverse.commands() if line.startswith("delete")),
            touched=self._touched(intent, elements),
            open_paths=open_paths(intent, sides, self._settings),
            rules=len(elements) + 1,
            native=elements,
        )

    def _touched(self, intent: Intent, elements: Sequence[Element]) -> tuple[str, ...]:
        settings = self._settings
        where = "forwarded by this gateway" if settings.mode == GATEWAY else "of this host"
        place = f" of namespace {settings.netns}" if settings.netns else ""
        made = [
            f"packets {where} that match {len(elements)} element{'s' * (len(elements) > 1)} in table "
            f"{settings.table}{place}"
        ]
        if intent.action == words.PROXY:
            made.append("tcp/443 goes on past the proxy; udp/443 (QUIC) is dropped")
        return tuple(made)

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        began = time.perf_counter()
        self._call(lambda library: self._tables.apply(library, plans))
        seconds = time.perf_counter() - began
        return [
            Receipt(one.intent.id, self._name, digest(one.native), seconds, {"elements": len(one.native)})
            for one in plans
        ]

    def revoke(self, intents: Sequence[int]) -> None:
        self._call(lambda library: self._tables.revoke(library, intents))

    def _call(self, work: Callable[[Library], T]) -> T:
        library = self._place.here()
        if library is not None:
            with contextlib.suppress(NotHere):
                if self._tables.current():
                    return work(library)
        return self._place.call(work)

    def revoke_all(self) -> None:
        self._place.call(self._tables.clear)

    def verify(self, receipt: Receipt) -> bool:
        return self._call(lambda library: self._tables.verify(library, receipt))

    def actual(self) -> Mapping[int, str]:
        def work(library: Library) -> dict[int, str]:
            self._tables.sync(library)
            return self._tables.held.digests(time.monotonic())

        return self._call(work)

    def health(self) -> Health:
        tables = self._tables
        try:
            self._place.call(tables.sync)
        except (Unreachable, Rejected) as error:
            return Health(DOWN, str(error), tables.epoch)
        held, table = tables.held, self._settings.table
        rules = len(held.owners) + len(held.until)
        detail = {"library": tables.version, "table": table, "intents": len(held.until)}
        state, statement = OK, ""
        if not held.present and tables.made:
            state, statement = DOWN, f"table {table} was removed by somebody; applying anew makes it again"
        elif not held.present:
            statement = f"no table {table} yet: the first intent makes it"
        elif not held.whole:
            state = DOWN
            statement = f"chains or sets of table {table} were changed by somebody; applying anew mends them"
        elif tables.bypass:
            state = DEGRADED
            statement = "a flowtable offloads connections: those that are open pass no chain until they end"
        elif rules > 0.9 * self._settings.max_elements:
            state, statement = DEGRADED, f"{rules} of {self._settings.max_elements} elements are in use"
        return Health(state, statement, tables.epoch, rules, detail)

    def tick(self, now: int) -> Sequence[int]:
        """The kernel expires by itself; this tells what has ended, and what somebody else took away. The kernel is
        asked in the thread, and the answer is fetched by a later tick."""
        self._now.told(now)
        ended: list[int] = []
        moment = time.monotonic()
        if not self._tables.lock.acquire(blocking=False):
            return ()
        try:
            if self._watch is not None and self._watch.done():
                with contextlib.suppress(Unreachable, Rejected):
                    # What was missed a moment ago may have been put back meanwhile.
                    ended += [one for one in self._watch.result() if one not in self._tables.held.until]
                self._watch = None
            ended += self._tables.held.expired(moment)
        finally:
            self._tables.lock.release()
        if self._watch is None and self._tables.made and moment >= self._pause and self._place.idle:
            self._pause = moment + 0.5
            self._watch = self._place.start(self._look)
        return list(dict.fromkeys(ended))

    def _look(self, library: Library) -> list[int]:
        began = time.monotonic()
        before = set(self._tables.held.until)
        self._tables.sync(library)
        # Others who change their own rules all the time must not make us read ours all the time.
        took = time.monotonic() - began
        self._pause = began + took + max(0.5, 20 * took)
        return sorted(before - set(self._tables.held.until))

    def close(self) -> None:
        self._place.close()


def _supports(settings: Settings) -> frozenset[tuple[str, str]]:
    absent = {
        words.PROXY: settings.proxy is None, words.SINKHOLE: settings.sinkhole is None,
        words.MIRROR: settings.mirror is None,
    }  # fmt: skip
    return frozenset(
        (action, kind)
        for action in ACTIONS
        if not absent.get(action, False)
        for kind in words.PARTIES
        if kind != words.URL
    )
