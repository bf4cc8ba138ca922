"""Bottom-k columns and count-min sketches: merging is exact, and a hash can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.sketch.countmin import CountMin
from andon.sketch.hashing import mix64_array, unmix64_array
from andon.sketch.lowest import keep_lowest
from andon.sketch.rows import Column, KeyedRows
from andon.sketch.state import StateError

SPEC = {"kept": Column("u8", "lowest", 6, 2)}  # three items of two words


def table(pairs: list[tuple[int, int]]) -> KeyedRows:
    rows = KeyedRows(SPEC, 100)
    rows.add(np.array([key for key, _ in pairs], np.uint64))
    for key, value in pairs:
        slot = int(np.flatnonzero(rows.keys == key)[0])
        keep_lowest(rows.columns["kept"][slot], np.array([value, value * 7], np.uint64), 2)
    return rows


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), max_size=60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_lowest_items_are_the_same_however_the_input_is_split(pairs: list[tuple[int, int]], cut: int) -> None:
    left, right = table(pairs[:cut][::-1]), table(pairs[cut:])
    left.merge(right)
    assert left.to_bytes() == table(pairs).to_bytes()
    keys, columns = left.table()
    for key, kept in zip(keys.tolist(), columns["kept"], strict=True):
        lowest = sorted({value for k, value in pairs if k == key})[:3]
        assert [int(word) for word in kept[::2][: len(lowest)]] == lowest
        assert [int(word) for word in kept[1::2][: len(lowest)]] == [value * 7 for value in lowest]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50), st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def test_a_hash_can_be_undone(keys: list[int], salt: int) -> None:
    array = np.array(keys, np.uint64)
    hashed = mix64_array(array, np.uint64(salt))
    assert unmix64_array(hashed, np.uint64(salt)).tolist() == keys


@given(st.lists(st.integers(0, 300), max_size=500), st.integers(0, 500))
@settings(max_examples=40, deadline=None)
def test_counts_are_never_too_low_and_merging_adds_them(keys: list[int], cut: int) -> None:
    array = np.array(keys, np.uint64)
    whole, left, right = CountMin(64), CountMin(64), CountMin(64)
    whole.add(array)
    left.add(array[:cut])
    right.add(array[cut:])
    left.merge(right)
    assert left.to_bytes() == whole.to_bytes() == CountMin.from_bytes(whole.to_bytes()).to_bytes()
    every = np.arange(301, dtype=np.uint64)
    assert (whole.at_most(every) >= np.bincount(array.astype(int), minlength=301)).all()


def test_distinct_keys_are_estimated_within_two_percent() -> None:
    counts = CountMin(1 << 14)
    counts.add(np.repeat(np.arange(10_000, dtype=np.uint64), 3))
    assert abs(counts.distinct() / 10_000 - 1) < 0.02


def test_damaged_count_min_is_refused() -> None:
    with pytest.raises(StateError):
        CountMin.from_bytes(CountMin(64).to_bytes()[:-1])
    with pytest.raises(ValueError, match="power of two"):
        CountMin(100)
