"""Forest, additive model and training: what they learn, what they refuse, and that nothing leaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import average_precision_score

from andon.learn import registry
from andon.learn.screening import audited, curves, forest, train, training
from andon.records.model import Model
from andon.sketch.additive import Additive
from andon.sketch.trees import Forest
from andon.triage.screening.features import FEATURES, INPUTS
from andon.triage.screening.rank import Prior, Ranker, rarity, signature_key
from andon.triage.screening.reasons import concepts, reasons


def rings(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a ring among points of a disc, and a few columns of noise: no line parts them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    label = np.abs(np.hypot(x[:, 0], x[:, 1]) - 1.2) < 0.25
    flip = rng.random(n) < 0.05
    return x, (label ^ flip).astype(np.float64)


def test_the_forest_is_as_good_as_the_reference() -> None:
    x, y = rings(1500, 1)
    far, truth = rings(1500, 2)
    ours = Forest.of(forest.grow(x, y, np.ones(len(y)), trees=100)).mean(far)
    made = ExtraTreesClassifier(100, min_samples_leaf=2, random_state=1, n_jobs=1).fit(x, y)
    theirs = made.predict_proba(far)[:, 1]
    a, b = (average_precision_score(truth, score) for score in (ours, theirs))
    assert a > b - 0.02 and a > truth.mean() + 0.3


def test_a_forest_is_the_same_again_and_another_with_another_seed() -> None:
    x, y = rings(300, 3)
    one, same, other = (forest.grow(x, y, np.ones(300), seed=seed, trees=5) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["threshold"], other["threshold"])
    leaves = one["feature"] < 0
    assert ((one["value"][leaves] >= 0) & (one["value"][leaves] <= 1)).all()


def test_weights_count_as_rows() -> None:
    x, y = rings(200, 4)
    heavy = np.where(y > 0, 3.0, 1.0)
    made = Forest.of(forest.grow(x, y, heavy, trees=30, leaf=40))
    assert (
        made.mean(x).mean()
        > Forest.of(forest.grow(x, y, np.ones(200), trees=30, leaf=40)).mean(x).mean() + 0.1
    )


@given(st.integers(0, 6), st.integers(-3, 9))
def test_a_forest_that_leads_astray_is_refused(at: int, value: int) -> None:
    arrays = {
        "feature": np.array([0, 1, -1, -1, 0, -1, -1], np.int16),
        "threshold": np.zeros(7, np.float32),
        "right": np.array([4, 3, -1, -1, 6, -1, -1], np.int32),
        "value": np.linspace(0, 1, 7, dtype=np.float32),
        "roots": np.array([0, 7], np.int32),
    }
    Forest.of(arrays)
    arrays["right"][at] = value
    inner = arrays["feature"][at] >= 0
    if inner and not at + 1 < value < 7:
        with pytest.raises(ValueError):
            Forest.of(arrays)
    else:
        assert np.isfinite(Forest.of(arrays).mean(np.zeros((2, 2)))).all()


def test_rows_with_too_few_features_are_refused() -> None:
    x, y = rings(100, 5)
    with pytest.raises(ValueError, match="fewer features"):
        Forest.of(forest.grow(x, y, np.ones(100), trees=20)).mean(x[:, :2])


def test_the_additive_model_learns_curves_and_its_parts_are_exact() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(3000, 4)).astype(np.float32)
    odds = 2 * np.sin(2 * x[:, 0]) + x[:, 1] ** 2 - 1.5
    y = (rng.random(3000) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    made = curves.fit(x, y, np.ones(3000))
    assert np.corrcoef(made.log_odds(x), odds)[0, 1] > 0.93
    parts = made.contributions(x)
    np.testing.assert_allclose(parts.sum(axis=1) + made.intercept, made.log_odds(x))
    np.testing.assert_allclose(parts.mean(axis=0), 0, atol=1e-6)  # relative to the mean row
    assert parts[:, 3].std() < 0.25 * parts[:, 0].std()
    again = Additive.of(made.arrays("a "), "a ")
    np.testing.assert_allclose(again.log_odds(x), made.log_odds(x), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError):
        Additive(made.edges[::-1].copy(), made.starts, made.curves, 0.0)


def labelled(
    n: int = 240, groups: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[str, str, str]]]:
    rng = np.random.default_rng(7)
    x = rng.random((n, len(FEATURES))).astype(np.float32)
    y = (x[:, 3] + 0.1 * rng.normal(size=n) > 0.8).astype(np.float64)
    names = [("suricata", f"r{int(10 * v)}", f"Rule {int(10 * v)}") for v in x[:, 3]]
    return x, y, np.array([f"net{i % groups}" for i in range(n)]), names


def test_training_gives_a_model_that_ranks() -> None:
    x, y, groups, names = labelled()
    model = train(x, y, groups, signatures=names, trees=40)
    made = Ranker.of(model)
    far, truth, _, far_names = labelled(120)
    scored = made.scored(far, far_names)
    assert average_precision_score(truth, scored.score) > 0.9
    assert ((scored.probability > 0) & (scored.probability < 1)).all()
    order = np.argsort(scored.score, kind="stable")
    assert (np.diff(scored.probability[order]) >= 0).all()
    assert len(model.arrays["calibration scores"]) == int(y.sum())
    assert model.card["agreement"] > 0.5
    assert train(x, y, groups, signatures=names, trees=40).digest == model.digest


def test_a_prior_is_never_of_the_own_network() -> None:
    x, y, groups, _ = labelled()
    names = [
        ("p", f"only {group}" if label else "common", "") for group, label in zip(groups, y, strict=True)
    ]
    rows = training.Rows(x, y, groups, names, np.ones(len(y)))
    told = training.inputs(rows)[:, -1]
    for group in np.unique(groups):
        mine = (groups == group) & (y > 0)
        others = rows.where(groups != group)
        np.testing.assert_allclose(
            told[mine], training.prior(others).other, rtol=1e-5
        )  # as of a rule never met


def test_extra_rows_teach_the_trees_and_count_nowhere() -> None:
    x, y, groups, names = labelled()
    extra = np.r_[np.zeros(len(y), bool), np.ones(len(y), bool)]
    twice = train(
        np.r_[x, x], np.r_[y, y], np.r_[groups, groups], signatures=[*names, *names], extra=extra, trees=20
    )
    once = train(x, y, groups, signatures=names, trees=20)
    assert len(twice.arrays["calibration scores"]) == len(once.arrays["calibration scores"])
    assert np.array_equal(twice.arrays["prior values"], once.arrays["prior values"])
    assert twice.card["episodes"] == once.card["episodes"] and twice.card["extra"] == len(y)


def test_outcomes_of_the_audit_move_alpha_and_are_kept_in_order() -> None:
    x, y, groups, names = labelled()
    times = np.arange(len(y))[::-1]
    inclusion = np.where(np.arange(len(y)) == np.flatnonzero(y > 0)[0], 0.5, 1.0)  # the newest true one
    outcomes = audited(y, inclusion, times)
    assert outcomes.missed.sum() == 1 and outcomes.missed[-1] and len(outcomes.missed) == y.sum()
    own = np.unique(groups).tolist()
    model = train(x, y, groups, signatures=names, trees=20, own=own, audit=outcomes)
    made = Ranker.of(model)
    assert (made.calibration[1] < 0).all()
    promise = made.promise(0.2, 0.9)
    assert promise.kept and promise.alpha < 0.2 and "was moved to" in promise.statement
    none = train(x, y, groups, signatures=names, trees=20, own=own)
    assert Ranker.of(none).promise(0.2, 0.9).alpha == 0.2
    for broken in (np.zeros(len(outcomes.drawn)), outcomes.drawn[:-1]):
        with pytest.raises(ValueError, match="audit outcomes"):
            Ranker.of(Model(model.kind, model.arrays | {"audit drawn": broken}, model.card))
    with pytest.raises(ValueError, match="above 0"):
        audited(y, 0 * inclusion, times)


def test_one_class_alone_teaches_nothing() -> None:
    x, y, groups, names = labelled()
    with pytest.raises(ValueError, match="no true episodes"):
        train(x, 0 * y, groups, signatures=names)
    with pytest.raises(ValueError, match="differ in length"):
        train(x, y[:-1], groups, signatures=names)
    with pytest.raises(ValueError, match="numbers"):
        train(np.where(x > 0.99, np.nan, x), y, groups, signatures=names)


def test_a_model_of_other_features_is_refused() -> None:
    model = registry.shipped()["screening"]
    assert list(model.card["features"]) == list(INPUTS)
    Ranker.of(model)
    with pytest.raises(ValueError, match="other features"):
        Ranker.of(Model("screening", model.arrays, dict(model.card) | {"features": ["x"]}))
    with pytest.raises(ValueError, match="lacks"):
        Ranker.of(Model("screening", {}, model.card))
    with pytest.raises(ValueError, match="kind"):
        Ranker.of(Model("url", model.arrays, model.card))


def test_the_shipped_model_keeps_the_promise_that_it_states() -> None:
    made = Ranker.of(registry.shipped()["screening"])
    promise = made.promise(0.1, 0.95)
    scores, network = made.calibration
    assert (
        promise.kept and promise.n == len(scores) >= 150 and promise.networks == len(np.unique(network)) == 5
    )
    assert (scores < promise.threshold).mean() <= 0.1
    assert not made.promise(0.001, 0.95).kept  # a thousand would be needed


def test_priors_know_a_rule_by_number_or_by_words() -> None:
    key = signature_key("suricata", "ET SCAN thing")
    made = Prior(np.array([key], np.uint64), np.array([-0.1]), -4.0)
    asked = [
        ("suricata", "2013028", "ET SCAN thing"),
        ("Suricata", "et scan THING", ""),
        ("wazuh", "1", "ET SCAN thing"),
    ]
    assert made.of(asked).tolist() == [-0.1, -0.1, -4.0]


@settings(max_examples=20)
@given(st.lists(st.floats(0, 15, width=32), min_size=len(FEATURES), max_size=len(FEATURES)))
def test_reasons_are_at_most_five_and_say_what_they_weigh(row: list[float]) -> None:
    x = np.array([row], np.float32)
    scored = rarity(x)
    assert 0 <= scored.score[0] <= 1 and np.isnan(scored.probability[0])
    summed = concepts(scored.parts)
    assert summed.sum() == pytest.approx(scored.parts.sum())
    words, weights = reasons(x[0], summed[0])
    assert len(words) == len(weights) <= 5 and all(words)
    assert weights == sorted(weights, reverse=True)
