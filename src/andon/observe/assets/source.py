"""An asset list as bytes and lines, decompressed, within bounds."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from andon.observe.compressed import Broken, compression, decompressor
from andon.observe.jsonlines import Skipped

LOOK: Final = 256 << 10  # bytes at the beginning that decide what a file is
LONGEST_LINE: Final = 1 << 20  # characters
_PIECE: Final = 256 << 10


class Source:
    """A file that can be read more than once."""

    def __init__(self, path: Path, skipped: Skipped) -> None:
        self.path, self._skipped = path, skipped
        self._told = False

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces; where the compression breaks, it ends (and ``skipped`` says so, once)."""
        with self.path.open("rb") as raw:
            kind = compression(raw.peek(4)[:4])
            stream: Any = decompressor(raw, kind) if kind else raw
            room = bytearray(_PIECE)
            try:
                while got := stream.readinto(memoryview(room)):
                    yield bytes(room[:got])
            except Broken as error:
                if not self._told:
                    self._told = True
                    self._skipped.add(0, str(error))

    def head(self) -> bytes:
        found = b""
        for chunk in self.chunks():
            found += chunk
            if len(found) >= LOOK:
                break
        return found[:LOOK]

    def texts(self, encoding: str) -> Iterator[str]:
        """The content as text; what is no text in that encoding becomes U+FFFD."""
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        for chunk in self.chunks():
            yield decoder.decode(chunk)
        yield decoder.decode(b"", True)

    def lines(self, encoding: str, skipped: Skipped | None = None) -> Iterator[tuple[int, str]]:
        """(number from 1, line with its end). Lines over 1 MiB are skipped and counted (in ``skipped``, if given)."""
        skipped = self._skipped if skipped is None else skipped
        held, number, dropping = "", 1, False
        for text in self.texts(encoding):
            parts = (held + text).replace("\r\n", "\n").split("\n")
            held = parts.pop()
            for part in parts:
                if dropping or len(part) > LONGEST_LINE:
                    skipped.add(number, "line longer than 1 MiB")
                else:
                    yield number, part + "\n"
                dropping = False
                number += 1
            if len(held) > LONGEST_LINE:
                held, dropping = "", True
        if dropping:
            skipped.add(number, "line longer than 1 MiB")
        elif held:
            yield number, held

    def encoding(self) -> str:
        """UTF-16 and UTF-8 with a mark say what they are. Else UTF-8 or CP932, whichever leaves less that is no text;
        UTF-16 without a mark is known by its zero bytes."""
        head = self.head()
        marked = encoding_of(head)
        if marked:
            return marked
        if not any(chunk and not chunk.isascii() for chunk in self.chunks()):
            return "utf-8"
        bad = {name: sum(text.count("�") for text in self.texts(name)) for name in ("utf-8", "cp932")}
        return "utf-8" if bad["utf-8"] <= bad["cp932"] else "cp932"


def encoding_of(head: bytes) -> str:
    """The encoding that the first bytes give away, or ""."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    some = head[:4096]
    odd, even = some[1::2].count(0), some[0::2].count(0)
    if len(some) > 20 and max(odd, even) > 0.4 * len(some) / 2 and min(odd, even) < 0.05 * len(some) / 2:
        return "utf-16-le" if odd > even else "utf-16-be"
    return ""
