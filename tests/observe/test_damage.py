"""Damaged and hostile captures: counted, resynchronised, never a crash, a hang or much memory."""

from __future__ import annotations

import io
import random
import struct
import tarfile
import time
from pathlib import Path

import pytest
from build import block, enhanced, ether, interface, ipv4, ipv6, pcap, section, tcp, udp
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.observe import NotACapture, read
from andon.observe.count import count

FRAMES = [ether(ipv4(tcp(seq=i))) for i in range(300)]
RECORD = 70


def seqs(data: bytes) -> tuple[list[int], list[tuple[int, int, bool]]]:
    reader = read(io.BytesIO(data), columns=["tcp_seq"])
    got = [seq for batch in reader for seq in batch.column(0).to_pylist()]
    return got, [(d.offset, d.skipped, d.bounded) for d in reader.damage]


def test_reading_goes_on_behind_garbage_and_says_where_and_how_much() -> None:
    data = pcap(FRAMES)
    at = 24 + 100 * RECORD
    garbage = random.Random(1).randbytes(5000)
    got, damage = seqs(data[:at] + garbage + data[at:])
    assert got == list(range(300))
    assert damage == [(at, 5000, True)]


def test_an_absurd_length_costs_one_record() -> None:
    data = bytearray(pcap(FRAMES))
    at = 24 + 50 * RECORD
    data[at + 8 : at + 12] = b"\xff\xff\xff\x7f"
    got, damage = seqs(bytes(data))
    assert got == [i for i in range(300) if i != 50]
    assert damage == [(at, RECORD, True)]


def test_a_length_that_swallows_good_records_gives_them_back() -> None:
    data = bytearray(pcap(FRAMES))
    at = 24 + 50 * RECORD
    data[at + 8 : at + 12] = struct.pack("<I", 54 + 1000)
    got, _ = seqs(bytes(data))
    assert sorted(set(got)) == list(range(300))


def test_big_endian_and_nanosecond_captures_resynchronise_too() -> None:
    data = pcap(FRAMES, order=">", nano=True)
    at = 24 + 10 * RECORD
    assert seqs(data[:at] + b"\xee" * 99 + data[at:]) == (list(range(300)), [(at, 99, True)])


def test_a_pcapng_resynchronises_at_a_block() -> None:
    head = section() + interface()
    blocks = [enhanced(frame, i) for i, frame in enumerate(FRAMES[:20])]
    data = head + b"".join(blocks[:5]) + b"\xab" * 77 + b"".join(blocks[5:])
    got, damage = seqs(data)
    assert got == list(range(20))
    assert damage == [(len(head) + sum(map(len, blocks[:5])), 77, True)]


def test_the_hole_that_a_crash_leaves_is_not_a_million_packets() -> None:
    data = pcap(FRAMES)
    got, damage = seqs(data + bytes(1 << 20))
    assert got == list(range(300))
    assert damage == [(len(data), 1 << 20, False)]


def test_garbage_without_end_is_passed_in_a_moment() -> None:
    noise = random.Random(2).randbytes(1 << 20) * 12
    begin = time.process_time()
    got, [(offset, skipped, bounded)] = seqs(pcap(FRAMES) + noise)
    assert len(got) == 300
    assert (offset, skipped, bounded) == (24 + 300 * RECORD, 12 << 20, False)
    assert time.process_time() - begin < 5


def test_fractions_of_a_second_and_more_are_taken_and_counted() -> None:
    data = bytearray(pcap(FRAMES[:3]))
    data[24 + RECORD + 4 : 24 + RECORD + 8] = struct.pack("<I", 1_500_000)
    reader = read(io.BytesIO(bytes(data)), columns=["ts"])
    [batch] = list(reader)
    assert reader.bad_fractions == 1
    assert batch.column(0).cast("int64").to_pylist()[1] == 1_600_000_002_500_000_000


def test_the_end_inside_a_record_is_said() -> None:
    reader = read(io.BytesIO(pcap(FRAMES)[:-10]))
    assert sum(batch.num_rows for batch in reader) == 299
    assert reader.stopped == "end of input inside a record"
    assert (reader.damage[0].offset, reader.damage[0].skipped) == (24 + 299 * RECORD, RECORD - 10)


@pytest.mark.parametrize("size", [0, 4, 8, 11, 13, 1 << 24, 0xFFFFFFFC, 0x7FFFFFFF])
def test_pcapng_blocks_of_impossible_length_end_quickly(size: int) -> None:
    for kind in (0x0A0D0D0A, 1, 6, 0x0BAD):
        bad = struct.pack("<II", kind, size) + bytes(64)
        data = section() + interface() + enhanced(FRAMES[0], 1) + bad
        reader = read(io.BytesIO(data))
        assert sum(batch.num_rows for batch in reader) == 1
        assert reader.damage


def test_pcapng_options_that_loop_or_overrun_are_harmless() -> None:
    for options in (b"\x09\0\0\0" * 8, b"\x09\0\xff\xff", b"\x0e\0\x01\0\0\0\0\0", b"\0\0\0\0" * 4, b"\x09"):
        bad = block(1, struct.pack("<HHI", 1, 0, 0) + options)
        [batch] = read(io.BytesIO(section() + bad + enhanced(FRAMES[0], 1)), columns=["ts"])
        assert batch.num_rows == 1


@pytest.mark.real_data
def test_all_malformed_captures_are_read_and_counted_in_time(andon_data: Path) -> None:
    files = 0
    with tarfile.open(andon_data / "darknet-data" / "malformed.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            data = file.read()
            files += 1
            begin = time.process_time()
            try:
                reader = read(io.BytesIO(data))
            except NotACapture as error:
                assert str(error)
                continue
            rows = sum(batch.num_rows for batch in reader)
            counted = count(io.BytesIO(data))
            assert rows == reader.counts.rows
            assert reader.stopped
            assert counted["packets"] == reader.counts.packets
            assert time.process_time() - begin < 10, member.name
    assert files == 126


BASES = [
    pcap(
        [
            ether(ipv4(tcp(options=bytes.fromhex("020405b40402080a11223344000000000103030a")))),
            ether(ipv4(udp(4789, bytes.fromhex("0800000000000500") + ether(ipv4(tcp()))), 17)),
            ether(ipv4(udp(2152, bytes.fromhex("34ff003000000001 00000085 01100500") + ipv4(tcp())), 17)),
            ether(ipv4(udp(3544, bytes.fromhex("00010404") + bytes(20) + ipv6(tcp())), 17)),
            ether(ipv4(udp(1701, bytes.fromhex("4a020020000200010002ff030021") + ipv4(tcp())), 17)),
            ether(ipv4(bytes.fromhex("b0008847 00000000 00000001 00000002 0001e140") + ipv4(tcp()), 47)),
            ether(ipv4(bytes.fromhex("4000080000000000 0800 0404 c0000201 00000000") + ipv4(tcp()), 47)),
            ether(ipv4(bytes.fromhex("0301000000000000") + ipv4(tcp()), 1), tags=[(0x8100, 3), (0x88A8, 4)]),
            ether(
                ipv6(bytes.fromhex("2b000104 00000000 2c000000 00000000 0600 0001 00000007") + tcp(), 0),
                0x86DD,
            ),
            ether(ipv6(bytes.fromhex("0600 0009 00000007") + b"x" * 32, 44), 0x86DD),
            ether(bytes.fromhex("0fc60101000001ff") + bytes(16) + ipv4(tcp()), 0x894F),
            ether(bytes.fromhex("aaaa030000000800") + ipv4(tcp()), 60),
        ]
        * 4,
        link,
    )
    for link in (1, 101, 113, 276, 0, 9, 104, 285)
] + [
    section()
    + interface()
    + b"".join(enhanced(frame, i) for i, frame in enumerate(FRAMES[:30]))
    + section(">")
]


def exercise(data: bytes) -> None:
    try:
        reader = read(io.BytesIO(data))
    except NotACapture:
        return
    rows = 0
    for batch in reader:
        batch.validate(full=True)
        rows += batch.num_rows
    counted = count(io.BytesIO(data))
    assert rows == reader.counts.rows
    assert counted["packets"] == reader.counts.packets == rows + sum(reader.counts.skipped.values())
    assert counted["ipv4"] + counted["ipv6"] + sum(counted["skipped"].values()) >= counted["packets"]
    assert reader.stopped == counted["stopped"] != ""
    assert reader.offset == len(data) or reader.stopped


@pytest.mark.parametrize("seed", range(8))
def test_damaged_bytes_anywhere_are_survived(seed: int) -> None:
    rng = random.Random(seed)
    begin = time.process_time()
    for _ in range(150):
        data = bytearray(rng.choice(BASES))
        for _ in range(rng.choice((1, 2, 8, 60))):
            at = rng.randrange(len(data))
            change = rng.randrange(5)
            if change == 0:
                data[at] ^= 1 << rng.randrange(8)
            elif change == 1:
                data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", bytes(4), b"\0\0\4\0", rng.randbytes(4)))
            elif change == 2:
                del data[at : at + rng.randrange(40)]
            elif change == 3:
                data[at:at] = rng.randbytes(rng.randrange(40))
            else:
                data[at] = rng.randrange(256)
            if not data:
                break
        exercise(bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data))
    assert time.process_time() - begin < 20


@given(
    st.binary(max_size=200),
    st.sampled_from([1, 101, 113, 276, 0, 9, 50, 51, 104, 229, 281, 285, 109, 11, 10]),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_may_be_a_frame(frame: bytes, link: int) -> None:
    exercise(pcap([frame, frame[: len(frame) // 2]], link))


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_may_follow_a_header(tail: bytes) -> None:
    exercise(pcap([]) + tail)
    exercise(section() + interface() + tail)
