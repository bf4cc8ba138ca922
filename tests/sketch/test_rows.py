"""Bounded tables: exact below the cap, the same sample however the input is cut above it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.sketch.rows import EMPTY, Column, KeyedRows, aligned
from andon.sketch.state import StateError, pack, unpack

SPEC = {
    "packets": Column("u8"),
    "first": Column("i8", "min"),
    "last": Column("i8", "max"),
    "mask": Column("u8", "or", 2),
}


def filled(keys: np.ndarray, limit: int = 1000) -> KeyedRows:
    """A table in which each key was seen as often as it stands in ``keys``, at times = positions in a key's life."""
    rows = KeyedRows(SPEC, limit)
    rows.add(keys)
    for key in keys:
        slot = np.flatnonzero(rows.keys == key)
        if len(slot):
            rows.columns["packets"][slot] += np.uint64(1)
            rows.columns["first"][slot] = np.minimum(rows.columns["first"][slot], int(key) * 3)
            rows.columns["last"][slot] = np.maximum(rows.columns["last"][slot], int(key) * 5)
            rows.columns["mask"][slot, 1] |= np.uint64(1) << np.uint64(int(key) % 64)
    return rows


@pytest.mark.parametrize("size", [1, 3, 1000, 100_000])
@pytest.mark.parametrize(("dtype", "width"), [("i8", 4), ("u4", 8), ("u1", 64), ("u8", 1)])
def test_a_row_of_at_most_a_cache_line_never_lies_on_two(size: int, dtype: str, width: int) -> None:
    array = aligned((size, width), dtype)
    assert array.shape == (size, width) and array.flags["C_CONTIGUOUS"] and not array.any()
    first = array.ctypes.data + np.arange(size) * array.strides[0]
    assert np.array_equal(first // 64, (first + array.strides[0] - 1) // 64)
    array[:] = 7
    assert (array == 7).all()


def test_below_the_cap_every_key_is_kept_exactly() -> None:
    keys = np.repeat(np.arange(300, dtype=np.uint64), 3)
    found, columns = filled(keys).table()
    assert found.tolist() == list(range(300))
    assert set(columns["packets"].tolist()) == {3}


def test_above_the_cap_the_sample_size_predicts_the_number_of_keys() -> None:
    rng = np.random.default_rng(5)
    keys = rng.choice(1 << 40, 200_000, replace=False).astype(np.uint64)
    rows = KeyedRows({}, 10_000)
    rows.add(keys)
    assert 0 < rows.used <= 10_000
    assert abs(rows.used * 2**rows.level / 200_000 - 1) < 0.05


@given(st.lists(st.integers(0, 400), max_size=400), st.integers(0, 400), st.sampled_from([20, 100, 1000]))
@settings(max_examples=60, deadline=None)
def test_digest_does_not_depend_on_order_or_split(keys: list[int], cut: int, limit: int) -> None:
    array = np.array(keys, np.uint64)
    whole = filled(array, limit)
    left, right = filled(array[:cut][::-1], limit), filled(array[cut:], limit)
    before = right.to_bytes()
    left.merge(right)
    assert right.to_bytes() == before
    # Rows that were outside the sample in one part only would differ in their counts, so this is exactness too.
    assert left.to_bytes() == whole.to_bytes()
    assert KeyedRows.from_bytes(whole.to_bytes(), SPEC).to_bytes() == whole.to_bytes()


def test_no_real_key_is_the_empty_mark() -> None:
    assert int(EMPTY) >= 1 << 63


def test_tables_of_another_limit_are_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        KeyedRows(SPEC, 10).merge(KeyedRows(SPEC, 11))


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:20], lambda d: d[:9] + b"\x00" + d[10:], lambda d: b""]
)
def test_a_damaged_state_is_refused(damage) -> None:
    data = pack("thing", 1, {"x": np.arange(5)}, {"n": 1})
    with pytest.raises(StateError):
        unpack("thing", 1, damage(data))


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(StateError, match="version 1, expected thing version 2"):
        unpack("thing", 2, pack("thing", 1, {}))
