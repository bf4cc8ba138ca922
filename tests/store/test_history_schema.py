"""Unsigned wire types survive signed storage, over their whole range, in every column and through other readers."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from andon.records.packet import COLUMNS, SCHEMA
from andon.store.history import History
from andon.store.history_schema import STORED, TABLE, to_stored, to_wire
from andon.store.journal import Journal

_BITS = {pa.uint8(): 8, pa.uint16(): 16, pa.uint32(): 32, pa.uint64(): 64}


def _values(field: pa.Field) -> st.SearchStrategy[Any]:
    if pa.types.is_timestamp(field.type):
        return st.integers(-(2**63), 2**63 - 1)
    if field.type in _BITS:
        top = 2 ** _BITS[field.type]
        return st.integers(0, top - 1) | st.sampled_from([0, top // 2 - 1, top // 2, top - 1])
    return st.binary(min_size=16, max_size=16)


def _column(field: pa.Field, values: list[Any]) -> pa.Array:
    if pa.types.is_timestamp(field.type):
        return pa.array(values, pa.int64()).view(field.type)
    return pa.array(values, field.type)


ROWS = st.lists(st.tuples(*(_values(field) for field in SCHEMA)), min_size=1, max_size=20)
LOWEST = tuple(
    -(2**63) if pa.types.is_timestamp(f.type) else 0 if f.type in _BITS else bytes(16) for f in SCHEMA
)
HIGHEST = tuple(
    2**63 - 1
    if pa.types.is_timestamp(f.type)
    else 2 ** _BITS[f.type] - 1
    if f.type in _BITS
    else b"\xff" * 16
    for f in SCHEMA
)


def batch_of(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = [_column(field, [row[n] for row in rows]) for n, field in enumerate(SCHEMA)]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


@given(ROWS)
@example([LOWEST, HIGHEST])
def test_the_cast_there_and_back_is_the_identity(rows: list[tuple[Any, ...]]) -> None:
    batch = batch_of(rows)
    stored = to_stored(batch, first_row=7)
    assert stored.schema.equals(STORED)
    assert stored.column("row").to_pylist() == list(range(7, 7 + len(rows)))
    assert to_wire(stored, COLUMNS).equals(batch)
    for field in SCHEMA:
        if field.type in _BITS and field.type != pa.uint64():  # numbers stay numbers
            assert stored.column(field.name).to_pylist() == batch.column(field.name).to_pylist()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
@example([LOWEST, HIGHEST])
@example([HIGHEST, LOWEST, HIGHEST])
def test_rows_come_out_of_delta_as_they_went_into_the_journal(rows: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as folder:
        journal, history = Journal(Path(folder) / "journal"), History(Path(folder) / "history")
        journal.append("a", batch_of(rows), {})
        journal.commit(0)
        assert history.append(journal.segments()) == len(rows)
        found = list(History(Path(folder) / "history").read(-(2**63), 2**63 - 1))
        last = [row for row in rows if row[0] == 2**63 - 1]  # the end is exclusive, and there is no later one
        kept = [row for row in rows if row[0] != 2**63 - 1]
        assert sum(batch.num_rows for batch in found) == len(rows) - len(last)
        if kept:
            assert (
                pa.Table.from_batches(found).combine_chunks().equals(pa.Table.from_batches([batch_of(kept)]))
            )
        assert history.verify().whole, history.verify().problems


@pytest.mark.parametrize("name", [field.name for field in SCHEMA if field.type in _BITS])
def test_other_readers_see_the_same_numbers(tmp_path: Path, name: str) -> None:
    bits = _BITS[SCHEMA.field(name).type]
    values = [0, 1, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1]
    row = dict.fromkeys(COLUMNS, 0) | {"src6": bytes(16), "dst6": bytes(16)}
    journal, history = Journal(tmp_path / "journal"), History(tmp_path / "history")
    journal.append("a", batch_of([tuple((row | {name: value}).values()) for value in values]), {})
    journal.commit(0)
    history.append(journal.segments())
    expected = [value - 2**64 if bits == 64 and value >= 2**63 else value for value in values]
    files = [str(path) for path in (tmp_path / "history").rglob("*.parquet")]
    seen = duckdb.sql(f"SELECT {name} FROM read_parquet({files}) ORDER BY row").fetchall()
    assert [value for (value,) in seen] == expected
    assert polars.read_delta(str(tmp_path / "history/packets")).sort("row")[name].to_list() == expected


def test_the_table_has_no_type_that_delta_lacks_and_the_lowest_protocol(tmp_path: Path) -> None:
    journal, history = Journal(tmp_path / "journal"), History(tmp_path / "history")
    journal.append("a", batch_of([LOWEST]), {})
    journal.commit(0)
    history.append(journal.segments())
    table = history.log.table
    assert table is not None
    assert pa.schema(table.schema().to_arrow()).names == TABLE.names
    assert not any(pa.types.is_unsigned_integer(field.type) for field in TABLE)
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    assert not protocol.reader_features and not protocol.writer_features
