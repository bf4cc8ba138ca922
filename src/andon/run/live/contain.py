"""Containment beside the runner: one thread follows cases, in another the controller takes its turns.

A case that changed is considered within a tenth of a second: casework rings when it has written something. How far it
came is a cursor in the casebook that moves after the intents are on disk, and a case that is considered twice gives
nothing new; so a kill in between loses and doubles nothing. What an analyst closes as a false alarm is taken back.

Cases in which nothing was seen for a while (``[contain] act_within``) are left alone: a first start on an old casebook
cuts nobody. A case that cannot be judged holds up no other. The controller's turns wait for neither the casebook nor
the tables: the kill switch, ends and approvals go on whatever those do.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from andon.contain.controller.judging import person
from andon.records.case import BENIGN, CLOSED, FALSE, OPEN, Case
from andon.records.contract import Site, duration_ns
from andon.records.triage import ACT, INSPECT
from andon.run.containment import Built, built
from andon.run.containment.build import exists, forgeable
from andon.run.containment.material import material_of
from andon.run.live.config import Config
from andon.run.live.contain_tell import ACTOR, TOLD_CURSOR, Teller
from andon.run.live.trouble import Troubles, passes
from andon.store.casebook import Casebook
from andon.store.errors import StoreError
from andon.store.intents import Conflict

__all__ = ["CURSOR", "TOLD_CURSOR", "Containment", "Teller", "containment", "material_of"]

CURSOR = "containment.cases"
_TURN: Final = 0.1  # seconds
_PAGE: Final = 200
_RENEW: Final = 300.0  # seconds between two looks at leases, lists and tables
_AGAIN: Final = 5.0  # seconds after the casebook could not be read
_LAST: Final = 10.0  # seconds, at most, for what casework wrote last, at the end
_UNJUDGED: Final = 1000  # cases that could not be judged and are tried again


@dataclass
class Containment:
    """``bell`` is rung by whoever wrote cases. ``log(event, values)`` hears what happens. ``within``: ns since
    something was last seen in a case, beyond which nothing is done about it by itself."""

    made: Built
    book: Casebook
    teller: Teller
    now: Callable[[], int]
    log: Callable[[str, dict[str, Any]], None]
    troubles: Troubles
    within: int
    bell: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _renewed: float = field(default_factory=time.monotonic)
    _reading: threading.Thread | None = None
    _waits: dict[str, float] = field(default_factory=dict)
    _seen: int = -1
    _alarmed: set[str] = field(default_factory=set)
    _unjudged: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Until ``stopping`` is set, and then what casework wrote last. What is in force stays, until its time is
        over."""
        steps = threading.Thread(target=self._step_on, name="containment steps")
        steps.start()
        try:
            while not self.stopping.is_set():
                self.bell.wait(_TURN)
                self.bell.clear()
                self.cases()
            self._finish()
        finally:
            self._ended.set()
            steps.join()
            if self._reading is not None:
                self._reading.join(
                    _LAST / 5
                )  # it changes nothing; what is not read by then is not needed any more
            self.made.close()

    def once(self) -> None:
        """One turn: new cases, then the controller's."""
        self.cases()
        self.step()

    def cases(self) -> None:
        """New cases, leases and tables, what is to be told: what of these cannot be done now keeps no other from being
        done, and is tried again."""
        self._part("cases are not looked at for containment", self._follow)
        self._part("what follows new leases and tables is not done", self._renew)
        self._part("sinks are not told of containment", lambda: self.teller.once(self.made.log))

    def step(self) -> None:
        """The controller's turn."""
        try:
            self.made.controller.step()
            self.troubles.say("containment step", "")
        except (
            Exception
        ) as error:  # nothing may end this thread: what is in force would not be watched any more
            self._failed("the controller's turn failed", error, "containment step")
        lasting = self.made.controller.alarms.active()
        for kind in {*self._alarmed, *(kind for kind, _ in lasting)}:
            self.troubles.say(
                f"containment {kind}", "; ".join(text for name, text in lasting if name == kind)
            )
        self._alarmed = {kind for kind, _ in lasting}

    def status(self) -> dict[str, Any]:
        """In short: the mode, intents by state, enforcers by health."""
        said = self.made.controller.status()
        enforcers = {
            name: {
                key: one.get(key, empty) for key, empty in (("state", ""), ("statement", ""), ("rules", 0))
            }
            for name, one in said["enforcers"].items()
        }
        kept = {key: said[key] for key in ("mode", "active", "alarms")}
        return {**kept, "intents": said["states"], "enforcers": enforcers}

    # ------------------------------------------------------------------ threads

    def _step_on(self) -> None:
        while not self._ended.wait(_TURN):
            self.step()

    def _finish(self) -> None:
        """What casework wrote between the last turn and the end; until it is written down, or for some seconds."""
        end = time.monotonic() + _LAST
        self._waits.clear()
        self.cases()
        while time.monotonic() < end and not self.made.controller.idle():
            time.sleep(_TURN / 5)
        self._part("sinks are not told of containment", lambda: self.teller.once(self.made.log))

    def _part(self, what: str, act: Callable[[], None]) -> None:
        if time.monotonic() < self._waits.get(what, 0.0):
            return
        try:
            act()
            self.troubles.say(what, "")
        except Exception as error:
            self._waits[what] = time.monotonic() + _AGAIN
            self._failed(f"{what}; it is tried again, what is in force stays", error, what)

    def _failed(self, text: str, error: Exception, part: str) -> None:
        if isinstance(error, StoreError | Conflict):
            if not passes(error):
                self.log("containment", {"failed": str(error)})
            self.troubles.say(part, f"{text} ({error})")
            return
        self.log("containment", {"failed": repr(error), "where": traceback.format_exc(limit=-3)})
        self.troubles.say(part, f"{text} ({type(error).__name__}: {error})")

    # ------------------------------------------------------------------ cases

    def _follow(self) -> None:
        if self._seen < 0:
            self._seen = self.book.cursor(CURSOR)
        end, old = time.monotonic() + _LAST, 0
        while True:
            changed, to = self.book.cases.since(self._seen, _PAGE)
            for case in changed:
                old += self._look(case)
            if to != self._seen:
                with self.book.work(ACTOR) as work:
                    work.move(CURSOR, to)
                self._seen = to
            if len(changed) < _PAGE or (self.stopping.is_set() and time.monotonic() > end):
                break
        if old:
            self.log(
                "contain",
                {"old_cases": old, "why": "nothing new was seen in them: nothing is done by itself"},
            )

    def _look(self, case: Case) -> bool:
        """Whether it is too old. One that cannot be judged must not keep those after it from being judged."""
        try:
            old = self._judge(case)
            self._unjudged.pop(case.id, None)
            return old
        except (StoreError, Conflict):
            raise
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self.log("containment", {"case": case.id, "failed": why, "where": traceback.format_exc(limit=-3)})
            self._unjudged[case.id] = why
            while len(self._unjudged) > _UNJUDGED:
                self._unjudged.pop(next(iter(self._unjudged)))
            self.made.controller.alarms.on(
                "cases", f"case {case.id} could not be judged for containment ({why}); the others go on"
            )
            return False

    def _judge(self, case: Case) -> bool:
        if case.state == OPEN and case.tier in (ACT, INSPECT):
            if case.last_seen < self.now() - self.within:
                return True
            for intent in self.made.controller.consider(case, material_of(self.book, case)):
                self.log("contain", {"intent": f"{intent.id:016x}", "action": intent.action, "case": case.id,
                                     "subject": intent.subject.value, "why": intent.reason})  # fmt: skip
        elif case.state == CLOSED:
            self._take_back(case)
        return False

    def _take_back(self, case: Case) -> None:
        """What was done for a case that turned out to be none, or for one that was merged into it."""
        verdicts = self.book.verdicts.of_many("case", [case.id]).get(case.id, ())
        if not verdicts or verdicts[-1].label not in (FALSE, BENIGN):
            return
        all_live = self.made.log.live()
        ours = self._merged_into(case.id, {state.intent.case for state in all_live} - {""})
        live = [state.intent.id for state in all_live if state.intent.case in ours]
        if live:
            why = f"case {case.id} was closed as {verdicts[-1].label}"
            self.made.controller.revoke(live, _person(verdicts[-1].analyst), why)
            self.log("contain", {"revoked": [f"{one:016x}" for one in live], "why": why})

    def _merged_into(self, id: str, cases: set[str]) -> set[str]:
        """``id``, and those of ``cases`` that are part of it by now."""
        found = self.book.cases.get_many(sorted(cases - {id}))
        merged = [case.id for case in found.values() if case.merged_into]
        return {id, *(one for one in merged if self.book.cases.root(one).id == id)}

    # ------------------------------------------------------------------ what is known of the site

    def _renew(self) -> None:
        """Read in a thread of its own: thirty days of tables take half a minute, and no case waits for that."""
        if self._reading is None:
            if time.monotonic() - self._renewed >= _RENEW:
                self._renewed = time.monotonic()
                what = "leases and tables are not looked at again"
                read = partial(self._part, what, lambda: self.made.renew(self.book, self.now()))
                self._reading = threading.Thread(target=read, name="containment site", daemon=True)
                self._reading.start()
        elif not self._reading.is_alive():
            self._reading = None
            self._renewed_now()

    def _renewed_now(self) -> None:
        self.made.log.retire(self.now() - duration_ns(self.made.config.contain.keep))
        for case in self.book.cases.get_many(list(self._unjudged)).values():
            self._look(case)
        if not self._unjudged:
            self.made.controller.alarms.over("cases", "all cases can be judged again")


def _person(name: str) -> str:
    """Who gave a verdict; verdicts that were taken in from elsewhere may bear any name."""
    try:
        person(name)
    except ValueError:
        return "an analyst"
    return name


def containment(
    config: Config,
    path: Path,
    site: Site,
    book: Casebook,
    now: Callable[[], int],
    log: Callable[[str, dict[str, Any]], None],
    troubles: Troubles,
) -> Containment | None:
    """As the configuration has it; None where nothing is to be contained. Raises ConfigError, StoreError."""
    if not config.enforcer and not exists(config):
        return None
    teller = Teller(book, config.contain.sinks, now)

    def alarm(kind: str, text: str) -> None:
        log("alarm", {"kind": kind, "text": text})
        teller.alarm(kind, text)

    made = built(config, path, site, book, alarm, now)
    for remark in forgeable(config):
        log("contain", {"remark": remark})
    return Containment(made, book, teller, now, log, troubles, duration_ns(config.contain.act_within))
