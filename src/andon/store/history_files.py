"""The Parquet files of the history: how they are encoded, how they are written and read in order of ``row``.

Rows keep their order. Row groups hold 128 Ki rows, so a reader that wants some minutes skips the others by
their statistics of ``ts``. Columns that nothing compresses well (sequence numbers, ports of random origin) go without a
dictionary, which would be built and thrown away. The name of a file ends in the CRC-32 of its bytes.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.store.durable import make_folder, sync_path
from andon.store.errors import StoreDamaged, explained, translated
from andon.store.history_schema import DATE, STORED, stored_columns, stored_ns

ROW_GROUP = 131_072
_BATCH = 65_536
_DELTA = ("row", "ts")
_RANDOM = ("dst", "src_port", "tcp_seq", "tcp_ack", "ip_id")
_CONSTANT = (
    "ts_ns",
    "tos",
    "icmp_code",
    "vlan_tags",
    "vlan_id",
    "src6",
    "dst6",
)  # nearly: zstd alone is cheaper
# How the columns are written. Byte-stream-split would save some 30 ns and a byte a row (benchmarks/store), but it is
# too new for integers in many readers.
ENCODING: dict[str, Any] = {
    "use_dictionary": [name for name in STORED.names if name not in (*_DELTA, *_RANDOM, *_CONSTANT)],
    "column_encoding": dict.fromkeys(_DELTA, "DELTA_BINARY_PACKED"),
    "data_page_version": "2.0",
    "write_statistics": ["row", "ts", "src", "dst", "dst_port", "proto"],
    "store_schema": False,
}
_NULL_DATE = "__HIVE_DEFAULT_PARTITION__"
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class StoredFile:
    """One file of the table: ``path`` relative to the table, ``date`` as ISO text or None, rows and bytes, the
    first and last ``row``, and the first and last ``ts`` in microseconds."""

    path: str
    date: str | None
    size: int
    rows: int
    row_min: int
    row_max: int
    ts_min: int
    ts_max: int

    def stats(self) -> str:
        """Delta's statistics of the file."""
        return json.dumps(
            {
                "numRecords": self.rows,
                "minValues": {"row": self.row_min, "ts": _text(self.ts_min)},
                "maxValues": {"row": self.row_max, "ts": _text(self.ts_max)},
                "nullCount": {"row": 0, "ts": 0},
            }
        )


class FileWriter:
    """One new file of the table in ``root``, not part of it until a commit names it.

    ``write`` takes stored batches in order of row. ``close`` gives the file, synced; ``abandon`` removes it."""

    def __init__(self, root: Path, date: str | None, level: int) -> None:
        folder = f"{DATE}={date or _NULL_DATE}"
        self._date = date
        self._root = root
        self._path = root / folder / f"{uuid.uuid4().hex}.parquet"
        make_folder(self._path.parent)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._rows = 0
        self._row_min, self._row_max, self._ts_min, self._ts_max = 2**63 - 1, -1, 2**63 - 1, -(2**63)
        with explained(self._path, "writing the history"):
            self._out: Any = pq.ParquetWriter(
                self._path, STORED, compression="zstd", compression_level=level, **ENCODING
            )

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        rows = batch.column("row").to_numpy()
        ts = batch.column("ts").view(pa.int64()).to_numpy()
        self._row_min, self._row_max = min(self._row_min, int(rows[0])), max(self._row_max, int(rows[-1]))
        self._ts_min, self._ts_max = min(self._ts_min, int(ts.min())), max(self._ts_max, int(ts.max()))
        self._rows += batch.num_rows
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= ROW_GROUP:
            self._flush(keep=self._waiting_rows % ROW_GROUP)

    def _flush(self, keep: int = 0) -> None:
        table = pa.Table.from_batches(self._waiting, STORED)
        whole = table.num_rows - keep
        with explained(self._path, "writing the history"):
            self._out.write_table(table.slice(0, whole), row_group_size=ROW_GROUP)
        self._waiting = table.slice(whole).to_batches() if keep else []
        self._waiting_rows = keep

    @property
    def waiting_rows(self) -> int:
        """Rows that are held until a row group is full."""
        return self._waiting_rows

    def flush(self) -> None:
        """Writes the rows that are held as a row group smaller than usual."""
        if self._waiting_rows:
            self._flush()

    def close(self) -> StoredFile:
        self.flush()
        with explained(self._path, "writing the history"):
            self._out.close()
            sync_path(self._path)
            path = self._path.with_stem(f"{self._path.stem}-{checksum(self._path):08x}")
            self._path = self._path.rename(path)
            sync_path(path.parent)
            size = path.stat().st_size
        return StoredFile(
            path.relative_to(self._root).as_posix(),
            self._date,
            size,
            self._rows,
            self._row_min,
            self._row_max,
            self._ts_min,
            self._ts_max,
        )

    def abandon(self) -> None:
        try:
            self._out.close()
        except (OSError, pa.ArrowException):
            pass
        finally:
            self._path.unlink(missing_ok=True)


def read_stored(
    root: Path, files: Sequence[StoredFile], columns: Sequence[str], start_ns: int, end_ns: int
) -> Iterator[pa.RecordBatch]:
    """Stored batches of ``files`` with start <= ts < end, in order of ``row``; columns: wire names.

    At most one batch of each file whose rows lie in between one another's is in memory."""
    waiting = sorted(
        (file for file in files if overlaps(file, start_ns, end_ns)), key=lambda file: file.row_min
    )
    while waiting:
        chain = [waiting.pop(0)]
        end = chain[0].row_max
        while waiting and waiting[0].row_min <= end:
            chain.append(waiting.pop(0))
            end = max(end, chain[-1].row_max)
        rows = max(_BATCH // 16, min(_BATCH, 4 * _BATCH // len(chain)))
        streams = [_one(root, file, columns, start_ns, end_ns, rows) for file in chain]
        yield from streams[0] if len(streams) == 1 else _merged(streams)


def overlaps(file: StoredFile, start_ns: int, end_ns: int) -> bool:
    return file.ts_min * 1000 < end_ns and file.ts_max * 1000 + 999 >= start_ns


def _one(
    root: Path, file: StoredFile, columns: Sequence[str], start_ns: int, end_ns: int, rows: int
) -> Iterator[pa.RecordBatch]:
    path = root / file.path
    try:
        with pq.ParquetFile(path) as parquet:
            groups = [
                n
                for n in range(parquet.num_row_groups)
                if _wanted(parquet.metadata.row_group(n), start_ns, end_ns)
            ]
            for batch in parquet.iter_batches(rows, groups, stored_columns(columns)) if groups else ():
                ns = stored_ns(batch)
                inside = (ns >= start_ns) & (ns < end_ns)
                if inside.all():
                    yield batch
                elif inside.any():
                    yield batch.filter(pa.array(inside))
    except FileNotFoundError as error:
        raise StoreDamaged(
            f"{path}: the history names this file but it is gone; `andon history verify` lists all of them"
        ) from error
    except pa.ArrowException as error:
        raise StoreDamaged(
            f"{path}: this file of the history does not read ({error}); `andon history verify` lists all of them"
        ) from error
    except OSError as error:
        if error.errno is None:  # what Parquet says of bytes that are not what was written
            raise StoreDamaged(
                f"{path}: this file of the history does not read ({error}); `andon history verify` lists them"
            ) from error
        raise translated(error, path, "reading the history") from error


def _wanted(group: Any, start_ns: int, end_ns: int) -> bool:
    ts = group.column(STORED.get_field_index("ts")).statistics
    if ts is None or not ts.has_min_max:
        return True
    return bool(ts.min_raw * 1000 < end_ns and ts.max_raw * 1000 + 999 >= start_ns)


def _merged(streams: list[Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """The streams as one in order of row: what is below the earliest end of the held batches is complete."""
    held = [(stream, batch) for stream in streams if (batch := next(stream, None)) is not None]
    while held:
        bound = min(_row(batch, -1) for _, batch in held)
        ready, rest = [], []
        for stream, batch in held:
            cut = int(np.searchsorted(batch.column("row").to_numpy(), bound, side="right"))
            if cut:
                ready.append(batch.slice(0, cut))
            left = batch.slice(cut) if cut < batch.num_rows else next(stream, None)
            if left is not None:
                rest.append((stream, left))
        held = rest
        if len(ready) == 1:
            yield ready[0]
        else:
            table = pa.Table.from_batches(ready).sort_by("row").combine_chunks()
            yield from table.to_batches(max_chunksize=_BATCH)


def _row(batch: pa.RecordBatch, at: int) -> int:
    return int(batch.column("row")[at].as_py())


def checksum(path: Path) -> int:
    """CRC-32 of the whole file."""
    from isal import isal_zlib

    value = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            value = isal_zlib.crc32(piece, value)
    return int(value)


def checksum_said(path: str) -> int | None:
    """The CRC-32 that the file's name says it had when it was written; None for a file of another writer."""
    found = re.search(r"-([0-9a-f]{8})\.parquet$", path)
    return int(found[1], 16) if found else None


def date_of(ts_us: int) -> str:
    """UTC date of microseconds since 1970, as ISO text."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=ts_us // _DAY_US)).isoformat()


def _text(ts_us: int) -> str:
    days, micros = divmod(ts_us, _DAY_US)
    clock = datetime.timedelta(microseconds=micros)
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=days)
    return f"{day.isoformat()}T{datetime.datetime.min + clock:%H:%M:%S.%f}Z"
