"""The recursions, against a plain transcription for one series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.changefinder.sdar import LEAST, STATE, learn


class Sdar:
    """One learner of order 2, as published: one point at a time, the pseudo-inverse of the Toeplitz matrix."""

    def __init__(self, r: float, least: float, early: bool) -> None:
        self.r, self.least, self.early = r, least, early
        self.n, self.mu, self.variance = 0, 0.0, 0.0
        self.c, self.past = [0.0, 0.0, 0.0], [0.0, 0.0]

    def update(self, x: float) -> float:
        r = max(self.r, 1 / (self.n + 1)) if self.early else self.r
        if self.n == 0:
            self.mu, self.past = x, [x, x]
        self.n += 1
        self.mu = (1 - r) * self.mu + r * x
        for k, lagged in enumerate([x, *self.past]):
            self.c[k] = (1 - r) * self.c[k] + r * (x - self.mu) * (lagged - self.mu)
        toeplitz = np.array([[self.c[0], self.c[1]], [self.c[1], self.c[0]]])
        w = np.linalg.pinv(toeplitz, rcond=1e-12) @ np.array(self.c[1:])
        predicted = self.mu + sum(w[k] * (self.past[k] - self.mu) for k in range(2))
        self.variance = (1 - r) * self.variance + r * (x - predicted) ** 2
        self.past = [x, self.past[0]]
        taken = max(self.variance, self.least)
        return (math.log(2 * math.pi * taken) + (x - predicted) ** 2 / taken) / 2


def change_scores(series: np.ndarray, r: float = 0.005, early: bool = False) -> list[float]:
    first, second = Sdar(r, LEAST[0], early), Sdar(r, LEAST[1], early)
    scores: list[float] = []
    changes: list[float] = []
    out = []
    for x in series.tolist():
        scores.append(first.update(x))
        changes.append(second.update(float(np.mean(scores[-10:]))))
        out.append(float(np.mean(changes[-5:])))
    return out


def ours(series: np.ndarray, r: float = 0.005, early: bool = False) -> np.ndarray:
    """Scores (points, series) of several series (points, series)."""
    state = np.zeros((series.shape[1], STATE))
    return np.array(
        [
            learn(state, np.full(series.shape[1], n), point, r, early, LEAST[0]).score
            for n, point in enumerate(series)
        ]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([0.005, 0.05]))
def test_same_scores_as_the_plain_recursions(seed: int, early: bool, r: float) -> None:
    rng = np.random.default_rng(seed)
    series = rng.poisson(rng.uniform(0.5, 200, 3), (60, 3)).astype(float)
    series[40:, 0] *= 3
    got = ours(series, r, early)
    for n in range(3):
        np.testing.assert_allclose(got[:, n], change_scores(series[:, n], r, early), rtol=1e-6, atol=1e-6)


def test_a_step_scores_far_above_what_went_before_and_fades() -> None:
    rng = np.random.default_rng(1)
    series = rng.poisson(50, (500, 1)).astype(float)
    series[400:] += 100
    score = ours(series, early=True)[:, 0]
    assert score[50:400].max() < 3 < score[400:410].max()
    assert score[460:].max() < 3


def test_direction_and_place_of_a_change() -> None:
    rng = np.random.default_rng(2)
    for factor, rising in ((4.0, True), (0.1, False)):
        series = rng.poisson(80, 320).astype(float)
        series[300:] *= factor
        state = np.zeros((1, STATE))
        for n, point in enumerate(series[:304]):
            step = learn(state, np.array([n]), np.array([point]), 0.005, True, LEAST[0])
        assert bool(step.rising[0]) is rising
        assert int(step.ago[0]) == 3  # the fourth point after the change
        assert step.expected[0] > 60


@pytest.mark.parametrize("value", [0.0, 7.0, 1e9])
def test_a_series_that_never_moves_keeps_a_finite_low_score(value: float) -> None:
    score = ours(np.full((100, 1), value))
    assert np.all(np.isfinite(score)) and score.max() < 3


def test_numbers_beyond_reason_stay_finite() -> None:
    series = np.array([[0.0], [1e15], [0.0], [1e15], [1.0]] * 10)
    assert np.all(np.isfinite(ours(series)))
