"""A gateway between an inside and an outside, in namespaces: IPv4 and IPv6, UDP echo and small TCP servers outside.

inside 10.9.0.5, .6, 2001:db8:9::5, ::6  --  gateway .1, ::1  --  outside 203.0.113.7, .8, .9, 2001:db8:f::7, ::8, ::9
                                                     |
                                                  capture host 10.9.9.9, 2001:db8:c::9
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from parts.spaces import addressed, cabled, inside, made, routed, run_in

from andon.contain.enforcers import make_enforcer
from andon.records.intent import Intent, Party

CAPTURE, CAPTURE6 = "10.9.9.9", "2001:db8:c::9"
INFECTED, CLEAN, C2, OTHER, SINK = "10.9.0.5", "10.9.0.6", "203.0.113.7", "203.0.113.8", "203.0.113.9"
INFECTED6, CLEAN6, C26, OTHER6 = "2001:db8:9::5", "2001:db8:9::6", "2001:db8:f::7", "2001:db8:f::8"
SINK6 = "2001:db8:f::9"
MAC = "02:00:00:00:09:05"
SECOND = 1_000_000_000


def build() -> None:
    for space in ("in", "gw", "out", "cap"):
        made(space)
    cabled("in", "e0", MAC, "gw", "lan")
    cabled("gw", "wan", "02:00:00:00:0f:01", "out", "e0")
    cabled("gw", "spare", "02:00:00:00:0c:01", "cap", "e0")
    addressed("gw", "spare", "10.9.9.1/24", "2001:db8:c::1/64")
    addressed("cap", "e0", "10.9.9.9/24", "2001:db8:c::9/64")
    addressed("in", "e0", "10.9.0.5/24", "10.9.0.6/24", "2001:db8:9::5/64", "2001:db8:9::6/64")
    addressed("gw", "lan", "10.9.0.1/24", "2001:db8:9::1/64")
    addressed("gw", "wan", "203.0.113.1/24", "2001:db8:f::1/64")
    addressed(
        "out", "e0", *(f"203.0.113.{n}/24" for n in (7, 8, 9)), *(f"2001:db8:f::{n}/64" for n in (7, 8, 9))
    )
    routed("in", "default via 10.9.0.1", "default via 2001:db8:9::1")
    routed("out", "default via 203.0.113.1", "default via 2001:db8:f::1")
    with inside("gw"):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")


def made_enforcer(**settings: Any) -> Any:
    return make_enforcer({"name": "gateway", "kind": "nft", "netns": "gw", **settings})


def intent(
    number: int, action: str, subject: Party, target: Party | None = None, ttl: float = 600, **more: Any
) -> Intent:
    more.setdefault("created", time.time_ns())
    return Intent(
        id=number, action=action, subject=subject, target=target, ttl=round(ttl * SECOND), reason="test",
        requested_by="test", **more,
    )  # fmt: skip


def host(*addresses: str, mac: str = "") -> Party:
    return Party("host", "ws-5", addresses=addresses, mac=mac)


def address(value: str) -> Party:
    return Party("address", value)


class Servers:
    """UDP echo on 5000 and 443, TCP on 80 and 4444 that answers with its own address, the port and what was said.

    ``at_work``: those that are. ``rounds``: how often its thread has found nothing more to answer."""

    at_work: ClassVar[list[Servers]] = []

    def __init__(
        self,
        space: str = "out",
        addresses: tuple[str, ...] = (C2, OTHER, SINK, C26, OTHER6, SINK6),
        tcp: tuple[int, ...] = (80, 4444),
        udp: tuple[int, ...] = (5000, 443),
    ) -> None:
        self._stop = threading.Event()
        self.rounds = 0
        self._sockets: list[socket.socket] = []
        with inside(space):
            for where in addresses:
                for kind, ports in ((socket.SOCK_STREAM, tcp), (socket.SOCK_DGRAM, udp)):
                    for port in ports:
                        one = socket.socket(socket.AF_INET6 if ":" in where else socket.AF_INET, kind)
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        one.bind((where, port))
                        if kind == socket.SOCK_STREAM:
                            one.listen(16)
                        one.setblocking(False)
                        self._sockets.append(one)
        self._listening = set(self._sockets)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.at_work.append(self)

    def _serve(self) -> None:
        while not self._stop.is_set():
            ready, _, _ = select.select(self._sockets, [], [], 0.02)
            self.rounds += not ready
            for one in ready:
                with contextlib.suppress(OSError):
                    self._answer(one)

    def _answer(self, one: socket.socket) -> None:
        if one.type == socket.SOCK_DGRAM:
            data, sender = one.recvfrom(2048)
            one.sendto(data, sender)
        elif one in self._listening:
            taken, _ = one.accept()
            taken.setblocking(False)
            self._sockets.append(taken)
        else:
            data = one.recv(2048)
            if not data:
                self._sockets.remove(one)
                one.close()
                return
            where, port = one.getsockname()[:2]
            one.send(f"{where} {port} ".encode() + data)

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self.at_work.remove(self)
        self._stop.set()
        self._thread.join()
        for one in self._sockets:
            one.close()


def answered(asking: socket.socket) -> bytes:
    """What comes within a quarter of a second, or later while the servers' thread has not got round to answer: that
    the machine is busy is no sign of a cut. Raises TimeoutError, OSError."""
    begun, end = [one.rounds for one in Servers.at_work], time.monotonic() + 60
    while True:
        try:
            return asking.recv(256)
        except TimeoutError:
            rested = all(one.rounds >= before + 2 for one, before in zip(Servers.at_work, begun, strict=True))
            if rested or time.monotonic() > end:
                with contextlib.suppress(BlockingIOError):  # what came since the last look
                    return asking.recv(256, socket.MSG_DONTWAIT)
                raise


def opened(source: str, kind: int, space: str = "in") -> socket.socket:
    with inside(space):
        made_socket = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, kind)
    made_socket.settimeout(0.25)
    made_socket.bind((source, 0))
    return made_socket


def udp(source: str, target: str, port: int = 5000, space: str = "in") -> bool:
    """Whether a datagram comes back."""
    with opened(source, socket.SOCK_DGRAM, space) as asking:
        try:
            asking.sendto(b"x", (target, port))
            return answered(asking) == b"x"
        except OSError:
            return False


def tcp(source: str, target: str, port: int = 80, space: str = "in") -> str:
    """What answers on a new connection: "ADDRESS PORT", or "" if nothing does."""
    with opened(source, socket.SOCK_STREAM, space) as asking:
        try:
            asking.connect((target, port))
        except OSError:
            return ""
        return said(asking)


def said(connection: socket.socket) -> str:
    """The same on an open one."""
    try:
        connection.send(b"x")
        return " ".join(answered(connection).decode().split(" ")[:2])
    except OSError:
        return ""


@contextlib.contextmanager
def connected(source: str, target: str, port: int = 80) -> Iterator[socket.socket]:
    with opened(source, socket.SOCK_STREAM) as asking:
        patience = asking.gettimeout()
        asking.settimeout(20)
        asking.connect((target, port))
        asking.settimeout(patience)
        assert said(asking)
        yield asking


def nft(*words: str) -> str:
    return run_in("gw", "nft", *words)


class Frames:
    """What arrives at the capture host: (source, destination) of IP packets."""

    def __init__(self) -> None:
        with inside("cap"):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.settimeout(0.2)

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def seen(self) -> set[tuple[str, str]]:
        found = set()
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):
                frame = self._socket.recv(2048)
                if frame[12:14] == b"\x08\x00":
                    found.add(
                        (str(ipaddress.ip_address(frame[26:30])), str(ipaddress.ip_address(frame[30:34])))
                    )
                elif frame[12:14] == b"\x86\xdd":
                    found.add(
                        (str(ipaddress.ip_address(frame[22:38])), str(ipaddress.ip_address(frame[38:54])))
                    )
        return found
