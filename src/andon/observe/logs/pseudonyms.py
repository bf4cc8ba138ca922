"""Pseudonyms: names of people and devices that nobody can turn back without the key, and whoever has it can.

A name is encrypted with AES-SIV (RFC 5297; Rogaway and Shrimpton, EUROCRYPT 2006), which needs no nonce: one name
has one pseudonym under one key, so that everything counted of a terminal stays together, over files, days and
machines. The kind (``user``, ``addr``, ``host``) is authenticated with it, and a pseudonym that was altered or made
with another key is refused rather than turned into something else. The text is the kind and the cipher in base 32,
so it survives lower case and is a name in every log and query; its length tells the length of the name (addresses
of IPv4 and IPv6 apart, which all have one length).

The key is a file of its own. It is never logged, published or put into findings.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

USER, ADDRESS, HOST = "user", "addr", "host"
_TEXT: Final = re.compile(r"(user|addr|host)-([a-z2-7]{27,})")
_HEADING: Final = "andon-pseudonym-key-1"
_KEY_BYTES: Final = 64
_REMEMBERED: Final = 1 << 20


class BadKey(ValueError):
    """The key file cannot be used, or a pseudonym was not made with this key."""


def make_key(path: str | Path) -> None:
    """Write a new key to a file that only its owner can read. Raises FileExistsError rather than overwrite one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{_HEADING} {secrets.token_hex(_KEY_BYTES)}\n")


def read_key(path: str | Path) -> bytes:
    """The key of a file. Raises OSError, BadKey for what is none or can be read by everybody."""
    path = Path(path)
    if os.name == "posix" and path.stat().st_mode & 0o007:
        raise BadKey(f"{path}: everybody on this machine can read the key; do: chmod 600 {path}")
    with path.open("rb") as file:
        parts = file.read(4096).split()
    try:
        heading, text = parts
        key = bytes.fromhex(text.decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        heading, key = b"", b""
    if heading != _HEADING.encode() or len(key) != _KEY_BYTES:
        # What stands in the file is not shown: it may be somebody's key of another kind.
        raise BadKey(f"{path}: not a key for pseudonyms; make one with: andon pseudonym key FILE")
    return key


class Pseudonyms:
    """Both ways under one key (64 bytes).

    >>> names = Pseudonyms(bytes(range(64)))
    >>> made = names.of(USER, "alice")
    >>> made[:5], names.reveal(made), made == names.of(USER, "alice"), made == names.of(HOST, "alice")
    ('user-', ('user', 'alice'), True, False)
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        if len(key) not in (32, 48, 64):
            raise BadKey("a key for pseudonyms has 32, 48 or 64 bytes")
        self._cipher = AESSIV(key)
        self._made: dict[tuple[str, str], str] = {}

    def of(self, kind: str, name: str) -> str:
        """The pseudonym of a name; "" and "-" stay as they are."""
        made = self._made.get((kind, name))
        if made is None:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            made = self._made[kind, name] = self._new(kind, name)
        return made

    def all_of(self, kind: str, names: Sequence[str]) -> list[str]:
        return [self.of(kind, name) for name in names]

    def _new(self, kind: str, name: str) -> str:
        if name in ("", "-"):
            return name
        data = _packed(name) if kind == ADDRESS else name.encode("utf-8", "surrogatepass")
        cipher = self._cipher.encrypt(data, [kind.encode()])
        return f"{kind}-{base64.b32encode(cipher).decode().rstrip('=').lower()}"

    def reveal(self, pseudonym: str) -> tuple[str, str]:
        """(kind, name). Raises BadKey for what was not made with this key."""
        from cryptography.exceptions import InvalidTag

        match = _TEXT.fullmatch(pseudonym.strip())
        if match is None:
            raise BadKey(f"{pseudonym[:80]!r} is not a pseudonym (user-..., addr-..., host-...)")
        kind, text = match.groups()
        try:
            cipher = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
            data = self._cipher.decrypt(cipher, [kind.encode()])
        except (InvalidTag, ValueError) as error:
            raise BadKey(f"{pseudonym[:80]!r} was not made with this key, or was altered") from error
        return kind, _unpacked(data) if kind == ADDRESS else data.decode("utf-8", "surrogatepass")


def _packed(name: str) -> bytes:
    """An address as a tag and its bytes; what is none (a pseudonymised log may have anything) as its text."""
    try:
        address = ip_address(name)
    except ValueError:
        return b"t" + name.encode("utf-8", "surrogatepass")
    if str(address) != name:
        return b"t" + name.encode()
    return (b"4" if address.version == 4 else b"6") + address.packed


def _unpacked(data: bytes) -> str:
    kind, rest = data[:1], data[1:]
    if kind == b"t":
        return rest.decode("utf-8", "surrogatepass")
    return str(IPv4Address(rest) if kind == b"4" else IPv6Address(rest))
