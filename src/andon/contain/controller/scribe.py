"""The thread that writes down what the enforcers did, so that none of them waits for the disk.

It is told which intents changed, not what happened: what to write is worked out from how things stand when it comes to
it. So nothing is lost while the disk is full, and several changes become one write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


class Scribe(threading.Thread):
    """``record(ids)`` writes, and gives those that have to be tried again."""

    def __init__(self, record: Callable[[set[int]], set[int]], pause: float = 0.5) -> None:
        super().__init__(name="scribe of intents", daemon=True)
        self._record, self._pause = record, pause
        self._cond = threading.Condition()
        self._dirty: set[int] = set()
        self._stopped = False
        self._working = False

    def mark(self, intents: Iterable[int]) -> None:
        """These changed. Never blocks."""
        with self._cond:
            self._dirty.update(intents)
            self._cond.notify_all()

    @property
    def waiting(self) -> int:
        """How many are not written down yet."""
        with self._cond:
            return len(self._dirty) + self._working

    def stop(self, seconds: float) -> None:
        """Writes what there is, once, and ends."""
        with self._cond:
            self._stopped = True
            self._cond.notify_all()
        if self.is_alive():
            self.join(seconds)

    def run(self) -> None:
        while True:
            with self._cond:
                while not self._dirty and not self._stopped:
                    self._cond.wait()
                if not self._dirty:
                    return
                dirty, self._dirty, self._working = self._dirty, set(), True
            again = self._record(dirty)
            with self._cond:
                self._working = False
                self._dirty |= again
                if self._stopped:
                    return
                if again:
                    self._cond.wait(self._pause)
