"""What awk and jq print of Zeek's logs are the lines that were counted, whatever hosts are called."""

from __future__ import annotations

import gzip
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from test_zeek_json import as_json
from zeek_files import HTTP, heading, http, line, read

from andon.observe.jsonlines import Skipped
from andon.observe.logs import Options, zeek
from andon.observe.logs.shows import Where
from andon.run.log_checks import command

DNS = ("ts", "id.orig_h", "id.resp_h", "id.resp_p", "trans_id", "query", "qtype", "qtype_name")
SSL = ("ts", "id.orig_h", "id.resp_h", "id.resp_p", "cipher", "server_name")


def state_of(text: str) -> Any:
    reader = zeek.lines(text.encode()[:65_536], Options(), None)
    for _ in reader.read(text.encode(), Skipped()):
        pass
    return reader.state()


def printed(path: Path, text: str, where: Where) -> int | None:
    """Lines that the program prints; None if there is none, or its tool is not here."""
    made = zeek.shows(where, state_of(text))
    if made is None:
        return None
    tool, program = made
    if which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    path.write_text(text)
    run = subprocess.run(
        ["/bin/sh", "-c", command(tool, program, "", [str(path)])], capture_output=True, check=True
    )
    assert not run.stderr, run.stderr
    return run.stdout.count(b"\n")


def pairs(rows: Iterable[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((row["terminal"], row["host"]) for row in rows if "host" in row)


HOSTS = (
    "a.example",
    "b.a.example",
    "xa.example",
    "A.EXAMPLE.",
    "2001:db8::5",
    "x'\"$(id)\\.example",
    "[::1]:80",
    "-",
    "(empty)",
)
TEXT = heading("http", HTTP) + "".join(
    http(host=host, uri=uri, method=method, id_orig_h=client, ts=f"17672256{n:02}.5")
    for n, host in enumerate(HOSTS)
    for client in ("192.0.2.1", "192.0.2.11")
    for method, uri in (("GET", "/x"), ("GET", f"http://{host}:81/y?z"), ("CONNECT", "c.example:443"), ("OPTIONS", "*"))
)  # fmt: skip
MORE = (
    heading("dns", DNS)
    + "".join(
        line(DNS, ts="1767225600", id_orig_h="192.0.2.1", id_resp_h="9.9.9.9", id_resp_p=port, trans_id=1, query=query,
             qtype_name=kind, qtype=number)
        for query in ("a.example", "B.a.example.", "host", "x.local", "1.2.0.192.in-addr.arpa")
        for port, kind, number in ((53, "A", 1), (5353, "A", 1), (53, "PTR", 12))
    )
    + heading("ssl", SSL)
    + "".join(
        line(SSL, ts="1767225600", id_orig_h="192.0.2.1", id_resp_h="198.51.100.7", id_resp_p=443, cipher="x",
             server_name=n)
        for n in ("a.example", "-", "A.example.")
    )
)  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json", "object"])
def test_every_pair_is_counted_as_it_was_read(tmp_path: Path, form: str) -> None:
    plain = TEXT.replace("(empty)", "").replace("\\.", ".").replace('"', "")
    text = TEXT + MORE if form == "text" else as_json(plain, "object" if form == "object" else "id.")
    found = pairs(read(zeek, text))
    assert len(found) > 10
    for (terminal, host), count in found.items():
        shown = printed(tmp_path / "x.log", text, Where(terminal, "address", host))
        assert shown == (None if "\\" in host else count), (terminal, host)
    below = sum(
        n
        for (terminal, host), n in found.items()
        if terminal == "192.0.2.1" and f".{host}".endswith(".a.example")
    )
    assert (
        printed(tmp_path / "x.log", text, Where("192.0.2.1", "address", "a.example", below=True)) == below > 5
    )


@pytest.mark.parametrize("form", ["text", "json"])
def test_times_and_paths_narrow_it_down(tmp_path: Path, form: str) -> None:
    text = TEXT + MORE if form == "text" else as_json(TEXT.replace("(empty)", ""))
    rows = [row for row in read(zeek, text) if row["terminal"] == "192.0.2.1"]
    for path in ("/x", "/y?z", "", "/none"):
        expected = sum(row["host"] == "a.example" and row["path"] == path for row in rows)
        assert (
            printed(tmp_path / "x.log", text, Where("192.0.2.1", "address", "a.example", path=path))
            == expected
        )
    start, end = 1_767_225_601_000_000_000, 1_767_225_604_000_000_000
    expected = sum(row["host"] == "c.example" and start <= row["ts"] < end for row in rows)
    where = Where("192.0.2.1", "address", "c.example", start=start, end=end)
    assert printed(tmp_path / "x.log", text, where) == expected == 3


def test_what_cannot_be_told_has_no_program() -> None:
    assert zeek.shows(Where("192.0.2.1", "address", "ä.example"), state_of(TEXT)) is None
    assert zeek.shows(Where("192.0.2.1", "address", "a.example", path="/" * 3000), state_of(TEXT)) is None
    other = heading("http", HTTP, " ").replace("\t", " ") + http(host="a.example").replace("\t", " ")
    assert zeek.shows(Where("192.0.2.1", "address", "a.example"), state_of(other)) is None


def test_lines_that_are_no_json_stop_nothing(tmp_path: Path) -> None:
    text = '{"cut\n[]\n7\n' + as_json(TEXT.replace("(empty)", ""))
    expected = pairs(read(zeek, text))["192.0.2.1", "c.example"]
    assert printed(tmp_path / "x.log", text, Where("192.0.2.1", "address", "c.example")) == expected > 5


@pytest.mark.parametrize(
    "name", ["rita_proxy_http", "rita_proxy_dns", "rita_mh_day1_ssl", "slips_test9_http", "slips_test9_dns"]
)
def test_real_logs(andon_data: Path, tmp_path: Path, name: str) -> None:
    text = gzip.decompress((andon_data / f"livenet/zeek/{name}.log.gz").read_bytes()).decode()
    found = pairs(read(zeek, text))
    for (terminal, host), count in found.most_common(4) + found.most_common()[-3:]:
        assert printed(tmp_path / "x.log", text, Where(terminal, "address", host)) == count, (terminal, host)
