"""From a multiplier to a scan: which generator, in how many pieces, how far and how fast.

The search (`order_lattice`) gives w = M u: u = 1 / log_3(g) of the generator g, M the number of pieces (shards times
threads) that the scan walks in step. ZMap now draws g below 2^22, which one wrong (M, u) in 4,000 would be by chance: a
small g both confirms what was found and tells M. Older ZMap and its copies draw any g; then the smallest M that
gives a generator at all is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit

from andon.detect.darknet.fingerprint.order_lattice import phase_factor
from andon.detect.darknet.fingerprint.order_score import best_chain
from andon.sketch.cyclic import FACTORS, LARGEST_GENERATOR, ORDER, ROOT, P

FEW_PIECES = 16
MOST_PIECES = 64
_MULTIPLES = 512


@dataclass(frozen=True)
class Walk:
    """``multiplier``: u; ``pieces``: M; ``generator``: g, ``small``: whether it is below 2^22; 0 if none fits."""

    multiplier: int
    pieces: int
    generator: int

    @property
    def small(self) -> bool:
        return 0 < self.generator < LARGEST_GENERATOR


NO_WALK = Walk(0, 1, 0)


def interpret(found: int) -> Walk:
    """The scan behind a multiplier modulo p - 1.

    >>> interpret(3 * pow(7, -1, ORDER) % ORDER)  # g = 3^7, three threads
    Walk(multiplier=3067833793, pieces=3, generator=2187)
    """
    large: Walk | None = None
    for pieces in range(1, MOST_PIECES + 1):
        common = math.gcd(pieces, ORDER)
        if found % common:
            continue
        step = ORDER // common
        base = found // common * pow(pieces // common, -1, step) % step
        for lift in range(common):
            u = base + lift * step
            if any(u % q == 0 for q in FACTORS):
                continue
            g = pow(ROOT, pow(u, -1, ORDER), P)
            if g < LARGEST_GENERATOR:
                return Walk(u, pieces, g)
            if pieces <= FEW_PIECES and (large is None or (large.pieces == pieces and g < large.generator)):
                large = Walk(u, pieces, g)
    return large or Walk(found, 1, 0)


@lru_cache(maxsize=2)
def _divisions(modulus: int) -> tuple[tuple[int, int, int], ...]:
    """(common divisor with the modulus, modulus over it, inverse of what is left of m) for m from 2 on."""
    made = []
    for m in range(2, _MULTIPLES + 1):
        common = math.gcd(m, modulus)
        made.append((common, modulus // common, pow(m // common, -1, modulus // common)))
    return tuple(made)


def shortest(found: int, v: np.ndarray, modulus: int) -> int:
    """The multiplier w with ``found`` = m w (m up to 512) by which the rows walk least, in order of time.

    A scan of which little was seen rises by any small multiple of its multiplier as well. ``v``: uint64 values of rows
    that step forward.
    """
    tried = [found]
    for common, step, inverse in _divisions(modulus):
        if found % common == 0:
            base = found // common * inverse % step
            tried += [base + lift * step for lift in range(common)]
    factors = [(w << 64) // modulus for w in tried]
    return tried[int(np.argmin(_walks(np.array(factors, np.uint64), v)))]


@njit(cache=True, nogil=True)
def _walks(factors: Any, v: Any) -> Any:
    out = np.empty(len(factors))
    for j in range(len(factors)):
        total = 0.0
        before = np.float64((factors[j] * v[0]) >> np.uint64(11)) * 2.0**-53
        for i in range(1, len(v)):
            now = np.float64((factors[j] * v[i]) >> np.uint64(11)) * 2.0**-53
            total += now - before if now >= before else now - before + 1.0
            before = now
        out[j] = total
    return out


def phases(v: np.ndarray, multiplier: int, modulus: int) -> np.ndarray:
    """Positions in turns (float64) of values (uint64)."""
    factor = np.uint64(phase_factor(np.uint64(multiplier), np.uint64(modulus)))
    made: np.ndarray = ((factor * v) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return made


def chain(turns: np.ndarray, by_rank: bool) -> np.ndarray:
    """Indices (int64) of the rows that step forward; the others are foreign."""
    if by_rank:
        ranks = np.empty(len(turns))
        ranks[np.argsort(turns, kind="stable")] = np.arange(len(turns)) / len(turns)
        turns = ranks
    made: np.ndarray = _chain(turns, by_rank)
    return made


@njit(cache=True, nogil=True)
def _chain(turns: Any, by_rank: Any) -> Any:
    kept = np.arange(len(turns))
    _, rows = best_chain(turns, by_rank, kept)
    return kept[:rows]


def walked(turns: np.ndarray) -> float:
    """Turns from the first position to the last, if no step is longer than 0.9 turns. Threads that are not quite in
    step go back a little: up to 0.1 turns."""
    return float(np.sum((np.diff(turns) + 0.1) % 1.0 - 0.1))


def threads_seen(v: np.ndarray, together: np.ndarray, walk: Walk) -> int:
    """In how many of the pieces the rows lie. ``together``: positions of the pieces in step, in turns (M times those of
    the walk), in order of time."""
    if walk.pieces == 1:
        return 1
    own = phases(v, walk.multiplier, ORDER) * walk.pieces
    along = together[0] + np.r_[0.0, np.cumsum(np.diff(together) % 1.0)]
    piece = np.rint(own - along).astype(np.int64) % walk.pieces
    return len(np.unique(piece))
