"""One HTTP request to one place, bounded in time and size: what webhooks, TAXII, MISP and the hub are spoken to with.

The standard library's client is enough here: no pool, and it follows no redirects, reads no proxy from the
environment and keeps no cookies unless told to, which the larger clients do by default. A request goes to the place
that was configured or nowhere, so a password or key cannot be led elsewhere.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from andon.share.outbox.dial import Deadline, checked_host, tls_context
from andon.share.outbox.parcel import Unreachable

FEW = 4096  # bytes of an answer that is read for its status only


@dataclass(frozen=True)
class Answer:
    """What a server said. ``whole`` is False if there was more of the body than was read. Names of headers are
    in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, if it says a number."""
        after = self.headers.get("retry-after", "")
        return float(after) if after.isascii() and after.isdigit() and len(after) < 7 else None

    def text(self, most: int = FEW) -> str:
        """The beginning of the body, for a message."""
        return self.body[:most].decode("utf-8", "replace")


@dataclass(frozen=True)
class Endpoint:
    """An http or https URL; ``what`` is how messages call it.

    Raises ValueError for a URL that cannot work, or that holds a password.

    >>> Endpoint("https://taxii.example.org/api/").host
    'taxii.example.org'
    """

    url: str
    ca_file: Path | None = None
    verify: bool = True
    what: str = "webhook"

    def __post_init__(self) -> None:
        parts, port = self._parts()
        checked_host(parts.hostname or "", port)
        if parts.scheme == "https":
            _ = self._context  # a CA file that cannot be read is said at once

    @property
    def host(self) -> str:
        return str(self._parts()[0].hostname)

    @property
    def secure(self) -> bool:
        """Whether it is https."""
        return self._parts()[0].scheme == "https"

    @property
    def target(self) -> str:
        """Path and query."""
        parts = self._parts()[0]
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: who a secret is meant for."""
        parts, port = self._parts()
        return parts.scheme, str(parts.hostname), port

    def within(self, url: str) -> str:
        """Path and query of another URL of the same origin, for ``request``. Raises ValueError for one elsewhere, to
        whom our secrets are not given."""
        other = _split(url, self.what)
        if (other[0].scheme, str(other[0].hostname), other[1]) != self.origin:
            raise ValueError(
                f"{other[0].hostname} is another server than {self.host}: it is not given our password"
            )
        return (other[0].path or "/") + (f"?{other[0].query}" if other[0].query else "")

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return tls_context(self.ca_file, self.verify)

    def request(
        self,
        method: str,
        deadline: Deadline,
        headers: Mapping[str, str],
        body: bytes | None = None,
        most: int = FEW,
        target: str = "",
    ) -> Answer:
        """Ask, and read at most ``most`` bytes of the answer. The deadline is entered by the caller, who may have
        several requests under one. ``target``: of ``within``, else that of the URL.

        Raises Unreachable (no connection, certificate, what is no HTTP), with system errors as their reason."""
        _, host, port = self.origin
        sock = deadline.connect(host, port)
        try:
            return self._exchange(sock, (method, target or self.target), dict(headers), body, most)
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"{host}: certificate not accepted ({error.verify_message}); set ca_file if it is your own"
            ) from error
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise Unreachable(f"{host} port {port}: {error or type(error).__name__}") from error
        finally:
            sock.close()

    def _exchange(
        self,
        sock: socket.socket,
        line: tuple[str, str],
        headers: dict[str, str],
        body: bytes | None,
        most: int,
    ) -> Answer:
        scheme, host, port = self.origin
        stream = sock
        if scheme == "https":
            stream = self._context.wrap_socket(sock, server_hostname=host)
        client = http.client.HTTPConnection(host, port)
        client.default_port = 443 if stream is not sock else 80  # left out of the Host header
        client.sock = stream
        try:
            client.request(*line, body, {"Connection": "close", **headers})
            answer = client.getresponse()
            said = answer.read(most)
            whole = len(said) < most if answer.length is None else answer.length == 0
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, said, whole)
        finally:
            client.close()

    def _parts(self) -> tuple[SplitResult, int]:
        return _split(self.url, self.what)


def _split(url: str, what: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise ValueError(f"the {what}'s URL cannot be read") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"a {what}'s URL begins with https:// or http://, not {parts.scheme!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a password does not belong into a URL: use token_file or token_env")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"the {what}'s URL has characters that a URL cannot have; write them as %XX")
    return parts, port
