"""CACAO 2.0: one playbook per response, and playbooks of others as proposals."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from language_world import NOW, SECOND, address, asker, intent, intents, machine

from andon.contain.contract import NotExpressible
from andon.contain.languages import cacao, openc2
from andon.contain.languages.cacao_check import check_playbook
from andon.contain.languages.document import DocumentError
from andon.contain.languages.openc2_check import check_command, check_profile
from andon.records.intent import Intent

BLOCK = intent("block", address("198.51.100.7"))


def steps_of(book: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Steps by what they do."""
    made = {}
    for key, step in book["workflow"].items():
        name = {"start": "start", "end": step.get("name", "end")}.get(
            step["type"], step.get("name", key).split()[0]
        )
        made[name] = step | {"id": key}
    return made


def content(step: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return json.loads(base64.b64decode(step["commands"][at]["content_b64"]))  # type: ignore[no-any-return]


def test_a_response_is_approved_applied_held_and_taken_back() -> None:
    book = check_playbook(cacao.playbook(BLOCK))
    steps = steps_of(book)
    start = book["workflow"][book["workflow_start"]]
    assert start["on_completion"] == steps["approval"]["id"]
    assert steps["approval"]["commands"][0]["type"] == "manual" and "2 besides alice" in str(
        steps["approval"]
    )
    assert (
        steps["approval"]["on_success"] == steps["block"]["id"]
        and steps["approval"]["on_failure"] == steps["failed"]["id"]
    )
    assert (
        steps["block"]["on_success"] == steps["take"]["id"]
        and steps["block"]["on_failure"] == steps["undo"]["id"]
    )
    assert steps["take"]["delay"] == 3_600_000 and steps["take"]["on_completion"] == steps["end"]["id"]
    apply, revoke = content(steps["block"]), content(steps["take"])
    assert apply["args"]["duration"] == 3_600_000 and "stop_time" not in apply["args"]
    assert revoke["action"] == "delete"
    assert revoke["target"] == {"slpf:rule_number": apply["args"]["slpf"]["insert_rule"]}
    assert book["valid_until"] == "2026-01-01T01:00:00.000Z" and book["severity"] == 80
    assert steps["block"]["commands"][0]["command"].startswith("POST /")
    assert book["agent_definitions"][steps["block"]["agent"]]["category"] == ["firewall"]
    assert book["related_to"][0].startswith("course-of-action--")


def test_without_approvals_nobody_is_asked_and_a_consumer_can_be_named() -> None:
    book = check_playbook(cacao.playbook(BLOCK.with_(approvals=0), consumer="https://fw.example.org/oc2"))
    steps = steps_of(book)
    assert "approval" not in steps and len(book["agent_definitions"]) == 1
    assert book["agent_definitions"][steps["block"]["agent"]]["address"] == {
        "url": ["https://fw.example.org/oc2"]
    }
    assert steps["block"]["commands"][0]["command"] == "POST /oc2 HTTP/1.1"


def test_the_same_response_is_the_same_document() -> None:
    assert json.dumps(cacao.playbook(BLOCK)) == json.dumps(cacao.playbook(BLOCK))
    ids = set(cacao.playbook(BLOCK)["workflow"]) & set(cacao.playbook(BLOCK.with_(id=8))["workflow"])
    assert not ids


@settings(max_examples=60)
@given(intents(), st.sampled_from(openc2.PROFILES))
def test_every_playbook_keeps_to_the_specification_and_comes_back(one: Intent, profile: str) -> None:
    try:
        book = cacao.playbook(one, profile)
    except NotExpressible:
        assume(False)
        return
    check_playbook(json.loads(json.dumps(book)))
    for step in book["workflow"].values():
        for command in step.get("commands", []):
            if command["type"] == "openc2-http":
                value = json.loads(base64.b64decode(command["content_b64"]))
                check_command(value)
                if profile != "x-andon":
                    check_profile(value, profile)
    made = cacao.read(book, asker())
    assert made.left_out == () and made.revokes == ()
    direct = [
        wish for command in openc2.commands(one, profile) for wish in openc2.read(command, asker()).intents
    ]
    assert [(w.action, w.subject, w.target) for w in made.intents] == [
        (w.action, w.subject, w.target) for w in direct
    ]
    assert all(wish.approvals == 1 for wish in made.intents)


def broken(change: Any) -> dict[str, Any]:
    book = copy.deepcopy(cacao.playbook(BLOCK))
    change(book)
    return book


def step(book: dict[str, Any], name: str) -> dict[str, Any]:
    return book["workflow"][steps_of(book)[name]["id"]]  # type: ignore[no-any-return]


def loop(book: dict[str, Any]) -> None:
    step(book, "take")["on_completion"] = steps_of(book)["block"]["id"]


def self_loop(book: dict[str, Any]) -> None:
    step(book, "undo")["on_completion"] = steps_of(book)["undo"]["id"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b.pop("created_by"), "created_by is missing"),
        (lambda b: b.update(spec_version="cacao-1.1"), "spec_version"),
        (lambda b: b.update(id="playbook--1"), "no id"),
        (lambda b: b.update(created_by=b["id"]), "type identity"),
        (lambda b: b.update(created="yesterday"), "in UTC"),
        (lambda b: b.update(modified="2025-01-01T00:00:00.000Z"), "before created"),
        (lambda b: b.update(valid_until=b["valid_from"]), "not after"),
        (lambda b: b.update(priority=101), "priority"),
        (lambda b: b.update(severity=True), "severity"),
        (lambda b: b.update(external_references=[{"name": "x"}]), "external_references"),
        (lambda b: b.update(workflow_start="start--x"), "workflow_start"),
        (lambda b: b.update(workflow={}), "workflow_start"),
        (lambda b: b.update(workflow=[]), "workflow"),
        (lambda b: b.update(agent_definitions={}), "agent"),
        (lambda b: b.update(playbook_variables={"x": {}}), "variable"),
        (lambda b: step(b, "block").pop("agent"), "agent is missing"),
        (lambda b: step(b, "block").update(commands=[]), "commands"),
        (lambda b: step(b, "block").update(commands=[{"type": "openc2-http"}]), "command"),
        (lambda b: step(b, "block").update(type="end"), "own type"),
        (lambda b: step(b, "block").update(on_success="action--nowhere"), "not in the workflow"),
        (lambda b: step(b, "block").update(on_completion=steps_of(b)["end"]["id"]), "without on_success"),
        (lambda b: step(b, "end").update(on_completion=steps_of(b)["end"]["id"]), "nowhere"),
        (lambda b: step(b, "take").update(delay=-1), "delay"),
        (
            lambda b: b["workflow"].update({b["workflow_start"]: {"type": "start", "on_success": "x"}}),
            "on_completion",
        ),
        (loop, "never ends"),
        (self_loop, "never ends"),
        (lambda b: b.update(revoked=True), "revoked"),
        (lambda b: b.update(revoked="yes"), "true or false"),
        (
            lambda b: b.update(valid_from="2027-01-01T00:00:00Z", valid_until="2028-01-01T00:00:00Z"),
            "not yet",
        ),
        (
            lambda b: b.update(valid_from="2024-01-01T00:00:00Z", valid_until="2025-01-01T00:00:00Z"),
            "no longer",
        ),
        (lambda b: b.update(valid_from="2024-02-31T00:00:00Z"), "valid_from"),
    ],
)
def test_a_playbook_that_is_none_is_refused_with_the_place(change: Any, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        cacao.read(broken(change), asker())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b.update(created="2026-01-01T00:00:00Z", modified="2026-01-01T00:00:00Z"), "three digits"),
        (lambda b: b.pop("playbook_activities"), "playbook_activities"),
        (lambda b: next(iter(b["agent_definitions"].values())).update(type="soarca"), "own type"),
        (lambda b: next(iter(b["agent_definitions"].values())).pop("category"), "category"),
    ],
)
def test_what_others_often_leave_out_is_read_and_never_written(change: Any, said: str) -> None:
    book = broken(change)
    with pytest.raises(DocumentError, match=said):
        check_playbook(book)
    assert len(cacao.read(book, asker()).intents) == 1


def test_a_message_of_language_2_inside_a_step_is_opened() -> None:
    book = cacao.playbook(BLOCK)
    command = {"action": "deny", "target": {"ipv4_net": "203.0.113.9"}, "profile": "slpf"}
    message = json.dumps(openc2.message(command, "r-1", "a", "b", NOW)).encode()
    step(book, "block")["commands"] = [
        {"type": "openc2", "command": "POST / HTTP/1.1", "content_b64": base64.b64encode(message).decode()}
    ]
    made = cacao.read(book, asker())
    assert [wish.subject.value for wish in made.intents] == ["203.0.113.9"]


def test_a_long_chain_of_steps_is_walked_without_recursion() -> None:
    book = cacao.playbook(BLOCK)
    names = [f"action--00000000-0000-4000-8000-{i:012d}" for i in range(900)]
    agent = steps_of(book)["block"]["agent"]
    for here, following in zip(names, [*names[1:], steps_of(book)["end"]["id"]], strict=True):
        manual = {"type": "manual", "command": "look"}
        book["workflow"][here] = {
            "type": "action",
            "agent": agent,
            "commands": [manual],
            "on_completion": following,
        }
    book["workflow"][book["workflow_start"]]["on_completion"] = names[0]
    assert cacao.read(book, asker()).intents == ()  # the block is not reached any more
    book["workflow"][names[-1]]["on_completion"] = names[0]
    with pytest.raises(DocumentError, match="never ends"):
        cacao.read(book, asker())
    for i in range(200):
        book["workflow"][f"end--00000000-0000-4000-8000-{i:012d}"] = {"type": "end"}
    with pytest.raises(DocumentError, match="more than"):
        cacao.read(book, asker())


def test_shell_commands_are_named_and_never_run_and_conditions_are_not_dropped() -> None:
    book = cacao.playbook(BLOCK)
    steps = steps_of(book)
    inside, condition = (
        "action--00000000-0000-4000-8000-000000000001",
        "if-condition--00000000-0000-4000-8000-000000000002",
    )
    end = "end--00000000-0000-4000-8000-000000000003"
    book["workflow"][end] = {"type": "end"}
    book["workflow"][inside] = {
        "type": "action", "agent": steps["block"]["agent"], "on_completion": end,
        "commands": steps["block"]["commands"],
    }  # fmt: skip
    book["workflow"][condition] = {
        "type": "if-condition", "condition": "__x__:value = 1", "on_true": inside,
        "on_completion": steps["block"]["id"],
    }  # fmt: skip
    step(book, "approval")["on_success"] = condition
    step(book, "block")["commands"] = [
        {"type": "bash", "command": "rm -rf /"},
        {"type": "ssh", "command": "reboot"},
        {"type": "openc2-http", "command": "POST / HTTP/1.1", "content_b64": "####"},
        {
            "type": "openc2-http",
            "command": "POST / HTTP/1.1",
            "content_b64": base64.b64encode(b"[" * 99).decode(),
        },
        {"type": "openc2-json", "command": '{"action": "deny", "target": {"ipv4_net": "203.0.113.9"}}'},
        {"type": "openc2-json", "command": '{"action": "deny", "target": {"ipv4_net": "__addr__:value"}}'},
    ]
    book["signatures"] = [{}]
    made = cacao.read(book, asker())
    assert [wish.subject.value for wish in made.intents] == ["203.0.113.9"]
    left = " | ".join(made.left_out)
    for said in ("bash", "ssh", "base64", "deeper", "condition", "IPv4", "signatures"):
        assert said in left


def test_the_wait_before_taking_back_is_how_long_it_holds() -> None:
    book = cacao.playbook(intent("block", machine("pc1", "10.0.0.5", "10.0.0.6"), ttl=900))
    plain = step(book, "block")
    for at, command in enumerate(plain["commands"]):
        value = content(plain, at)
        del value["args"]["duration"]
        command["content_b64"] = base64.b64encode(json.dumps(value).encode()).decode()
    made = cacao.read(book, asker())
    assert [wish.ttl for wish in made.intents] == [900 * SECOND] * 2
    assert all(wish.created == NOW for wish in made.intents)
