"""ATT&CK bundles, MISP galaxies and labelled profiles: what is read, what is refused, what becomes of it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from attacker_made import bundle, profiles, written

from andon.learn.attacker import train
from andon.learn.attacker.labels import chosen, votes
from andon.learn.attacker.sources import corpus
from andon.observe.knowledge import KnowledgeError, Named, objects, read_attack, read_galaxy
from andon.observe.knowledge.attack import artefacts
from andon.triage.attacker import Knowledge

GALAXY: dict[str, Any] = {
    "type": "threat-actor",
    "version": 3,
    "values": [
        {
            "value": "Group 1",
            "meta": {
                "synonyms": ["Odd Name"],
                "cfr-type-of-incident": "Espionage",
                "cfr-suspected-state-sponsor": "Nowhere",
                "country": "XX",
            },
        },
        {"value": "DEADEYE JACKAL", "description": "A hacktivist group known for defacing pages."},
        {
            "value": "Cash Crew",
            "description": "Financially motivated, extort victims.",
            "meta": {"motive": "Cybercrime"},
        },
        {"value": 7},
        "text",
        {"meta": {}},
        {"value": "Mixed", "description": "Financially motivated espionage"},
    ],
}


def put(folder: Path, name: str, value: object) -> Path:
    path = folder / name
    text = json.dumps(value).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


def test_a_bundle_gives_the_knowledge_that_its_profiles_give(tmp_path: Path) -> None:
    """Classes come from the names of the groups and by them to their families."""
    items = profiles()
    given, notes = corpus(attack=[put(tmp_path, "enterprise-attack.json.gz", bundle(items))])
    expected = {item["id"]: item for item in items}
    assert len(given.profiles) == len(items) and "left out" in notes[0]
    for profile in given.profiles:
        item = expected[profile.number]
        assert (profile.cls, list(profile.techniques)) == (item["cls"], item["techniques"])
        assert set(profile.software) == set(item.get("software", []))
        assert set(profile.users) == set(item.get("users", []))
    straight = train(corpus(profiles=[written(tmp_path, items)])[0])
    model = train(given)
    assert (model.arrays["weight"] == straight.arrays["weight"]).all()
    assert model.card["notice"].count("MITRE") >= 3
    assert Knowledge.of(model).techniques["T1486"] == ("Name of T1486", ("impact",))  # type: ignore[union-attr]
    assert "file-name:droppers0060.exe" in model.arrays["artefact"].tolist()


def test_revoked_objects_and_dangling_relations_are_left_out(tmp_path: Path) -> None:
    made = bundle(profiles(6, 6))
    whole = read_attack(put(tmp_path, "a.json", made))
    made["objects"][1]["revoked"] = True
    made["objects"] += [
        None,
        5,
        {"id": 3},
        {
            "type": "relationship",
            "id": "r",
            "relationship_type": "uses",
            "source_ref": "nobody",
            "target_ref": [],
        },
    ]
    found = read_attack(put(tmp_path, "b.json", made))
    assert len(found.techniques) == len(whole.techniques) - 1 and found.left_out == 4
    assert found.version == "18.0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"[" * 200_000, "nested|not JSON"),
        (b"{}", "not a STIX bundle"),
        (b"[]", "not a STIX bundle"),
        (b'{"type":"bundle","objects":[]}', "without techniques"),
        (b"\x1f\x8b\x08\x00broken", "damaged gzip"),
        (b'{"type":"bundle","objects":{"a":1}}', "not a STIX bundle"),
    ],
)
def test_files_that_are_no_bundle_are_refused_with_a_reason(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(KnowledgeError, match=said):
        read_attack(tmp_path / "x.json")
    if b"type" not in text:
        with pytest.raises(KnowledgeError):
            read_galaxy(tmp_path / "x.json")


def test_a_gzip_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from andon.observe.knowledge import documents

    monkeypatch.setattr(documents, "LARGEST", 1000)
    (tmp_path / "x.gz").write_bytes(gzip.compress(b" " * 5000))
    with pytest.raises(KnowledgeError, match="unpacked"):
        documents.text_of(tmp_path / "x.gz")


def test_galaxies_give_names_a_class(tmp_path: Path) -> None:
    actors = put(tmp_path, "threat-actor.json", GALAXY)
    ransom = put(tmp_path, "ransomware.json", {"type": "ransomware", "values": [{"value": "LockEverything"}]})
    made, notes = corpus(galaxies=[actors, ransom], profiles=[written(tmp_path, profiles())])
    assert read_galaxy(actors).left_out == 3 and "3 entries" in notes[0]
    told = dict(made.actors)
    assert (told["Group 1"], told["Odd Name"]) == ("targeted", "targeted")
    assert (told["DEADEYE JACKAL"], told["Cash Crew"]) == ("hacktivist", "financial")
    assert "Mixed" not in told
    knowledge = Knowledge.of(train(made))
    assert knowledge is not None and knowledge.families["lockeverything"].cls == "financial"
    assert knowledge.actors["deadeyejackal"][1] == ("hacktivist",)


def test_naming_schemes_tell_the_class() -> None:
    expected = {
        "WIZARD SPIDER": "financial",
        "Octo Tempest": "financial",
        "GOLD SOUTHFIELD": "financial",
        "FIN7": "financial",
        "APT29": "targeted",
        "MUSTANG PANDA": "targeted",
        "Volt Typhoon": "targeted",
        "BRONZE BUTLER": "targeted",
        "CURIOUS JACKAL": "hacktivist",
        "Storm-0978": "",
        "Gamma": "",
    }
    assert {name: chosen(votes([name])) for name in expected} == expected
    told = Named("X", (), "", "", ("Espionage",), "China", ())
    assert chosen(votes(["FIN7"], "", told)) == ""  # names and CFR disagree: nobody knows
    assert chosen(votes([], "financially motivated group that deploys ransomware")) == "financial"


def test_artefacts_are_told_apart_by_their_shape() -> None:
    found = {
        value: kind
        for kind, value in artefacts(
            "<code>HKLM\\Software\\X</code> `evil.dll` `C:\\a\\b.exe` `net view` and ` `"
        )
    }
    assert found == {
        "HKLM\\Software\\X": "registry",
        "evil.dll": "file-name",
        "C:\\a\\b.exe": "path",
        "net view": "command",
    }


def test_too_little_to_learn_from_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too few profiles"):
        train(corpus(profiles=[written(tmp_path, profiles(12, 12))])[0])
    with pytest.raises(KnowledgeError, match="no object"):
        corpus(profiles=[written(tmp_path, [{"a": 1}])])


def test_objects_come_from_arrays_single_objects_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text, count, bad in (('[{"a":1}, 3]', 2, 1), ('{"a":1}', 1, 0), ('{"a":1}\n\nnot\n{"b":2}\n', 3, 1)):
        path.write_text(text, encoding="utf-8")
        found = list(objects(path))
        assert (len(found), sum(item is None for _, item in found)) == (count, bad)
    for text in ("5", "no\nno\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(KnowledgeError):
            list(objects(path))


def test_the_same_files_give_the_same_model(tmp_path: Path) -> None:
    path = written(tmp_path, profiles())
    assert train(corpus(profiles=[path])[0]).digest == train(corpus(profiles=[path])[0]).digest
