"""Partitions: what one task reads, and by which identity its result is known again.

A partition is a file that the worker opens under the path that the driver was given: a capture, a file of the packet
history between two times, a file of other records. Its identity is path, size, time of change, and a digest of its
first and last 64 KiB and of 16 pieces between: enough for files that are written once, at a cost that does not grow
with them. What changes a file and keeps size, time and all those pieces is not seen; a file that is still being
written has another identity each time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from andon import __version__
from andon.observe.logs.options import Options
from andon.run.feed import FileReport
from andon.run.settings import plain

_EDGE = 64 << 10
_PIECES = 16
_PIECE = 4 << 10


@dataclass(frozen=True)
class Partition:
    """``what``: "packets" (a capture or a file of the history) or "records"; ``sensor``: of records, its name;
    ``start``, ``end``, ``begins``, ``within``: of files of the history (``feed.FileReport``); ``digest``: identity of
    the content; ``reading``: of records, digest of how they are read (``reading_of``)."""

    what: str
    path: str
    digest: str
    size: int
    sensor: str = ""
    start: int | None = None
    end: int | None = None
    begins: int | None = None
    within: str = ""
    reading: str = ""

    @property
    def report(self) -> FileReport:
        """Of the file, to be read."""
        return FileReport(self.path, start=self.start, end=self.end, begins=self.begins, within=self.within)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Partition:
        """What ``to_dict`` gave. Raises TypeError for anything else."""
        return cls(**said)

    @property
    def unchanged(self) -> bool:
        """Is the file what it was when the job was planned?"""
        try:
            return identity(self.path) == (self.digest, self.size)
        except OSError:
            return False

    @property
    def name(self) -> str:
        """Of the folder of its results: differs when anything does that a result depends on, but for the engines. The
        version of Andon stands for that of its readers: rows are not what they were when a reader is mended."""
        said = repr(
            (
                __version__,
                self.what,
                self.path,
                self.digest,
                self.size,
                self.sensor,
                self.start,
                self.end,
                self.reading,
            )
        )
        return hashlib.sha256(said.encode()).hexdigest()[:32]


def identity(path: str | Path) -> tuple[str, int]:
    """(digest, size in bytes) of a file, see the module text. Raises OSError."""
    with Path(path).open("rb") as file:
        status = os.fstat(file.fileno())
        made = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
        size = status.st_size
        inner = range(_EDGE, max(size - _EDGE, _EDGE), max((size - 2 * _EDGE) // _PIECES, _PIECE))
        for at in sorted({0, max(size - _EDGE, 0), *inner}):
            file.seek(at)
            made.update(file.read(_EDGE if at in (0, max(size - _EDGE, 0)) else _PIECE))
    return made.hexdigest()[:32], size


def reading_of(options: Options) -> str:
    """Digest of how logs are read: the same log gives other records when it changes. Raises OSError for a mapping
    that is not there."""
    mapping = "" if options.mapping is None else hashlib.sha256(options.mapping.read_bytes()).hexdigest()
    said = [options.logformat, mapping, options.terminal, list(options.inside), plain(options.leases)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
