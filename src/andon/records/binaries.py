"""Binaries in text: cut out before anything is stored or shown, whatever form they have.

A loader that finds neither wget nor tftp writes its program through the shell, as escapes or as raw bytes; what a
honeypot logs may then hold a working binary. Its length and SHA-256 stay in its place, as ``<BIN 52 bytes sha256
...>``. Every expression takes time linear in the text.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

_LONGEST: Final = 1 << 20  # characters of one binary; what goes on behind is another
# Magic of ELF, PE, ZIP and gzip, as characters and as hexadecimal digits; runs of what no keyboard types.
_RAW: Final = re.compile(
    rf"(?:\x7fELF|PK\x03\x04|\x1f[\x8b\ufffd]\x08|MZ[\x90\ufffd]\x00)[^\n]{{0,{_LONGEST}}}"
)
_HEX: Final = re.compile(rf"(?:7f454c46|4d5a9000|504b0304)[0-9a-f]{{8,{_LONGEST}}}", re.I)
_RUN: Final = re.compile(rf"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]{{4,{_LONGEST}}}")
_ESCAPES: Final = re.compile(
    rf"(?:\\{{1,2}}x[0-9a-fA-F]{{2}}|\\{{1,2}}0?[0-3][0-7]{{2}}(?![0-9])){{1,{_LONGEST // 4}}}"
)
_ESCAPE: Final = re.compile(r"\\{1,2}(?:x([0-9a-fA-F]{2})|0?([0-3][0-7]{2}))")
_PLAIN: Final = bytes([9, 10, 13, *range(32, 127)])
FEW: Final = 8  # bytes in escapes that may stay as they were typed: colours and control characters
LEFT: Final = re.compile(r"<BIN (\d{1,12}) bytes sha256 ([0-9a-f]{64})>")  # what stands in a binary's place


def printable(data: bytes) -> bool:
    """Whether bytes are plain text: printable ASCII, tabulators and ends of lines."""
    return not data.translate(None, _PLAIN)


def left_of(data: bytes) -> str:
    """What stands in the place of a binary."""
    return f"<BIN {len(data)} bytes sha256 {sha256(data).hexdigest()}>"


def suspect(text: str) -> bool:
    """Whether ``cut`` may change the text; quick."""
    if "\\" in text and _ESCAPE.search(text):
        return True
    if not text.isprintable() and not text.replace("\n", "").isprintable():
        return True
    lower = text.lower()
    return "7f454c46" in lower or "4d5a9000" in lower or "504b0304" in lower


def cut(text: str, undo: bool = True) -> str:
    """The text without binaries. ``undo``: escapes that make plain text are undone, ``\\x47\\x72`` becomes ``Gr``.

    >>> cut("echo -ne '\\\\x7f\\\\x45\\\\x4c\\\\x46\\\\x01' > .s")[:26]
    "echo -ne '<BIN 5 bytes sha"
    >>> cut(r"echo -e '\\x47\\x72\\x6f\\x70/tmp'")
    "echo -e 'Grop/tmp'"
    """
    if not suspect(text):
        return text
    text = _ESCAPES.sub(lambda match: _plain(match, undo), text)
    for pattern in (_RAW, _HEX, _RUN):
        text = pattern.sub(lambda match: left_of(match.group().encode("utf-8", "surrogatepass")), text)
    return text


def _plain(match: re.Match[str], undo: bool) -> str:
    data = bytes(
        int(one.group(1), 16) if one.group(1) else int(one.group(2), 8) & 0xFF
        for one in _ESCAPE.finditer(match.group())
    )
    if printable(data) or (len(data) < FEW and not undo):
        return data.decode("ascii") if undo else match.group()
    return left_of(data)
