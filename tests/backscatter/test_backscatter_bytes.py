"""The filter of asked addresses is saved by its words that are not zero, and as a whole where those are many."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from andon.detect.darknet.backscatter.asked import WORDS
from andon.detect.darknet.backscatter.summary import Summary
from andon.sketch.state import StateError, pack

SALT = 7


def summary(words: int) -> Summary:
    made = Summary(SALT, pairs=100, bins=100, answers=100)
    made.asked[np.random.default_rng(1).permutation(WORDS)[:words]] = 5
    made.totals[0] = words
    return made


@pytest.mark.parametrize("words", [0, 1, 1000, WORDS // 2, WORDS // 2 + 1, WORDS])
def test_the_filter_comes_back(words: int) -> None:
    data = summary(words).to_bytes()
    back = Summary.from_bytes(data)
    assert np.array_equal(back.asked, summary(words).asked)
    assert back.totals[0] == words
    assert back.to_bytes() == data
    assert len(data) < 8 * WORDS + 10_000  # never larger than all words


def test_an_empty_filter_takes_next_to_nothing() -> None:
    assert len(summary(0).to_bytes()) < 5_000


def test_a_filter_saved_as_a_whole_is_still_read() -> None:
    made = summary(3)
    new = made.to_bytes()
    (length,) = struct.unpack_from("<Q", new)
    old = pack("backscatter", 1, {"asked": made.asked, "totals": made.totals})
    data = struct.pack("<Q", len(old)) + new[8:32] + old + new[32 + length :]
    assert Summary.from_bytes(data).to_bytes() == new


@pytest.mark.parametrize(
    "arrays",
    [
        {"places": np.array([WORDS], "<u4"), "words": np.array([1], "<u8")},
        {"places": np.array([1, 2], "<u4"), "words": np.array([1, 2, 3], "<u8")},
        {"places": np.array([1.5]), "words": np.array([1], "<u8")},
        {"words": np.array([1], "<u8")},
    ],
)
def test_a_filter_that_cannot_be_is_refused(arrays: dict[str, np.ndarray]) -> None:
    made = summary(0)
    new = made.to_bytes()
    (length,) = struct.unpack_from("<Q", new)
    bad = pack("backscatter", 2, {**arrays, "totals": made.totals})
    with pytest.raises(StateError):
        Summary.from_bytes(struct.pack("<Q", len(bad)) + new[8:32] + bad + new[32 + length :])
