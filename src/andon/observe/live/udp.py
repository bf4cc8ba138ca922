"""Sockets that take datagrams: a large buffer, and the kernel's word on what did not fit into it."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

_RCVBUFFORCE: Final = 33  # SO_RCVBUFFORCE: beyond net.core.rmem_max, for those who may
RXQ_OVFL: Final = 40  # SO_RXQ_OVFL: how many datagrams the kernel dropped so far, with each that it gives


def prepare(made: socket.socket, buffer: int) -> None:
    """Ask for ``buffer`` bytes and for the number of datagrams dropped; what the system does not grant is left as it
    is."""
    for option in (_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            made.setsockopt(socket.SOL_SOCKET, option, buffer)
            break
        except OSError:  # beyond net.core.rmem_max without the right to it
            continue
    with suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, RXQ_OVFL, 1)
