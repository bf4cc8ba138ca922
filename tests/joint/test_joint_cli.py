"""``andon simulate joint`` writes what it says, and says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from andon.cli import app


def test_a_scenario_is_written_and_counted(tmp_path: Path) -> None:
    out = tmp_path / "sim"
    words = [
        "simulate",
        "joint",
        "--seed",
        "3",
        "--days",
        "1",
        "--devices",
        "40",
        "--families",
        "4",
        "--out",
        str(out),
    ]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran.output
    assert "4 families" in ran.stderr and not ran.stdout
    assert {"cowrie.json", "darknet_sources.parquet", "assets.csv", "reports.jsonl"} <= {
        p.name for p in out.iterdir()
    }
    assert {p.name for p in (out / "truth").iterdir()} >= {
        "families.json",
        "infections.parquet",
        "scenario.json",
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--devices", "1"], "between 20 and 200,000"),
        (["--null", "maybe"], "null is one of"),
        (["--days", "1", "--capture", "2"], "at most the 1.0 days"),
        (["--start", "2026-03-01"], "time zone"),
        (["--start", "yesterday"], "yesterday"),
    ],
)
def test_what_cannot_be_is_a_usage_error(tmp_path: Path, words: list[str], says: str) -> None:
    ran = CliRunner().invoke(app, ["simulate", "joint", "--out", str(tmp_path / "x"), *words])
    assert ran.exit_code == 2
    assert says in ran.stderr
