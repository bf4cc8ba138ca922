"""The promise of the sets: of each class at most alpha is missed, in few and in many techniques."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attacker_made import profiles, written

from andon.learn.attacker import train
from andon.learn.attacker.calibrate import fold_of, part
from andon.learn.attacker.corpus import owners
from andon.learn.attacker.fit import drawn
from andon.learn.attacker.sources import corpus
from andon.records.case import Observation
from andon.triage.attacker import Knowledge, judge
from andon.triage.attacker.possible import p_value, possible


def test_p_values_of_exchangeable_scores_are_uniform() -> None:
    chance = np.random.default_rng(5)
    low = 0
    for _ in range(2000):
        scores = np.sort(chance.normal(size=40))
        low += p_value(scores, float(chance.normal()), 1) <= 0.1
    assert low / 2000 <= 0.1 + 3 * (0.1 * 0.9 / 2000) ** 0.5
    assert low / 2000 >= 0.05  # and it is a promise that costs something


def test_too_few_to_calibrate_with_rule_nothing_out() -> None:
    assert p_value(np.zeros(0), -99.0, 1) == 1.0
    assert p_value(np.zeros(5), -99.0, 1) > 0.1


def test_one_class_needs_probability_too() -> None:
    assert possible((0.5, 0.01), -1.0, 30) == ("targeted", "financial")  # 0.73 is not sure enough
    assert possible((0.5, 0.01), -2.0, 30) == ("targeted",)
    assert possible((0.5, 0.01), -2.0, 5) == ("targeted", "financial")  # with few techniques 0.9 is asked for
    assert possible((0.01, 0.01), 3.0, 30) == ()


@pytest.mark.parametrize("most", [5, 10, 9999])
def test_owners_never_learnt_from_are_covered_and_rarely_given_a_wrong_class(
    tmp_path: Path, most: int
) -> None:
    items = profiles(groups=90, families=150, seed=most)
    everything = corpus(profiles=[written(tmp_path, items)])[0]
    owner = owners(everything.profiles)
    held = [p for p in everything.learnt_from() if fold_of(owner[p.number], 77, 3) == 0]
    hidden = {p.number for p in held}
    learnt = [item for item in items if item["id"] not in hidden]
    knowledge = Knowledge.of(train(corpus(profiles=[written(tmp_path, learnt, "b.json")])[0]))
    missed, wrong = [], 0
    for profile in held:
        seen = [Observation("technique", number) for number in drawn(profile, most, 9)]
        classes = judge(seen, knowledge).classes
        missed.append(bool(classes) and profile.cls not in classes)
        wrong += len(classes) == 1 and classes[0] != profile.cls
    alpha = 0.05 if most <= 10 else 0.1
    assert len(held) >= 50
    assert np.mean(missed) <= alpha + 2 * (alpha * (1 - alpha) / len(held)) ** 0.5
    assert wrong / len(held) <= 0.1


def test_parts_are_the_same_for_the_same_seed() -> None:
    values = [f"v{at}" for at in range(50)]
    assert part(values, 0.5, "x", 1) == part(values, 0.5, "x", 1) != part(values, 0.5, "x", 2)
    assert part(values, 1.0, "x", 1) == tuple(values)
