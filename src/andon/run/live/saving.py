"""When to save where the engines stand.

A checkpoint saves a restart from going through the journal again, and costs what it takes to write every open summary
down. At a low rate the second is more than the first: at 2,000 packets/s a minute of packets is gone through in 0.06
CPU seconds, and writing the state takes 0.1. So a checkpoint is made when going through the journal again would take
several times as long as saving; and in any case when a restart would take long, or much time has passed. Nothing is
less durable for that: what is not in a checkpoint is in the journal.
"""

from __future__ import annotations

from dataclasses import dataclass

WORTH = 8.0  # a checkpoint is made when it saves so many times what it costs
RESTART = 10.0  # CPU seconds that a restart may take at most for segments it has seen before
LONGEST = 10.0  # times ``every``
SHARE = 50.0  # saving takes at most one part in so many of a core


@dataclass
class Saving:
    """``every``: seconds between two checkpoints at least; ``cost``: CPU seconds that the last one took.

    >>> saving = Saving(60.0, cost=0.1)
    >>> saving.due(60.0, 0.06), saving.due(600.0, 0.6), saving.due(60.0, 0.9), saving.due(59.0, 9.0)
    (False, True, True, False)
    """

    every: float
    cost: float = 0.0

    def due(self, passed: float, again: float) -> bool:
        """``passed``: seconds since the last checkpoint; ``again``: CPU seconds that have gone into segments since
        then, which a restart would spend again."""
        if passed < self.every:
            return False
        if passed >= LONGEST * self.every or again >= RESTART:
            return True
        return again >= WORTH * self.cost and passed >= SHARE * self.cost
