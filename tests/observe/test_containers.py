"""Compressed captures, pipes, and input that ends early."""

from __future__ import annotations

import gzip
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from build import ether, ipv4, pcap, tcp

from andon.observe import NotACapture, read

DATA = pcap([ether(ipv4(tcp(seq=i))) for i in range(20_000)])
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": lz4.frame.compress,
}
pack = pytest.mark.parametrize("pack", PACK.values(), ids=PACK)


def rows(stream: io.BytesIO) -> tuple[int, str]:
    reader = read(stream, columns=["ts"])
    return sum(batch.num_rows for batch in reader), reader.stopped


@pack
def test_compressed_reads_as_plain(pack: Callable[[bytes], bytes]) -> None:
    assert rows(io.BytesIO(pack(DATA))) == (20_000, "end of input")


@pack
def test_members_in_a_row_read_as_one(pack: Callable[[bytes], bytes]) -> None:
    parts = pack(DATA[:1000]) + pack(b"") + pack(DATA[1000:500_000]) + pack(DATA[500_000:])
    assert rows(io.BytesIO(parts)) == (20_000, "end of input")


@pack
def test_a_cut_stream_gives_what_could_be_read_and_says_so(pack: Callable[[bytes], bytes]) -> None:
    whole = pack(DATA)
    reader = read(io.BytesIO(whole[: len(whole) * 3 // 4]), columns=["ts"])
    got = sum(batch.num_rows for batch in reader)
    assert 5_000 < got < 20_000
    assert "cut" in reader.stopped
    assert "cut" in reader.damage[0].what


@pack
def test_foreign_bytes_behind_the_stream_are_reported_and_cost_nothing(
    pack: Callable[[bytes], bytes],
) -> None:
    got, stopped = rows(io.BytesIO(pack(DATA) + b"and then something else"))
    assert got == 20_000
    assert "follows the compressed data" in stopped


@pack
def test_a_corrupt_stream_ends_with_a_message(pack: Callable[[bytes], bytes]) -> None:
    whole = bytearray(pack(DATA))
    middle = len(whole) // 2
    whole[middle : middle + 64] = os.urandom(0) + bytes(range(64))
    reader = read(io.BytesIO(bytes(whole)), columns=["ts"])
    assert sum(batch.num_rows for batch in reader) <= 20_000
    assert reader.stopped
    assert reader.damage or reader.stopped == "end of input"


@pack
def test_a_compression_bomb_costs_time_not_memory(pack: Callable[[bytes], bytes]) -> None:
    import tracemalloc

    bomb = pack(DATA[:24] + bytes(64 << 20))
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    reader = read(io.BytesIO(bomb), columns=["ts"])
    assert list(reader) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20
    assert reader.damage[0].skipped == 64 << 20


@pack
def test_a_few_bytes_of_a_compressed_stream_are_no_capture(pack: Callable[[bytes], bytes]) -> None:
    for n in (3, 4, 11):
        with pytest.raises(NotACapture):
            read(io.BytesIO(pack(DATA)[:n]))


@pytest.mark.parametrize("piece", [1, 7, 4096, 1 << 20])
def test_a_pipe_that_gives_its_bytes_in_pieces_reads_as_the_file(piece: int, tmp_path: Path) -> None:
    data = DATA if piece > 100 else DATA[:20_000]
    receive, send = os.pipe()

    def write() -> None:
        with os.fdopen(send, "wb", buffering=0) as out:
            for at in range(0, len(data), piece):
                out.write(data[at : at + piece])

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(receive, "rb", buffering=0) as stream:
        reader = read(stream, columns=["tcp_seq"])
        seqs = [seq for batch in reader for seq in batch.column(0).to_pylist()]
    writer.join()
    assert seqs == list(range(len(seqs)))
    assert len(seqs) == (len(data) - 24) // 70


def test_records_on_the_border_of_two_chunks_and_windows_are_whole(tmp_path: Path) -> None:
    frame = ether(ipv4(tcp()))
    records = pcap([frame] * 1000)[24:]
    data = pcap([]) + records * 600
    path = tmp_path / "big.pcap"
    path.write_bytes(data)
    for source in (path, io.BytesIO(data)):
        reader = read(source, columns=["ts"], reuse=True)
        assert sum(batch.num_rows for batch in reader) == 600_000
        assert not reader.damage
        assert reader.offset == len(data)


def test_a_stream_stays_open_for_its_owner() -> None:
    stream = io.BytesIO(DATA)
    list(read(stream, columns=["ts"]))
    assert not stream.closed
