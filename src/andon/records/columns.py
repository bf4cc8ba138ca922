"""Arrow columns as NumPy arrays without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def column(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """View of a fixed-width column without nulls; timestamps as int64 ns, binary(16) as (n, 16) uint8.

    Raises KeyError if the batch has no such column, ValueError if it holds nulls.
    """
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise KeyError(f"the batch has no column {name!r}; it has {', '.join(batch.schema.names)}")
    array = batch.column(index)
    if array.null_count:
        raise ValueError(f"column {name!r} holds nulls; packet columns never do")
    kind = array.type
    start, count = array.offset, len(array)
    data = array.buffers()[1]
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        return np.frombuffer(data, np.uint8, count * width, start * width).reshape(count, width)
    dtype = np.dtype(np.int64) if pa.types.is_timestamp(kind) else np.dtype(kind.to_pandas_dtype())
    if data is None:  # an empty array may have no buffer
        return np.empty(0, dtype)
    return np.frombuffer(data, dtype, count, start * dtype.itemsize)


def plain_rows(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows as dictionaries, times as ns: Arrow gives no Python time for a nanosecond that is none of a microsecond.

    >>> plain_rows(pa.table({"ts": pa.array([1], pa.timestamp("ns", tz="UTC")), "n": [2]}))
    [{'ts': 1, 'n': 2}]
    """
    fields = [
        field.with_type(pa.int64()) if pa.types.is_timestamp(field.type) else field for field in table.schema
    ]
    rows: list[dict[str, Any]] = table.cast(pa.schema(fields)).to_pylist()
    return rows


def table_of(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows, each with a value for every column of the schema, as a table; times are given as ns.

    >>> table_of([(1, 2)], pa.schema([("ts", pa.timestamp("ns", tz="UTC")), ("n", pa.int64())])).num_rows
    1
    """
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [
        pa.array(list(values), pa.int64()).cast(each.type)
        if pa.types.is_timestamp(each.type)
        else pa.array(list(values), each.type)
        for values, each in zip(columns, schema, strict=True)
    ]
    return pa.table(arrays, schema=schema)
