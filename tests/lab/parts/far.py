"""Who receives: C2, critical server, honest site, quarantine page. Keeps when each message was sent and arrived.

Arrival of a datagram is the kernel's time stamp, not when this process got round to reading it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from array import array
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from parts.asked import Asked
from parts.flows import BY_NAME, FLOWS, MARK, MESSAGE
from parts.spaces import inside

_TIMESTAMPNS, _RCVBUFFORCE = 35, 33  # SO_TIMESTAMPNS, SO_RCVBUFFORCE, of which Python has no names
_TIMESPEC: Final = struct.Struct("@qq")
PAGES: Final = {
    "c2srv": ("200 OK", "ok\n"),
    "web": ("200 OK", "critical server\n"),
    "cap": (
        "503 Service Unavailable",
        "<h1>Quarantine</h1><p>This device has been cut off. Call the helpdesk.</p>\n",
    ),
}
UDP: Final = (("c2srv", 5000), ("c2srv", 443), ("web", 5000), ("c1", 5000))
TCP: Final = (
    ("c2srv", 80), ("c2srv", 443), ("c2srv", 4444), ("web", 80), ("web", 4444), ("cap", 80),
)  # fmt: skip


class Book:
    """Of each flow: numbers, times of sending and of arrival, side by side."""

    def __init__(self) -> None:
        self.rows = [(array("q"), array("q"), array("q")) for _ in FLOWS]

    def note(self, data: bytes, arrived: int, space: str) -> None:
        """``space``: where. What was steered elsewhere, such as to the quarantine page, has not arrived."""
        mark, flow, _, number, sent = MESSAGE.unpack(data)
        if mark == MARK and flow < len(self.rows) and FLOWS[flow].end == space:
            for column, value in zip(self.rows[flow], (number, sent, arrived), strict=True):
                column.append(value)

    def arrived(self, flow: str, since: int, until: int) -> int:
        numbers, sent, _ = (np.array(column, np.int64) for column in self.rows[BY_NAME[flow][0]])
        return int(np.unique(numbers[(sent >= since) & (sent <= until)]).size)

    def last(self, flow: str, until: int) -> tuple[int, int]:
        _, sent, arrived = (np.array(column, np.int64) for column in self.rows[BY_NAME[flow][0]])
        held = sent <= until
        return (int(sent[held].max()), int(arrived[held].max())) if held.any() else (0, 0)

    def first(self, flow: str, since: int) -> int:
        _, sent, _ = (np.array(column, np.int64) for column in self.rows[BY_NAME[flow][0]])
        held = sent[sent > since]
        return int(held.min()) if held.size else 0


class Far:
    def __init__(self) -> None:
        self.book = Book()
        self.asked = Asked({"arrived": self.book.arrived, "last": self.book.last, "first": self.book.first})
        for space, port in UDP:
            self._listen(space, port, socket.SOCK_DGRAM)
        for space, port in TCP:
            self._listen(space, port, socket.SOCK_STREAM)

    def _listen(self, space: str, port: int, kind: int) -> None:
        with inside(space):
            opened = socket.socket(socket.AF_INET6, kind)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.setblocking(False)
        if kind == socket.SOCK_DGRAM:
            opened.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 4 << 20)
            opened.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
            opened.bind(("::", port))
            ready: Callable[[], None] = partial(self._datagrams, opened, space)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(("::", port))
            opened.listen(256)
            ready = partial(self._accept, opened, space)
        self.asked.sockets.register(opened, selectors.EVENT_READ, ready)

    def _datagrams(self, opened: socket.socket, space: str) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(256):
                data, beside, _, _ = opened.recvmsg(2048, 64)
                seconds, nanoseconds = _TIMESPEC.unpack(beside[0][2])
                place = data.find(MARK)
                if 0 <= place <= len(data) - MESSAGE.size:
                    self.book.note(data[place : place + MESSAGE.size], seconds * 10**9 + nanoseconds, space)

    def _accept(self, opened: socket.socket, space: str) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = opened.accept()
                connection.setblocking(False)
                held = bytearray()
                self.asked.sockets.register(
                    connection, selectors.EVENT_READ, partial(self._stream, connection, space, held)
                )

    def _stream(self, connection: socket.socket, space: str, held: bytearray) -> None:
        try:
            data = connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        now = time.time_ns()
        held += data
        over = not data or len(held) > 1 << 20
        if held.startswith(MARK):  # a session: one message after the other
            whole = len(held) // MESSAGE.size * MESSAGE.size
            for place in range(0, whole, MESSAGE.size):
                self.book.note(bytes(held[place : place + MESSAGE.size]), now, space)
            del held[:whole]
        elif held.startswith(b"\x16"):  # as TLS begins: a record, then ours
            if len(held) >= 5 + MESSAGE.size:
                self.book.note(bytes(held[5 : 5 + MESSAGE.size]), now, space)
                self._say(connection, b"\x15\x03\x03\x00\x02\x02\x28")
                over = True
        elif b"\r\n\r\n" in held:
            place = held.find(b"/p/")
            with contextlib.suppress(ValueError, struct.error):
                self.book.note(
                    bytes.fromhex(held[place + 3 : place + 3 + 2 * MESSAGE.size].decode("latin-1")),
                    now,
                    space,
                )
            status, page = PAGES.get(space, PAGES["c2srv"])
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n"
            self._say(
                connection, f"{head}Cache-Control: no-store\r\nConnection: close\r\n\r\n{page}".encode()
            )
            over = True
        if over:
            self.asked.forget(connection)
            connection.close()

    @staticmethod
    def _say(connection: socket.socket, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            connection.send(answer)


if __name__ == "__main__":
    far = Far()
    while True:
        far.asked.turn(1.0)
