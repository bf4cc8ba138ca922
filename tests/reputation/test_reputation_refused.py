"""What cannot stand on a list, hostile files, and the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from andon.cli import app
from andon.detect.livenet.edges.lists import Lists
from andon.observe.lists import Skipped
from andon.observe.reputation import TableError, reputation
from andon.observe.reputation.entries import Raw, entries
from andon.records.reputation import REPUTATION
from spent import spent


def _values(path: Path, text: str, colour: str) -> tuple[dict[str, str], Skipped]:
    (path / "list").write_text(text + "\nkept.example\n")
    table, skipped = reputation(path / "list", colour)
    return dict(zip(table["value"].to_pylist(), table["type"].to_pylist(), strict=True)), skipped


@pytest.mark.parametrize(
    "entry",
    ["com", "github.io", "co.uk", "localhost", "a.localhost", "0.0.0.0/0", "::/0", "10.0.0.0/7", "127.0.0.1", "0.0.0.0",
     "::1", "169.254.1.1", "evil_example", "-bad.example", "a..example", "x" * 300 + ".example", "192.0.2.7:0",
     "192.0.2.7:70000", "a" * 70 + ".example", "1.2.3.4.5", "https://", "*.com"],
)  # fmt: skip
def test_what_would_match_everything_or_nothing_is_refused_and_said(tmp_path: Path, entry: str) -> None:
    found, skipped = _values(tmp_path, entry, "black")
    assert found == {"kept.example": "domain"}
    assert skipped.lines == 1 and len(skipped.examples) == 1


def test_a_platform_on_a_white_list_stands_for_itself_alone(tmp_path: Path) -> None:
    found, skipped = _values(tmp_path, "github.io\ncom\n", "white")
    assert found == {"github.io": "host", "kept.example": "domain"} and skipped.lines == 1


def test_a_name_below_a_wildcard_of_the_suffix_list_is_black_by_itself(tmp_path: Path) -> None:
    assert _values(tmp_path, "evil.localto.net", "black")[0] == {
        "evil.localto.net": "host",
        "kept.example": "domain",
    }
    assert _values(tmp_path, "b.evil.localto.net", "black")[0]["b.evil.localto.net"] == "domain"


def test_an_address_inside_may_stand_on_a_list(tmp_path: Path) -> None:
    assert _values(tmp_path, "10.1.2.3\n192.168.0.0/16", "black")[0] == {
        "10.1.2.3": "address", "192.168.0.0/16": "prefix", "kept.example": "domain",
    }  # fmt: skip


@given(st.lists(st.text(max_size=40), max_size=30), st.sampled_from(["black", "white"]))
def test_whatever_stands_in_a_list_every_row_is_an_entry_or_counted(texts: list[str], colour: str) -> None:
    raw, skipped = Raw(), Skipped()
    for line, text in enumerate(texts, 1):
        raw.add(text.encode("utf-8", "replace").decode(), line)
    table = entries(raw.table(), "x", colour, skipped)
    assert table.schema.equals(REPUTATION)
    assert table.num_rows + skipped.lines <= len(texts)
    assert all(value and value == value.strip() for value in table["value"].to_pylist())
    Lists(table, 10).find(table["value"].combine_chunks())


@pytest.mark.parametrize(
    "content",
    [b"", b"# only\n# comments\n", b"PAR1garbage", b"{", b"[" * 100_000, b'{"type": "bundle", "objects": 7}',
     b"\x00\xff" * 500],
)  # fmt: skip
def test_files_that_are_no_list_say_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "list"
    file.write_bytes(content)
    with pytest.raises(TableError):
        reputation(file, "black")


def test_the_trails_of_maltrail_are_read_and_ready_in_seconds_of_cpu(andon_data: Path) -> None:
    file = andon_data / "livenet" / "lists" / "maltrail_malware_trails.parquet"
    if not file.exists():
        pytest.skip("no list of Maltrail")
    table, skipped = reputation(file, "black", "maltrail")
    assert table.num_rows > 1_150_000 and skipped.lines < 1_500
    with spent() as cost:
        lists = Lists(table, 10_000)
    assert cost.seconds < 3  # 0.4 on the machine of development
    names = table["value"].combine_chunks().slice(0, 20_000)
    assert (lists.flags(names) == 1).all()
    assert lists.flags(pc.binary_join_element_wise(names, "example", ".")).sum() == 0


def test_analyze_reads_lists_and_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    run = CliRunner()
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"x": 1}) + "\n")
    missing = run.invoke(app, ["analyze", "--black", str(tmp_path / "none"), str(log)])
    assert missing.exit_code == 2 and "No such file" in missing.stderr
    bad = tmp_path / "bad"
    bad.write_text("com\n")
    refused = run.invoke(app, ["analyze", "--white", f"mine={bad}", str(log)])
    assert refused.exit_code == 2 and "top-level" in refused.stderr
