"""Arrow columns as NumPy arrays without a copy."""

from __future__ import annotations

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
