"""Orders that are not ZMap's: counting, reversed octets and bits, library generators, constant strides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_traffic import aimless, sample, telescope, visits

from andon.detect.darknet.fingerprint.order import STRIDE, OrderFound, order_families
from andon.detect.darknet.fingerprint.order_values import GENERATORS, VALUES, Value, steps

SPACE = telescope()
TWO_TO_32 = 2**32


def scan(keys: np.ndarray, count: int, seed: int) -> OrderFound:
    """What is found of a source that visits addresses in the order of ``keys``."""
    rng = np.random.default_rng(seed)
    order = np.argsort(keys)
    when = np.arange(len(order)) / len(order)
    found = order_families(sample(visits(9, SPACE[order], when, count, rng))).found
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.text)
def test_every_known_order_is_found_both_ways(value: Value, down: bool) -> None:
    keys = value.of(SPACE).astype(np.int64)
    found = scan(-keys if down else keys, 60, 1)
    assert (found.order, found.down, len(found.rows)) == (value.text, down, 60)


@pytest.mark.parametrize("step", [65537, 769, 0x9E3779B1, 2654435761, TWO_TO_32 - 12345])
def test_a_stride_of_any_length_is_found_with_its_length(step: int) -> None:
    inverse = pow(step, -1, TWO_TO_32)
    found = scan(np.array([int(a) * inverse % TWO_TO_32 for a in SPACE]), 80, 2)
    assert found.order == STRIDE
    assert pow(found.walk.multiplier, -1, TWO_TO_32) == step


def test_counting_many_times_through_the_telescope_is_seen() -> None:
    rng = np.random.default_rng(3)
    dst, when = np.tile(SPACE, 8), np.arange(8 * len(SPACE)) / (8 * len(SPACE))
    (found,) = order_families(sample(visits(9, dst, when, 96, rng))).found
    assert found.order == "order(ip.dst) == sequential"


def test_one_network_after_the_other_but_at_random_inside_is_not_counting() -> None:
    rng = np.random.default_rng(4)
    dst = np.concatenate([rng.permutation(part) for part in np.array_split(SPACE, 5)])
    when = np.arange(len(dst)) / len(dst)
    assert order_families(sample(visits(9, dst, when, 96, rng))).found == ()


def test_a_telescope_of_one_24_tells_order_from_none() -> None:
    small = telescope(("192.0.2.0/24",))
    rng = np.random.default_rng(5)
    counting = visits(1, small, np.arange(256) / 256, 64, rng)
    parts = [aimless(n, small, 64, rng) for n in range(2, 40)]
    (found,) = order_families(sample(counting, *parts)).found
    assert (found.source, found.order) == (0, "order(ip.dst) == sequential")


@given(st.integers(0, TWO_TO_32 - 1), st.sampled_from(GENERATORS))
@settings(deadline=None)
def test_steps_of_a_generator_lead_to_the_state(state: int, generator: tuple[int, int]) -> None:
    a, c = generator
    count = int(steps(np.array([state], np.uint32), a, c)[0])
    x, m, b = 0, a, c
    while count:  # the map of 2^k steps is the map of 2^(k-1) steps twice
        if count & 1:
            x = (m * x + b) % TWO_TO_32
        m, b, count = m * m % TWO_TO_32, b * (m + 1) % TWO_TO_32, count >> 1
    assert x == state
