"""What one text of a session says: the commands of a session, one request, one payload. Cached by the text, since
bots repeat themselves; everything here depends on the text alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Final
from urllib.parse import unquote

from andon.detect.intel.session import requests, shell, urls, words
from andon.detect.intel.session.exploits import Exploits
from andon.records import binaries
from andon.records.joint import EXPLOIT, PAYLOAD, TOKEN, URL, URL_BASE

LONGEST_VALUE: Final = 512
SURVEYS: Final = (
    "zgrab", "censys", "masscan", "nmap", "expanse", "palo alto", "shodan", "internet-measurement",
    "internetmeasurement", "netsystemsresearch", "paloaltonetworks", "securitytrails", "leakix", "onyphe", "binaryedge",
    "stretchoid", "shadowserver", "driftnet", "modat", "cypex", "ivre-", "odin.io", "getodin", "project25499",
    "research", "survey",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """``behaviours``: (kind, value). ``pattern`` "" if there are no commands. ``urls``: fetched or to be fetched."""

    pattern: str = ""
    number: int = 0  # hash of the pattern, 0 if none; below 2^63
    behaviours: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    fetches: bool = False
    by_hand: bool = False
    runs: bool = False  # a program, from where it lies


NOTHING: Final = Reading()


def number_of(pattern: str) -> int:
    """A name of 63 bits for a pattern; 0 for none."""
    if not pattern:
        return 0
    return (
        int.from_bytes(blake2b(pattern.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 1 or 1
    )


def of_url(url: str) -> Iterator[tuple[str, str]]:
    """Behaviours of a URL: its base and itself."""
    base = urls.base(url)
    if base:
        yield URL_BASE, base
    yield URL, urls.kept(url)


_FETCHES: Final = ("wget ", "curl ", "tftp ", "ftpget ", "<URL>", "fetch ", "lwp-download ")
_HAND: Final = ("\x7f", "\x1b[", "^C", "[A", "[C", "[D")


@lru_cache(maxsize=16_384)
def of_commands(text: str) -> Reading:
    """The commands of a session, one a line."""
    found = shell.masked(text)
    behaviours: list[tuple[str, str]] = []
    behaviours += [(TOKEN, token) for token in found.values.get("token", ())]
    markers = found.values.get("marker", [])
    behaviours += [(TOKEN, marker) for marker in markers[:2] if text.count(marker) > 1]
    pieces = found.values.get("binary", [])
    if pieces:  # a program that was written in pieces is named by the digests of these
        whole = pieces[0] if len(pieces) == 1 else sha256("".join(pieces).encode()).hexdigest()
        behaviours.append((PAYLOAD, whole))
    for key in found.values.get("key", ()):
        parts = key.split()
        behaviours.append((PAYLOAD, "ssh-key " + sha256(" ".join(parts[:2]).encode()).hexdigest()))
    mentioned = tuple(urls.kept(url) for url in found.values.get("url", ()))
    for url in mentioned:
        behaviours += of_url(url)
    pattern = found.pattern
    return Reading(
        pattern, number_of(pattern), tuple(dict.fromkeys(behaviours)), mentioned,
        any(word in pattern for word in _FETCHES) or bool(pieces), any(mark in text for mark in _HAND),
        _runs(pattern),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _runs(pattern: str) -> bool:
    return any(words.verb(one) == words.RUN for one in shell.statements(pattern))


class Requests:
    """Reads requests and payloads with a table of exploits; keeps what it read of distinct ones."""

    def __init__(self, exploits: Exploits) -> None:
        self._exploits = exploits
        self.of_request = lru_cache(maxsize=16_384)(self._of_request)
        self.of_payload = lru_cache(maxsize=4_096)(self._of_payload)

    def _of_request(self, method: str, uri: str, body: str, port: int) -> Reading:
        behaviours = [
            (EXPLOIT, value)
            for signature in self._exploits.of(method, uri, body, port)
            for value in signature.values
        ]
        text = (
            unquote((uri + "\n" + body).replace("+", " "), errors="replace")
            .replace("${IFS}", " ")
            .replace("\\/", "/")
        )
        text = text.replace("\\", "")
        found: tuple[str, ...] = ()
        if "://" in text or "busybox" in text:
            inner = of_commands(text)
            # A referrer or a callback is no download: only what a command fetches counts.
            if any(word in text for word in ("wget", "curl", "tftp", "ftpget", "busybox")):
                found = inner.urls
                behaviours += [one for one in inner.behaviours if one[0] in (TOKEN, URL, URL_BASE)]
        return Reading(behaviours=tuple(dict.fromkeys(behaviours)), urls=found, fetches=bool(found))

    def _of_payload(self, text: str, digest: str, port: int) -> Reading:
        """A payload in hexadecimal digits, and the digest that the honeypot gives of it."""
        try:
            data = bytes.fromhex(text[: 2 * 65_536])
        except ValueError:
            data = b""
        behaviours: list[tuple[str, str]] = []
        fetched: tuple[str, ...] = ()
        parsed = requests.parsed(data)
        for method, uri, rest in parsed:
            inner = self.of_request(method, uri, rest, port)
            behaviours += inner.behaviours
            fetched += inner.urls
        # TLS and RDP begin with what is drawn anew each time: their digests would be many and say nothing.
        if not parsed and data and data[:2] not in (b"\x16\x03", b"\x03\x00"):
            if not data.isascii() or not binaries.printable(data):
                behaviours += [
                    (EXPLOIT, value)
                    for signature in self._exploits.of("", "", data[:8192].decode("latin-1"), port)
                    for value in signature.values
                ]
            else:
                behaviours += of_text_payload(self._exploits, data.decode("ascii"), port)
            behaviours.append((PAYLOAD, digest or sha256(data).hexdigest()))
        elif not data and digest:
            behaviours.append((PAYLOAD, digest))
        return Reading(behaviours=tuple(dict.fromkeys(behaviours)), urls=fetched, fetches=bool(fetched))


def of_text_payload(exploits: Exploits, text: str, port: int) -> Iterator[tuple[str, str]]:
    """Behaviours of a payload that is text but no HTTP: commands sent to a port where a shell or a service may be."""
    for signature in exploits.of("", "", text, port):
        for value in signature.values:
            yield EXPLOIT, value
    yield from of_commands(text).behaviours
