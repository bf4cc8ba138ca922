"""Verdicts become labels that no single analyst can bend, and nothing that was said disappears."""

from __future__ import annotations

import json

import made_triage as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.learn.feedback.holds import hold
from andon.learn.feedback.labels import Rules, fold
from andon.learn.feedback.material import items_of
from andon.learn.feedback.trust import Votes, estimate, share_capped
from andon.learn.feedback.votes import CORRECTION, Items, words
from andon.records.case import Verdict
from andon.records.columns import plain_rows

HOUR = made.HOUR


def _items(n=1, cases=None, seen=True, rule="suricata 1", day=0):
    ids = tuple(f"e{k}" for k in range(n))
    return Items(ids, ("",) * n, (rule,) * n, np.full(n, day * made.DAY), np.full(n, seen), cases or {})


def _verdict(label, analyst="ann", time=1, id=0, subject=("episode", "e0"), shown="manual", reason=""):
    full = {"true": "true-positive", "false": "false-positive", "benign": "benign-positive"}.get(label, label)
    return Verdict(subject, full, analyst, reason, shown, time=time, id=id)


def _labels(verdicts, items, **rules):
    return {row["id"]: row for row in plain_rows(fold(verdicts, items, Rules(**rules)).table)}


def test_bulk_without_a_reason_and_unsure_teach_nothing_and_are_counted():
    said = [_verdict("false", shown="bulk", id=1), _verdict("unsure", "bob", id=2)]
    held = fold(said, _items())
    assert not held.table.num_rows and held.skipped == {"bulk without a reason": 1, "unsure": 1}
    with_reason = _labels([_verdict("false", shown="bulk", reason="sanctioned scanner")], _items())["e0"]
    plain = _labels([_verdict("false")], _items())["e0"]
    assert with_reason["label"] == 0 and 0 < with_reason["weight"] < plain["weight"]


def test_a_case_that_is_true_says_so_of_what_was_shown_alone_and_of_what_was_there():
    items = Items(
        ("e0", "e1", "e2"), ("",) * 3, ("suricata 1",) * 3, np.array([0, 0, 10**15]), np.array([True, False, True]),
        {"c": ("e0", "e1", "e2")},
    )  # fmt: skip
    said = _labels([_verdict("true", subject=("case", "c"), time=HOUR)], items)
    assert set(said) == {"e0"}
    dismissed = _labels([_verdict("false", subject=("case", "c"), time=HOUR)], items)
    assert set(dismissed) == {"e0", "e1"}  # e2 came into the case later


def test_a_word_about_the_episode_goes_before_one_about_its_case():
    items = _items(2, {"c": ("e0", "e1")})
    said = _labels([_verdict("true", time=5), _verdict("false", subject=("case", "c"), time=9)], items)
    assert [said[e]["label"] for e in ("e0", "e1")] == [1, 0]
    assert said["e1"]["weight"] < said["e0"]["weight"]


def test_a_slip_is_mended_at_once_and_a_flip_waits_for_somebody_else():
    other = _verdict("benign", "bob", subject=("episode", "e1"))
    mended = _labels(
        [_verdict("true", time=0, id=1), _verdict("false", time=CORRECTION, id=2), other], _items(2)
    )["e0"]
    assert mended["label"] == 0 and mended["state"] == "counts"
    flip = [_verdict("true", time=0, id=1), _verdict("false", time=10 * HOUR, id=2), other]
    held = fold(flip, _items(2))
    row = plain_rows(held.table)[0]
    assert row["label"] == 1 and row["state"] == "flip"
    assert [a.kind for a in held.alarms] == ["flip"] and held.alarms[0].episodes == ("e0",)
    assert json.loads(row["provenance"])[0]["verdicts"] == [1, 2]
    confirmed = _labels([*flip, _verdict("false", "bob", time=20 * HOUR, id=4)], _items(2))["e0"]
    assert confirmed["label"] == 0 and confirmed["state"] == "counts"
    taken_back = _labels([*flip, _verdict("true", time=30 * HOUR, id=4)], _items(2))["e0"]
    assert taken_back["label"] == 1 and taken_back["state"] == "counts"
    alone = _labels(flip[:2], _items())["e0"]
    assert alone["label"] == 0  # nobody there to review it


def test_conflicts_are_shown_and_do_not_count_until_it_is_clear():
    two = [_verdict("true", "ann", id=1), _verdict("false", "bob", id=2)]
    held = fold(two, _items())
    row = plain_rows(held.table)[0]
    assert row["state"] == "conflict" and row["weight"] == 0
    assert {each["analyst"]: each["true"] for each in json.loads(row["provenance"])} == {
        "ann": True,
        "bob": False,
    }
    assert held.alarms[0].kind == "conflict" and "ann, bob" in held.alarms[0].text
    three = _labels([*two, _verdict("true", "cat", id=3)], _items())["e0"]
    assert three["label"] == 1 and three["weight"] > 0 and three["state"] == "counts"


@pytest.mark.parametrize("liar", ["denies", "inverts"])
@pytest.mark.parametrize("analysts", [3, 5])
def test_one_liar_is_found_out_and_never_turned_round(liar, analysts):
    table, truth = made.episodes(days=25)
    held = fold(made.verdicts(table, truth, analysts, liar=liar, twice=0.4), items_of(table, {}, {}))
    worth = [held.trust.to_dict()[f"analyst{k}"]["worth"] for k in range(analysts)]
    assert worth[0] < 0.5 and min(worth[1:]) > 0.85
    right = dict(zip(table["id"].to_pylist(), truth, strict=True))
    rows = plain_rows(held.table)
    wrong = sum(row["weight"] for row in rows if bool(row["label"]) != right[row["id"]])
    unprotected = fold(
        made.verdicts(table, truth, analysts, liar=liar, twice=0.4),
        items_of(table, {}, {}),
        Rules(protected=False),
    )
    plain = plain_rows(unprotected.table)
    wrong_plain = sum(row["weight"] for row in plain if bool(row["label"]) != right[row["id"]])
    assert wrong / sum(r["weight"] for r in rows) < 0.7 * wrong_plain / sum(r["weight"] for r in plain)
    if liar == "inverts":
        assert wrong < 0.01 * sum(r["weight"] for r in rows)


def test_trust_comes_near_the_true_error_rates():
    rng = np.random.default_rng(2)
    truth = rng.random(4000) < 0.15
    rates = [(0.95, 0.98), (0.7, 0.9), (0.9, 0.99)]
    item, analyst, said = [], [], []
    for k, (right, other) in enumerate(rates):
        for i in range(4000):
            item.append(i)
            analyst.append(k)
            said.append(rng.random() < right if truth[i] else rng.random() >= other)
    trust = estimate(Votes(np.array(item), np.array(analyst), np.array(said), 4000, ("a", "b", "c")))
    assert np.allclose(trust.sensitivity, [r for r, _ in rates], atol=0.04)
    assert np.allclose(trust.specificity, [o for _, o in rates], atol=0.02)


def _flood(n, analyst, rule="suricata 9", start=0, label="false"):
    return [
        _verdict(label, analyst, time=start + k * HOUR // 4, id=k + 1, subject=("episode", f"e{k}"))
        for k in range(n)
    ]


def test_a_flood_is_kept_back_until_others_agree():
    items = _items(40)
    flood = [*_flood(30, "eve"), _verdict("true", "bob", subject=("episode", "e39"), id=90)]
    held = fold(flood, items)
    states = {row["id"]: row["state"] for row in plain_rows(held.table)}
    assert states["e0"] == states["e29"] == "flood" and held.table["weight"].to_numpy()[0] == 0
    assert [a.kind for a in held.alarms] == ["flood"] and held.alarms[0].analyst == "eve"
    agreed = [_verdict("false", "bob", subject=("episode", f"e{k}"), id=100 + k) for k in range(33, 38)]
    assert not fold([*flood, *agreed], items).alarms
    assert "flood" not in {
        row["state"] for row in plain_rows(fold(_flood(9, "eve") + agreed[:1], items).table)
    }


def test_one_case_closed_with_many_episodes_is_no_flood():
    items = _items(40, {"c": tuple(f"e{k}" for k in range(40))})
    said = [_verdict("false", "eve", subject=("case", "c"), time=HOUR), _verdict("true", "bob", time=2)]
    assert not [a for a in fold(said, items).alarms if a.kind == "flood"]


def test_who_protects_one_rule_is_found_though_right_about_all_others():
    n = 60
    items = _items(n)
    people = ("eve", "ann", "bob")
    said = [
        _verdict("true" if k % 3 else "false", people[k % 3], id=k, subject=("episode", f"e{k}"), time=k)
        for k in range(n)
    ]
    held = fold(said, items)
    assert [(a.kind, a.analyst) for a in held.alarms][:1] == [("disagreement", "eve")]
    states = [row["state"] for row in plain_rows(held.table)]
    assert states.count("disagreement") == n // 3 and states.count("counts") == 2 * n // 3


def test_the_shift_that_had_the_attack_is_not_taken_for_a_liar():
    n = 60
    first = np.repeat([0, 1], n // 2) * made.DAY
    ids = tuple(f"e{k}" for k in range(n))
    items = Items(ids, ("",) * n, ("suricata 1",) * n, first, np.ones(n, bool))
    said = []
    for k in range(n):
        label, who = ("false", "ann") if k < n // 2 else ("true", "bob")
        said.append(_verdict(label, who, id=k, subject=("episode", f"e{k}"), time=k))
    assert not hold(words(said, items), items, flood=1000).mask.any()


def test_hold_needs_somebody_to_compare_with():
    said = words(_flood(30, "eve"), _items(30))
    assert not hold(said, _items(30)).mask.any()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.floats(0.01, 5)), min_size=1, max_size=40),
    st.floats(0.1, 0.9),
    st.floats(0.1, 10),
)
def test_nobody_has_more_than_the_share_of_a_signature(rows, share, floor):
    signature, analyst = (np.array([row[k] for row in rows]) for k in (0, 1))
    weight = np.array([row[2] for row in rows])
    cut = share_capped(signature, analyst, weight, share, floor)
    assert (cut <= weight + 1e-9).all() and (cut >= 0).all()
    for rule in set(signature.tolist()):
        whole = cut[signature == rule].sum()
        for person in set(analyst.tolist()):
            own = cut[(signature == rule) & (analyst == person)].sum()
            assert own <= max(share * whole, floor) + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_labels_do_not_depend_on_the_order_of_verdicts(data):
    n = data.draw(st.integers(1, 25))
    said = [
        _verdict(
            data.draw(st.sampled_from(["true", "false", "benign", "unsure"])), data.draw(st.sampled_from("abc")),
            time=data.draw(st.integers(0, 100)) * HOUR, id=k + 1,
            subject=("episode", f"e{data.draw(st.integers(0, 5))}"),
            shown=data.draw(st.sampled_from(["top", "audit", "bulk"])),
            reason=data.draw(st.sampled_from(["", "known"])),
        )
        for k in range(n)
    ]  # fmt: skip
    items = _items(6)
    once, again = fold(said, items), fold(data.draw(st.permutations(said)), items)
    assert once.table.equals(again.table) and once.alarms == again.alarms
