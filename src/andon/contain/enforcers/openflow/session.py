"""One connection to a switch: the handshake, requests and their answers, and what the switch says by itself.

A thread reads; whoever asks writes and waits. What a switch can make us keep is bounded.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final, TypeVar

from andon.contain.contract import Rejected, Unreachable
from andon.contain.enforcers.openflow import wire
from andon.contain.enforcers.openflow.oxm import Malformed
from andon.contain.enforcers.openflow.wire import Message, Refusal, Removed, Stat

_MOST_ANSWER: Final = 16 << 20  # octets of one answer in many parts
_MOST_OWED: Final = 64  # echo requests that wait for our reply
_PATIENCE: Final = 5.0  # seconds
_T = TypeVar("_T")


class _Pending:
    """A request that waits for its answer. ``first`` and ``last``: numbers of its messages."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self.done = threading.Event()
        self.body = b""
        self.parts: list[bytes] = []
        self.size = 0
        self.committed = False
        self.lost = False
        self.refusal: Refusal | None = None
        self.refused = 0  # number of the message that was


class Refused(Rejected):
    """The switch said no. ``index``: of the change it said it to, outside the range if to none of them."""

    def __init__(self, refusal: Refusal, index: int) -> None:
        super().__init__(refusal.text)
        self.refusal, self.index = refusal, index


class Session:
    """``heard``: called in the reading thread with every rule that the switch says it removed; ``over``: when the
    connection ends."""

    def __init__(
        self, sock: socket.socket, heard: Callable[[Removed], None], over: Callable[[], None] = lambda: None
    ) -> None:
        self._sock = sock
        self._heard, self._over = heard, over
        self._io = threading.Lock()  # one call of the TLS library at a time
        self._writing = threading.Lock()
        self._state = threading.Lock()
        self._owed: list[bytes] = []
        self._pending: list[_Pending] = []
        self._xid = 1
        self._bundle = 1
        self._hello = threading.Event()
        self._versions: frozenset[int] | None = None  # as its HELLO offers them
        self.ended = threading.Event()
        self.reason = ""
        self.features = wire.Features(0, 0)
        self.description: tuple[str, ...] = ()
        self.bundles = False
        self.role: int | None = None  # None: it knows no roles
        sock.setblocking(False)
        self._reader = threading.Thread(target=self._read, name="openflow-read", daemon=True)

    # The handshake

    def start(self, now: int, seconds: float = 3.0) -> None:
        """Agree on the version, learn what the switch is, become its master. Raises Unreachable, Rejected."""
        self._reader.start()
        self._send(wire.hello(self._number()), seconds)
        if not self._hello.wait(seconds):
            self.end(f"no HELLO within {seconds:g} s: is that an OpenFlow switch?")
        # It may have closed after its HELLO, having read ours: then what it speaks is why.
        if self._versions is not None and wire.VERSION not in self._versions:
            spoken = ", ".join(f"1.{n - 1}" for n in sorted(self._versions))
            raise Unreachable(
                f"it speaks OpenFlow {spoken or '?'}: switch on 1.3 there (protocols=OpenFlow13)"
            )
        if self.ended.is_set():
            raise Unreachable(self.reason)
        self.features = self._parsed(wire.features, self._ask(wire.encode(wire.FEATURES_REQUEST, 0)).body)
        self._send(wire.set_config(self._number()), seconds)
        self._send(wire.set_async(self._number()), seconds)
        self._claim(now)
        told = self._ask(wire.stats_request(0, wire.STATS_DESCRIPTION)).parts
        self.description = self._parsed(wire.description, b"".join(told))
        self.bundles = self._has_bundles()

    def _claim(self, now: int) -> None:
        """Become the master. The number of the claim rises with time, and is above the last one in any case."""
        try:
            self.role, last = self._parsed(wire.role, self._ask(wire.role_request(0, wire.NO_CHANGE)).body)
            claim = max(now // 1_000_000_000, 0 if last == wire.ALL_BITS else last + 1) % wire.ALL_BITS
            self.role, _ = self._parsed(wire.role, self._ask(wire.role_request(0, wire.MASTER, claim)).body)
        except Rejected:
            self.role = None

    def _has_bundles(self) -> bool:
        bundle = self._next_bundle()
        try:
            self._ask(wire.bundle_control(0, bundle, wire.BUNDLE_OPEN))
            self._ask(wire.bundle_control(0, bundle, wire.BUNDLE_DISCARD))
        except Rejected:
            return False
        return True

    # Requests

    def commit(self, changes: Sequence[bytes], seconds: float = _PATIENCE) -> None:
        """Make all these changes, or, if the switch has bundles, none; return when it has acknowledged them.

        Raises Rejected, Unreachable."""
        if not changes:
            return
        with self._state:
            first = self._xid + 1 if self._xid < 0xFF00_0000 else 1
            self._xid = first + len(changes) + 2
        messages = [
            change[:4] + (first + 1 + n).to_bytes(4, "big") + change[8:] for n, change in enumerate(changes)
        ]
        if self.bundles:
            bundle = self._next_bundle()
            messages = [wire.bundle_add(bundle, message) for message in messages]
            messages.insert(0, wire.bundle_control(first, bundle, wire.BUNDLE_OPEN))
            messages.append(wire.bundle_control(first + 1 + len(changes), bundle, wire.BUNDLE_COMMIT))
        last = first + 2 + len(changes)
        messages.append(wire.encode(wire.BARRIER_REQUEST, last))
        pending = _Pending(first, last)
        self._wait([pending], b"".join(messages), seconds + len(changes) / 2000)
        if pending.refusal is not None:
            raise Refused(pending.refusal, pending.refused - first - 1)
        if self.bundles and not pending.committed:
            raise Rejected("it did not acknowledge the bundle")

    def flows(self, cookie: int, mask: int, table: int = wire.EVERY_TABLE) -> list[Stat]:
        """The rules whose cookies agree with ``cookie`` in the bits of ``mask``. Raises Unreachable."""
        pending = self._ask(wire.stats_request(0, wire.STATS_FLOW, cookie, mask, table), _PATIENCE)
        try:
            return [stat for part in pending.parts for stat in wire.flow_stats(part)]
        except Malformed as error:
            self.end(f"not OpenFlow: {error}")
            raise Unreachable(self.reason) from error

    def watch(self, asked: Sequence[tuple[int, int, int]], seconds: float) -> list[int]:
        """How many rules there are by (cookie, mask, table), asked all at once; and whether another controller has
        taken over, which OpenFlow 1.3 does not tell by itself. Raises Refused, Unreachable."""
        messages = [wire.stats_request(0, wire.STATS_AGGREGATE, *one) for one in asked]
        messages.append(wire.encode(wire.ECHO_REQUEST, 0, b"andon"))
        if self.role is not None:
            messages.append(wire.role_request(0, wire.NO_CHANGE))
        found = self._ask_all(messages, seconds)
        if self.role is not None:
            self.role, _ = self._parsed(wire.role, found[-1].body)
        return [self._parsed(wire.aggregate, b"".join(one.parts)) for one in found[: len(asked)]]

    def ports(self) -> frozenset[int]:
        parts = self._ask(wire.stats_request(0, wire.STATS_PORTS)).parts
        return frozenset(self._parsed(wire.ports, b"".join(parts)))

    def _ask_all(self, messages: Sequence[bytes], seconds: float) -> list[_Pending]:
        """Raises Refused, Unreachable."""
        numbers = [self._number() for _ in messages]
        waiting = [_Pending(xid, xid) for xid in numbers]
        sent = [
            one[:4] + xid.to_bytes(4, "big") + one[8:] for one, xid in zip(messages, numbers, strict=True)
        ]
        self._wait(waiting, b"".join(sent), seconds)
        for pending in waiting:
            if pending.refusal is not None:
                raise Refused(pending.refusal, 0)
        return waiting

    def _ask(self, message: bytes, seconds: float = 3.0) -> _Pending:
        """Raises Refused, Unreachable."""
        return self._ask_all([message], seconds)[0]

    def _parsed(self, reader: Callable[[bytes], _T], body: bytes) -> _T:
        try:
            return reader(body)
        except Malformed as error:
            self.end(f"not OpenFlow: {error}")
            raise Unreachable(self.reason) from error

    def _wait(self, waiting: Sequence[_Pending], data: bytes, seconds: float) -> None:
        end = monotonic() + seconds
        with self._state:
            if self.ended.is_set():
                raise Unreachable(self.reason)
            self._pending.extend(waiting)
        try:
            self._send(data, seconds)
            for pending in waiting:
                if not pending.done.wait(max(0.0, end - monotonic())):
                    # Whether it was done is not known, so this connection is of no use any more.
                    self.end(f"no answer within {seconds:.3g} s")
        finally:
            with self._state:
                for pending in waiting:
                    self._pending.remove(pending)
        if any(pending.lost for pending in waiting):
            raise Unreachable(self.reason)

    def _number(self) -> int:
        with self._state:
            self._xid = self._xid + 1 if self._xid < 0xFFFF_0000 else 1
            return self._xid

    def _next_bundle(self) -> int:
        with self._state:
            self._bundle = self._bundle + 1 if self._bundle < 0xFFFF_FFF0 else 1
            return self._bundle

    # Octets

    def _send(self, data: bytes, seconds: float) -> None:
        """Raises Unreachable."""
        end = monotonic() + seconds
        with self._writing:
            self._write(data, end)
            while self._owed:
                self._write(self._owed.pop(0), end)

    def _write(self, data: bytes, end: float) -> None:
        left = memoryview(data)
        while left:
            if self.ended.is_set():
                raise Unreachable(self.reason)
            try:
                with self._io:
                    sent = self._sock.send(left[: 1 << 16])
                left = left[sent:]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                if monotonic() > end:
                    # Half a message is out: nothing can follow it.
                    self.end("it takes no more messages")
                    raise Unreachable(self.reason) from None
                self._ready(select.POLLOUT, 0.1)
            except (OSError, ValueError) as error:
                self.end(f"the connection broke ({error})")
                raise Unreachable(self.reason) from error

    def _ready(self, what: int, seconds: float) -> bool:
        waiting = select.poll()
        waiting.register(self._sock, what)
        return bool(waiting.poll(seconds * 1000))

    def _read(self) -> None:
        framer = wire.Framer()
        try:
            while not self.ended.is_set():
                try:
                    with self._io:
                        data = self._sock.recv(1 << 16)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    self._ready(select.POLLIN, 0.5)
                    continue
                if not data:
                    self.end("the switch closed the connection")
                    break
                for message in framer.feed(data):
                    self._take(message)
        except Malformed as error:
            self.end(f"not OpenFlow: {error}")
        except (OSError, ValueError) as error:
            self.end(f"the connection broke ({error})")
        finally:
            self.end("nobody reads any more")  # whoever waits is told, whatever ended the thread

    def _take(self, message: Message) -> None:
        """Raises Malformed."""
        kind = message.kind
        if kind == wire.HELLO:
            self._versions = wire.versions(message)
            self._hello.set()
        elif kind == wire.ECHO_REQUEST:
            self._owe(wire.encode(wire.ECHO_REPLY, message.xid, message.body))
        elif kind == wire.FLOW_REMOVED:
            self._heard(wire.removed(message.body))
        else:
            self._answer(message)

    def _owe(self, reply: bytes) -> None:
        """Answer, without ever waiting for one who waits for us to read."""
        if len(self._owed) >= _MOST_OWED:
            raise Malformed("it floods us with echo requests")
        self._owed.append(reply)
        if self._writing.acquire(blocking=False):
            try:
                while self._owed:
                    self._write(self._owed.pop(0), monotonic() + 1.0)
            except Unreachable:
                return
            finally:
                self._writing.release()

    def _answer(self, message: Message) -> None:
        with self._state:
            found = [one for one in self._pending if one.first <= message.xid <= one.last]
        if not found:
            if message.kind == wire.ERROR and not self._hello.is_set():
                self.end(f"it refuses the connection: {wire.refusal(message.body).text}")
            return
        pending = found[0]
        if message.kind == wire.ERROR:
            if pending.refusal is None:
                pending.refusal, pending.refused = wire.refusal(message.body), message.xid
            if pending.first == pending.last:
                pending.done.set()
        elif message.kind == wire.MULTIPART_REPLY:
            _, more, part = wire.multipart(message.body)
            pending.size += len(part) + 64
            if pending.size > _MOST_ANSWER:
                raise Malformed(f"an answer of more than {_MOST_ANSWER >> 20} MiB")
            pending.parts.append(part)
            if not more:
                pending.done.set()
        elif message.kind == wire.EXPERIMENTER and pending.first != pending.last:
            pending.committed |= wire.bundle_reply(message.body) == wire.BUNDLE_COMMIT + 1
        elif message.xid == pending.last:
            pending.body = message.body
            pending.done.set()

    def end(self, reason: str) -> None:
        """Close; the first reason given is the one that stays."""
        with self._state:
            if self.ended.is_set():
                return
            self.reason = reason
            self.ended.set()
            for pending in self._pending:
                if not pending.done.is_set():
                    pending.lost = True
                    pending.done.set()
        self._hello.set()
        self._over()
        with suppress(OSError):  # it may be gone already
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it and let go of the socket."""
        self.end("closed")
        if self._reader.is_alive() and self._reader is not threading.current_thread():
            self._reader.join(2.0)
        self._sock.close()
