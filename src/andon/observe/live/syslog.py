"""Syslog from other machines: by UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425), carrying alerts of any format.

On a stream a message is counted in octets (``123 <13>1 ...``) or ends at a line feed or NUL; each is recognised by how
it begins. Syslog has no acknowledgement: what a sender has handed to the network and the journal has not written when
the runner dies is lost, and the restart says so. A stream that is not read, while the store is full or engines are
behind, makes its sender wait; a datagram is dropped by the kernel, which counts it (SO_RXQ_OVFL).
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from andon.observe.live import udp
from andon.observe.live.messages import Intake
from andon.observe.live.source import Piece, SourceError
from andon.observe.logs.options import Options
from andon.records.alert import ALERT as ALERT_SCHEMA
from andon.records.kinds import ALERT, CONTACT, FLOW, marked

UDP, TCP, TLS = "udp", "tcp", "tls"
LONGEST: Final = 1 << 20  # bytes of a message
_ONCE: Final = 8192  # messages of one poll
_FULL: Final = 4 << 20  # bytes of one poll
_READ: Final = 256 << 10
_SENDERS: Final = 512  # connections
_DIGITS: Final = b"0123456789"
TOO_LONG: Final = "messages longer than 1 MiB"
TORN: Final = "connections that ended within a message"
BAD_COUNT: Final = "octet counts that are none"


@dataclass(eq=False)
class Connection:
    """One sender's stream. ``held``: bytes of a message that has not ended; ``skipping``: until its line feed;
    ``gone``: counted octets that are still to be thrown away."""

    socket: socket.socket
    greeted: bool
    since: float
    held: bytearray = field(default_factory=bytearray)
    skipping: bool = False
    gone: int = 0


def frames(connection: Connection, damaged: Callable[[str], None]) -> list[bytes]:
    """Whole messages that a connection holds; what is left is the beginning of another."""
    held, found, at = connection.held, [], 0
    if connection.gone:
        at = min(connection.gone, len(held))
        connection.gone -= at
    while at < len(held):
        if connection.skipping:
            end = held.find(b"\n", at)
            if end < 0:
                at = len(held)
                break
            connection.skipping, at = False, end + 1
            continue
        if held[at] in b"\n\r\0 ":
            at += 1
            continue
        if held[at] in _DIGITS and held[at] != 0x30:
            end = at
            while end < len(held) and end < at + 9 and held[end] in _DIGITS:
                end += 1
            if end == len(held) and end < at + 9:
                break  # the count has not ended
            if held[end : end + 1] == b" ":
                size = int(held[at:end])
                if size > LONGEST:
                    damaged(TOO_LONG)
                    whole = end + 1 + size
                    connection.gone = max(0, whole - len(held))
                    at = min(whole, len(held))
                    continue
                if end + 1 + size > len(held):
                    break
                found.append(bytes(held[end + 1 : end + 1 + size]))
                at = end + 1 + size
                continue
            if end == at + 9:
                damaged(BAD_COUNT)
        end = held.find(b"\n", at)
        nul = held.find(b"\0", at, end if end >= 0 else len(held))
        end = nul if nul >= 0 else end
        if end < 0:
            if len(held) - at > LONGEST:
                damaged(TOO_LONG)
                connection.skipping, at = True, len(held)
            break
        if end - at > LONGEST:
            damaged(TOO_LONG)
        else:
            found.append(bytes(held[at:end]))
        at = end + 1
    del held[:at]
    return found


class SyslogSource:
    """``transport``: UDP, TCP or TLS; ``port`` 0: any. ``senders``: prefixes that are heeded, empty for all.
    ``certificate``, ``key``: PEM files of TLS; ``client_ca``: senders have to show a certificate of it. ``slack``:
    seconds by which alerts may be older than others that came before; ``idle``: seconds of silence after which nobody
    waits. ``quiet_after``: seconds after which a connection without a word is closed."""

    replayable = False
    finished = False
    kind = ALERT
    kinds = (ALERT, CONTACT, FLOW)

    def __init__(
        self,
        name: str,
        transport: str = UDP,
        address: str = "0.0.0.0",
        port: int = 514,
        senders: Sequence[str] = (),
        options: Options | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        buffer: int = 16 << 20,
        slack: float = 300.0,
        idle: float = 3600.0,
        clock: Callable[[], int] = time.time_ns,
        quiet_after: float = 86_400.0,
    ) -> None:
        self.name, self.address, self.port, self.transport = name, address, port, transport
        self.trouble = ""
        self.can_wait = transport != UDP
        self._tls = _context(name, certificate, key, client_ca) if transport == TLS else None
        self._prefixes = tuple(ip_network(prefix) for prefix in senders)
        self._heeded = lru_cache(maxsize=4096)(self._is_heeded)
        self._buffer, self._clock, self._quiet_after = buffer, clock, quiet_after
        self._intake = Intake(name, options or Options(), clock, slack, idle, "syslog messages")
        self._socket: socket.socket | None = None
        self._selector: selectors.BaseSelector | None = None
        self._connections: dict[int, Connection] = {}
        self._asked = 0
        self._dropped = 0

    def open(self, position: Mapping[str, Any] | None) -> None:
        self._intake.taken = int(position.get("messages", 0)) if position else 0
        stream = self.transport != UDP
        six = ip_address(self.address).version == 6
        made = socket.socket(
            socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        )
        try:
            if stream:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                udp.prepare(made, self._buffer)
            made.setblocking(False)
            made.bind((self.address, self.port))
            if stream:
                made.listen(128)
        except OSError as error:
            made.close()
            raise SourceError(
                f"source {self.name}: cannot listen on {self.address} port {self.port} ({self.transport}): "
                f"{error.strerror}"
            ) from error
        self._socket, self.port = made, made.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(made, selectors.EVENT_READ, None)

    def events(self) -> list[dict[str, Any]]:
        return self._intake.events()

    def quiet(self) -> int | None:
        return self._intake.quiet(self._asked)

    def close(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        if self._selector is not None:
            self._selector.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._selector = None

    def poll(self, timeout: float) -> list[Piece]:
        if self._selector is None or self._socket is None:
            return []
        self._asked = self._clock()
        messages: list[bytes] = []
        size = 0
        for key, _ in self._selector.select(max(timeout, 0.0)):
            if key.fileobj is not self._socket:
                got = self._heard(key.data)
            elif self.transport == UDP:
                got = self._datagrams()
            else:
                self._accept()
                continue
            messages += got
            size += sum(map(len, got))
            if len(messages) >= _ONCE or size >= _FULL:
                break  # the others wait in their buffers
        self._forget()
        return self._pieces(messages) if messages else []

    def _pieces(self, messages: list[bytes]) -> list[Piece]:
        batches = self._intake.read(
            [message.replace(b"\n", b" ").replace(b"\r", b" ") for message in messages]
        )
        position = {"messages": self._intake.taken, "promise": self._intake.promise}
        if not batches:
            batches = [marked(pa.RecordBatch.from_pylist([], ALERT_SCHEMA), ALERT)]
        return [Piece(batch, position) for batch in batches]

    def _datagrams(self) -> list[bytes]:
        assert self._socket is not None
        found: list[bytes] = []
        size = 0
        while len(found) < _ONCE and size < _FULL:
            try:
                data, notes, _, sender = self._socket.recvmsg(65_535, 64)
            except BlockingIOError:
                break
            except OSError as error:
                raise SourceError(f"source {self.name}: {error.strerror}", passing=True) from error
            for level, kind, note in notes:
                if level == socket.SOL_SOCKET and kind == udp.RXQ_OVFL and len(note) >= 4:
                    (count,) = struct.unpack("I", note[:4])
                    self._intake.lost("the socket's buffer was full", (count - self._dropped) % (1 << 32))
                    self._dropped = count
            if not self._heeded(sender[0]):
                self._intake.damaged("datagrams of others than the senders")
            elif data:
                found.append(data.rstrip(b"\r\n\0"))
                size += len(data)
        return found

    # Streams

    def _accept(self) -> None:
        assert self._socket is not None and self._selector is not None
        while True:
            try:
                made, sender = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:  # too many files, or the sender has gone
                self._intake.damaged(f"connections that could not be taken ({error.strerror})")
                return
            if not self._heeded(sender[0]) or len(self._connections) >= _SENDERS:
                others = len(self._connections) < _SENDERS
                self._intake.damaged(
                    "connections of others than the senders" if others else "connections beyond 512"
                )
                made.close()
                continue
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._tls is not None:
                try:
                    made = self._tls.wrap_socket(made, server_side=True, do_handshake_on_connect=False)
                except (OSError, ValueError):
                    made.close()
                    continue
            connection = Connection(made, self._tls is None, time.monotonic())
            self._connections[made.fileno()] = connection
            self._selector.register(made, selectors.EVENT_READ, connection)

    def _heard(self, connection: Connection) -> list[bytes]:
        """Messages of a connection that can be read."""
        assert self._selector is not None
        connection.since = time.monotonic()
        found: list[bytes] = []
        try:
            if not connection.greeted:
                assert isinstance(connection.socket, ssl.SSLSocket)
                connection.socket.do_handshake()
                connection.greeted = True
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            size = 0
            while size < _FULL:
                data = connection.socket.recv(_READ)
                if not data:
                    raise EOFError
                size += len(data)
                connection.held += data
                found += frames(connection, self._intake.damaged)
                if len(found) >= _ONCE and not self._has_more(connection):
                    break
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            self._selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        except ssl.SSLError as error:
            self._intake.damaged(f"TLS connections that failed ({_reason(error)})")
            self._drop(connection)
        except (EOFError, OSError):
            rest = bytes(connection.held).strip(b"\r\n\0 ")
            if rest and not connection.skipping:
                if rest[:1] in (b"<", b"{", b"C", b"L"):
                    found.append(rest)  # the last line feed is often left out
                else:
                    self._intake.damaged(TORN)
            self._drop(connection)
        return found

    @staticmethod
    def _has_more(connection: Connection) -> bool:
        """TLS holds decrypted bytes of which the selector knows nothing."""
        return isinstance(connection.socket, ssl.SSLSocket) and connection.socket.pending() > 0

    def _forget(self) -> None:
        """Close connections that have long said nothing; a greeting of TLS is given ten seconds."""
        now = time.monotonic()
        for connection in list(self._connections.values()):
            if now - connection.since > (self._quiet_after if connection.greeted else 10.0):
                self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        self._connections = {n: one for n, one in self._connections.items() if one is not connection}
        if self._selector is not None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(connection.socket)
        with suppress(OSError):
            connection.socket.close()

    def _is_heeded(self, sender: str) -> bool:
        address = ip_address(sender.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return not self._prefixes or any((mapped or address) in prefix for prefix in self._prefixes)


def _reason(error: ssl.SSLError) -> str:
    return str(error.reason or error.strerror or "unknown").lower().replace("_", " ")[:80]


def _context(name: str, certificate: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext:
    """Raises ValueError."""
    if certificate is None or key is None:
        raise ValueError(f"source {name}: TLS needs certificate and certificate_key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A sender never reads: a ticket left unread makes its kernel reset the connection when it closes, and what was on
    # its way is lost.
    context.num_tickets = 0
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"source {name}: {certificate}, {key}: {error.strerror or error}") from error
    return context
