"""The slow side of the store: segments into the history, what is old out of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from andon.run.casework.intake import LiveIntake
from andon.run.live.past import Past
from andon.run.live.records import RecordFiles
from andon.run.live.tables import SpanTables
from andon.run.live.trouble import Troubles, passes
from andon.store.casebook import Casebook
from andon.store.errors import StoreError

_HOUR = 3600.0
_EXPIRE = 300.0  # seconds between two looks for what is too old: it lists the whole history


@dataclass
class Upkeep:
    """``keep_ns``: how old packets may become, against ``now`` (ns): the clock or the newest packet, whichever is
    earlier, so that captures of last year are not thrown away at once; ``keep_bytes``: how large the history (0: as
    it comes); ``keep_tables_ns``: how old tables of engines may become. ``checkpointed``: the segment through which the
    engines have saved their state."""

    past: Past
    casebook: Casebook
    tables: SpanTables
    now: Callable[[], int]
    keep_ns: int
    keep_bytes: int
    every: float  # seconds
    checkpointed: Callable[[], int]
    keep_tables_ns: int = 365 * 86_400 * 10**9
    troubles: Troubles = field(default_factory=Troubles)
    records: RecordFiles | None = None
    needed: LiveIntake | None = None  # who has to have read records before they go
    sent: Callable[[], int] | None = None  # the segment through which a bus has everything
    appended: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    _expired: float = -1e9

    def run(self) -> None:
        """Until ``stopping`` is set; then once more."""
        compacted = time.monotonic()
        while not self.stopping.wait(self.every):
            self.once()
            if time.monotonic() - compacted >= _HOUR:
                compacted = time.monotonic()
                self._do("compaction", self._compact)
        self.once()

    def once(self) -> None:
        """Drop what is too old, bring the history up to the journal, drop what the journal need not hold any more. What
        passes is kept in ``troubles`` and tried again the next time."""
        # First, and apart: where the disk is full, retention is what makes room.
        if time.monotonic() - self._expired >= max(_EXPIRE, self.every):
            self._expired = time.monotonic()
            self._do("retention", self._expire)
            self._do("tables", self._forget)
        self._do("history", self._append)

    def _do(self, part: str, work: Callable[[], None]) -> None:
        try:
            work()
            self.troubles.say(part, "")
        except StoreError as error:
            if not passes(error):
                raise
            self.troubles.say(part, str(error))

    def _append(self) -> None:
        history, journal = self.past.history, self.past.journal
        through = self.checkpointed()
        if history is not None:
            self.appended += history.append(journal.segments(after=history.last_segment))
            through = min(through, history.last_segment)
        if self.sent is not None:
            through = min(through, self.sent())
        with self.past.still:
            journal.drop_through(through)
        if self.records is not None:
            needed = through if self.needed is None else min(through, self.needed.through)
            self.records.drop_through(min(needed, journal.first - 1))

    def _expire(self) -> None:
        if self.past.history is not None:
            self.past.history.expire(before_ns=self.now() - self.keep_ns, keep_bytes=self.keep_bytes or None)

    def _compact(self) -> None:
        if self.past.history is not None:
            self.past.history.compact()

    def _forget(self) -> None:
        """Tables that are too old. Their rows go first, and with them a note of which files are to go: whatever dies
        between the two, no row names a file that is gone, and no file stays for ever."""
        self.casebook.forget(self.now() - self.keep_tables_ns)
        while paths := self.casebook.doomed():
            self.tables.remove(paths)
            self.casebook.deleted(paths)
