"""Lines of JSON (``andon.message/1``) into a file or a named pipe.

A file is fsynced, and its last line is looked at first: a message that a killed process had just written is not
written again, and half a line is removed. So a file takes each message exactly once; a pipe cannot be asked.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from andon.share.outbox.parcel import MESSAGE_SCHEMA, Parcel, Unreachable

_BEGIN = f'{{"schema": "{MESSAGE_SCHEMA}"'.encode()  # of every line of ours


@dataclass(frozen=True)
class FileSink:
    """``path``: made if it is not there, never replaced."""

    name: str
    path: Path
    digest_after: int = 0

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Append a line, durable when it returns. Raises Unreachable."""
        line = parcel.envelope().encode("ascii") + b"\n"
        try:
            if self.path.exists() and not stat.S_ISREG(self.path.stat().st_mode):
                handle = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
                try:
                    if os.write(handle, line) < len(line):
                        raise Unreachable(f"{self.path}: its reader is too slow")
                finally:
                    os.close(handle)
                return ""
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o640)
            try:
                _append(handle, line, parcel.id)
            finally:
                os.close(handle)
            return ""
        except OSError as error:
            raise Unreachable(f"{self.path}: {error.strerror or error}") from error


def _append(handle: int, line: bytes, id: str) -> None:
    size = os.lseek(handle, 0, os.SEEK_END)
    end = _line_end(handle, size)
    if end < size and os.pread(handle, len(_BEGIN), end) != _BEGIN[: size - end]:
        line, end = b"\n" + line, size  # somebody else's line without an end is ended
    elif end and id.encode() in os.pread(handle, 128, _line_end(handle, end - 1)):
        line = b""  # the process was killed just after it
    os.ftruncate(handle, end)  # half a line of ours goes
    at = 0
    while at < len(line):
        at += os.pwrite(handle, line[at:], end + at)
    os.fsync(handle)


def _line_end(handle: int, before: int) -> int:
    """Offset just behind the last line break in front of an offset; 0 if there is none."""
    while before > 0:
        start = max(0, before - 65536)
        found = os.pread(handle, before - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        before = start
    return 0
