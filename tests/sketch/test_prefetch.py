"""Prefetching is about speed only."""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.prefetch import prefetch


@njit
def _sum(values: np.ndarray, ahead: int) -> int:
    total = 0
    for i in range(values.shape[0]):
        prefetch(values, i + ahead)
        total += values[i]
    return total


def test_prefetch_reads_nothing_changes_nothing_and_may_point_past_the_end() -> None:
    values = np.arange(1000)
    for ahead in (0, 16, 1 << 40, -5000):
        assert _sum(values, ahead) == 499_500
    assert values.tolist() == list(range(1000))
