"""One file of the history by itself: its row groups, when their packets were, and the packets in wire types.

The bytes are looked at before anything is believed: the name of a file ends in the CRC-32 of its content, and a file
whose content is another is refused as a whole, since nobody can say which of its values are wrong. That costs some
nanoseconds a row (``benchmarks/cluster/history_read.py``), a hundredth of what the engines cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.store.errors import StoreDamaged
from andon.store.history_files import ROW_GROUP, checksum, checksum_said
from andon.store.history_schema import STORED, stored_columns, stored_ns, to_wire

MAGIC = b"PAR1"
_MOST_ROWS = 8 * ROW_GROUP  # of a row group; ours hold an eighth of it
_MOST_BYTES = 1 << 30  # ... decompressed
_MOST_US = 2**63 // 1000 - 1  # microseconds that are still ns in 64 bits
_NS = (-(2**63), 2**63 - 1)


def is_stored(path: Path) -> bool:
    """Has this Parquet file the columns of the history? False for one that does not read."""
    try:
        names: list[str] = pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False
    return set(STORED.names) <= set(names)


@dataclass(frozen=True)
class Group:
    """A row group: its number, rows, byte in the file, and times (ns) that none of its rows is outside of."""

    number: int
    rows: int
    offset: int
    low: int
    high: int


class StoredGroups:
    """A file of the history, opened to give the wire columns ``columns``.

    ``check``: whether to compare the checksum, which reads the whole file. The file stays open until ``close``, so
    it can be read to its end even if it is removed meanwhile. Raises StoreDamaged for a file that is not one of the
    history's or has changed since, and OSError where it cannot be opened.

    >>> file = StoredGroups(path, ("ts", "src"))                             # doctest: +SKIP
    >>> [file.read(group)[0].num_rows for group in file.groups]              # doctest: +SKIP
    [131072, 131072, 7]
    """

    def __init__(self, path: Path, columns: Sequence[str], check: bool = True) -> None:
        self.path = path
        self.columns = tuple(columns)
        self._stored = [name for name in stored_columns(self.columns) if name != "row"]
        if check and checksum_said(path.name) not in (None, checksum(path)):
            raise StoreDamaged(
                f"{path}: its checksum is not the one in its name, so its bytes have changed and none of them is read; "
                "`andon history verify` lists all such files"
            )
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise StoreDamaged(f"{path}: this Parquet file does not read ({error})") from error
        try:
            self._fits()
            leaves = self._file.metadata.schema
            self._leaf = [leaves.column(n).path for n in range(len(leaves))].index("ts")
            self.groups = [self._group(number) for number in range(self._file.num_row_groups)]
        except BaseException:
            self.close()
            raise

    def _fits(self) -> None:
        try:
            schema = self._file.schema_arrow
        except pa.ArrowException as error:
            raise StoreDamaged(f"{self.path}: this Parquet file does not read ({error})") from error
        for name in self._stored:
            index = schema.get_field_index(name)
            if index < 0 or schema.field(index).type != STORED.field(name).type:
                kind = "no such column" if index < 0 else f"it is {schema.field(index).type}"
                raise StoreDamaged(
                    f"{self.path}: not a file of the packet history: {name} is {STORED.field(name).type} there, "
                    f"and here {kind}"
                )

    def _group(self, number: int) -> Group:
        group = self._file.metadata.row_group(number)
        times = group.column(self._leaf)
        low, high = _NS
        stats = times.statistics
        if stats is not None and stats.has_min_max:
            low, high = max(stats.min_raw * 1000, low), min(stats.max_raw * 1000 + 999, high)
        return Group(number, group.num_rows, int(times.data_page_offset), low, high)

    def read(self, group: Group) -> tuple[pa.RecordBatch, np.ndarray]:
        """(wire columns, times in ns) of a row group, in the order of the journal. Raises StoreDamaged, and OSError
        where the disk does not give what it holds."""
        try:
            size = self._file.metadata.row_group(group.number).total_byte_size
            if group.rows > _MOST_ROWS or size > _MOST_BYTES:
                raise StoreDamaged(
                    f"it says to hold {group.rows:,} rows in {size:,} bytes: more than is ever written"
                )
            table = self._file.read_row_group(group.number, self._stored, use_threads=False)
            if table.num_rows != group.rows:
                raise StoreDamaged(f"{table.num_rows:,} rows are there")
            batch = _one_batch(table)
            _plausible(batch)
            return to_wire(batch, self.columns), stored_ns(batch)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise StoreDamaged(f"it does not read ({error})") from error

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _plausible(batch: pa.RecordBatch) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if column.null_count:
            raise StoreDamaged(f"{column.null_count:,} values of {name} are missing")
    micros = batch.column("ts").view(pa.int64()).to_numpy(zero_copy_only=False)
    if len(micros) and not -_MOST_US < int(micros.min()) <= int(micros.max()) < _MOST_US:
        raise StoreDamaged("it holds times that are out of all bounds")
