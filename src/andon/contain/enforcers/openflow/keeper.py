"""Keeps one switch as it is to be: connects, pushes the pipeline and what is held, watches, and mends.

A thread of its own. After a lost connection, a restart of the switch, or rules deleted by other hands, the pipeline
and everything held go back in one bundle: at no moment does the switch forward what it should cut. A switch that
comes up empty in secure fail mode forwards nothing at all until then, so the last table goes first.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import ceil
from time import monotonic
from typing import Final

from andon.contain.contract import Rejected, Unreachable
from andon.contain.enforcers.openflow import wire
from andon.contain.enforcers.openflow.book import Book, Entry
from andon.contain.enforcers.openflow.dial import Listener, dial
from andon.contain.enforcers.openflow.ovsdb import Bridge, ask_bridge
from andon.contain.enforcers.openflow.pipeline import BASE, BASE_MASK, MARK, base_rules
from andon.contain.enforcers.openflow.rule import Key, Rule
from andon.contain.enforcers.openflow.session import Refused, Session
from andon.contain.enforcers.openflow.settings import Settings
from andon.contain.enforcers.openflow.wire import Removed, Stat

_LONGEST: Final = (
    65_535  # seconds that a hard time-out can have; what holds longer is pushed again at half of it
)
_RARE: Final = 5  # checks between two of the costlier kind
_DIAL: Final = 2.0  # seconds
_STABLE: Final = (
    2.0  # seconds: a connection that lasted as long was a good one, and the next try comes at once
)


def cookie_of(number: int) -> int:
    return MARK | number


class Keeper:
    """``clock``: ns, UTC. ``lock`` is held for every exchange of messages and every change of the book."""

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        self.settings = settings
        self.base: Final = base_rules(settings)
        self.book = Book()
        self.lock = threading.RLock()
        self.session: Session | None = None
        self.epoch = 0
        self.flushes = 0  # how often rules of ours were gone
        self.trouble = "not connected yet"  # why there is no session
        self.failing = ""  # why the switch is not as it is to be
        self.piped = False  # the pipeline is there
        self.others: tuple[int, ...] = ()  # tables of ours in which others have rules
        self.missing_ports: tuple[str, ...] = ()
        self.bridge: Bridge | None = None
        self.bridge_trouble = ""
        self.seen: dict[int, dict[Key, Rule]] = {}  # rules of intents that we have not been told to hold
        self.tried = threading.Event()  # one attempt to connect is over
        self._clock = clock
        self._told: tuple[int, float] | None = None  # the time and when we were told, monotonic seconds
        self._pushed: dict[int, float] = {}  # when the time-outs of an intent's rules end, monotonic seconds
        self._changes = 0  # of what is to be there; a count begun before one says nothing
        self._doomed: set[int] = set()  # to be taken away as soon as that is possible
        self._doom_all = False
        self._missing: set[int] = set()  # intents that could not be put back, and have been told of
        self._removed: deque[Removed] = deque(maxlen=100_000)
        self._gone: deque[int] = deque(maxlen=100_000)  # intents that are held no more, for tick
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._listener: Listener | None = None

    # For the enforcer

    def start(self) -> None:
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._work, name="openflow-keep", daemon=True)
            self._thread.start()

    def connected(self, seconds: float) -> Session:
        """The session; waits for it. Raises Unreachable."""
        self.start()
        start = monotonic()
        while True:
            session = self.session
            if session is not None and not session.ended.is_set():
                return session
            # Who has failed once is not waited for as long.
            patience = min(seconds, 0.5) if self.tried.is_set() else seconds
            if monotonic() - start >= patience or self._closed.is_set():
                raise Unreachable(self.trouble)
            self._closed.wait(0.005)

    def gone(self) -> list[int]:
        """Intents that stopped being held since the last call. Never blocks."""
        found = []
        with suppress(IndexError):
            while True:
                found.append(self._gone.popleft())
        return list(dict.fromkeys(found))

    def now(self) -> int:
        """ns, UTC, by the time that ``tick`` was last told, which does not jump when somebody sets the clock."""
        told = self._told
        return self._clock() if told is None else told[0] + round((monotonic() - told[1]) * 1e9)

    def expired(self, now: int) -> None:
        """Let go of what ended by ``now`` (ns, UTC). Never blocks."""
        self._told = (now, monotonic())
        if self.lock.acquire(blocking=False):
            try:
                over = [entry.id for entry in self.book if entry.until <= now]
                self._doomed.update(over)
                self._gone.extend(over)
            finally:
                self.lock.release()
            if over:
                self._wake.set()

    def doom(self, numbers: Sequence[int] | None) -> None:
        """Take these (None: all) away as soon as the switch is there again."""
        with self.lock:
            if numbers is None:
                self.book.clear()
                self._doom_all = True
            else:
                for number in numbers:
                    self.book.drop(number)
                self._doomed.update(numbers)
        self._wake.set()

    def wanted_again(self, numbers: Iterable[int]) -> None:
        """What was to be taken away is to be held after all. The lock is held."""
        self._doomed.difference_update(numbers)

    def push(self, keys: set[Key], after: Sequence[bytes] = ()) -> None:
        """Make these rules of the switch what the book says, then send ``after``, as one change. The lock is held.

        Raises Rejected, Unreachable."""
        session = self.connected(0.0)
        self._changes += 1
        wanted = self.book.wanted(keys)
        session.commit([*(self._added(rule, entry) for rule, entry in wanted), *after])
        self._note(entry for _, entry in wanted)

    def _note(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._pushed[entry.id] = min(entry.deadline, monotonic() + _LONGEST)

    def _added(self, rule: Rule, entry: Entry) -> bytes:
        left = ceil(entry.deadline - monotonic())
        return wire.flow_mod(0, rule, cookie_of(entry.id), seconds=max(1, min(left, _LONGEST)))

    def read(self) -> list[Stat]:
        """Every rule of an intent, in our tables. The lock is held. Raises Unreachable."""
        ours = self.settings.tables.ours
        found = [stat for stat in self.connected(0.0).flows(MARK, MARK) if stat.rule.table in ours]
        self.seen = {}
        for stat in found:
            number = stat.cookie & ~MARK
            if number not in self.book:
                self.seen.setdefault(number, {})[stat.rule.key] = stat.rule
        return found

    def close(self) -> None:
        self._closed.set()
        self._wake.set()
        session = self.session
        if session is not None:
            session.end("closed")
        if self._thread is not None:
            self._thread.join(10.0)

    # The thread

    def _work(self) -> None:
        longest = 0.25 if self.settings.connect and self.settings.connect.kind == "unix" else 1.0
        pause = 0.02
        while not self._closed.is_set():
            session: Session | None = None
            start = monotonic()
            try:
                session = self._opened()
                if session is None:
                    continue
                self._serve(session)
                self.trouble = session.reason
            except (Unreachable, Rejected) as error:
                self.trouble = str(error)
            except Exception as error:  # whatever it was: who keeps the switch must not die of it
                self.trouble = f"unforeseen: {error!r}"
            finally:
                self.session = None
                if session is not None:
                    session.close()
                self.tried.set()
            self._closed.wait(pause)
            pause = 0.02 if monotonic() - start > _STABLE else min(pause * 1.7, longest)
        if self._listener is not None:
            self._listener.close()

    def _opened(self) -> Session | None:
        """A session whose handshake is done. Raises Unreachable, Rejected."""
        if self.settings.connect is not None:
            sock = dial(self.settings.connect, self.settings, _DIAL)
        else:
            if self._listener is None and self.settings.listen is not None:
                self._listener = Listener(self.settings.listen, self.settings)
            accepted = self._listener.accept(0.2) if self._listener else None
            if accepted is None:
                self.trouble = f"no switch has called {self.settings.listen} yet"
                return None
            sock = accepted
        session = Session(sock, self._heard, self._wake.set)
        try:
            session.start(self.now())
            self._suits(session)
        except BaseException:
            session.close()
            raise
        return session

    def _suits(self, session: Session) -> None:
        """Raises Rejected."""
        tables, features = self.settings.tables, session.features
        needed = max(*tables.ours, tables.forward) + 1
        if features.tables < needed:
            raise Rejected(
                f"the switch has {features.tables} tables and the pipeline needs {needed}: set lower numbers under"
                " tables, or contain at another place; a switch with fewer than four cannot hold it"
            )
        wanted = self.settings.datapath
        if wanted is not None and features.datapath != wanted:
            raise Rejected(f"datapath {features.datapath:016x} called, not {wanted:016x}")

    def _serve(self, session: Session) -> None:
        with self.lock:
            self.session = session
            self.epoch += 1
            self._removed.clear()
            self._mend(session, fresh=True)
        with suppress(Rejected):
            there = session.ports()
            stations = self.settings.stations
            self.missing_ports = tuple(
                f"{port} ({use})" for use, port in stations.items() if port not in there
            )
        self._ask_bridge()
        self.tried.set()
        turn = 0
        following = monotonic()
        while not self._closed.is_set() and not session.ended.is_set():
            self._wake.wait(max(0.0, following - monotonic()))
            self._wake.clear()
            if session.ended.is_set() or self._closed.is_set():
                break
            with self.lock:
                dirty = self._look_at_removed()
                if self._doomed or self._doom_all:
                    self._execute(session)
                if dirty:
                    self._mend(session)
            if monotonic() >= following:
                with suppress(Rejected):
                    self._check(session, rarely=turn % _RARE == 0)
                if turn % _RARE == 0:
                    self._ask_bridge()
                turn += 1
                following = monotonic() + self.settings.check

    def _heard(self, removed: Removed) -> None:
        self._removed.append(removed)
        self._wake.set()

    def _look_at_removed(self) -> bool:
        """What the switch said is gone; whether something of it has to come back."""
        dirty = False
        while True:
            try:
                one = self._removed.popleft()
            except IndexError:
                return dirty
            if not one.cookie & MARK:
                dirty |= one.cookie & BASE_MASK == BASE
                continue
            entry = self.book.get(one.cookie & ~MARK)
            if entry is None or (one.table, one.priority, one.match) not in entry.rules:
                continue  # we took it away ourselves
            if one.reason == wire.REMOVED_TIME and entry.deadline <= monotonic() + 1.5:
                self.book.drop(entry.id)
                self._doomed.add(entry.id)
                self._gone.append(entry.id)
            else:
                self._gone.append(entry.id)
                dirty = True

    def _execute(self, session: Session) -> None:
        """Take away what is to go. Keeps what could not be for the next time. Raises Unreachable."""
        numbers, everything = set(self._doomed), self._doom_all
        touched: set[Key] = set()
        for number in numbers:
            touched |= self.book.drop(number)
            self._pushed.pop(number, None)
        try:
            self.push(touched, after=self.deletions(None if everything else sorted(numbers)))
        except Rejected as error:
            self.failing = f"it does not let go: {error}"
            return
        self._doomed -= numbers
        self._doom_all = self._doom_all and not everything
        if everything and len(self.book):
            self._mend(session)  # held since, and swept away with the rest

    def deletions(self, numbers: Sequence[int] | None) -> list[bytes]:
        """Messages that take away intents (None: all), in our tables, whoever put them there."""
        if numbers is None:
            return [wire.delete(0, MARK, MARK, table) for table in self.settings.tables.ours]
        return [wire.delete(0, cookie_of(number)) for number in numbers]

    def _check(self, session: Session, rarely: bool) -> None:
        """Whether the switch lives and everything is there. Nobody waits for it: the lock is free while it asks.

        Raises Refused, Unreachable."""
        tables, before = self.settings.tables.ours, self._changes
        asked = [(MARK, MARK, table) for table in tables[:3]]
        asked += [(BASE, BASE_MASK, table) for table in tables]
        asked += [(0, 0, table) for table in tables[:3]] if rarely else []
        counts = session.watch(asked, 3.0)
        marked, base, every = counts[:3], counts[3 : 3 + len(tables)], counts[3 + len(tables) :]
        with self.lock:
            if self._changes != before:
                return  # what was counted is not what is to be any more; there is a next time
            foreign = sum(len(rules) for rules in self.seen.values())
            if self.failing or sum(base) != len(self.base) or sum(marked) != self.book.rules + foreign:
                self._mend(session)
            half = monotonic() + _LONGEST / 2
            ending = [
                one for one in self.book if self._pushed.get(one.id, half) < min(half, one.deadline - 1)
            ]
            if ending:
                self.push({key for entry in ending for key in entry.rules})
        if rarely:
            ours = (one + other for one, other in zip(marked, base, strict=False))
            self.others = tuple(
                table for table, own, all_ in zip(tables, ours, every, strict=False) if all_ > own
            )

    def _mend(self, session: Session, fresh: bool = False) -> None:
        """Compare what is there with what is to be, and push the difference. Raises Unreachable."""
        self._changes += 1
        for number in self._doomed:
            self.book.drop(number)
        there = {stat.rule.key: stat for stat in session.flows(BASE, BASE_MASK)}
        wanted = {rule.key: rule for rule in self.base}
        base = [
            rule
            for rule in self.base
            if rule.key not in there or there[rule.key].rule.canonical != rule.canonical
        ]
        old = [stat for key, stat in there.items() if key not in wanted]
        stats = self.read()
        if fresh:
            self._adopt(stats)
        marked = {stat.rule.key: stat for stat in stats}
        held, lost = [], set()
        for rule, entry in self.book.wanted():
            found = marked.get(rule.key)
            if found is None or found.rule.canonical != rule.canonical or found.cookie != cookie_of(entry.id):
                held.append((rule, entry))
                lost.add(entry.id)
        # Rules of intents that we hold, which those no more need.
        stale = []
        for key, stat in marked.items():
            holder = self.book.get(stat.cookie & ~MARK)
            if holder is not None and key not in holder.rules:
                stale.append(stat)
        if (base or lost - self._missing) and not fresh:
            self.flushes += 1
            self.epoch += 1
            self._gone.extend(lost - self._missing)
        changes = [wire.flow_mod(0, rule, BASE) for rule in base]
        additions = [self._added(rule, entry) for rule, entry in held]
        removals = [
            wire.flow_mod(0, stat.rule, stat.cookie, command=wire.DELETE_STRICT) for stat in [*stale, *old]
        ]
        if self._doomed or self._doom_all:
            removals += self.deletions(None if self._doom_all else sorted(self._doomed))
            if self._doom_all:
                removals, additions = removals + additions, []
        # Where there is no bundle, what is cut is cut before the first table leads anywhere.
        try:
            session.commit([*changes[:-1], *additions, *changes[-1:], *removals])
            self._doomed, self._doom_all = set(), False
            self.failing, self.piped, self._missing = "", True, set()
        except Rejected as error:
            self.failing = str(error)
            self._mend_apart(session, changes, held)
            self._missing = lost
        self._note(entry for _, entry in held)

    def _adopt(self, stats: Sequence[Stat]) -> None:
        """Hold on to intents found at the switch, which somebody before us was told to hold, until they end or we are
        told otherwise: a flush must not undo them while nobody has told us of them yet."""
        now, moment = self.now(), monotonic()
        for number, rules in self.seen.items():
            if number in self._doomed or self._doom_all:
                continue
            own = [stat for stat in stats if stat.cookie == cookie_of(number)]
            left = max(1, *((stat.hard or _LONGEST) - stat.age for stat in own))
            self.book.put(Entry(number, rules, now + left * 1_000_000_000, moment + left))
            self._pushed[number] = moment + left
        self.seen = {}

    def _mend_apart(
        self, session: Session, changes: Sequence[bytes], held: Sequence[tuple[Rule, Entry]]
    ) -> None:
        """The pipeline first, so that the network runs; then one intent after another, as far as it goes."""
        try:
            session.commit(changes)
        except Rejected as error:
            self.failing, self.piped = f"the pipeline is not taken: {error}", False
            return
        self.piped = True
        groups: dict[int, list[bytes]] = {}
        for rule, entry in held:
            groups.setdefault(entry.id, []).append(self._added(rule, entry))
        for number, additions in groups.items():
            try:
                session.commit(additions)
            except Refused as error:
                self.failing = f"intent {number:016x}: {error}"
                if number not in self._missing:
                    self._gone.append(number)

    def _ask_bridge(self) -> None:
        if self.settings.ovsdb is None:
            return
        try:
            self.bridge = ask_bridge(self.settings.ovsdb, self.settings.bridge, self.settings)
            self.bridge_trouble = ""
        except Unreachable as error:
            self.bridge, self.bridge_trouble = None, str(error)
