"""``andon count`` of logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from logs_reading import SAMPLES
from typer.testing import CliRunner

from andon.cli import app
from andon.observe.sensors import sniff
from andon.observe.sensors.totals import totals


def test_a_log_in_numbers() -> None:
    path = SAMPLES / "squid-native.log"
    sensor = sniff(path)
    assert sensor is not None
    found = totals(sensor, path)
    assert (found["kind"], found["records"], found["contacts"], found["refused"]) == ("log", 15, 15, 2)
    assert (found["hosts"], found["terminals"], found["formats"]) == (6, 1, {"squid": 15})
    assert found["bytes_in"] == sum(
        int(line.split()[4])
        for line in path.read_text().splitlines()
        if "error:" not in line and "/squid-internal" not in line
    )
    assert found["skipped"] == {"requests without a destination": 2, "requests for the proxy itself": 1}
    assert "examples" not in found


def test_broken_lines_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes((SAMPLES / "squid-combined.log").read_bytes() + b"http://evil.example \x1b[2J\n")
    done = CliRunner().invoke(app, ["count", str(path), "--format", "json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["skipped"]["does not fit the format"] == 1
    assert found["examples"] == ["line 19: does not fit the format: hxxp://evil[.]example \ufffd[2J"]
    done = CliRunner().invoke(app, ["count", str(path)])
    assert done.exit_code == 0 and "line 19" in done.stdout and "\x1b[2J" not in done.stdout


@pytest.mark.slow
@pytest.mark.real_data
def test_synth_a_in_numbers(andon_data: Path) -> None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder = andon_data / "livenet" / "proxy" / "synth_a"
    if not folder.is_dir():
        pytest.skip("no proxy logs")
    sensor = sniff(folder / "access.log.zst")
    assert sensor is not None
    found = totals(sensor, folder / "access.log.zst")
    table = pq.read_table(folder / "log.parquet")
    assert found["contacts"] == len(table) == 2_137_664 and not found["skipped"]
    assert found["hosts"] == len(pc.unique(table["dest"])) and found["terminals"] == len(
        pc.unique(table["terminal"])
    )
    assert found["bytes_in"] == pc.sum(table["bytes"]).as_py()
