"""Time that does not jump, and when an intent ends by it.

The time of day can be set: by NTP after a boot without a battery, by hand, by somebody who wants a block to go away
or to stay. How long an intent holds is therefore measured by the clock since boot, which nobody can set and which the
log keeps beside the time of day: a jump of the time of day, forward or back, neither shortens nor prolongs what is
in force, also across a restart of the process. Only after a restart of the *machine* is there nothing but the time of
day; then the latest time in the log is a lower bound, so that a clock that was set back does not prolong. If that time
was wrong itself (ahead), the intent ends early: of the two errors the one that cuts nobody off.
"""

from __future__ import annotations

from collections.abc import Callable

from andon.store.intents import State

JUMP = 2_000_000_000  # ns between the clocks that count as a jump


class SteadyClock:
    """``now`` is the time of day at the last ``anchor`` plus what the clock since boot has counted since."""

    def __init__(self, wall: Callable[[], int], up: Callable[[], int]) -> None:
        self._wall, self.up = wall, up
        self._base = 0
        self.anchor()

    def now(self) -> int:
        """ns since 1970, UTC."""
        return self._base + self.up()

    def anchor(self) -> None:
        """Take the time of day again."""
        self._base = self._wall() - self.up()

    def jumped(self) -> int:
        """How far the time of day is ahead of (positive) or behind this clock, ns; 0 within two seconds."""
        off = self._wall() - self.now()
        return off if abs(off) > JUMP else 0


def ends(state: State, clock: SteadyClock, boot: str, latest: int) -> int:
    """When an intent ends, by the clock since boot (ns). ``boot``: id of this start; ``latest``: the latest time in the
    log. Never later than its whole time to live from now."""
    ttl, until = state.intent.ttl, state.intent.until
    up = clock.up()
    if boot and state.boot == boot:
        end = state.up * 1_000_000 + max(0, min(ttl, until - state.proposed))
    else:
        end = up + max(0, min(ttl, until - max(clock.now(), latest)))
    return min(end, up + ttl)
