"""``andon analyze`` and ``andon count`` on files of several kinds, as somebody types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from record_engines import DAY, START, cowrie, log
from typer.testing import CliRunner

from andon.cli import app

ASSETS = (
    "asset_id,ip,device,vendor,product,owner\nA1,192.0.2.7,Router,Acme,R1,\nA2,192.0.2.8,DVR,Acme,D1,Other\n"
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    log(tmp_path / "cowrie.json", [cowrie(1, START), ["{broken"], cowrie(2, START + DAY)])
    (tmp_path / "sources.csv").write_text(f"ts,src,dst_port\n{START // 10**9},192.0.2.1,23\n")
    (tmp_path / "assets.csv").write_text(ASSETS)
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    return tmp_path


def test_analyze_says_what_each_kind_of_file_held(files: Path) -> None:
    names = ["cowrie.json", "sources.csv", "assets.csv", "noise.bin"]
    done = CliRunner().invoke(
        app, ["analyze", *(str(files / name) for name in names), "--engine", "darknet.census"]
    )
    assert done.exit_code == 0, done.output
    assert "2 honeypot sessions in 1 file; 1 left aside: " in done.stdout
    assert "1 darknet sources in 1 file" in done.stdout and "2 assets in 1 file" in done.stdout
    assert "cowrie.json is damaged" in done.stdout and "packets in" not in done.stdout
    assert "noise.bin: not a capture" in done.stderr


def test_assets_are_given_an_owner_and_nothing_else_is_taken_for_a_list(files: Path) -> None:
    run = ["analyze", str(files / "cowrie.json"), "--engine", "darknet.census"]
    good = CliRunner().invoke(app, [*run, "--assets", str(files / "assets.csv"), "--assets-owner", "Us"])
    assert good.exit_code == 0 and "2 assets in 1 file" in good.stdout
    for name in ("sources.csv", "noise.bin", "none.csv"):
        bad = CliRunner().invoke(app, [*run, "--assets", str(files / name)])
        assert bad.exit_code == 2 and f"{name}: not an asset list" in bad.stderr


def test_the_owner_given_goes_before_what_a_list_says(files: Path) -> None:
    from andon.records.contract import Site
    from andon.run.inputs import Inputs, with_assets

    inputs = Inputs.of([files / "assets.csv", files / "cowrie.json"])
    site = with_assets(Site(), inputs, "Us")
    assert site.assets is not None and site.assets.column("owner").to_pylist() == ["Us", "Us"]
    assert [(report.kind, report.records) for report in inputs.reports] == [
        ("asset", 2),
        ("honeypot-session", 0),
    ]


def test_count_knows_every_kind(files: Path) -> None:
    names = ["cowrie.json", "sources.csv", "assets.csv"]
    done = CliRunner().invoke(app, ["count", *(str(files / name) for name in names), "--format", "json"])
    assert done.exit_code == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["kind"] for one in found] == ["honeypot-log", "darknet-sources", "asset-list"]
    assert (found[0]["sessions"], found[1]["records"], found[2]["records"]) == (2, 1, 2)
    assert found[2]["devices"] == 2 and found[2]["owners"] == 1
    shown = CliRunner().invoke(app, ["count", str(files / "assets.csv")])
    assert shown.exit_code == 0 and "basis: list" in shown.stdout
    nothing = CliRunner().invoke(app, ["count", str(files / "noise.bin")])
    assert nothing.exit_code == 1 and "not a capture" in nothing.stderr
