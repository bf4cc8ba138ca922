"""Reports of every form become the same rows; hostile files are refused with a reason or read in part, never for
ever."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from report_files import pdf

from andon.observe.jsonlines import Skipped
from andon.observe.reports import UnknownReport, recognise, reports
from andon.observe.reports import pdf as pdf_module
from andon.records.kinds import REPORT, kind_of
from andon.records.report import REPORT as SCHEMA

TEXT = (
    "We have been tracking a botnet we call Kasate. Scans go to TCP ports 7547, 5555. It uses CVE-2020-8515."
)
WANTED = {
    ("malware", "Kasate"),
    ("port", "7547"),
    ("port", "5555"),
    ("port-set", "5555,7547"),
    ("cve", "CVE-2020-8515"),
}
PAGE = f"""<!doctype html><html><head><title>A botnet &amp; more</title>
<meta property="article:published_time" content="2026-03-14T09:00:00+09:00"><style>.port23 {{}}</style>
<script>var port = "port 9999";</script></head><body><nav>CVE-1999-0001</nav>
<article><h1>A botnet &amp; more</h1><p>{TEXT}</p>
<table><tr><td>SHA-256</td><td>9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08</td></tr></table>
</article><footer>CVE-1999-0002</footer></body></html>"""


def read(path: Path) -> tuple[list[dict[str, Any]], Skipped]:
    skipped = Skipped()
    rows = []
    for batch in reports(path, skipped):
        assert batch.schema.equals(SCHEMA)
        assert kind_of(batch) == REPORT
        rows += batch.to_pylist()
    return rows, skipped


def pairs(row: dict[str, Any]) -> set[tuple[str, str]]:
    return {(mention["type"], mention["value"]) for mention in row["mentions"]}


def test_text_markdown_html_pdf_json_and_stix_say_the_same(tmp_path: Path) -> None:
    stix = {"type": "bundle", "id": "bundle--1", "objects": [
        {"type": "report", "id": "report--1", "name": "A botnet", "published": "2026-03-14T00:00:00Z",
        "description": TEXT, "object_refs": ["malware--1"]},
        {"type": "malware", "id": "malware--1", "name": "Kasate"}]}  # fmt: skip
    files = {
        "a.txt": f"A botnet\n\n14 March 2026\n\n{TEXT}\n",
        "a.md": f"---\ntitle: A botnet\ndate: 2026-03-14\n---\n\n**Note**: {TEXT}\n",
        "a.html": PAGE,
        "a.json": json.dumps({"title": "A botnet", "published_at": "2026-03-14", "content": TEXT}),
        "a.jsonl": json.dumps({"id": 7, "date": "14 Mar 2026", "text": TEXT}) + "\n",
        "array.json": json.dumps([{"name": "A botnet", "created": 1773446400000, "body": f"<p>{TEXT}</p>"}]),
        "inner.json": json.dumps(
            {"count": 1, "items": [{"title": "A", "pubDate": "2026/03/14", "summary": TEXT}]}
        ),
        "kibana.json": json.dumps(
            {"_id": "x", "_source": {"title": "A", "date": "20260314T000000", "text": TEXT}}
        ),
        "bundle.json": json.dumps(stix),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "a.pdf").write_bytes(
        pdf([TEXT.replace(". ", ".\n"), "page two"], "/Title (A botnet) /CreationDate (D:20260314)")
    )
    (tmp_path / "b.md.gz").write_bytes(gzip.compress(files["a.md"].encode(), mtime=0))
    for name in (*files, "a.pdf", "b.md.gz"):
        rows, skipped = read(tmp_path / name)
        assert skipped.lines == 0, (name, skipped)
        assert len(rows) == 1, name
        extra = (
            {("hash", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")}
            if name == "a.html"
            else set()
        )
        assert pairs(rows[0]) == WANTED | extra, name
        assert rows[0]["dated"], name
        assert f"{rows[0]['published']:%Y-%m-%d}" == "2026-03-14", name
        assert rows[0]["language"] == "en"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932", "euc_jp"])
def test_japanese_text_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    text = (
        "感染活動の観測\n公開日：令和8年3月14日\n"
        "「Kasate」と呼ばれるボットネットが23番ポートと2323番ポートを狙う。\n"
    )
    path = tmp_path / "報告.txt"
    path.write_bytes(text.encode(encoding))
    (row,), _ = read(path)
    assert pairs(row) == {("malware", "Kasate"), ("port", "23"), ("port", "2323"), ("port-set", "23,2323")}
    assert (row["language"], f"{row['published']:%Y-%m-%d}", row["dated"]) == ("ja", "2026-03-14", True)
    assert row["title"] == "感染活動の観測"


def test_without_a_date_the_time_of_the_file_stands_and_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        "On March 3, 2026 we saw that the Kasate botnet scans port 23 of many hosts that are in several countries.\n"
    )
    os.utime(path, (1_700_000_000, 1_700_000_000))
    (row,), _ = read(path)
    assert (int(row["published"].timestamp()), row["dated"]) == (1_700_000_000, False)
    assert len(row["id"]) == 16
    assert row["id"] == read(path)[0][0]["id"]


def test_lines_that_are_no_report_are_counted_and_the_others_read(tmp_path: Path) -> None:
    good = json.dumps({"id": "R", "title": "A", "text": TEXT})
    path = tmp_path / "reports.jsonl"
    path.write_text(
        "\n".join(
            [
                good,
                good[:-9],
                "[" * 100_000,
                json.dumps({"id": 1, "title": 2}),
                "null",
                '{"id": "\\ud800", "text": "port 23\\u0000 \\ud800"}',
            ]
        )
    )
    rows, skipped = read(path)
    assert len(rows) == 2
    assert skipped.lines == 4
    assert pairs(rows[1]) == {("port", "23")}


@pytest.mark.parametrize(
    ("head", "name", "wanted"),
    [
        (b'{"eventid": "cowrie.login.failed", "message": "x", "timestamp": "2026"}', "cowrie.json", None),
        (b'{"ip_str": "192.0.2.1", "data": "x", "timestamp": "2026"}', "shodan.jsonl", None),
        (b'[{"id": 1, "text": "a", "title": "b"}', "cut.json", "json"),
        (b'{"id": "a", "date": "2026-01-01", "text": "' + b"x" * 1000, "cut.jsonl", "json"),
        (b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "a.txt", None),
        (b"192.0.2.0/24,Example\n198.51.100.0/24,Example\n", "known.txt", None),
        (b"asset_id,ip\n1,192.0.2.1\n", "assets.csv", None),
        (b"<?xml version='1.0'?><nmaprun></nmaprun>", "scan.xml", None),
        (b"%PDF-1.7\n", "download", "pdf"),
        (b"<html lang='ja'>", "download", "html"),
        (gzip.compress(b"A report of some words about a botnet.\n", mtime=0), "a.txt.gz", "text"),
        (b"", "a.txt", None),
    ],
)  # fmt: skip
def test_recognise(head: bytes, name: str, wanted: str | None) -> None:
    assert recognise(head, name) == wanted


def bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    piece = b" " * (1 << 20)
    return b"".join(packer.compress(piece) for _ in range(megabytes)) + packer.flush()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut", pdf([TEXT])[:300]),
        ("only a mark", b"%PDF-1.4\n"),
        ("a page tree that holds itself", pdf([TEXT], kids="2 0 R 2 0 R 2 0 R")),
        ("a thousand million pages", pdf([TEXT], kids="5 0 R " * 3).replace(b"/Count 1", b"/Count 999999999")),
        ("a stream that becomes two gigabytes", pdf([TEXT], content=bomb(2048))),
        ("pictures only", pdf([""])),
        ("noise behind the mark", b"%PDF-1.7\n" + bytes(range(256)) * 400),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_hostile_pdf_is_refused_or_read_in_part(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(data)
    try:
        rows, skipped = read(path)
    except UnknownReport as error:
        assert str(error).startswith("PDF: ")
    else:
        assert len(rows) == 1
        assert skipped.lines or pairs(rows[0]) == WANTED


def test_a_pdf_that_never_ends_meets_the_limit_of_cpu_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_module, "CPU_SECONDS", 2)
    loop = zlib.compress(b"BT /F1 9 Tf\n" + b"(a) Tj T*\n" * 3_000_000 + b"ET")
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([TEXT], content=loop))
    begin = time.monotonic()
    with pytest.raises(UnknownReport, match="CPU time"):
        read(path)
    assert time.monotonic() - begin < 120


def test_a_wrapped_hash_and_a_hyphenated_word_of_a_pdf_are_put_together(tmp_path: Path) -> None:
    text = "The pay-\nload has the hash\n74578d5bf8e61b77ec23a1e0c9f3d8a1\n6a6438c73b84a9dbd60443ea14c809ad\n"
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([text]))
    (row,), _ = read(path)
    assert pairs(row) == {("hash", "74578d5bf8e61b77ec23a1e0c9f3d8a16a6438c73b84a9dbd60443ea14c809ad")}


def test_html_without_ends_and_with_depth_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(
        "<html>" + "<div>" * 50_000 + "<p>scans of port 23<script>port 99" + "<table><td>port 2323"
    )
    (row,), _ = read(path)
    assert ("port", "23") in pairs(row)
    assert ("port", "99") not in pairs(row)


def test_the_command_shows_defanged_and_fails_for_what_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(
        json.dumps(
            {
                "id": "R\u001b[2J",
                "title": "T",
                "date": "2026-03-14",
                "text": "C2 at hxxp://198.51.100[.]7/a.sh, port 23",
            }
        )
    )
    other = tmp_path / "b.bin"
    other.write_bytes(b"\0\1\2")
    run = [sys.executable, "-m", "andon", "reports"]
    table = subprocess.run([*run, str(path), str(other)], capture_output=True, text=True, check=False)
    assert table.returncode == 0, table.stderr
    assert "hxxp://198[.]51[.]100[.]7/a[.]sh" in table.stdout
    assert "http://" not in table.stdout
    assert "\x1b[2J" not in table.stdout
    assert "b.bin" in table.stderr
    told = subprocess.run([*run, str(path), "--format", "json"], capture_output=True, text=True, check=False)
    assert json.loads(told.stdout)["mentions"][0]["value"] == "http://198.51.100.7/a.sh"
    assert subprocess.run([*run, str(other)], capture_output=True, check=False).returncode == 1
