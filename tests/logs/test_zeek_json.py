"""Zeek's JSON logs say the same as its text logs; counts of real logs are those that jq and awk find."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections import Counter
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from zeek_files import HTTP, heading, http, read

from andon.observe.jsonlines import Skipped
from andon.observe.logs import zeek

NUMBERS = ("id.orig_p", "id.resp_p", "trans_depth", "request_body_len", "response_body_len", "status_code")


def as_json(text: str, spelled: str = "id.", iso: bool = False) -> str:
    """The same lines of an http log as JSON."""
    made = []
    for one in text.splitlines():
        if one.startswith("#"):
            continue
        fields: dict[str, Any] = {k: v for k, v in zip(HTTP, one.split("\t"), strict=True) if v != "-"}
        fields.update({k: int(fields[k]) for k in NUMBERS if k in fields})
        fields["ts"] = "2026-01-01T00:00:00.250000Z" if iso else float(fields["ts"])
        if "resp_mime_types" in fields:
            fields["resp_mime_types"] = fields["resp_mime_types"].split(",")
        if spelled == "object":
            fields["id"] = {k[3:]: fields.pop(k) for k in list(fields) if k.startswith("id.")}
        else:
            fields = {k.replace("id.", spelled): v for k, v in fields.items()}
        made.append(json.dumps(fields))
    return "\n".join(made) + "\n"


TEXT = heading("http", HTTP) + "".join(
    http(
        host=host,
        uri=uri,
        method=method,
        user_agent='a "quoted" agent',
        status_code=status,
        resp_mime_types="a/b,c/d",
        referrer="http://r.example/é",
        response_body_len=5,
        request_body_len=6,
    )
    for host, uri, method, status in (
        ("a.example", "/x", "GET", 200),
        ("p.example", "http://b.example:81/y", "POST", 404),
        ("p.example", "c.example:443", "CONNECT", 200),
    )
)


@pytest.mark.parametrize("spelled", ["id.", "id_", "object"])
@pytest.mark.parametrize("iso", [False, True])
def test_json_lines_give_the_contacts_of_the_text_log(spelled: str, iso: bool) -> None:
    made = as_json(TEXT, spelled, iso)
    assert zeek.recognise(made.encode(), "http.log")
    assert read(zeek, made) == read(zeek, TEXT)
    assert read(zeek, made, 50, restart=True) == read(zeek, TEXT)


def test_one_stream_may_hold_several_logs() -> None:
    ends = {
        "id.orig_h": "10.0.0.5",
        "id.orig_p": 1,
        "id.resp_h": "1.2.3.4",
        "id.resp_p": 443,
        "ts": 1767225600.5,
    }
    lines = [
        {"_path": "conn", **ends, "proto": "tcp", "conn_state": "SF", "duration": 9.5e-07, "resp_pkts": 1},
        {"_path": "ssl", **ends, "server_name": "a.example"},
        {"_path": "weird", **ends, "name": "x"},
        {
            **ends,
            "uid": "C",
            "trans_id": 7,
            "query": "b.example",
            "qtype_name": "A",
            "answers": ["x.example", "9.9.9.9"],
        },
        {"_path": "quic", **ends, "server_name": "a.example", "client_initial_dcid": "00"},
    ]
    skipped = Skipped()
    rows = read(zeek, "\n".join(map(json.dumps, lines)), None, skipped)
    assert sorted(row["source"] for row in rows) == ["zeek-conn", "zeek-dns", "zeek-ssl"]
    by = {row["source"]: row for row in rows}
    assert by["zeek-conn"]["duration"] == 950 and by["zeek-dns"]["server"] == "9.9.9.9"
    assert skipped.passed == {"another log of Zeek: not of use here": 2}


def _text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


@pytest.mark.parametrize(
    ("name", "records", "aside"),
    [
        ("rita_valid_http", 27_204, 0),
        ("rita_proxy_http", 407, 0),
        ("rita_mh_day1_http", 9873, 0),
        ("rita_mh_day1_conn", 31_367, 0),
        ("rita_proxy_conn", 463, 0),
        ("rita_mh_day1_ssl", 43, 0),
        ("slips_test9_http", 516, 0),
        ("slips_test9_ssl", 205, 0),
        ("slips_test9_conn", 576, 0),
    ],
)
def test_every_line_of_real_logs_is_a_record(andon_data: Path, name: str, records: int, aside: int) -> None:
    skipped = Skipped()
    rows = read(zeek, _text(andon_data / "livenet" / "zeek" / f"{name}.log.gz"), 1 << 20, skipped)
    assert (len(rows), sum(skipped.passed.values()), skipped.lines) == (records, aside, 0)


def test_labelled_logs_have_columns_that_are_not_known_here(andon_data: Path) -> None:
    folder = andon_data / "livenet" / "zeek"
    assert len(read(zeek, _text(folder / "ctusme11_conn.log.labeled.gz"))) == 766
    assert len(read(zeek, _text(folder / "ctusme11_ssl.log.labeled.gz"))) == 2


@pytest.mark.skipif(which("awk") is None, reason="no awk here")
def test_contacts_of_the_c2_are_those_that_awk_counts(andon_data: Path, tmp_path: Path) -> None:
    """RITA's set of an explicit proxy: the host is in the URL of CONNECT."""
    text = _text(andon_data / "livenet" / "zeek" / "rita_proxy_http.log.gz")
    (tmp_path / "http.log").write_text(text)
    program = '!/^#/ { split($10, a, ":"); n[$3 " " ($8 == "CONNECT" ? a[1] : $9)]++ } '
    program += "END { for (k in n) print k, n[k] }"
    out = subprocess.run(
        ["awk", "-F\t", program, tmp_path / "http.log"], capture_output=True, check=True
    ).stdout
    expected = {tuple(row.split()[:2]): int(row.split()[2]) for row in out.decode().splitlines()}
    found = Counter((row["terminal"], row["host"]) for row in read(zeek, text))
    assert found == expected
    assert found[("10.136.0.18", "www.honestimnotevil.com")] == 397
    assert {row["server"] for row in read(zeek, text)} == {""}


@pytest.mark.skipif(which("jq") is None, reason="no jq here")
def test_bytes_by_host_are_those_that_jq_sums(andon_data: Path, tmp_path: Path) -> None:
    path = andon_data / "livenet" / "zeek" / "slips_test9_http.log.gz"
    (tmp_path / "http.json").write_bytes(gzip.decompress(path.read_bytes()))
    out = subprocess.run(
        [
            "jq",
            "-r",
            '[(.host // .["id.resp_h"] | ascii_downcase), .response_body_len] | @tsv',
            tmp_path / "http.json",
        ],
        capture_output=True,
        check=True,
    ).stdout.decode()
    expected: Counter[str] = Counter()
    for row in out.splitlines():
        host, size = row.split("\t")
        expected[host.partition(":")[0]] += int(size)
    found: Counter[str] = Counter()
    for contact in read(zeek, _text(path)):
        if contact["path"] != "" and contact["server"]:
            found[contact["host"]] += contact["bytes_in"]
    there = {host: size for host, size in found.items() if size}
    assert there and all(expected[host] >= size for host, size in there.items())
    direct = sum(size for host, size in found.items() if host in expected)
    assert direct == sum(found.values())
