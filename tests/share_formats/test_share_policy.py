"""What leaves by a sink: nothing above its TLP, nothing that shows the telescope, no name of ours."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from told_records import (
    BLOCK,
    CASE_DOCUMENT,
    DARK,
    DARK_VICTIM,
    DOCUMENTS,
    INFECTED,
    INTENTS,
    TELESCOPE,
    TOOL,
    finding,
)

from andon.records.finding import KINDS, Entity
from andon.records.mask import MASKED, Mask
from andon.share.formats.export import FORMATS, LINES, Told
from andon.share.policy import (
    AMBER,
    GREEN,
    LEVELS,
    MARKINGS,
    RED,
    STRICT,
    WITHHELD,
    Caution,
    Gate,
    Ground,
    Policy,
    Withheld,
)

KEY = bytes(range(64))
GROUND = Ground((IPv4Network(TELESCOPE),), (), KEY)
PARTNERS = Policy("partners", RED, "hide", "pseudonym")
SECRETS = ("203.0.11", "cb007", "cb00", str(0xCB007109), "203[.]0[.]113")


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_that_a_format_makes_shows_the_telescope(format: str) -> None:
    made = Told(format, Gate(PARTNERS, GROUND)).all([DARK_VICTIM.to_dict(), TOOL.to_dict()])
    text = (made.text + "".join(made.files.values())).lower()
    assert text
    for secret in SECRETS:
        assert secret not in text, (format, secret)


@given(
    st.integers(0, 1023), st.sampled_from(["{}", "0x{:08x}", "tcp.seq == 0x{:x} ^ key32", "{} {}"]),
    st.sampled_from(["title", "statement", "calibration"]),
)  # fmt: skip
def test_no_dark_address_gets_through_wherever_it_stands(offset: int, form: str, name: str) -> None:
    number = int(IPv4Network(TELESCOPE).network_address) + offset
    dotted = ".".join(str(byte) for byte in number.to_bytes(4, "big"))
    text = f"{dotted}, {dotted.replace('.', '[.]')}, {form.format(number, number)}"
    body = {**TOOL.to_dict(), name: text, "attributes": {"a": [number, {"b": dotted}], dotted: text}}
    said = json.dumps(Gate(PARTNERS, GROUND).admit(body)[0]).lower()
    assert dotted not in said and dotted.replace(".", "[.]") not in said
    assert str(number) not in said and f"{number:08x}" not in said


def test_a_document_is_masked_as_its_finding_is() -> None:
    mask = Mask([IPv4Network(TELESCOPE)])
    for one in (DARK_VICTIM, TOOL, INFECTED):
        as_document, as_finding = mask.document(one.to_dict()), mask.finding(one).to_dict()
        assert as_document == as_finding


def test_hidden_subjects_keep_apart_under_a_key_and_their_hash_cannot_be_tried() -> None:
    other = replace(DARK_VICTIM, subject=("ipv4-addr", "203.0.113.10"))
    gate = Gate(PARTNERS, GROUND)
    first, second = (gate.admit(one.to_dict())[0] for one in (DARK_VICTIM, other))
    assert first["subject"] == second["subject"] and first["id"] != second["id"]
    assert first["id"] not in (DARK_VICTIM.id, second["series"])
    assert gate.admit(TOOL.to_dict())[0]["id"] not in (TOOL.id, first["id"])
    other_sink = Gate(replace(PARTNERS, sink="others"), GROUND)
    assert other_sink.admit(DARK_VICTIM.to_dict())[0]["id"] != first["id"]
    assert Gate(PARTNERS, replace(GROUND, key=bytes(64))).admit(DARK_VICTIM.to_dict())[0]["id"] != first["id"]


def test_without_the_prefixes_what_comes_from_the_darknet_does_not_leave() -> None:
    gate = Gate(PARTNERS, replace(GROUND, telescope=None))
    for document in (DARK_VICTIM.to_dict(), CASE_DOCUMENT, INTENTS[0], {"schema": "andon.alert/1"}):
        with pytest.raises(Withheld, match="prefixes are not known"):
            gate.admit(document)
    assert gate.admit(INFECTED.to_dict())[1] == STRICT
    assert (
        Gate(PARTNERS, replace(GROUND, telescope=())).admit(TOOL.to_dict())[1] == GREEN
    )  # there is no telescope


def test_tlp_holds_back_what_is_above_and_lets_through_what_is_not() -> None:
    for level in LEVELS:
        gate = Gate(Policy("x", level), GROUND)
        for document in DOCUMENTS:
            marked = gate.level(document)
            if LEVELS.index(marked) > LEVELS.index(level):
                with pytest.raises(Withheld, match=f"TLP:{marked.upper()}".replace("+", r"\+")):
                    gate.admit(document)
            else:
                assert gate.admit(document)[1] == marked


def test_every_kind_has_a_marking_and_a_stranger_is_red() -> None:
    operation = {"input-damage", "load-shed", "capture-gap", "memory-lost"}
    assert set(KINDS) - set(MARKINGS) == operation  # of the product itself: red, they stay in the house
    assert Gate(Policy("x"), GROUND).level({"kind": "something new"}) == RED
    assert Gate(Policy("x"), GROUND).level({}) == RED
    assert (
        Gate(Policy("x"), replace(GROUND, markings={"census": "clear"})).level({"kind": "census"}) == "clear"
    )
    assert Gate(Policy("x"), GROUND).level({**TOOL.to_dict(), "attributes": {"tlp": "TLP:RED"}}) == RED


@pytest.mark.parametrize("format", LINES)
def test_names_and_machines_of_ours_become_pseudonyms_in_every_format(format: str) -> None:
    made = Told(format, Gate(PARTNERS, GROUND)).all([INFECTED.to_dict(), CASE_DOCUMENT, *INTENTS])
    assert made.objects == 4
    for secret in (
        "m.mustermann",
        "10.50.0.30",
        "10[.]50",
        "web1.example.org",
        "alice",
        "00:11:22",
        "2001:db8:1::30",
    ):
        assert secret not in made.text, (format, secret)
    assert "c2.evil.example.net" in made.text and "198.50.101.44" in made.text


@pytest.mark.parametrize("format", ["stix", "misp", "zeek", "suricata", "bpf"])
def test_nor_do_documents_and_rules_hold_them(format: str) -> None:
    made = Told(format, Gate(PARTNERS, GROUND)).all([INFECTED.to_dict(), CASE_DOCUMENT, *INTENTS])
    text = made.text + "".join(made.files.values())
    for secret in ("m.mustermann", "10.50.0.30", "web1.example.org", "alice", "00:11:22", "2001:db8:1::30"):
        assert secret not in text, (format, secret)
    assert "198.50.101.44" in text


def test_a_name_has_one_pseudonym_at_a_sink_another_at_the_next_and_a_way_back() -> None:
    one, two = (Gate(replace(PARTNERS, sink=name), GROUND) for name in ("a", "b"))
    first, again = (one.admit(INFECTED.to_dict())[0]["subject"]["value"] for _ in range(2))
    other = two.admit(INFECTED.to_dict())[0]["subject"]["value"]
    assert first == again != other and one.reveal(first) == ("user", "m.mustermann")
    with pytest.raises(ValueError):
        two.reveal(first)


def test_without_a_key_names_are_left_out() -> None:
    made = Gate(PARTNERS, replace(GROUND, key=b"")).admit(INFECTED.to_dict())[0]
    assert made["subject"]["value"] == WITHHELD and "mustermann" not in json.dumps(made)


@pytest.mark.parametrize("key", [KEY, b""])
def test_no_id_is_a_hash_that_names_can_be_tried_on(key: bytes) -> None:
    gate = Gate(PARTNERS, replace(GROUND, key=key))
    finding, case = gate.admit(INFECTED.to_dict())[0], gate.admit(CASE_DOCUMENT)[0]
    said = json.dumps([finding, case, gate.admit(INTENTS[0])[0]])
    for id in (INFECTED.id, INFECTED.series, CASE_DOCUMENT["id"]):
        assert id not in said.replace(f"case {CASE_DOCUMENT['id'][:4]}", "")
    assert finding["id"] and case["id"] and gate.admit(INTENTS[0])[0]["id"] == INTENTS[0]["id"]
    assert gate.admit(INFECTED.to_dict())[0]["id"] == finding["id"]
    if key:  # and what belongs together still does
        assert case["items"][0]["id"] == case["findings"][0]["id"] == finding["id"]
        assert gate.admit(INTENTS[0])[0]["case"] == case["id"]
    other = replace(INFECTED, subject=("user-account", "b.beispiel"), first_seen=INFECTED.first_seen + 1)
    assert gate.admit(other.to_dict())[0]["id"] != finding["id"]


def test_a_short_name_is_not_taken_out_of_the_middle_of_words() -> None:
    told = finding(
        "user-at-risk",
        ("user-account", "an"),
        engine="livenet.userrisk",
        statement="an is at risk: scan, can",
        entities=(Entity("user-account", "an"),),
    )
    said = Gate(replace(PARTNERS, people="omit"), GROUND).admit(told.to_dict())[0]["statement"]
    assert said == f"{WITHHELD} is at risk: scan, can"


def test_the_plain_policy_changes_nothing() -> None:
    for document in DOCUMENTS:
        assert Gate(Policy("x"), GROUND).admit(document)[0] is document


@pytest.mark.parametrize("bad", [{"tlp": "white"}, {"telescope": "yes"}, {"people": "no"}])
def test_settings_that_mean_nothing_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Policy("x", **bad)
    with pytest.raises(ValueError, match="marking of census"):
        Ground(markings={"census": "blue"})


def test_caution_knows_ours_resolvers_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(
        json.dumps(
            {"name": "Example list", "type": "cidr", "version": 1, "list": ["198.50.0.0/16", "2600::/16"]}
        )
    )
    names = tmp_path / "names.json"
    names.write_text(
        json.dumps({"name": "Names", "type": "hostname", "version": 1, "list": ["trusted.example.org"]})
    )
    caution = Caution(["45.0.0.0/24"], [path, names])
    held = {
        ("ipv4-addr", "198.50.7.7"): "on the list Example list",
        ("ipv4-addr", "198.50.7.0/24"): "on the list Example list",
        ("ipv4-addr", "198.0.0.0/8"): "on the list Example list",  # a prefix that holds one of the list
        ("ipv6-addr", "2600::1"): "on the list Example list",
        ("ipv4-addr", "45.0.0.9"): "a prefix of ours",
        ("ipv4-addr", "10.1.2.3"): "no address of the Internet",
        ("ipv4-addr", "224.0.0.1"): "no address of the Internet",
        ("ipv4-addr", "9.9.9.9"): "a public resolver",
        ("ipv4-addr", "x"): "no address",
        ("domain-name", "www.trusted.example.org"): "on the list Names",
        ("domain-name", "localhost"): "no name of the Internet",
        ("url", "https://trusted.example.org/a"): "on the list Names",
        ("url", "http://8.8.8.8:53/x"): "a public resolver",
        ("user-account", "x"): "nothing that a network shows",
        ("ipv4-addr", "51.0.0.1"): "",
        ("domain-name", "untrusted.example.org"): "",
        ("url", "evil.example.org/x"): "",
    }
    for (kind, value), why in held.items():
        assert caution.holds(kind, value) == why, (kind, value)


def test_own_servers_of_an_intent_are_never_hostile_even_with_public_addresses() -> None:
    host = replace(BLOCK.subject, addresses=("52.0.0.7",))
    body = {**replace(BLOCK, subject=host, target=None, action="quarantine").to_dict(), "state": "applied"}
    for format in ("stix", "suricata", "misp"):
        made = Told(format, Gate(Policy("x"), Ground())).all([body])
        text = made.text + "".join(made.files.values())
        assert "value = '52.0.0.7'" not in text and '"to_ids": true' not in text
        assert "andon.rules" not in made.files


def test_masked_text_is_said_to_be_masked() -> None:
    assert Gate(PARTNERS, GROUND).admit(DARK_VICTIM.to_dict())[0]["title"] == f"Flood aimed at {MASKED}"
    assert DARK in DARK_VICTIM.title and AMBER in LEVELS
