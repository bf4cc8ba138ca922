"""The parts of user risk against what they claim: the rate's prior and interval, measures of quality, calibration."""

from __future__ import annotations

import numpy as np
import pytest
from risk_tables import START, tables

from andon.detect.livenet.userrisk.boost import calibrate
from andon.detect.livenet.userrisk.counters import COLUMN, Habit, day
from andon.detect.livenet.userrisk.quality import Quality, auc
from andon.detect.livenet.userrisk.rate import Prior, rates


def test_the_prior_of_planted_rates_is_found_and_intervals_cover() -> None:
    rng = np.random.default_rng(3)
    a, b, t = 0.6, 40.0, rng.uniform(5, 40, 6000)
    true = rng.gamma(a, 1 / b, 6000)
    k = rng.poisson(true * t).astype(float)
    prior = Prior.fit(k, t)
    assert prior.a == pytest.approx(a, rel=0.25) and prior.a / prior.b == pytest.approx(a / b, rel=0.1)
    found = rates(k, t, prior)
    inside = (found.low <= 7 * true) & (7 * true <= found.high)
    assert inside.mean() == pytest.approx(0.8, abs=0.03)
    came = rng.poisson(7 * true) > 0
    assert found.probability.mean() == pytest.approx(came.mean(), abs=0.01)
    assert abs(np.mean(found.probability[found.probability > 0.3] - came[found.probability > 0.3])) < 0.05


def test_without_a_contact_the_rate_is_low_but_not_zero() -> None:
    t = np.full(50, 20.0)
    found = rates(np.zeros(50), t, Prior.fit(np.zeros(50), t))
    assert 0 < found.probability.max() < 0.01


def test_auc_counts_pairs_as_by_hand() -> None:
    rng = np.random.default_rng(4)
    p, y = rng.integers(0, 8, 60) / 8, rng.random(60) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in p[y] for b in p[~y]]
    assert auc(p, y) == pytest.approx(np.mean(pairs))
    assert np.isnan(auc(p, np.zeros(60, bool)))


def test_precision_among_ties_is_their_mean_and_lift_is_over_all() -> None:
    y = np.array([True, False] * 500)
    q = Quality.of(np.full(1000, 0.5), y)
    assert (q.precision, q.lift, q.calibration) == (
        pytest.approx(0.5),
        pytest.approx(1.0),
        pytest.approx(0.0),
    )
    sure = Quality.of(np.where(y, 0.9, 0.1), y)
    assert sure.precision == 1.0 and sure.lift == 2.0 and sure.calibration == pytest.approx(0.1)


@pytest.mark.parametrize("many", [4000, 40_000])
def test_calibration_repairs_odds_that_are_off(many: int) -> None:
    rng = np.random.default_rng(7)
    truth = rng.normal(-3.5, 1.2, many)
    y = rng.random(many) < 1 / (1 + np.exp(-truth))
    x, to = calibrate(2.5 * truth + 4, y, np.ones(many))
    assert (np.diff(x) >= 0).all() and (np.diff(to) >= 0).all()
    p = np.interp(2.5 * truth + 4, x, to)
    assert Quality.of(p, y).calibration < 0.01
    assert Quality.of(1 / (1 + np.exp(-2.5 * truth - 4)), y).calibration > 0.05


def test_counters_of_a_day_by_hand() -> None:
    seen = {"old.example": 0, "shared.example": 0}
    visits = [("a", "old.example", 4), ("a", "fresh.example", 1), ("a", "shared.example", 1),
              ("b", "shared.example", 2), ("b", "bad.example", 1), ("c", "old.example", 1),
              ("d", "old.example", 1)]  # fmt: skip
    made = day(
        tables(3, visits, ["bad.example"], seen=seen),
        START + 3 * 86_400_000_000_000,
        Habit.empty(),
        {"b": 2.0},
        0.95,
        1,
    )
    rows = {
        name: dict(zip(COLUMN, values, strict=True))
        for name, values in zip(made.names, made.values, strict=True)
    }
    assert rows["a"]["requests"] == 6 and rows["a"]["destinations"] == 3 and rows["a"]["new"] == 1
    assert rows["a"]["rare"] == 2  # fresh.example and shared.example
    assert rows["b"]["black"] == 1 and rows["a"]["black"] == 0
    assert (
        rows["a"]["neighbours"] == 1.0 and rows["b"]["neighbours"] == 0.0
    )  # shares shared.example with b, who met bad
    assert made.bad[0].tolist() == [made.names.index("b")]


def test_quiet_hours_and_days_are_the_organisations_own() -> None:
    busy = np.zeros(24)
    busy[0:9] = 100  # in UTC an organisation in the far east
    habit = Habit.empty().after(busy, 100)
    assert habit.quiet(busy, 90).tolist() == [False] * 9 + [True] * 15
    assert habit.quiet(busy / 10, 10).all()  # a holiday
    assert habit.after(busy / 10, 10) is habit
