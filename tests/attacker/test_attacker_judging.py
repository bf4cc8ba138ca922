"""The judgement of an attacker: layers, ledger, sets, and what must not move it."""

from __future__ import annotations

import math
import random

import pytest
from attacker_made import FIN, TAR, profiles, written

from andon.learn.attacker import train
from andon.learn.attacker.sources import corpus
from andon.records.case import CLASSES, Observation
from andon.records.finding import Finding
from andon.records.model import Model
from andon.triage.attacker import Knowledge, judge, observations, of_object


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return train(corpus(profiles=[written(tmp_path_factory.mktemp("made"), profiles())])[0])


@pytest.fixture(scope="module")
def knowledge(model: Model) -> Knowledge:
    found = Knowledge.of(model)
    assert found is not None
    return found


def seen(*numbers: str) -> list[Observation]:
    return [Observation("technique", number) for number in numbers]


def test_many_techniques_of_one_class_name_it(knowledge: Knowledge) -> None:
    common = [f"T1{n:03d}" for n in range(100, 107)]
    assert judge(seen(*FIN, *common), knowledge).classes == ("financial",)
    assert judge(seen(*TAR, *common), knowledge).classes == ("targeted",)


def test_nothing_seen_is_not_enough_evidence_with_or_without_a_knowledge_base(knowledge: Knowledge) -> None:
    for known in (knowledge, None):
        found = judge([], known)
        assert found.classes == CLASSES and found.statement.startswith("Not enough evidence")
    assert "andon learn knowledge" in judge([], None).statement


def test_probabilities_are_the_softmax_of_the_ledger(knowledge: Knowledge) -> None:
    found = judge([*seen(*FIN, "T1491.002"), Observation("software", "Family61")], knowledge)
    totals = {name: sum(line.weights[name] for line in found.ledger) for name in CLASSES}
    whole = sum(math.exp(value) for value in totals.values())
    for name in CLASSES:
        assert found.probabilities[name] == pytest.approx(math.exp(totals[name]) / whole)
    assert sum(found.probabilities.values()) == pytest.approx(1.0)


def test_the_order_of_what_was_seen_does_not_matter(knowledge: Knowledge) -> None:
    items = [
        *seen(*FIN, *TAR[:2]),
        Observation("command", "vssadmin delete shadows"),
        Observation("software", "Family63"),
    ]
    first = judge(items, knowledge).to_dict()
    for seed in range(5):
        random.Random(seed).shuffle(items)
        assert judge(items, knowledge).to_dict() == first


def test_an_unsure_detection_weighs_less(knowledge: Knowledge) -> None:
    def share(confidence: float) -> float:
        items = [*seen(*FIN[:3], *(f"T1{n:03d}" for n in range(100, 107)))]
        items += [Observation("technique", number, confidence) for number in TAR]
        return judge(items, knowledge).probabilities["targeted"]

    assert share(0.1) < share(0.5) < share(1.0)


def test_tools_that_everybody_uses_are_evidence_for_nobody(knowledge: Knowledge) -> None:
    shared = [
        Observation("software", name) for name in ("Cobalt Strike", "Mimikatz", "PsExec", "mimikatz.exe")
    ]
    bare, with_tools = judge(seen(*FIN), knowledge), judge([*seen(*FIN), *shared], knowledge)
    assert with_tools.probabilities == bare.probabilities and with_tools.groups == bare.groups


def test_a_family_counts_by_name_by_number_and_less_by_an_artefact(knowledge: Knowledge) -> None:
    bare = judge([], knowledge).probabilities["financial"]
    by_name = judge([Observation("software", "family 60")], knowledge).probabilities["financial"]
    by_number = judge([Observation("software", "S0060")], knowledge).probabilities["financial"]
    by_mutex = judge([Observation("mutex", "Global\\m-60")], knowledge).probabilities["financial"]
    by_path = judge([Observation("path", "C:\\Users\\x\\DROPPER60.exe")], knowledge).probabilities[
        "financial"
    ]
    assert by_name == by_number > by_mutex == by_path > bare
    assert judge([Observation("file-name", "cmd.exe")], knowledge).probabilities["financial"] == bare


def test_a_family_alone_never_decides(knowledge: Knowledge) -> None:
    found = judge([Observation("software", f"Family{at}") for at in range(60, 90, 3)], knowledge)
    assert found.classes == CLASSES and found.probabilities["financial"] > 0.5


def test_hacktivists_need_two_different_signs(knowledge: Knowledge) -> None:
    assert judge(seen("T1491.002"), knowledge).classes == CLASSES
    assert judge(seen("T1491.002", "T1491.001"), knowledge).classes == CLASSES  # one sign twice
    assert judge(seen("T1491.002", "T1498.001"), knowledge).classes == ("hacktivist",)
    claim = [Observation("text", "HACKED BY nobody - we are legion"), Observation("software", "LOIC")]
    assert judge(claim, None).classes == ("hacktivist",)


def test_a_defaced_page_does_not_hide_a_ransom_gang(knowledge: Knowledge) -> None:
    items = seen(*FIN, *(f"T1{n:03d}" for n in range(100, 107)), "T1491.002", "T1498")
    assert "financial" in judge(items, knowledge).classes


def test_an_attacker_cannot_buy_a_class_with_names(knowledge: Knowledge) -> None:
    """A thousand planted names of actors weigh as two."""
    items = [Observation("actor", f"Group {at}") for at in range(0, 60, 3)]
    assert judge(items[:2], knowledge).probabilities == judge(items, knowledge).probabilities
    assert judge(items, knowledge).classes == CLASSES


def test_groups_are_named_only_with_what_is_alike(knowledge: Knowledge) -> None:
    group = knowledge.groups[0]
    found = judge(seen(*(name for name in group.features if name.startswith("T"))), knowledge)
    assert found.groups[0][0] == group.name and found.groups[0][1] > 0.7
    assert all("T1" in why or "Family" in why for _, _, why in found.groups) and len(found.groups) <= 5
    assert judge(seen("T1486", "T1490"), knowledge).groups == ()  # two techniques are like nobody


def test_base_rates_move_the_start_and_are_off_by_default(knowledge: Knowledge) -> None:
    plain = judge(seen(*FIN), knowledge)
    moved = judge(seen(*FIN), knowledge, prior={"hacktivist": 0.1, "financial": 0.1, "targeted": 0.8})
    assert (
        moved.probabilities["targeted"] > plain.probabilities["targeted"] and moved.classes == plain.classes
    )
    with pytest.raises(ValueError, match="base rates"):
        judge([], knowledge, prior={"financial": 1.0})


def test_neighbours_weigh_and_are_capped(knowledge: Knowledge) -> None:
    def share(count: int) -> float:
        near = [Observation("neighbour", "targeted", 1.0, f"case-{at}") for at in range(count)]
        return judge(near, knowledge).probabilities["targeted"]

    assert share(0) < share(1) < share(2) == pytest.approx(share(9))


def test_titles_name_families_only_where_they_speak_of_malware(knowledge: Knowledge) -> None:
    def lines(title: str) -> int:
        return sum(
            "Family60" in line.statement for line in judge([Observation("title", title)], knowledge).ledger
        )

    assert lines("ET MALWARE Family60 CnC Checkin") == 1
    assert lines("Package Family60 installed") == 0


def test_observations_come_from_episodes_and_findings() -> None:
    episode = {
        "id": "e1",
        "title": "Suspicious process",
        "attack": ["T1059.001", "nonsense"],
        "commands": ["whoami /all"],
        "paths": ["HKLM\\Software\\X\\Run", "/tmp/x"],
        "digests": ["ab" * 32],
        "names": ["http://x.example/a"],
    }
    finding = Finding(
        "e",
        1,
        "beacon",
        "t",
        "s",
        0.7,
        "c",
        (0, 1),
        ("ipv4-addr", "192.0.2.1"),
        0,
        1,
        1,
        attack=("T1071",),
        attributes={"family": "Emotet"},
    )
    found = observations([episode], [finding])
    assert found == observations([episode], [finding.to_dict()])
    kinds = {(item.kind, item.value): item for item in found}
    assert kinds["technique", "T1071"].confidence == 0.7 and kinds["technique", "T1059.001"].where == "e1"
    assert ("technique", "nonsense") not in kinds and ("registry", "HKLM\\Software\\X\\Run") in kinds
    assert ("url", "http://x.example/a") in kinds and ("software", "Emotet") in kinds


def test_objects_of_files_may_be_wild() -> None:
    wild = {
        "techniques": ["t1486", {"id": "T1490", "confidence": 0.4}, 5, None, {"id": ["x"]}, "T99999"],
        "software": "LOIC",
        "artefacts": {"reg": ["HKCU\\x"], "weird": [1, None, True], "port": 443},
        "name": "FIN7",
    }
    found = {(item.kind, item.value): item.confidence for item in of_object(wild)}
    assert found["technique", "T1486"] == 1.0 and found["technique", "T1490"] == 0.4
    assert ("software", "LOIC") in found and ("port", "443") in found
    assert not any("FIN7" in value for _, value in found)
    for odd in ({"techniques": 7}, {"artefacts": [None, {"kind": "ua", "value": "x" * 9000}]}, {}):
        assert all(len(item.value) <= 4096 for item in of_object(odd))


def test_a_model_that_is_none_is_refused(model: Model) -> None:
    assert Knowledge.of(None) is None
    with pytest.raises(ValueError, match="kind"):
        Knowledge.of(Model("url", model.arrays, model.card))
    with pytest.raises(ValueError, match="format"):
        Knowledge.of(Model(model.kind, model.arrays, {**model.card, "format": 99}))
    for name in ("weight", "score_key", "group_start", "family_class", "map"):
        with pytest.raises(ValueError, match="damaged"):
            Knowledge.of(Model(model.kind, {k: v for k, v in model.arrays.items() if k != name}, model.card))
        with pytest.raises(ValueError, match="damaged"):
            Knowledge.of(Model(model.kind, {**model.arrays, name: model.arrays[name][:-1]}, model.card))
