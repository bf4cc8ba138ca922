"""Casework beside the runner: a thread of its own that follows what the engines stored, and never holds them up."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from andon.learn.feedback.shelf import in_use
from andon.records.case import LEVELS, Case
from andon.records.contract import Site, duration_ns
from andon.run.casework import Casework, Stored
from andon.run.casework.intake import LiveIntake
from andon.run.live.config import TriageTable
from andon.run.live.records import RecordFiles
from andon.run.live.trouble import Troubles, passes
from andon.share.case_notice import KIND, case_message
from andon.store.casebook import Casebook, Message
from andon.store.casebook.case_records import Conflict
from andon.store.errors import StoreError

_UPKEEP = 300.0  # seconds between two looks for alerts that are too old, and for models that were promoted
_BEHIND = 120.0  # seconds without getting on, after which that is said
_AGAIN = 60.0  # seconds after a failure that should not be


@dataclass
class Follower:
    """``intake`` puts alerts and episodes into the casebook, ``work()`` makes who makes cases of them. What passes (a
    full disk, an analyst who changes the same case again and again) is told in ``troubles`` and tried again. So is what
    should not be: capture and engines go on without cases, and whoever looks at the status reads why."""

    intake: LiveIntake
    work: Callable[[], Casework]
    every: float  # seconds
    keep: tuple[int, int, int]  # ns: alerts, episodes in no case, closed cases
    now: Callable[[], int]
    troubles: Troubles
    promoted: Callable[[], str] = lambda: ""  # what to say of models that are not in use yet
    whole: bool = False  # at the end take in everything that is there, however long it takes
    log: Callable[[str, dict[str, Any]], None] = lambda event, values: None
    stopping: threading.Event = field(default_factory=threading.Event)
    bell: threading.Event = field(default_factory=threading.Event)  # rung when cases were written
    opened: int = 0
    _made: Casework | None = None
    _kept: float = -1e9
    _failed: float = -1e9
    _moved: tuple[int, float] = (0, -1.0)  # how far it was, and since when

    def run(self) -> None:
        """Until ``stopping`` is set; then once more, for what the engines stored last."""
        while not self.stopping.wait(self.every):
            self.once()
        self._failed = -1e9
        self.once()

    def once(self) -> None:
        """Take in what is there, make cases of it, drop alerts that are too old."""
        if time.monotonic() - self._failed < _AGAIN:
            return
        try:
            self.intake.alerts()
            if self.intake.missing:
                text = (
                    f"{self.intake.missing:,} tables of episodes are gone from tables/; they are in no case"
                )
                self.troubles.say("episodes", text)
            if self._made is None:
                self._made = self.work()
            # First what an earlier life stored and made no cases of, then span by span: as if nothing had happened.
            self._judge(self._made)
            while self.intake.episodes():
                self._judge(self._made)
                if self.stopping.is_set() and not self.whole:
                    break
            if time.monotonic() - self._kept >= _UPKEEP:
                self._kept = time.monotonic()
                self.intake.book.expire(*(self.now() - life for life in self.keep))
                self.troubles.say("models", self.promoted())
            self.troubles.say("casework", "")
        except StoreError as error:
            if not (passes(error) or isinstance(error, Conflict)):
                raise
            self.troubles.say("casework", str(error))
        except Exception as error:
            # Whatever it holds in memory may be half a step: it begins anew from the casebook.
            self._made, self._failed = None, time.monotonic()
            what = f"{type(error).__name__}: {error}"
            self.log("casework", {"failed": what, "where": traceback.format_exc(limit=-3)})
            self.troubles.say(
                "casework", f"no cases are made ({what}); it is tried again every minute, and alerts wait"
            )

    def _judge(self, work: Casework) -> None:
        done = work.run(self.intake.judged_through)
        self.opened += done.opened
        if done.opened or done.changed:
            self.bell.set()

    def look(self) -> int:
        """Segments whose alerts are not in the casebook yet; that they stay so is told in ``troubles``."""
        there, behind = self.intake.taken, max(self.intake.reached() - self.intake.taken, 0)
        if there != self._moved[0] or not behind or self._moved[1] < 0:
            self._moved = there, time.monotonic()
        since = time.monotonic() - self._moved[1]
        text = (
            f"alerts of {behind:,} segments wait for the casebook since {since / 60:.0f} minutes; their files in "
            "records/ are kept until they are in it"
        )
        self.troubles.say("alerts", text if since > max(_BEHIND, 3 * self.every) else "")
        return behind


def follower(
    table: TriageTable,
    book: Casebook,
    site: Site,
    stored: Stored,
    records: RecordFiles,
    reached: Callable[[], int],
    now: Callable[[], int],
    troubles: Troubles,
    whole: bool = False,
    log: Callable[[str, dict[str, Any]], None] = lambda event, values: None,
) -> Follower | None:
    """As ``[triage]`` of the configuration has it; None if it wants no cases."""
    if not table.cases:
        return None
    return Follower(
        LiveIntake(book, stored, records, reached),
        lambda: Casework(book, stored, site, notify=messages(table.sinks, table.level)),
        duration_ns(table.every) / 1e9,
        (duration_ns(table.keep_alerts), duration_ns(table.keep_episodes), duration_ns(table.keep_cases)),
        now,
        troubles,
        partial(newer_models, book, in_use(book)),
        whole,
        log,
    )


def newer_models(book: Casebook, used: Mapping[str, str]) -> str:
    """What to say if other models are promoted by now than those that were at the start; "" if the same are.
    Raises StoreError."""
    now = in_use(book)
    kinds = sorted(kind for kind in {*now, *used} if now.get(kind) != used.get(kind))
    if not kinds:
        return ""
    return f"another model was promoted ({', '.join(kinds)}): it is used once `andon run` is started again"


def messages(sinks: Sequence[str], least: str) -> Callable[[Case], Sequence[Message]]:
    """A function from a case that is to be acted on to its messages, one per sink, from a level on."""

    def made(case: Case) -> Sequence[Message]:
        if not sinks or LEVELS.index(case.level or LEVELS[0]) < LEVELS.index(least):
            return ()
        told = case_message(case)
        return [
            Message(
                f"case-{case.id}-{case.version}", sink, KIND, told.subject, told.text, json.loads(told.json)
            )
            for sink in sinks
        ]

    return made
