"""Events that PyMISP loads, and that put no bystander on anybody's block list."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pymisp import MISPEvent
from pymisp.abstract import describe_types
from told_records import DOCUMENTS, INFECTED, INTENTS, SPOOFED, TOOL, VICTIM

from andon.observe.enrichment import enrichment
from andon.share.formats.misp import Writer, event_of, feed
from andon.share.formats.stix import dumps
from andon.share.formats.view import view
from andon.share.policy import AMBER, LEVELS, Caution

WRITER = Writer("Example SOC")


def events() -> list[dict[str, Any]]:
    return [WRITER.event(view(document), AMBER) for document in DOCUMENTS]


def attributes(event: dict[str, Any]) -> list[dict[str, Any]]:
    body = event["Event"]
    return [*body["Attribute"], *(one for made in body["Object"] for one in made["Attribute"])]


def test_pymisp_loads_every_event_and_makes_a_feed_of_it(tmp_path: Path) -> None:
    known = set(describe_types["types"])
    for event in events():
        path = tmp_path / f"{event['Event']['uuid']}.json"
        path.write_text(json.dumps(event))
        loaded = MISPEvent()
        loaded.load_file(path)  # refuses types and categories that do not go together
        assert loaded.to_feed()["Event"]["uuid"] == event["Event"]["uuid"]
        assert {one["type"] for one in attributes(event)} <= known
        assert all(made.has_attributes_by_relation for made in loaded.objects)


def test_objects_are_those_of_the_templates_of_misp() -> None:
    import pymisp

    templates = Path(pymisp.__file__).parent / "data" / "misp-objects" / "objects"
    names = set()
    for event in events():
        for made in event["Event"]["Object"]:
            body = json.loads((templates / made["name"] / "definition.json").read_text())
            assert made["template_uuid"] == body["uuid"] and made["meta-category"] == body["meta-category"]
            relations = {one["object_relation"]: one["type"] for one in made["Attribute"]}
            assert set(relations) & set(body.get("requiredOneOf", relations))
            for relation, kind in relations.items():
                assert body["attributes"][relation]["misp-attribute"] == kind
            names.add(made["name"])
    assert names >= {"annotation", "network-connection", "ip-port", "domain-ip", "course-of-action"}


def test_to_ids_is_said_of_what_is_hostile_and_on_no_warning_list() -> None:
    said = {one["value"]: one["to_ids"] for one in attributes(WRITER.event(view(TOOL.to_dict())))}
    assert said["198.50.100.7"] is True and said["8.8.8.8"] is False
    infected = {
        one["value"]: one["to_ids"] for one in WRITER.event(view(INFECTED.to_dict()))["Event"]["Attribute"]
    }
    assert infected == {
        "m.mustermann": False,
        "10.50.0.30": False,
        "c2.evil.example.net": True,
        "198.50.101.44": True,
    }
    careful = Writer("x", Caution(["198.50.0.0/16"])).event(view(TOOL.to_dict()))
    assert not any(one["to_ids"] for one in attributes(careful))
    for finding in (VICTIM, SPOOFED):
        assert not any(one["to_ids"] for one in attributes(WRITER.event(view(finding.to_dict()))))


def test_a_revision_is_the_same_event_later() -> None:
    first, later = (event_of({**TOOL.to_dict(), "revision": n})["Event"] for n in (1, 2))
    assert first["uuid"] == later["uuid"] and int(first["timestamp"]) < int(later["timestamp"])
    assert {one["uuid"] for one in first["Attribute"]} == {one["uuid"] for one in later["Attribute"]}


def test_tags_say_tlp_and_technique_as_the_galaxy_writes_it() -> None:
    tags = [one["name"] for one in event_of(TOOL.to_dict(), "green")["Event"]["Tag"]]
    assert "tlp:green" in tags and 'misp-galaxy:mitre-attack-pattern="Scanning IP Blocks - T1595.001"' in tags
    assert event_of(TOOL.to_dict(), "amber+strict")["Event"]["distribution"] == "0"


def test_a_feed_names_every_event_and_every_hash() -> None:
    made = events()
    files = feed(made)
    manifest = json.loads(files["manifest.json"])
    assert (
        set(manifest)
        == {event["Event"]["uuid"] for event in made}
        == {name[:-5] for name in files if len(name) == 41}
    )
    lines = set(files["hashes.csv"].splitlines())
    event = made[0]
    digest = hashlib.md5(b"198.50.100.7", usedforsecurity=False).hexdigest()
    assert f"{digest},{event['Event']['uuid']}" in lines


def test_our_own_reader_of_misp_takes_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event_of(INTENTS[0])))
    table, _ = enrichment(path)
    assert "198.50.101.44" in str(table.to_pylist())


def test_the_text_of_an_event_is_its_dictionary() -> None:
    odd = 'a"b\\c\n\x00\u202e\ud800</script>%s{}'
    strange = [
        {**document, name: odd}
        for document in DOCUMENTS
        for name in ("title", "statement", "kind", "first_seen", "last_seen", "state", "attack", "verdicts")
    ]
    named = [
        {**TOOL.to_dict(), "entities": [{"type": kind, "value": odd}, {"type": kind, "value": "203.0.114.9"}]}
        for kind in ("ipv4-addr", "url", "user-account", "device", "x-host", "vulnerability", odd)
    ]
    labelled = [
        {**one, "verdicts": [{"label": odd}, {"label": "x" * 500}], "attacker": [odd]} for one in DOCUMENTS
    ]
    made = [view(one) for one in (*DOCUMENTS, *strange, *named, *labelled)]
    for level in LEVELS:
        for told in made:
            assert WRITER.text(told, level) == dumps(WRITER.event(told, level))
            assert json.loads(WRITER.text(told, level)) == WRITER.event(told, level)


def test_what_has_no_id_is_refused() -> None:
    with pytest.raises(ValueError, match="no id"):
        event_of({})
