"""``read``: every column of every row is right, whatever the link type and the container."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from build import block, enhanced, ether, interface, ipv4, ipv6, pcap, section, tcp, udp
from reference import row as reference_row
from reference import rows as reference_rows

from andon.observe import NotACapture, read, sniff
from andon.records import packet


def table(data: bytes, columns: tuple[str, ...] | None = None) -> list[dict[str, object]]:
    made = pa.Table.from_batches(
        list(read(io.BytesIO(data), columns)), packet.SCHEMA if columns is None else None
    )
    if "ts" in made.column_names:
        made = made.set_column(made.column_names.index("ts"), "ts", made["ts"].cast(pa.int64()))
    return made.to_pylist()


FRAMES = [
    ether(ipv4(tcp())),
    ether(ipv4(tcp(options=bytes.fromhex("020405b4")))),
    ether(ipv4(tcp(options=bytes.fromhex("020405b40402080a11223344000000000103030a")))),
    ether(ipv4(tcp(options=bytes.fromhex("020405b40103030801010402")))),
    ether(ipv4(tcp(options=bytes.fromhex("0101080a1122334455667788")))),
    ether(ipv4(tcp(options=bytes.fromhex("0101010101010101010101010402080b")))),
    ether(ipv4(tcp(options=bytes.fromhex("02040578000000ff")))),
    ether(ipv4(tcp(options=bytes.fromhex("08ff0000")))),
    ether(ipv4(tcp())[:30]),
    ether(ipv4(udp(53, b"query"), 17)) + bytes(11),
    ether(ipv4(udp(53)[:5], 17)),
    ether(ipv4(bytes.fromhex("0301fcfe00000000"), 1)),
    ether(ipv4(b"\x08", 1)),
    ether(ipv4(tcp(), frag=0x2000)),
    ether(ipv4(tcp(), frag=0x00B9)),
    ether(ipv4(tcp(), frag=0x4000)),
    ether(ipv4(b"x" * 30, 50)),
    ether(ipv4(tcp()), tags=[(0x8100, 100)]),
    ether(ipv4(tcp()), tags=[(0x88A8, 7), (0x8100, 100), (0x9100, 9)]),
    ether(bytes.fromhex("000102030800") + ipv4(tcp()), 0x8926),
    ether(bytes.fromhex("00010140") + ipv4(tcp()), 0x8847),
    ether(bytes.fromhex("110000010016 0021") + ipv4(tcp()), 0x8864),
    ether(bytes.fromhex("aaaa030000000800") + ipv4(tcp()), 48),
    ether(ipv6(tcp()), 0x86DD),
    ether(ipv6(udp(53), 17), 0x86DD),
    ether(ipv6(bytes.fromhex("8000000000000000"), 58), 0x86DD),
    ether(ipv6(bytes.fromhex("2c00000000000000 060000010000abcd") + tcp(), 0), 0x86DD),
    ether(ipv6(bytes.fromhex("060000090000abcd") + b"later", 44), 0x86DD),
    ether(ipv6(bytes.fromhex("0604000000000001") + bytes(16) + tcp(), 51), 0x86DD),
    ether(bytes(28), 0x0806),
    ether(b"\x4f" + ipv4(tcp())[1:] + bytes(40)),
    ether(b"\x44" + ipv4(tcp())[1:]),
    ether(b"\x55" + ipv4(tcp())[1:]),
    ether(ipv4(tcp())[:18]),
    ether(b"")[:9],
    b"",
]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("snap", [65535, 54, 48, 34])
def test_every_column_agrees_with_the_reference_parser(order: str, nano: bool, snap: int) -> None:
    # Twice around, so that common packets follow uncommon ones and the other way round.
    data = pcap(FRAMES * 2 + [FRAMES[0]] * 40 + FRAMES, order=order, nano=nano, snap=snap)
    assert table(data) == reference_rows(data)


@pytest.mark.real_data
def test_every_column_agrees_with_the_reference_parser_on_real_captures(andon_data: Path) -> None:
    seen = 0
    folder = andon_data / "darknet-data"
    for path in sorted([*folder.glob("captures/*.pcap"), *folder.glob("formats/*.pcap")]):
        data = path.read_bytes()
        assert table(data) == reference_rows(data), path.name
        seen += 1
    assert seen > 30


@pytest.mark.parametrize(
    ("link", "header"),
    [
        (101, ""),
        (12, ""),
        (14, ""),
        (228, ""),
        (113, "0000 0001 0006 020000000001 0000 0800"),
        (276, "0800 0000 00000002 0001 00 06 020000000001 0000"),
        (0, "02000000"),
        (0, "00000002"),
        (108, "00000002"),
        (285, "020000000002 020000000001 dada 0000 c0180000 0800"),
    ],
)
def test_ipv4_is_found_behind_every_link_header(link: int, header: str) -> None:
    frame = bytes.fromhex(header) + ipv4(tcp(options=bytes.fromhex("020405b4")))
    data = pcap([frame], link)
    assert table(data) == reference_rows(data)
    assert table(data)[0]["dst_port"] == 23


@pytest.mark.parametrize(("link", "header"), [(229, ""), (101, ""), (0, "18000000"), (108, "0000001e")])
def test_ipv6_is_found_behind_link_headers(link: int, header: str) -> None:
    data = pcap([bytes.fromhex(header) + ipv6(tcp())], link)
    assert table(data) == reference_rows(data)
    assert table(data)[0]["layers"] == packet.IPV6 | packet.TCP


def test_what_gives_no_row_is_counted_by_name() -> None:
    frames = [ether(b"", kind) for kind in (0x0806, 0x8035, 0x88CC, 0x0027, 0x1234)]
    frames += [ether(ipv4(tcp())), b"short", ether(b"\x45"), ether(b"\x44" + bytes(30))]
    reader = read(io.BytesIO(pcap(frames)))
    assert sum(batch.num_rows for batch in reader) == 1
    assert reader.counts.packets == len(frames)
    assert reader.counts.rows == 1
    assert reader.counts.skipped == {
        "arp": 1,
        "rarp": 1,
        "lldp": 1,
        "802.3 llc": 1,
        "other ethertype": 1,
        "short frame": 1,
        "short ip header": 1,
        "bad ihl": 1,
    }


def test_an_unknown_link_type_is_counted_with_its_number() -> None:
    reader = read(io.BytesIO(pcap([b"abc"] * 3, link=195)))
    assert list(reader) == []
    assert reader.counts.skipped == {"unknown link type 195": 3}
    assert reader.link_types == [195]


def test_columns_come_in_the_order_asked_for_and_no_others() -> None:
    [batch] = read(io.BytesIO(pcap(FRAMES)), columns=["dst_port", "ts"])
    assert batch.schema.names == ["dst_port", "ts"]
    with pytest.raises(KeyError, match="no column 'dport'"):
        read(io.BytesIO(pcap([])), columns=["dport"])


@pytest.mark.parametrize("columns", [packet.CORE, None])
@pytest.mark.parametrize("reuse", [False, True])
def test_many_batches_hold_the_same_rows_as_one_by_one(
    columns: tuple[str, ...] | None, reuse: bool, tmp_path: Path
) -> None:
    frames = ([ether(ipv4(tcp(seq=i))) for i in range(500)] + [ether(ipv6(tcp(99)), 0x86DD)]) * 150
    path = tmp_path / "long.pcap"
    path.write_bytes(pcap(frames, start=0))
    at = 0
    for batch in read(path, columns, reuse):
        seconds = batch.column("ts").cast(pa.int64()).to_numpy() // 10**9
        here = np.arange(at, at + batch.num_rows)
        six = here % 501 == 500
        assert np.array_equal(seconds, here)
        assert np.array_equal(batch.column("tcp_seq").to_numpy(), np.where(six, 0x01020304, here % 501))
        if columns is None:
            flat = np.frombuffer(batch.column("src6").buffers()[1], dtype=np.uint8)[: 16 * batch.num_rows]
            assert np.array_equal(flat.reshape(-1, 16).any(axis=1), six)
        at += batch.num_rows
    assert at == len(frames)


def test_owned_batches_stay_as_they_are() -> None:
    frames = [ether(ipv4(tcp(seq=i))) for i in range(1000)] * 140
    batches = list(read(io.BytesIO(pcap(frames)), columns=["tcp_seq"]))
    assert len(batches) == 3
    together = np.concatenate([batch.column(0).to_numpy() for batch in batches])
    assert np.array_equal(together, np.tile(np.arange(1000), 140))


def test_pcapng_sections_turn_byte_order_link_type_and_clock() -> None:
    frame, raw = ether(ipv4(tcp(1))), ipv4(tcp(2))
    data = section("<") + interface(1) + interface(101, resolution=9, offset=100)
    data += enhanced(frame, 5_000_000) + enhanced(raw, 7, which=1)
    data += section(">") + interface(101, ">", resolution=0x80 | 10) + enhanced(raw, 3 << 9, ">")
    data += block(5, bytes(12), ">") + enhanced(raw, 1 << 10, ">", which=9)
    reader = read(io.BytesIO(data))
    [batch] = list(reader)
    assert batch.column("dst_port").to_pylist() == [1, 2, 2]
    assert batch.column("ts").cast(pa.int64()).to_pylist() == [5_000_000_000, 100_000_000_007, 1_500_000_000]
    assert reader.link_types == [1, 101]
    assert reader.counts.skipped == {"unknown interface": 1}
    assert not reader.damage


def test_pcapng_simple_and_old_packet_blocks() -> None:
    import struct

    frame = ether(ipv4(tcp(1)))
    simple = block(3, struct.pack("<I", len(frame)) + frame)
    old = block(2, struct.pack("<HHIIII", 0, 0, 0, 9, len(frame), len(frame)) + frame)
    [batch] = read(io.BytesIO(section() + interface() + simple + old))
    assert batch.column("ts").cast(pa.int64()).to_pylist() == [0, 9000]
    assert batch.column("cap_len").to_pylist() == [len(frame)] * 2


def test_what_is_no_capture_is_said_at_once(tmp_path: Path) -> None:
    for data in (b"", b"GET / HTTP/1.1\r\n", pcap([])[:20]):
        with pytest.raises(NotACapture):
            read(io.BytesIO(data))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.pcap")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


def test_sniff_says_what_a_file_is(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "x"
    for data, answer in (
        (pcap([]), "pcap"),
        (section(), "pcapng"),
        (gzip.compress(pcap([])), "pcap+gzip"),
        (b"\x1f\x8bnonsense", "unknown+gzip"),
        (b"ts\tuid\n", "unknown"),
        (b"", "unknown"),
    ):
        path.write_bytes(data)
        assert sniff(path) == answer


def test_the_reference_parser_itself_knows_a_syn() -> None:
    row = reference_row(1, 0, 54, ether(ipv4(tcp())))
    assert row is not None
    assert (row["src"], row["dst"], row["dst_port"], row["tcp_flags"]) == (0xC6336401, 0xCB007109, 23, 2)
