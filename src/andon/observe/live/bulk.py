"""Alerts that others post: endpoints like Elasticsearch's ``_bulk`` and Splunk's event collector, or plain JSON lines.

A request is answered with 200 when what it brought is in the journal and synced to disk, not before; so a sender that
tries again until it hears 200 loses nothing, whatever is killed. A request that was kept and whose answer was lost
comes again: it is known by its ``X-Request-Id`` or ``Idempotency-Key``, or else by the digest of its path and body (a
batch of alerts holds times, so two that are equal are one), and answered without being taken in twice. The names of
the last requests are part of the position in the journal, so a restart knows them.

More than ``waiting`` bytes of requests that wait for the journal get 429, and a request that waits too long (the
store is full) 503, both with Retry-After. Bodies are bounded, compressed ones while they are unpacked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import socket
import threading
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from andon.observe.alerts.mixed import items
from andon.observe.live.messages import Intake
from andon.observe.live.source import Piece, SourceError
from andon.observe.logs.options import Options
from andon.records.alert import ALERT as ALERT_SCHEMA
from andon.records.kinds import ALERT, CONTACT, FLOW, marked

if TYPE_CHECKING:
    import uvicorn

REMEMBERED: Final = 1024  # requests by which one that comes again is known
REQUESTS: Final = 256  # that may wait
_AT_ONCE: Final = 16  # requests of one poll
LONGEST_TOKEN: Final = 4096


@dataclass(eq=False)
class Request:
    """A body that waits for the journal. ``kept``: done once it is on disk."""

    name: str
    messages: list[bytes]
    size: int
    kept: Future[None] = field(default_factory=Future)


class BulkSource:
    """``token``: what senders have to show; none is allowed on a loopback address alone. ``body``: bytes of one request
    at most, unpacked; ``waiting``: of all that wait; ``patience``: seconds that one waits."""

    replayable = False
    can_wait = True
    finished = False
    kind = ALERT
    kinds = (ALERT, CONTACT, FLOW)

    def __init__(
        self,
        name: str,
        address: str = "127.0.0.1",
        port: int = 8088,
        token: str = "",
        options: Options | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        body: int = 16 << 20,
        waiting: int = 64 << 20,
        patience: float = 30.0,
        slack: float = 300.0,
        idle: float = 3600.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        if not token and not ip_address(address).is_loopback:
            raise ValueError(
                f"source {name}: token_file is missing; without one only a loopback address may be used"
            )
        if (certificate is None) != (key is None) or (client_ca is not None and certificate is None):
            raise ValueError(f"source {name}: TLS needs certificate and certificate_key")
        self.name, self.address, self.port = name, address, port
        self.trouble = ""
        self.body, self.waiting, self.patience = body, waiting, patience
        self._token, self._tls = token, (certificate, key, client_ca)
        self._clock = clock
        self._intake = Intake(name, options or Options(), clock, slack, idle, "posted messages")
        self._queue: queue.Queue[Request] = queue.Queue(maxsize=REQUESTS)
        self._lock = threading.Lock()
        self._size = 0  # bytes that wait
        self._pending: dict[str, Request] = {}  # by name: not on disk yet
        self._given: OrderedDict[int, Request] = OrderedDict()  # by number: in the journal's hands
        self._known: OrderedDict[str, None] = OrderedDict()  # names of requests that were given
        self._kept: set[str] = set()  # of those, on disk
        self._number = 0
        self._asked = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self.refused = 0

    # The runner's side

    def open(self, position: Mapping[str, Any] | None) -> None:
        if position:
            self._intake.taken = int(position.get("messages", 0))
            self._number = int(position.get("number", 0))
            self._known = OrderedDict((str(name), None) for name in position.get("known", ()))
            self._kept = set(self._known)
        six = ip_address(self.address).version == 6
        made = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self.address, self.port))
        except OSError as error:
            made.close()
            raise SourceError(
                f"source {self.name}: cannot listen on {self.address} port {self.port} (http-bulk): {error.strerror}"
            ) from error
        self._socket, self.port = made, made.getsockname()[1]
        from andon.observe.live.bulk_http import application
        from andon.observe.live.http_thread import serve

        certificate, key, client_ca = self._tls
        try:
            self._server, self._thread = serve(
                application(self), made, certificate, key, client_ca, self.name
            )
        except (OSError, ValueError) as error:
            made.close()
            raise SourceError(f"source {self.name}: {error}") from error

    def poll(self, timeout: float) -> list[Piece]:
        if self._thread is not None and not self._thread.is_alive():
            raise SourceError(f"source {self.name}: the listener has stopped")
        self._asked = self._clock()
        pieces: list[Piece] = []
        for n in range(_AT_ONCE):
            try:
                request = self._queue.get(timeout=max(timeout, 0.001)) if n == 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            pieces += self._pieces(request)
        return pieces

    def _pieces(self, request: Request) -> list[Piece]:
        """The records of one request; its name goes with the last of them."""
        batches = self._intake.read(request.messages)
        if not batches:
            batches = [marked(pa.RecordBatch.from_pylist([], ALERT_SCHEMA), ALERT)]
        with self._lock:
            before = {"messages": self._intake.taken, "number": self._number, "known": list(self._known)}
            self._number += 1
            self._given[self._number] = request
            self._known[request.name] = None
            while len(self._known) > REMEMBERED:
                self._kept.discard(self._known.popitem(last=False)[0])
            after = {"messages": self._intake.taken, "number": self._number, "known": list(self._known)}
        promise = {"promise": self._intake.promise}
        return [
            *(Piece(batch, before | promise) for batch in batches[:-1]),
            Piece(batches[-1], after | promise),
        ]

    def kept(self, position: Mapping[str, Any]) -> None:
        """The journal has synced everything up to this position: let those who wait for it know."""
        done = []
        with self._lock:
            while self._given and next(iter(self._given)) <= int(position.get("number", 0)):
                request = self._given.popitem(last=False)[1]
                self._pending.pop(request.name, None)
                self._kept.add(request.name)
                self._size -= request.size
                done.append(request)
        for request in done:
            request.kept.set_result(None)

    def events(self) -> list[dict[str, Any]]:
        return self._intake.events()

    def quiet(self) -> int | None:
        return self._intake.quiet(self._asked) if self._queue.empty() else None

    def close(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10.0)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None

    # The listener's side

    def allowed(self, shown: str) -> bool:
        """Is this header Authorization enough? Bearer, Splunk, ApiKey TOKEN, or the token as the password of Basic."""
        if not self._token:
            return True
        scheme, _, given = shown.strip().partition(" ")
        given = given.strip()
        if scheme.lower() == "basic":
            try:
                given = b64decode(given, validate=True).decode("utf-8", "replace").partition(":")[2]
            except ValueError:
                return False
        elif scheme.lower() not in ("bearer", "splunk", "apikey"):
            return False
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode("utf-8", "replace"))

    def submit(self, name: str, messages: list[bytes], size: int) -> Request | None:
        """Hand a request on. One that is known already is the one that waits, or one that is done; None where too much
        waits."""
        with self._lock:
            if name in self._pending:
                return self._pending[name]
            request = Request(name, messages, size)
            if name in self._kept:
                request.kept.set_result(None)
                return request
            if self._size + size > self.waiting and self._size:
                self.refused += 1
                return None
            try:
                self._queue.put_nowait(request)
            except queue.Full:
                self.refused += 1
                return None
            self._pending[name] = request
            self._size += size
            return request


def name_of(path: str, body: bytes, given: str) -> str:
    """What a request is known by: 24 hex digits."""
    data = (
        b"id\0" + given.encode("utf-8", "replace")
        if given
        else path.encode("utf-8", "replace") + b"\0" + body
    )
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def bulk(body: bytes) -> tuple[list[bytes], list[str]]:
    """(documents, the action of each) of a request to ``_bulk``; a deletion has no document and is in neither."""
    documents: list[bytes] = []
    actions: list[str] = []
    asked: str | None = None
    for line in body.split(b"\n"):
        line = line.strip(b" \t\r")
        if not line:
            continue
        if asked is None:
            asked = items(line)
            if asked == "delete":
                asked = None
                continue
            if asked is not None:
                continue
            asked = "index"  # no action: a document all the same
        documents.append(line)
        actions.append(asked)
        asked = None
    return documents, actions


def several(body: bytes) -> list[bytes]:
    """Messages of a body: lines, documents one behind another or in a list, whatever they are spread over."""
    start = body[:64].lstrip()
    if start.startswith((b"{", b"[")) and not _is_lines(body):
        from andon.observe.alerts.flatten import Flattener
        from andon.observe.jsonlines import Skipped

        flat = Flattener(1 if start.startswith(b"[") else 0)
        return [line for line in flat.feed(body, Skipped()).split(b"\n") if line]
    return [line for line in (line.strip(b" \t\r") for line in body.split(b"\n")) if line]


def _is_lines(body: bytes) -> bool:
    """Is the first line a document?"""
    first = body.lstrip().split(b"\n", 1)[0].strip()
    if not first.startswith(b"{") or not first.endswith(b"}"):
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True
