"""``andon findings`` as a person and as a pipe uses it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from casebook_samples import DAY, SECOND, finding
from typer.testing import CliRunner

from andon.cli import app
from andon.records.finding import Check, Evidence, Finding
from andon.records.packet import SCHEMA
from andon.store.casebook import Casebook

RUN = CliRunner()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with Casebook(tmp_path) as book:
        book.migrate()
        book.record([finding(number) for number in range(5)])
        book.record((finding(30, kind="census", title="evil \x1b[2J title", severity="high"),))
    return tmp_path


def answer(*words: str, code: int = 0) -> str:
    done = RUN.invoke(app, ["findings", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_list_gives_the_newest_first_and_no_control_characters(store: Path) -> None:
    text = answer("list", "--store", str(store))
    assert text.index("evil") < text.index("scanner 4") < text.index("scanner 0")
    assert "\x1b" not in text


def test_list_as_json_is_one_finding_a_line(store: Path) -> None:
    lines = answer("list", "--store", str(store), "--format", "json", "--limit", "3").splitlines()
    assert [json.loads(line)["count"] for line in lines] == [130, 104, 103]


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (["--kind", "census"], [130]),
        (["--kind", "census", "--kind", "known-tool", "--limit", "2"], [130, 104]),
        (["--severity", "medium"], [130]),
        (["--engine", "darknet.census"], []),
        (["--entity", "198.51.100.2"], [102]),
        (["--since", "1970-01-04T00:00:00Z", "--until", "1970-01-05T00:00:00Z"], [103]),
        (["--since", "24h"], []),
        (["--series", finding(1).series], [104, 101]),
    ],
)
def test_filters_choose(store: Path, words: list[str], counts: list[int]) -> None:
    lines = answer("list", "--store", str(store), "--format", "json", *words).splitlines()
    assert [json.loads(line)["count"] for line in lines] == counts


@pytest.mark.parametrize(
    "words",
    [["--kind", "nonsense"], ["--severity", "awful"], ["--since", "yesterday"], ["--until", "9" * 30]],
)
def test_a_wrong_filter_is_a_usage_error_with_a_sentence(store: Path, words: list[str]) -> None:
    assert "andon: " in answer("list", "--store", str(store), *words, code=2)


def test_show_tells_the_whole_story(store: Path) -> None:
    text = answer("show", finding(4).id[:8], "--store", str(store))
    for part in (
        "scanner 4",
        "It scans.",
        "by chance",
        "198.51.100.4",
        finding(4).series,
        finding(1).id[:12],
    ):
        assert part in text
    assert "there is no finding" in answer("show", "ffff", "--store", str(store), code=1)


def test_a_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert "no store" in answer("list", "--store", str(tmp_path / "no"), code=1)
    assert "neither" in answer("list", "--store", str(tmp_path), code=1)
    (tmp_path / "casebook.db").write_bytes(b"garbage" * 1000)
    assert "damaged" in answer("list", "--store", str(tmp_path), code=1)


def test_follow_gives_what_is_there_and_then_what_comes(store: Path) -> None:
    command = [sys.executable, "-c", "from andon.cli import main; main()", "findings", "follow"]
    follower = subprocess.Popen(
        [*command, "--store", str(store), "--last", "2", "--every", "0.05"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert follower.stdout is not None
    late = threading.Timer(180, follower.kill)  # a line that never comes is a failure, not a wait for ever
    late.start()
    first = [json.loads(follower.stdout.readline())["count"] for _ in range(2)]
    with Casebook(store) as book:
        for number in (40, 41, 42):
            book.record((finding(number),))
        second = [json.loads(follower.stdout.readline())["count"] for _ in range(3)]
        book.record((finding(40, revision=2, count=999),))
        second.append(json.loads(follower.stdout.readline())["count"])
    assert first == [104, 130] and second == [140, 141, 142, 999]
    follower.send_signal(2)
    assert follower.wait() in (0, 130)
    late.cancel()
    assert follower.stderr is not None and "Traceback" not in follower.stderr.read()


def packets(count: int, marked: int) -> pa.RecordBatch:
    """TCP packets of the second day, the first few with ip.id 54321."""
    columns = []
    for field in SCHEMA:
        if field.name == "ts":
            values = pa.array(DAY + np.arange(count) * SECOND).view(field.type)
        elif field.name == "layers":
            values = pa.array(np.full(count, 5), field.type)
        elif field.name == "ip_id":
            values = pa.array(np.where(np.arange(count) < marked, 54321, 7), field.type)
        elif pa.types.is_fixed_size_binary(field.type):
            values = pa.array([bytes(field.type.byte_width)] * count, field.type)
        else:
            values = pa.array(np.zeros(count), field.type)
        columns.append(values)
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def with_check(expected: int) -> tuple[Evidence, ...]:
    check = Check("ip.id == 54321", by_chance=0.1, expression="ip[4:2] = 54321", expected=expected)
    return (Evidence("packets with the mark", check),)


def test_check_counts_again_over_the_history(tmp_path: Path) -> None:
    from andon.store.history import History
    from andon.store.journal import Journal

    with Casebook(tmp_path) as book:
        book.migrate()
        book.record((finding(1, evidence=with_check(30)), finding(2, evidence=with_check(30))))
    journal = Journal(tmp_path / "journal")
    journal.append("s", packets(200, 30), {"offset": 200})
    journal.commit(DAY)
    History(tmp_path / "history").append(journal.segments())
    text = answer("check", finding(1).id, "--store", str(tmp_path))
    assert "agrees" in text and "expected 30, got 30" in text
    text = answer("check", finding(2).id, "--store", str(tmp_path), "--format", "json", code=1)
    result = json.loads(text)
    assert (result["got"], result["agrees"]) == (0, False)  # no packet of that day is there
    assert "SELECT" in result["command"]


@pytest.fixture
def analysed(tmp_path: Path) -> Path:
    """A capture of 50 packets, 12 of them with the mark, and a finding about it as ``analyze --out`` writes it."""
    frames = []
    for number in range(50):
        mark = 54321 if number < 12 else number
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, mark, 0, 64, 6, 0, bytes(4), bytes(4))
        frame = bytes(12) + b"\x08\x00" + ip + struct.pack("!HHIIBBHHH", 1, 2, 3, 0, 0x50, 2, 9, 0, 0)
        frames.append(struct.pack("<IIII", number, 0, len(frame), len(frame)) + frame)
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    (tmp_path / "capture.pcap").write_bytes(header + b"".join(frames))
    out = tmp_path / "out"
    out.mkdir()
    (out / "findings.ndjson").write_text(about(tmp_path, 12).to_json() + "\n")
    return out


def about(folder: Path, expected: int) -> Finding:
    evidence = with_check(expected)[0]
    assert evidence.check is not None
    check = replace(evidence.check, input=(str(folder / "capture.pcap"),))
    return finding(1, evidence=(replace(evidence, check=check),))


def test_check_runs_tcpdump_on_the_files_of_an_analysis(analysed: Path, tmp_path: Path, tcpdump: str) -> None:
    text = answer("check", finding(1).id, "--store", str(analysed))
    assert "agrees" in text and "expected 12, got 12" in text
    (analysed / "findings.ndjson").write_text(about(tmp_path, 13).to_json())
    text = answer("check", finding(1).id, "--store", str(analysed), code=1)
    assert "DIFFERS" in text and "expected 13, got 12" in text


def test_a_finding_of_somebody_else_cannot_make_tcpdump_do_things(
    analysed: Path, tmp_path: Path, tcpdump: str
) -> None:
    marker = tmp_path / "marker"
    texts = [
        f"-w{marker}",
        f"--version -w {marker}",
        f"ip; touch {marker}",
        f"$(touch {marker})",
        "-Z root -z /bin/sh",
    ]
    for number, text in enumerate(texts):
        check = Check("ip.id == 1", 0.0, expression=text, expected=1, input=(str(tmp_path / "capture.pcap"),))
        evil = finding(number, evidence=(Evidence("evil", check),))
        (analysed / "findings.ndjson").write_text(evil.to_json() + "\nno json\n")
        said = answer("check", evil.id, "--store", str(analysed), code=1)
        assert "not run" in said and "1 lines are not findings" in said
        assert not marker.exists()


def test_a_folder_of_results_is_listed_and_shown_like_a_store(analysed: Path) -> None:
    assert "scanner 1" in answer("list", "--store", str(analysed), "--entity", "198.51.100.1")
    assert "no findings" in answer("list", "--store", str(analysed), "--severity", "critical")
    assert "packets with the mark" in answer("show", finding(1).id[:6], "--store", str(analysed))
    assert "does not grow" in answer("follow", "--store", str(analysed), code=2)
