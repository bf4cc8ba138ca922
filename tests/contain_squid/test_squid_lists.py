"""Lines of the proxy's lists: escaped, never void by another one, never more than was asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.contain.contract import NotExpressible
from andon.contain.enforcers import make_enforcer
from andon.contain.enforcers.files import Item
from andon.contain.enforcers.squid import Settings, SquidEnforcer
from andon.contain.enforcers.squid.lists import ADDRESSES, DOMAINS, LISTS, url_pattern, void
from andon.records.intent import ACTIONS, PARTIES, Intent, Party

START = 1_700_000_000_000_000_000
DONE = ("true",)


def intent(number: int, action: str, subject: Party, target: Party | None = None) -> Intent:
    return Intent(number, action, subject, target, 60_000_000_000, "because", "andon", START)


def made(folder: Path, **more: Any) -> SquidEnforcer:
    return SquidEnforcer("proxy", Settings(folder, DONE, **more), lambda: START)


def lines(folder: Path, name: str) -> list[str]:
    return [one for one in (folder / name).read_text().split("\n") if one and not one.startswith("#")]


def test_squid_never_sees_a_name_within_a_name_or_an_address_within_a_prefix(tmp_path: Path) -> None:
    squid = made(tmp_path)
    plans = [
        squid.plan(intent(1, "block", Party("domain", "b.evil.example"))),
        squid.plan(intent(2, "block", Party("domain", "evil.example"))),
        squid.plan(intent(3, "block", Party("domain", "notevil.example"))),
        squid.plan(intent(4, "block", Party("address", "203.0.113.7"))),
        squid.plan(intent(5, "block", Party("prefix", "203.0.113.0/24"))),
    ]
    receipts = squid.apply(plans)

    assert lines(tmp_path, DOMAINS) == [".evil.example", ".notevil.example"]
    assert lines(tmp_path, ADDRESSES) == ["203.0.113.0/24"]
    assert squid.actual() == {one.intent: one.digest for one in receipts}
    squid.revoke([2, 5])
    assert lines(tmp_path, DOMAINS) == [".b.evil.example", ".notevil.example"]
    assert lines(tmp_path, ADDRESSES) == ["203.0.113.7"]
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(LISTS), "no temporary file is left"


@given(
    st.lists(st.from_regex(r"([ab]\.){0,3}x\.example", fullmatch=True), min_size=1, max_size=8, unique=True)
)
def test_what_is_left_covers_what_was_left_out(names: list[str]) -> None:
    items = [Item(DOMAINS, f".{one}", f".{one}") for one in names]
    left = [one.text for one in items if one not in void(items)]

    for one in items:
        assert any(one.text == other or one.text.endswith(other) for other in left)
    assert not any(one != other and one.endswith(other) for one in left for other in left)


@pytest.mark.parametrize(
    ("url", "same", "others"),
    [
        ("http://evil.example/a.b", ["http://evil.example/a.b", "http://evil.example:8080/a.b?x", "https://u:p@evil.example/a.b"],
         ["http://evil.example/axb", "http://evil.example/a.bc", "http://evil-example/a.b", "http://x/http://evil.example/a.b"]),
        ("http://evil.example/?a[1]=(2)*", ["http://evil.example/?a[1]=(2)*"], ["http://evil.example/?a1=2", "http://evil.example/"]),
        ("http://evil.example", ["http://evil.example/", "http://evil.example/x"], ["http://evil.example.org/"]),
        ("http://[2001:db8::1]/x|y$", ["http://[2001:db8::1]/x|y$"], ["http://2001:db8::1/x", "http://[2001:db8::1]/x"]),
        ("http://evil.example/x#part", ["http://evil.example/x"], ["http://evil.example/xy"]),
    ],
)  # fmt: skip
def test_a_url_matches_itself_and_nothing_else(url: str, same: list[str], others: list[str]) -> None:
    pattern = re.compile(url_pattern(url))

    assert all(pattern.search(one) for one in same)
    assert not any(pattern.search(one) for one in others)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40))
def test_any_path_that_is_taken_matches_itself_literally(path: str) -> None:
    url = f"http://evil.example/{path}"
    try:
        pattern = url_pattern(url)
    except NotExpressible:
        return
    if not path.partition("#")[0]:
        return  # the whole host
    assert " " not in pattern
    assert re.search(pattern, url.partition("#")[0])
    assert not re.search(pattern, f"http://evil.example/q{path}".partition("#")[0] + "z")


PARTY = st.builds(
    Party, kind=st.sampled_from(PARTIES),
    value=st.one_of(st.text(max_size=20), st.sampled_from(
        ["evil.example", "203.0.113.7", "203.0.113.0/24", "http://evil.example/x y", "http://evil.example/x", "com",
         "evil.example\nhttp_access allow all", "203.0.113.7 0.0.0.0/0", "fe80::1%x\nall"])),
    addresses=st.lists(st.sampled_from(["10.0.0.5", "2001:db8::5", "10.0.0.5 all", "all", "x"]), max_size=2).map(tuple),
)  # fmt: skip
LINE = re.compile(
    r"\.[a-z0-9._-]+|[0-9a-f:.]+(/\d+)?|\^[!-~]+"
    r"|acl andon_[ct]_[0-9a-f]{16} (src|dst|dst -n|dstdomain -n|url_regex)( [!-~]+)+"
    r"|http_access deny( !?andon_[a-z0-9_]+)+"
)


@given(st.sampled_from(ACTIONS), PARTY, st.none() | PARTY)
def test_whatever_a_party_is_called_a_list_has_only_whole_lines(
    action: str, subject: Party, target: Party | None
) -> None:
    if action == "block-pair" and target is None:
        return
    try:
        plan = made(Path("/nonexistent")).plan(intent(1, action, subject, target))
    except NotExpressible:
        return
    assert plan.native
    assert all(LINE.fullmatch(one.text) for one in plan.native), plan.native
    assert not any("allow all" in one.text or "0.0.0.0/0" in one.text for one in plan.native)


def test_ways_past_the_proxy_stay_open_unless_there_are_none(tmp_path: Path) -> None:
    evil, pair = Party("domain", "evil.example"), Party("host", "ws", ("10.0.0.5",))
    usual = made(tmp_path).plan(intent(1, "block-pair", pair, evil))
    assert usual.open_paths == ("ipv4", "ipv6", "quic", "established", "elsewhere")
    only = made(tmp_path, direct=False, resolve=False)
    assert only.plan(intent(1, "block-pair", pair, evil)).open_paths == ("established",)
    assert only.plan(intent(1, "block", Party("address", "203.0.113.7"))).open_paths == (
        "names",
        "established",
    )
    assert only.plan(intent(1, "block", Party("url", "https://evil.example/x"))).open_paths == (
        "established",
        "elsewhere",
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "folder is missing"),
        ({"folder": 'a"b'}, "folder is a path of letters"),
        ({"folder": "a", "quarantine_page": "javascript:x"}, "quarantine_page is an http"),
        ({"folder": "a", "quarantine_page": "http://a/\nacl"}, "quarantine_page is a text"),
        ({"folder": "a", "probe": "proxy"}, "probe is HOST:PORT"),
        ({"folder": "a", "reconfigure": "squid -k reconfigure"}, "reconfigure is a list"),
        ({"folder": "a", "acl": 1}, "there is no setting 'acl'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make_enforcer({"name": "proxy", "kind": "squid", **settings}, tmp_path)
