"""``andon learn knowledge`` and ``andon judge`` as a shell sees them, and the knowledge base that is shipped."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attacker_made import FIN, bundle, profiles, written
from typer.testing import CliRunner

from andon.cli import app
from andon.learn import registry
from andon.records.case import CLASSES
from andon.triage.attacker import Knowledge, judge, of_object

run = CliRunner().invoke


def test_from_a_bundle_to_a_judgement(tmp_path: Path) -> None:
    attack = written(tmp_path, bundle(profiles()), "enterprise-attack.json")  # type: ignore[arg-type]
    out = tmp_path / "attacker.npz"
    made = run(app, ["learn", "knowledge", "--attack", str(attack), "--out", str(out)])
    assert made.exit_code == 0, made.output
    assert "learnt from 60 groups and 90 families: 100 targeted, 50 financial" in made.stdout
    cases = tmp_path / "cases.json.gz"
    items = [
        {"id": "a", "techniques": [*FIN, *(f"T1{n:03d}" for n in range(100, 107))]},
        7,
        {"name": "nothing"},
    ]
    cases.write_bytes(gzip.compress(json.dumps(items).encode()))
    said = run(app, ["judge", str(cases), "--model", str(out), "--format", "json"])
    assert said.exit_code == 0
    first, second = (json.loads(line) for line in said.stdout.splitlines())
    assert (first["id"], first["classes"]) == ("a", ["financial"])
    assert (second["name"], second["classes"]) == ("nothing", list(CLASSES))
    assert "1 entries are no JSON objects" in said.stderr
    table = run(app, ["judge", str(cases), "--model", str(out)])
    assert table.exit_code == 0 and "Not enough evidence" in table.stdout


def test_base_rates_move_probabilities_and_not_the_classes(tmp_path: Path) -> None:
    path = written(tmp_path, [{"techniques": ["T1486", "T1490", "T1489", "T1059.001"]}])

    def said(*more: str) -> dict[str, Any]:
        done = run(app, ["judge", str(path), "--format", "json", *more])
        assert done.exit_code == 0
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    plain, moved = said(), said("--base-rates", "hacktivist=0.1,financial=0.1,targeted=0.8")
    assert moved["classes"] == plain["classes"]
    assert moved["probabilities"]["targeted"] > plain["probabilities"]["targeted"]
    assert run(app, ["judge", str(path), "--base-rates", "financial=2"]).exit_code == 2


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    assert run(app, ["learn", "knowledge", "--out", str(out)]).exit_code == 2
    gone = run(app, ["learn", "knowledge", "--attack", str(tmp_path / "gone.json"), "--out", str(out)])
    assert gone.exit_code == 1 and "No such file" in gone.stderr
    bad = tmp_path / "bad.json"
    bad.write_text("{", encoding="utf-8")
    for arguments in (["judge", str(bad)], ["judge", str(bad), "--model", str(bad)]):
        said = run(app, arguments)
        assert said.exit_code == 1 and "bad.json" in said.stderr and "Traceback" not in said.stderr
    assert not out.exists()


def test_a_name_is_shown_without_what_drives_a_terminal(tmp_path: Path) -> None:
    path = written(tmp_path, [{"name": "x\x1b[31m\u202e", "techniques": ["T1486"]}])
    for arguments in (["judge", str(path)], ["judge", str(path), "--format", "json"]):
        said = run(app, arguments)
        assert said.exit_code == 0 and "\x1b" not in said.stdout and "\u202e" not in said.stdout


def test_the_shipped_knowledge_base_has_its_licence_and_says_where_it_is_from() -> None:
    model = registry.shipped()["attacker"]
    assert "reproduced and distributed with the permission of The MITRE Corporation" in model.card["notice"]
    assert len(model.card["data"]) == 4 and model.card["profiles"]["financial"] > 100
    notice = (Path(__file__).parents[2] / "NOTICE").read_text("utf-8")
    assert "attacker.npz" in notice and "The MITRE Corporation" in notice
    card = json.loads(run(app, ["learn", "show", "attacker"]).stdout)
    assert card["notice"] == model.card["notice"] and card["digest"] == model.digest
    found = judge(
        of_object(
            {
                "artefacts": {
                    "cmd": ["vssadmin delete shadows /all /quiet"],
                    "file": ["HOW_TO_DECRYPT_FILES.txt"],
                }
            }
        ),
        Knowledge.of(model),
    )
    assert (
        found.probabilities["financial"] > 0.6 and found.classes == CLASSES
    )  # two techniques are no evidence


@pytest.fixture(scope="module")
def triage_data() -> Path:
    folder = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "triage"
    if not (folder / "attack_groups_dev.json.gz").exists():
        pytest.skip("no labelled attackers below ANDON_DATA")
    return folder


@pytest.mark.real_data
def test_the_shipped_model_is_what_its_data_give(triage_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "attacker.npz"
    made = run(
        app,
        [
            "learn",
            "knowledge",
            "--profiles",
            str(triage_data / "attack_groups_dev.json.gz"),
            "--profiles",
            str(triage_data / "attack_software_dev.json.gz"),
            "--techniques",
            str(triage_data / "attack_techniques.csv.gz"),
            "--names",
            str(triage_data / "misp_actor_class.json.gz"),
            "--out",
            str(out),
        ],
    )
    assert made.exit_code == 0, made.output
    ours, shipped = registry.load(out), registry.shipped()["attacker"]
    assert ours.card == shipped.card and ours.arrays.keys() == shipped.arrays.keys()
    for name, array in shipped.arrays.items():
        if array.dtype.kind == "f":  # the last bits depend on the machine's BLAS
            np.testing.assert_allclose(ours.arrays[name], array, atol=2e-3)
        else:
            assert (ours.arrays[name] == array).all(), name
