"""The history's columns: wire types go in, signed types one size up are stored, wire types come out.

Delta Lake has no unsigned types and its timestamps are microseconds, so (and only here):

* uint8, uint16, uint32 are stored as int16, int32, int64 with the same value;
* ``tcp_options`` (uint64, eight packed bytes, not a quantity) is stored as int64 of the same 64 bits;
* ``ts`` is stored as a timestamp in microseconds, rounded down, and ``ts_ns`` holds the 0..999 ns that are left;
* ``row`` is the number of the row in all time, from 0, in the order of the journal.

The table is partitioned by ``date``, the UTC date of ``ts``; null for rows of a commit that is scattered over too
many dates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from andon.records.packet import SCHEMA
from andon.store.parquet import signed_schema

DATE = "date"
_TS = pa.timestamp("us", tz="UTC")
_SIGNED = signed_schema(SCHEMA)

# What a file holds. Nullable because every Delta reader expects it; no value ever is null.
STORED = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("ts", _TS),
        pa.field("ts_ns", pa.int16()),
        *(pa.field(field.name, field.type) for field in _SIGNED if field.name != "ts"),
    ]
)
# What the table shows: the date is in the folder's name, not in the file. Fixed-size binary is binary in Delta.
TABLE = pa.schema(
    [
        *(
            pa.field(field.name, pa.binary() if pa.types.is_fixed_size_binary(field.type) else field.type)
            for field in STORED
        ),
        pa.field(DATE, pa.date32()),
    ]
)


def to_stored(batch: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
    """A batch in wire types as it is stored; its rows are numbered from ``first_row``."""
    ts = batch.column("ts").view(pa.int64()).to_numpy(zero_copy_only=False)
    micros = ts // 1000
    arrays = [
        pa.array(np.arange(first_row, first_row + batch.num_rows, dtype=np.int64)),
        pa.array(micros).view(_TS),
        pa.array((ts - micros * 1000).astype(np.int16)),
    ]
    for field in _SIGNED:
        if field.name != "ts":
            column = batch.column(field.name)
            arrays.append(column.view(field.type) if column.type == pa.uint64() else column.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=STORED)


def stored_columns(columns: Sequence[str]) -> list[str]:
    """The stored columns that the wire columns ``columns`` come from, and always ``row`` and ``ts``."""
    return [field.name for field in STORED if field.name in {*columns, "row", "ts", "ts_ns"}]


def to_wire(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """Wire columns ``columns`` of a stored batch, in that order.

    Raises pa.ArrowInvalid if a stored number does not fit its wire type: the file was not written here."""
    arrays = []
    for name in columns:
        field = SCHEMA.field(name)
        if name == "ts":
            arrays.append(pa.array(stored_ns(batch)).view(field.type))
        elif field.type == pa.uint64():
            arrays.append(batch.column(name).view(field.type))
        else:
            arrays.append(batch.column(name).cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([SCHEMA.field(name) for name in columns]))


def stored_ns(batch: pa.RecordBatch) -> np.ndarray:
    """ns since 1970 of a stored batch."""
    micros = batch.column("ts").view(pa.int64()).to_numpy(zero_copy_only=False)
    ns: np.ndarray = micros * 1000 + batch.column("ts_ns").to_numpy(zero_copy_only=False)
    return ns
