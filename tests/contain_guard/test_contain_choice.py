"""``andon contain approve --instead``: an analyst's choice where the policy's rule leaves one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from andon.cli import app
from andon.cli.contain_parts import acting_on
from andon.contain.propose import Material
from andon.records.case import Case

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
mode = "auto"
[[enforcer]]
name = "rehearsal"
kind = "dryrun"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    rows = [f"10.0.1.{n},pc{n},,workstation" for n in range(1, 120)]
    (tmp_path / "assets.csv").write_text("address,hostname,mac,device\n" + "\n".join(rows) + "\n")
    (tmp_path / "andon.toml").write_text(CONFIG)
    return tmp_path / "andon.toml"


@pytest.fixture
def waiting(config: Path) -> str:
    """Id of a quarantine that waits: its attacker may be targeted, so somebody decides whether to observe."""
    now = time.time_ns()
    judgement = {"attacker": {"classes": ["targeted"]}, "threat": {"stage": "objective"}, "certainty": 0.97}
    case = Case(
        "c1", 1, "open", "act", "high", 1.9, "C2 seen", "", (("device", "pc7"),), now - 10**9, now, now, now,
        judgement=judgement,
    )  # fmt: skip
    with acting_on(config) as made:
        (cut, *_) = made.controller.consider(case, Material())
        assert made.log.intents()[cut.id].state == "waiting"
    return f"{cut.id:016x}"


def andon(*words: object, code: int = 0) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, (done.output, done.stderr, done.exception)
    return [json.loads(line) for line in done.stdout.splitlines()]


def shown(config: Path, id: str) -> dict[str, Any]:
    return andon("contain", "show", id, "--config", config, "--format", "json")[0]


def test_observe_takes_the_place_of_a_quarantine_that_waits(config: Path, waiting: str) -> None:
    (state,) = andon(
        "contain", "approve", waiting, "--instead", "observe", "--as", "ito", "--config", config, "--format", "json"
    )  # fmt: skip
    assert (state["intent"]["action"], state["intent"]["requested_by"]) == ("mirror", "ito")
    assert state["state"] in ("applied", "verified") and state["intent"]["replaces"] == waiting
    old = shown(config, waiting)
    assert old["state"] == "revoked" and "ito chose observe" in json.dumps(old)


@pytest.mark.parametrize("choice", ["block", "proxy", "nothing"])
def test_what_the_rule_does_not_offer_changes_nothing(config: Path, waiting: str, choice: str) -> None:
    andon("contain", "approve", waiting, "--instead", choice, "--as", "ito", "--config", config, code=2)
    assert shown(config, waiting)["state"] == "waiting"


def test_a_choice_is_for_what_waits(config: Path, waiting: str) -> None:
    words = ("contain", "revoke", waiting, "--reason", "false", "--as", "sato", "--config", str(config))
    assert CliRunner().invoke(app, words).exit_code == 0
    andon("contain", "approve", waiting, "--instead", "observe", "--as", "ito", "--config", config, code=2)
