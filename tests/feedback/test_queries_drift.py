"""What is asked, what the audit says, what has drifted, and PACT's rule beside ours."""

from __future__ import annotations

import made_triage as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.learn.feedback import drift, pact
from andon.learn.feedback.labels import fold
from andon.learn.feedback.material import items_of
from andon.learn.feedback.queries import choose, doubled, missed, seconds
from andon.learn.feedback.watch import watch
from andon.records.case import Verdict
from andon.store.casebook import Casebook
from andon.triage.screening.features import FEATURES

NO = np.zeros(200, bool)


def test_half_top_half_uncertain_and_the_audit_first():
    score = np.linspace(0, 1, 200)
    audit = np.arange(200) < 3
    asked = choose(score, np.arange(200), NO, audit, 10, 0.5)
    assert [q.shown for q in asked[:3]] == ["audit"] * 3
    top = [q.row for q in asked if q.shown == "top"]
    near = [q.row for q in asked if q.shown == "uncertain"]
    assert top == [199, 198, 197, 196, 195] and all(97 <= row <= 102 for row in near) and len(near) == 5
    assert len(choose(score, np.arange(200), ~NO, audit, 10, 0.5)) == 0  # all judged


def test_one_noisy_rule_does_not_eat_the_budget_unless_nothing_else_is_there():
    score = np.r_[np.full(100, 0.9), np.linspace(0, 0.5, 100)]
    signature = np.r_[np.zeros(100, int), np.arange(1, 101)]
    asked = choose(score, signature, NO, NO, 20, 0.6)
    assert sum(signature[q.row] == 0 for q in asked) == 5
    assert len(choose(score, np.zeros(200, int), NO, NO, 20, 0.6)) == 20


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 30), st.integers(0, 2**31), st.floats(0, 1))
def test_queries_are_distinct_and_within_the_budget(budget, seed, share):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 40))
    judged, audit = rng.random(n) < 0.2, rng.random(n) < 0.1
    asked = choose(rng.random(n), rng.integers(0, 3, n), judged, audit, budget, 0.5, share)
    rows = [q.row for q in asked]
    assert len(set(rows)) == len(rows) and not judged[rows].any()
    free = int((~judged & ~audit).sum())
    assert len(rows) == min(budget, free) + int((audit & ~judged).sum())


def test_second_looks_go_to_somebody_else():
    table, truth = made.episodes(days=6)
    labels = fold(made.verdicts(table, truth, twice=0.0), items_of(table, {}, {})).table
    asked = seconds(labels)
    rows = {q.row for q in asked}
    true = set(np.flatnonzero(labels["label"].to_numpy() == 1).tolist())
    assert true <= rows and all(len(q.not_by) == 1 for q in asked)
    rest = {row for row in range(len(labels)) if row not in true and doubled(labels["id"][row].as_py())}
    assert rows - true == rest and 5 < len(rest) < 50


def test_the_audit_estimate_is_unbiased_and_its_interval_covers():
    rng = np.random.default_rng(1)
    true = np.zeros(20_000, bool)
    true[:40] = True
    chance = np.where(np.arange(20_000) % 2, 0.02, 0.06)
    sums, covered, plain = [], 0, 0
    for _ in range(300):
        drawn = rng.random(len(true)) < chance
        seen = missed(chance[drawn], np.ones(drawn.sum(), bool), true[drawn])
        sums.append(seen.missed)
        covered += seen.low <= 40 <= seen.high
        y = 1 / chance[drawn & true]
        plain += abs(y.sum() - 40) <= 1.96 * np.sqrt(((1 - chance[drawn & true]) * y**2).sum())
    assert abs(np.mean(sums) - 40) < 3 * np.std(sums) / np.sqrt(300)
    assert covered >= 285 > plain  # the normal interval is why Fay & Feuer's is used


def test_nothing_found_is_not_nothing_missed():
    seen = missed(np.full(100, 0.01), np.ones(100, bool), np.zeros(100, bool), 10_000)
    assert seen.missed == 0 and 350 < seen.high < 400
    assert not np.isfinite(missed(np.full(3, 0.1), np.zeros(3, bool), np.zeros(3, bool)).missed)
    with pytest.raises(ValueError, match="chances"):
        missed(np.array([0.0]), np.ones(1, bool), np.ones(1, bool))


def test_a_shift_of_scores_is_seen_soon_and_a_still_stream_never():
    rng = np.random.default_rng(5)
    time = np.arange(6000) * (made.HOUR // 10)
    still = rng.beta(1, 8, 6000)
    assert drift.scores(time, still) == []
    moved = still.copy()
    moved[3000:] = rng.beta(2, 6, 3000)
    first = drift.scores(time, moved)[0]
    assert (
        3000 <= first.attributes["value"] < 3400
        and first.size > 0
        and first.time == time[first.attributes["value"]]
    )


def test_the_rate_of_alerts_and_the_miss_rate():
    rng = np.random.default_rng(6)
    quiet, busy = (
        np.sort(rng.integers(0, 300 * made.HOUR, 3000)),
        np.sort(rng.integers(0, 300 * made.HOUR, 12_000)),
    )
    assert drift.rates(quiet) == []
    rise = drift.rates(np.r_[quiet, 300 * made.HOUR + busy])
    assert rise and rise[0].size > 0 and 300 < rise[0].time // made.HOUR < 348
    assert drift.rates(np.zeros(0, np.int64)) == []
    # Nights are quiet and mornings busy, every day: no change.
    hours = np.repeat(np.arange(24 * 30), np.where(np.arange(24 * 30) % 24 < 8, 2, 40))
    daily = np.sort(hours * made.HOUR + rng.integers(0, made.HOUR, len(hours)))
    assert drift.rates(daily) == []
    true = np.r_[rng.random(300) < 0.01, rng.random(300) < 0.3]
    assert drift.audits(np.arange(600), true)[0].attributes["value"] < 420


def test_stability_names_the_feature_that_moved_and_no_small_week():
    rng = np.random.default_rng(7)
    reference = rng.normal(size=(2000, 4))
    names = ["a", "b", "c", "d"]
    time = np.repeat(np.arange(3), 400) * drift.WEEK
    rows = rng.normal(size=(1200, 4))
    assert drift.stability(reference, time, rows, names) == []
    rows[800:, 2] += 1.0
    (seen,) = drift.stability(reference, time, rows, names)
    assert seen.attributes["feature"] == "c" and seen.time == 3 * drift.WEEK
    # The bank's limit of .25 alone would cry wolf over small weeks.
    alarms = sum(
        len(drift.stability(reference, np.zeros(60, int), rng.normal(size=(60, 4)), names)) for _ in range(50)
    )
    assert alarms <= 1


def test_watch_reads_a_store(tmp_path):
    calm, truth = made.episodes(days=20, audits=0.1)
    wild, _ = made.episodes(
        days=10, per_day=160, seed=2, start=made.START + 20 * made.DAY, share=0.5, signal=3.0
    )
    with Casebook(tmp_path) as book:
        book.migrate()
        book.episodes.put(calm)
        book.verdicts.add_all(
            made.verdicts(calm, truth, rows=np.flatnonzero(np.array(calm["tier"].to_pylist()) == "audit"))
        )
        assert not watch(book, 0).retrain
        book.episodes.put(wild)
        seen = watch(book, 0)
    assert seen.retrain and {"score", "rate", "feature"} <= {alarm.stream for alarm in seen.alarms}
    assert all(a.time >= made.START + 19 * made.DAY for a in seen.alarms if a.stream != "feature")
    assert seen.missed.judged == seen.missed.drawn > 20
    assert seen.to_dict()["alarms"][0].keys() == {"stream", "time", "size", "text", "attributes"}
    assert any(a.attributes["feature"] in FEATURES for a in seen.alarms if a.stream == "feature")


def test_pact_asks_after_a_shift_only_and_lowers_the_burden():
    rng = np.random.default_rng(8)
    n = 6000
    time = np.arange(n) * (made.HOUR // 8)
    label = (rng.random(n) < 0.02).astype(int)
    noise = (np.arange(n) > n // 2) & (rng.random(n) < 0.5)  # a new noisy rule that looks like attacks
    x = np.stack([label + noise + rng.normal(scale=0.1, size=n), noise + 0.0], axis=1)

    def plain(rows):
        return np.clip(x[rows, 0] / 2, 0, 1)

    def learn(asked):
        knows = (x[asked, 1] > 0.5).sum() >= 3
        return lambda rows: np.clip((x[rows, 0] - (x[rows, 1] if knows else 0)) / 2, 0, 1)

    args = (time, np.array(["s"] * n), np.zeros(n, int), label, plain, learn, 0.3)
    (frozen, window, made_), (seen, _, after) = pact.run(*args, when="never"), pact.run(*args, when="shift")
    assert frozen.queries == 0 and seen.triggers >= 1 and seen.queries >= 20
    assert seen.rate < 0.5 * frozen.rate and seen.recall > frozen.recall - 0.05
    alike = pact.matched(window, after, label, frozen.recall)
    assert (
        alike.recall >= frozen.recall and alike.rate < pact.matched(window, made_, label, frozen.recall).rate
    )
    calm = np.arange(n) < n // 2
    early, _, _ = pact.run(
        time[calm], args[1][calm], args[2][calm], label[calm], plain, learn, 0.3, when="shift"
    )
    assert early.triggers == 0 and early.queries == 0


def test_verdicts_in_bulk_never_reach_the_audit():
    table, _ = made.episodes(days=4, audits=0.3)
    rows = np.flatnonzero(np.array(table["tier"].to_pylist()) == "audit")
    ids = table["id"].to_pylist()
    bulk = [
        Verdict(("episode", ids[k]), "false-positive", "ann", shown="bulk", time=made.START) for k in rows
    ]
    assert fold(bulk, items_of(table, {}, {})).table.num_rows == 0
