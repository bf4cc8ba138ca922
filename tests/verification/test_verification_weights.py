"""Weights: what they add up to, what verdicts change, and the audit."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from case_world import ATTACKER, SERVER, case, episode, facts, refused

from andon.records.case import CheckResult
from andon.records.model import Model
from andon.triage.verification import Weights, audited, fit, verify
from andon.triage.verification.answer import NAMES
from andon.triage.verification.facts import History
from andon.triage.verification.history import counted, posterior


def test_log_odds_are_the_start_and_the_sum_of_the_checks() -> None:
    result = verify(case(episode()), facts([refused(0, ATTACKER, SERVER, 443)]))
    assert result.log_odds == pytest.approx(Weights().start + sum(check.weight for check in result.checks))
    assert [check.name for check in result.checks] == list(NAMES)


def made(
    rng: np.random.Generator, number: int, weights: Weights
) -> tuple[list[list[CheckResult]], list[bool]]:
    """Cases whose labels are drawn from these weights."""
    cases, labels = [], []
    for _ in range(number):
        odds, results = weights.start, []
        for name in ("answered", "behaviour", "known-false"):
            outcome = str(rng.choice(["passed", "failed", "unknown"]))
            odds += weights.of(name, outcome, 1.0)
            results.append(CheckResult(name, outcome, "", Weights().of(name, outcome, 1.0)))
        cases.append(results)
        labels.append(bool(rng.random() < 1 / (1 + math.exp(-odds))))
    return cases, labels


def test_fit_finds_other_weights_and_few_verdicts_change_little() -> None:
    rng = np.random.default_rng(1)
    true = Weights(-1.0, {**Weights().by_name, "answered": (2.0, -0.5), "behaviour": (1.0, -0.2)})
    found = fit(*made(rng, 2000, true), Weights(), spread=3.0)
    assert found.by_name["answered"] == pytest.approx((2.0, -0.5), abs=0.6)
    assert found.by_name["behaviour"] == pytest.approx((1.0, -0.2), abs=0.6)
    assert found.by_name["sanctioned"] == pytest.approx(Weights().by_name["sanctioned"])
    little = fit(*made(rng, 12, true), Weights(), spread=0.3)
    for name, pair in little.by_name.items():
        assert pair == pytest.approx(Weights().by_name[name], abs=0.3)


def test_fit_never_turns_a_check_round() -> None:
    passed = [CheckResult("behaviour", "passed", "", 3.0)]
    nothing = [CheckResult("behaviour", "unknown", "")]
    found = fit([passed] * 50 + [nothing] * 50, [False] * 50 + [True] * 50, Weights(), spread=50.0)
    assert found.by_name["behaviour"][0] == 0.0


def test_fit_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        fit([[], []], [True, True], Weights())


def test_weights_as_a_model_and_back() -> None:
    weights = Weights(-1.5, {**Weights().by_name, "spray": (1.25, -0.5)}, 0.5, -5.0)
    again = Weights.of_model(weights.model({"version": 1}))
    assert again == Weights(weights.start, dict(weights.by_name), weights.act, weights.dismiss)
    with pytest.raises(ValueError, match="kind"):
        Weights.of_model(Model("url", {}, {}))
    with pytest.raises(ValueError, match="shape"):
        Weights.of_model(
            Model("verification", {"weights": np.zeros((1, 2)), "rest": np.zeros(3)}, {"checks": []})
        )


def test_posterior_borrows_from_the_signature() -> None:
    assert posterior(History())[0] == pytest.approx(0.05)
    elsewhere = posterior(History(true=50, false=50))[0]
    assert 0.3 < elsewhere < 0.5
    assert posterior(History(true=50, false=150, here_false=100))[0] < 0.03
    assert posterior(History(false=1000))[1] > 0.0


def test_one_analyst_counts_only_so_often() -> None:
    row = {"host": SERVER, "peers": [], "label": "false-positive", "analyst": "a", "time": 1}
    said = counted([row] * 5000, [SERVER], [], 2)
    assert (said.false, said.analysts) == (200, 1)


def test_the_audit_is_the_share_that_was_asked_for_and_always_the_same() -> None:
    names = [f"case-{n}" for n in range(4000)]
    chosen = [name for name in names if audited(name, 0.05, 7)]
    assert 150 < len(chosen) < 250
    assert chosen == [name for name in names if audited(name, 0.05, 7)]
    assert chosen != [name for name in names if audited(name, 0.05, 8)]
    assert not any(audited(name, 0.0, 7) for name in names) and all(
        audited(name, 1.0, 7) for name in names[:50]
    )


def test_many_episodes_are_bounded_and_said() -> None:
    rows = [episode(id=f"e{n}", rule=str(n)) for n in range(80)]
    result = verify(case(*rows), facts([refused(0, ATTACKER, SERVER, 443, 200)]))
    assert result.decision == "inspect"
    assert "20 further episodes were not asked" in result.statement
    assert pa.types.is_float64(pa.array([result.log_odds]).type)
