"""An ASGI application behind uvicorn on a loopback port, and certificates of an authority of one's own."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn


@dataclass(frozen=True)
class Authority:
    """Files: ``ca`` to trust, ``certificate`` and ``key`` of localhost."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_authority(folder: Path) -> Authority:
    """Made with openssl; the test is skipped where that is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    def run(*more: str) -> None:
        subprocess.run([*new, "-days", "2", *more], cwd=folder, check=True, capture_output=True)

    run("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test authority",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign")  # fmt: skip
    run("-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=localhost", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE")  # fmt: skip
    return Authority(folder / "ca.pem", folder / "server.pem", folder / "server.key")


@contextmanager
def served(application: Any, authority: Authority | None = None) -> Iterator[str]:
    """Serves until the block ends; gives the URL without a slash at its end."""
    listening = socket.create_server(("127.0.0.1", 0))
    files = {} if authority is None else {"ssl_certfile": authority.certificate, "ssl_keyfile": authority.key}
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1, **files
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not server.started and time.monotonic() < until:
        time.sleep(0.005)
    assert server.started
    scheme = "http" if authority is None else "https"
    try:
        yield f"{scheme}://localhost:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        listening.close()


@contextmanager
def raw_server(work: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection what it is told; gives its URL."""
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
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
