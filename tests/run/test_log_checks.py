"""Checks over raw logs: the command that a finding carries is run by a shell, and shows as many lines as it says."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lz4.frame
import pyarrow as pa
import pytest
import zstandard

from andon.observe.jsonlines import Skipped
from andon.observe.logs import Options, records
from andon.records.asset import ASSET
from andon.records.finding import Check, Evidence, Finding
from andon.run import log_checks
from andon.run.inputs import Inputs

# host, below: users and addresses that the lines are of
HOSTILE = [
    "x'$(touch${IFS}owned)'y",
    'a";system("touch-owned");"',
    "b`touch${IFS}owned`",
    "c;d|e&f",
    "*",
    "-n",
    "ü.example",
]
T0 = 1_767_605_400  # 2026-01-05T09:30:00Z


def squid(client: str, user: str, url: str, second: float = 0.0, method: str = "GET", took: int = 125) -> str:
    return (
        f"{T0 + second + took / 1000:.3f} {took:6d} {client} TCP_MISS/200 1024 {method} {url} {user} "
        "HIER_DIRECT/198.51.100.1 text/html\n"
    )


def combined(
    client: str, user: str, url: str, second: float = 0.0, method: str = "GET", took: int = 0
) -> str:
    time = f"[05/Jan/2026:18:{30 + int(second) // 60:02d}:{int(second) % 60:02d} +0900]"
    return f'{client} - {user} {time} "{method} {url} HTTP/1.1" 200 1024 "-" "Mo \\"x\\" y" TCP_MISS:HIER_DIRECT\n'


ELFF_HEAD = (
    "#Software: SGOS 6.7.1.1\n#Fields: date time time-taken c-ip cs-username cs-categories cs-method cs-uri-scheme "
    "cs-host cs-uri-port cs-uri-path cs-uri-query sc-status cs(User-Agent)\n"
)


def elff(client: str, user: str, url: str, second: float = 0.0, method: str = "GET", took: int = 0) -> str:
    scheme, _, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    path, mark, query = (slash + path).partition("?")
    return (
        f'2026-01-05 09:{30 + int(second) // 60:02d}:{int(second) % 60:02d} {took} {client} {user} "Search Engines; X" '
        f'{method} {scheme or "tcp"} {host or "-"} - {path or "-"} {mark + query or "-"} 200 "Mo (a b)"\n'
    )


FORMATS: dict[str, tuple[Callable[..., str], str]] = {
    "squid": (squid, ""), "combined": (combined, ""), "elff": (elff, ELFF_HEAD),
}  # fmt: skip
SHELLS = [shell for shell in ("/bin/sh", "/bin/bash") if Path(shell).exists()]


def finding(**asked: Any) -> Finding:
    return Finding(
        engine="livenet.test", engine_version=1, kind="suspected-terminal", title="t", statement="s", confidence=0.5,
        calibration="none", window=(0, 1), subject=("ipv4-addr", "192.0.2.1"), first_seen=0, last_seen=0, count=1,
        evidence=(Evidence("It asked.", Check("", 0.0, "log", json.dumps(asked))),),
    )  # fmt: skip


def written(text: str | bytes, path: Path) -> Path:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdCompressor().compress(data)
    elif path.suffix == ".lz4":
        data = lz4.frame.compress(data)
    path.write_bytes(data)
    return path


def counted(paths: list[Path], options: Options | None = None, **asked: Any) -> tuple[Evidence, ...]:
    (made,) = log_checks.count([finding(**asked)], Inputs.of(paths, options or Options()).records)
    return made.evidence


def shown(check: Check, folder: Path) -> int:
    """Lines that the command of a check prints, the same in every shell."""
    before = sorted(folder.iterdir())
    counts = set()
    for shell in SHELLS:
        done = subprocess.run([shell, "-c", check.expression], cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr
        counts.add(done.stdout.count(b"\n"))
    assert sorted(folder.iterdir()) == before, "the command did something"
    assert len(counts) == 1
    return counts.pop()


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_shows_what_was_counted(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line, head = FORMATS[form]
    text = head + "".join(
        [
            line("192.0.2.1", "-", "http://Evil.Example/a?b", 1),
            line("192.0.2.1", "-", "http://evil.example./", 2),
            line("192.0.2.1", "-", "http://evil.example:8080/a?b" if form != "elff" else "http://evil.example/a?b", 90),
            line("192.0.2.1", "-", "http://www.evil.example/a?b", 3),
            line("192.0.2.1", "-", "http://notevil.example/evil.example", 4),
            line("192.0.2.10", "-", "http://evil.example/", 5),
            line("192.0.2.1", "jdoe", "http://evil.example/", 6),
            line("192.0.2.7", "jdoe", "http://evil.example/", 7),
            line("2001:db8::1", "-", "http://[2001:db8::5]/x" if form != "elff" else "http://2001:db8::5/x", 8),
            line("192.0.2.3", "CORP\\\\joe", "http://evil.example/", 9),
            "garbage evil.example 192.0.2.1\n", "# evil.example\n", "\n",
        ]
    )  # fmt: skip
    Path("access.log").write_text(text, newline="")
    expected: list[tuple[dict[str, Any], int]] = [
        ({"terminal": "192.0.2.1", "destination": "evil.example"}, 3),
        ({"terminal": "192.0.2.1", "destination": "*.evil.example"}, 4),
        ({"terminal": "192.0.2.1", "destination": "*.example"}, 5),
        ({"terminal": "jdoe", "destination": "evil.example"}, 2),
        ({"terminal": "192.0.2.10", "destination": "evil.example"}, 1),
        ({"terminal": "2001:db8::1", "destination": "2001:db8::5"}, 1),
        ({"terminal": "192.0.2.1", "destination": "evil.example", "host_path": "/a?b"}, 2),
        ({"terminal": "192.0.2.1", "destination": "evil.example", "from": T0 + 2, "to": T0 + 90}, 1),
        ({"terminal": "192.0.2.1", "destination": "evil.example", "to": T0 + 2}, 1),
        ({"terminal": "192.0.2.1", "destination": "evil.example", "from": T0 + 90}, 1),
    ]
    # All at once, as the runner asks them.
    made = log_checks.count([finding(**asked) for asked, _ in expected], Inputs.of(["access.log"]).records)
    for (asked, number), one in zip(expected, made, strict=True):
        (evidence,) = one.evidence
        assert evidence.check is not None and evidence.check.tool == "awk", (asked, evidence)
        assert evidence.check.expected == number, (asked, evidence)
        assert evidence.check.input == ("access.log",)
        assert shown(evidence.check, tmp_path) == number, (asked, evidence.check.expression)


HTTP = (
    "ts",
    "uid",
    "id.orig_h",
    "id.resp_h",
    "id.resp_p",
    "trans_depth",
    "method",
    "host",
    "uri",
    "username",
)


def zeek_http(
    client: str, url: str, second: float = 0.0, method: str = "GET", user: str | None = None
) -> dict[str, Any]:
    """As a sensor before an explicit proxy sees it, or (without a scheme) before the server."""
    direct = "://" not in url and method != "CONNECT"
    host, _, path = url.partition("/")
    return {
        "ts": T0 + second, "uid": "C1", "id.orig_h": client, "id.resp_h": "198.51.100.9", "id.resp_p": 3128,
        "trans_depth": 1, "method": method, "host": host if direct else "x.example",
        "uri": f"/{path}" if direct else url, "username": user,
    }  # fmt: skip


def as_text(rows: list[dict[str, Any]]) -> str:
    lines = [
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\thttp",
    ]
    lines.append("\t".join(("#fields", *HTTP)))
    for row in rows:
        said = (f"{row[name]:.6f}" if name == "ts" else row[name] for name in HTTP)
        lines.append("\t".join("-" if value in (None, "") else str(value) for value in said))
    return "\n".join([*lines, "garbage evil.example", "#close\t2026", ""])


def as_json(rows: list[dict[str, Any]]) -> str:
    said = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return "".join(json.dumps(row) + "\n" for row in said) + '{"ts": broken evil.example\n'


def as_eve(rows: list[dict[str, Any]]) -> str:
    made = []
    for row in rows:
        whole, part = divmod(row["ts"], 1)
        time = f"2026-01-05T18:{30 + int(whole - T0) // 60:02d}:{int(whole - T0) % 60:02d}.{round(part * 1e6):06d}+0900"
        http = {"hostname": row["host"], "url": row["uri"], "http_method": row["method"]}
        made.append(
            {"timestamp": time, "event_type": "http", "src_ip": row["id.orig_h"], "src_port": 1, "proto": "TCP",
             "dest_ip": row["id.resp_h"], "dest_port": row["id.resp_p"], "http": http}
        )  # fmt: skip
    made.append({**made[0], "event_type": "fileinfo"})
    tls = {**made[0], "event_type": "tls", "tls": {"sni": "T.Example."}}
    del tls["http"]
    return "".join(json.dumps(row) + "\n" for row in [*made, tls]) + "{broken\n"


@pytest.mark.parametrize("form", ["zeek", "zeek-json", "eve"])
def test_lines_of_sensors_are_shown(form: str, tmp_path: Path) -> None:
    if form != "zeek" and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    write = {"zeek": as_text, "zeek-json": as_json, "eve": as_eve}[form]
    user = None if form == "eve" else "jdoe"
    rows = [
        zeek_http("192.0.2.1", "http://Evil.Example./a?b", 1.25),
        zeek_http("192.0.2.1", "evil.example:443", 2, "CONNECT"),
        zeek_http("192.0.2.1", "EVIL.example/a?b", 90),
        zeek_http("192.0.2.1", "http://u:p@www.evil.example:81/a?b", 3),
        zeek_http("192.0.2.10", "evil.example/", 4),
        zeek_http("192.0.2.1", "evil.example/x", 5, user="site-user"),  # of the site, not of the proxy
        zeek_http("192.0.2.2", "http://[2001:DB8::5]:81/x", 6),
        zeek_http("192.0.2.3", "http://evil.example/", 7, user=user),
        zeek_http("192.0.2.4", "x'$(touch${ifs}owned)'y`id`/p", 8),
        zeek_http("192.0.2.5", "/nowhere", 9),  # no Host field: the server
    ]
    path = written(write(rows), tmp_path / f"{form}.log.gz")
    expected: list[tuple[dict[str, Any], int]] = [
        ({"terminal": "192.0.2.1", "destination": "evil.example"}, 4),
        ({"terminal": "192.0.2.1", "destination": "*.evil.example"}, 5),
        ({"terminal": "192.0.2.10", "destination": "evil.example"}, 1),
        ({"terminal": "192.0.2.2", "destination": "2001:db8::5"}, 1),
        ({"terminal": user or "192.0.2.3", "destination": "evil.example"}, 1),
        ({"terminal": "192.0.2.4", "destination": "x'$(touch${ifs}owned)'y`id`"}, 1),
        ({"terminal": "192.0.2.5", "destination": "198.51.100.9"}, 1),
        ({"terminal": "192.0.2.1", "destination": "evil.example", "host_path": "/a?b"}, 2),
        ({"terminal": "192.0.2.1", "destination": "evil.example", "host_path": ""}, 1),
        ({"terminal": "192.0.2.1", "destination": "evil.example", "from": T0 + 1.25, "to": T0 + 5}, 2),
        ({"terminal": "192.0.2.1", "destination": "evil.example", "from": T0 + 1.251}, 3),
    ]
    if form == "eve":
        expected.append(({"terminal": "192.0.2.1", "destination": "t.example"}, 1))
    made = log_checks.count([finding(**asked) for asked, _ in expected], Inputs.of([path]).records)
    for (asked, number), one in zip(expected, made, strict=True):
        (evidence,) = one.evidence
        assert evidence.check is not None and evidence.check.expected == number, (asked, evidence)
        assert evidence.check.tool == ("awk" if form == "zeek" else "jq")
        assert shown(evidence.check, tmp_path) == number, (asked, evidence.check.expression)


def test_addresses_count_when_users_are_left_aside(tmp_path: Path) -> None:
    path = written(
        squid("192.0.2.1", "jdoe", "http://a.example/")
        + squid("192.0.2.1", "-", "a.example:443", 1, "CONNECT"),
        tmp_path / "a.log",
    )
    (evidence,) = counted([path], Options(terminal="address"), terminal="192.0.2.1", destination="a.example")
    assert evidence.check is not None and evidence.check.expected == 2 == shown(evidence.check, tmp_path)
    (evidence,) = counted([path], terminal="192.0.2.1", destination="a.example")
    assert evidence.check is not None and evidence.check.expected == 1 == shown(evidence.check, tmp_path)


@pytest.mark.parametrize(
    "user", ["CORP\\\\joe", "CORP%5cjoe", "j%20doe", "caf%C3%A9", "o'neil", "%24%28id%29"]
)
def test_names_of_users_as_proxies_write_them(user: str, tmp_path: Path) -> None:
    from andon.observe.logs.formatted import Formatted

    text = squid("192.0.2.1", user, "http://a.example/") + squid("192.0.2.1", "other", "http://a.example/")
    ((_, batch),) = Formatted("squid").read(text.encode(), Skipped())
    name = batch.column("user").to_pylist()[0]
    (evidence,) = counted([written(text, tmp_path / "a.log")], terminal=name, destination="a.example")
    assert evidence.check is not None
    if " " in name:  # fields of awk end at blanks
        assert evidence.check.tool == "sql"
    else:
        assert evidence.check.expected == 1 == shown(evidence.check, tmp_path)


@pytest.mark.parametrize("host", HOSTILE)
@pytest.mark.parametrize("form", FORMATS)
def test_no_host_name_escapes_from_the_command(form: str, host: str, tmp_path: Path) -> None:
    line, head = FORMATS[form]
    folder = tmp_path / "logs"
    folder.mkdir()
    path = written(
        head + line("192.0.2.1", "-", f"http://{host}/x") * 3 + line("192.0.2.1", "-", "http://b.example/"),
        folder / "a.log",
    )
    (evidence,) = counted([path], terminal="192.0.2.1", destination=host.lower())
    check = evidence.check
    assert check is not None
    if check.tool == "awk":
        assert check.expected == shown(check, folder) == 3
    else:  # "*" is no host, and in the combined format a quote ends the request
        assert host == "*" or (form == "combined" and '"' in host)


def test_no_name_of_a_file_escapes_from_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [
        "a b.log",
        "x=1",
        "-f",
        "$(touch owned)",
        "'; touch owned; '",
        "new\nline.log",
        "*.log",
        "a.log.gz",
        "-c.gz",
        "b.log.zst",
        "c.log.lz4",
    ]
    for name in names:
        written(squid("192.0.2.1", "-", "http://a.example/") * 2, Path(name))
    found = counted([Path(name) for name in names], terminal="192.0.2.1", destination="a.example")
    checks = [evidence.check for evidence in found]
    assert len(checks) == 4 and {name for check in checks if check for name in check.input} == set(names)
    for check in checks:
        assert check is not None and check.expected == 2 * len(check.input)
        tool = check.expression.removeprefix("LC_ALL=C ").split()[0]
        if shutil.which(tool):
            assert shown(check, tmp_path) == check.expected
    assert not Path("owned").exists()


def test_logs_of_several_formats_are_several_pieces_of_evidence(tmp_path: Path) -> None:
    paths = [
        written(squid("192.0.2.1", "-", "http://a.example/"), tmp_path / "1.log"),
        written(combined("192.0.2.1", "-", "http://a.example/") * 2, tmp_path / "2.log"),
        written(squid("192.0.2.1", "-", "http://a.example/") * 4, tmp_path / "3.log"),
        written(squid("192.0.2.2", "-", "http://a.example/") * 8, tmp_path / "4.log"),
        written(squid("192.0.2.1", "-", "http://b.example/") * 16, tmp_path / "5.log"),
    ]
    first, second = counted(paths, terminal="192.0.2.1", destination="a.example")
    assert first.check is not None and second.check is not None
    assert first.check.input == (str(paths[0]), str(paths[2])) and first.check.expected == 5 == shown(
        first.check, tmp_path
    )
    assert second.check.input == (str(paths[1]),) and second.check.expected == 2 == shown(
        second.check, tmp_path
    )
    assert "1 more file" in second.statement


def test_where_no_command_can_be_given_the_tables_are_asked(tmp_path: Path) -> None:
    path = written(squid("192.0.2.1", "-", "http://a'b.example/"), tmp_path / "1.log")
    asked = {"terminal": "192.0.2.1", "destination": "a'b.example"}
    assert [item.check.tool for item in counted([path], **asked) if item.check] == ["awk"]
    sql = (
        "SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM livenet_edges_edges "
        "WHERE terminal = '192.0.2.1' AND destination = 'a''b.example'"
    )
    mapping = Options(logformat="%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt")
    leased = pa.Table.from_pylist([{"address": "192.0.2.9"}], schema=ASSET)
    for found in (
        counted([path], Options(key=b"0" * 64), **asked),  # pseudonyms
        counted([path], mapping, **asked),  # a format of the operator's own
        counted([], **asked),  # a live source
    ):
        (evidence,) = found
        assert (
            evidence.check is not None and evidence.check.tool == "sql" and evidence.check.expression == sql
        )
        assert evidence.statement == "It asked. (counted over the tables of the span)"
    assert leased.num_rows == 1


def test_a_device_known_by_its_lease_is_not_in_the_log(tmp_path: Path) -> None:
    row = {
        name: []
        if pa.types.is_list(ASSET.field(name).type)
        else ""
        if ASSET.field(name).type == pa.string()
        else None
        for name in ASSET.names
    }
    leases = pa.Table.from_pylist([{**row, "address": "192.0.2.1", "hostname": "pc-7"}], schema=ASSET)
    path = written(squid("192.0.2.1", "-", "http://a.example/"), tmp_path / "1.log")
    (evidence,) = counted([path], Options(leases=leases), terminal="pc-7", destination="a.example")
    assert evidence.check is not None and evidence.check.tool == "sql"


@pytest.mark.parametrize(
    "expression",
    [
        "", "[]", "{}", '{"terminal": "a"}', '{"terminal": "a", "destination": 1}', "[" * 100_000,
        '{"terminal": "a", "destination": "b", "from": "x"}', '{"terminal": "a", "destination": "b", "or": 1}',
    ],
)  # fmt: skip
def test_a_check_that_is_none_is_dropped_and_said(expression: str) -> None:
    one = finding().with_evidence((Evidence("It asked.", Check("", 0.0, "log", expression)),))
    (made,) = log_checks.count([one], [])
    assert made.evidence == (Evidence("It asked. (not counted: no check over logs)"),)


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_of_a_packed_file_that_is_damaged_no_command_is_given(harm: str, tmp_path: Path) -> None:
    """Tools unpack more or less of it than the reader does, and leave out the files behind it."""
    path = written(
        "".join(squid("192.0.2.1", "-", f"http://a.example/{n}", n) for n in range(2000)),
        tmp_path / "a.log.gz",
    )
    whole = path.read_bytes()
    path.write_bytes(whole[:-4000] if harm == "cut" else whole[:-8] + bytes(4) + whole[-4:])
    (evidence,) = counted([path], terminal="192.0.2.1", destination="a.example")
    assert evidence.check is not None and evidence.check.tool == "sql"
    path.write_bytes(whole)
    (evidence,) = counted([path], terminal="192.0.2.1", destination="a.example")
    assert evidence.check is not None and evidence.check.expected == 2000 == shown(evidence.check, tmp_path)


@pytest.mark.parametrize("month", range(1, 13))
def test_times_hold_in_every_month(month: int, tmp_path: Path) -> None:
    begin = int(datetime(2026, month, 28, 9, 30, tzinfo=UTC).timestamp())
    line = elff("192.0.2.1", "-", "http://a.example/").replace("2026-01-05", f"2026-{month:02d}-28")
    other = line.replace("-28 09:30:00", "-28 09:31:00")
    path = written(ELFF_HEAD + line * 2 + other, tmp_path / "a.log")
    asked: dict[str, Any] = {"terminal": "192.0.2.1", "destination": "a.example"}
    (evidence,) = counted([path], **asked, **{"from": begin, "to": begin + 60})
    assert evidence.check is not None and evidence.check.expected == 2 == shown(evidence.check, tmp_path)


@pytest.mark.parametrize(
    ("user", "host", "path_of"),
    [
        (b"caf\xe9", b"a.example", b"x"),
        (b"u\0b", b"a.example", b"x"),
        (b"joe", b"a\xe9b.example", b"x"),
        (b"joe", b"a.example", b"caf\xe9"),
    ],
)
def test_bytes_that_are_no_text_make_no_command_wrong(
    user: bytes, host: bytes, path_of: bytes, tmp_path: Path
) -> None:
    line = squid("192.0.2.1", "USER", "http://HOST/PATH").encode()
    given = line.replace(b"USER", user).replace(b"HOST", host).replace(b"PATH", path_of)
    path = written(line.replace(b"HOST", b"b.example") + given * 3, tmp_path / "a.log")
    ((_, batch),) = records(path, Options(), Skipped())
    last = batch.to_pylist()[-1]
    (evidence,) = counted([path], terminal=last["terminal"], destination=last["host"])
    assert evidence.check is not None
    if path_of == b"x":
        assert evidence.check.tool == "sql"
    else:  # they are in nothing that was asked
        assert evidence.check.expected == 3 == shown(evidence.check, tmp_path)


def test_sql_for_a_terminal_and_a_destination_brings_the_lines_along(tmp_path: Path) -> None:
    line = squid("192.0.2.1", "-", "http://a'b.example/")
    path = written(line * 3 + squid("192.0.2.1", "-", "http://a'b.example/", 90_000), tmp_path / "access.log")
    sql = "SELECT count(*) FROM livenet_edges_edges WHERE terminal = '192.0.2.1' AND destination = 'a''b.example'"
    other = "SELECT count(*) FROM livenet_edges_edges WHERE terminal = '192.0.2.1' AND destination = 'none.example'"
    given = (Evidence("x", Check("", 0.0, "sql", sql)), Evidence("y", Check("", 0.0, "sql", other)))
    one = replace(finding(), evidence=given, window=(T0 * 10**9, (T0 + 86_400) * 10**9))
    (made,) = log_checks.count([one], Inputs.of([path]).records)
    assert made.evidence[:2] == given and len(made.evidence) == 3
    evidence = made.evidence[2]
    assert evidence.check is not None and evidence.check.expected == 3 == shown(evidence.check, tmp_path)
    assert log_checks.count([one], []) == [one]  # live
    assert log_checks.count([one], Inputs.of([path], Options(key=b"0" * 64)).records) == [one]


def test_other_checks_stay_as_they_are() -> None:
    one = finding().with_evidence((Evidence("x", Check("ip.ttl == 1", 0.0)), Evidence("y")))
    assert log_checks.count([one], []) == [one]
