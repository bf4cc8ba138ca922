"""Features and scores of URLs: bounded, the same however the bytes lie, told in words that add up."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from andon.learn import registry
from andon.learn.url.data import split_urls
from andon.records.model import Model
from andon.sketch.ngrams import GROUPS, PLACES, ROOM, _suffix, described, features, rule_hashes, rule_table
from andon.sketch.pool import TextPool
from andon.sketch.state import StateError
from andon.sketch.urlscore import BARE, WITH_PATH, UrlScorer

RULES = rule_table(
    rule_hashes(files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8").splitlines())
)


@pytest.fixture(scope="module")
def scorer() -> UrlScorer:
    return UrlScorer(registry.shipped()["url"])


@given(st.text(max_size=400), st.text(max_size=400))
def test_every_feature_has_a_place_and_a_name(host, path):
    out, parts = np.zeros(ROOM, np.uint32), np.zeros(GROUPS, np.int64)
    data, more = (np.frombuffer(text.encode("utf-8", "replace") or b"\0", np.uint8) for text in (host, path))
    long = [len(text.encode("utf-8", "replace")) for text in (host, path)]
    features(data, 0, long[0], more, 0, long[1], RULES, np.zeros(512, np.uint8), out, parts)
    assert (np.diff(parts) >= 0).all() and parts[-1] <= ROOM
    assert (out[: parts[-1]] < PLACES).all()
    names = described(host.encode("utf-8", "replace").decode(), path.encode("utf-8", "replace").decode())
    assert len(names) == parts[-1]


@pytest.mark.parametrize(
    "host",
    ["a.b.co.uk", "x.github.io", "city.kawasaki.jp", "a.city.kawasaki.jp", "y.x.kawasaki.jp", "b.example.ck", "www.ck",
     "a.www.ck", "com", "co.uk", "foo.unknown", "localhost", "a.pages.dev", "x.s3.amazonaws.com", "xn--p1ai"],
)  # fmt: skip
def test_suffixes_are_those_of_the_public_suffix_list(host):
    known = PublicSuffixList()
    text = np.frombuffer(host.encode(), np.uint8)
    suffix, domain = _suffix(text, len(text), RULES)
    assert host[suffix:] == known.publicsuffix(host)
    assert host[domain:] == (known.privatesuffix(host) or host)


def test_dictionaries_slices_and_nulls_do_not_change_a_score(scorer):
    hosts = pa.array(["a.example", "secure-login.top", None, "", "a.example"])
    paths = pa.array(["/x", "/verify/index.php", "/y", "", "/x"])
    plain = scorer.scores(hosts, paths)
    assert plain[0] == plain[4] and np.isfinite(plain).all()
    assert (scorer.scores(hosts.fill_null("").dictionary_encode(), paths) == plain).all()
    assert (scorer.scores(hosts.slice(1, 3), paths.slice(1, 3)) == plain[1:4]).all()
    assert (scorer.scores(hosts, paths, np.array([3, 1])) == plain[[3, 1]]).all()
    assert scorer.scores(hosts)[0] == scorer.scores(pa.array(["a.example"]), pa.array(["/"]))[0]


def test_reasons_add_up_to_the_score(scorer):
    for host, path in (
        ("www.secure-metamask.webflow.io", ""),
        ("a.example", "/login/x.php?id=12345&next=/x"),
        ("", ""),
    ):
        reasons = scorer.explain(host, path, most=10_000)
        z = scorer.scores(pa.array([host]), pa.array([path]))[0]
        assert sum(each.weight for each in reasons) == pytest.approx(z, abs=0.0006 * len(reasons) + 1e-9)
    top = scorer.explain("secure-metamask-login.webflow.io", "", 3)
    assert len(top) == 3 and abs(top[0].weight) >= abs(top[2].weight)


def test_what_a_score_means_rises_with_it(scorer):
    z = np.linspace(-15, 15, 200)
    for kind in (BARE, WITH_PATH):
        kinds = np.full(len(z), kind)
        assert (np.diff(scorer.probability(z, kinds)) >= 0).all()
        assert (np.diff(scorer.rarity(z, kinds)) >= -1e-12).all()
        phishing, benign = scorer.tails(z, kinds)
        assert ((phishing > 0) & (phishing <= 1) & (benign > 0) & (benign <= 1)).all()
        inside = (z > scorer._grid[kind][1]) & (z < scorer._grid[kind][-1])
        rare = scorer.rarity(z, kinds)
        again = scorer.rarity(scorer.score_of(rare, kinds), kinds)
        assert np.allclose(rare[inside], again[inside], atol=1e-6)


def test_a_known_lure_scores_above_a_known_site(scorer):
    urls = pa.array(["https://docs.python.org/3/library/re.html", "http://secure-login-metamask.webflow.io",
                     "http://usps.com-trackabx.top/us"])  # fmt: skip
    z = scorer.scores(*split_urls(urls))
    assert z[0] < 0 < z[1] and z[2] > 0


def test_arrays_that_are_no_model_are_refused():
    real = registry.shipped()["url"]
    with pytest.raises(ValueError, match="not a model of URLs"):
        UrlScorer(Model("url", {}, {}))
    for name, wrong in (("weights", np.zeros(5, np.int8)), ("grid", np.zeros(3)), ("platt", np.zeros(2))):
        with pytest.raises(ValueError):
            UrlScorer(Model("url", {**real.arrays, name: wrong}, {}))


def test_pools_merge_forget_and_survive_bytes():
    a, b = TextPool(), TextPool()
    a.add(np.array([5, 1], np.uint64), pa.array(["five", "one"]))
    b.add(np.array([1, 9], np.uint64), pa.array(["one", "nueve ñ"]))
    a.merge(b)
    again = TextPool.from_bytes(a.to_bytes())
    assert again.texts(np.array([9, 5, 2], np.uint64)).to_pylist() == ["nueve ñ", "five", ""]
    again.keep(np.array([9], np.uint64))
    assert len(again) == 1 and again.texts(np.array([5], np.uint64)).to_pylist() == [""]
    with pytest.raises(StateError):
        TextPool.from_bytes(a.to_bytes()[:-1] + b"x")
