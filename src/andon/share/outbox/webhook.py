"""Webhook: an HTTP POST of ``andon.message/1``, signed, with an idempotency key.

``X-Andon-Signature: t=SECONDS,v1=HEX`` holds HMAC-SHA256 over ``SECONDS.BODY`` (time and body, joined by a dot), so
that a recorded request cannot be replayed later; ``verify`` is what a receiver does. ``Idempotency-Key`` is the
parcel's id: a receiver that remembers it acts once on a request that had to be repeated.

The standard library's client is enough here: one POST, no pool, and it follows no redirects, reads no proxy from the
environment and keeps no cookies unless told to, which the larger clients do by default.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from andon.share.outbox.dial import Deadline, checked_host, tls_context
from andon.share.outbox.parcel import Parcel, Refused, Unreachable, one_line
from andon.share.outbox.secret import Secret

_ANSWER_BYTES = 4096
_REFUSED = frozenset({400, 405, 406, 411, 413, 414, 415, 422, 431})  # about this one request


@dataclass(frozen=True)
class WebhookSink:
    """An HTTP endpoint. ``key`` signs; ``token`` (if given) goes out as ``Authorization: Bearer``.

    Raises ValueError for a URL that is not http or https, or that holds a password."""

    name: str
    url: str
    key: Secret = field(repr=False)
    token: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None
    verify: bool = True
    digest_after: int = 60

    def __post_init__(self) -> None:
        parts, port = self._parts()
        checked_host(parts.hostname or "", port)
        if self.token is not None and parts.scheme == "http":
            raise ValueError("a token is not sent over plain http: use https")
        if parts.scheme == "https":
            _ = self._context  # a CA file that cannot be read is said at once

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return tls_context(self.ca_file, self.verify)

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """POST; returns on any 2xx. Raises Unreachable, Refused."""
        parts, port = self._parts()
        body = parcel.envelope().encode("ascii")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "andon",
            "Connection": "close",
            "Idempotency-Key": parcel.id,
            "X-Andon-Signature": sign(self.key.read().encode(), body, now // 1_000_000_000),
        }
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.read()}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = str(parts.hostname)
        with Deadline(seconds) as deadline:
            sock = deadline.connect(host, port)
            try:
                status, said, retry = self._post(sock, host, port, target, body, headers)
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(
                    f"{host}: certificate not accepted ({error.verify_message}); set ca_file if it is your own"
                ) from error
            except (http.client.HTTPException, OSError, ValueError) as error:
                raise Unreachable(f"{host} port {port}: {self._hide(error)}") from error
            finally:
                sock.close()
        if 200 <= status < 300:
            return ""
        text = f"{host} answered {status}: {self._hide(said)}"
        if 300 <= status < 400:
            raise Unreachable(f"{host} answered {status}: redirects are not followed, give the final URL")
        if status in _REFUSED:
            raise Refused(text)
        raise Unreachable(text, retry)

    def _post(
        self, sock: socket.socket, host: str, port: int, target: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, str, float | None]:
        stream = sock
        if self.url.lower().startswith("https:"):
            stream = self._context.wrap_socket(sock, server_hostname=host)
        client = http.client.HTTPConnection(host, port)
        client.default_port = 443 if stream is not sock else 80  # left out of the Host header
        client.sock = stream
        try:
            client.request("POST", target, body, headers)
            answer = client.getresponse()
            said = answer.read(_ANSWER_BYTES).decode("utf-8", "replace")
            after = answer.getheader("Retry-After", "")
            return answer.status, said, float(after) if after.isdigit() and len(after) < 7 else None
        finally:
            client.close()

    def _parts(self) -> tuple[SplitResult, int]:
        try:
            parts = urlsplit(self.url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise ValueError("the webhook's URL cannot be read") from error
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"a webhook's URL begins with https:// or http://, not {parts.scheme!r}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a password does not belong into a URL: use token_file or token_env")
        if not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise ValueError("the webhook's URL has characters that a URL cannot have; write them as %XX")
        return parts, port

    def _hide(self, said: object) -> str:
        text = self.key.hide(str(said) or type(said).__name__)
        return one_line(self.token.hide(text) if self.token is not None else text)


def sign(key: bytes, body: bytes, seconds: int) -> str:
    """The value of ``X-Andon-Signature``.

    >>> sign(b"key", b"{}", 1767225600)[:15]
    't=1767225600,v1'
    """
    digest = hmac.new(key, b"%d." % seconds + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def verify(key: bytes, header: str, body: bytes, now: int, tolerance: int = 300) -> bool:
    """Whether a received signature is right and at most ``tolerance`` seconds from ``now`` (seconds).

    >>> verify(b"key", sign(b"key", b"{}", 1767225600), b"{}", 1767225700)
    True
    >>> verify(b"key", sign(b"key", b"{}", 1767225600), b"{ }", 1767225700)
    False
    """
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    stamp = fields.get("t", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12) or abs(now - int(stamp)) > tolerance:
        return False
    return hmac.compare_digest(sign(key, body, int(stamp)).encode(), header.encode("utf-8", "replace"))
