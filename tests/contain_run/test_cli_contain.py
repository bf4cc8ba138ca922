"""``andon contain`` as people use it: exit codes, JSON alone on stdout, nothing done by looking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from andon.cli import app

CONFIG = """
inside = ["10.0.0.0/8"]
[[source]]
name = "caps"
kind = "folder"
path = "caps"
[store]
path = "store"
[[assets]]
path = "assets.csv"
[contain]
mode = "{mode}"
key_file = "chain.key"
[[enforcer]]
name = "rehearsal"
kind = "dryrun"
"""


def andon(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, (done.output, done.stderr, done.exception)
    return done.stdout


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "chain.key").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "chain.key").chmod(0o600)
    rows = [f"10.0.1.{n},pc{n},,workstation" for n in range(1, 120)]
    (tmp_path / "assets.csv").write_text(
        "address,hostname,mac,device\n10.0.0.5,dc01,,server\n" + "\n".join(rows) + "\n"
    )
    path = tmp_path / "andon.toml"
    path.write_text(CONFIG.format(mode="manual"))
    return path


def proposed(config: Path, *more: object, code: int = 0) -> dict[str, Any]:
    text = andon(
        "contain", "propose", "--action", "quarantine", "--host", "pc7", "--reason", "ticket 12", "--as", "ito",
        "--config", config, "--format", "json", *more, code=code,
    )  # fmt: skip
    return objects(text)[-1]


def test_a_plan_shows_what_could_be_typed_and_changes_nothing(config: Path) -> None:
    said = andon(
        "contain", "plan", "--action", "quarantine", "--host", "pc7", "--config", config, "--as", "ito"
    )
    assert "do  " in said and "undo" in said and "10.0.1.7" in said
    assert not (config.parent / "store" / "contain").exists()


def test_propose_show_revoke(config: Path) -> None:
    state = proposed(config)
    assert state["state"] in ("applied", "verified")
    id = state["intent"]["id"]
    assert state["intent"]["requested_by"] == "ito" and state["intent"]["subject"]["addresses"] == [
        "10.0.1.7"
    ]
    [listed] = objects(andon("contain", "list", "--config", config, "--format", "json"))
    assert listed["intent"]["id"] == id
    shown = objects(andon("contain", "show", id[-8:], "--config", config, "--format", "json"))[0]
    states = [event["state"] for event in shown["history"]]
    assert states[0] == "proposed" and states.index("accepted") < states.index("applied")
    assert "pc7" in andon("contain", "show", id, "--config", config)
    andon("contain", "revoke", id, "--reason", "false alarm", "--as", "sato", "--config", config)
    assert (
        objects(andon("contain", "show", id, "--config", config, "--format", "json"))[0]["state"] == "revoked"
    )
    assert andon("contain", "list", "--config", config) == ""


def test_what_is_protected_is_refused_with_the_reason_and_code_1(config: Path) -> None:
    said = andon(
        "contain", "propose", "--action", "quarantine", "--host", "dc01", "--reason", "test", "--as", "ito",
        "--config", config, code=1,
    )  # fmt: skip
    assert "refused" in said and "critical" in said


def test_somebody_else_agrees(config: Path) -> None:
    text = andon(
        "contain", "propose", "--action", "block", "--subject", "address:203.0.113.7", "--reason", "C2", "--as", "ito",
        "--config", config, "--format", "json",
    )  # fmt: skip
    state = objects(text)[-1]
    assert state["state"] == "waiting"
    id = state["intent"]["id"]
    andon("contain", "approve", id, "--as", "ito", "--config", config, code=2)
    agreed = objects(andon("contain", "approve", id, "--as", "sato", "--config", config, "--format", "json"))[
        -1
    ]
    assert agreed["state"] in ("applied", "verified") and agreed["approvals"] == ["sato"]


def test_the_kill_switch_ends_everything_and_is_let_go_by_name(config: Path) -> None:
    id = proposed(config)["intent"]["id"]
    assert "1 intent" in andon(
        "contain", "kill-switch", "--reason", "wrong host", "--as", "sato", "--config", config
    )
    assert (
        objects(andon("contain", "show", id, "--config", config, "--format", "json"))[0]["state"] == "revoked"
    )
    said = objects(andon("contain", "status", "--config", config, "--format", "json"))[0]
    assert said["hold"]["actor"] == "sato" and said["intents"] == {}
    andon("contain", "release", "--reason", "mended", "--as", "sato", "--config", config)
    assert objects(andon("contain", "status", "--config", config, "--format", "json"))[0]["hold"] is None


def test_a_dry_run_is_reported_and_applied_by_a_person(config: Path) -> None:
    config.write_text(CONFIG.format(mode="dry-run"))
    state = proposed(config)
    assert state["state"] == "dry-run"
    [row] = objects(andon("contain", "report", "--config", config, "--format", "json"))
    assert row["would"] == "dry-run" and row["intent"]["id"] == state["intent"]["id"]
    assert "1 would have been carried out" in andon("contain", "report", "--config", config)
    config.write_text(CONFIG.format(mode="manual"))
    text = andon(
        "contain", "apply", state["intent"]["id"], "--as", "sato", "--config", config, "--format", "json"
    )
    real = objects(text)[-1]
    assert real["state"] in ("applied", "verified") and real["intent"]["replaces"] == state["intent"]["id"]
    assert real["intent"]["requested_by"] == "sato"


def test_the_audit_chain_is_proven_and_damage_is_named(config: Path) -> None:
    proposed(config)
    whole = objects(andon("contain", "audit", "verify", "--config", config, "--format", "json"))[0]
    assert whole["whole"] and whole["signed"] == whole["lines"]
    [segment] = (config.parent / "store" / "contain").glob("intents-*.ndjson")
    segment.write_bytes(segment.read_bytes().replace(b"ticket 12", b"ticket 13"))
    assert "DAMAGED" in andon("contain", "audit", "verify", "--config", config, code=1)
    andon("contain", "audit", "repair", "--reason", "test", "--as", "sato", "--config", config)
    assert "whole" in andon("contain", "audit", "verify", "--config", config)


@pytest.mark.parametrize("language", ["openc2", "cacao", "stix"])
def test_export_and_import_make_proposals_that_wait(config: Path, language: str) -> None:
    id = proposed(config)["intent"]["id"]
    text = andon("contain", "export", id, "--language", language, "--config", config)
    document = config.parent / "other.json"
    document.write_text(text.splitlines()[0])
    words = ("contain", "import", document, "--from", "cert", "--as", "sato", "--config", config)
    said = andon(*words, "--format", "json")
    states = [one for one in objects(said) if "intent" in one]
    assert all(one["state"] in ("waiting", "refused") for one in states)
    assert all(one["intent"]["requested_by"] == "sato" for one in states)
    assert all(":cert asks" in one["intent"]["reason"] for one in states)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list"], 1),
        (["propose", "--action", "burn", "--host", "pc7", "--reason", "x"], 2),
        (["propose", "--action", "quarantine", "--reason", "x"], 2),
        (["propose", "--action", "quarantine", "--host", "pc7", "--ttl", "90d", "--reason", "x"], 2),
    ],
)
def test_mistakes_are_a_sentence(config: Path, words: list[str], code: int) -> None:
    done = CliRunner().invoke(app, ["contain", *words, "--config", str(config)])
    assert done.exit_code == code and done.stdout == ""
    assert done.stderr.startswith("andon: ") and "Traceback" not in done.stderr


def test_who_takes_a_document_in_cannot_agree_to_it(config: Path, tmp_path: Path) -> None:
    document = tmp_path / "other.json"
    document.write_text('{"action": "deny", "target": {"ipv4_net": "198.51.100.9"}}')
    said = andon(
        "contain", "import", document, "--from", "ito", "--as", "ito", "--config", config, "--format", "json"
    )
    (one,) = [one for one in objects(said) if one.get("state") == "waiting"]
    id = one["intent"]["id"]
    assert one["intent"]["requested_by"] == "ito" and "openc2:ito asks" in one["intent"]["reason"]
    andon("contain", "approve", id, "--as", "Ito ", "--config", config, code=2)
    assert "verified" in andon("contain", "approve", id, "--as", "sato", "--config", config)
