"""What a piece of work costs in CPU seconds, told so that a busy machine changes little.

Tests run beside others, in a process that holds what hundreds of tests before left in it. So: the CPU time of this
thread alone; objects that are there already are no work for the garbage collector meanwhile; and where the processor
is slower just now than the one that limits were written on (a neighbour at the same core, a lower clock), seconds
count in proportion, by a small piece of work done before and after.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import thread_time
from typing import Final

# CPU seconds of ``_probe`` on the machine of development: an Intel Xeon with nothing else to do.
_PROBE: Final = 0.011


@dataclass
class Spent:
    """``seconds``: CPU seconds, in proportion; ``slow``: how many times slower the processor was (1 or more)."""

    seconds: float = 0.0
    slow: float = 1.0


def _probe() -> float:
    begin = thread_time()
    words = {}
    for n in range(50_000):
        words[str(n)] = n * n % 7
    sorted(words, key=words.__getitem__)
    return thread_time() - begin


@contextmanager
def spent() -> Iterator[Spent]:
    """CPU seconds of this thread within the block; known at its end.

    Example: ``with spent() as cost: work()`` and then ``assert cost.seconds < 1.0``
    """
    found = Spent()
    gc.freeze()
    try:
        before = min(_probe(), _probe())
        begin = thread_time()
        yield found
        took = thread_time() - begin
        found.slow = max(1.0, max(before, min(_probe(), _probe())) / _PROBE)
        found.seconds = took / found.slow
    finally:
        gc.unfreeze()
