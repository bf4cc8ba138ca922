"""Segments as messages and back; messages that nobody should have sent."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from bus_machines import numbered
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from andon.records.kinds import ALERT, HONEYPOT_SESSION, KINDS, marked
from andon.records.packet import SCHEMA
from andon.run.bus.message import MOST_RAW, Message, Part, Refused, Rows, decode, encode
from andon.run.bus.split import ROWS, messages
from andon.run.live.records import Kept
from andon.store.journal import Journal
from andon.store.journal_segment import Segment

EPOCH = "0" * 32
SOURCES = {"tap": ("packet",), "pot": (HONEYPOT_SESSION,)}
PART = Part(
    "tokyo", EPOCH, 5, 10, 100, True, 1010, 1_790_000_000_000_000_000, held=(Rows("tap", numbered(0, 100)),),
    sources=SOURCES, events=({"type": "heartbeat", "source": "tap", "time": 77},),
)  # fmt: skip


def read(message: Message) -> Part:
    return decode(message.key, message.value, message.headers)


def sessions(rows: int, text: str = "x") -> pa.RecordBatch:
    schema = KINDS[HONEYPOT_SESSION].schema
    columns = []
    for one in schema:
        if pa.types.is_string(one.type) or pa.types.is_large_string(one.type):
            columns.append(pa.array([text] * rows, one.type))
        elif one.nullable:
            columns.append(pa.nulls(rows, one.type))
        elif pa.types.is_nested(one.type):
            columns.append(pa.array([[]] * rows, one.type))
        elif pa.types.is_fixed_size_binary(one.type):
            columns.append(pa.array([bytes(one.type.byte_width)] * rows, one.type))
        elif pa.types.is_binary(one.type):
            columns.append(pa.array([b""] * rows, one.type))
        elif pa.types.is_boolean(one.type):
            columns.append(pa.array([False] * rows))
        else:
            columns.append(pa.array(np.zeros(rows, np.int64)).cast(one.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def segment(folder: Path, *batches: pa.RecordBatch, records: int = 0) -> Segment:
    journal = Journal(folder / "journal")
    for batch in batches:
        journal.append("tap", batch, {})
    for _ in range(records):
        journal.event(
            {"type": "records", "source": "pot", "kind": HONEYPOT_SESSION, "rows": 1, "promise": 99}
        )
    journal.event({"type": "heartbeat", "source": "tap", "time": 5})
    made = journal.commit(clock=7)
    assert made is not None
    return made


def test_a_part_comes_back_as_it_was() -> None:
    back = read(encode(PART))
    assert back.held[0].batch.equals(PART.held[0].batch) and back.held[0].source == "tap"
    assert replace(back, held=()) == replace(PART, held=())


@pytest.mark.parametrize("limit", [20_000, 900_000])
def test_a_segment_is_cut_to_the_brokers_limit_and_comes_back(tmp_path: Path, limit: int) -> None:
    random = np.random.default_rng(1)
    packets = numbered(0, 6000)
    noise = packets.set_column(7, SCHEMA[7], pa.array(random.integers(0, 1 << 32, 6000).astype(np.uint32)))
    pots = [Kept("pot", n == 1, marked(sessions(20), HONEYPOT_SESSION)) for n in range(2)]
    sent = list(messages(segment(tmp_path, noise, records=2), pots, "tokyo", EPOCH, SOURCES, limit))
    parts = [read(one.message) for one in sent]
    assert all(len(one.message.value) <= limit for one in sent)
    assert [part.end for part in parts] == [False] * (len(parts) - 1) + [True]
    at = 0
    for part in parts:
        assert part.first == at
        at += part.count
    rows = [one for part in parts if part.kind == "packet" for one in part.held]
    assert pa.Table.from_batches([one.batch for one in rows]).equals(pa.Table.from_batches([noise]))
    kept = [one for part in parts if part.kind == HONEYPOT_SESSION for one in part.held]
    assert sum(one.batch.num_rows for one in kept) == 40
    assert [one.promise for one in kept] == [99, 99] and [one.forgeable for one in kept] == [False, True]
    assert parts[-1].events == ({"type": "heartbeat", "source": "tap", "time": 5},)
    assert (len(parts) > 2) == (limit < 900_000)


def test_a_record_that_no_message_can_hold_leaves_its_place(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(33, 126, 60_000).astype(np.uint8).tobytes().decode()
    large = [Kept("pot", False, marked(sessions(1, noise), HONEYPOT_SESSION))]
    *_, last = messages(segment(tmp_path, numbered(0, 10), records=1), large, "tokyo", EPOCH, SOURCES, 20_000)
    part = read(last.message)
    assert (last.left_out, part.first, part.count, part.rows, part.end) == (1, 10, 1, 0, True)
    assert part.events


def test_a_segment_of_events_alone_is_small(tmp_path: Path) -> None:
    (sent,) = messages(segment(tmp_path), [], "tokyo", EPOCH, SOURCES, 900_000)
    assert len(sent.message.value) < 600
    assert read(sent.message).events[0]["time"] == 5


def test_parts_have_no_more_rows_than_a_reader_takes(tmp_path: Path) -> None:
    (one, two) = messages(segment(tmp_path, numbered(0, ROWS + 1)), [], "tokyo", EPOCH, SOURCES, 16 << 20)
    assert (one.rows, two.rows) == (ROWS, 1)


# Hostile and damaged messages


def with_headers(message: Message, **changed: object) -> Message:
    said = dict(message.headers) | {f"andon.{name}": str(value).encode() for name, value in changed.items()}
    return Message(message.key, message.value, tuple(said.items()))


def with_value(message: Message, value: bytes) -> Message:
    return with_headers(Message(message.key, value, message.headers), crc=isal_zlib.crc32(value))


def packed(
    schema: pa.Schema, batches: list[pa.RecordBatch], about: object, custom: dict[str, str] | None = None
) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema.with_metadata({"andon.bus": json.dumps(about)})) as writer:
        for batch in batches:
            writer.write_batch(batch, custom_metadata={"source": "tap"} if custom is None else custom)
    return zstandard.compress(sink.getvalue())


ABOUT = {"sources": {"tap": ["packet"]}, "events": []}
GOOD = encode(PART)
NULLS = numbered(0, 100).set_column(1, pa.field("src", pa.uint32()), pa.nulls(100, pa.uint32()))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message(GOOD.key, GOOD.value, ()), "no headers"),
        (with_headers(GOOD, schema="andon.bus/2"), "another version"),
        (Message(b"osaka", GOOD.value, GOOD.headers), "key is not its sensor"),
        (with_headers(GOOD, sensor="../../etc"), "no name"),
        (with_headers(GOOD, epoch="x"), "no name"),
        (with_headers(GOOD, kind="secret"), "kind of record"),
        (with_headers(GOOD, segment="-1"), "no number"),
        (with_headers(GOOD, row="9" * 19), "no number"),
        (with_headers(GOOD, rows=10**9, count=10**9), "too many rows"),
        (with_headers(GOOD, rows=99), "contradict"),
        (with_headers(GOOD, rows=99, count=99), "other rows"),
        (with_headers(GOOD, rows=101, count=101), "other rows"),
        (Message(GOOD.key, GOOD.value[:-1], GOOD.headers), "checksum"),
        (with_value(GOOD, b"not zstd"), "not compressed"),
        (with_value(GOOD, zstandard.compress(b"not Arrow")), "Arrow stream is damaged"),
        (with_value(GOOD, zstandard.compress(bytes(MOST_RAW + 1))), "too large unpacked"),
        (with_value(GOOD, packed(SCHEMA, [], ABOUT)), "other rows"),
        (with_value(GOOD, packed(SCHEMA, [numbered(0, 100)], [1])), "what it is about"),
        (with_value(GOOD, packed(SCHEMA, [numbered(0, 100)], {"sources": {"tap": ["packet"]}})), "events"),
        (
            with_value(GOOD, packed(SCHEMA, [numbered(0, 100)], {"sources": {"a b": []}, "events": []})),
            "names",
        ),
        (with_value(GOOD, packed(SCHEMA, [numbered(0, 100)], ABOUT, {"source": "other"})), "does not name"),
        (with_value(GOOD, packed(SCHEMA, [numbered(0, 100)], ABOUT, {})), "does not name its source"),
        (with_value(GOOD, packed(SCHEMA, [numbered(0, 0)] * 5000, ABOUT)), "too many batches"),
        (with_value(GOOD, packed(NULLS.schema, [NULLS], ABOUT)), "columns"),
        (with_value(GOOD, packed(pa.schema([("a", pa.int64())]), [], ABOUT)), "columns"),
        (with_headers(GOOD, kind=ALERT), "columns"),
    ],
)
def test_a_message_that_cannot_be_used_is_refused_for_a_reason(message: Message, why: str) -> None:
    with pytest.raises(Refused, match=why):
        read(message)


def test_nulls_where_there_may_be_none_are_refused() -> None:
    columns = [pa.nulls(100, pa.uint32()) if one.name == "src" else column for one, column in
               zip(SCHEMA, numbered(0, 100).columns, strict=True)]  # fmt: skip
    batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
    with pytest.raises(Refused, match="nulls"):
        read(with_value(GOOD, packed(SCHEMA, [batch], ABOUT)))


def test_a_bomb_costs_nothing() -> None:
    """A gigabyte of zeros in 100 kB: refused by the size that it says it has, or that it turns out to have."""
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(1 << 30))
    silent = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(bytes(1 << 26))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for value in (bomb, silent):
        with pytest.raises(Refused, match=r"unpacked|not compressed"):
            read(with_value(GOOD, value))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@given(st.data())
def test_no_damage_crashes_the_reader(data: st.DataObject) -> None:
    raw = bytearray(zstandard.decompress(GOOD.value))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        part = read(with_value(GOOD, zstandard.compress(bytes(raw))))
    except Refused:
        return
    assert part.rows == 100 and part.held[0].batch.schema.equals(SCHEMA)


def test_events_are_those_that_are_known() -> None:
    wild = [
        {"type": "heartbeat", "source": "tap", "time": "soon"}, {"type": "heartbeat", "source": "other", "time": 1},
        {"type": "member", "source": "tap", "of": "bus", "kinds": []}, {"type": "records", "source": "tap"}, 7,
        {"type": "lost", "source": "tap", "rows": 10**30, "why": "x" * 10_000, "other": {"a": 1}},
    ]  # fmt: skip
    part = read(encode(replace(PART, events=tuple(wild))))
    assert part.events == ({"type": "lost", "source": "tap", "why": "x" * 300},)
