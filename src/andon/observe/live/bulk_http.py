"""The endpoints of ``bulk`` (Starlette)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from andon.observe.live.bulk import bulk, name_of, several

if TYPE_CHECKING:
    from andon.observe.live.bulk import BulkSource

_BODY_TIME: Final = 60.0  # seconds that a body may take
_PRODUCT: Final = {"X-Elastic-Product": "Elasticsearch"}  # without it, shippers refuse to send
_AGAIN: Final = {"Retry-After": "1"}


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def application(source: BulkSource) -> Starlette:
    """The endpoints."""

    async def alive(request: HttpRequest) -> Response:
        about = {"name": "andon", "cluster_name": "andon", "tagline": "You Know, for Search",
                 "version": {"number": "8.0.0", "build_flavor": "default"}}  # fmt: skip
        return JSONResponse(about, headers=_PRODUCT)

    async def healthy(request: HttpRequest) -> Response:
        return JSONResponse({"text": "HEC is healthy", "code": 17})

    async def to_bulk(request: HttpRequest) -> Response:
        body = await _body(request, source)
        begun = time.monotonic()
        documents, actions = bulk(body)
        await _keep(request, source, body, documents)
        made = [{action: {"_index": "alerts", "status": 201, "result": "created"}} for action in actions]
        took = int(1000 * (time.monotonic() - begun))
        return JSONResponse({"took": took, "errors": False, "items": made}, headers=_PRODUCT)

    async def to_collector(request: HttpRequest) -> Response:
        body = await _body(request, source)
        await _keep(request, source, body, several(body))
        return JSONResponse({"text": "Success", "code": 0})

    async def lines(request: HttpRequest) -> Response:
        body = await _body(request, source)
        messages = several(body)
        await _keep(request, source, body, messages)
        return JSONResponse({"accepted": len(messages)})

    async def refused(request: HttpRequest, error: Exception) -> Response:
        assert isinstance(error, _Refused)
        headers = {401: {"WWW-Authenticate": "Bearer"}, 429: _AGAIN, 503: _AGAIN}.get(error.status, {})
        return JSONResponse({"error": error.why, "status": error.status}, error.status, headers)

    async def gone(request: HttpRequest, error: Exception) -> Response:
        return Response(status_code=499)

    post, put = ["POST"], ["POST", "PUT"]
    routes = [
        Route("/", alive, methods=["GET", "HEAD"]),
        Route("/", lines, methods=post),
        Route("/services/collector/health", healthy, methods=["GET"]),
        Route("/services/collector/event", to_collector, methods=post),
        Route("/services/collector/event/1.0", to_collector, methods=post),
        Route("/services/collector/raw", to_collector, methods=post),
        Route("/services/collector", to_collector, methods=post),
        Route("/_bulk", to_bulk, methods=put),
        Route("/{index}/_bulk", to_bulk, methods=put),
        Route("/alerts", lines, methods=post),
    ]
    handlers: Any = {_Refused: refused, ClientDisconnect: gone}
    return Starlette(routes=routes, exception_handlers=handlers)


async def _body(request: HttpRequest, source: BulkSource) -> bytes:
    """The body, unpacked. Raises _Refused."""
    if not source.allowed(request.headers.get("authorization", "")):
        raise _Refused(401, "no or a wrong token: Authorization: Bearer TOKEN")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > source.body:
        raise _Refused(413, f"body larger than {source.body:,} bytes")
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_TIME):
            async for piece in request.stream():
                size += len(piece)
                if size > source.body:
                    raise _Refused(413, f"body larger than {source.body:,} bytes")
                pieces.append(piece)
    except TimeoutError:
        raise _Refused(408, "the body took too long") from None
    body = b"".join(pieces)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip", "zstd"):
        raise _Refused(415, f"content encoding {coding[:20]}: gzip and zstd are read")
    return await asyncio.to_thread(_unpacked, body, coding, source.body)


def _unpacked(body: bytes, coding: str, most: int) -> bytes:
    import io

    from andon.observe.compressed import compression, decompressor

    kind = compression(body[:4])
    if kind != ("zstd" if coding == "zstd" else "gzip"):
        raise _Refused(400, f"the body is not {coding}")
    stream, made, room = decompressor(io.BytesIO(body), kind), bytearray(), bytearray(1 << 16)
    try:
        while got := stream.readinto(memoryview(room)):
            made += room[:got]
            if len(made) > most:
                raise _Refused(413, f"body larger than {most:,} bytes when it is unpacked")
    except OSError as error:
        raise _Refused(400, f"the body is damaged: {error}") from error
    return bytes(made)


async def _keep(request: HttpRequest, source: BulkSource, body: bytes, messages: list[bytes]) -> None:
    """Returns when the messages are on disk. Raises _Refused."""
    given = request.headers.get("idempotency-key", "") or request.headers.get("x-request-id", "")
    if not messages:
        return
    waiting = source.submit(name_of(request.url.path, body, given[:200]), messages, len(body))
    if waiting is None:
        raise _Refused(429, "too much is waiting: try again")
    try:
        async with asyncio.timeout(source.patience):
            await asyncio.shield(asyncio.wrap_future(waiting.kept))
    except TimeoutError:
        raise _Refused(503, "not on disk yet: try again") from None
