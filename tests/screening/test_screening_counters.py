"""The kernel of decayed counters, against the definition written down in plain Python."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.triage.screening import counters


def plainly(seconds: list[float], pairs: list[int], groups: np.ndarray, at: int) -> list[float]:
    """Features of alert ``at``, from all before it."""
    t, row = seconds[at], groups[pairs[at]]
    out = []
    for kind in range(4):
        mine = [t - seconds[i] for i in range(at) if groups[pairs[i]][kind] == row[kind]]
        out += [sum(math.exp(-gap / tau) for gap in mine) for tau in counters.TAUS]
    for kind in (counters.HOST, counters.SIGNATURE):
        for tau in counters.TAUS:
            total = 0.0
            for i in range(at):
                if groups[pairs[i]][kind] == row[kind]:
                    before = [seconds[j] for j in range(i) if pairs[j] == pairs[i]]
                    step = (
                        1 - math.exp(-min(seconds[i] - before[-1], counters.LONGEST) / tau) if before else 1.0
                    )
                    total += step * math.exp(-(t - seconds[i]) / tau)
            out.append(total)
    return out


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0, 5000), st.integers(0, 5)), min_size=1, max_size=25),
)
def test_kernel_is_the_definition(events: list[tuple[float, int]]) -> None:
    seconds, pairs = [], []
    t = 1_641_945_600.0
    for gap, pair in events:
        t += gap
        seconds.append(t)
        pairs.append(pair)
    groups = np.array([[p, p % 2, p // 2, p % 3] for p in range(6)])
    n = len(seconds)
    first, most = np.zeros((n, counters.WIDTH)), np.zeros((n, counters.RISING))
    states = [counters.fresh(k) for k in (6, 2, 3, 3)]
    counters.run(
        np.array(seconds), np.array(pairs), np.arange(n), groups, *states, first, most, np.zeros(n, bool)
    )
    for at in range(n):
        np.testing.assert_allclose(
            first[at, : counters.RISING], plainly(seconds, pairs, groups, at), rtol=1e-6, atol=1e-9
        )
    seen = [seconds[at] - max(s for s, p in zip(seconds[:at], pairs[:at], strict=True) if p == pairs[at])
            for at in range(n) if pairs[at] in pairs[:at]]  # fmt: skip
    again = [first[at, counters.SINCE_PAIR] for at in range(n) if pairs[at] in pairs[:at]]
    np.testing.assert_allclose(again, seen)


def test_maxima_rise_within_an_episode_and_first_values_stay() -> None:
    seconds = np.array([0.0, 1.0, 2.0, 3.0])
    groups = np.zeros((1, 4), np.int64)
    first, most, begun = np.zeros((1, counters.WIDTH)), np.zeros((1, counters.RISING)), np.zeros(1, bool)
    states = [counters.fresh(1) for _ in range(4)]
    counters.run(seconds, np.zeros(4, np.int64), np.zeros(4, np.int64), groups, *states, first, most, begun)
    assert first[0, 0] == 0.0  # an alert is not in its own context
    assert 2.5 < most[0, 3] < 3.0  # the fourth saw three before it
    assert first[0, counters.SINCE_PAIR] == counters.LONGEST
