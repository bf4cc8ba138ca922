"""Plans and settings: what would be typed, what stays open, and what is refused before a switch hears of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openflow_made import C2, PC, PORTS, intent

from andon.contain.contract import ELSEWHERE, IPV4, IPV6, NAMES, NotExpressible
from andon.contain.enforcers import make_enforcer
from andon.contain.enforcers.openflow import OpenFlowEnforcer, enforcer
from andon.contain.enforcers.openflow.book import Book, Entry
from andon.contain.enforcers.openflow.oxm import match
from andon.contain.enforcers.openflow.rule import Rule
from andon.records.intent import (
    ADDRESS,
    ALLOW,
    BLOCK,
    BLOCK_PAIR,
    DOMAIN,
    HOST,
    MIRROR,
    PREFIX,
    PROXY,
    QUARANTINE,
    SINKHOLE,
    URL,
    Party,
)


def made(**more: Any) -> OpenFlowEnforcer:
    return enforcer("sw", {"connect": "unix:br0.mgmt", **PORTS, **more}, Path("/run/openvswitch"))


CROWD = Party(HOST, "pc", tuple(f"10.9.{n >> 8}.{n & 255}" for n in range(1100)))
V4_ONLY = Party(ADDRESS, "192.0.2.66", ("192.0.2.66",))


def test_a_plan_is_what_someone_could_type_and_take_back() -> None:
    plan = made().plan(intent(0x4D, subject=Party(ADDRESS, "10.0.0.2"), target=V4_ONLY, ttl=90.5))
    head = "ovs-ofctl -O OpenFlow13 add-flow unix:/run/openvswitch/br0.mgmt cookie=0x800000000000004d,"
    rest = "hard_timeout=91,send_flow_rem,table=2,priority=300,ip,"
    assert plan.commands == (
        f"{head}{rest}nw_src=10.0.0.2,nw_dst=192.0.2.66,actions=drop",
        f"{head}{rest}nw_src=192.0.2.66,nw_dst=10.0.0.2,actions=drop",
    )
    assert plan.inverse == (
        "ovs-ofctl -O OpenFlow13 del-flows unix:/run/openvswitch/br0.mgmt cookie=0x800000000000004d/-1",
    )
    assert plan.rules == 2 and "10.0.0.2" in plan.touched[0] and "192.0.2.66" in plan.touched[0]


@pytest.mark.parametrize(
    ("subject", "target", "left"),
    [
        (PC, C2, ()),
        (PC, V4_ONLY, (IPV6,)),  # the host has IPv6, and the C2 may have it too
        (
            Party(HOST, "pc", ("10.0.0.2", "fe80::2"), switch="sw", port=2),
            V4_ONLY,
            (),
        ),  # link-local goes nowhere
        (PC, Party(ADDRESS, "2001:db8:66::66"), (IPV4,)),
        (PC, Party(PREFIX, "192.0.2.0/24"), ()),  # a prefix is what is meant, no more
        (PC, Party(DOMAIN, "c2.example", ("192.0.2.66", "2001:db8:66::66")), (NAMES,)),
        (PC, Party(DOMAIN, "c2.example", ("192.0.2.66",)), (IPV6, NAMES)),
        (Party(HOST, "pc", ("10.0.0.2",)), V4_ONLY, (ELSEWHERE,)),
        (Party(HOST, "pc", ("10.0.0.2",), switch="other", port=2), V4_ONLY, (ELSEWHERE,)),
        (
            Party(HOST, "pc", ("10.0.0.2",), switch="sw", port=1),
            V4_ONLY,
            (ELSEWHERE,),
        ),  # port 1 is the uplink
        (Party(HOST, "pc", ("10.1.0.2",)), V4_ONLY, ()),  # covered
        (PC, Party(PREFIX, "10.0.0.0/24"), (IPV4,)),  # a part of it is protected
        (Party(ADDRESS, "10.0.0.2"), V4_ONLY, ()),
    ],
)
def test_ways_that_stay_open_are_named(subject: Party, target: Party, left: tuple[str, ...]) -> None:
    plan = made(covers=["10.1.0.0/16"], protect=["10.0.0.53/32"]).plan(intent(subject=subject, target=target))
    assert plan.open_paths == left


def test_what_cuts_nothing_leaves_nothing_open_and_a_quarantine_neither() -> None:
    for action in (ALLOW, PROXY, MIRROR, QUARANTINE, BLOCK):
        assert made().plan(intent(action=action)).open_paths == ()


def test_a_pair_is_closed_both_ways_for_every_address_and_way_to_tell_the_host() -> None:
    rules = made().plan(intent()).native
    shown = {
        rule.text().removeprefix("table=2,priority=300,").removesuffix(",actions=drop") for rule in rules
    }
    assert len(rules) == 10
    for way in ("in_port=2", "dl_src=02:00:00:00:00:02", "nw_src=10.0.0.2"):
        assert f"ip,{way},nw_dst=192.0.2.66" in shown
    for way in ("in_port=2", "dl_src=02:00:00:00:00:02", "ipv6_src=2001:db8::2"):
        assert f"ipv6,{way},ipv6_dst=2001:db8:66::66" in shown
    assert "ip,nw_src=192.0.2.66,nw_dst=10.0.0.2" in shown
    assert "ipv6,dl_dst=02:00:00:00:00:02,ipv6_src=2001:db8:66::66" in shown


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"action": BLOCK, "subject": Party(URL, "http://c2.example/a")}, "block of a url"),
        ({"target": Party(URL, "http://c2.example/a")}, "not URLs"),
        ({"target": Party(DOMAIN, "c2.example")}, "neither address nor port"),
        ({"action": BLOCK, "subject": Party(PREFIX, "0.0.0.0/0")}, "everybody"),
        ({"action": BLOCK, "subject": Party(PREFIX, "::/0")}, "everybody"),
        ({"action": BLOCK, "subject": Party(ADDRESS, "not-an-address")}, "not-an-address"),
        ({"action": BLOCK, "subject": Party(ADDRESS, "10.0.0.53")}, "protected"),
        ({"action": QUARANTINE, "subject": Party(HOST, "ns", ("10.0.0.53",), switch="sw", port=3)}, "protected"),
        ({"target": Party(ADDRESS, "10.0.0.53")}, "protected"),
        ({"action": QUARANTINE, "subject": Party(HOST, "pc", mac="ff:ff:ff:ff:ff:ff")}, "a group"),
        ({"action": QUARANTINE, "subject": Party(HOST, "pc", mac="02:00:00")}, "not a MAC"),
        ({"action": QUARANTINE, "subject": Party(HOST, "px", mac="02:00:00:00:00:04")}, "steers others' traffic"),
        ({"action": QUARANTINE, "subject": Party(HOST, "gw", switch="sw", port=1)}, "neither address nor port"),
        ({"action": QUARANTINE, "subject": Party(HOST, "x", switch="sw", port=0xFFFFFFFA)}, "no port"),
        ({"subject": Party(ADDRESS, "10.0.0.2"), "target": Party(ADDRESS, "2001:db8::1")}, "no address family"),
        ({"action": BLOCK, "subject": CROWD}, "2,000"),
        ({"number": (1 << 63) - 1}, "cookie"),
    ],
)  # fmt: skip
def test_what_this_switch_cannot_hold_is_said(more: dict[str, Any], said: str) -> None:
    with pytest.raises(NotExpressible, match=said):
        made(protect=["10.0.0.53/32"]).plan(intent(**more))


def test_only_what_there_is_a_port_for_is_supported() -> None:
    bare = enforcer("sw", {"connect": "tcp:192.0.2.1"}, Path())
    assert {action for action, _ in bare.supports} == {ALLOW, BLOCK, BLOCK_PAIR, QUARANTINE}
    assert {action for action, _ in made().supports} >= {PROXY, MIRROR, SINKHOLE}
    with pytest.raises(NotExpressible):
        bare.plan(intent(action=MIRROR))
    # Without a page, a quarantined host reaches nothing at all.
    assert not any(rule.actions for rule in bare.plan(intent(action=QUARANTINE)).native)


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
parties = st.builds(
    Party,
    st.sampled_from((HOST, DOMAIN)),
    st.just("one"),
    st.lists(addresses, max_size=4).map(tuple),
    mac=st.sampled_from(("", "02:00:00:00:00:99")),
    switch=st.sampled_from(("", "sw", "other")),
    port=st.integers(0, 9),
)


@given(
    parties,
    st.one_of(st.none(), parties),
    st.sampled_from((ALLOW, PROXY, MIRROR, BLOCK, QUARANTINE, SINKHOLE)),
)
def test_no_plan_touches_a_port_of_the_site_itself_or_a_table_but_its_own(
    subject: Party, target: Party | None, action: str
) -> None:
    """Rules of an intent never match all packets, nor all those of the uplink, the proxy, the capture host."""
    try:
        plan = made().plan(intent(action=action, subject=subject, target=target))
    except NotExpressible:
        return
    own = {match(in_port=port) for port in (1, 4, 5, 6, 7)} | {()}
    for rule in plan.native:
        assert rule.match not in own
        assert rule.table == (0 if action == MIRROR else 2)
        assert 0 < rule.priority <= 500
    assert len({rule.key for rule in plan.native}) == plan.rules == len(plan.commands)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "either connect"),
        ({"connect": "unix:a", "listen": "tcp:0.0.0.0"}, "either connect"),
        ({"connect": "br0"}, "connect is unix:PATH"),
        ({"connect": "tcp:host:99999"}, "connect is unix:PATH"),
        ({"connect": "tcp:ho st:1"}, "connect is unix:PATH"),
        ({"connect": "ssl:host"}, "both sides show who they are"),
        ({"listen": "tcp:0.0.0.0:6653"}, "needs peers"),
        ({"connect": "unix:a", "peers": ["10.0.0.1/8"]}, "peers"),
        ({"connect": "unix:a", "port": {}}, "no setting 'port'"),
        ({"connect": "unix:a", "ports": {"camera": 2}}, "ports is a table"),
        ({"connect": "unix:a", "ports": {"capture": 0}}, "ports.capture"),
        ({"connect": "unix:a", "ports": {"capture": True}}, "ports.capture"),
        ({"connect": "unix:a", "ports": {"proxy": 2}}, "needs proxy_mac"),
        ({"connect": "unix:a", "proxy_mac": "02:00:00:00:00:01"}, "needs ports.proxy"),
        ({"connect": "unix:a", "ports": {"proxy": 2}, "proxy_mac": "2"}, "proxy_mac"),
        ({"connect": "unix:a", "ports": {"uplink": [2], "capture": 2}}, "two uses"),
        ({"connect": "unix:a", "fail_mode": "open"}, "fail_mode"),
        ({"connect": "unix:a", "tables": {"mirror": 3}}, "rising"),
        ({"connect": "unix:a", "tables": {"guard": 300}}, "guard is a whole number"),
        ({"connect": "unix:a", "forward": 7}, "forward"),
        ({"connect": "unix:a", "steer": ["http"]}, "steer"),
        ({"connect": "unix:a", "protect": "10.0.0.0/8"}, "protect is a list"),
        ({"connect": "unix:a", "dhcp": ["router"]}, "dhcp"),
        ({"connect": "unix:a", "rules": 0}, "rules"),
        ({"connect": "unix:a", "check": "1"}, "check"),
        ({"connect": "unix:a", "datapath": "xyz"}, "datapath"),
        ({"connect": "unix:a", "ovsdb": "unix:db.sock"}, "needs bridge"),
        ({"connect": "unix:br0.mgmt", "bridge": "a b"}, "bridge"),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_enforcer({"name": "sw", "kind": "openflow", **settings})


def test_the_pipeline_stands_in_the_tables_it_is_given_and_leaves_the_sites_own_alone() -> None:
    given = made(
        tables={"mirror": 10, "guard": 11, "contain": 12, "forward": 20}, forward="site", dhcp=["10.0.0.1"]
    )
    base = given._keeper.base
    assert {rule.table for rule in base} == {10, 11, 12} and not any(rule.actions for rule in base)
    assert [rule.goto for rule in base if rule.table == 12] == [20]
    assert sum("10.0.0.1" in rule.text() for rule in base) == 2
    assert base[-1] == Rule(10, 0, (), goto=11), "the first table is the last to lead anywhere"


def test_a_rule_that_two_need_belongs_to_the_one_that_needs_it_longest() -> None:
    one, two = Rule(2, 3, match(in_port=1)), Rule(2, 3, match(in_port=2))
    book = Book()
    assert book.put(Entry(1, {one.key: one, two.key: two}, 5, 5.0)) == {one.key, two.key}
    assert book.put(Entry(2, {one.key: one}, 9, 9.0)) == {one.key}
    assert (book.rules, book.owner(one.key).id, book.owner(two.key).id) == (2, 2, 1)  # type: ignore[union-attr]
    assert book.put(Entry(2, {one.key: one}, 3, 3.0)) == {one.key}
    assert book.owner(one.key).id == 1  # type: ignore[union-attr]
    assert book.drop(1) == {one.key, two.key} and book.drop(1) == set()
    assert book.owner(one.key).id == 2 and book.owner(two.key) is None  # type: ignore[union-attr]
    assert [entry.id for _, entry in book.wanted()] == [2] and 2 in book
    book.clear()
    assert (len(book), book.rules) == (0, 0)
