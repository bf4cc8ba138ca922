"""Addresses, names and URLs in all their spellings, held against Python's own reading where it has one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

import guard_oracle as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.contain.runaway import runaway
from andon.contain.spelling import Unreadable, ascii_name, carriers, is_suffix, mac, name, spans, url
from andon.contain.spelling.names import Names
from andon.contain.spelling.ranges import Spans
from andon.contain.warning import WarningList, WarningListError, WarningLists, read


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_found_in_every_ipv6_form(address: IPv4Address) -> None:
    for form in oracle.forms(str(address)):
        carried = spans(str(form), carriers(("2001:db8:64::/96",)))
        assert any(s.version == 4 and s.low == s.high == int(address) for s in carried), form


@given(st.ip_addresses(v=6))
def test_carried_addresses_are_those_that_python_knows(address: IPv6Address) -> None:
    found = {s.low for s in spans(str(address)) if s.version == 4}
    known = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    assert {int(one) for one in known if one is not None} <= found


@given(st.ip_addresses(v=6), st.integers(0, 128))
def test_what_a_prefix_carries_holds_what_its_addresses_carry(address: IPv6Address, wide: int) -> None:
    net = IPv6Network((int(address), wide), strict=False)
    around = [s for s in spans(str(net)) if s.version == 4]
    if wide <= 96:  # ISATAP is a mark of single addresses
        for one in spans(str(address)):
            if one.version == 4 and (int(address) >> 32) & 0xFDFFFFFF != 0x5EFE:
                assert any(s.low <= one.low <= s.high for s in around), (net, address)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 128))
def test_prefixes_are_read_as_python_reads_them(address: IPv4Address | IPv6Address, wide: int) -> None:
    if wide > address.max_prefixlen:
        return
    net = ip_network((int(address) if address.version == 6 else str(address), wide), strict=False)
    first = spans(str(net))[0]
    assert (first.low, first.high) == (int(net.network_address), int(net.broadcast_address))


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "010.0.0.1", "0x0a000001", "167772161", "10.0.0.1%eth0", "fe80::1%2", "10.0.0.1/255.0.0.0",
     "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/ 8", "[::1]", "１0.0.0.1", "10.0.0.1\n",
     "::1::", "x" * 100],
)  # fmt: skip
def test_what_is_no_plain_address_is_not_guessed_at(text: str) -> None:
    with pytest.raises(Unreadable):
        spans(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", "-", "a b", "a/b", "a:80", "10.0.0.1", "1", "0x7f.1", "a.0x10", "a.5", "bücher.example",
     "a\u200bb", "%61", "a" * 64 + ".example", ("a." * 130), "[::1]", "exa_mple.-x"],
)  # fmt: skip
def test_what_is_no_plain_name_is_not_guessed_at(text: str) -> None:
    with pytest.raises(Unreadable):
        name(text)


@pytest.mark.parametrize(
    "text",
    ["http://a@b/", "http://a:b@c/", "http:\\\\a\\b", "http://a b/", "http://a%2fb/", "http://[a]/", "http:///x",
     "http://a:99999999/", "http://a#@b", "http://a?@b", "java script:x", "http://\u202ea/", "", "http://0x7f.1/",
     "http://2130706433/", "http://a..b/", "//a.example/"],
)  # fmt: skip
def test_urls_that_readers_disagree_about_are_not_guessed_at(text: str) -> None:
    with pytest.raises(Unreadable):
        url(text)


def test_plain_urls_are_read() -> None:
    assert (url("HTTPS://A.Example:8443/x?y#z").host, url("https://a.example").path) == ("a.example", "")
    assert url("http://[2001:DB8::1]:80/x") == url("http://[2001:db8:0::1]/x")
    assert url("a.example/b").path == "/b"


def test_names_have_one_spelling() -> None:
    assert name("*.A.Example.") == "a.example"
    assert ascii_name("例え.テスト") == name("XN--R8JZ45G.XN--ZCKZAH")
    assert mac("0011.22AA.4455") == mac("001122aa4455") == mac("00-11-22-aa-44-55")


def test_nobody_registers_a_public_suffix() -> None:
    assert all(map(is_suffix, ("com", "co.uk", "github.io", "localdomain", "kobe.jp")))
    assert not any(map(is_suffix, ("example.com", "a.co.uk", "me.github.io")))


_RANGES = st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=12)


@given(_RANGES, st.tuples(st.integers(0, 255), st.integers(24, 32)))
def test_a_set_of_ranges_is_the_set_of_its_addresses(
    given_: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    nets = [IPv4Network((f"10.0.0.{low}", wide), strict=False) for low, wide in given_]
    held = Spans(span for net in nets for span in spans(str(net)))
    members = {int(one) for net in nets for one in net}
    net = IPv4Network((f"10.0.0.{asked[0]}", asked[1]), strict=False)
    span = spans(str(net))[0]
    mine = {int(one) for one in net}
    assert held.hit(span) == bool(mine & members)
    assert held.holds(span) == (mine <= members)
    assert held.within(span) == len(mine & members)


_LABELS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)


@given(st.lists(_LABELS, max_size=5), _LABELS)
def test_names_hold_what_is_below_them_and_are_below_what_is_above(held: list[str], asked: str) -> None:
    names = Names(held)
    assert bool(names.within(asked)) == any(asked == one or asked.endswith("." + one) for one in held)
    assert names.below(asked) == any(one.endswith("." + asked) for one in held)


def test_a_warning_list_catches_both_ways_and_in_every_spelling(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / "list.json").write_text(
        '{"name": "resolvers", "type": "cidr", '
        '"list": ["8.8.8.0/24", "2001:4860::/32", "dns.example.net", "8.8.4.4/30"]}'
    )
    (tmp_path / "own.txt").write_text(
        "# ours\nportal.example.org  # a portal\n203.0.113.0/25\nBücher.example\n"
    )
    lists = read([tmp_path])
    assert lists.counts == {"own": 3, "resolvers": 4}
    caught = (
        "8.8.8.8", "8.8.8.0/25", "8.8.0.0/16", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808", "8.8.4.5",
        "2001:4860:4860::8888", "DNS.example.net.", "x.dns.example.net", "https://dns.example.net/q", "http://8.8.8.8/x",
    )  # fmt: skip
    for text in caught:
        assert lists.against(text) == "resolvers", text
    for text in ("portal.example.org", "example.org", "203.0.113.9", "xn--bcher-kva.example"):
        assert lists.against(text) == "own", text
    for text in ("8.8.9.1", "evil.example.net", "http://example.org/x", "notportal.example.org", "no name!"):
        assert lists.against(text) == "", text


def test_types_of_misp_lists_are_kept() -> None:
    exact = WarningList.of("exact", ["login.example.org", "10.1.2.3"], "string")
    assert exact.against("login.example.org") and exact.against("10.1.2.3") and exact.against("example.org")
    assert not exact.against("a.login.example.org")
    parts = WarningList.of("parts", ["hackers", "ab"], "substring")
    assert parts.against("nohackers.example") and parts.left_out == 1
    patterns = WarningList.of("patterns", [r"/^(www\.)?good\.example$/", r"(a+)+$", "("], "regex")
    assert patterns.against("www.good.example") and not patterns.against("bad.example")
    assert patterns.left_out == 2 and len(patterns.examples) == 2
    assert WarningLists([exact, parts]).left_out == [
        ("parts", "'ab': too short, or more than 10,000 substrings")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[1",
        '{"list": 5}',
        '{"list": ["x"], "type": "magic"}',
        '{"list": []}',
        "",
        "# nothing\n",
        '{"list": [7]}',
    ],
)
def test_files_that_are_no_warning_lists_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(WarningListError, match=r"list\.json"):
        read([path])


@pytest.mark.parametrize(
    "pattern", [r"(a*)*", r"(a|aa)+", r"(?=x)a", r"(a)\1", r"a*", "a" * 600, "(" * 50, r".*.*.*.*x"]
)
def test_expressions_that_could_run_away_are_not_run(pattern: str) -> None:
    assert runaway(pattern)
