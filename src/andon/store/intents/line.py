"""One line of the intent log: an event as canonical JSON, with the SHA-256 that chains it to the line before.

A line is ``{"body":{...},"hash":"HEX"}``; with a key ``,"mac":"HEX"`` follows the hash. ``hash`` is the SHA-256 of the
bytes of the body as they stand there, and the body holds the hash of the line before (``prev``), so whoever changes,
takes out or puts in a line has to write all later ones anew. ``mac`` is the HMAC-SHA256 (RFC 2104) of the hash as hex
text: without the key nobody can write them anew. Nothing has to be re-encoded to check a line: any tool that cuts
bytes and knows SHA-256 will do.

The body is JSON in ASCII with sorted keys and no blanks. Times in it are RFC 3339 text and ids are hex text, because
numbers over 2**53 do not survive every JSON reader.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FORMAT: Final = "andon.intent-log/1"
SEGMENT, EVENT = "segment", "event"
FIRST: Final = "0" * 64  # the hash before the first line
LONGEST: Final = 1 << 20  # bytes of an event's line

_OPEN: Final = b'{"body":'
_HASH: Final = b',"hash":"'
_MAC: Final = b'","mac":"'
_CLOSE: Final = b'"}'


class Unproven(ValueError):
    """This line is not what was written; the text says in what."""


@dataclass(frozen=True)
class Line:
    """A line that proved itself. ``body`` is the JSON object; ``mac`` is "" where none was written."""

    body: Mapping[str, Any]
    hash: str
    mac: str

    @property
    def number(self) -> int:
        """Of the line in its chain, from 1."""
        return int(self.body["n"])

    @property
    def prev(self) -> str:
        """Hash of the line before."""
        return str(self.body["prev"])


def encode(body: Mapping[str, Any], key: bytes | None) -> tuple[bytes, str]:
    """The line of ``body`` with its newline, and its hash. Raises ValueError where the body is no JSON.

    >>> encode({"n": 1, "prev": FIRST}, None)[0][-68:-58]
    b'"ca8d79c7e'
    """
    try:
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except TypeError as error:
        raise ValueError(f"not to be written as JSON: {error}") from error
    digest = hashlib.sha256(text).hexdigest()
    signed = _MAC + sign(digest, key).encode() if key else b""
    return _OPEN + text + _HASH + digest.encode() + signed + _CLOSE + b"\n", digest


def decode(line: bytes, key: bytes | None) -> Line:
    """The inverse, without the newline; proves the hash, and the mac where there are a key and a mac.
    Raises Unproven."""
    end = len(line) - len(_CLOSE)
    mac = b""
    if line[end - 64 - len(_MAC) : end - 64] == _MAC:
        mac, end = line[end - 64 : end], end - 64 - len(_MAC)
    start = end - 64
    if not line.startswith(_OPEN) or not line.endswith(_CLOSE) or line[start - len(_HASH) : start] != _HASH:
        raise Unproven("it is no line of an intent log")
    text, digest = line[len(_OPEN) : start - len(_HASH)], line[start:end]
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise Unproven("its hash is not that of its body")
    if key and mac and not hmac.compare_digest(sign(digest.decode(), key).encode(), mac):
        raise Unproven("it was not signed with this key")
    try:
        body = json.loads(text)
        if not isinstance(body["n"], int) or not isinstance(body["prev"], str):
            raise Unproven("it has no number or no hash before it")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unproven(f"its body does not read ({error})") from error
    return Line(body, digest.decode(), mac.decode())


def sign(digest: str, key: bytes) -> str:
    """HMAC-SHA256 of a hash (hex text), as hex."""
    return hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()
