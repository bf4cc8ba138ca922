"""The day's queue: what resembles what is in it already is worth less."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from andon.triage.screening import queue

SECOND = 1_000_000_000


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 4), st.integers(0, 3), st.integers(0, 300)), max_size=40
    )
)
def test_ranks_are_a_permutation_and_worth_falls(rows: list[tuple[float, int, int, int]]) -> None:
    score = np.array([r[0] for r in rows])
    signature, host, first = (np.array([r[k] for r in rows], np.int64) for k in (1, 2, 3))
    rank, worth = queue.ranks(score, signature, host, first * SECOND)
    assert sorted(rank.tolist()) == list(range(1, len(rows) + 1))
    assert (worth <= score + 1e-12).all()
    placed = worth[np.argsort(rank)]
    assert (np.diff(placed) <= 1e-12).all()
    if len(rows):
        assert score[rank == 1] == score.max()


def test_a_burst_does_not_take_all_looks() -> None:
    score = np.r_[np.full(20, 0.9), 0.5, 0.5]
    signature = np.r_[np.arange(20), 30, 31]
    host = np.r_[np.zeros(20), 1, 2]
    rank, _ = queue.ranks(score, signature, host, np.zeros(22, np.int64))
    assert set(rank[20:].tolist()) <= {2, 3, 4}
    apart, _ = queue.ranks(score, signature, host, np.arange(22) * 3600 * SECOND)
    assert apart[20:].min() == 21


def test_many_episodes_all_get_a_rank() -> None:
    rng = np.random.default_rng(1)
    n = 5000
    rank, _ = queue.ranks(
        rng.random(n), rng.integers(0, 50, n), rng.integers(0, 90, n), rng.integers(0, 10**14, n)
    )
    assert sorted(rank.tolist()) == list(range(1, n + 1))
