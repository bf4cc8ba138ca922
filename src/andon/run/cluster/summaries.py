"""Files of summaries: what a worker leaves in the work folder.

An Arrow IPC file, so that anybody can look into it: one row per summary with the key of its engine (``job.key_of``),
span, start of the span (ns) and the summary's bytes as one zstd frame. The same span may be there more than once: all
its rows merged are its summary. Files are mapped, not read: merging takes what it needs.

The last part of a file's name is the digest of its bytes, which is checked whenever it is opened: a file that is not
what was written is never taken for one, and what is made of it can be known again by its name.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from andon.run.cluster.work_folder import place, temporary, writing
from andon.store.durable import sync_path

SCHEMA: Final = pa.schema(
    {"engine": pa.string(), "span": pa.string(), "start": pa.int64(), "data": pa.large_binary()},
    metadata={"andon": "summaries/1"},
)
_HELD = 8 << 20  # bytes of summaries before a batch is written
_MOST = 1 << 31  # bytes of one summary; no engine may say a larger limit
_MAPPED = 16 << 20  # bytes of a file that are looked at before it is mapped anew
_ROWS = 8192  # of an index, as Python objects at once

Place = tuple[int, int, int]  # file, batch, row


class SummaryDamaged(ValueError):
    """Files of summaries are not what was written, or not there any more; ``paths`` says which, ``path`` the first."""

    def __init__(self, path: Path, why: object, more: Sequence[Path] = ()) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.paths = (path, *more)


@dataclass(frozen=True, order=True)
class Key:
    """Whose summary of which span."""

    start: int
    span: str
    engine: str


class SummaryWriter:
    """Writes a file into ``folder`` that is there, whole and on disk, when the block ends without an error, else not
    at all. ``path``: after the block, ``STEM-DIGEST.arrow``. Raises ClusterError."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder, self.stem = folder, stem
        self.path = folder / f"{stem}.arrow"
        # Two workers may be at the same partition after one was given up for dead: each writes a file of its own.
        self._temporary = temporary(self.path)
        self._compressor = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
        self._rows: list[tuple[Key, bytes]] = []
        self._held = 0
        self.raw = self.entries = 0

    def __enter__(self) -> Self:
        with writing(self.path, "writing summaries"):
            # Not for everybody, as all else in the folder: dark addresses and users are in it.
            os.close(os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
            self._file = pa.OSFile(str(self._temporary), "wb")
            self._writer = pa.ipc.new_file(self._file, SCHEMA)
        return self

    def add(self, key: Key, data: bytes) -> None:
        """A summary's ``to_bytes``."""
        self.raw += len(data)
        self.add_packed(key, self._compressor.compress(data))

    def add_packed(self, key: Key, packed: bytes) -> None:
        """A summary as another file of summaries holds it."""
        self._rows.append((key, packed))
        self._held += len(packed) + 256  # about what the objects take
        self.entries += 1
        if self._held >= _HELD:
            self.flush()

    def flush(self) -> None:
        """Let go of the summaries that are held in memory."""
        if not self._rows:
            return
        keys = [key for key, _ in self._rows]
        batch = pa.record_batch(
            [
                pa.array([key.engine for key in keys], pa.string()),
                pa.array([key.span for key in keys], pa.string()),
                pa.array([key.start for key in keys], pa.int64()),
                pa.array([packed for _, packed in self._rows], pa.large_binary()),
            ],
            schema=SCHEMA,
        )
        with writing(self.path, "writing summaries"):
            self._writer.write_batch(batch)
        self._rows, self._held = [], 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is not None:
            self.give_up()
            return
        try:
            self.flush()
            with writing(self.path, "writing summaries"):
                self._writer.close()
                self._file.close()
                sync_path(self._temporary)
                self.path = self.folder / f"{self.stem}-{_digest_of(self._temporary)}.arrow"
                place(self._temporary, self.path)
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Leave nothing behind, whatever state the disk is in."""
        for close in (self._writer.close, self._file.close, self._temporary.unlink):
            with suppress(OSError, pa.ArrowException):
                close()


def opened(paths: Sequence[Path], stack: ExitStack) -> list[SummaryFile]:
    """These files, as long as the stack is. Raises SummaryDamaged for all that are damaged together."""
    files, damaged = [], []
    for path in paths:
        try:
            files.append(stack.enter_context(SummaryFile(path)))
        except SummaryDamaged as error:
            damaged.append(error)
    if damaged:
        raise SummaryDamaged(damaged[0].path, "damaged", [error.path for error in damaged[1:]])
    return files


class SummaryFile:
    """A file of summaries, mapped. Raises SummaryDamaged, also if it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._check()
        self._open()

    def _open(self) -> None:
        self._taken = 0
        try:
            self._map = pa.memory_map(str(self.path))
        except (pa.ArrowException, OSError) as error:  # an empty file cannot be mapped
            raise SummaryDamaged(self.path, error) from error
        try:
            self._reader = pa.ipc.open_file(self._map)
            if not self._reader.schema.equals(SCHEMA):
                raise SummaryDamaged(self.path, "it holds no summaries")
            self._batches = [self._reader.get_batch(n) for n in range(self._reader.num_record_batches)]
        except SummaryDamaged:
            self._map.close()
            raise
        except (pa.ArrowException, OSError) as error:
            self._map.close()
            raise SummaryDamaged(self.path, error) from error

    def _check(self) -> None:
        # Read and not mapped: what is mapped counts as memory of the worker.
        try:
            made = _digest_of(self.path)
        except OSError as error:
            raise SummaryDamaged(self.path, error) from error
        if not hmac.compare_digest(made, self.path.stem.rpartition("-")[2]):
            raise SummaryDamaged(self.path, "not what was written")

    def index(self, engines: Collection[str] | None = None) -> pa.Table:
        """Columns ``start``, ``span``, ``engine``, ``batch``, ``row`` of every summary (of these engines)."""
        tables = []
        for number, batch in enumerate(self._batches):
            rows = pa.array(range(batch.num_rows), pa.int32())
            columns = [batch.column(name) for name in ("start", "span", "engine")]
            columns += [pa.array([number] * batch.num_rows, pa.int32()), rows]
            tables.append(pa.table(columns, schema=_INDEX))
        whole = pa.concat_tables(tables) if tables else _INDEX.empty_table()
        if engines is not None:
            whole = whole.filter(pc.is_in(whole["engine"], pa.array(sorted(engines), pa.string())))
        return whole

    def packed(self, batch: int, row: int) -> bytes:
        """The zstd frame of a summary."""
        if self._taken > _MAPPED:  # let go of what was looked at: it counts as memory of the worker
            self.close()
            self._open()
        data: bytes = self._batches[batch].column("data")[row].as_py()
        self._taken += len(data)
        return data

    def unpacked(self, batch: int, row: int) -> bytes:
        """The bytes of a summary. Raises SummaryDamaged."""
        packed = self.packed(batch, row)
        try:
            if not 0 <= zstandard.frame_content_size(packed) < _MOST:
                raise SummaryDamaged(self.path, "a summary does not say its size")
            return zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError as error:
            raise SummaryDamaged(self.path, error) from error

    def close(self) -> None:
        """Let go of the file."""
        self._batches = []
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_INDEX: Final = pa.schema(
    {
        "start": pa.int64(),
        "span": pa.string(),
        "engine": pa.string(),
        "batch": pa.int32(),
        "row": pa.int32(),
    }
)


def by_key(
    files: Sequence[SummaryFile], engines: Sequence[Collection[str]]
) -> Iterator[tuple[Key, list[Place]]]:
    """Every key of some files in order of start, span and engine, with all its places. ``engines``: by file, those
    whose summaries count. What is held in memory is about 60 bytes for each summary, beside the files."""
    tables = []
    for number, (file, wanted) in enumerate(zip(files, engines, strict=True)):
        found = file.index(wanted)
        tables.append(found.append_column("file", pa.repeat(pa.scalar(number, pa.int32()), found.num_rows)))
    order = ("start", "span", "engine", "file", "batch", "row")
    whole = pa.concat_tables(tables).sort_by([(name, "ascending") for name in order])

    def entries() -> Iterator[tuple[Key, Place]]:
        for batch in whole.to_batches(max_chunksize=_ROWS):
            columns = (batch.column(name).to_pylist() for name in order)
            for start, span, engine, file, inner, row in zip(*columns, strict=True):
                yield Key(start, span, engine), (file, inner, row)

    for key, group in groupby(entries(), key=lambda entry: entry[0]):
        yield key, [where for _, where in group]


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
