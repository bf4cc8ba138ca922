"""Captures of every kind of packet, and a store that has received them: what is compared."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa

from andon.observe import read
from andon.records.packet import SCHEMA
from andon.simulate.internet import InternetConfig, simulate
from andon.store.history import History
from andon.store.history_files import FileWriter
from andon.store.history_schema import to_stored
from andon.store.journal import Journal

SECOND = 10**9
START = int(datetime(2026, 1, 1, 23, 40, tzinfo=UTC).timestamp()) * SECOND
MIDNIGHT = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp()) * SECOND


def telescopes(folder: Path, packets: int = 30_000) -> list[Path]:
    """Two telescopes, half an hour each, overlapping, with midnight in it; and a trunk with tags and IPv6."""
    made = []
    for seed, prefix in ((1, "198.18.0.0/18"), (2, "203.0.0.0/18")):
        start = datetime(2026, 1, 1, 23, 35 + 5 * seed, tzinfo=UTC)
        config = InternetConfig(seed=seed, packets=packets, start=start, duration=1800, telescope=(prefix,))
        made.append(simulate(config, folder / f"sim{seed}").capture)
    return [*made, trunk(folder / "trunk.pcap")]


def trunk(path: Path, packets: int = 3_000) -> Path:
    """SYNs over IPv4 with one or two VLAN tags, half of them of a scanner with a mark, and SYNs over IPv6."""
    out = bytearray(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
    for n in range(packets):
        ts = START + n * 700_000_001
        dst = 0xC6120000 + n % 700
        tcp = struct.pack(
            ">HHIIBBHHH", 40_000 + n % 9, 23 + n % 3, dst if n % 2 else n, 0, 5 << 4, 2, 1024, 0, 0
        )
        if n % 5 == 4:
            ip = (
                struct.pack(">IHBB", 6 << 28, len(tcp), 6, 57)
                + bytes(15)
                + bytes([n % 7])
                + bytes(14)
                + b"\x01\x02"
            )
            kind = 0x86DD
        else:
            src = 0xC0000200 + n % 97
            ip = struct.pack(">BBHHHBBHII", 0x45, 0, 40, n % 65536, 0, 51, 6, 0, src, dst)
            kind = 0x0800
        tags = [struct.pack(">HH", 0x8100, 100 + n % 3)] * (1 + n % 2)
        frame = bytes(12) + b"".join(tags) + struct.pack(">H", kind) + ip + tcp
        out += struct.pack("<IIII", ts // SECOND, ts % SECOND, len(frame), len(frame)) + frame
    path.write_bytes(out)
    return path


def one_after_another(captures: Sequence[Path]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """As a folder is taken in: times go back where a file begins before the last one ended."""
    for path in captures:
        for batch in read(path):
            yield path.name, batch


def side_by_side(captures: Sequence[Path]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """As interfaces are taken in, with pieces of a second's size, each source out of step with the others."""

    def pieces(path: Path) -> Iterator[pa.RecordBatch]:
        for batch in read(path):
            for at in range(0, batch.num_rows, 700):
                yield batch.slice(at, 700)

    for turn in zip_longest(*(pieces(path) for path in captures)):
        yield from ((str(n), batch) for n, batch in enumerate(turn) if batch is not None)


def received(
    store: Path, batches: Iterator[tuple[str, pa.RecordBatch]], rows: int = 5_000, segments: int = 4
) -> History:
    """A store folder that has taken in the batches: ``rows`` in a segment, ``segments`` in a commit of its history."""
    journal, history = Journal(store / "journal"), History(store / "history")
    for source, batch in batches:
        for at in range(0, batch.num_rows, rows):
            journal.append(source, batch.slice(at, rows), {"at": at})
            if journal.pending_rows >= rows:
                journal.commit(MIDNIGHT)
                if journal.last - history.last_segment >= segments:
                    append(journal, history)
    journal.commit(MIDNIGHT)
    append(journal, history)
    return history


def append(journal: Journal, history: History) -> None:
    history.append(journal.segments(after=history.last_segment))
    journal.drop_through(history.last_segment)


def numbered(times: Sequence[int] | np.ndarray) -> pa.RecordBatch:
    """Packets of these times (ns); everything else of a row follows from its number."""
    n = np.arange(len(times), dtype=np.uint64)
    mixed = (n + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    arrays = []
    for field in SCHEMA:
        if field.name == "ts":
            arrays.append(pa.array(np.asarray(times, np.int64)).view(field.type))
        elif pa.types.is_fixed_size_binary(field.type):
            arrays.append(pa.array([int(x).to_bytes(16, "big") for x in mixed], field.type))
        else:
            arrays.append(pa.array(mixed.astype(field.type.to_pandas_dtype())))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def table_file(
    folder: Path, groups: Sequence[Sequence[int] | np.ndarray], date: str | None = "2026-01-01"
) -> Path:
    """A file as a history has them, with row groups of packets of these times."""
    writer = FileWriter(folder, date, 1)
    at = 0
    for times in groups:
        writer.write(to_stored(numbered(times), at))
        writer.flush()
        at += len(times)
    return folder / writer.close().path
