"""One signed POST and its answer, with a bound on time and on size, to one receiver.

Signed as the outbox signs (``share.outbox.webhook``): ``X-Andon-Signature: t=SECONDS,v1=HEX``, the HMAC-SHA256 of
``SECONDS.BODY``, and ``Idempotency-Key``. Redirects are not followed, no proxy is taken from the environment. What
comes back is JSON of at most so many bytes, and is looked at like anything that comes from outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from andon.contain.contract import Rejected, Unreachable
from andon.share.outbox.dial import Deadline
from andon.share.outbox.http import Answer, Endpoint
from andon.share.outbox.parcel import Unreachable as Undeliverable
from andon.share.outbox.parcel import one_line
from andon.share.outbox.secret import Secret
from andon.share.outbox.webhook import sign

# About this request, whatever else: it would be refused again. 409 and 507: the receiver's own table is full.
_REJECTED: Final = frozenset({400, 405, 406, 409, 411, 413, 414, 415, 422, 431, 501, 507})


@dataclass(frozen=True)
class Receiver:
    """``url``: of which the operations are below. ``key`` signs; ``token`` (if given) goes out as a bearer's. Raises
    ValueError for a URL that cannot be used."""

    url: str
    key: Secret = field(repr=False)
    token: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        base = Endpoint(self.url, self.ca_file, self.verify, "receiver")
        if "?" in self.url or "#" in self.url:
            raise ValueError("the receiver's URL is a path that operations are put behind: no ? and no #")
        if self.token is not None and not base.secure:
            raise ValueError("a token is not sent over plain http: use https")

    def where(self, operation: str) -> str:
        """The URL of an operation."""
        return f"{self.url.rstrip('/')}/{operation}"

    def call(
        self, operation: str, payload: Mapping[str, Any], key: str, now: int, seconds: float, limit: int
    ) -> dict[str, Any]:
        """The receiver's answer, a JSON object of at most ``limit`` bytes. ``now`` is in ns. Raises Unreachable where
        there is none that can be used, Rejected where the receiver says no."""
        body = json.dumps(payload, ensure_ascii=True).encode("ascii")
        endpoint = Endpoint(self.where(operation), self.ca_file, self.verify, "receiver")
        try:
            headers = self._headers(body, key, now)
            with Deadline(seconds) as deadline:
                answer = endpoint.request("POST", deadline, headers, body, limit)
        except Undeliverable as error:
            raise Unreachable(self._hide(error)) from error
        return self._read(operation, endpoint.host, answer, limit)

    def _headers(self, body: bytes, key: str, now: int) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "andon",
            "Idempotency-Key": key,
            "X-Andon-Signature": sign(self.key.read().encode(), body, now // 1_000_000_000),
        }
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.read()}"
        return headers

    def _read(self, operation: str, host: str, answer: Answer, limit: int) -> dict[str, Any]:
        if 300 <= answer.status < 400:
            raise Unreachable(
                f"{host} answered {answer.status}: redirects are not followed, give the final URL"
            )
        if not answer.good:
            text = f"{host} answered {answer.status} to {operation}: {self._hide(answer.text())}"
            raise Rejected(text) if answer.status in _REJECTED else Unreachable(text)
        if not answer.whole:
            raise Unreachable(
                f"{host}: its answer to {operation} is longer than {limit:,} bytes or was cut off"
            )
        try:
            document = json.loads(
                answer.body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once
            )
        except (ValueError, RecursionError) as error:
            raise Unreachable(
                f"{host}: its answer to {operation} is not JSON ({one_line(str(error))})"
            ) from error
        if not isinstance(document, dict):
            raise Unreachable(f"{host}: its answer to {operation} is no JSON object")
        return document

    def _hide(self, said: object) -> str:
        text = self.key.hide(str(said) or type(said).__name__)
        return one_line(self.token.hide(text) if self.token is not None else text)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name is given twice")
    return made
