"""The rules against leakage: what a list's collector did must not be what a model learns (docs/urls.md)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from url_made import labelled, urls

from andon.learn import registry
from andon.learn.url import EARLY, LATE, lesson, parted, suffix_rules, train
from andon.learn.url.data import capped, make, split_urls
from andon.learn.url.evaluate import auc, share_above
from andon.learn.url.shapes import pages
from andon.learn.url.sources import SOURCES, may_ship
from andon.sketch.ngrams import rule_table
from andon.sketch.urlscore import UrlScorer


@pytest.fixture(scope="module")
def trained():
    return train(urls())


@pytest.mark.parametrize(
    "same",
    ["https://www.a.example/x/", "http://a.example/x", "A.EXAMPLE/x", "ftp://user:pw@a.example:8080/x#top"],
)
def test_how_a_list_was_collected_does_not_change_a_score(same):
    scorer = UrlScorer(registry.shipped()["url"])
    assert (
        scorer.scores(*split_urls(pa.array([same])))[0]
        == scorer.scores(*split_urls(pa.array(["a.example/x"])))[0]
    )


def test_equal_urls_of_two_sources_are_one():
    date = pa.array(["2026", "2026", "2026"])
    found = make(
        pa.array(["https://www.a.example/x/", "http://a.example/x", "a.example/y"]),
        pa.array([0, 1, 0], pa.int8()), pa.array(["one", "two", "one"]), date,
    )  # fmt: skip
    # www stays part of the host; the model strips it. Slashes at the end and schemes do not make a URL another.
    assert len(found) == 3
    again = make(
        pa.array(["http://a.example/x/", "a.example/x"]), pa.array([0, 1], pa.int8()), date[:2], date[:2]
    )
    assert len(again) == 1


def test_no_domain_is_learnt_from_and_tested_on_and_phishing_of_the_test_is_later():
    every = urls()
    learn, test = parted(every)
    assert not (learn & test).any()
    assert not set(every.domain.filter(pa.array(learn)).to_pylist()) & set(
        every.domain.filter(pa.array(test)).to_pylist()
    )
    bad = every.label == 1
    assert every.day[test & bad].min() - every.day[learn & bad].max() > 0.5 * (LATE - EARLY) * np.ptp(
        every.day[bad]
    )
    assert (learn & ~bad).any() and (test & ~bad).any() and (test & bad).any()


def test_hard_negatives_of_the_test_are_on_domains_never_learnt_from():
    every = urls()
    learn, test = parted(every)
    hard = every.source == "jdm"
    assert (hard & test).any()
    tested = set(every.domain.filter(pa.array(hard & test)).to_pylist())
    assert not tested & set(every.domain.filter(pa.array(learn)).to_pylist())


def test_sites_of_a_hosting_platform_are_domains_of_their_own():
    found = make(
        pa.array(["one.github.io/x", "two.github.io/x", "a.one.github.io"]), pa.array([1, 1, 1], pa.int8()),
        pa.array(["p"] * 3), pa.array([""] * 3),
    )  # fmt: skip
    assert found.domain.to_pylist() == ["one.github.io", "two.github.io", "one.github.io"]
    assert found.platform.to_pylist() == ["github.io"] * 3


def test_of_one_domain_only_so_many_urls_count():
    many = [f"big.example/{n}" for n in range(200)] + ["small.example/a"]
    found = make(
        pa.array(many), pa.array([0] * 201, pa.int8()), pa.array(["s"] * 201), pa.array([""] * 201)
    )  # fmt: skip
    kept = found.take(capped(found, 20))
    assert kept.domain.to_pylist().count("big.example") == 20 and len(kept) == 21


def test_made_pages_are_on_harmless_domains_of_the_training_part_alone():
    every = urls()
    learn, _ = parted(every)
    taught = every.take(learn)
    own = set(taught.domain.filter(pa.array(taught.label == 0)).to_pylist())
    rules = rule_table(suffix_rules()[0])
    plain, made = lesson(taught, rules, made=False), lesson(taught, rules)
    assert len(made.label) > len(plain.label)
    hosts = {host for host, _ in pages(sorted(own))}
    assert all(any(host == name or host.endswith("." + name) for name in own) for host in hosts)
    # Both classes weigh the same, so what is made does not move the threshold.
    for one in (plain, made):
        assert one.weight[one.label == 1].sum() == pytest.approx(one.weight[one.label == 0].sum())


def test_a_shipped_model_learns_from_nothing_whose_licence_does_not_allow_it(trained):
    learnt = {each["name"] for each in trained.model.card["data"]}
    assert "citizenlab" not in learnt and {"phishdb", "weekly", "fpb", "jdm"} == learnt
    assert any(each.name == "never learnt from: citizenlab" for each in trained.figures)
    for name in ("citizenlab", "pdd", "phishstorm", "iscx"):
        assert not may_ship(name)
    card = registry.shipped()["url"].card
    for each in card["data"]:
        assert may_ship(each["name"]) and each["licence"] == SOURCES[each["name"]].licence and each["origin"]


def test_the_shipped_model_says_how_good_it_is_and_what_it_is_not_for():
    card = registry.shipped()["url"].card
    figures = {each["test"]: each for each in card["figures"]}
    assert figures["with a path"]["auc"] >= 0.98
    assert figures["all but hard negatives"]["tpr_at_0.1_percent"] >= 0.6
    assert figures["hard negatives"]["auc"] >= 0.95
    assert len(card["limits"]) >= 3 and "later" not in card["purpose"]


def test_equal_data_give_equal_bits_and_other_data_do_not(trained):
    again = train(urls())
    assert again.model.digest == trained.model.digest
    assert train(urls(seed=6)).model.digest != trained.model.digest


def test_it_learns_what_there_is_to_learn(trained):
    by_name = {each.name: each for each in trained.figures}
    assert by_name["all but hard negatives"].auc > 0.99


def test_too_little_data_is_said():
    few = {name: column[:50] for name, column in labelled().items()}
    with pytest.raises(ValueError, match="at least 100 URLs of each label"):
        train(make(*few.values()))


def test_auc_and_shares_are_those_of_scikit_learn():
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 4000)
    z = np.round(rng.normal(size=4000) + label, 1)  # with ties
    assert auc(label, z) == pytest.approx(roc_auc_score(label, z), abs=1e-12)
    false, true, _ = roc_curve(label, z, drop_intermediate=False)
    assert share_above(z[label == 1], z[label == 0], 0.01) == pytest.approx(true[false <= 0.01].max())


def test_a_file_that_is_no_model_is_refused(tmp_path):
    for name, data in (("a.npz", b"nothing"), ("b.npz", b"PK\x03\x04broken")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(registry.ModelError):
            registry.load(tmp_path / name)
    np.savez(tmp_path / "c.npz", card=np.frombuffer(b"[]", np.uint8))
    with pytest.raises(registry.ModelError):
        registry.load(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", card=np.array([{"kind": "url"}], dtype=object))
    with pytest.raises(registry.ModelError):  # would need pickle
        registry.load(tmp_path / "d.npz")


def test_shipped_models_are_read_only_when_asked_for(monkeypatch):
    read: list[object] = []
    real = registry.load
    monkeypatch.setattr(registry, "load", lambda file: read.append(file) or real(file))
    registry._shipped.cache_clear()
    models = registry.shipped()
    assert "url" in models and len(models) >= 1 and not read
    assert models["url"].kind == "url" and len(read) == 1
    assert models.get("none") is None
