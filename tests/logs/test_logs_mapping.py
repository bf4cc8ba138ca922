"""Formats that the operator gives: the mappings of the documentation work, and mistakes in one are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from logs_reading import accounted, read, rows_of

from andon.observe.logs import Options, custom, format_of
from andon.observe.logs.mapping import load, parse

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NFDUMP = b"""ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt
2026-01-05 00:30:00,2026-01-05 00:30:02,2.125,192.0.2.10,198.51.100.7, 50000,  443,TCP,...AP.SF,0,0,10,1200,8,9000
2026-01-05 00:30:00,2026-01-05 00:30:02,0.000,192.0.2.10,2001:DB8::7,0,8.0,ICMP6,........,0,0,1,84,0,0
Summary
flows,bytes,packets,avg_bps
"""
BASE: dict[str, Any] = {
    "format": "csv", "header": False, "columns": {"ts": 1, "address": 2, "url": 3},
}  # fmt: skip


def example(name: str) -> Options:
    return Options(mapping=EXAMPLES / f"logmap-{name}.toml")


def test_csv() -> None:
    rows, skipped, reader = read(
        b"\xef\xbb\xbfdate,time,client,user,verb,url,code,sent,received,ms,verdict,agent\r\n"
        b'2026-01-05,09:30:00,192.0.2.10,jdoe,GET,https://www.example/a?b=1,200,512,4096,35,allowed,"Mo (X, ""y"")"\r\n'
        b"2026-01-05,09:30:00,192.0.2.10,,CONNECT,www.example:443,200,512,4096,35,Blocked,\r\n"
        b"2026-01-05,09:30:00,192.0.2.10,too,few\r\n",
        example("csv"),
    )
    first, second = rows
    assert first["ts"].isoformat() == "2026-01-05T00:29:59.965000+00:00"  # of Japan, and less 35 ms
    assert (first["user"], first["agent"], first["refused"]) == ("jdoe", 'Mo (X, "y")', False)
    assert (second["via"], second["refused"], second["source"]) == ("tunnel", True, "gateway")
    assert skipped.reasons == {"does not fit the format": 1} and skipped.examples[0][0] == 4
    assert accounted(2, skipped, reader) == 4


def test_zscaler() -> None:
    rows, skipped, _ = read(
        b"<134>Jan  5 09:30:00 zscaler-nss: datetime=Mon Jan 05 09:30:00 2026\tuser=jdoe@example.org\t"
        b"ClientIP=192.0.2.10\thostname=www.example\tprotocol=HTTPS\turl=www.example/a/b?c=d\taction=Blocked\t"
        b"reason=Not allowed to browse this category\tstatus=403\trequestsize=10\tresponsesize=20\t"
        b'useragent="Mozilla/5.0 (\\"X\\")"\turlcategory=News and Media\n',
        example("zscaler"),
    )
    (row,) = rows
    assert not skipped.lines and row["ts"].isoformat() == "2026-01-05T09:30:00+00:00"
    assert (row["host"], row["scheme"], row["port"], row["path"]) == ("www.example", "https", 443, "/a/b?c=d")
    assert row["refused"] and row["agent"] == 'Mozilla/5.0 ("X")' and row["category"] == "News and Media"
    assert row["server"] == "" and row["mime"] == ""


def test_json_lines() -> None:
    rows, skipped, reader = read(
        b'{"@timestamp":"2026-01-05T00:30:00.125Z","client":{"ip":"192.0.2.10"},"user":{"name":"j\\u00e9\\ud83d\\ude00"},'
        b'"url":{"full":"https:\\/\\/www.example\\/a"},"event":{"duration":1500000,"outcome":"failure"},'
        b'"http":{"request":{"method":"GET","referrer":null},"response":{"status_code":200,"bytes":77}}}\n'
        b'\n{"@timestamp":"2026-01-05T00:30:00Z","client":{"ip":"192.0.2.10"},"url":{}}\nnot json\n{"a":',
        example("jsonl"),
    )
    (row,) = rows
    assert (row["user"], row["host"], row["path"], row["bytes_in"]) == ("jé😀", "www.example", "/a", 77)
    assert row["refused"] and row["referer"] == "" and row["duration"] == 1_500_000
    assert skipped.reasons == {"does not fit the format": 2} and [line for line, _ in skipped.examples] == [
        4,
        5,
    ]
    assert skipped.passed == {"requests without a destination": 1} and accounted(1, skipped, reader) == 5


def test_nfdump() -> None:
    rows, skipped, reader = read(NFDUMP, example("nfdump"))
    first, second = rows
    assert reader.kinds == ("flow",)
    assert (first["src"], first["dst"], first["src_port"], first["dst_port"]) == (
        "192.0.2.10", "198.51.100.7", 50000, 443,
    )  # fmt: skip
    assert (first["protocol"], first["duration"], first["answered"]) == ("tcp", 2_125_000_000, True)
    assert (first["bytes_out"], first["bytes_in"], first["packets_out"], first["packets_in"]) == (
        1200,
        9000,
        10,
        8,
    )
    assert (second["protocol"], second["dst"], second["dst_port"]) == ("ipv6-icmp", "2001:db8::7", -1)
    assert second["answered"] is False and second["terminal"] == "192.0.2.10"
    assert skipped.lines == 2 and accounted(2, skipped, reader) == 5


def test_flows_are_between_addresses() -> None:
    line = NFDUMP.splitlines()[1]
    more = b"".join(
        line.replace(b"198.51.100.7", other) + b"\n" for other in (b"host", b"1.2.3", b"", b"::1%eth0")
    )
    rows, skipped, _ = read(NFDUMP.splitlines()[0] + b"\n" + line + b"\n" + more, example("nfdump"))
    assert [row["dst"] for row in rows] == ["198.51.100.7", "::1%eth0"]
    assert skipped.reasons == {"not an address": 3}


def test_columns_by_number_constants_and_maps() -> None:
    given = parse(
        {
            "format": "csv", "separator": ";", "header": False, "source": "odd",
            "columns": {
                "ts": {"from": 1, "format": "epoch_ms"}, "address": 2, "url": 4, "method": {"value": "GET"},
                "mime": {"from": 3, "map": {"1": "text/html", "2": "text/html"}},
            },
        }
    )  # fmt: skip
    from andon.observe.logs.mapped import MappedLines

    rows, skipped, _ = rows_of(
        MappedLines(given, b""),
        b"1760000000125;192.0.2.1;1;http://a.example/;more\n1760000000125;192.0.2.1;2;http://b.example/\n"
        b"1760000000125;192.0.2.1;7;http://c.example/\n1;192.0.2.1\n",
    )
    assert [(row["host"], row["mime"], row["method"]) for row in rows] == [
        ("a.example", "text/html", "GET"), ("b.example", "text/html", "GET"), ("c.example", "7", "GET"),
    ]  # fmt: skip
    assert skipped.lines == 1 and rows[0]["source"] == "odd"


def test_a_format_that_is_given_goes_before_those_that_are_recognised() -> None:
    data = b"1760000000.000 192.0.2.1 - http://a.example/\n"
    assert format_of(data, "x.log", Options()) is None
    assert format_of(data, "x.log", Options(logformat="referrer")) is custom
    assert format_of(b"something else\n" * 9, "x.log", Options(logformat="referrer")) is None
    assert format_of(b"a,b\n1,2\n", "x.log", example("csv")) is None
    assert format_of(b"", "x.log", example("jsonl")) is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"format": "xml"}, "format is one of"),
        ({"kind": "packet"}, "kind is contact, flow or alert"),
        ({"typo": 1}, "'typo' is no key"),
        ({"separator": "--"}, "separator is one character"),
        ({"columns": {}}, "[columns] is missing"),
        ({"columns": {"ts": 1, "address": 2}}, "columns: host or sni or url is missing"),
        ({"columns": {"ts": 1, "url": 2}}, "columns: address or user is missing"),
        ({"columns": {"address": 1, "url": 2}}, "columns: ts is missing"),
        ({"columns": {"ts": 1, "address": 2, "url": 2}}, "given to two columns"),
        ({"columns": {"ts": 1, "address": 0, "url": 3}}, "a number from 1 on"),
        ({"columns": {"ts": 1, "address": "x", "url": 3}}, "a number from 1 on"),
        (
            {"columns": {"ts": 1, "address": 2, "url": 3, "colour": 4}},
            "columns.colour: no column of a contact",
        ),
        ({"columns": {"ts": {"from": 1, "format": "%Q"}, "address": 2, "url": 3}}, "columns.ts: time format"),
        ({"columns": {"ts": {"from": 1, "zone": "JST"}, "address": 2, "url": 3}}, "zone 'JST'"),
        ({"columns": {"ts": {"from": [1, 2]}, "address": 3, "url": 4}}, "columns.ts: one field"),
        ({"columns": {"ts": 1, "address": {"value": "x"}, "url": 3}}, "columns.address: who it was is read"),
        ({"columns": {"ts": 1, "address": {}, "url": 3}}, "columns.address: from is missing"),
        (
            {"columns": {"ts": 1, "address": 2, "url": 3, "duration": {"from": 4, "unit": "h"}}},
            "unit is one of",
        ),
    ],
)
def test_mistakes_in_a_mapping_are_told(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=re.escape(what)):
        parse({**BASE, **change})


def test_a_mapping_that_is_no_toml_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_bytes(b"format = \xff")
    with pytest.raises(ValueError, match=r"map\.toml"):
        load(path)


def test_a_field_that_the_header_lacks_is_told() -> None:
    with pytest.raises(ValueError, match="no field 'date'"):
        custom.lines(b"a,b,c\n", example("csv"), None)
