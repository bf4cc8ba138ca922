"""STIX 2.1 courses of action: checked with the validator of OASIS, told without our hosts, read with care."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import stix2
from hypothesis import given, settings
from language_world import SECOND, address, asker, intent, intents, machine
from stix2validator import ValidationOptions, validate_instance

from andon.contain.languages.document import DocumentError
from andon.contain.languages.stix import EXTENSION, bundle, objects, read
from andon.records.intent import Intent, Party
from andon.share.stix import NAMESPACE

EVERY = [
    intent("block", address("198.51.100.7"), number=1),
    intent("block", Party("prefix", "2001:db8:5::/48"), number=2),
    intent("sinkhole", Party("domain", "evil.example.com"), number=3),
    intent("block", Party("url", "http://evil.example.com/it's"), number=4),
    intent("quarantine", machine("pc1", "10.0.0.5", "2001:db8::5"), number=5),
    intent("block-pair", machine("pc1", "10.0.0.5"), address("203.0.113.9"), number=6),
    intent("allow", address("203.0.113.1"), number=7),
    intent("mirror", machine("pc2", "10.0.0.6"), number=8),
]


@pytest.mark.parametrize("own", [False, True])
def test_the_validator_takes_what_goes_out(own: bool) -> None:
    made = bundle(EVERY, own)
    stix2.parse(json.dumps(made), allow_custom=False)
    found = validate_instance(made, ValidationOptions(version="2.1"))
    assert found.is_valid, [str(error) for error in found.errors]


def of(kind: str, one: Intent, own: bool = False) -> list[dict[str, Any]]:
    return [made for made in objects(one, own) if made["type"] == kind]


def test_a_course_of_action_mitigates_what_is_cut() -> None:
    (action,), (indicator,), (relation,) = (
        of(kind, EVERY[0]) for kind in ("course-of-action", "indicator", "relationship")
    )
    assert action["id"] == f"course-of-action--{uuid.uuid5(NAMESPACE, 'course-of-action 0000000000000001')}"
    assert indicator["pattern"] == "[ipv4-addr:value = '198.51.100.7']"
    assert (relation["source_ref"], relation["relationship_type"], relation["target_ref"]) == (
        action["id"], "mitigates", indicator["id"],
    )  # fmt: skip
    assert of("indicator", EVERY[1])[0]["pattern"] == "[ipv6-addr:value ISSUBSET '2001:db8:5::/48']"
    assert of("indicator", EVERY[4], own=True)[0]["indicator_types"] == ["compromised"]
    assert of("relationship", EVERY[6]) == []
    assert bundle(EVERY) == bundle(EVERY)


def test_systems_of_ours_are_not_told_unless_wanted() -> None:
    text = json.dumps(bundle(EVERY))
    for ours in ("pc1", "pc2", "10.0.0.5", "10.0.0.6", "2001:db8::5", "alice", "C2 of the case"):
        assert ours not in text
    assert "203.0.113.9" in text and "10.0.0.5" in json.dumps(bundle(EVERY, own=True))


@settings(max_examples=100)
@given(intents())
def test_what_goes_out_comes_back_as_a_proposal(one: Intent) -> None:
    made = read(json.loads(json.dumps(bundle([one], own=True))), asker())
    (wish,) = made.intents
    assert made.left_out == ()
    assert (wish.action, wish.subject.kind, wish.subject.value, wish.ttl) == (
        one.action, one.subject.kind, one.subject.value, one.ttl,
    )  # fmt: skip
    assert (wish.target and wish.target.value) == (one.target and one.target.value)
    assert wish.approvals == 1 and wish.requested_by == "stix:partner" and wish.id != one.id
    withheld = read(bundle([one]), asker())
    assert withheld.intents or "withheld" in withheld.left_out[0]


def foreign(name: str, pattern: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "course-of-action", "id": "course-of-action--1", "name": name},
        {"type": "indicator", "id": "indicator--1", "pattern": pattern, "pattern_type": "stix", **more},
        {"type": "relationship", "id": "relationship--1", "relationship_type": "mitigates",
         "source_ref": "course-of-action--1", "target_ref": "indicator--1"},
    ]  # fmt: skip


def test_others_courses_of_action_are_read_where_they_say_block() -> None:
    pattern = "[ipv4-addr:value = '203.0.113.9' OR domain-name:value = 'evil.example.com'] OR [url:value='http://a.example.com/']"
    made = read({"type": "bundle", "objects": foreign("Block the C2 servers", pattern)}, asker())
    assert [(wish.action, wish.subject.value) for wish in made.intents] == [
        ("block", "203.0.113.9"), ("block", "evil.example.com"), ("block", "http://a.example.com/"),
    ]  # fmt: skip
    assert all(wish.approvals >= 1 and wish.ttl == 86_400 * SECOND for wish in made.intents)
    made = read(
        foreign(
            "Deny traffic", "[ipv6-addr:value ISSUBSET '2001:db8:5::/48']", valid_until="2026-01-01T01:00:00Z"
        ),
        asker(),
    )
    assert [(wish.subject.kind, wish.ttl) for wish in made.intents] == [("prefix", 3600 * SECOND)]


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (foreign("Train the users", "[ipv4-addr:value = '203.0.113.9']"), "nothing that a machine"),
        (foreign("Block it", "[ipv4-addr:value = '203.0.113.9' AND domain-name:value = 'a.example.com']"),
         "nothing that names"),
        (foreign("Block it", "[ipv4-addr:value = '1.2.3.4'] FOLLOWEDBY [ipv4-addr:value = '1.2.3.5']"),
         "nothing that names"),
        (foreign("Block it", "[ipv4-addr:value != '203.0.113.9']"), "nothing that names"),
        (foreign("Block it", "[NOT ipv4-addr:value = '203.0.113.9']"), "nothing that names"),
        (foreign("Block it", "[ipv4-addr:value = '2001:db8::1']"), "nothing that names"),
        (foreign("Block it", "[ipv4-addr:value = '203.0.113.9/8']"), "nothing that names"),
        (foreign("Block it", "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']"), "nothing that names"),
        (foreign("Block it", "[ipv4-addr:value = '203.0.113.9']", pattern_type="x-bpf"), "nothing that names"),
        (foreign("Block it", "[ipv4-addr:value = '203.0.113.9']", revoked=True), "nothing that names"),
        (foreign("Block it", "[ipv4-addr:value = '203.0.113.9']", valid_until="2025-01-01T00:00:00Z"),
         "nothing that names"),
        (foreign("Block it", "[ipv4-addr:value = '203.0.113.9']", valid_until="soon"), "nothing that names"),
        ([{**foreign("Block it", "x")[0], "revoked": True}], "revoked"),
        ([{**foreign("x", "x")[0], "extensions": {EXTENSION: {"action": "burn"}}}], "action"),
        ([{**foreign("x", "x")[0], "extensions": {EXTENSION: {"action": "block", "seconds": "1e9"}}}], "seconds"),
        ([{**foreign("x", "x")[0], "extensions": {EXTENSION: {"action": "block", "seconds": 1e300}}}], "seconds"),
        ([{**foreign("x", "x")[0], "extensions": {EXTENSION: {"action": "block", "seconds": 60}}}], "withheld"),
        ([{**foreign("x", "x")[0], "extensions": {EXTENSION: {
            "action": "block", "seconds": 60, "subject": {"kind": "address", "value": "10.0.0.0/8"}}}}], "no address"),
        ([{**foreign("x", "x")[0], "extensions": {EXTENSION: {
            "action": "block-pair", "seconds": 60, "subject": {"kind": "address", "value": "10.0.0.1"}}}}],
            "two parties"),
        ([{**foreign("x", "x")[0], "extensions": {EXTENSION: {"action": "block", "seconds": 60,
            "until": "2025-12-31T00:00:00Z", "subject": {"kind": "address", "value": "10.0.0.1"}}}}], "ended"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_over_is_named(objects: list[dict[str, Any]], said: str) -> None:
    made = read(objects, asker())
    assert made.intents == () and said in " | ".join(made.left_out)


@pytest.mark.parametrize("given", [3, "x", {}, [3], [{}], {"type": "bundle", "objects": {}}])
def test_what_is_no_stix_is_refused(given: Any) -> None:
    with pytest.raises(DocumentError):
        read(given, asker())


def test_one_object_is_enough() -> None:
    (action,) = of("course-of-action", EVERY[0])
    assert [wish.subject.value for wish in read(action, asker()).intents] == ["198.51.100.7"]


def test_a_pattern_that_goes_on_and_on_is_read_in_linear_time() -> None:
    values = " OR ".join(f"ipv4-addr:value = '203.0.113.{i % 256}'" for i in range(480))
    assert len(read(foreign("Block it", f"[{values}]"), asker()).intents) == 480
    long = "[ipv4-addr:value = '" + "\\\\" * 9000 + "x"
    assert read(foreign("Block it", long), asker()).intents == ()
    assert EXTENSION.startswith("extension-definition--")
