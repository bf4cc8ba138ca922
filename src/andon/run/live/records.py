"""Records of other kinds than packets, kept beside the journal: what came with a segment, in a file of its number.

A segment names them in events (``{"type": "records", ...}``), one for each batch, and the file is on disk before the
segment is. So both are there, or neither counts: a file without its segment is what a killed writer left, and goes at
the next start. Files are kept until the engines have saved what they made of them, and for ``keep`` seconds besides, so
that an engine whose settings have changed can read its open spans again.

A file is a mark, then each batch as an Arrow IPC stream (its source, and whether anybody could send to it, in the
metadata of the schema) behind its length, then the CRC-32 of all that.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
from isal import isal_zlib

from andon.observe.live.source import Piece
from andon.records.kinds import kind_of, marked
from andon.store.durable import TEMPORARY, make_folder, sync_path, write_durable
from andon.store.errors import StoreDamaged, explained

EVENT: Final = "records"
_SUFFIX: Final = ".records"
_MARK: Final = b"ANDONREC"
_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")
_SOURCE: Final = b"andon.source"
_FORGEABLE: Final = b"andon.forgeable"  # b"1" or b"0"; not there in files of an older Andon


class Kept(NamedTuple):
    """A batch as it came. ``forgeable``: whoever reached its source's port could send what he liked, at that time."""

    source: str
    forgeable: bool
    batch: pa.RecordBatch


@dataclass
class RecordFiles:
    """``folder``: of the store; ``last``: number of the last segment in the journal; ``forgeable``: sources that
    anybody can send to as they are configured now. Raises StoreError."""

    folder: Path
    last: int
    keep: float = 2 * 86_400.0
    now: Callable[[], float] = time.time
    forgeable: frozenset[str] = frozenset()
    _staged: list[Kept] = field(default_factory=list)

    def __post_init__(self) -> None:
        make_folder(self.folder)
        with explained(self.folder, "recovering the records"):
            for path in self.folder.iterdir():
                if path.name.endswith(TEMPORARY) or (path.suffix == _SUFFIX and int(path.stem) > self.last):
                    path.unlink()

    @property
    def staged(self) -> int:
        """Rows that wait for the next segment."""
        return sum(one.batch.num_rows for one in self._staged)

    def stage(self, source: str, piece: Piece) -> dict[str, Any]:
        """Buffer a piece's records for the next segment; gives the event that belongs into it."""
        batch = piece.batch
        # Of a member of a source the piece says it.
        self._staged.append(Kept(source, piece.forgeable if piece.of else source in self.forgeable, batch))
        promise = piece.position.get("promise")
        return {
            "type": EVENT,
            "source": source,
            "kind": kind_of(batch),
            "rows": batch.num_rows,
            "promise": promise,
        }

    def write(self, number: int) -> None:
        """What is staged as the records of a segment that is about to be committed. Raises StoreError; it may be called
        again until ``committed``."""
        if self._staged:
            pieces = [_MARK]
            for one in self._staged:
                data = _encoded(one)
                pieces += [_LENGTH.pack(len(data)), data]
            checksum = 0
            for piece in pieces:
                checksum = isal_zlib.crc32(piece, checksum)
            write_durable(self._path(number), [*pieces, _CRC.pack(checksum)])

    def committed(self) -> None:
        """The segment is on disk."""
        self._staged = []

    def between(self, after: int, to: int) -> Iterator[tuple[int, list[Kept]]]:
        """(number, ``kept``) of the segments after one and through another that have records and still are there."""
        numbers = sorted(int(path.stem) for path in self.folder.glob(f"*{_SUFFIX}"))
        for number in numbers:
            if after < number <= to and self._path(number).exists():
                yield number, self.kept(number)

    def read(self, number: int) -> list[tuple[str, pa.RecordBatch]]:
        """(source, batch) in the order in which they were staged. Raises StoreDamaged."""
        return [(one.source, one.batch) for one in self.kept(number)]

    def kept(self, number: int) -> list[Kept]:
        """In the order in which they were staged. Raises StoreDamaged."""
        path = self._path(number)
        with explained(path, "reading records"):
            data = path.read_bytes()
        end = len(data) - _CRC.size
        if (
            end < len(_MARK)
            or not data.startswith(_MARK)
            or isal_zlib.crc32(data[:end]) != _CRC.unpack(data[end:])[0]
        ):
            raise StoreDamaged(
                f"{path}: the records of segment {number} are damaged: put back a good copy; without one the journal "
                "up to that segment has to go as well"
            )
        found, at = [], len(_MARK)
        while at < end:
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            found.append(self._decoded(data[at : at + length]))
            at += length
        return found

    def through(self, through: int) -> Iterator[tuple[str, pa.RecordBatch]]:
        """(source, batch) of everything that is held of segments up to that number."""
        for number in sorted(int(path.stem) for path in self.folder.glob(f"*{_SUFFIX}")):
            if number <= through:
                yield from self.read(number)

    def drop_through(self, number: int) -> None:
        """Remove files of segments up to ``number`` that are older than ``keep``. Raises StoreError."""
        with explained(self.folder, "dropping old records"):
            gone = [
                path
                for path in self.folder.glob(f"*{_SUFFIX}")
                if int(path.stem) <= number and self.now() - path.stat().st_mtime > self.keep
            ]
            for path in gone:
                path.unlink(missing_ok=True)
            if gone:
                sync_path(self.folder)

    def _decoded(self, data: bytes) -> Kept:
        with pa.ipc.open_stream(data) as reader:
            batch = reader.read_next_batch()
            metadata = reader.schema.metadata or {}
        source = metadata[_SOURCE].decode()
        said = metadata.get(_FORGEABLE)
        forgeable = source in self.forgeable if said is None else said != b"0"
        return Kept(source, forgeable, marked(batch, kind_of(batch)))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012d}{_SUFFIX}"


def told(events: tuple[dict[str, Any], ...]) -> list[Mapping[str, Any]]:
    """The events of a segment that stand for batches of records, in their order."""
    return [event for event in events if event.get("type") == EVENT]


def _encoded(one: Kept) -> bytes:
    said = {_SOURCE: one.source.encode(), _FORGEABLE: b"1" if one.forgeable else b"0"}
    batch = one.batch.replace_schema_metadata({**(one.batch.schema.metadata or {}), **said})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
