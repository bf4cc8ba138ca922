"""Logs and lists that were made to break an analysis: it ends, says what it skipped, and its checks can be run."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from andon.observe.reputation import reputation
from andon.records.contract import Site
from andon.records.finding import Finding
from andon.run.batch import Analysis, analyze
from andon.run.results import write_results

T = 1_775_433_600  # 2026-04-06
NASTY = [
    "a'b", 'a"b', "a;b", "$(touch${IFS}x)", "`id`", "a\\b", "a|b&c", "x'; DROP TABLE livenet_edges_edges; --",
    "\x1b[2J", "a\x00b", "%00", "\u202egpj", "a\tb", "*", "*.evil.example", "..", "-rf", "\x7f\x85", "é", "[::1]",
    "{}", "\\x41", "1e400", "''", "\\'", "#", "'||'", "\udce9",
]  # fmt: skip
MOST = 400  # findings of one day of one engine, whatever comes
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e]")


def squid(at: float, client: str, url: str, user: str = "-", size: object = 4000) -> str:
    return f"{at:.3f} 120 {client} TCP_MISS/200 {size} GET {url} {user} HIER_DIRECT/198.51.100.9 text/html\n"


def zeek(at: float, client: str, host: str, path: str) -> str:
    row = {
        "ts": at,
        "uid": "C",
        "id.orig_h": client,
        "id.orig_p": 1,
        "id.resp_h": "198.51.100.9",
        "id.resp_p": 80,
    }
    more = {"trans_depth": 1, "method": "GET", "host": host, "uri": path, "user_agent": path}
    return json.dumps({**row, **more}) + "\n"


def written(path: Path, lines: list[str]) -> Path:
    path.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
    return path


def listed(folder: Path, text: bytes) -> pa.Table:
    path = folder / "black.txt"
    path.write_bytes(text)
    return reputation(path, "black")[0]


def found(paths: list[Path], folder: Path) -> Analysis:
    return analyze(paths, Site(reputation=listed(folder, b"bad.example\n")), threads=2)


def check_all(result: Analysis, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every finding is well-formed, and its checks give what they say; how many commands of a shell were run."""
    out = folder / "out"
    write_results(result, out, None)
    monkeypatch.chdir(out)
    before = sorted(out.rglob("*"))
    assert len(result.findings) <= MOST
    ran = 0
    for finding in result.findings:
        _plain(finding)
        for check in (item.check for item in finding.evidence if item.check):
            assert check.expected is not None and "\0" not in check.expression
            if check.tool == "sql":
                ((number,),) = duckdb.sql(check.expression).fetchall()
                assert number == check.expected
            elif ran < 25:
                done = subprocess.run(["sh", "-c", check.expression], capture_output=True, check=False)
                assert (done.returncode, done.stdout.count(b"\n")) == (0, check.expected), check.expression
                ran += 1
    assert sorted(out.rglob("*")) == before, "a check did something"
    return ran


def _plain(finding: Finding) -> None:
    text = "".join([finding.title, finding.statement, *(item.statement for item in finding.evidence)])
    assert not _CONTROL.search(text)
    assert json.loads(finding.to_json())["kind"] == finding.kind
    assert len(finding.to_json()) < 50_000


@pytest.mark.parametrize("form", ["squid", "zeek"])
def test_names_of_attackers_stay_text(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users, hosts and paths with what a shell, SQL, awk, jq or a terminal acts on; each polls a host of its own."""
    asked = []
    for number, text in enumerate(NASTY):
        client, start = f"10.0.0.{number + 1}", T + 36_000 + number
        for n in range(40):
            asked.append((start + 300 * n, client, f"c2{text}x.example", "/", f"u{text}"))
            asked.append(
                (start + 270 * n, client, f"site{(31 * number + 7 * n) % 90}.example", "/", f"u{text}")
            )
        asked.append((start, client, "bad.example", f"/{text}", f"u{text}"))
    asked.sort()
    if form == "squid":
        lines = [squid(at, client, f"http://{host}{path}", user) for at, client, host, path, user in asked]
    else:
        lines = [zeek(at, client, host.encode("utf-8", "replace").decode(), path.encode("utf-8", "replace").decode())
                 for at, client, host, path, _ in asked]  # fmt: skip
    result = found([written(tmp_path / "http.log", lines)], tmp_path)
    assert {"beacon", "flow-anomaly"} & {finding.kind for finding in result.findings}
    assert check_all(result, tmp_path, monkeypatch) > 10


def test_floods_of_names_end_in_few_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of hosts of one domain, of terminals, of users, and one terminal that asks for everything."""
    rng = random.Random(1)
    lines = []
    for n in range(4000):
        at = T + 86_400 * rng.random()
        lines += [
            squid(at, f"10.0.0.{n % 250}", f"http://{rng.getrandbits(60):x}.flood.example/"),
            squid(at, f"10.1.{n >> 8}.{n & 255}", "http://bad.example/"),
            squid(at, "10.2.0.1", f"http://{rng.getrandbits(60):x}.example/{rng.getrandbits(60):x}"),
            squid(at, "10.2.0.2", "http://www.example/", f"u{rng.getrandbits(60):x}"),
        ]
    result = found([written(tmp_path / "access.log", lines)], tmp_path)
    assert sum(len(finding.entities) for finding in result.findings) < 100_000
    check_all(result, tmp_path, monkeypatch)


def test_numbers_and_times_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ["-1", -(1 << 63), (1 << 63) - 1, "9" * 40, "NaN", "1e9", "-", 1 << 62]
    lines = [
        squid(T + 60 * n, "10.0.0.1", f"http://h{n % 3}.example/", size=sizes[n % 8]) for n in range(800)
    ]
    lines += [squid(at, "10.0.0.2", "http://bad.example/") for at in (1.0, 4e9, 9e17, -5.0)]
    lines += [squid(T, "10.0.0.3", f"http://h{n % 5}.example/") for n in range(500)]  # all at once
    lines += [
        squid(T + 80_000 - 5 * n, "10.0.0.4", f"http://h{n % 5}.example/") for n in range(500)
    ]  # backwards
    result = found([written(tmp_path / "access.log", lines)], tmp_path)
    (report,) = result.files
    assert report.error is None and report.records >= 1600 and report.skipped
    day = T // 86_400  # what ended at its first moment began on the day before
    assert {finding.window[0] // 86_400_000_000_000 for finding in result.findings} <= {day - 1, day}
    check_all(result, tmp_path, monkeypatch)


def test_files_that_are_no_logs_or_half_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(2)
    good = "".join(squid(T + n, f"10.0.0.{n % 9}", "http://bad.example/") for n in range(2000)).encode()
    packed = bytearray(gzip.compress(good))
    changed = packed.copy()
    changed[len(changed) // 2] ^= 255
    heading = b"#separator \\x09\n#path\thttp\n#fields\tts\tid.orig_h\thost\turi\n#types\ttime\taddr\tstring\tstring\n"
    elff = b"#Fields: date time c-ip cs-method cs-host cs-uri-stem sc-status\n"
    parts = [
        elff,
        b"2026-04-06 01:02:03 10.0.0.1 GET bad.example / 200\n",
        heading,
        good[:300],
        b'{"ts": 1}\n',
    ]
    contents = {
        "empty.log": b"", "feed.log": b"\n" * 1000, "zeek.log": heading, "elff.log": elff, "open.log": b"#fields",
        "binary.log": rng.randbytes(200_000), "zero.log": bytes(1 << 20), "deep.log": b"[" * 100_000 + b"\n",
        "line.log": b"a" * (3 << 20), "cut.log.gz": bytes(packed[:-1500]), "changed.log.gz": bytes(changed),
        "mixed.log": b"".join(parts) * 3, "zmixed.log": b"".join(reversed(parts)) * 3,
        "salted.log": b"\n".join(x if n % 3 else rng.randbytes(90) for n, x in enumerate(good.split(b"\n"))),
    }  # fmt: skip
    paths = []
    for name, content in contents.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    result = found(paths, tmp_path)
    known = {Path(report.path).name: report for report in result.files}
    assert known["salted.log"].records > 1200 and known["cut.log.gz"].records > 500
    assert known["binary.log"].error and known["deep.log"].error and not known["elff.log"].records
    assert {"infected-terminal", "input-damage"} <= {finding.kind for finding in result.findings}
    check_all(result, tmp_path, monkeypatch)


def test_a_list_of_junk_is_read_as_far_as_it_says_something(tmp_path: Path) -> None:
    rng = random.Random(3)
    junk = [rng.randbytes(40).replace(b"\n", b"") if n % 2 else NASTY[n % len(NASTY)].encode("utf-8", "replace")
            for n in range(20_000)]  # fmt: skip
    table = listed(tmp_path, b"\n".join([*junk, b"bad.example"]))
    assert table.num_rows <= len(junk)
    result = analyze(
        [written(tmp_path / "a.log", [squid(T, "10.0.0.1", "http://bad.example/")] * 9)],
        Site(reputation=table),
    )
    edges = pa.concat_tables(result.tables["livenet.edges:destinations"])
    assert edges["colour"].to_pylist() == ["black"]
