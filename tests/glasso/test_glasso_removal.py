"""The rule that makes densities alerts, against a plain transcription of the published one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.glasso.history import History
from andon.detect.darknet.glasso.removal import distance_of, remove, theta_at
from andon.sketch.state import StateError


def published(densities: list[float], theta: float) -> list[int]:
    """Positions removed: take the maximum away while that leaves at most theta of the variance."""
    left = list(range(len(densities)))
    removed = []
    while len(left) > 2:
        values = [densities[n] for n in left]
        most = left[int(np.argmax(values))]
        rest = [densities[n] for n in left if n != most]
        if np.var(values) == 0 or np.var(rest) / np.var(values) > theta:
            break
        left.remove(most)
        removed.append(most)
    return removed


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=12, max_size=60),
    st.sampled_from([0.5, 0.7, 0.9, 0.98]),
)
def test_same_alerts_as_the_published_rule(values: list[int], theta: float) -> None:
    densities = [value / 997 for value in values]
    expected = published(densities, theta)
    got = remove(np.array(densities), theta)
    assert got.removed == len(expected)
    assert got.newest == (len(densities) - 1 in expected)


def test_published_length_and_theta() -> None:
    rng = np.random.default_rng(3)
    densities = rng.normal(0.01, 0.0005, 432)
    densities[[17, 431]] = 0.014, 0.013
    assert published(densities.tolist(), 0.98)[:2] == [17, 431]
    got = remove(densities, 0.98)
    assert got.newest and got.removed == len(published(densities.tolist(), 0.98))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=12, max_size=80), st.floats(0.3, 0.99))
def test_the_score_says_at_which_threshold_the_newest_is_an_alert(values: list[int], theta: float) -> None:
    densities = np.array(values) / 9973
    result = remove(densities, theta)
    threshold = distance_of(theta, len(densities))
    if abs(result.score - threshold) > 1e-6:
        assert result.newest == (result.score > threshold)


def test_a_shorter_history_is_judged_at_equal_distance() -> None:
    assert distance_of(0.98) == pytest.approx(3.098, abs=1e-3)
    for n in (20, 100, 432):
        assert distance_of(theta_at(3.0, n), n) == pytest.approx(3.0)
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(400):
        densities = rng.normal(1.0, 0.1, 60)
        alarms += remove(densities, theta_at(distance_of(0.98), 60)).newest
    assert alarms <= 8  # theta itself would stand for 1.5 standard deviations of 60: about 25


def test_densities_that_never_move_raise_nothing() -> None:
    for value in (0.0, 0.0123456789):
        result = remove(np.full(432, value), 0.98)
        assert (result.removed, result.newest, result.score) == (0, False, 0.0)


def test_warm_up_then_judgement_and_alerts_leave_the_history() -> None:
    rng = np.random.default_rng(2)
    history = History.empty((0.4, 0.9))
    for n in range(40):
        density = [float(rng.normal(0.01, 0.001)), float(rng.normal(0.02, 0.001))]
        if n == 35:
            density[0] = 0.05
        history, judged = history.judge(density, 0.98, 432, 30, True)
        assert (judged[0] is None) == (n < 29)
        if n == 35:
            assert (
                judged[0] is not None and judged[0].newest and judged[1] is not None and not judged[1].newest
            )
    assert len(history.densities[1]) - len(history.densities[0]) >= 1
    assert history.densities[0].max() < 0.05


def test_alerts_stay_if_told_to() -> None:
    history = History.empty((0.4,))
    for n in range(30):
        history, _ = history.judge([0.05 if n == 25 else 0.01 + 0.001 * (n % 3)], 0.98, 432, 12, False)
    assert history.densities[0].max() == 0.05


def test_history_is_bounded_and_goes_to_bytes_and_back() -> None:
    history = History.empty((0.4, 0.5))
    for n in range(100):
        history, _ = history.judge([n % 7 / 100, n % 5 / 100], 0.98, 20, 20, True)
    assert all(len(part) <= 40 for part in history.densities)
    again = History.from_bytes(history.to_bytes())
    assert again.to_bytes() == history.to_bytes() and again.rho == (0.4, 0.5)
    assert History.from_bytes(History.empty().to_bytes()).rho == ()
    with pytest.raises(StateError):
        History.from_bytes(history.to_bytes()[:-1])
