"""What listeners have in common: messages that others send become records, and what could not be read is told.

The position of a listener says how many messages it has taken in; nothing can be asked for again. One that has heard
nothing for a minute since it began, or for ``idle`` later on, says that it is idle: nobody waits for it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from andon.observe.alerts.mixed import Mixed
from andon.observe.jsonlines import Skipped
from andon.observe.live.lines import latest_end
from andon.observe.logs.identity import Identity
from andon.observe.logs.options import Options
from andon.records.kinds import marked

NEVER: Final = -(1 << 63)
_MOST_AHEAD: Final = 60_000_000_000
_FIRST: Final = 60.0  # s
_TELL: Final = 5_000_000_000  # ns between two tellings of what was lost


class Intake:
    """Messages to records. ``slack``: seconds by which alerts may be older than others that came before; ``taken``:
    messages so far."""

    def __init__(
        self, name: str, options: Options, clock: Callable[[], int], slack: float, idle: float, noun: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.name, self._clock, self._noun = name, clock, noun
        self._slack, self._idle = int(slack * 1e9), int(idle * 1e9)
        self._mixed, self._who = Mixed(options, clock), Identity(options)
        self._private = options.key is not None
        self.taken = 0
        self._newest = NEVER
        self._skipped: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._example: dict[str, str] = {}
        self._since = clock()
        self._heard, self._told_idle = now(), False
        self._now = now

    def read(self, messages: Sequence[bytes]) -> list[pa.RecordBatch]:
        """Records, each batch saying of what kind they are."""
        self._heard, self._told_idle = self._now(), False
        skipped = Skipped(private=self._private)
        made = []
        for kind, batch in self._mixed.messages(messages, skipped):
            batch = marked(self._who.apply(kind, batch), kind)
            self._newest = max(self._newest, latest_end(batch, self._clock() + _MOST_AHEAD))
            made.append(batch)
        self.taken += len(messages)
        self._skipped.update(skipped.reasons)
        self._passed.update(skipped.passed)
        return made

    def damaged(self, reason: str, count: int = 1) -> None:
        """Something came that is no message."""
        self._skipped[reason] += count

    def lost(self, why: str, count: int) -> None:
        """Messages that are known to be missing."""
        self._lost[why] += count

    @property
    def promise(self) -> int | None:
        """ns before which nothing is expected any more."""
        return None if self._newest == NEVER else self._newest - self._slack

    def quiet(self, asked: int) -> int | None:
        """See ``Source.quiet``; ``asked``: when nothing was there."""
        if self._newest == NEVER or self._clock() - self._newest > self._idle + self._slack:
            return None
        return asked - self._slack

    def events(self, last: bool = False) -> list[dict[str, Any]]:
        """What was lost or could not be read, every few seconds, and that nothing comes."""
        now = self._clock()
        told: list[dict[str, Any]] = []
        longest = self._idle / 1e9 if self._newest != NEVER else min(self._idle / 1e9, _FIRST)
        if not self._told_idle and self._now() - self._heard >= longest:
            self._told_idle = True
            told.append({"type": "idle", "source": self.name})
        if not last and 0 <= now - self._since < _TELL:
            return told
        told += [
            {"type": "lost", "source": self.name, "rows": count, "noun": self._noun, "from": self._since, "to": now,
             "why": why}
            for why, count in self._lost.items() if count
        ]  # fmt: skip
        told += [
            {"type": "damage", "source": self.name, "file": reason, "what": f"{count:,} times", "places": count}
            for reason, count in self._skipped.items() if count
        ]  # fmt: skip
        self._lost.clear()
        self._skipped.clear()
        self._since = now
        return told

    @property
    def passed(self) -> dict[str, int]:
        """Messages that were read and are of no use here, by what they are, since the start."""
        return dict(self._passed)
