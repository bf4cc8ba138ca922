"""An ASGI application served in a thread of its own (uvicorn), with bounds on who may hold it up."""

from __future__ import annotations

import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    import socket


def serve(
    application: Any,
    listening: socket.socket,
    certificate: Path | None,
    key: Path | None,
    client_ca: Path | None,
    name: str,
) -> tuple[uvicorn.Server, threading.Thread]:
    """Serve until the server's ``should_exit`` is set. Raises OSError, ValueError for a certificate that cannot be
    used."""
    config = uvicorn.Config(
        application,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        limit_concurrency=512,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        ssl_ca_certs=str(client_ca) if client_ca is not None else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if client_ca is not None else ssl.CERT_NONE,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{certificate}, {key}: {error.strerror or error}") from error
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name=f"http {name}", daemon=True)
    thread.start()
    until = time.monotonic() + 30.0
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    if not server.started:
        raise ValueError("the listener did not start")
    return server, thread
