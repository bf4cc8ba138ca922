"""A log file as blocks of whole lines, whatever it is compressed with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from andon.observe.compressed import compression, decompressor
from andon.observe.logs import CHUNK, LONGEST


def blocks(path: str | Path, chunk: int = CHUNK) -> Iterator[bytes]:
    """Pieces of about ``chunk`` bytes, each cut behind a line feed (the last may lack one). A line longer than
    ``LONGEST`` is given in pieces, which no format takes for a line. Raises OSError where the file cannot be read or
    its compression is broken, after what was there before."""
    with Path(path).open("rb") as raw:
        kind = compression(raw.peek(4)[:4])
        stream = decompressor(raw, kind) if kind else raw
        rest, room = b"", bytearray(chunk)
        while True:
            got, error = _filled(stream, room)
            data = rest + bytes(memoryview(room)[:got])
            end = data.rfind(b"\n") + 1
            if not end and len(data) >= LONGEST:
                end = len(data)
            rest = data[end:]
            if end:
                yield data[:end]
            if error is not None or got < chunk:
                break
        if rest:
            yield rest
        if error is not None:
            raise error


def _filled(stream: Any, room: bytearray) -> tuple[int, OSError | None]:
    """Bytes read, fewer than there is room for only at the end, or before an error."""
    got = 0
    try:
        while got < len(room):
            more = stream.readinto(memoryview(room)[got:])
            if not more:
                break
            got += more
    except OSError as error:
        return got, error
    return got, None
