"""Results as Parquet and NDJSON files in one folder.

Files are written under a temporary name and renamed when whole, so a folder never holds half a file. Unsigned
columns are cast to the signed type one size up here and nowhere else: Delta, Spark and others have no unsigned
types (``docs/architecture.md``, storage).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from andon.records.finding import Finding

_SIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64()}
ENTITIES = pa.schema(
    [("finding_id", pa.string()), ("type", pa.string()), ("value", pa.string()), ("packets", pa.int64())]
)


def signed_schema(schema: pa.Schema) -> pa.Schema:
    """The stored schema: unsigned types one size up; uint64 (bit patterns only) as int64 of the same bits."""
    return pa.schema(
        [
            field.with_type(pa.int64() if field.type == pa.uint64() else _SIGNED.get(field.type, field.type))
            for field in schema
        ]
    )


def to_signed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch in ``signed_schema``; every value keeps its number (uint64: its bits)."""
    arrays = [
        column.view(pa.int64())
        if column.type == pa.uint64()
        else column.cast(_SIGNED.get(column.type, column.type))
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=signed_schema(batch.schema))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path`` when the block ends well, and is removed when it does not."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_findings(findings: Sequence[Finding], folder: Path) -> None:
    """``findings.ndjson`` and ``entities.parquet`` (every entity of every finding)."""
    with whole_file(folder / "findings.ndjson") as path, path.open("w", encoding="utf-8") as out:
        out.writelines(finding.to_json() + "\n" for finding in findings)
    with whole_file(folder / "entities.parquet") as path, pq.ParquetWriter(path, ENTITIES) as writer:
        for finding in findings:
            ids = [finding.id] * len(finding.entities)
            columns = [
                ids,
                [entity.type for entity in finding.entities],
                [entity.value for entity in finding.entities],
                [entity.packets for entity in finding.entities],
            ]
            writer.write_table(pa.table(columns, schema=ENTITIES))


def write_table(tables: Sequence[pa.Table], path: Path) -> None:
    """The tables of all spans, one after another."""
    with whole_file(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd", compression_level=1)


def write_packets(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Packets with signed types, zstd-1, row groups of 256 Ki rows; gives the number of rows."""
    rows = 0
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(
            temporary,
            signed_schema(schema),
            compression="zstd",
            compression_level=1,
            use_dictionary=["proto", "tcp_flags", "ttl", "dst_port", "tcp_window", "ip_len", "layers"],
        ) as writer,
    ):
        for batch in batches:
            rows += batch.num_rows
            writer.write_batch(to_signed(batch), row_group_size=262_144)
    return rows
