"""Lists as owners write them: encodings, headings, addresses, times, formats of scanners."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from andon.observe.assets import BadList, assets, recognise, said
from andon.observe.assets.devices import device_class
from andon.observe.assets.places import BadAddress, places
from andon.observe.assets.times import BadTime, when
from andon.observe.jsonlines import Skipped
from andon.records.asset import ASSET


def _rows(path: Path, **options: Any) -> list[dict[str, Any]]:
    table = assets(path, Skipped(), **options)
    assert table.schema.equals(ASSET)
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def _write(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp932"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters(tmp_path: Path, encoding: str, delimiter: str) -> None:
    lines = [
        ("資産番号", "ＩＰアドレス", "機器種別"),
        ("A1", "192.0.2.1", "録画装置"),
        ("A2", "１９２．０．２．２", "ルータ"),
    ]
    path = _write(tmp_path, "a.csv", "\r\n".join(delimiter.join(line) for line in lines), encoding)
    rows = _rows(path)
    assert [(row["asset"], row["address"], row["device"]) for row in rows] == [
        ("A1", "192.0.2.1", "DVR"), ("A2", "192.0.2.2", "Router"),
    ]  # fmt: skip
    assert recognise(path.read_bytes(), "a.csv") == "csv"


def test_one_bad_byte_does_not_make_a_utf8_list_cp932(tmp_path: Path) -> None:
    body = (
        "ip,機器種別,メーカー\n192.0.2.1,ネットワークカメラ,日本電気\n192.0.2.2,ルーター,".encode()
        + b"\xff\n"
    )
    rows = _rows(_write(tmp_path, "a.csv", body))
    assert [row["device"] for row in rows] == ["IP Camera", "Router"]
    assert rows[0]["vendor"] == "日本電気"


def test_compressed_lists_are_read(tmp_path: Path) -> None:
    body = b"ip,vendor\n192.0.2.1,Acme\n"
    for name, data in (("a.csv.gz", gzip.compress(body)), ("a.csv.zst", zstandard.compress(body))):
        path = _write(tmp_path, name, data)
        assert recognise(data, name) == "csv"
        assert _rows(path)[0]["vendor"] == "Acme"


def test_several_addresses_ranges_and_prefixes_in_a_cell(tmp_path: Path) -> None:
    body = 'asset,ip\nA,"192.0.2.1, 192.0.2.8-9\n198.51.100.0/25"\nB,2001:db8::1\nC,192.0.2.5/24\n'
    rows = _rows(_write(tmp_path, "a.csv", body))
    assert [(row["asset"], row["address"], row["last"] - row["first"]) for row in rows] == [
        ("A", "192.0.2.1", 0), ("A", "192.0.2.8-192.0.2.9", 1), ("A", "198.51.100.0/25", 127),
        ("B", "2001:db8::1", 0), ("C", "192.0.2.5", 0),
    ]  # fmt: skip
    assert (rows[3]["first"], rows[3]["last"]) == (-1, -1)


@pytest.mark.parametrize(
    "text", ["", "x", "192.0.2.300", "192.0.2.9-192.0.2.1", "0.0.0.0/0", "10.0.0.0/7", "192.0.2.1-", "01.2.3.4",
             "2001:db8::1-2001:db8::2", "1.2.3.4/33"],
)  # fmt: skip
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(BadAddress):
        places(text)


@given(st.text(max_size=60))
def test_whatever_stands_in_a_cell_is_an_address_or_an_error(text: str) -> None:
    try:
        found = places(text)
    except BadAddress:
        return
    assert all(-1 <= place.first <= place.last < 1 << 32 for place in found)


@given(
    st.one_of(
        st.text(max_size=40), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.integers())
    )
)
def test_whatever_stands_for_a_time_is_one_or_an_error(value: object) -> None:
    try:
        found = when(value)
    except BadTime:
        return
    assert found.ns is None or 0 <= found.ns < 4_102_444_800 * 10**9


@pytest.mark.parametrize(
    ("text", "ns", "zoned"),
    [
        ("2026-03-01T00:00:00.123456789Z", 1772323200123456789, True),
        ("2026/3/1 9:00", 1772355600000000000, False),
        ("２０２６年３月１日 ９時００分", 1772355600000000000, False),
        ("2026-03-01 09:00:00 JST", 1772323200000000000, True),
        ("2026-03-01T00:00:00-0530", 1772343000000000000, True),
        ("1772323200", 1772323200000000000, True),
        ("never", None, True),
    ],
)  # fmt: skip
def test_times(text: str, ns: int | None, zoned: bool) -> None:
    assert when(text) == (ns, zoned)


def test_words_for_devices() -> None:
    words = {"webcam": "IP Camera", "監視カメラ": "IP Camera", "NVR": "DVR", "storage-misc": "NAS", "無線ＡＰ": "WAP",
             "broadband router": "Broadband Router", "複合機": "Multifunction Device", "IOT": "", "不明": "",
             "Coffee Machine": "Coffee Machine"}  # fmt: skip
    assert {word: device_class(word) for word in words} == words


def test_leases_of_a_table_and_a_date_of_purchase(tmp_path: Path) -> None:
    body = "device,ip,lease start,lease end\nNAS,192.0.2.1,2026-03-01 00:00,2026-03-02 00:00\n"
    row = _rows(_write(tmp_path, "a.csv", body))[0]
    assert (row["basis"], row["valid_to"].isoformat()) == ("lease", "2026-03-02T00:00:00+00:00")
    body = "機器種別,IPアドレス,購入日\nルーター,192.0.2.1,令和三年\nルーター,192.0.2.2,2021年4月1日\n"
    table = assets(_write(tmp_path, "b.csv", body), Skipped())
    assert [row["basis"] for row in table.to_pylist()] == ["list", "list"]
    assert said(table)[1]["times that are none, left out"] == 1


def test_mapping_by_heading_and_by_number(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", "Kennung;Netz;Art\nX1;192.0.2.1;camera\n")
    with pytest.raises(BadList, match="--map"):
        assets(path, Skipped())
    row = _rows(path, mapping={"netz": "address", "Art": "device", "1": "asset"})[0]
    assert (row["asset"], row["address"], row["device"]) == ("X1", "192.0.2.1", "IP Camera")
    bare = _write(tmp_path, "b.csv", "192.0.2.1,DVR\n192.0.2.2,NAS\n")
    rows = _rows(bare, mapping={"1": "address", "2": "device"})
    assert [(row["address"], row["device"]) for row in rows] == [("192.0.2.1", "DVR"), ("192.0.2.2", "NAS")]
    with pytest.raises(BadList, match="no field"):
        assets(path, Skipped(), mapping={"Netz": "adress"})


def test_the_operators_word_for_the_owner_goes_before_the_lists(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.csv", "ip,vendor,owner\n192.0.2.1,Acme,Somebody Else\n")
    assert _rows(path)[0]["owner"] == "Somebody Else"
    row = _rows(path, owner="Bank")[0]
    assert (row["owner"], row["contact"]) == ("Bank", "Somebody Else")


def test_a_title_above_the_headings_and_comments(tmp_path: Path) -> None:
    body = "Inventory of the Bank,,\nas of 2026-03,,\n\nHost Name,IP Address (v4),Make\nfw1,192.0.2.1,Acme\n#x,y,z\n"
    rows = _rows(_write(tmp_path, "a.csv", body))
    assert [(row["hostname"], row["vendor"]) for row in rows] == [("fw1", "Acme")]


@pytest.mark.parametrize(
    "head",
    [
        b"", b"\x00\x01\x02", b"timestamp,auth_id,session_id,source_ip,source_port\n",
        b"cidr,organisation\n192.0.2.0/24,X\n",
        b'{"eventid": "cowrie.login.failed", "src_ip": "192.0.2.1"}\n', b"<html><body>x</body></html>", b"[1, 2",
        b"src_ip,dst_ip,vendor\n", b"ts,src,dst_port,fingerprint\n", b'{"id": "r1", "title": "t", "text": "x"}\n',
        b"\xa1\xb2\xc3\xd4" + bytes(20),
    ],
)  # fmt: skip
def test_what_is_no_asset_list_is_not_taken_for_one(head: bytes) -> None:
    assert recognise(head, "file") is None


@given(st.binary(max_size=300))
def test_recognising_never_fails(head: bytes) -> None:
    recognise(head, "file")


NMAP = """<?xml version="1.0"?><!DOCTYPE nmaprun><nmaprun scanner="nmap">
<host starttime="1772323200" endtime="1772323260"><status state="up"/><address addr="192.0.2.1" addrtype="ipv4"/>
<address addr="00:11:22:33:44:55" addrtype="mac" vendor="Acme"/><hostnames><hostname name="cam1.example"/></hostnames>
<ports><port protocol="tcp" portid="80"><state state="open"/>
<service name="http" product="Acme Cam 3" devicetype="webcam">
<cpe>cpe:/h:acme:cam_3</cpe></service><script id="banner" output="Server: x"/></port>
<port protocol="tcp" portid="81"><state state="closed"/></port></ports>
<os><osmatch name="Linux 3.X" accuracy="90"><osclass type="general purpose"/></osmatch></os></host>
<host><status state="down"/><address addr="192.0.2.2" addrtype="ipv4"/></host>
<host><status state="up"/><address addr="2001:db8::2" addrtype="ipv6"/></host>
"""


def test_nmap_with_and_without_its_end(tmp_path: Path) -> None:
    for end in ("</nmaprun>", "", "<host><status sta"):
        skipped = Skipped()
        table = assets(_write(tmp_path, "a.xml", NMAP + end), skipped)
        rows = table.to_pylist()
        assert [row["address"] for row in rows] == ["192.0.2.1", "2001:db8::2"]
        first = rows[0]
        assert (first["vendor"], first["product"], first["device"]) == ("Acme", "Cam 3", "IP Camera")
        assert (first["mac"], first["hostname"], first["os"]) == (
            "00:11:22:33:44:55",
            "cam1.example",
            "Linux 3.X",
        )
        assert [service["port"] for service in first["services"]] == [80]
        assert first["services"][0]["banner"] == "Server: x"
        assert skipped.reasons == {"host is down": 1}
        assert any("broken off" in text for text in said(table)[1]) == (end != "</nmaprun>")


def test_masscan_xml_and_json_with_its_trailing_comma(tmp_path: Path) -> None:
    xml = (
        '<?xml version="1.0"?><!-- masscan v1.3 scan --><nmaprun scanner="masscan"><host endtime="1772323200">'
        '<address addr="192.0.2.1" addrtype="ipv4"/><ports><port protocol="tcp" portid="23"><state state="open"/>'
        '<service name="telnet" banner="BCM96318 Broadband Router&#13;&#10;Login:"/></port></ports></host></nmaprun>'
    )
    row = _rows(_write(tmp_path, "a.xml", xml))[0]
    assert (row["device"], row["product"]) == ("Router", "BCM96318")
    assert "from the banner" in row["source"]
    body = (
        '[\n{"ip": "192.0.2.1", "timestamp": "1772323200", "ports": [{"port": 80, "proto": "tcp"}]},\n'
        '{"ip": "192.0.2.1", "timestamp": "1772323260", "ports": [{"port": 22, "status": "open"}]},\n]\n'
    )
    path = _write(tmp_path, "a.json", body)
    assert recognise(body.encode(), "a.json") == "masscan-json"
    rows = _rows(path)
    assert [service["port"] for service in rows[0]["services"]] == [80, 22]
    assert len(rows) == 1


def test_shodan_services_of_one_address_are_one_asset(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"ip_str": "192.0.2.1", "port": 22, "timestamp": "2026-03-01T00:00:00", "data": "SSH-2.0-x"},
        {"ip_str": "192.0.2.1", "port": 80, "transport": "tcp", "timestamp": "2026-03-03T00:00:00",
         "data": "HTTP/1.1 200 OK\r\nServer: Hikvision-Webs\r\n", "_shodan": {"module": "http"}},
        {"ip_str": "192.0.2.1", "port": 80, "transport": "tcp", "timestamp": "2026-06-03T00:00:00", "data": ""},
    ]  # fmt: skip
    rows = _rows(_write(tmp_path, "a.json", "\n".join(map(json.dumps, lines))))
    assert [(len(row["services"]), row["vendor"]) for row in rows] == [(2, "Hikvision"), (1, "")]
    assert (rows[0]["valid_from"].day, rows[0]["valid_to"].day) == (1, 3)


def test_a_banner_that_names_another_vendor_is_left_alone(tmp_path: Path) -> None:
    line = {"ip_str": "192.0.2.1", "port": 80, "timestamp": "2026-03-01T00:00:00Z", "data": "Server: Hikvision-Webs",
            "_shodan": {"module": "http"}, "cpe23": ["cpe:2.3:h:acme:cam:*:*:*:*:*:*:*:*"],
            "product": "cam"}  # fmt: skip
    row = _rows(_write(tmp_path, "a.json", json.dumps(line)))[0]
    assert (row["vendor"], row["device"]) == ("ACME", "")
    without = _rows(tmp_path / "a.json", recog=False)[0]
    assert without["source"].endswith("line 1")


def test_censys_of_the_platform_and_a_pretty_printed_array(tmp_path: Path) -> None:
    host = {"host": {"ip": "192.0.2.7", "services": [{"port": 443, "protocol": "HTTP", "transport_protocol": "tcp",
            "scan_time": "2026-03-01T00:00:00Z",
            "hardware": [{"vendor": "Acme", "product": "Cam", "part": "h", "type": ["camera"]}]}],
            "dns": {"names": ["cam.example"]}}}  # fmt: skip
    path = _write(tmp_path, "a.json", json.dumps([host, host], indent=2))
    assert recognise(path.read_bytes(), "a.json") == "censys"
    rows = _rows(path)
    assert len(rows) == 2
    assert (rows[0]["device"], rows[0]["hostname"], rows[0]["basis"]) == ("IP Camera", "cam.example", "scan")


def test_parquet_goes_round(tmp_path: Path) -> None:
    table = assets(_write(tmp_path, "a.csv", "ip,vendor\n192.0.2.1,Acme\n"), Skipped())
    pq.write_table(table, tmp_path / "a.parquet")
    again = assets(tmp_path / "a.parquet", Skipped(), owner="Bank")
    assert again.drop_columns(["owner"]).equals(table.drop_columns(["owner"]))
    assert again["owner"].to_pylist() == ["Bank"]
    pq.write_table(pa.table({"x": [1]}), tmp_path / "b.parquet")
    assert recognise((tmp_path / "b.parquet").read_bytes(), str(tmp_path / "b.parquet")) is None
