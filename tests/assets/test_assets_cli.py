"""``andon assets`` as a person uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def _andon(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "andon", "assets", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_json_on_stdout_alone_and_the_rest_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Gerät;Adresse;Ort\nIP Camera;192.0.2.1;Halle\nNAS;nirgends;x\n")
    done = _andon(
        path, "--map", "Gerät=device", "--map", "Adresse=address", "--owner", "Bank", "--format", "json"
    )
    assert done.returncode == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["address"], row["device"], row["owner"]) for row in rows] == [
        ("192.0.2.1", "IP Camera", "Bank")
    ]
    assert "column not used: Ort" in done.stderr
    assert "skipped 1 x no address" in done.stderr
    assert "line 3" in done.stderr


def test_table_help_and_exit_codes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ip,device,note\n192.0.2.1,webcam,\x1b[2J\n")
    done = _andon(path, tmp_path / "missing.csv")
    assert done.returncode == 0
    assert "IP Camera" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "missing.csv" in done.stderr
    assert _andon(tmp_path / "missing.csv").returncode == 1
    assert _andon(path, "--map", "x=nonsense").returncode == 2
    assert _andon(path, "--recog", tmp_path / "missing").returncode == 2
    assert "Example: andon assets" in " ".join(_andon("--help").stdout.split())
