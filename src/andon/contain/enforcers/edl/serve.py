"""The lists over HTTP (ASGI): conditional requests as in RFC 9110, 13; caching as in RFC 9111.

    GET /            the lists that one may have, and how long they are
    GET /ip.txt      one of them; also without ".txt"

A list that exists is answered with 200 or 304 even when it is empty, never with 404: firewalls take that for a failure
and keep what they had. While the lists are held back (see ``lists``) the answer is 503.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from andon.contain.enforcers.edl.entries import LISTS
from andon.contain.enforcers.edl.lists import SECOND, Snapshot
from andon.contain.enforcers.edl.readers import Gate, Reader

if TYPE_CHECKING:
    from andon.contain.enforcers.edl.enforcer import EdlEnforcer

_TEXT: Final = "text/plain; charset=utf-8"
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="andon", charset="UTF-8"', "Cache-Control": "no-store"}
_AGAIN: Final = {"Retry-After": "10", "Cache-Control": "no-store"}
_MOST_TAGS: Final = 50


def application(enforcer: EdlEnforcer, tokens: Sequence[Reader] | None = None) -> Starlette:
    """The endpoint. ``tokens``: who may fetch; None: those of the enforcer's settings; none at all: anybody may."""
    gate = enforcer.gate if tokens is None else Gate(tokens)
    if tokens is not None:
        enforcer.gate = gate  # health and verify speak of these readers

    def let_in(request: Request) -> tuple[Reader | None, Response | None]:
        if not gate.readers:
            return None, None
        answer = gate.ask(request.headers.get("authorization", ""))
        if answer.reader is not None:
            return answer.reader, None
        if answer.unsure:
            return None, PlainTextResponse("a token file cannot be read: try again\n", 503, _AGAIN)
        if request.headers.get("authorization"):
            enforcer.access.failed(answer.claimed or _address(request), enforcer.now())
        return None, PlainTextResponse("no or a wrong token\n", 401, _CHALLENGE)

    async def index(request: Request) -> Response:
        reader, refusal = let_in(request)
        if refusal is not None:
            return refusal
        if enforcer.held_back:
            return _held_back()
        rows = [
            f"{name}.txt {one.lines} {one.published.version} {one.published.digest}\n"
            for name in LISTS
            if (reader is None or reader.may(name)) and (one := enforcer.snapshot(name)) is not None
        ]
        return Response("".join(rows), media_type=_TEXT, headers={"Cache-Control": "no-store"})

    async def one_list(request: Request) -> Response:
        reader, refusal = let_in(request)
        if refusal is not None:
            return refusal
        name = request.path_params["name"].removesuffix(".txt")
        snapshot = enforcer.snapshot(name)
        if snapshot is None:
            return PlainTextResponse("there is no such list\n", 404, {"Cache-Control": "no-store"})
        if reader is not None and not reader.may(name):
            return PlainTextResponse("this list is not for you\n", 403, {"Cache-Control": "no-store"})
        if enforcer.held_back:
            return _held_back()
        who = reader.name if reader is not None else _address(request)
        return _answer(request, snapshot, who)

    def _answer(request: Request, snapshot: Snapshot, who: str) -> Response:
        now = enforcer.now()
        packed = _takes_gzip(request.headers.get("accept-encoding", ""))
        headers = {
            "ETag": snapshot.packed_etag if packed else snapshot.etag,
            "Last-Modified": formatdate(snapshot.published.seconds, usegmt=True),
            "Cache-Control": f"private, must-revalidate, max-age={_age(snapshot, enforcer.max_age, now)}",
            "Vary": "Accept-Encoding",
        }
        version, name, head = snapshot.published.version, snapshot.name, request.method == "HEAD"
        unchanged, proven = _unchanged(request, snapshot)
        if unchanged:
            if proven and not head:
                enforcer.access.served(who, name, version, False, _address(request), now)
            return Response(status_code=304, headers=headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        body = snapshot.packed if packed else snapshot.body
        headers["X-Content-Type-Options"] = "nosniff"
        address = _address(request)
        return _Sent(
            body, headers, head, lambda: enforcer.access.served(who, name, version, True, address, now)
        )

    return Starlette(routes=[Route("/", index, methods=["GET"]), Route("/{name}", one_list, methods=["GET"])])


class _Sent(Response):
    """A response that tells when all of it was handed to the connection."""

    def __init__(self, body: bytes, headers: dict[str, str], head: bool, told: Callable[[], None]) -> None:
        super().__init__(body, media_type=_TEXT, headers=headers)
        self._told, self._head = told, head

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        if not self._head:
            self._told()


def _held_back() -> Response:
    return PlainTextResponse("the lists are being put together: keep what you have\n", 503, _AGAIN)


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else "?"


def _age(snapshot: Snapshot, most: int, now: int) -> int:
    """Seconds for which a copy may be used: never longer than until the next entry ends."""
    left = (snapshot.until - now) // SECOND if snapshot.until else most
    return max(0, min(most, left))


def _unchanged(request: Request, snapshot: Snapshot) -> tuple[bool, bool]:
    """(whether to answer 304, whether the reader showed that it has just this version). RFC 9110, 13.1.2 and 13.1.3:
    a date counts only without a tag; "*" and a later date say nothing about which version the reader has."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        given = {tag.strip().removeprefix("W/") for tag in tags.split(",", _MOST_TAGS)[:_MOST_TAGS]}
        proven = snapshot.etag in given or snapshot.packed_etag in given
        return proven or "*" in given, proven
    date = request.headers.get("if-modified-since")
    if not date or snapshot.published.crowded:
        return False, False
    try:
        seconds = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return False, False
    return seconds >= snapshot.published.seconds, seconds == snapshot.published.seconds


def _takes_gzip(accepted: str) -> bool:
    """Whether gzip is among the codings that a reader takes (RFC 9110, 12.5.3)."""
    for part in accepted.lower().split(",")[:_MOST_TAGS]:
        coding, _, quality = part.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            value = quality.replace(" ", "").removeprefix("q=")
            try:
                return not value or float(value) > 0
            except ValueError:
                return False
    return False
