"""The hub's HTTP interface (``docs/hub.md``), to be mounted at /hub.

Every request names a member and bears an HMAC-SHA256 over time, method, path and body with that member's key. Before
the signature is known to be right nothing is counted, stored or looked up; afterwards the member's own limits hold. A
receipt says the same whether an address is anybody's or nobody's, so that nobody can ask the hub who is registered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from andon.share.hub import protocol as p
from andon.share.hub.members import SUSPENDED, Member
from andon.share.hub.store import Conflict, HubStore, OverQuota, Rules
from andon.share.outbox.webhook import verify
from andon.store.errors import StoreError

_BODY_TIME: Final = 20.0  # s
_PAGE: Final = 1000
_RATE: Final = 120  # requests of a member in a minute
_DUMMY: Final = b"no such member has this key, but checking it takes as long"


class HubError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, why: str, retry_after: int = 0) -> None:
        super().__init__(why)
        self.status, self.why, self.retry_after = status, why, retry_after


def application(
    folder: Path, rules: Rules | None = None, clock: Callable[[], int] = time.time_ns
) -> Starlette:
    """The endpoints. ``folder``: STORE/hub, with the members' keys in ``keys/NAME.key``; ``clock``: ns.

    Raises StoreError where the store cannot be opened."""
    hub = _Hub(folder, HubStore(folder, rules), clock)
    routes = [
        Route("/v1/reports", hub.endpoint, methods=["POST"]),
        Route("/v1/disputes", hub.endpoint, methods=["POST"]),
        Route("/v1/withdraw", hub.endpoint, methods=["POST"]),
        Route("/v1/cover", hub.endpoint, methods=["GET"]),
        Route("/v1/sightings", hub.endpoint, methods=["GET"]),
        Route("/v1/account", hub.endpoint, methods=["GET"]),
    ]
    return Starlette(routes=routes)


class _Hub:
    def __init__(self, folder: Path, store: HubStore, clock: Callable[[], int]) -> None:
        self._keys, self.store, self._clock = folder / "keys", store, clock
        self._recent: dict[str, tuple[float, int]] = {}  # member -> tokens left, when (ns)
        self._forgotten = 0

    async def endpoint(self, request: Request) -> Response:
        """Any request."""
        try:
            if "x-andon-member" not in request.headers or "x-andon-signature" not in request.headers:
                raise HubError(401, "X-Andon-Member and X-Andon-Signature are missing")
            body = await _body(request)
            return _answer(await run_in_threadpool(self._respond, request, body))
        except HubError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
            return _answer({"error": error.why, "status": error.status}, error.status, headers)
        except ClientDisconnect:
            return Response(status_code=499)

    def _respond(self, request: Request, body: bytes) -> dict[str, Any]:
        now = self._clock()
        try:
            path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
            member = self._member(request, path, body, now)
            self._slow_down(member.name, now)
            match path:
                case "/v1/reports":
                    return self._report(member, body, now)
                case "/v1/disputes":
                    return self._dispute(member, body, now)
                case "/v1/withdraw":
                    self.store.withdraw(member.name, now)
                    (self._keys / f"{member.name}.key").unlink(missing_ok=True)
                    return {"schema": p.ACCOUNT, "member": member.name, "state": "withdrawn"}
                case "/v1/cover":
                    rules = self.store.rules
                    blocks = self.store.register().cover(rules.cover_v4, rules.cover_v6)
                    return {"schema": p.COVER, "prefixes": blocks}
                case "/v1/sightings":
                    return self._sightings(member, request)
                case _:
                    return self._account(member, now)
        except StoreError:
            raise HubError(503, "the hub cannot store anything now: try again", 30) from None

    def _member(self, request: Request, path: str, body: bytes, now: int) -> Member:
        """Who asks. Raises HubError, the same for an unknown member and for a wrong key."""
        name = request.headers.get("x-andon-member", "")
        member = self.store.register().members.get(name)
        key = None
        if member is not None:
            try:
                key = (self._keys / f"{name}.key").read_bytes().strip(b"\r\n")
            except OSError:
                key = None
        query = request.scope.get("query_string", b"").decode("latin-1")
        target = path + (f"?{query}" if query else "")
        said = p.signed_bytes(request.method, target, body)
        right = verify(
            key or _DUMMY, request.headers.get("x-andon-signature", ""), said, now // 10**9, p.WINDOW
        )
        if not right or member is None or not key:
            raise HubError(
                401, "no such member, a wrong key, or clocks that differ by more than five minutes"
            )
        return member

    def _slow_down(self, name: str, now: int) -> None:
        left, last = self._recent.get(name, (float(_RATE), now))
        left = min(float(_RATE), left + max(0, now - last) / 60e9 * _RATE)
        if left < 1:
            raise HubError(429, f"more than {_RATE} requests a minute", 5)
        self._recent[name] = (left - 1, now)

    def _report(self, member: Member, body: bytes, now: int) -> dict[str, Any]:
        if member.state == SUSPENDED:
            raise HubError(
                403, "suspended: several members dispute what was reported; ask the hub's operator"
            )
        try:
            report = p.read_report(_json(body), now)
            new = self.store.take(member.name, report, now)
        except p.BadReport as error:
            raise HubError(422, str(error)) from None
        except Conflict as error:
            raise HubError(409, str(error)) from None
        except OverQuota as error:
            raise HubError(429, str(error), error.wait) from None
        if now - self._forgotten > p.HOUR:
            self._forgotten = now
            self.store.forget(now)
        return {"schema": p.RECEIPT, "id": report.id, "sightings": len(report.sightings), "repeated": not new}

    def _dispute(self, member: Member, body: bytes, now: int) -> dict[str, Any]:
        said = _json(body)
        if not isinstance(said, dict) or set(said) != {"schema", "sighting", "reason"}:
            raise HubError(422, "a dispute has schema, sighting and reason")
        number, reason = said["sighting"], said["reason"]
        if said["schema"] != p.DISPUTE or not isinstance(number, str) or not isinstance(reason, str):
            raise HubError(422, f"schema is {p.DISPUTE!r}; sighting and reason are texts")
        reason = "".join(c if c.isprintable() else " " for c in reason[:500])
        if not number.isascii() or not self.store.dispute(member.name, number[:64], reason, now):
            raise HubError(404, "there is no such sighting of your addresses")
        return {"schema": p.DISPUTE, "sighting": number, "noted": True}

    def _sightings(self, member: Member, request: Request) -> dict[str, Any]:
        since = _whole(request, "since", 0, 1 << 62)
        limit = _whole(request, "limit", _PAGE, _PAGE)
        found, cursor, more = self.store.seen_of(member.name, since, max(1, limit))
        return {"schema": p.SIGHTINGS, "sightings": found, "cursor": cursor, "more": more}

    def _account(self, member: Member, now: int) -> dict[str, Any]:
        every = self.store.usage(now)
        mine, total = every.get(member.name, {}), sum(one.get("sightings", 0) for one in every.values())
        rules = self.store.rules
        return {
            "schema": p.ACCOUNT,
            "member": member.name,
            "state": member.state,
            "prefixes": [str(prefix) for prefix in member.prefixes],
            "named": member.named,
            "listed": member.listed,
            "today": {
                "reports": mine.get("reports_today", 0),
                "reports_limit": rules.reports,
                "sightings": mine.get("sightings_today", 0),
                "sightings_limit": rules.sightings,
            },
            "month": {
                "reports": mine.get("reports", 0),
                "sightings": mine.get("sightings", 0),
                "refused": mine.get("refused", 0),
                "share": round(mine.get("sightings", 0) / total, 3) if total else 0.0,
            },
            "disputed": mine.get("disputed", 0),
        }


async def _body(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > p.LARGEST:
        raise HubError(413, f"a request has at most {p.LARGEST:,} bytes")
    made = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIME):
            async for piece in request.stream():
                made += piece
                if len(made) > p.LARGEST:
                    raise HubError(413, f"a request has at most {p.LARGEST:,} bytes")
    except TimeoutError:
        raise HubError(408, "the body took too long") from None
    return bytes(made)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HubError(400, "the body is no JSON") from None


def _whole(request: Request, name: str, other: int, most: int) -> int:
    text = request.query_params.get(name, str(other))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise HubError(400, f"{name} is a whole number")
    return min(int(text), most)


def _answer(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(body, ensure_ascii=True, allow_nan=False)
    kept = {"Cache-Control": "private, no-store", **(headers or {})}
    return Response(text, status, kept, media_type="application/json")
