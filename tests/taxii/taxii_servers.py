"""Servers to push to. The TAXII one takes objects as section 5.5 of the standard says; the MISP one keeps to what the
API documents, and to what its source answers: 404 with "already exists" for a uuid it has, "not newer" for an edit
whose timestamp is not later, 403 with ``saved: false`` for what is not valid or on the block list."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from andon.share.taxii.wire import TAXII


@dataclass
class Receiver:
    """``refuse``: names of objects that are not taken; ``pending``: how often a status is pending before it is done;
    ``strict``: what is there already is a failure, as medallion has it; ``largest``: bytes of a request;
    ``fail_with``: status of the next answers to POST."""

    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    posts: list[list[str]] = field(default_factory=list)
    polls: int = 0
    refuse: set[str] = field(default_factory=set)
    pending: int = 0
    largest: int = 1 << 20
    fail_with: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    named: bool = True
    strict: bool = False
    readable: bool = True
    forget: bool = False
    authorization: list[str] = field(default_factory=list)
    _statuses: dict[str, dict[str, Any]] = field(default_factory=dict)

    def application(self) -> Starlette:
        routes = [
            Route("/api/", self.root),
            Route("/api/collections/c1/objects/", self.add, methods=["POST"]),
            Route("/api/collections/c1/manifest/", self.manifest),
            Route("/api/status/{number}/", self.status),
        ]
        return Starlette(routes=routes)

    async def root(self, request: Request) -> Response:
        self.authorization.append(request.headers.get("authorization", ""))
        return answer({"title": "r", "versions": [TAXII], "max_content_length": self.largest})

    async def add(self, request: Request) -> Response:
        assert request.headers["content-type"] == TAXII and request.headers["accept"] == TAXII
        body = await request.body()
        if self.fail_with:
            status, headers = self.fail_with.pop(0)
            return answer({"title": "not so"}, status, headers)
        if len(body) > self.largest:
            return answer({"title": "too large"}, 413)
        listed = json.loads(body)["objects"]
        self.posts.append([one.get("name", one["id"]) for one in listed])
        held = set(self.objects) if self.strict else set()
        bad = [one for one in listed if one.get("name") in self.refuse or (one["id"], _version(one)) in held]
        good = [one for one in listed if one not in bad]
        for one in good:
            self.objects[one["id"], _version(one)] = one
        detail = lambda one: {"id": one["id"], "version": _version(one), "message": "not wanted here"}  # noqa: E731
        number = str(uuid.uuid4())
        complete = {
            "id": number,
            "status": "complete",
            "total_count": len(listed),
            "success_count": len(good),
            "failure_count": len(bad),
            "pending_count": 0,
            "successes": [detail(one) for one in good],
        }
        complete |= {"failures": [detail(one) for one in bad]} if bad and self.named else {}
        self._statuses[number] = {"left": self.pending, "body": complete}
        return self._say(number, 202)

    async def manifest(self, request: Request) -> Response:
        if not self.readable:
            return answer({"title": "not for you"}, 403)
        assert request.query_params["match[version]"] == "all"
        wanted = request.query_params["match[id]"].split(",")
        known = [key for key in self.objects if key[0] in wanted]
        found = [
            {"id": id, "date_added": "2026-01-01T00:00:00Z", "version": version} for id, version in known
        ]
        return answer({"objects": found} if found else {})

    async def status(self, request: Request) -> Response:
        self.polls += 1
        number = request.path_params["number"]
        if self.forget or number not in self._statuses:
            return answer({"title": "no such status"}, 404)
        self._statuses[number]["left"] -= 1
        return self._say(number, 200)

    def _say(self, number: str, status: int) -> Response:
        held = self._statuses[number]
        if held["left"] > 0:
            total = held["body"]["total_count"]
            return answer({"id": number, "status": "pending", "total_count": total, "success_count": 0,
                           "failure_count": 0, "pending_count": total}, status)  # fmt: skip
        return answer(held["body"], status)


def _version(one: dict[str, Any]) -> str:
    return str(one.get("modified", one.get("created", "2026-01-01T12:00:00.000Z")))


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, media_type=TAXII)


@dataclass
class Misp:
    """Events by uuid, and how often one was added or changed."""

    key: str = "misp-key"
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    lose: int = 0  # answers that are lost after the event was stored

    def application(self) -> Starlette:
        routes = [
            Route("/events/add", self.add, methods=["POST"]),
            Route("/events/edit/{number}", self.edit, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    async def add(self, request: Request) -> Response:
        event, refused = await self._event(request)
        if refused is not None:
            return refused
        if event["uuid"] in self.events:
            text = "Event already exists, if you would like to edit it, use the url in the location header."
            location = {"Location": f"{request.base_url}events/{event['uuid']}"}
            return JSONResponse({"name": text, "message": text, "url": "/events/add"}, 404, location)
        if event["uuid"] in self.blocked:
            return self._fail("add", "Event blocked by event blocklist.")
        return self._store("added", event)

    async def edit(self, request: Request) -> Response:
        event, refused = await self._event(request)
        if refused is not None:
            return refused
        held = self.events.get(request.path_params["number"])
        if held is None:
            return JSONResponse({"name": "Invalid event", "message": "Invalid event"}, 404)
        if int(event["timestamp"]) <= int(held["timestamp"]):
            return self._fail(
                "edit", "Event could not be saved: Event in the request not newer than the local copy."
            )
        return self._store("changed", event)

    async def _event(self, request: Request) -> tuple[dict[str, Any], Response | None]:
        if request.headers.get("authorization") != self.key:
            text = "Authentication failed. Please make sure you pass the API key of an API enabled user along in the "
            return {}, JSONResponse({"name": text, "message": text, "url": "/events/add"}, 403)
        assert request.headers["accept"] == request.headers["content-type"] == "application/json"
        event = json.loads(await request.body())["Event"]
        if not event.get("info"):
            return {}, self._fail("add", "Info cannot be empty.")
        return event, None

    def _fail(self, what: str, why: str) -> Response:
        name = f"Could not {what} Event"
        body = {"saved": False, "name": name, "message": name, "url": f"/events/{what}", "errors": why}
        return JSONResponse(body, 403)

    def _store(self, what: str, event: dict[str, Any]) -> Response:
        self.events[event["uuid"]] = event
        self.log.append(what)
        if self.lose:
            self.lose -= 1
            return JSONResponse({"name": "gateway timeout"}, 504)
        return JSONResponse({"Event": event})
