"""Plans of the nft enforcer: pure, honest about what stays open, and never a command that somebody else wrote."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.contain.contract import NotExpressible
from andon.contain.enforcers import make_enforcer
from andon.contain.enforcers.nft.elements import digest
from andon.contain.enforcers.nft.held import held_from
from andon.contain.enforcers.nft.shapes import shape_named
from andon.records.intent import ACTIONS, PARTIES, Intent, Party

SETTINGS: dict[str, Any] = {
    "name": "gw", "kind": "nft", "proxy": [":3128"], "sinkhole": ["192.0.2.9"], "mirror": ["192.0.2.8"],
}  # fmt: skip
SAFE = re.compile(
    r"nft '(add|delete) (element|set|rule) (inet|ip|ip6) andon [a-z0-9_]+[a-z0-9:.,{}@&!=;\"_ -]*'"
)


def intent(action: str, subject: Party, target: Party | None = None, number: int = 5) -> Intent:
    return Intent(
        number, action, subject, target, 60_000_000_000, "because", "andon", 1_700_000_000_000_000_000
    )


def host(*addresses: str, mac: str = "") -> Party:
    return Party("host", "ws", addresses=addresses, mac=mac)


V4, V6, C4, C6 = "10.0.0.5", "2001:db8::5", "203.0.113.7", "2001:db8:f::7"


@pytest.mark.parametrize(
    ("action", "subject", "target", "settings", "paths"),
    [
        ("block-pair", host(V4, V6), Party("host", "c2", (C4, C6)), {}, ()),
        ("block-pair", host(V4), Party("address", C4), {}, ()),
        ("block-pair", host(V4, V6), Party("address", C4), {}, ("ipv6",)),
        ("block-pair", host(V4, "fe80::5"), Party("address", C4), {}, ()),
        ("block-pair", host(V4, V6), Party("address", C6), {}, ("ipv4",)),
        ("block-pair", host(V4, V6), Party("prefix", "203.0.113.0/24"), {}, ()),
        ("block-pair", host(V4), Party("host", "c2", (C4, C6)), {}, ("ipv6",)),
        ("block-pair", host(V4), Party("host", "c2", (C4, C6)), {"ipv6": False}, ()),
        ("block-pair", host(V4, mac="00:11:22:33:44:55"), Party("host", "c2", (C4, C6)), {"match_mac": True}, ()),
        ("block-pair", host(V4), host("10.0.0.9"), {"segments": ["10.0.0.0/24"]}, ("ipv6", "elsewhere")),
        ("block-pair", host(V4, V6), Party("domain", "c2.example", (C4,)), {}, ("ipv6", "names")),
        ("block", Party("address", C4), None, {}, ()),
        ("block", host(V6), None, {}, ("ipv4",)),
        ("quarantine", host(V4), None, {"match_mac": True}, ("ipv6",)),
        ("quarantine", host(V4, mac="00:11:22:33:44:55"), None, {"match_mac": True}, ()),
        ("quarantine", host(V4, V6), None, {"segments": ["10.0.0.0/8"]}, ("elsewhere",)),
        ("quarantine", host(V4, V6), None, {"segments": ["10.0.0.0/8"], "mode": "host", "proxy": ["192.0.2.9"]}, ()),
        ("allow", host(V4), None, {}, ()),
        ("mirror", host(V4), None, {}, ()),
    ],
)  # fmt: skip
def test_a_plan_names_the_ways_that_stay_open(
    action: str, subject: Party, target: Party | None, settings: dict[str, Any], paths: tuple[str, ...]
) -> None:
    gateway = make_enforcer({**SETTINGS, **settings})

    assert gateway.plan(intent(action, subject, target)).open_paths == paths


def test_digests_do_not_depend_on_order_or_spelling() -> None:
    gateway = make_enforcer(SETTINGS)
    one = gateway.plan(intent("block-pair", host(V4, "2001:DB8:0::5"), Party("host", "x", (C4, C6))))
    other = gateway.plan(intent("block-pair", host(V6, "::ffff:10.0.0.5"), Party("host", "x", (C6, C4))))

    assert digest(one.native) == digest(other.native)
    assert digest(one.native) != digest(one.native[:1])


@pytest.mark.parametrize(
    "bad",
    ["", "10.0.0.5; flush ruleset", "fe80::1%}; flush ruleset; #", "10.0.0.0/33", "10.0.0.1/24", "0.0.0.0", "127.0.0.1",
     "::", "224.0.0.1", "ff02::1", "255.255.255.255", "1.2.3", "10.0.0.5\n", "０.0.0.1"],
)  # fmt: skip
def test_what_is_no_address_of_a_host_is_not_expressible(bad: str) -> None:
    gateway = make_enforcer(SETTINGS)

    for party in (Party("address", bad), host(V4, bad)):
        with pytest.raises(NotExpressible):
            gateway.plan(intent("block", party))
        with pytest.raises(NotExpressible):
            gateway.plan(intent("block-pair", host(V4), party))


TEXT = st.one_of(
    st.text(max_size=30), st.ip_addresses().map(str),
    st.builds(lambda a, b: f"{a}{b}", st.ip_addresses(), st.sampled_from(["/24", "/64", "%0", "'", "; drop", "/0"])),
    st.sampled_from(["::ffff:10.0.0.1", "10.0.0.0/24", "2001:db8::/64"]),
)  # fmt: skip
PARTY = st.builds(
    Party,
    kind=st.sampled_from(PARTIES),
    value=TEXT,
    addresses=st.lists(TEXT, max_size=3).map(tuple),
    mac=TEXT,
)


@given(
    st.sampled_from(ACTIONS),
    PARTY,
    st.none() | PARTY,
    st.integers(1, (1 << 63) - 1),
    st.booleans(),
    st.booleans(),
)
def test_no_text_of_a_party_gets_into_a_command(
    action: str, subject: Party, target: Party | None, number: int, mac: bool, mirror: bool
) -> None:
    settings = {**SETTINGS, "match_mac": mac}
    if not mirror:
        del settings["mirror"]
    if action == "block-pair" and target is None:
        return
    gateway = make_enforcer(settings)
    try:
        plan = gateway.plan(intent(action, subject, target, number))
    except NotExpressible:
        return
    assert plan.native
    assert all(SAFE.fullmatch(one) for one in (*plan.commands, *plan.inverse)), plan.commands
    assert all(shape_named(one.shape.name) == one.shape for one in plan.native)
    assert plan.rules == len(plan.native) + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tabel": "x"}, "there is no setting 'tabel'"),
        ({"table": "x; drop"}, "table is a name"),
        ({"table": "fwd"}, "table is a name"),
        ({"netns": "../../etc"}, "netns is the name"),
        ({"mode": "router"}, "mode is one of"),
        ({"priority": -300}, "priority is a whole number"),
        ({"protect": ["10.0.0.1/24"]}, "protect: "),
        ({"protect": "10.0.0.1"}, "protect is a list"),
        ({"sinkhole": ["192.0.2.1", "192.0.2.2"]}, "sinkhole has two addresses"),
        ({"sinkhole": ["fe80::1%eth0"]}, "sinkhole: "),
        ({"quarantine_page": [":80"]}, "quarantine_page needs an address"),
        ({"proxy": ["192.0.2.1:0"]}, "proxy: "),
        ({"proxy": [":3128"], "mode": "host"}, "proxy needs an address in host mode"),
        ({"mirror_device": 'e0" drop'}, "mirror_device is the name"),
        ({"patience": "long"}, "patience is a number"),
        ({"match_mac": 1}, "match_mac is true or false"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make_enforcer({"name": "gw", "kind": "nft", **settings}, Path())


def test_actions_without_their_setting_are_neither_supported_nor_planned() -> None:
    bare = make_enforcer({"name": "gw", "kind": "nft"})

    for action in ("proxy", "sinkhole", "mirror"):
        assert not any(one[0] == action for one in bare.supports)
        with pytest.raises(NotExpressible, match=action):
            bare.plan(intent(action, host(V4)))
    with pytest.raises(NotExpressible, match="max_per_intent"):
        make_enforcer({**SETTINGS, "max_per_intent": 3}).plan(
            intent("block-pair", host(V4, "10.0.0.6"), Party("host", "x", (C4, "203.0.113.8")))
        )
    with pytest.raises(NotExpressible, match="same IP version"):
        bare.plan(intent("block-pair", host(V4), Party("address", C6)))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    )
)
def test_a_listing_with_elements_of_others_is_read_without_them(value: Any) -> None:
    sets = [
        {"set": {"family": "inet", "name": "drop4", "table": "andon", "elem": [value]}},
        {"set": {"family": "inet", "name": "by_hand", "table": "andon", "elem": [value]}},
        {"set": {"family": "inet", "name": "intents", "table": "andon", "elem": [value]}},
    ]  # fmt: skip
    held = held_from([sets], "base", 0.0)

    assert held.present
    assert not held.whole
    assert held.digests(1.0) == {}
