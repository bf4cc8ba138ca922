"""The frequency statistic: the three cases of the patented method, and what it must not see."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.fingerprint.constants import frequent


def _shares(*parts: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(values, sources): for every (count of values, sources of each) new values, each source used once."""
    values = []
    next_value = 1
    for count, each in parts:
        values.append(np.repeat(np.arange(next_value, next_value + count), each))
        next_value += count
    made = np.concatenate(values).astype(np.uint64)
    return made, np.arange(len(made))


def test_case_1_half_of_all_beside_fifty_of_one_percent() -> None:
    values, sources = _shares((1, 5000), (50, 100))
    assert [v for v, _ in frequent(values, sources, 16)] == [1]


def test_case_2_one_percent_beside_thousands_of_a_hundredth_percent() -> None:
    values, sources = _shares((1, 1000), (9900, 10))
    assert [v for v, _ in frequent(values, sources, 16)] == [1]


def test_case_3_a_family_half_as_large_as_another() -> None:
    values, sources = _shares((1, 1000), (1, 500), (98_500, 1))
    assert frequent(values, sources, 32) == [(1, 1000), (2, 500)]


def test_a_loud_host_makes_no_feature() -> None:
    values = np.r_[np.full(10_000, 7), np.arange(100, 1100)]
    sources = np.r_[np.zeros(10_000, np.int64), np.arange(1, 1001)]
    assert frequent(values, sources, 16) == []


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_uniform_values_show_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert frequent(rng.integers(0, 65536, 20_000), np.arange(20_000), 16) == []
