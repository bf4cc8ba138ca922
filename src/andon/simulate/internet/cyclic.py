"""When a run of ZMap visits each address of a telescope.

ZMap walks the multiplicative group modulo p = 2^32 + 15 (``sketch.cyclic``) with a random generator g below 2^22 from
a random offset. With N shards of T threads each, every thread walks a contiguous piece of floor((p-1)/(N T))
exponents (shard.c of its source).

Walking 4.3 billion steps a scan is out of the question; instead we turn the question round. The position of
address a in a scan is log_g(a + 1) - offset, and log_g = log_3 / log_3(g) modulo p - 1. The logarithms to base 3 of
the telescope's addresses are computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.sketch.cyclic import LARGEST_GENERATOR, ORDER, Logarithms, P, elements, is_generator, scaled

from .ordering import stable_order

__all__ = ["ORDER", "Logarithms", "P", "Scan", "elements", "is_generator", "visits"]


@dataclass(frozen=True)
class Scan:
    """One run of the scanner: a generator and the exponent at which it starts."""

    generator: int
    offset: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Scan:
        """A new run, as ``zmap`` without ``--seed`` starts it."""
        candidate = int(rng.integers(2, LARGEST_GENERATOR))
        while not is_generator(candidate):
            candidate = candidate % (LARGEST_GENERATOR - 1) + 1
        return cls(candidate, int(rng.integers(0, ORDER)))

    def positions(self, logs: np.ndarray, logarithms: Logarithms) -> np.ndarray:
        """How many steps after its start the run reaches elements with these base-3 logarithms (int64)."""
        of_generator = int(logarithms.of(np.array([self.generator], np.uint64))[0])
        found: np.ndarray = scaled(logs, np.uint64(pow(of_generator, -1, ORDER)), np.uint64(self.offset))
        return found


def visits(
    positions: np.ndarray, shard: int, shards: int, threads: int, begin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which addresses one shard reaches and when, in steps of its threads, sorted by time.

    ``begin`` in [0, 1): the share of the shard's walk that lies before what we look at. Returns (indices into
    ``positions``, steps since ``begin``).
    """
    piece = ORDER // (shards * threads)
    thread = positions // piece
    mine = np.flatnonzero((thread >= shard * threads) & (thread < (shard + 1) * threads))
    steps = positions[mine] % piece - int(begin * piece)
    ahead = np.flatnonzero(steps >= 0)
    order = ahead[stable_order(steps[ahead])]
    return mine[order], steps[order]
