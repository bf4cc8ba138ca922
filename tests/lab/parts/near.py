"""Who sends: the clients and the critical server. Every message is dated just before it is handed to the kernel."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import time
from array import array
from functools import partial
from typing import Any, Final

import numpy as np

from parts.asked import Asked
from parts.flows import BY_NAME, QUIC, Flow, message
from parts.names import question, replied
from parts.spaces import inside

PATIENCE: Final = 3.0  # seconds that a connection has until its answer
AT_ONCE: Final = 40  # most connections of a flow that wait for an answer
RESOLVER: Final = ("10.10.0.4", 53)
PROXY: Final = ("10.10.0.3", 3128)


def opened(space: str, address: str, kind: int) -> socket.socket:
    with inside(space):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.socket(family, kind | socket.SOCK_NONBLOCK)


def fetched(
    space: str,
    address: str,
    port: int = 80,
    target: str = "/",
    host: str = "any.example",
    seconds: float = 2.0,
) -> str:
    """One page as a browser in ``space`` gets it, with its head; "" if nothing answers. ``target``: a whole URL where
    a proxy is asked."""
    answer = b""
    with contextlib.suppress(OSError), opened(space, address, socket.SOCK_STREAM) as made:
        made.settimeout(seconds)
        made.connect((address, port))
        made.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        while data := made.recv(1 << 16):
            answer += data
    return answer.decode("latin-1")


class Attempt:
    """A connection with one message: (name asked for,) connected, message sent, answer read to its end."""

    def __init__(self, asked: Asked, talker: Talker, number: int) -> None:
        self.asked, self.talker, self.number = asked, talker, number
        self.flow = talker.flow
        self.begun, self.due = time.time_ns(), time.monotonic() + PATIENCE
        self.over = self.good = False
        self.answer = b""
        self.connection: socket.socket | None = None
        if self.flow.way == "names":
            self.connection = opened(self.flow.space, RESOLVER[0], socket.SOCK_DGRAM)
            self._begin(RESOLVER, question(self.flow.to, number % 0xFFFF, six=number % 3 == 2))
            self.asked.sockets.register(self.connection, selectors.EVENT_READ, self._named)
        elif self.flow.way == "proxy":
            self._connect(*PROXY)
        else:
            self._connect(self.flow.to, self.flow.port)

    def _begin(self, to: tuple[str, int], data: bytes) -> None:
        assert self.connection is not None
        try:
            self.connection.connect(to)
            self.connection.send(data)
        except OSError:
            self.end(False)

    def _named(self) -> None:
        assert self.connection is not None
        try:
            addresses = replied(self.connection.recv(4096))
        except (OSError, ValueError):
            addresses = []
        self.asked.forget(self.connection)
        self.connection.close()
        if addresses:
            self._connect(addresses[self.number // 3 % len(addresses)], self.flow.port)
        else:
            self.end(False)

    def _connect(self, address: str, port: int) -> None:
        self.connection = opened(self.flow.space, address, socket.SOCK_STREAM)
        try:
            self.connection.connect((address, port))
        except BlockingIOError:
            pass
        except OSError:
            self.end(False)
            return
        self.asked.sockets.register(self.connection, selectors.EVENT_WRITE, self._connected)

    def _connected(self) -> None:
        assert self.connection is not None
        if self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.end(False)
            return
        now = time.time_ns()
        said = message(self.talker.id, self.number, now)
        if self.flow.way == "tls":
            data = b"\x16\x03\x01\x00\x18" + said
        else:
            site = self.flow.to if ":" not in self.flow.to else f"[{self.flow.to}]"
            whole = f"http://{site}" if self.flow.way == "proxy" else ""
            head = f"GET {whole}/p/{said.hex()} HTTP/1.1\r\nHost: {site}\r\nUser-Agent: lab\r\n"
            data = f"{head}Connection: close\r\n\r\n".encode()
        try:
            self.connection.send(data)
        except OSError:
            self.end(False)
            return
        self.talker.sent.append(now)
        self.asked.sockets.modify(self.connection, selectors.EVENT_READ, self._answered)

    def _answered(self) -> None:
        assert self.connection is not None
        try:
            data = self.connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.answer += data
        if not data:
            self.end(self.answer[:1] == b"\x15" or self.answer[:12] in (b"HTTP/1.1 200", b"HTTP/1.0 200"))

    def end(self, good: bool) -> None:
        if self.over:
            return
        self.over, self.good = True, good
        if self.connection is not None:
            self.asked.forget(self.connection)
            self.connection.close()
        if not good:
            self.talker.failed.append(self.begun)


class Talker:
    """One flow that is on."""

    def __init__(self, asked: Asked, flow: Flow, id: int, rate: float) -> None:
        self.asked, self.flow, self.id = asked, flow, id
        self.sent, self.failed = array("q"), array("q")
        self.number = 0
        self.attempts: list[Attempt] = []
        self.socket: socket.socket | None = None
        self.go(rate)

    def go(self, rate: float) -> None:
        self.step, self.next = 1 / (rate or self.flow.rate), time.monotonic()

    def _connected(self) -> socket.socket:
        """The one socket of a flow that has one; a session that was broken off is begun anew."""
        if self.socket is None:
            stream = self.flow.way == "session"
            kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
            self.socket = opened(self.flow.space, self.flow.to, kind)
            if stream:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                self.socket.connect((self.flow.to, self.flow.port))
        return self.socket

    def talk(self, now: float) -> float:
        """Says what is due; gives when the next is."""
        if now - self.next > 0.1:  # the process was held up: no burst to make up for it
            self.next = now
        while self.next <= now:
            self.next += self.step
            if self.flow.way not in ("udp", "quic", "session"):
                waiting = [one for one in self.attempts if not one.over]
                for one in waiting:
                    if one.due < now:
                        one.end(False)
                self.attempts = [one for one in waiting if not one.over]
                if len(self.attempts) < AT_ONCE:
                    self.attempts.append(Attempt(self.asked, self, self.number))
                    self.number += 1
                continue
            sent = time.time_ns()
            data = message(self.id, self.number, sent)
            try:
                whole = QUIC + data.ljust(1200 - len(QUIC), b"\0") if self.flow.way == "quic" else data
                if self._connected().send(whole) < len(whole):
                    raise ConnectionAbortedError  # half a message would spoil all that follow
            except BlockingIOError:  # not connected yet, or cut and its buffer full
                continue
            except OSError:
                self.failed.append(sent)
                if self.flow.way == "session":
                    self._break_off()
                    self.next = now + 0.2
                continue
            self.sent.append(sent)
            self.number += 1
        return self.next

    def stop(self) -> None:
        for one in self.attempts:
            one.over or one.end(True)
        if self.flow.way == "session":
            self._break_off()

    def _break_off(self) -> None:
        """Without a farewell: what is under way must not arrive after the session is over."""
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
            self.socket = None


class Near:
    def __init__(self) -> None:
        self.on: dict[str, Talker] = {}
        self.known: dict[str, Talker] = {}
        self.asked = Asked(
            {"start": self.start, "stop": self.stop, "sent": partial(self._count, "sent"),
             "failed": partial(self._count, "failed")}
        )  # fmt: skip

    def start(self, flows: list[str], rate: float) -> None:
        for name in flows:
            if name in self.known:
                self.known[name].go(rate)
            else:
                number, flow = BY_NAME[name]
                self.known[name] = Talker(self.asked, flow, number, rate)
            self.on[name] = self.known[name]

    def stop(self, flows: list[str]) -> None:
        for name in flows or list(self.on):
            if name in self.on:
                self.on.pop(name).stop()

    def _count(self, what: str, flow: str, since: int, until: int) -> int:
        if flow not in self.known:
            return 0
        times = np.array(getattr(self.known[flow], what), np.int64)
        return int(np.count_nonzero((times >= since) & (times <= until)))

    def run(self) -> None:
        while True:
            now = time.monotonic()
            due: Any = min((talker.talk(now) for talker in self.on.values()), default=now + 1)
            self.asked.turn(min(due - time.monotonic(), 1.0))


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.nice(-5)  # what is late here looks like a gap that a switch made
    Near().run()
