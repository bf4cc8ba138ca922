"""Results on disk: unsigned values survive, files are whole or absent."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.records.packet import SCHEMA
from andon.store.parquet import signed_schema, to_signed, whole_file, write_packets

UNSIGNED = pa.schema([("a", pa.uint8()), ("b", pa.uint16()), ("c", pa.uint32()), ("d", pa.uint64())])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
        )
    )
)
@settings(max_examples=50, deadline=None)
def test_the_signed_cast_keeps_every_unsigned_value(rows: list[tuple[int, int, int, int]]) -> None:
    columns = [pa.array([row[i] for row in rows], UNSIGNED.field(i).type) for i in range(4)]
    signed = to_signed(pa.record_batch(columns, schema=UNSIGNED))
    for i in range(3):
        assert signed.column(i).to_pylist() == [row[i] for row in rows]
    assert [value % 2**64 for value in signed.column(3).to_pylist()] == [row[3] for row in rows]


def test_no_unsigned_type_is_left_in_the_stored_packet_schema() -> None:
    assert not [f.name for f in signed_schema(SCHEMA) if str(f.type).startswith("uint")]


def test_packets_come_back_from_parquet_through_another_engine(tmp_path: Path) -> None:
    columns = []
    for field in SCHEMA:
        if pa.types.is_fixed_size_binary(field.type):
            columns.append(pa.array([b"\0" * 16, b"\xff" * 16], field.type))
        elif pa.types.is_timestamp(field.type):
            columns.append(pa.array([0, 1_767_225_600_123_456_789], field.type))
        else:
            columns.append(pa.array([0, np.iinfo(field.type.to_pandas_dtype()).max], field.type))
    batch = pa.record_batch(columns, schema=SCHEMA)
    assert write_packets([batch], SCHEMA, tmp_path / "packets.parquet") == 2
    (row,) = duckdb.sql(
        f"SELECT src, ip_id, ttl, tcp_options FROM '{tmp_path}/packets.parquet' WHERE src > 0"
    ).fetchall()
    assert row == (2**32 - 1, 65535, 255, -1)
    assert pq.read_schema(tmp_path / "packets.parquet").field("ts").type == pa.timestamp("ns", tz="UTC")


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "result.parquet"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.parquet"]
