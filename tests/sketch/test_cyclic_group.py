"""The group in which ZMap walks: products without division, logarithms, generators, elements of addresses."""

from __future__ import annotations

import ipaddress

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.sketch.cyclic import (
    BLOCKED,
    FACTORS,
    ORDER,
    Logarithms,
    P,
    elements,
    is_generator,
    log3,
    mulmod,
    scaled,
)
from andon.sketch.cyclic import _product as product

NEAR = st.integers(2**32 - 20, P - 1) | st.integers(1, P - 1) | st.integers(1, 20)


@given(NEAR, NEAR)
@settings(deadline=None, max_examples=300)
def test_products_are_right_also_beside_two_to_the_32(a: int, b: int) -> None:
    assert int(product(np.uint64(a), np.uint64(b))) == a * b % P
    assert int(mulmod(np.uint64(a), np.uint64(b), np.uint64(ORDER))) == a * b % ORDER


@given(st.lists(NEAR, min_size=1, max_size=20))
@settings(deadline=None)
def test_three_to_the_logarithm_is_the_element(values: list[int]) -> None:
    logs = log3(np.array(values, np.uint64))
    assert [pow(3, int(log), P) for log in logs] == values


def test_tables_made_once_or_anew_give_the_same_logarithms() -> None:
    values = np.random.default_rng(1).integers(1, P, 1000).astype(np.uint64)
    assert np.array_equal(log3(values), Logarithms().of(values))


def test_scaled_turns_logarithms_into_steps_from_the_start() -> None:
    g, offset = 1_000_003, 77
    while not is_generator(g):
        g += 1
    walked = np.array([pow(g, offset + k, P) for k in range(5)], np.uint64)
    of_g = int(log3(np.array([g], np.uint64))[0])
    assert scaled(log3(walked), np.uint64(pow(of_g, -1, ORDER)), np.uint64(offset)).tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_the_factors_are_those_of_the_order() -> None:
    rest = ORDER
    for q in FACTORS:
        assert rest % q == 0
        while rest % q == 0:
            rest //= q
    assert rest == 1
    assert is_generator(3) and not is_generator(9)


def test_elements_skip_what_the_blocklist_holds_below_an_address() -> None:
    address = np.array([int(ipaddress.IPv4Address("198.51.101.0"))], np.uint32)
    below = sum(size for first, size in BLOCKED if first <= int(address[0]))
    assert elements(address, False).tolist() == [int(address[0]) + 1]
    assert elements(address, True).tolist() == [int(address[0]) + 1 - below]
