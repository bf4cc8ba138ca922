"""Lines of JSON (``andon.message/1``), or of another format (``format``), into a file or a named pipe.

A file is fsynced, and its last line is looked at first: a message that a killed process had just written is not
written again, and half a line is removed. So a file takes each message exactly once; a pipe cannot be asked.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from andon import __version__
from andon.share.formats.export import LINES, Told
from andon.share.outbox.formatted import MESSAGE, admit, line, views
from andon.share.outbox.parcel import MESSAGE_SCHEMA, Parcel, Unreachable
from andon.share.policy import Gate

FORMATS = (MESSAGE, *LINES, "stix", "misp")

_BEGIN = f'{{"schema": "{MESSAGE_SCHEMA}"'.encode()  # of every line of ours


@dataclass(frozen=True)
class FileSink:
    """``path``: made if it is not there, never replaced. ``format``: one of ``FORMATS``; stix is a bundle a line,
    misp an event a line. ``index``: of ecs, the index that an action line before each document names."""

    name: str
    path: Path
    digest_after: int = 0
    format: str = MESSAGE
    index: str = ""
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.index and self.format != "ecs":
            raise ValueError("index goes with format ecs")

    @cached_property
    def _told(self) -> Told:
        return Told(self.format, self.gate, index=self.index)

    def _lines(self, parcel: Parcel) -> tuple[bytes, str]:
        """(what is written, remark): the same in every attempt."""
        if self.format == MESSAGE:
            admit(self.gate, parcel)
            return parcel.envelope().encode("ascii") + b"\n", ""
        some, remark = views(self._told, parcel)
        return b"".join(
            line(self._told, one, __version__).encode("utf-8", "replace") + b"\n" for one in some
        ), remark

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Append, durable when it returns. Raises Unreachable, Withheld."""
        line, remark = self._lines(parcel)
        try:
            if self.path.exists() and not stat.S_ISREG(self.path.stat().st_mode):
                handle = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
                try:
                    if os.write(handle, line) < len(line):
                        raise Unreachable(f"{self.path}: its reader is too slow")
                finally:
                    os.close(handle)
                return remark
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o640)
            try:
                if self.format == MESSAGE:
                    _append(handle, line, parcel.id)
                else:
                    _append_whole(handle, line)
            finally:
                os.close(handle)
            return remark
        except OSError as error:
            raise Unreachable(f"{self.path}: {error.strerror or error}") from error


def _append(handle: int, line: bytes, id: str) -> None:
    size = os.lseek(handle, 0, os.SEEK_END)
    end = _line_end(handle, size)
    if end < size and os.pread(handle, len(_BEGIN), end) != _BEGIN[: size - end]:
        line, end = b"\n" + line, size  # somebody else's line without an end is ended
    elif end and id.encode() in os.pread(handle, 128, _line_end(handle, end - 1)):
        line = b""  # the process was killed just after it
    _write(handle, line, end)


def _append_whole(handle: int, text: bytes) -> None:
    """Append lines that bear no id of the message: what a killed process had written of these very lines counts."""
    size = os.lseek(handle, 0, os.SEEK_END)
    tail = os.pread(handle, len(text), max(0, size - len(text)))
    starts = [0, *(at + 1 for at, c in enumerate(tail) if c == 10)] if len(tail) == size else [
        at + 1 for at, c in enumerate(tail) if c == 10
    ]  # fmt: skip
    if len(tail) < size and tail == text and os.pread(handle, 1, size - len(tail) - 1) == b"\n":
        starts.insert(0, 0)
    for start in starts:
        if start < len(tail) and text.startswith(tail[start:]):
            _write(handle, text, size - len(tail) + start)
            return
    _write(handle, text if not size or tail.endswith(b"\n") else b"\n" + text, size)


def _write(handle: int, line: bytes, end: int) -> None:
    """Write at an offset, nothing behind it, durably. Half a line of ours goes."""
    os.ftruncate(handle, end)
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
