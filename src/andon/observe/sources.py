"""Bytes of a capture, whatever they come in: plain file, compressed file, pipe.

A source is a *window* on the input: a buffer in memory with the part of the input that is being read. A plain
file is mapped 32 MiB at a time (one copy less than reading; unmapping behind keeps memory flat however big the
file is). Everything else is read in 8 MiB chunks, what was not consumed being carried over to the front.
Decompression goes chunk by chunk, so a compression bomb costs time in proportion to what is read, never
memory.
"""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import numpy as np

from andon.observe.compressed import compression, decompressor

WINDOW: Final = 32 << 20
CHUNK: Final = 8 << 20
# File systems with large pages in their cache can map 2 MiB at once, if asked at such an offset.
_ALIGN: Final = 2 << 20

# First bytes of a pcap -> (byte order turned, nanoseconds of one unit of the fraction).
PCAP_MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": (0, 1000),
    b"\xa1\xb2\xc3\xd4": (1, 1000),
    b"\x4d\x3c\xb2\xa1": (0, 1),
    b"\xa1\xb2\x3c\x4d": (1, 1),
}
PCAPNG_MAGIC: Final = b"\x0a\x0d\x0d\x0a"


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

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self._size = size
        self._map: mmap.mmap | None = None
        self.origin = 0
        self.trouble = ""
        self._show(0)

    def _show(self, offset: int) -> None:
        self._drop()
        aligned = offset - offset % _ALIGN
        length = min(WINDOW + offset - aligned, self._size - aligned)
        populate = getattr(mmap, "MAP_POPULATE", 0)
        self._map = mmap.mmap(
            self._file.fileno(), length, mmap.MAP_SHARED | populate, mmap.PROT_READ, offset=aligned
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
        self._file.close()


class Chunks:
    """Anything that can be read in order, through a buffer that carries its rest to the front.

    ``eager``: one successful read is enough; else the buffer is filled before anything is given."""

    def __init__(self, stream: Any, closing: Any = None, eager: bool = False) -> None:
        self._stream = stream
        self._closing = closing
        self._eager = eager
        self._buffer = np.empty(CHUNK, dtype=np.uint8)
        self.address = int(self._buffer.ctypes.data)
        self.origin = 0
        self.length = 0
        self.last = False
        self.trouble = ""
        self.advance(0)

    def advance(self, consumed: int) -> None:
        rest = self.length - consumed
        if rest > self._buffer.size // 2:
            grown = np.empty(rest * 2, dtype=np.uint8)
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
                n = self._stream.readinto(view[self.length :]) or 0
            except (OSError, ValueError) as error:
                self.trouble = str(error) or type(error).__name__
                n = 0
            self.last = n == 0
            self.length += n
            if self._eager:
                break

    def close(self) -> None:
        if self._closing is not None:
            self._closing.close()


class _Rewound:
    """A stream with its first bytes, already read to recognise it, put back in front."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        head = b""
        while len(head) < 4:
            piece = stream.read(4 - len(head))
            if not piece:
                break
            head += piece
        self.head = head
        self._rest = head

    def read(self, n: int) -> bytes:
        if self._rest:
            piece, self._rest = self._rest[:n], self._rest[n:]
            return piece
        return self._stream.read(n) or b""

    def readinto(self, view: memoryview) -> int:
        if not self._rest and hasattr(self._stream, "readinto"):
            return self._stream.readinto(view) or 0
        piece = self.read(min(len(view), 1 << 20))
        view[: len(piece)] = piece
        return len(piece)


def open_source(what: str | os.PathLike[str] | BinaryIO, eager: bool = False) -> Source:
    """Open a path or a binary stream; compressed input is recognised by its first bytes. ``eager``: see ``Chunks``.

    A stream is left open at the end, for it is the caller's. Raises OSError when a path cannot be opened.
    """
    if not isinstance(what, (str, os.PathLike)):
        return _stream(_Rewound(what), None, eager)
    file = Path(what).open("rb", buffering=0)  # noqa: SIM115  the source closes it
    try:
        status = os.fstat(file.fileno())
        plain = stat.S_ISREG(status.st_mode) and status.st_size > 0
        if plain and not compression(os.pread(file.fileno(), 4, 0)):
            return MappedFile(file, status.st_size)
        return _stream(_Rewound(file), file, eager)
    except BaseException:
        file.close()
        raise


def _stream(rewound: _Rewound, closing: Any, eager: bool) -> Source:
    kind = compression(rewound.head)
    return Chunks(decompressor(rewound, kind) if kind else rewound, closing, eager)


def sniff(what: str | os.PathLike[str]) -> str:
    """What a file is, by its first bytes: "pcap", "pcapng" or "unknown", then "+gzip", "+zstd" or "+lz4".

    ``sniff("a.pcap.gz")`` is "pcap+gzip". Raises OSError when the file cannot be read.
    """
    with Path(what).open("rb", buffering=0) as file:
        rewound = _Rewound(file)
        kind = compression(rewound.head)
        head = rewound.head
        if kind:
            head = b""
            stream = decompressor(rewound, kind)
            piece = bytearray(4)
            try:
                while len(head) < 4 and (n := stream.readinto(memoryview(piece)[: 4 - len(head)])):
                    head += piece[:n]
            except OSError:
                pass
    name = "pcap" if head in PCAP_MAGICS else "pcapng" if head == PCAPNG_MAGIC else "unknown"
    return f"{name}+{kind}" if kind else name
