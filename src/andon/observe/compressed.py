"""Compressed captures, decompressed chunk by chunk: gzip (RFC 1952), Zstandard (RFC 8878), LZ4 frames.

Every reader here has one verb, ``readinto``, that fills at most the buffer it is given: memory does not depend
on what the input claims to expand to. A stream that is cut or corrupt gives what could be read, then raises
``Broken``; so does foreign data behind the last member. Several members or frames in a row read as one.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, cast

import lz4.frame
import zstandard
from isal import isal_zlib

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
LZ4: Final = b"\x04\x22\x4d\x18"
_IsalError = cast("type[Exception]", isal_zlib.error)
_INPUT: Final = 64 << 10
# A corrupt block loses what its call had produced, so the pieces stay small.
_OUTPUT: Final = 128 << 10
_MAX_WINDOW: Final = 128 << 20


class Broken(OSError):
    """The compressed stream is cut, corrupt, or followed by something else."""


class _Members:
    """gzip and lz4: decompress members until the input ends."""

    def __init__(self, stream: Any, kind: str) -> None:
        self._stream = stream
        self._kind = kind
        self._decoder = self._new()
        self._input = b""
        self._begun = False
        self._ended = False

    def _new(self) -> Any:
        return isal_zlib.decompressobj(31) if self._kind == "gzip" else lz4.frame.LZ4FrameDecompressor()

    def _decode(self, room: int) -> bytes:
        try:
            out = self._decoder.decompress(self._input, min(room, _OUTPUT))
        except (_IsalError, RuntimeError, ValueError, OSError, EOFError) as error:
            raise Broken(f"corrupt {self._kind} data ({error})") from error
        self._input = b""
        if self._decoder.eof:
            self._input = self._decoder.unused_data or b""
            self._decoder = self._new()
            self._begun = False
        elif self._kind == "gzip":
            self._input = self._decoder.unconsumed_tail
        return bytes(out)

    def _wants_input(self) -> bool:
        if self._input:
            return False
        return self._kind == "gzip" or not self._begun or bool(self._decoder.needs_input)

    def readinto(self, view: memoryview) -> int:
        """Fill ``view`` from the front; the number of bytes, 0 at the end. Raises ``Broken``."""
        while not self._ended:
            if self._wants_input():
                self._input = self._stream.read(_INPUT)
                if not self._input:
                    self._ended = True
                    if self._begun:
                        raise Broken(f"the {self._kind} stream is cut")
                    break
            if not self._begun:
                # Zero bytes behind a member are padding of tapes and block devices.
                self._input = self._input.lstrip(b"\0")
                if not self._input:
                    continue
                if len(self._input) < 4:
                    self._input += self._stream.read(4)
                magic = GZIP if self._kind == "gzip" else LZ4
                if not self._input.startswith(magic):
                    self._ended = True
                    raise Broken(f"something that is not {self._kind} follows the compressed data")
                self._begun = True
            try:
                out = self._decode(len(view))
            except Broken:
                self._ended = True
                raise
            if out:
                view[: len(out)] = out
                return len(out)
        return 0


def _zstd_shape() -> Generator[tuple[int, bool], bytes, None]:
    """Walk frame and block headers: yields (bytes wanted or to skip, skip?), gets the bytes wanted."""
    while True:
        magic = int.from_bytes((yield 4, False), "little")
        if magic >> 4 == 0x184D2A5:
            yield int.from_bytes((yield 4, False), "little"), True
            continue
        if magic != 0xFD2FB528:
            return
        descriptor = (yield 1, False)[0]
        single = (descriptor >> 5) & 1
        size_field = (single, 2, 4, 8)[descriptor >> 6]
        yield (1 - single) + (0, 1, 2, 4)[descriptor & 3] + size_field, True
        last = 0
        while not last:
            header = int.from_bytes((yield 3, False), "little")
            last = header & 1
            yield (1 if (header >> 1) & 3 == 1 else header >> 3), True
        yield 4 * ((descriptor >> 2) & 1), True


class _Watched:
    """A stream that knows where its Zstandard frames end, and itself ends there when no frame follows."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._shape = _zstd_shape()
        self._want, self._skip = next(self._shape)
        self._have = b""
        self.foreign = False

    def read(self, n: int = -1) -> bytes:
        if self.foreign:
            return b""
        data: bytes = self._stream.read(n)
        at = 0
        while at < len(data):
            take = min(self._want - len(self._have), len(data) - at)
            if self._skip:
                self._want -= take
            else:
                self._have += data[at : at + take]
            at += take
            if not self._step():
                self.foreign = True
                return data[: max(at - 4, 0)]
        return data

    def _step(self) -> bool:
        try:
            while (self._skip and self._want == 0) or (not self._skip and len(self._have) == self._want):
                got, self._have = self._have, b""
                self._want, self._skip = self._shape.send(got)
        except StopIteration:
            return False
        return True

    @property
    def between_frames(self) -> bool:
        return self._want == 4 and not self._skip and not self._have


class _Zstd:
    def __init__(self, stream: Any) -> None:
        self._watched = _Watched(stream)
        decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._reader = decoder.stream_reader(
            self._watched,  # type: ignore[arg-type]
            read_size=_INPUT,
            read_across_frames=True,
        )
        self._ended = False

    def readinto(self, view: memoryview) -> int:
        """Fill ``view`` from the front; the number of bytes, 0 at the end. Raises ``Broken``."""
        if self._ended:
            return 0
        try:
            n = self._reader.readinto(view[:_OUTPUT])
        except zstandard.ZstdError as error:
            self._ended = True
            raise Broken(f"corrupt zstd data ({error})") from error
        if n == 0:
            self._ended = True
            if self._watched.foreign:
                raise Broken("something that is not zstd follows the compressed data")
            if not self._watched.between_frames:
                raise Broken("the zstd stream is cut")
        return n


def compression(head: bytes) -> str:
    """The compression that the first four bytes of an input announce: "gzip", "zstd", "lz4" or ""."""
    if head.startswith(GZIP):
        return "gzip"
    if head.startswith(ZSTD) or (len(head) == 4 and int.from_bytes(head, "little") >> 4 == 0x184D2A5):
        return "zstd"
    return "lz4" if head.startswith(LZ4) else ""


def decompressor(stream: Any, kind: str) -> Any:
    """A reader (``readinto``) of the decompressed bytes of ``stream``, whose ``kind`` is known."""
    return _Zstd(stream) if kind == "zstd" else _Members(stream, kind)
