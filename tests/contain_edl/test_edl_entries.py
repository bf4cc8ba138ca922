"""What an intent puts on which list, and that fewer prefixes hold the same addresses."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from edl_world import host, intent
from hypothesis import given
from hypothesis import strategies as st

from andon.contain.contract import IPV4, IPV6, NAMES, NotExpressible
from andon.contain.enforcers.edl.aggregate import aggregated
from andon.contain.enforcers.edl.entries import FORTIGATE, GENERIC, PAN_OS, Entry, lines_of, order
from andon.records.intent import Party


def entries(one: object, form: str = GENERIC) -> list[tuple[str, str]]:
    return [tuple(entry) for entry in lines_of(one, form).entries]  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ("198.51.100.7", "address", ("ip", "198.51.100.7")),
        ("2001:DB8::0:7", "address", ("ip6", "2001:db8::7")),
        ("::ffff:198.51.100.7", "address", ("ip", "198.51.100.7")),
        ("198.51.100.0/24", "prefix", ("ip", "198.51.100.0/24")),
        ("198.51.100.7/32", "prefix", ("ip", "198.51.100.7")),
        ("::ffff:198.51.100.0/120", "prefix", ("ip", "198.51.100.0/24")),
        ("2001:db8:1::/48", "prefix", ("ip6", "2001:db8:1::/48")),
        ("Evil.Example.COM.", "domain", ("domain", "evil.example.com")),
        ("bücher.example.com", "domain", ("domain", "xn--bcher-kva.example.com")),
    ],
)
def test_parties_have_one_spelling(value: str, kind: str, wanted: tuple[str, str]) -> None:
    assert entries(intent(1, value, kind)) == [wanted]


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("0.0.0.0/0", "prefix", "wider"),
        ("::/0", "prefix", "wider"),
        ("10.0.0.0/8", "prefix", "wider"),
        ("198.51.100.7/24", "prefix", "host bits"),
        ("127.0.0.1", "address", "nobody|no address"),
        ("224.0.0.1", "address", "no address"),
        ("255.255.255.255", "address", "no address"),
        ("0.1.2.3", "address", "no address"),
        ("::1", "address", "no address"),
        ("fe80::1%eth0", "address", "zone"),
        ("evil", "address", "no address"),
        ("com", "domain", "public suffix"),
        ("co.uk", "domain", "public suffix"),
        ("github.io", "domain", "public suffix"),
        ("*.evil.example.com", "domain", "patterns"),
        ("evil_-.example.com", "domain", "no name"),
        ("198.51.100.7", "domain", "number"),
        ("a" * 64 + ".example.com", "domain", "no name"),
        ("evil.example.com\n198.51.100.1", "domain", "no name"),
        ("ftp://evil.example.com/", "url", "http"),
        ("http://user:pass@evil.example.com/", "url", "URL"),
        ("http://evil.example.com/a\nb", "url", "URL"),
        ("http://evil.example.com/" + "a" * 3000, "url", "2,048"),
        ("http://evil.example.com:99999/", "url", "."),
    ],
)
def test_what_would_be_too_wide_or_unclear_goes_on_no_list(value: str, kind: str, said: str) -> None:
    with pytest.raises(NotExpressible, match=said):
        lines_of(intent(1, value, kind), GENERIC)


def test_a_pair_is_not_made_wider_to_fit() -> None:
    pair = intent(1, "10.0.0.5", action="block-pair", target=Party("address", "203.0.113.9"))
    with pytest.raises(NotExpressible):
        lines_of(pair, GENERIC)
    with pytest.raises(NotExpressible, match="others"):
        lines_of(intent(1, "10.0.0.5", target=Party("address", "203.0.113.9")), GENERIC)


@pytest.mark.parametrize("action", ["allow", "proxy", "mirror"])
def test_a_list_cannot_steer(action: str) -> None:
    with pytest.raises(NotExpressible):
        lines_of(intent(1, action=action), GENERIC)


def test_hosts_are_listed_apart_with_all_their_addresses() -> None:
    lines = lines_of(host(1, "10.0.0.5", "2001:db8::5", "::ffff:10.0.0.5"), GENERIC)
    assert [tuple(entry) for entry in lines.entries] == [("host-ip", "10.0.0.5"), ("host-ip6", "2001:db8::5")]
    assert IPV6 in lines_of(host(1, "10.0.0.5"), GENERIC).open_paths
    assert IPV4 in lines_of(host(1, "2001:db8::5"), GENERIC).open_paths
    with pytest.raises(NotExpressible, match="no address"):
        lines_of(host(1), GENERIC)


def test_names_leave_their_addresses_open() -> None:
    assert NAMES in lines_of(intent(1, "evil.example.com", "domain"), GENERIC).open_paths
    assert entries(intent(1, "evil.example.com", "domain", "sinkhole")) == [
        ("sinkhole-domain", "evil.example.com")
    ]


@pytest.mark.parametrize(
    ("form", "value", "wanted"),
    [
        (GENERIC, "HTTP://Evil.example.com:80/A?b=1", "http://evil.example.com/A?b=1"),
        (FORTIGATE, "https://evil.example.com:8443", "https://evil.example.com:8443/"),
        (PAN_OS, "https://evil.example.com", "evil.example.com/"),
        (PAN_OS, "http://[2001:db8::5]/a", "[2001:db8::5]/a"),
    ],
)
def test_urls_are_written_as_the_firewall_wants_them(form: str, value: str, wanted: str) -> None:
    assert entries(intent(1, value, "url"), form) == [("url", wanted)]


def test_pan_os_takes_stars_for_wildcards_so_they_are_refused() -> None:
    with pytest.raises(NotExpressible, match="wildcards"):
        lines_of(intent(1, "http://evil.example.com/*", "url"), PAN_OS)


def test_addresses_stand_in_the_order_of_their_numbers() -> None:
    texts = ["9.0.0.1", "10.0.0.0/16", "10.0.0.0", "100.0.0.1"]
    made = sorted(texts, key=lambda text: order(Entry("ip", text)))
    assert made == ["9.0.0.1", "10.0.0.0/16", "10.0.0.0", "100.0.0.1"]


PREFIXES = st.lists(
    st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
        lambda pair: ((0xC6336400 | pair[0]) >> (32 - pair[1]) << (32 - pair[1]), pair[1])
    ),
    max_size=60,
)


@given(PREFIXES)
def test_aggregation_holds_exactly_the_same_addresses_in_the_fewest_prefixes(
    given: list[tuple[int, int]],
) -> None:
    def addresses(prefixes: list[tuple[int, int]]) -> set[int]:
        return {first + i for first, length in prefixes for i in range(1 << (32 - length))}

    made = aggregated(given, 32)
    assert addresses(made) == addresses(given)
    assert aggregated(made, 32) == made == sorted(made)
    import ipaddress

    least = list(ipaddress.collapse_addresses(ipaddress.IPv4Network(one) for one in given))
    assert [(int(net.network_address), net.prefixlen) for net in least] == made


def test_aggregation_of_ipv6_and_of_everything() -> None:
    halves = [ip_network("2001:db8::/33"), ip_network("2001:db8:8000::/33")]
    assert aggregated([(int(net.network_address), net.prefixlen) for net in halves], 128) == [
        (int(ip_network("2001:db8::/32").network_address), 32)
    ]
    assert aggregated([(0, 1), (1 << 31, 1)], 32) == [(0, 0)]
