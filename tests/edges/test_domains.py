"""Registered domains: our walk against the library's, and what lies beyond the list."""

from __future__ import annotations

import doctest

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from andon.records import domains
from andon.records.domains import are_suffixes, kinds_of_hosts, registered_domain, registered_domains


@pytest.fixture(scope="module")
def library() -> PublicSuffixList:
    return PublicSuffixList()


def _of(names: list[str]) -> list[str]:
    return list(registered_domains(pa.array(names, pa.string())).to_pylist())


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(domains).failed == 0


def test_every_rule_of_the_list_gives_what_the_library_gives(library: PublicSuffixList) -> None:
    rules = sorted(rule.lstrip("!").removeprefix("*.") for rule in library._publicsuffix)
    assert len(rules) > 9_000
    names = [before + rule for rule in rules for before in ("", "a.", "b.a.", "www.c.b.a.")]
    wrong = [
        (name, ours, library.privatesuffix(name) or name)
        for name, ours in zip(names, _of(names), strict=True)
        if ours != (library.privatesuffix(name) or name)
    ]
    assert wrong == []


@given(
    st.lists(
        st.sampled_from(["com", "jp", "kobe", "city", "co", "uk", "ck", "www", "a", "io", "github"]),
        min_size=1,
        max_size=20,
    )
)
def test_any_chain_of_labels_gives_what_the_library_gives(labels: list[str]) -> None:
    name = ".".join(labels)
    if labels[-1] in ("com", "jp", "uk", "ck", "io"):
        assert registered_domain(name) == (_LIBRARY.privatesuffix(name) or name)


_LIBRARY = PublicSuffixList()


def test_a_customer_of_a_hosting_platform_is_a_domain_of_its_own() -> None:
    assert _of(["me.github.io", "a.me.github.io", "github.io"]) == [
        "me.github.io",
        "me.github.io",
        "github.io",
    ]


def test_names_in_other_scripts_are_found_as_text_and_on_the_wire() -> None:
    assert _of(["食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn", "a.食狮.公司.cn"]) == [
        "食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn", "食狮.公司.cn",
    ]  # fmt: skip


def test_capitals_and_final_dots_do_not_matter() -> None:
    assert _of(["A.B.Co.UK.", "a.b.co.uk.."]) == ["b.co.uk", "b.co.uk"]


def test_addresses_belong_to_no_domain() -> None:
    names = ["192.0.2.1", "2001:db8::1", "2130706433", "192.0.2.300", "1.2", "", "192.0.2.1."]
    assert _of(names) == [""] * len(names)
    assert kinds_of_hosts(pa.array(names)).tolist()[:4] == [1, 2, 3, 3]
    assert kinds_of_hosts(pa.array(["1e100.net", "a.1.example", "0x7f"])).tolist() == [0, 0, 0]


def test_below_an_unknown_top_level_the_last_two_labels_stay() -> None:
    assert _of(["a.x.example", "x.example", "example", "b.a.x.corp"]) == [
        "x.example",
        "x.example",
        "example",
        "x.corp",
    ]


def test_a_category_below_an_unknown_top_level_is_part_of_the_suffix() -> None:
    assert _of(["www.a.co.example", "a.or.test", "co.example", "a.code.example"]) == [
        "a.co.example", "a.or.test", "co.example", "code.example",
    ]  # fmt: skip
    # Where the list knows the top level, the list decides.
    assert _of(["a.b.ed.com", "a.or.io"]) == ["ed.com", "or.io"]


def test_hostile_names_are_walked_without_harm() -> None:
    names = ["a." * 5000 + "example", ".", "..", ".com", "-", "a..b", "\x00.com", "é" * 200]
    assert len(_of(names)) == len(names)
    assert registered_domain("a." * 5000 + "x.example") == "x.example"


def test_dictionaries_and_nulls_are_read() -> None:
    column = pa.array(["a.b.com", None, "a.b.com"]).dictionary_encode()
    assert registered_domains(column).to_pylist() == ["b.com", None, "b.com"]
    assert registered_domains(pa.chunked_array([["a.b.com"], ["c.d.com"]])).to_pylist() == ["b.com", "d.com"]
    assert registered_domains(pa.array(["x", "a.b.com", "q.r.com"]).slice(1, 1)).to_pylist() == ["b.com"]


def test_suffixes_are_told_from_names_under_them() -> None:
    names = pa.array(["com", "github.io", "a.github.io", "x.example", "localhost", "co.example"])
    np.testing.assert_array_equal(are_suffixes(names), [True, True, False, False, True, True])
