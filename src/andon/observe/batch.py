"""Arenas as Arrow record batches, without copying.

Two ways of ownership. *Owned*: a fresh arena for each batch, which lives as long as the batch. *Lent*: one
arena for the whole read; the batch given is overwritten when the next one is asked for.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from andon.observe.columns import ARENA_BYTES, CORE_BYTES, OFFSET, ROWS, V6_BYTES, V6_OFFSET, WIDTH
from andon.records import packet


class Arena:
    """Memory for one batch of up to ``columns.ROWS`` rows.

    ``address`` and ``v6_address`` are what the kernels write to. ``v6_rows`` rows of the IPv6 columns hold
    something else than zeros.
    """

    def __init__(self, columns: tuple[str, ...], lent: bool) -> None:
        self._fields = [packet.SCHEMA.field(name) for name in columns]
        self._schema = pa.schema(self._fields)
        self.full = not set(columns) <= set(packet.CORE)
        self._lent = lent
        self._wants_v6 = any(name in V6_OFFSET for name in columns)
        self._zeros = pa.py_buffer(np.zeros(ROWS * 16 if self._wants_v6 else 0, dtype=np.uint8))
        self._v6 = np.zeros(V6_BYTES if self.full else 0, dtype=np.uint8)
        self._fresh()
        self._whole: pa.RecordBatch | None = None

    def _fresh(self) -> None:
        self._memory = pa.allocate_buffer(ARENA_BYTES if self.full else CORE_BYTES)
        self.address: int = self._memory.address

    @property
    def v6_address(self) -> int:
        return int(self._v6.ctypes.data)

    def _array(self, field: pa.Field, rows: int, v6: pa.Buffer | None) -> pa.Array:
        name = field.name
        if name in V6_OFFSET:
            data = self._zeros if v6 is None else v6.slice(V6_OFFSET[name])
        else:
            data = self._memory.slice(OFFSET[name], rows * WIDTH[name])
        return pa.Array.from_buffers(field.type, rows, [None, data], null_count=0)

    def batch(self, rows: int, v6_rows: int) -> pa.RecordBatch:
        """The first ``rows`` rows as a batch; afterwards the arena is ready to be written again."""
        if self._lent and rows == ROWS and v6_rows == 0 and self._whole is not None:
            return self._whole
        v6 = pa.py_buffer(self._v6) if v6_rows else None
        arrays = [self._array(field, rows, v6) for field in self._fields]
        made = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        if self._lent:
            if rows == ROWS and v6_rows == 0:
                self._whole = made
        else:
            self._fresh()
            if v6_rows:
                self._v6 = np.zeros(V6_BYTES, dtype=np.uint8)
        return made

    def clear_v6(self) -> None:
        """Zero the IPv6 columns before they are written again (lent batches only)."""
        if self._lent:
            self._v6[:] = 0
