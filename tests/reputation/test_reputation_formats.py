"""Lists in the formats they come in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from andon.observe.reputation import TableError, list_name, merged, reputation
from andon.records.reputation import REPUTATION

DAY = 86_400 * 10**9


def _read(
    path: Path, text: str | bytes, colour: str | None = "black", name: str = "list.txt"
) -> list[dict[str, Any]]:
    file = path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    table, _ = reputation(file, colour)
    assert table.schema.equals(REPUTATION)
    added = table["added"].cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist()
    return [
        row | {"added": when}
        for row, when in zip(table.drop_columns("added").to_pylist(), added, strict=True)
    ]


def _short(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["value"], row["type"]) for row in rows]


def test_a_plain_list_holds_names_addresses_prefixes_and_urls(tmp_path: Path) -> None:
    text = """\ufeff# a comment
; another
Evil.Example.   # trailing
*.wild.example
.dot.example
192.0.2.7
192.0.2.7:8080
evil.example:81
198.51.100.0/24
2001:DB8::1
[2001:db8::2]:443
2001:db8::/32
http://Evil.Example/Path?Q=1#frag
bad.example/x
hxxp://evil[.]example/p
other[.]example
||blocked.example^
"""
    rows = _read(tmp_path, text)
    assert sorted((row["value"], row["type"], row["port"]) for row in rows) == sorted(
        [
            ("evil.example", "domain", -1), ("wild.example", "domain", -1), ("dot.example", "domain", -1),
            ("192.0.2.7", "address", -1), ("192.0.2.7", "address", 8080), ("evil.example", "domain", 81),
            ("198.51.100.0/24", "prefix", -1), ("2001:db8::1", "address", -1), ("2001:db8::2", "address", 443),
            ("2001:db8::/32", "prefix", -1), ("evil.example/Path?Q=1", "url", -1), ("bad.example/x", "url", -1),
            ("evil.example/p", "url", -1), ("other.example", "domain", -1), ("blocked.example", "domain", -1),
        ]
    )  # fmt: skip
    assert {(row["colour"], row["list"], row["added"], row["rank"]) for row in rows} == {
        ("black", "list", None, -1)
    }


def test_a_hosts_file_names_hosts_and_nothing_below_them(tmp_path: Path) -> None:
    text = "127.0.0.1 localhost\n::1 ip6-localhost\n0.0.0.0 ads.example tracker.example # two\n0.0.0.0 b.example\n"
    assert _short(_read(tmp_path, text)) == [
        ("ads.example", "host"), ("tracker.example", "host"), ("b.example", "host"),
    ]  # fmt: skip


@pytest.mark.parametrize("heading", ["", "GlobalRank,TldRank,Domain,TLD\n"])
def test_a_ranking_keeps_its_ranks(tmp_path: Path, heading: str) -> None:
    lines = (
        ["1,a.example", "2,b.example"] if not heading else ["1,1,a.example,example", "2,2,b.example,example"]
    )
    rows = _read(tmp_path, heading + "\r\n".join(lines), "white", "tranco_X.csv")
    assert [(row["value"], row["rank"], row["colour"], row["list"]) for row in rows] == [
        ("a.example", 1, "white", "tranco_X"), ("b.example", 2, "white", "tranco_X"),
    ]  # fmt: skip


def test_the_columns_of_abuse_ch_are_found_in_the_comment_above_them(tmp_path: Path) -> None:
    urlhaus = (
        "# Terms Of Use\n#\n# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter\n"
        '"1","2026-01-02 03:04:05","http://evil.example/i.sh","online","","malware_download","mozi","https://x","y"\n'
    )
    (row,) = _read(tmp_path, urlhaus, name="urlhaus.csv")
    assert (row["value"], row["type"], row["family"]) == ("evil.example/i.sh", "url", "malware_download")
    assert row["added"] == 1_767_323_045 * 10**9
    feodo = (
        '"first_seen_utc","dst_ip","dst_port","c2_status","malware"\n'
        '"2025-01-02 00:00:00","192.0.2.9","443","on","Emotet"\n'
    )
    (row,) = _read(tmp_path, feodo, name="feodo.csv")
    assert (row["value"], row["port"], row["family"], row["type"]) == ("192.0.2.9", 443, "Emotet", "address")


def test_a_table_may_say_colours_dates_and_families_and_gray_rows_are_left_out(tmp_path: Path) -> None:
    table = pa.table(
        {
            "host": ["a.example", "b.example", "c.example"],
            "seed": ["black", "gray", "white"],
            "date": ["2026-01-01", None, "2026-01-02T00:00:00Z"],
            "family": ["x", "y", None],
        }
    )
    file = tmp_path / "truth.parquet"
    pq.write_table(table, file)
    found, skipped = reputation(file)
    rows = found.drop_columns("added").to_pylist()
    assert [(row["value"], row["colour"], row["family"]) for row in rows] == [
        ("a.example", "black", "x"), ("c.example", "white", ""),
    ]  # fmt: skip
    assert skipped.lines == 0
    text = "host;colour;port\na.example;black;81\nb.example;gray;\n"
    assert [(row["value"], row["port"]) for row in _read(tmp_path, text, None, "own.csv")] == [
        ("a.example", 81)
    ]


def test_a_list_that_says_no_colour_needs_one(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="black or white"):
        _read(tmp_path, "evil.example\n", None)
    with pytest.raises(TableError, match="not 'red'"):
        reputation(tmp_path / "list.txt", "red")


def test_a_misp_event_gives_what_is_for_detection(tmp_path: Path) -> None:
    event = {
        "Event": {
            "info": "campaign", "date": "2026-01-01", "Tag": [{"name": 'misp-galaxy:malpedia="Emotet"'}],
            "Attribute": [
                {"type": "domain", "value": "evil.example", "to_ids": True, "timestamp": "1767225600"},
                {"type": "hostname", "value": "h.evil.example", "to_ids": True},
                {"type": "ip-dst|port", "value": "192.0.2.7|8080", "to_ids": True},
                {"type": "url", "value": "http://u.example/p", "to_ids": True},
                {"type": "domain", "value": "benign.example", "to_ids": False},
                {"type": "sha256", "value": "00", "to_ids": True},
            ],
            "Object": [{"Attribute": [{"type": "domain|ip", "value": "o.example|192.0.2.8", "to_ids": True}]}],
        }
    }  # fmt: skip
    for document in (event, {"response": [event]}, [event]):
        rows = _read(tmp_path, json.dumps(document), name="event.json")
        assert sorted((row["value"], row["type"], row["port"]) for row in rows) == [
            ("192.0.2.7", "address", 8080), ("evil.example", "domain", -1), ("h.evil.example", "host", -1),
            ("o.example", "domain", -1), ("u.example/p", "url", -1),
        ]  # fmt: skip
        assert {row["family"] for row in rows} == {"Emotet"}
        assert {row["added"] for row in rows} == {1_767_225_600 * 10**9}


def test_a_misp_feed_as_csv_is_read_by_its_heading(tmp_path: Path) -> None:
    text = (
        "uuid,event_id,category,type,value,comment,to_ids,date\n"
        'u1,1,"Network activity",domain,evil.example,"",1,1767225600\n'
        'u2,1,"Network activity",domain,shown.example,"",0,1767225600\n'
        'u3,1,"Network activity",ip-dst|port,192.0.2.7|99,"",1,1767225600\n'
    )
    rows = _read(tmp_path, text, name="feed.csv")
    assert [(row["value"], row["port"], row["added"]) for row in rows] == [
        ("evil.example", -1, 1_767_225_600 * 10**9), ("192.0.2.7", 99, 1_767_225_600 * 10**9),
    ]  # fmt: skip


def test_a_misp_warning_list_is_white(tmp_path: Path) -> None:
    document = {
        "name": "Top sites",
        "type": "hostname",
        "version": 20260101,
        "list": ["a.example", "192.0.2.0/24"],
    }
    rows = _read(tmp_path, json.dumps(document), None, "list.json")
    assert [(row["value"], row["type"], row["colour"], row["list"]) for row in rows] == [
        ("a.example", "domain", "white", "Top sites"), ("192.0.2.0/24", "prefix", "white", "Top sites"),
    ]  # fmt: skip
    with pytest.raises(TableError, match="regex"):
        _read(tmp_path, json.dumps(document | {"type": "regex"}), None, "list.json")


def test_of_a_stix_bundle_single_names_are_read_and_combinations_are_not(tmp_path: Path) -> None:
    def indicator(number: int, pattern: str, **more: Any) -> dict[str, Any]:
        return {
            "type": "indicator",
            "id": f"indicator--{number}",
            "pattern": pattern,
            "pattern_type": "stix",
        } | more

    bundle = {
        "type": "bundle",
        "objects": [
            {"type": "malware", "id": "malware--1", "name": "Emotet"},
            {"type": "relationship", "relationship_type": "indicates", "source_ref": "indicator--1",
             "target_ref": "malware--1"},
            indicator(1, "[domain-name:value = 'evil.example']", valid_from="2026-01-01T00:00:00Z"),
            indicator(2, "[ipv4-addr:value = '192.0.2.7' OR ipv4-addr:value = '192.0.2.8']"),
            indicator(3, "[url:value = 'http://u.example/it\\'s AND more']"),
            indicator(4, "[domain-name:value = 'a.example' AND file:name = 'x']"),
            indicator(5, "[domain-name:value = 'revoked.example']", revoked=True),
            indicator(6, "[domain-name:value = 'good.example']", indicator_types=["benign"]),
            indicator(7, "alert tcp any", pattern_type="snort"),
        ],
    }  # fmt: skip
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(bundle))
    table, skipped = reputation(file)
    rows = table.drop_columns("added").to_pylist()
    assert [(row["value"], row["colour"], row["family"]) for row in rows if row["type"] != "url"] == [
        ("evil.example", "black", "Emotet"), ("192.0.2.7", "black", ""), ("192.0.2.8", "black", ""),
        ("good.example", "white", ""),
    ]  # fmt: skip
    assert skipped.lines == 3
    assert table["added"].cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist()[0] == 1_767_225_600 * 10**9


def test_objects_and_lines_of_json_are_read(tmp_path: Path) -> None:
    rows = [{"ioc": "evil.example", "malware": "x", "first_seen": "2026-01-01"}, "other.example"]
    assert _short(_read(tmp_path, json.dumps(rows), name="a.json")) == [
        ("evil.example", "domain"), ("other.example", "domain"),
    ]  # fmt: skip
    lines = '{"domain": "evil.example"}\nnot json {\n{"domain": "other.example"}\n'
    assert len(_read(tmp_path, lines, name="a.jsonl")) == 2


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_compressed_lists_are_read_and_named_without_their_endings(tmp_path: Path, pack: Any) -> None:
    rows = _read(tmp_path, pack(b"evil.example\n"), name="mine.txt.gz")
    assert rows[0]["list"] == "mine" == list_name(Path("a/mine.csv.zst"))


def test_one_entry_in_a_list_twice_is_one_at_its_earliest_date(tmp_path: Path) -> None:
    rows = _read(
        tmp_path, "domain,date\na.example,2026-02-01\na.example,2026-01-01\nb.example,\n", name="l.csv"
    )
    assert [row["value"] for row in rows] == ["a.example", "b.example"]
    assert rows[0]["added"] == 1_767_225_600 * 10**9 and rows[1]["added"] is None


def test_several_lists_become_one_table(tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        (tmp_path / name).write_text("evil.example\n")
        tables.append(reputation(tmp_path / name, "black", name.upper())[0])
    both = merged(tables)
    assert both is not None and both["list"].to_pylist() == ["ONE", "TWO"] and merged([]) is None
