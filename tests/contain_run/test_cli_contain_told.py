"""What ``andon contain`` says to somebody who meets it for the first time: within 100 columns, with what to do."""

from __future__ import annotations

from pathlib import Path

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
[[enforcer]]
name = "firewalls"
kind = "edl"
folder = "edl"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    rows = "".join(f"10.0.1.{n},pc{n},,workstation\n" for n in range(1, 60))
    (tmp_path / "assets.csv").write_text("address,hostname,mac,device\n" + rows)
    path = tmp_path / "andon.toml"
    path.write_text(CONFIG.format(mode="dry-run"))
    return path


def said(config: Path, *words: str, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["contain", *words, "--config", str(config)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout, done.stderr


def test_status_says_how_it_stands_before_anything_has_happened(config: Path) -> None:
    out, _ = said(config, "status")
    assert "mode      dry-run: no controller is at work" in out and "intents   none" in out
    assert "firewalls not asked" in out and not (config.parent / "store").exists()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--host", "pc7", "--enforcers", "nope"], "there are: firewalls"),
        (["--subject", "pc7"], "write KIND:VALUE"),
        (["--subject", "address:"], "write KIND:VALUE"),
        (["--subject", "planet:mars"], "write KIND:VALUE"),
    ],
)
def test_a_mistake_says_what_would_be_right_and_records_nothing(
    config: Path, words: list[str], hint: str
) -> None:
    _, error = said(config, "propose", "--action", "quarantine", "--reason", "x", *words, code=2)
    assert error.startswith("andon: ") and hint in error
    assert "no intents" in said(config, "list", "--all")[1]


def test_a_dry_run_does_not_claim_what_no_enforcer_could_hold(config: Path) -> None:
    out, _ = said(config, "propose", "--action", "mirror", "--host", "pc7", "--reason", "look at it")
    assert "nothing was enforced" in out
    said(config, "propose", "--action", "quarantine", "--host", "pc8", "--reason", "word " * 60)
    out, _ = said(config, "report")
    assert "1 would have been carried out, on 1 host;" in out and "1 refused" in out
    assert "no enforcer can hold it: firewalls: " in out and "done      quarantine of pc8" in out
    for words in (["report"], ["list"], ["audit", "show"]):
        assert max(map(len, said(config, *words)[0].splitlines())) <= 100


def test_the_kill_switch_does_not_raise_alarms_about_its_own_work(config: Path) -> None:
    config.write_text(CONFIG.format(mode="manual"))
    said(config, "propose", "--action", "quarantine", "--host", "pc7", "--reason", "trial")
    out, error = said(config, "kill-switch", "--reason", "trial")
    assert out.startswith("1 intent ended") and "kill-switch" not in error
