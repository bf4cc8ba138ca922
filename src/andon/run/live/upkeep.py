"""The slow side of the store: segments into the history, what is old out of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from andon.run.live.past import Past
from andon.store.casebook import Casebook
from andon.store.errors import StoreFull, StoreLocked, StoreReadOnly

_HOUR = 3600.0
_PASSING = (StoreFull, StoreReadOnly, StoreLocked)


@dataclass
class Upkeep:
    """``keep_ns``: how old packets may become, against ``now`` (ns): the clock or the newest packet, whichever is
    earlier, so that captures of last year are not thrown away at once; ``keep_bytes``: how large the history (0: as
    it comes).
    ``checkpointed``: the segment through which the engines have saved their state."""

    past: Past
    casebook: Casebook
    now: Callable[[], int]
    keep_ns: int
    keep_bytes: int
    every: float  # seconds
    checkpointed: Callable[[], int]
    trouble: str = ""
    appended: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until ``stopping`` is set; then once more."""
        compacted = time.monotonic()
        while not self.stopping.wait(self.every):
            self.once()
            if time.monotonic() - compacted >= _HOUR:
                compacted = time.monotonic()
                self._compact()
        self.once()

    def once(self) -> None:
        """Bring the history up to the journal and drop what is no longer needed. Trouble is kept in ``trouble``."""
        history = self.past.history
        try:
            through = self.checkpointed()
            if history is not None:
                with self.past.still:
                    self.appended += history.append(self.past.journal.segments(after=history.last_segment))
                    self.past.journal.drop_through(min(through, history.last_segment))
                oldest = self.now() - self.keep_ns
                history.expire(before_ns=oldest, keep_bytes=self.keep_bytes or None)
            else:
                with self.past.still:
                    self.past.journal.drop_through(through)
            self.trouble = ""
        except _PASSING as error:
            self.trouble = str(error)

    def _compact(self) -> None:
        try:
            if self.past.history is not None:
                self.past.history.compact()
            for path in self.casebook.forget(self.now() - 10 * self.keep_ns):
                del path  # tables stay as long as findings do
        except _PASSING as error:
            self.trouble = str(error)
