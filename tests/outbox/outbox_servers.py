"""Real servers on the loopback: mail, HTTP, syslog, and some that misbehave. All can be stopped and started again on
the same port."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class MailServer:
    """Takes mail; ``answer`` may be set to refuse it, ``delay`` (s) makes it slow to say so."""

    def __init__(
        self,
        port: int,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        password: str | None = None,
        delay: float = 0.0,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"
        self.refuse_recipient = ""
        self.delay = delay
        self.logins: list[str] = []
        self.port = port
        self._settings: dict[str, Any] = {"hostname": "127.0.0.1", "port": port}
        if tls is not None and implicit:
            self._settings["ssl_context"] = tls
        elif tls is not None:
            self._settings |= {"tls_context": tls, "require_starttls": True}
        if password is not None:
            self._password = password
            self._settings |= {"authenticator": self._login, "auth_required": True}
            if implicit:
                self._settings["auth_require_tls"] = False
        self._controller: Controller | None = None

    def _login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append(data.login.decode())
        return AuthResult(success=data.password == self._password.encode(), handled=False)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address == self.refuse_recipient:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            self.mails.append(mail)  # type: ignore[arg-type]
        await asyncio.sleep(self.delay)
        return self.answer

    def __enter__(self) -> MailServer:
        self._controller = Controller(self, ready_timeout=60.0, **self._settings)
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._controller is not None:
            self._controller.stop()


class WebServer:
    """Takes POSTs; ``status`` and ``headers`` are what it answers, ``body`` what it says."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, delay: float = 0.0) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status: int | Callable[[bytes], int] = 200
        self.headers: dict[str, str] = {}
        self.body = b"thanks"
        self.port = port
        self._tls = tls
        self._delay = delay

    def __enter__(self) -> WebServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.status(body) if callable(outer.status) else outer.status
                outer.requests.append((self.path, dict(self.headers), body))
                time.sleep(outer._delay)
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(outer.body)

            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers), b"GET"))

            def log_message(self, *_: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                return

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class SyslogServer:
    """Reads octet-counted messages to the end of each connection."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, delay: float = 0.0) -> None:
        self.messages: list[bytes] = []
        self.port = port
        self._tls = tls
        self._delay = delay
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> SyslogServer:
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=50)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            reader = threading.Thread(target=self._read, args=(peer,), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _read(self, peer: socket.socket) -> None:
        try:
            stream = self._tls.wrap_socket(peer, server_side=True) if self._tls is not None else peer
            with stream:
                data = b""
                while part := stream.recv(65536):
                    data += part
                while data:
                    length, _, data = data.partition(b" ")
                    self.messages.append(data[: int(length)])
                    assert len(self.messages[-1]) == int(length)
                    data = data[int(length) :]
                time.sleep(self._delay)
        except OSError:
            return

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for (
            reader
        ) in self._readers:  # a sender may be content with what the kernel has taken: it is read to its end
            reader.join(60)


@contextmanager
def raw_server(work: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does what it is told with each connection; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def one(peer: socket.socket) -> None:
        with peer:
            try:
                work(peer)
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def drip(peer: socket.socket) -> None:
    """One byte every 0.1 s, for ever: never silent, never done."""
    while True:
        peer.sendall(b"2")
        time.sleep(0.1)


def silent(peer: socket.socket) -> None:
    """Takes everything and says nothing."""
    while peer.recv(65536):
        continue
    time.sleep(60)
