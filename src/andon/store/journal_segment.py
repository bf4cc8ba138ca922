"""One segment of the journal: a file that proves itself whole.

An Arrow IPC stream (anybody's Arrow reads it) with the header as JSON in the schema's metadata and the source of
each batch in that batch's metadata, then 20 bytes: a mark, the length of the stream and the CRC-32 of the stream.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
from isal import isal_zlib

from andon.records.packet import SCHEMA
from andon.store.errors import StoreDamaged, StoreError, explained

SUFFIX = ".arrow"
FORMAT = "andon.segment/1"
_KEY = b"andon.segment"
_SOURCE = b"source"
_TAIL = struct.Struct("<8sQI")
_MARK = b"ANDONSEG"


@dataclass(frozen=True)
class Segment:
    """What was committed at once. ``number`` counts from 1 without gaps; ``first_row`` is the number of its first
    row in all time, from 0; ``clock``, ``ts_min`` and ``ts_max`` are ns since 1970 UTC (the last two None without
    rows); ``positions`` says where every source stands after it, ``events`` what else happened, in order."""

    number: int
    path: Path
    first_row: int
    rows: int
    clock: int
    positions: Mapping[str, dict[str, Any]]
    events: tuple[dict[str, Any], ...]
    ts_min: int | None
    ts_max: int | None
    nbytes: int
    _held: tuple[tuple[str, pa.RecordBatch], ...] | None = field(default=None, repr=False, compare=False)

    @property
    def end_row(self) -> int:
        """Number of the row after the last one."""
        return self.first_row + self.rows

    def batches(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """(source, batch in wire types) in the order they were appended. A segment fresh from ``commit`` still
        holds them in memory; any other reads its file again. Raises StoreDamaged, StoreError."""
        if self._held is not None:
            yield from self._held
            return
        stream = _proven(self.path)
        try:
            reader = pa.ipc.open_stream(stream)
            while True:
                try:
                    batch, about = reader.read_next_batch_with_custom_metadata()
                except StopIteration:
                    return
                yield about[_SOURCE].decode(), batch.replace_schema_metadata(None)
        except (pa.ArrowException, TypeError, KeyError, UnicodeDecodeError) as error:
            raise _damaged(self.path, f"its contents do not read ({error})") from error

    def on_disk(self) -> Segment:
        """The same without the batches in memory: what to keep if segments are to pile up."""
        return replace(self, _held=None)


def encode(
    header: Mapping[str, Any], batches: Iterable[tuple[str, pa.RecordBatch]], codec: str | None
) -> list[memoryview]:
    """The bytes of a segment file. ``codec``: "lz4", "zstd" or None."""
    schema = SCHEMA.with_metadata({_KEY: json.dumps({"format": FORMAT, **header}, separators=(",", ":"))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        for source, batch in batches:
            writer.write_batch(batch, custom_metadata={_SOURCE: source.encode()})
    stream = memoryview(sink.getvalue())
    return [stream, memoryview(_TAIL.pack(_MARK, len(stream), isal_zlib.crc32(stream)))]


def load(path: Path) -> Segment:
    """The segment in ``path``, its checksum verified. Raises StoreDamaged, StoreError."""
    stream = _proven(path)
    try:
        metadata = pa.ipc.open_stream(stream).schema.metadata or {}
        header = json.loads(metadata[_KEY])
        if header["format"] != FORMAT:
            raise StoreError(
                f"{path}: written in format {header['format']}, this version reads {FORMAT}: "
                "use the version of andon that wrote it"
            )
        segment = Segment(
            number=header["number"],
            path=path,
            first_row=header["first_row"],
            rows=header["rows"],
            clock=header["clock"],
            positions=header["positions"],
            events=tuple(header["events"]),
            ts_min=header["ts_min"],
            ts_max=header["ts_max"],
            nbytes=len(stream) + _TAIL.size,
        )
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"its header does not read ({error})") from error
    if path.name != file_name(segment.number):
        raise _damaged(path, f"it holds segment {segment.number}: it was renamed or copied")
    return segment


def file_name(number: int) -> str:
    return f"{number:012d}{SUFFIX}"


def check_sequence(segments: Sequence[Segment]) -> None:
    """Old segments may be gone, but not one in between. Raises StoreDamaged."""
    for before, after in pairwise(segments):
        if after.number != before.number + 1 or after.first_row != before.end_row:
            raise StoreDamaged(
                f"{after.path.parent}: after segment {before.number} (rows up to {before.end_row}) comes segment "
                f"{after.number} (rows from {after.first_row}): files in between are missing. Put them back; if "
                f"they are lost, move all files up to {file_name(before.number)} away as well: the rows between "
                "are then a gap"
            )


def _proven(path: Path) -> pa.Buffer:
    """The stream of the file, after its checksum."""
    with explained(path, "reading a journal segment"):
        data = pa.py_buffer(path.read_bytes())
    if data.size < _TAIL.size:
        raise _damaged(path, f"it is {data.size} bytes long")
    length = data.size - _TAIL.size
    mark, said, checksum = _TAIL.unpack(memoryview(data)[length:])
    if mark != _MARK or said != length:
        raise _damaged(path, f"it is {data.size} bytes long and its end is not that of a segment")
    stream = data.slice(0, length)
    if isal_zlib.crc32(stream) != checksum:
        raise _damaged(path, "its checksum is wrong")
    return stream


def _damaged(path: Path, why: str) -> StoreDamaged:
    return StoreDamaged(
        f"{path}: this journal segment is damaged: {why}. Put back a good copy. If there is none: when "
        "`andon history verify` says that the history already holds this segment, move this file and all older "
        "segments away; otherwise its rows are lost, and moving it and all older ones away accepts that"
    )
