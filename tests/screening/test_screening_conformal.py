"""What is promised is kept, and what cannot be promised is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.triage.screening import conformal


def test_split_misses_at_most_alpha_of_exchangeable_ones() -> None:
    rng = np.random.default_rng(1)
    for alpha in (0.2, 0.1, 0.05):
        missed = []
        for _ in range(2000):
            scores = rng.random(61) ** 2
            missed.append(scores[-1] < conformal.split(scores[:-1], alpha).threshold)
        assert np.mean(missed) <= alpha + 3 * np.sqrt(alpha / 2000)
        assert np.mean(missed) >= alpha / 3  # nor is everything shown


def test_certain_keeps_its_confidence() -> None:
    rng = np.random.default_rng(2)
    broken = 0
    for _ in range(1000):
        made = conformal.certain(rng.random(200), 0.05, 0.9)
        broken += made.threshold > 0.05  # of uniform scores so many lie below
    assert broken / 1000 <= 0.1 + 3 * np.sqrt(0.09 / 1000)


@given(st.integers(0, 300), st.floats(0.005, 0.3))
def test_nothing_is_promised_on_too_little(n: int, alpha: float) -> None:
    scores = np.linspace(0, 1, n)
    made = conformal.split(scores, alpha)
    assert made.kept == (np.floor(alpha * (n + 1) + 1e-9) >= 1)
    assert made.kept or (made.threshold == -np.inf and "no promise" in made.statement)
    sure = conformal.certain(scores, alpha, 0.95)
    assert sure.threshold <= made.threshold
    assert sure.kept == ((1 - alpha) ** n <= 0.05 * (1 + 1e-9))


def test_a_different_network_costs_alpha() -> None:
    rng = np.random.default_rng(3)
    alike = rng.random(300)
    network = np.repeat(np.arange(5), 60)
    easy = conformal.transferred(alike, network, 0.1)
    assert easy.kept and easy.threshold == conformal.split(alike, 0.1).threshold
    assert easy.confidence == pytest.approx(5 / 6) and easy.networks == 5
    odd = alike.copy()
    odd[network == 4] *= 0.15  # one network whose true episodes score low
    hard = conformal.transferred(odd, network, 0.1)
    assert hard.threshold < conformal.split(odd, 0.1).threshold
    assert (odd[network == 4] < hard.threshold).mean() <= 0.1 + 2 * np.sqrt(0.09 / 60) + 1e-9 or not hard.kept
    assert not conformal.transferred(alike, np.zeros(300), 0.1).kept
    assert not conformal.transferred(alike[:8], network[:8], 0.01).kept


def test_adaptive_alpha_follows_the_audit() -> None:
    worse = conformal.adapted(0.05, 0.05, [True] * 3, [0.01] * 3)
    assert worse < 0.05
    better = conformal.adapted(0.05, 0.05, [False] * 50, [1.0] * 50)
    assert 0.05 < better < 0.999
    with pytest.raises(ValueError):
        conformal.adapted(0.05, 0.05, [True], [0.0])
    # In the long run the realised share is the target, wherever alpha began and though scores drift.
    rng = np.random.default_rng(4)
    alpha, missed = 0.3, []
    for step in range(6000):
        score = rng.random() ** (1 + step / 3000)
        missed.append(score < alpha)  # uniform calibration: the threshold is alpha itself
        alpha = conformal.adapted(alpha, 0.1, [missed[-1]], [1.0])
    assert abs(np.mean(missed[1000:]) - 0.1) < 0.02


def test_the_miss_rate_is_without_bias() -> None:
    rng = np.random.default_rng(5)
    shown, out = 90, 10  # of 100 true ones ten are screened out
    rates = []
    for _ in range(3000):
        drawn = rng.random(out) < 0.2
        missed = np.r_[np.zeros(shown, bool), np.ones(int(drawn.sum()), bool)]
        probability = np.r_[np.ones(shown), np.full(int(drawn.sum()), 0.2)]
        rates.append(conformal.miss_rate(missed, probability)[0])
    assert np.mean(rates) == pytest.approx(0.1, abs=0.006)
    assert np.isnan(conformal.miss_rate(np.zeros(0, bool), np.zeros(0))[0])
    with pytest.raises(ValueError):
        conformal.split(np.ones(5), 1.0)
