"""How many tasks go into a query, and how many queries are under way.

Apache Spark queues the partitions of a query: it gets many at once, a task in each, and its scheduler does the rest
(and adds machines, where it may). Sail, and whatever else speaks the protocol, may start all partitions of a query
at the same moment: it gets queries of one partition, as many as there are workers, and the tasks in a partition are
run one after the other.

A query costs something (Sail: 10 ms; Spark: more than 100 ms, and some 10 ms a partition). So tasks that turn out to
be short share a partition, for at most ``_SHARE`` seconds; and towards the end they share less, so that no worker is
left with much to do when the others have nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

_SHARE: Final = 2.0  # seconds of tasks that share a partition
_MOST: Final = 256  # tasks that share a partition
_WAVE: Final = 1024  # partitions of a query
_TEXT: Final = (
    512 << 10
)  # bytes of a query's tasks: beyond, clients send data another way, which not all servers know
_LEARN: Final = 0.2  # weight of what was heard last

Rows = list[tuple[int, str]]


@dataclass
class Pace:
    """``workers``: tasks run at once; ``queues``: the engine keeps partitions waiting."""

    workers: int
    queues: bool
    _seconds: float = _SHARE  # of a task, as far as is known: at first, none shares

    @property
    def streams(self) -> int:
        """Queries under way."""
        return 2 if self.queues else self.workers

    def heard(self, seconds: float) -> None:
        """How long a task took on its worker."""
        self._seconds += _LEARN * (seconds - self._seconds)

    def take(self, waiting: deque[tuple[int, str]]) -> tuple[Rows, int]:
        """(tasks of the next query, number of its partitions), taken from what waits, which is not empty."""
        places = self.workers * self.streams if self.queues else self.workers
        fair = max(len(waiting) // (3 * places), 1)
        share = min(int(_SHARE / max(self._seconds, 1e-6)) or 1, fair, _MOST)
        wave = min(max(4 * self.workers, 16), _WAVE) if self.queues else 1
        rows = [waiting.popleft()]
        size = len(rows[0][1])
        while waiting and len(rows) < share * wave and size + len(waiting[0][1]) <= _TEXT:
            size += len(waiting[0][1])
            rows.append(waiting.popleft())
        return rows, min(wave, -(-len(rows) // share))
