"""ADWIN: a window that grows while its mean holds still and drops its older part when it does not.

Bifet & Gavalda, Learning from Time-Changing Data with Adaptive Windowing, SDM 2007: the exponential histogram of
ADWIN2 (section 4) and the cut of theorem 3.2 with the observed variance. The confidence of one look is
``delta / ln n`` shared over the splits, as the authors do it in practice. As in MOA and river, splits are looked at
every ``clock`` values only and each side of a split has ``shortest`` values at least.

River's ``ADWIN`` throws its whole window away at a change; we keep the newer part, as the paper has it.

Cost: O(log n) memory; a look costs O(log n) times the number of buckets dropped.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_ROWS = 60  # rows of the histogram: 2^60 values are more than anybody sends
_WIDTH, _TOTAL, _VARIANCE, _TICK = range(4)


@njit(cache=True, nogil=True)
def _drop_oldest(sums: np.ndarray, varies: np.ndarray, held: np.ndarray, state: np.ndarray) -> None:
    row = len(held) - 1
    while held[row] == 0:
        row -= 1
    size = 2.0**row
    state[_WIDTH] -= size
    state[_TOTAL] -= sums[row, 0]
    if state[_WIDTH] > 0:
        between = sums[row, 0] / size - state[_TOTAL] / state[_WIDTH]
        lost = varies[row, 0] + size * state[_WIDTH] * between * between / (size + state[_WIDTH])
        state[_VARIANCE] = max(0.0, state[_VARIANCE] - lost)
    else:
        state[_VARIANCE] = 0.0
    for place in range(1, held[row]):
        sums[row, place - 1] = sums[row, place]
        varies[row, place - 1] = varies[row, place]
    held[row] -= 1


@njit(cache=True, nogil=True)
def _insert(value: float, sums: np.ndarray, varies: np.ndarray, held: np.ndarray, state: np.ndarray) -> None:
    most = sums.shape[1] - 1
    if state[_WIDTH] > 0:
        between = value - state[_TOTAL] / state[_WIDTH]
        state[_VARIANCE] += state[_WIDTH] * between * between / (state[_WIDTH] + 1)
    state[_WIDTH] += 1
    state[_TOTAL] += value
    sums[0, held[0]] = value
    varies[0, held[0]] = 0.0
    held[0] += 1
    row = 0
    while held[row] > most and row + 1 < len(held):
        size = 2.0**row
        between = (sums[row, 0] - sums[row, 1]) / size
        place = held[row + 1]
        sums[row + 1, place] = sums[row, 0] + sums[row, 1]
        varies[row + 1, place] = varies[row, 0] + varies[row, 1] + size * between * between / 2
        held[row + 1] += 1
        for each in range(2, held[row]):
            sums[row, each - 2] = sums[row, each]
            varies[row, each - 2] = varies[row, each]
        held[row] -= 2
        row += 1


@njit(cache=True, nogil=True)
def _differs(
    sums: np.ndarray, held: np.ndarray, state: np.ndarray, delta: float, shortest: int
) -> tuple[bool, float]:
    """Is there a split whose sides differ? And by how much the newer side of the first one lies higher."""
    width = state[_WIDTH]
    spread = state[_VARIANCE] / width
    share = math.log(2.0 * math.log(width) / delta)
    old, old_sum = 0.0, 0.0
    for row in range(len(held) - 1, -1, -1):
        for place in range(held[row]):
            old += 2.0**row
            old_sum += sums[row, place]
            new = width - old
            if old < shortest or new < shortest:
                continue
            apart = (state[_TOTAL] - old_sum) / new - old_sum / old
            inverse = 1.0 / (old - shortest + 1) + 1.0 / (new - shortest + 1)
            if abs(apart) > math.sqrt(2.0 * inverse * spread * share) + 2.0 / 3.0 * share * inverse:
                return True, apart
    return False, 0.0


@njit(cache=True, nogil=True)
def _run(
    values: np.ndarray, sums: np.ndarray, varies: np.ndarray, held: np.ndarray, state: np.ndarray,
    delta: float, clock: int, shortest: int, grace: int, jumps: np.ndarray,
) -> None:  # fmt: skip
    for number in range(len(values)):
        _insert(values[number], sums, varies, held, state)
        state[_TICK] += 1
        if state[_TICK] % clock or state[_WIDTH] <= grace:
            continue
        while state[_WIDTH] > grace:
            changed, apart = _differs(sums, held, state, delta, shortest)
            if not changed:
                break
            if jumps[number] == 0.0:
                jumps[number] = apart
            _drop_oldest(sums, varies, held, state)


class Adwin:
    """Mean of a stream over a window that adapts itself; values of any range that stays the same, best 0..1.

    ``delta``: chance of a false alarm (a bound, in theory, for one look); ``clock``: values between two looks;
    ``buckets``: of one size before two are merged; ``shortest``: values on either side of a split; ``grace``: values
    before the first look.

    >>> seen = Adwin()
    >>> steady = seen.update(np.tile([0.1, 0.3], 500))
    >>> int(np.count_nonzero(steady)), seen.width
    (0, 1000)
    >>> jumps = seen.update(np.full(200, 0.9))
    >>> int(np.flatnonzero(jumps)[0]) < 32, bool(jumps.max() > 0.5)
    (True, True)
    """

    def __init__(
        self, delta: float = 0.002, clock: int = 32, buckets: int = 5, shortest: int = 5, grace: int = 10
    ) -> None:
        if not 0 < delta < 1 or clock < 1 or buckets < 1 or shortest < 1 or grace < 2:
            raise ValueError("ADWIN needs 0 < delta < 1, clock, buckets, shortest >= 1 and grace >= 2")
        self._settings = (float(delta), int(clock), int(shortest), int(grace))
        self._sums = np.zeros((_ROWS, buckets + 1))
        self._varies = np.zeros((_ROWS, buckets + 1))
        self._held = np.zeros(_ROWS, np.int64)
        self._state = np.zeros(4)

    def update(self, values: np.ndarray) -> np.ndarray:
        """Take values in their order. float64 of the same length: 0 where nothing changed, else by how much the newer
        side of the first split that differs lies above the older one. Raises ValueError for what is not finite."""
        taken = np.ascontiguousarray(values, np.float64)
        if not np.isfinite(taken).all():
            raise ValueError("ADWIN takes finite values only")
        jumps = np.zeros(len(taken))
        _run(taken, self._sums, self._varies, self._held, self._state, *self._settings, jumps)
        return jumps

    @property
    def width(self) -> int:
        """Values in the window."""
        return int(self._state[_WIDTH])

    @property
    def mean(self) -> float:
        """Of the window; NaN while it is empty."""
        return float(self._state[_TOTAL] / self._state[_WIDTH]) if self._state[_WIDTH] else math.nan

    @property
    def variance(self) -> float:
        """Of the window (divided by its width, as in the paper); NaN while it is empty."""
        return float(self._state[_VARIANCE] / self._state[_WIDTH]) if self._state[_WIDTH] else math.nan
