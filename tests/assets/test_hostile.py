"""Files that somebody made to do harm, and files that are merely broken: an error or a counted skip, never more."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from andon.observe.assets import BadList, assets
from andon.observe.assets.rows import LONGEST, LONGEST_BANNER
from andon.observe.jsonlines import Skipped

LAUGHS = '<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a0 "ha">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
)


def _read(path: Path) -> tuple[list[dict[str, object]], Skipped]:
    skipped = Skipped()
    return assets(path, skipped).to_pylist(), skipped


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS + "]><nmaprun><host><address addr='192.0.2.1' addrtype='ipv4'/>&a11;</host></nmaprun>",
        '<!DOCTYPE nmaprun [<!ENTITY x SYSTEM "file:///etc/hostname">]><nmaprun><host>&x;</host></nmaprun>',
        '<!DOCTYPE nmaprun SYSTEM "http://192.0.2.1/x.dtd"><nmaprun><host>&x;</host></nmaprun>',
        "<nmaprun>" + "<a>" * 10_000,
    ],
)  # fmt: skip
def test_entities_and_depth_are_refused(tmp_path: Path, body: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(body)
    rows, skipped = _read(path)
    assert rows == []
    assert skipped.lines == 1


def test_a_gigantic_attribute_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    with path.open("w") as out:
        out.write("<nmaprun><host><address addr='192.0.2.1' addrtype='ipv4'/><ports><port x='")
        for _ in range(60):
            out.write("A" * (1 << 20))
    tracemalloc.start()
    rows, skipped = _read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == []
    assert skipped.lines == 1
    assert peak < 40 << 20


def test_zero_bytes_gigantic_cells_and_unclosed_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as out:
        out.write(b"ip,vendor\n192.0.2.1,A\n192.0.2.2,B\0B\n192.0.2.3," + b"x" * 200_000 + b"\n192.0.2.4,C\n")
        out.write(b"192.0.2.5," + b"y" * (3 << 20) + b"\n192.0.2.6,D\n192.0.2.7,9.9.9.9\n")
    rows, skipped = _read(path)
    assert [row["address"] for row in rows] == ["192.0.2.1", "192.0.2.4", "192.0.2.6", "192.0.2.7"]
    assert skipped.reasons == {
        "zero byte in the line": 1, "cell longer than 128 KiB": 1, "line longer than 1 MiB": 1,
    }  # fmt: skip
    path.write_text('ip,vendor\n192.0.2.1,A\n"192.0.2.2,B\n192.0.2.3,C\n')
    rows, skipped = _read(path)
    assert [row["address"] for row in rows] == ["192.0.2.1"]
    assert skipped.lines == 2


def test_long_texts_are_cut_and_control_characters_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        f"ip,vendor,banner,port\n192.0.2.1,\x1b[31m{'v' * 9000},{'b' * 9000},80\n", encoding="utf-8"
    )
    rows, _ = _read(path)
    assert len(str(rows[0]["vendor"])) == LONGEST
    assert "\x1b" not in str(rows[0]["vendor"])
    assert len(rows[0]["services"][0]["banner"]) == LONGEST_BANNER  # type: ignore[index]


def test_bad_lines_are_counted_with_their_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "asset,ip,lease_start,lease_end\nA,192.0.2.9-192.0.2.1,,\nB,,,\nC,192.0.2.1,2026-02-30,2026-03-01\n"
        "D,192.0.2.1,2026-03-02,2026-03-01\nE,192.0.2.1,2026-03-01,2026-03-02\n"
    )
    rows, skipped = _read(path)
    assert [row["asset"] for row in rows] == ["E"]
    assert skipped.lines == 4
    reasons = " | ".join(skipped.reasons)
    for part in ("runs backwards", "none given", "no time", "ends before it begins"):
        assert part in reasons


def test_broken_json_costs_only_itself(tmp_path: Path) -> None:
    good = json.dumps({"ip": "192.0.2.1", "services": []})
    path = tmp_path / "a.jsonl"
    deep = '{"ip": "192.0.2.3", "services": ' + "[" * 100_000 + "]" * 100_000 + "}"
    big = '{"ip": "192.0.2.4", "services": [], "x": 1' + "0" * 6000 + "}"
    path.write_text(
        "\n".join([good, '{"ip": "192.0.2.2", "services": [', deep, big, "null", good, '{"ip": "192.'])
    )
    rows, skipped = _read(path)
    assert [row["address"] for row in rows] == ["192.0.2.1", "192.0.2.1"]
    assert skipped.lines >= 4
    path.write_text(good + "\n" + json.dumps({"ip": ["x"] * 3, "services": [1, None, {"port": "x"}]}) + "\n")
    rows, skipped = _read(path)
    assert len(rows) == 1
    assert skipped.lines == 1


def test_a_cut_compressed_file_gives_what_is_there(tmp_path: Path) -> None:
    import gzip

    body = "ip,vendor\n" + "".join(f"192.0.2.{n},V{n * 7919}\n" for n in range(1, 255))
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(body.encode())[:-400])
    rows, skipped = _read(path)
    assert 0 < len(rows) < 254
    assert "the gzip stream is cut" in skipped.reasons


def test_what_is_no_list_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\x00\xff" * 5000)
    with pytest.raises(BadList, match="not an asset list"):
        assets(path, Skipped())
    path.write_text("")
    with pytest.raises(BadList):
        assets(path, Skipped())
    with pytest.raises(OSError, match="No such file"):
        assets(tmp_path / "missing", Skipped())
