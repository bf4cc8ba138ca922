"""Connections that end on time, whatever the other side does.

A socket's own timeout counts from the last byte, so a server that sends one byte every few seconds is never late.
Here a second handle on the same connection shuts it down when the time for the whole delivery is over.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from andon.share.outbox.parcel import Unreachable


class Deadline:
    """Time for one delivery; use it as a context. Errors inside become Unreachable when the time was up."""

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds
        self._handles: list[socket.socket] = []
        self._over = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    @property
    def left(self) -> float:
        """Seconds left. Raises Unreachable when there are none."""
        left = self._end - self._clock()
        if left <= 0 or self._over:
            raise Unreachable(f"not done within {self.seconds:g} s")
        return left

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection to the first address that answers. Raises Unreachable."""
        problem = "it has no address"
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{host}: name not found ({error})") from error
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self.left)
                sock.connect(address)
            except OSError as error:
                problem = str(error)
                sock.close()
                continue
            except Unreachable:
                sock.close()
                raise
            with self._lock:
                self._handles.append(sock.dup())
            return sock
        raise Unreachable(f"{host} port {port}: {problem}")

    def _cut(self) -> None:
        self._over = True
        with self._lock:
            for handle in self._handles:
                try:
                    handle.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it is closed already

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()
        if self._over and isinstance(error, Exception):
            raise Unreachable(f"not done within {self.seconds:g} s") from error


def tls_context(ca_file: Path | None, verify: bool = True) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and host name verified unless told otherwise.

    Raises ValueError for a file without certificates."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{ca_file}: no certificates can be read there ({error})") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def checked_host(host: str, port: int) -> None:
    """Raises ValueError for what cannot be the name and port of a server."""
    if not host or not all(c.isalnum() or c in ".-_:" for c in host):
        raise ValueError(f"{host!r} is not the name or address of a server")
    if not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
