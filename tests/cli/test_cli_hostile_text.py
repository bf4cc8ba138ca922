"""Text from strangers at the terminal: names of files, headings, values; no control character of theirs gets out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from andon.cli import app
from andon.records.finding import Finding
from andon.records.neutral import plain_json

NASTY = "a\x1b[31m\x9b2J\u202eb\x7f"
_BAD = frozenset(NASTY) - frozenset("a[31m2Jb")


def _run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(f"IP address,Vendor,Hostname,Remark {NASTY}\n192.0.2.5,TP-Link,{NASTY},x\n")
    return path


def test_plain_json_says_the_same_without_what_drives_a_terminal() -> None:
    body = {"value": NASTY + "\u2028\ufeff\ud800\U000e0041", "kana": "ボットネット", "mark": "😀"}
    text = plain_json(json.dumps(body, ensure_ascii=False))
    assert json.loads(text) == body
    assert not _BAD & set(text)
    assert "ボットネット" in text and "😀" in text
    text.encode()


def test_findings_are_written_so() -> None:
    finding = Finding(
        engine="test.engine", engine_version=1, kind="census", title=NASTY, statement="s", confidence=1.0,
        calibration="", window=(0, 1), subject=("x", "y"), first_seen=0, last_seen=1, count=1,
        attributes={"token": NASTY},
    )  # fmt: skip
    text = finding.to_json()
    assert not _BAD & set(text)
    assert json.loads(text)["attributes"]["token"] == NASTY


@pytest.mark.parametrize("command", ["assets", "count", "analyze"])
@pytest.mark.parametrize("format", ["table", "json"])
def test_values_stay_harmless(listed: Path, command: str, format: str) -> None:
    code, out, err = _run(command, str(listed), "--format", format)
    assert code == 0, err
    assert not _BAD & set(out + err)
    if (command, format) == ("assets", "json"):
        assert "\u202e" in json.loads(out)["hostname"]  # the value is whole, for programs


@pytest.mark.parametrize("command", ["assets", "count", "analyze", "reports"])
def test_names_of_files_stay_harmless(tmp_path: Path, command: str) -> None:
    path = tmp_path / f"{NASTY}.bin"
    path.write_bytes(b"\x00\x01 no format of ours")
    code, out, err = _run(command, str(path))
    assert code == 1
    assert out == ""
    assert path.parent.name in err
    assert not _BAD & set(err)


def test_a_name_that_looks_like_markup_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "[").mkdir()
    path = tmp_path / "[" / "b].csv"  # its path has a closing tag in it: [/b]
    path.write_text("IP address,Vendor\n192.0.2.5,TP-Link\n")
    code, out, err = _run("count", str(path))
    assert code == 0, err
    assert "asset-list" in out


def test_what_no_reader_takes_says_what_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "colours.csv"
    path.write_text("colour,taste\nred,sweet\n")
    for command in ("count", "analyze"):
        code, out, err = _run(command, str(path))
        assert (code, out) == (1, "")
        assert "asset list with headings" in err and "honeypot log" in err


def test_a_mapped_column_that_is_not_there_is_told(listed: Path) -> None:
    code, _, err = _run(
        "assets", str(listed), "--map", "Serial no.=asset", "--map", "9=owner", "--map", "2=vendor"
    )
    assert code == 0
    assert "--map Serial no.: there is no such column" in err
    assert "--map 9: there is no such column" in err
    assert "--map 2" not in err
