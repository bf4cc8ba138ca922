"""Evidence for an order is what it says: chance reaches b bits with probability 2^-b at most."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from andon.detect.darknet.fingerprint.order_cyclic import chain, walked
from andon.detect.darknet.fingerprint.order_score import linear_bits, order_bits


def test_over_all_orders_of_eight_addresses_no_evidence_is_rarer_than_it_says() -> None:
    n = 8
    bits = np.array([order_bits(np.array(p) / n, True) for p in permutations(range(n))])
    for level in range(1, 16):
        assert np.mean(bits >= level) <= 2.0**-level
    assert bits.max() > 9  # and the straight order is seen


@pytest.mark.parametrize("n", [5, 12, 40])
def test_random_positions_do_not_reach_more_evidence_than_chance_allows(n: int) -> None:
    rng = np.random.default_rng(n)
    tries = 20_000
    t = np.sort(rng.random((tries, n)), axis=1)
    phases = rng.random((tries, n))
    order = np.array([order_bits(row, False) for row in phases])
    line = np.array([linear_bits(at, row, False) for at, row in zip(t, phases, strict=True)])
    for bits in (order, line):
        for level in range(1, 11):
            expected = tries * 2.0**-level
            assert np.sum(bits >= level) <= expected + 5 * math.sqrt(expected)


def test_a_perfect_order_has_the_evidence_of_the_factorial() -> None:
    n = 30
    phases = (np.arange(n) + 0.5) / n
    paid = math.log2(n // 3 + 3)
    assert order_bits(phases, True) == pytest.approx(math.log2(math.factorial(n - 1)) - paid)
    assert order_bits(phases, False) > order_bits(phases, True)  # a little less than a turn
    assert order_bits(phases[::-1].copy(), True) < 1


def test_a_line_over_time_is_stronger_than_order_alone() -> None:
    rng = np.random.default_rng(2)
    t = np.sort(rng.random(30))
    phases = (0.3 + 3.7 * t + rng.normal(0, 1e-4, 30)) % 1.0
    assert linear_bits(t, phases, False) > 200 > order_bits(phases, False)


def test_foreign_rows_are_left_out_and_paid_for() -> None:
    rng = np.random.default_rng(3)
    phases = np.sort(rng.random(60)) * 0.9
    foreign = np.array([7, 20, 33, 50])
    clean = order_bits(phases, False)
    phases[foreign] = (phases[foreign] + 0.5) % 1.0
    kept = chain(phases, False)
    assert not np.isin(foreign, kept).any() and len(kept) >= 54
    assert 100 < order_bits(phases, False) < clean
    assert walked(phases[kept]) < 0.95
