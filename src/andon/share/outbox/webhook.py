"""Webhook: an HTTP POST of ``andon.message/1``, signed, with an idempotency key.

``X-Andon-Signature: t=SECONDS,v1=HEX`` holds HMAC-SHA256 over ``SECONDS.BODY`` (time and body, joined by a dot), so
that a recorded request cannot be replayed later; ``verify`` is what a receiver does. ``Idempotency-Key`` is the
parcel's id: a receiver that remembers it acts once on a request that had to be repeated.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from andon.share.outbox.dial import Deadline
from andon.share.outbox.formatted import admit
from andon.share.outbox.http import Endpoint
from andon.share.outbox.parcel import Parcel, Refused, Unreachable, one_line
from andon.share.outbox.secret import Secret
from andon.share.policy import Gate

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
    gate: Gate | None = None

    def __post_init__(self) -> None:
        endpoint = self._endpoint  # a URL or a CA file that cannot be used is said at once
        if self.token is not None and not endpoint.secure:
            raise ValueError("a token is not sent over plain http: use https")

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.url, self.ca_file, self.verify)

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """POST; returns on any 2xx. Raises Unreachable, Refused, Withheld."""
        admit(self.gate, parcel)
        body = parcel.envelope().encode("ascii")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "andon",
            "Idempotency-Key": parcel.id,
            "X-Andon-Signature": sign(self.key.read().encode(), body, now // 1_000_000_000),
        }
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.read()}"
        with Deadline(seconds) as deadline:
            try:
                answer = self._endpoint.request("POST", deadline, headers, body)
            except Unreachable as error:
                raise Unreachable(self._hide(error), error.retry_after) from error
        if answer.good:
            return ""
        host, status = self._endpoint.host, answer.status
        text = f"{host} answered {status}: {self._hide(answer.text())}"
        if 300 <= status < 400:
            raise Unreachable(f"{host} answered {status}: redirects are not followed, give the final URL")
        if status in _REFUSED:
            raise Refused(text)
        raise Unreachable(text, answer.retry_after)

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
