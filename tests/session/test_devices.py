"""Sets of physical devices: a session file and its step files become sessions, and no line of a step is lost."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from andon.observe import honeypot
from andon.observe.honeypot.devices import APART, STEPS
from andon.observe.jsonlines import Skipped
from andon.records.honeypot import SESSION

KEY = {
    "time": "2023-06-02 14:06:04.093524",
    "device": "billion",
    "src_ip": "192.0.2.9",
    "src_port": "39367",
    "token": "PEDO",
}
OTHER = {
    "time": "2023-06-02 15:00:00.000001",
    "device": "asus",
    "src_ip": "192.0.2.10",
    "src_port": "1",
    "token": "<unknown>",
}
LOST = {"time": "-", "device": "zyxel", "src_ip": "192.0.2.91", "src_port": "2", "token": "KURC"}


def written(folder: Path, name: str, *lines: dict[str, Any]) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "\n")
    return path


def read(path: Path, skipped: Skipped | None = None) -> list[dict[str, Any]]:
    batches = list(honeypot.sessions(path, skipped or Skipped()))
    table = pa.Table.from_batches(batches, schema=SESSION)
    table.validate(full=True)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def test_steps_are_joined_to_their_session(tmp_path: Path) -> None:
    path = written(tmp_path, "attack.session", KEY, OTHER)
    written(tmp_path, "login", KEY | {"dictionary": "false"})
    fetch = {
        "command": "wget",
        "download_ip": "203.0.113.5",
        "download_port": "81",
        "download_uri": "/b/cutie.mips",
    }
    written(
        tmp_path,
        "download.attempt",
        KEY | fetch,
        KEY | fetch | {"command": "tftp", "download_port": "69"},
        KEY | fetch | {"command": "echo"},
    )
    written(tmp_path, "executed.process", KEY | {"exe": "mika", "sha256": "ab" * 32})
    written(tmp_path, "cnc.connection", KEY | {"cnc_server": "c.example:55650", "connect": True})
    first, second = read(path)
    assert [one["step"] for one in first["outcomes"]] == [
        "scan", "login", "download", "download", "download", "execution", "command-and-control",
    ]  # fmt: skip
    assert first["urls"] == ["http://203.0.113.5:81/b/cutie.mips", "tftp://203.0.113.5/b/cutie.mips"]
    assert (first["hashes"], first["login"], first["sensor"]) == (["ab" * 32], True, "billion")
    assert first["commands"][0]["input"] == "/bin/busybox PEDO"
    assert (second["outcomes"], second["commands"], second["login"]) == (
        [{"step": "scan", "detail": ""}],
        [],
        False,
    )


def test_steps_without_a_session_or_a_time_are_sessions_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path, "attack.session", OTHER)
    written(
        tmp_path,
        "login",
        KEY | {"dictionary": "true"},
        LOST | {"dictionary": "true"},
        LOST | {"dictionary": "true"},
    )
    rows = read(path)
    assert [[one["step"] for one in row["outcomes"]] for row in rows] == [
        ["scan"],
        ["login"],
        ["login", "login"],
    ]
    assert rows[2]["start"] == rows[1]["start"]  # that of the line before


def test_a_step_file_beside_its_sessions_is_not_read_twice(tmp_path: Path) -> None:
    path = written(tmp_path, "login", KEY | {"dictionary": "true"})
    assert [one["step"] for row in read(path) for one in row["outcomes"]] == ["login"]
    written(tmp_path, "attack.session", KEY)
    skipped = Skipped()
    assert read(path, skipped) == []
    assert dict(skipped.reasons) == {APART: 0} and skipped.lines == 0


def test_broken_lines_cost_only_themselves(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "attack.session",
        KEY,
        OTHER | {"time": "soon"},
        OTHER | {"src_ip": ""},
        OTHER | {"src_port": "x"},
    )
    with path.open("a") as file:
        file.write('{"time": "2023-06-02 14:06:04", "dev')
    skipped = Skipped()
    rows = read(path, skipped)
    assert [row["src"] for row in rows] == ["192.0.2.9", "192.0.2.10"]
    assert rows[1]["src_port"] == -1
    assert skipped.lines == 3


@pytest.mark.real_data
def test_the_published_funnel_comes_out_exactly(andon_data: Path) -> None:
    found: Counter[str] = Counter()
    for batch in honeypot.sessions(andon_data / "joint/iot_devices_2023/attack.session.jsonl.zst", Skipped()):
        flat = batch.column("outcomes").flatten().field("step").value_counts().to_pylist()
        found.update({one["values"]: one["counts"] for one in flat})
    assert [found[step] for step in ("scan", *(step for _, step in STEPS))] == [
        721_975,
        21_228,
        5_525,
        1_677,
        1_424,
        1_394,
    ]
