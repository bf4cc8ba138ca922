"""A time that does not jump when somebody sets the clock: the controller's, as its last tick told it, and what has
gone by since."""

from __future__ import annotations

import time
from collections.abc import Callable


class Steady:
    """``clock``: nanoseconds UTC; it counts only until the first ``told``."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._told: tuple[int, int] | None = None

    def told(self, now: int) -> None:
        """``now``: of a tick, nanoseconds."""
        self._told = (now, time.monotonic_ns())

    def __call__(self) -> int:
        if self._told is None:
            return self._clock()
        now, then = self._told
        return now + time.monotonic_ns() - then
