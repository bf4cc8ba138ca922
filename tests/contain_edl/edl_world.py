"""Intents, an enforcer with a clock of its own, and its lists behind a real HTTP server on the loopback."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from andon.contain.enforcers.edl import EdlEnforcer, application, enforcer
from andon.records.intent import ADDRESS, BLOCK, HOST, Intent, Party

SECOND = 1_000_000_000
NOW = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


class Clock:
    """A clock that moves when told."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def on(self, seconds: float) -> int:
        self.now += round(seconds * SECOND)
        return self.now


def intent(
    number: int, value: str = "", kind: str = ADDRESS, action: str = BLOCK, ttl: float = 3600, created: int = NOW,
    addresses: tuple[str, ...] = (), target: Party | None = None,
) -> Intent:  # fmt: skip
    value = value or f"198.51.{number >> 8 & 255}.{number & 255}"
    party = Party(kind, value, addresses=addresses)
    return Intent(number, action, party, target, round(ttl * SECOND), "seen", "andon", created)


def host(number: int, *addresses: str, action: str = "quarantine", name: str = "pc1") -> Intent:
    return intent(number, name, HOST, action, addresses=addresses)


def made(folder: Path, clock: Clock, **settings: Any) -> EdlEnforcer:
    """An enforcer of the factory, with the lists published (the reconciler has looked twice)."""
    one = enforcer("perimeter", {"folder": "edl", **settings}, folder, clock)
    one.actual()
    one.actual()
    return one


def apply(one: EdlEnforcer, *intents: Intent) -> Any:
    return one.apply([one.plan(each) for each in intents])


def body(one: EdlEnforcer, name: str) -> str:
    """What is published, after a look that the file says the same."""
    snapshot = one.snapshot(name)
    assert snapshot is not None
    assert one._lists.path(name).read_bytes() == snapshot.body
    return snapshot.body.decode()


@contextmanager
def served(one: EdlEnforcer, **more: Any) -> Iterator[Client]:
    """The lists over HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(application(one, **more), log_config=None, lifespan="off", server_header=False)
        )
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not server.started and time.monotonic() < until:
            time.sleep(0.005)
        try:
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join(60)


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """What the server answers, once it has written down that it did: its loop takes one request at a time, so the
        answer to a second one means that it is done with the first."""
        answer = self._ask(path, method, headers)
        self._ask("/done", "HEAD", {})
        return answer

    def _ask(self, path: str, method: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={key.replace("_", "-"): v for key, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()
