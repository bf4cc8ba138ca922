"""Comparisons refuse what is worse or cannot be told, and intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.learn.feedback import compare, sides
from andon.learn.feedback.datasets import DATA, DataSet


def _data(label, group=None, inclusion=None, site=None, day=None):
    n = len(label)
    columns = {
        "id": [f"e{k:05d}" for k in range(n)],
        "site": ["s"] * n if site is None else list(site),
        "group": [f"g{k}" for k in (np.arange(n) if group is None else group)],
        "label": list(label),
        "inclusion": [1.0] * n if inclusion is None else list(inclusion),
        "time": [int(d) * compare.DAY for d in (np.zeros(n) if day is None else day)],
        "weight": [1.0] * n, "score": [0.0] * n, "features": [[0.0]] * n,
    }  # fmt: skip
    filled = {name: columns.get(name, [""] * n) for name in DATA.names}
    return DataSet(
        pa.table({name: pa.array(v).cast(DATA.field(name).type) for name, v in filled.items()}), {}
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(1, 3)), min_size=2, max_size=40))
def test_average_precision_is_scikit_learns(rows):
    from sklearn.metrics import average_precision_score

    label, score, weight = (np.array([row[k] for row in rows], float) for k in range(3))
    if not label.any():
        return
    ours = compare.average_precision(score, label, weight)
    assert ours == pytest.approx(average_precision_score(label, score, sample_weight=weight))


def _world(seed, n=600, share=0.1):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < share).astype(int)
    return rng, label, label * 2.0 + rng.normal(size=n)


def test_equal_and_better_ones_pass_and_worse_ones_do_not():
    rng, label, good = _world(1)
    bad = label * 0.8 + rng.normal(size=len(label))
    data = _data(label)
    assert not compare.on_set("frozen", data, good, good).why
    assert not compare.on_set("frozen", data, good, bad).why
    refused = compare.on_set("frozen", data, bad, good)
    assert refused.why and "average precision" in refused.why[0]
    assert compare.Comparison("a", "b", (refused,), 10).promote is False
    assert compare.Comparison("a", "b", (), 10).promote is False


def test_a_slightly_worse_one_seldom_passes_and_a_slightly_noisier_equal_one_mostly_does():
    passed = {0.0: 0, 0.9: 0}
    for seed in range(10):
        rng, label, good = _world(seed, n=900)
        for loss in passed:
            near = good + rng.normal(scale=0.15, size=len(label)) - loss * label
            passed[loss] += not compare.on_set("frozen", _data(label), near, good).why
    assert passed[0.0] >= 7 and passed[0.9] == 0


def test_too_few_cases_are_refused_even_if_all_is_well():
    label = np.r_[np.ones(9), np.zeros(200)].astype(int)
    why = compare.on_set("frozen", _data(label), label + 0.0, label + 0.0).why
    assert len(why) == 1 and "9 true cases are too few" in why[0]
    # Ninety episodes of nine cases are nine pieces of luck.
    many = np.r_[np.ones(90), np.zeros(200)].astype(int)
    groups = np.r_[np.repeat(np.arange(9), 10), np.arange(9, 209)]
    assert compare.on_set("frozen", _data(many, groups), many + 0.0, many + 0.0).why


def test_intervals_by_case_are_wider_than_by_episode():
    rng = np.random.default_rng(2)
    case = np.repeat(np.arange(60), 10)
    label = np.repeat((np.arange(60) < 20).astype(int), 10)
    score = np.repeat(rng.normal(size=60), 10) + label
    other = np.repeat(rng.normal(size=60), 10) + label
    by_case = compare.on_set("x", _data(label, case), score, other).figures["ap"]
    alone = compare.on_set("x", _data(label), score, other).figures["ap"]
    assert by_case.high - by_case.low > 2 * (alone.high - alone.low)


def test_an_audited_episode_speaks_for_those_nobody_saw():
    label = np.array([1, 0, 0])
    score = np.array([2.0, 3.0, 1.0])
    audited = _data(label, inclusion=[1.0, 0.01, 1.0])
    assert compare.average_precision(score, label, audited.importance()) == pytest.approx(1 / 101)
    looked = compare.looked_at(score, np.array(["s"] * 3), np.zeros(3, int), 10, audited.importance())
    assert looked.tolist() == [False, True, False]  # a hundred of its kind would have used up the day


def test_thresholds_are_tested_on_the_other_set():
    _, label, score = _world(3)
    limit = compare.threshold(score, label)
    data = _data(label)
    shifted = score - 1.5 * label
    seen = compare.on_set("recent", data, shifted, score, thresholds=(limit, limit))
    assert seen.figures["miss"].candidate > seen.figures["miss"].current + 0.2
    assert any("below the threshold" in why for why in seen.why)
    assert compare.threshold(score[:3], np.ones(3)) == -np.inf  # too few to promise anything


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not a number"):
        compare.on_set("frozen", _data([1, 0]), np.array([np.nan, 0]), np.zeros(2))


def test_sides_hold_and_whole_sites_can_be_kept_away():
    ids = [f"e{k}" for k in range(4000)]
    group = [f"g{k // 4}" for k in range(4000)]
    site = ["a" if k % 8 < 4 else "b" for k in range(4000)]
    first = sides.on_side(group, ids, site, {})
    share = np.mean(first == sides.EVALUATION)
    assert 0.16 < share < 0.24 and all(len(set(first[k : k + 4])) == 1 for k in range(0, 4000, 4))
    held = sides.on_side(group, ids, site, {}, held_sites={"b"})
    assert set(held[np.array(site) == "b"]) == {sides.EVALUATION}
    # Two groups of different sides grow together: each keeps what it had, what is new belongs to neither.
    train, away = (ids[int(np.flatnonzero(first == s)[0])] for s in (sides.TRAIN, sides.EVALUATION))
    before = dict(zip(ids, first, strict=True))
    joined = sides.on_side(["g"] * 3, [train, away, "new"], ["a"] * 3, before)
    assert joined.tolist() == [sides.TRAIN, sides.EVALUATION, sides.LEFT_OUT]


def test_duplicates_and_cases_stay_together():
    made = sides.grouped(
        ["d", "a", "b", "c", "e"], ["", "k1", "k1", "k2", "k2"], ["r1", "r2", "r3", "r2", "r4"]
    )
    assert made.tolist() == ["d", "a", "a", "a", "a"]
    assert sides.grouped([], [], []).tolist() == []
