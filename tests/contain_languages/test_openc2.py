"""OpenC2: what goes out keeps to the specifications; what comes in becomes a proposal or a refusal in their words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from language_world import NOW, SECOND, address, asker, intent, intents, machine

from andon.contain.contract import NotExpressible
from andon.contain.languages import openc2
from andon.contain.languages.document import DocumentError
from andon.contain.languages.openc2_check import check_command, check_message, check_profile, check_response
from andon.contain.languages.request import Asker
from andon.records.intent import LONGEST, Intent, Party


def ask(action: str, target: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"action": action, "target": target, **more}


def test_golden_commands() -> None:
    made = openc2.commands(intent("block", address("198.51.100.7")))
    assert made == [
        {
            "action": "deny",
            "target": {"ipv4_net": "198.51.100.7/32"},
            "args": {
                "start_time": 1767225600000,
                "stop_time": 1767229200000,
                "response_requested": "complete",
            },
            "actuator": {"slpf": {}},
            "command_id": "andon-0000000000000007-0",
        }
    ]
    pair = intent("block-pair", machine("pc1", "10.0.0.5", "2001:db8::5"), address("203.0.113.9"))
    assert [one["target"] for one in openc2.commands(pair, "pf", "2.0")] == [
        {"ipv4_connection": {"src_addr": "10.0.0.5/32", "dst_addr": "203.0.113.9/32"}},
        {"ipv4_connection": {"src_addr": "203.0.113.9/32", "dst_addr": "10.0.0.5/32"}},
    ]
    assert openc2.commands(pair, "pf", "2.0")[0]["profile"] == "pf"
    assert (
        openc2.commands(intent("sinkhole", Party("domain", "evil.example.com")), "x-andon")[0]["action"]
        == "redirect"
    )


@pytest.mark.parametrize(
    ("action", "subject", "profile"),
    [
        ("mirror", address("198.51.100.7"), "slpf"),
        ("proxy", address("198.51.100.7"), "pf"),
        ("sinkhole", Party("domain", "evil.example.com"), "pf"),
        ("block", Party("domain", "evil.example.com"), "slpf"),
        ("block", Party("url", "http://evil.example.com/"), "pf"),
        ("quarantine", machine("pc1"), "slpf"),
    ],
)
def test_what_a_profile_cannot_say_is_not_said_approximately(
    action: str, subject: Party, profile: str
) -> None:
    with pytest.raises(NotExpressible):
        openc2.commands(intent(action, subject), profile)


def test_a_pair_of_two_versions_has_no_connection() -> None:
    with pytest.raises(NotExpressible, match="one version"):
        openc2.commands(intent("block-pair", address("10.0.0.5"), address("2001:db8::9")))


@settings(max_examples=150)
@given(intents(), st.sampled_from(openc2.PROFILES), st.sampled_from(openc2.VERSIONS))
def test_every_command_that_goes_out_keeps_to_the_specification(
    one: Intent, profile: str, version: str
) -> None:
    try:
        made = openc2.commands(one, profile, version)
    except NotExpressible:
        assume(False)
        return
    for command in made:
        assert check_command(json.loads(json.dumps(command)), version) == command
        if profile != "x-andon":
            check_profile(command, profile)
        assert command["args"]["stop_time"] - command["args"]["start_time"] <= one.ttl // 10**6
    assert len({command["command_id"] for command in made}) == len(made)


@settings(max_examples=150)
@given(intents(), st.sampled_from(openc2.PROFILES), st.sampled_from(openc2.VERSIONS))
def test_what_goes_out_comes_back_as_the_same_wish(one: Intent, profile: str, version: str) -> None:
    try:
        made = openc2.commands(one, profile, version)
    except NotExpressible:
        assume(False)
        return
    if profile != "x-andon" and one.action == "allow":
        assume(one.target is None)
    back = [wish for command in made for wish in openc2.read(command, asker()).intents]
    assert len(back) == len(made)
    assert all(abs(wish.until - one.until) <= 10**6 and wish.until <= one.until for wish in back)
    assert all(
        wish.approvals == 1 and wish.requested_by == "openc2:partner" and wish.id != one.id for wish in back
    )
    if profile == "x-andon":
        wish = back[0]
        assert (wish.action, wish.subject.kind, wish.subject.value) == (
            one.action,
            one.subject.kind,
            one.subject.value,
        )
        assert (wish.target and wish.target.value) == (one.target and one.target.value)
        return

    def values(party: Party) -> set[str]:
        return set(party.addresses) if party.kind == "host" else {party.value}

    if one.target is None:
        assert {wish.subject.value for wish in back} == values(one.subject)
        assert {wish.action for wish in back} == {"allow" if one.action == "allow" else "block"}
    else:
        pairs = {frozenset((wish.subject.value, wish.target.value)) for wish in back if wish.target}
        assert pairs <= {frozenset((a, b)) for a in values(one.subject) for b in values(one.target)}


def test_the_message_of_language_2_is_opened_and_named() -> None:
    command = ask("deny", {"ipv4_net": "198.51.100.7"})
    message = openc2.message(command, "r-1", "partner", "andon", NOW)
    assert check_message(message)["headers"]["created"] == NOW // 10**6
    made = openc2.read(message, asker())
    assert made.response is not None and made.response["status"] == 102
    assert made.intents[0].grounds[0].id == "r-1" and made.intents[0].grounds[0].field == "request:partner"
    check_response(made.response)


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ({}, 400, "action"),
        ({"action": "deny"}, 400, "target"),
        (ask("deny", {}), 400, "exactly one"),
        (ask("deny", {"ipv4_net": "1.2.3.4", "ipv6_net": "::1"}), 400, "exactly one"),
        (ask("burn", {"ipv4_net": "1.2.3.4"}), 400, "none of OpenC2"),
        (ask("deny", {"planet": "x"}), 400, "none of OpenC2"),
        (ask("deny", {"ipv4_net": "2001:db8::1"}), 400, "IPv4"),
        (ask("deny", {"ipv4_net": "1.2.3"}), 400, "IPv4"),
        (ask("deny", {"ipv4_net": ["1.2.3.4"]}), 400, "text"),
        (ask("deny", {"ipv4_net": "198.51.100.7/24"}), 400, "bits"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, colour=1), 400, "no place"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, args={}), 400, "at least one"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, args={"duration": True}), 400, "whole number"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, args={"duration": -1}), 400, "whole number"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, args={"start_time": 1, "stop_time": 2, "duration": 3}), 400,
         "two at most"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, args={"stop_time": 5}), 400, "ended"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, args={"duration": 10}), 400, "ended"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, command_id="a b"), 400, "command_id"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, actuator={"slpf": {}, "pf": {}}), 400, "one profile"),
        (ask("deny", {"file": {"name": "x"}}), 501, "Target type not supported"),
        (ask("deny", {"mac_addr": "00:11:22:33:44:55"}), 501, "Target type not supported"),
        (ask("deny", {"pf:advanced_connection": []}, actuator={"pf": {}}), 501, "Target type not supported"),
        (ask("deny", {"domain_name": "evil.example.com"}, actuator={"slpf": {}}), 501, "Target type not supported"),
        (ask("scan", {"ipv4_net": "1.2.3.4"}), 501, "Command not supported"),
        (ask("update", {"file": {"name": "x"}}), 501, "Command not supported"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, actuator={"er": {}}), 501, "Profile not supported"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, actuator={"slpf": {"asset_id": "x"}}), 501, "Option not supported"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, args={"er": {}}), 501, "Option not supported"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, actuator={"slpf": {}}, args={"slpf": {"persistent": True}}),
         501, "persistent"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, actuator={"slpf": {}},
         args={"slpf": {"direction": "ingress"}}), 501, "direction"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, actuator={"slpf": {}},
             args={"slpf": {"insert_rule": 5}, "response_requested": "complete"}), 501, "insert_rule"),
        (ask("deny", {"ipv4_net": "1.2.3.4"}, args={"start_time": NOW // 10**6 + 10**6}), 501, "future"),
        (ask("deny", {"ipv4_connection": {"src_addr": "10.0.0.5", "dst_addr": "1.2.3.4", "dst_port": 443}}),
         501, "dst_port"),
        (ask("deny", {"ipv4_connection": {"dst_addr": "1.2.3.4"}}), 501, "one side"),
        (ask("allow", {"ipv4_connection": {"src_addr": "10.0.0.5", "dst_addr": "1.2.3.4"}}), 501, "Rule not updated"),
        (ask("query", {"features": ["colour"]}), 501, "feature"),
        (ask("delete", {"slpf:rule_number": 0}), 400, "no rule"),
        (ask("copy", {"ipv4_net": "1.2.3.4"}, actuator={"x-andon": {}}), 400, "args.x-andon"),
        (ask("copy", {"ipv4_net": "1.2.3.4/32"}, actuator={"x-andon": {}},
             args={"x-andon": {"action": "block", "subject": {"kind": "address", "value": "1.2.3.4"}}}),
         400, "way to copy"),
        (ask("copy", {"ipv4_net": "1.2.3.4/32"}, actuator={"x-andon": {}},
             args={"x-andon": {"action": "mirror", "subject": {"kind": "address", "value": "8.8.8.8"}}}),
         400, "subject"),
        ([], 400, "object"),
        ("deny", 400, "object"),
        ({"headers": {}, "body": {}}, 400, "openc2"),
        ({"headers": {}, "body": {"openc2": {"response": {"status": 200}}}}, 400, "request"),
    ],
)  # fmt: skip
def test_a_command_that_is_not_taken_up_is_answered_in_the_words_of_the_specification(
    command: Any, status: int, said: str
) -> None:
    made = openc2.read(command, asker())
    assert made.intents == () and made.revokes == () and made.left_out
    assert (
        made.response is not None
        and made.response["status"] == status
        and said in made.response["status_text"]
    )
    check_response(made.response)


@pytest.mark.parametrize(
    "command",
    [
        ask("deny", {"ipv4_connection": {"protocol": "tcp", "src_addr": "10.0.0.5", "src_port": 10996,
                                         "dst_addr": "203.0.113.9", "dst_port": 80}},
            args={"start_time": 1534775460000, "duration": 500, "response_requested": "ack",
                  "slpf": {"drop_process": "none"}}, actuator={"slpf": {"asset_id": "30"}}),
        ask("deny", {"ipv4_connection": {"protocol": "tcp", "src_port": 21}},
            args={"slpf": {"drop_process": "false_ack", "direction": "egress"}}, actuator={"slpf": {}}),
        ask("deny", {"ipv6_net": "2001:db8::67cf"},
            args={"response_requested": "none", "slpf": {"direction": "ingress"}},
            actuator={"slpf": {"named_group": "perimeter"}}),
        ask("allow", {"ipv6_connection": {"protocol": "tcp", "dst_addr": "2001:db8::67cf", "src_port": 21}},
            actuator={"slpf": {}}),
        ask("delete", {"slpf:rule_number": 1234}, args={"response_requested": "complete"}, actuator={"slpf": {}}),
        ask("update", {"file": {"path": "share", "name": "rules.txt"}}, actuator={"slpf": {"named_group": "network"}}),
        ask("query", {"features": ["versions", "profiles"]}),
    ],
)  # fmt: skip
def test_commands_of_the_forms_that_the_profile_shows_are_commands(command: dict[str, Any]) -> None:
    check_command(command)
    check_profile(command, "slpf")


def test_nobody_is_obeyed() -> None:
    made = openc2.read(ask("deny", {"ipv4_net": "198.51.100.0/24"}), asker(approvals=2))
    (wish,) = made.intents
    assert (wish.action, wish.subject.kind, wish.approvals, wish.created) == ("block", "prefix", 2, NOW)
    assert wish.ttl == 86_400 * SECOND and "1 days" in str(made.response)
    with pytest.raises(ValueError, match="approval"):
        asker(approvals=0)


def test_nothing_holds_for_longer_than_a_week() -> None:
    made = openc2.read(ask("deny", {"ipv4_net": "198.51.100.7"}, args={"duration": 10**12}), asker())
    assert made.intents[0].ttl == LONGEST and "which is the most" in str(made.response)


def test_an_answer_is_given_only_where_one_is_wanted() -> None:
    command = ask("deny", {"ipv4_net": "198.51.100.7"}, args={"response_requested": "none"})
    made = openc2.read(command, asker())
    assert made.response is None and len(made.intents) == 1


def test_features_and_taking_back() -> None:
    made = openc2.read(ask("query", {"features": ["versions", "profiles", "pairs", "rate_limit"]}), asker())
    assert made.response is not None and made.response["status"] == 200
    assert (
        made.response["results"]["versions"] == ["1.0", "2.0"]
        and "slpf" in made.response["results"]["profiles"]
    )
    assert openc2.read(ask("query", {"features": []}), asker()).response == {
        "status": 200,
        "status_text": "OK",
    }
    for target in ({"slpf:rule_number": 7}, {"x-andon:intent": "0000000000000007"}):
        assert openc2.read(ask("delete", target), asker()).revokes == (7,)


def test_parties_are_resolved_by_us() -> None:
    seen: list[tuple[str, str]] = []

    def resolve(kind: str, value: str) -> Party:
        seen.append((kind, value))
        return Party(kind, value, addresses=("10.9.9.9",), mac="00:11:22:33:44:55", basis="lease")

    who = Asker("partner", NOW, lambda: 5, party=resolve)
    command = openc2.commands(intent("quarantine", machine("pc1", "8.8.8.8")), "x-andon")[0]
    (wish,) = openc2.read(command, who).intents
    assert seen == [("host", "pc1")] and wish.subject.addresses == ("10.9.9.9",)


def test_a_party_that_cannot_be_resolved_is_refused() -> None:
    def resolve(kind: str, value: str) -> Party:
        raise ValueError("two systems have this address")

    made = openc2.read(ask("deny", {"ipv4_net": "10.0.0.5"}), Asker("partner", NOW, lambda: 5, party=resolve))
    assert made.intents == () and "two systems" in str(made.response)


def test_the_checker_refuses_what_the_specifications_refuse() -> None:
    for bad in (
        {"status": 299},
        {"status": "200"},
        {"status": 200, "results": {}},
        {"status": 200, "x": 1},
        3,
    ):
        with pytest.raises(DocumentError):
            check_response(bad)
    for action, target, profile in (
        ("query", {"ipv4_net": "1.2.3.4"}, "slpf"), ("deny", {"domain_name": "a.example"}, "slpf"),
        ("delete", {"pf:rule_number": 3}, "slpf"), ("contain", {"device": {"hostname": "x"}}, "pf"),
    ):  # fmt: skip
        with pytest.raises(DocumentError):
            check_profile(ask(action, target), profile)
    for own in (
        {"drop_process": "burn"},
        {"direction": "both"},
        {"insert_rule": 3},
        {"colour": 1},
        {"persistent": 1},
    ):
        with pytest.raises(DocumentError):
            check_profile(ask("deny", {"ipv4_net": "1.2.3.4"}, args={"slpf": own}), "slpf")
