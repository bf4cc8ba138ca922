"""Cells that are not zero are found whatever their type and wherever they lie."""

from __future__ import annotations

import numpy as np
import pytest

from andon.sketch.places import places_of
from andon.sketch.state import StateError, pack, unpack


@pytest.mark.parametrize("dtype", ["u4", "i8", "u8", "i4"])
@pytest.mark.parametrize("size", [0, 1, 7, 15, 16, 17, 64, 1000, 4096])
def test_places_are_those_of_numpy(dtype: str, size: int) -> None:
    random = np.random.default_rng(size)
    for share in (0.0, 0.01, 0.5, 1.0):
        cells = (random.random(size) < share).astype(dtype) * np.dtype(dtype).type(3)
        found = places_of(cells)
        assert found.dtype == np.uint32
        assert found.tolist() == np.flatnonzero(cells).tolist()


def test_the_last_cells_of_a_table_that_is_no_whole_number_of_lines_are_seen() -> None:
    for size in range(1, 40):
        cells = np.zeros(size, np.uint32)
        cells[-1] = 1
        assert places_of(cells).tolist() == [size - 1]


def test_a_state_of_empty_and_boolean_arrays_comes_back() -> None:
    arrays = {"none": np.zeros(0, "<u8"), "flags": np.array([True, False]), "two": np.arange(6).reshape(2, 3)}
    data = pack("t", 1, arrays, {"n": 5})
    back, scalars = unpack("t", 1, data)
    assert scalars == {"n": 5}
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and back[name].tolist() == array.tolist()
        assert back[name].flags.writeable
    for at in range(len(data)):
        with pytest.raises(StateError):
            unpack("t", 1, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
