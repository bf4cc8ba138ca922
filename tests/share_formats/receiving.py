"""An HTTP server that answers as a function says, and a syslog collector that reads octet-counted frames."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Request = tuple[str, str, dict[str, str], bytes]  # method, path, headers, body
Answer = tuple[int, bytes]


@contextmanager
def http_server(answer: Callable[[Request], Answer]) -> Iterator[tuple[str, list[Request]]]:
    """(URL, requests that came)."""
    seen: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = (self.command, self.path, dict(self.headers), body)
            seen.append(request)
            status, said = answer(request)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET = _take

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def collector() -> Iterator[tuple[int, list[bytes]]]:
    """(port, messages that came), by the counting of RFC 6587."""
    seen: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as stream:
                while True:
                    digits = b""
                    while (c := stream.read(1)) and c != b" ":
                        digits += c
                    if not digits:
                        break
                    seen.append(stream.read(int(digits)))

    threading.Thread(target=work, daemon=True).start()
    try:
        yield listening.getsockname()[1], seen
    finally:
        listening.close()
