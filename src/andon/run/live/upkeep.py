"""The slow side of the store: segments into the history, what is old out of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from andon.run.live.past import Past
from andon.store.casebook import Casebook
from andon.run.live.trouble import Troubles, passes
from andon.store.errors import StoreError

_HOUR = 3600.0
_EXPIRE = 300.0  # seconds between two looks for what is too old: it lists the whole history


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
    troubles: Troubles = field(default_factory=Troubles)
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
                self._compact()
        self.once()

    def once(self) -> None:
        """Bring the history up to the journal and drop what is no longer needed. What passes is kept in ``troubles``
        and tried again the next time."""
        try:
            self._once()
            self.troubles.say("history", "")
        except StoreError as error:
            self._trouble(error)

    def _once(self) -> None:
        history, journal = self.past.history, self.past.journal
        through = self.checkpointed()
        if history is not None:
            self.appended += history.append(journal.segments(after=history.last_segment))
            through = min(through, history.last_segment)
        with self.past.still:
            journal.drop_through(through)
        if history is not None and time.monotonic() - self._expired >= max(_EXPIRE, self.every):
            self._expired = time.monotonic()
            history.expire(before_ns=self.now() - self.keep_ns, keep_bytes=self.keep_bytes or None)

    def _compact(self) -> None:
        try:
            if self.past.history is not None:
                self.past.history.compact()
            self.casebook.forget(self.now() - 10 * self.keep_ns)  # table files stay as long as findings do
        except StoreError as error:
            self._trouble(error)

    def _trouble(self, error: StoreError) -> None:
        if not passes(error):
            raise error
        self.troubles.say("history", str(error))
