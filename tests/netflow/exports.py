"""Export packets built by hand, and a decoder's flows as rows."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from andon.observe.netflow.decoder import Decoder
from andon.records.flow import FLOW
from andon.records.kinds import kind_of

T = 1_767_225_600  # 2026-01-01
Field = tuple[int, ...]  # element, bytes[, enterprise]


def v5(records: Iterable[bytes], sequence: int = 0, uptime: int = 1_000_000, sampling: int = 0, engine: int = 0,
       count: int | None = None) -> bytes:  # fmt: skip
    held = list(records)
    head = struct.pack(
        ">HHIIIIHH",
        5,
        len(held) if count is None else count,
        uptime,
        T,
        500_000_000,
        sequence,
        engine,
        sampling,
    )
    return head + b"".join(held)


def record5(
    first: int = 999_000, last: int = 999_500, packets: int = 3, size: int = 180, flags: int = 0x1B
) -> bytes:
    return struct.pack(
        ">4s4s4sHHIIIIHHBBBBHHBBH", bytes([10, 0, 0, 1]), bytes([192, 0, 2, 7]), b"\0" * 4, 1, 2, packets, size, first,
        last, 40_000, 443, 0, flags, 6, 0, 0, 0, 24, 24, 0,
    )  # fmt: skip


def flowset(number: int, body: bytes, pad: int = 0) -> bytes:
    return struct.pack(">HH", number, 4 + len(body) + pad) + body + b"\0" * pad


def fields_of(fields: Iterable[Field]) -> bytes:
    made = b""
    for element, size, *enterprise in fields:
        made += struct.pack(">HH", element | (0x8000 if enterprise else 0), size)
        made += struct.pack(">I", enterprise[0]) if enterprise else b""
    return made


def template(number: int, fields: Iterable[Field], version: int = 10) -> bytes:
    held = list(fields)
    return flowset(0 if version == 9 else 2, struct.pack(">HH", number, len(held)) + fields_of(held))


def options(number: int, scopes: Iterable[Field], fields: Iterable[Field], version: int = 10) -> bytes:
    scoped, held = list(scopes), list(fields)
    if version == 9:
        head = struct.pack(">HHH", number, 4 * len(scoped), 4 * len(held))
        return flowset(1, head + fields_of(scoped) + fields_of(held))
    head = struct.pack(">HHH", number, len(scoped) + len(held), len(scoped))
    return flowset(3, head + fields_of(scoped) + fields_of(held))


def v9(*sets: bytes, sequence: int = 0, uptime: int = 1_000_000, source: int = 0, time: int = T) -> bytes:
    return struct.pack(">HHIIII", 9, len(sets), uptime, time, sequence, source) + b"".join(sets)


def ipfix(*sets: bytes, sequence: int = 0, domain: int = 0, time: int = T) -> bytes:
    body = b"".join(sets)
    return struct.pack(">HHIII", 10, 16 + len(body), time, sequence, domain) + body


def decoded(
    packets: Iterable[bytes], decoder: Decoder | None = None, exporter: str = "192.0.2.1"
) -> list[dict[str, Any]]:
    decoder = decoder or Decoder()
    for one in packets:
        decoder.add(one, exporter)
    return rows(decoder.finish())


def rows(batches: Iterable[pa.RecordBatch]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for batch in batches:
        batch.validate(full=True)
        assert kind_of(batch) == "flow" and batch.schema.equals(FLOW)
        found += batch.set_column(0, "ts", batch.column("ts").view(pa.int64())).to_pylist()
    return found
