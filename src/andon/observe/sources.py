"""Bytes of a capture, whatever they come in: plain file, compressed file, pipe.

A source is a *window* on the input: a buffer in memory with the part of the input that is being read. A plain
file is mapped 32 MiB at a time (one copy less than reading; unmapping behind keeps memory flat however big the
file is). Everything else is read in 8 MiB chunks, what was not consumed being carried over to the front.
Decompression goes chunk by chunk, so a compression bomb costs time in proportion to what is read, never
memory.
"""

from __future__ import annotations

import io
import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import numpy as np

WINDOW: Final = 32 << 20
CHUNK: Final = 8 << 20
GZIP, ZSTD, LZ4 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"


class NotACapture(ValueError):
    """The bytes are not a capture this reader knows (pcap or pcapng, plain or compressed)."""


class Source(Protocol):
    """A window: ``length`` bytes at ``address``, whose first byte is at ``origin`` in the uncompressed input."""

    address: int
    length: int
    origin: int
    last: bool
    trouble: str

    def advance(self, consumed: int) -> None:
        """Drop ``consumed`` bytes from the front and bring in more behind, unless ``last`` is set."""

    def close(self) -> None: ...


class MappedFile:
    """A plain file, mapped piece by piece."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._map: mmap.mmap | None = None
        self.origin = 0
        self.trouble = ""
        self._show(0)

    def _show(self, offset: int) -> None:
        self._drop()
        aligned = offset - offset % mmap.ALLOCATIONGRANULARITY
        length = min(WINDOW + offset - aligned, self._size - aligned)
        populate = getattr(mmap, "MAP_POPULATE", 0)
        self._map = mmap.mmap(
            self._descriptor, length, mmap.MAP_SHARED | populate, mmap.PROT_READ, offset=aligned
        )
        view = np.frombuffer(self._map, dtype=np.uint8)
        self.address = int(view.ctypes.data) + offset - aligned
        self.length = length - (offset - aligned)
        self.origin = offset
        self.last = aligned + length >= self._size

    def _drop(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None

    def advance(self, consumed: int) -> None:
        if not self.last:
            self._show(self.origin + consumed)

    def close(self) -> None:
        self._drop()
        os.close(self._descriptor)


class Chunks:
    """Anything that can be read in order, through a buffer that carries its rest to the front."""

    def __init__(self, stream: Any, first: bytes = b"", close: bool = True) -> None:
        self._stream = stream
        self._close = close
        self._buffer = np.empty(CHUNK, dtype=np.uint8)
        self.origin = 0
        self.length = 0
        self.last = False
        self.trouble = ""
        self._first = first
        self.address = int(self._buffer.ctypes.data)
        self.advance(0)

    def _read_into(self, view: memoryview) -> int:
        if self._first:
            n = min(len(self._first), len(view))
            view[:n] = self._first[:n]
            self._first = self._first[n:]
            return n
        return int(self._stream.readinto(view) or 0)

    def advance(self, consumed: int) -> None:
        rest = self.length - consumed
        room = self._buffer.size
        if rest > room // 2:
            grown = np.empty(max(room, rest * 2), dtype=np.uint8)
            grown[:rest] = self._buffer[consumed : self.length]
            self._buffer = grown
            self.address = int(grown.ctypes.data)
        elif rest and consumed:
            self._buffer[:rest] = self._buffer[consumed : self.length].copy()
        self.origin += consumed
        self.length = rest
        view = memoryview(self._buffer)  # type: ignore[arg-type]
        while self.length < self._buffer.size and not self.last:
            try:
                n = self._read_into(view[self.length :])
            except (OSError, EOFError, ValueError, RuntimeError) as error:
                self.trouble = str(error) or type(error).__name__
                n = 0
            if n == 0:
                self.last = True
            self.length += n

    def close(self) -> None:
        if self._close:
            self._stream.close()


class _ReadOnly(io.RawIOBase):
    """``readinto`` for streams that only have ``read``."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(min(len(buffer), 1 << 20))
        buffer[: len(piece)] = piece
        return len(piece)

    def readable(self) -> bool:
        return True


def open_source(what: str | os.PathLike[str] | BinaryIO) -> Source:
    """Open a path or a binary stream; compressed input is recognised by its first bytes.

    Raises OSError when a path cannot be opened.
    """
    if isinstance(what, (str, os.PathLike)):
        path = Path(what)
        descriptor = os.open(path, os.O_RDONLY)
        size = os.fstat(descriptor).st_size
        return MappedFile(descriptor, size)
    return Chunks(what if hasattr(what, "readinto") else _ReadOnly(what), close=False)
