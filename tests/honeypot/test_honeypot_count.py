"""``andon count`` says what a honeypot's log holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from andon.cli import app


@pytest.mark.real_data
def test_counts_of_a_real_log(andon_data: Path) -> None:
    log = andon_data / "joint" / "cowrie_ssh_2018" / "cowrie.json.zst"
    result = CliRunner().invoke(app, ["count", str(log), "--format", "json"])
    assert result.exit_code == 0
    body = json.loads(result.stdout)
    # Counted with zstd, grep and jq.
    wanted = {"honeypot": "cowrie", "events": 56_339, "sessions": 13_154, "logins": 1014, "credentials": 9837,
              "commands": 236, "urls": 20, "skipped": {}}  # fmt: skip
    assert {key: body[key] for key in wanted} == wanted
    assert body["first_ts"] == "2018-05-06T17:44:05.866769Z"


def test_a_file_that_is_neither_is_named_as_no_capture(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see\n")
    result = CliRunner().invoke(app, ["count", str(tmp_path / "notes.txt")])
    assert result.exit_code == 1
    assert "not a capture" in result.output
