"""Summaries of rows and packets: what is read back, and what is refused."""

from __future__ import annotations

import pytest

from andon.sketch.factors.cells import Cells
from andon.sketch.state import StateError, join, pack, split


def test_two_states_in_one_come_apart_again() -> None:
    assert split(join(b"", b"second")) == (b"", b"second")
    with pytest.raises(StateError, match="cut short"):
        split(join(b"first", b"second")[:7])


def test_rows_without_their_number_of_packets_are_refused() -> None:
    rows = split(Cells(10, 1).to_bytes())[0]
    assert Cells.from_bytes(join(rows, pack("cells", 1, {}, {"packets": 3}))).packets == 3
    with pytest.raises(StateError, match="no number of packets"):
        Cells.from_bytes(join(rows, pack("cells", 1, {})))
