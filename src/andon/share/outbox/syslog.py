"""Syslog: RFC 5424 messages, octet-counted (RFC 6587 3.4.1), over TCP or TLS (RFC 5425), holding CEF, LEEF or others.

Syslog has no acknowledgement. One connection carries one message and is then closed for writing; the other side
closes when it has read to the end, and that is taken for one. If it keeps the connection open, the kernel's word
that every byte was acknowledged by the other machine has to do. What breaks before is sent again, with the same
``externalId``.
"""

from __future__ import annotations

import array
import fcntl
import socket
import ssl
import termios
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep

from andon.share.formats import rfc5424
from andon.share.formats.export import Told
from andon.share.outbox.dial import Deadline, checked_host, tls_context
from andon.share.outbox.formatted import line, views
from andon.share.outbox.parcel import Parcel, Unreachable
from andon.share.policy import Gate

FORMATS = ("cef", "leef", "rfc5424", "ecs", "ocsf", "json")
_LINGER = 1.0  # seconds for the other side to close


@dataclass(frozen=True)
class SyslogSink:
    """A collector over syslog. ``tls``: on by default. ``hostname``: how it shall call us. ``format``: one of
    ``FORMATS``; rfc5424 has structured data and text, the others are the text of a message.

    Messages go out one by one: a collector counts by itself, and none of these has attachments."""

    name: str
    host: str
    port: int = 6514
    tls: bool = True
    ca_file: Path | None = None
    verify: bool = True
    hostname: str = "-"
    version: str = "1"
    digest_after: int = 0
    format: str = "cef"
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}, not {self.format!r}")
        checked_host(self.host, self.port)
        if not self.hostname or not self.hostname.isascii() or not self.hostname.isprintable():
            raise ValueError(f"hostname {self.hostname!r} has characters that syslog does not take")
        if " " in self.hostname or len(self.hostname) > 255:
            raise ValueError(f"hostname {self.hostname!r} is one word of at most 255 characters")
        if self.tls:
            _ = self._context  # a CA file that cannot be read is said at once

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return tls_context(self.ca_file, self.verify)

    @cached_property
    def _told(self) -> Told:
        return Told(self.format, self.gate)

    def frame(self, parcel: Parcel) -> bytes:
        """The octets on the wire: the same in every attempt; of a digest a frame for each message in it. Raises
        Withheld."""
        some, _ = views(self._told, parcel)
        frames = []
        for one in some:
            told, _, text, id, created = one
            if self.format == "rfc5424":
                octets = rfc5424.message(told, text, id, created, self.hostname)
            else:
                text = line(self._told, one, self.version)
                octets = rfc5424.carried(text, told.severity, told.kind, created, self.hostname)
            frames.append(rfc5424.framed(octets))
        return b"".join(frames)

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Send, and see it taken. Raises Unreachable, Withheld."""
        frame = self.frame(parcel)
        remark = views(self._told, parcel)[1] if parcel.is_digest else ""
        with Deadline(seconds) as deadline:
            sock = deadline.connect(self.host, self.port)
            try:
                if self.tls:
                    with self._context.wrap_socket(sock, server_hostname=self.host) as stream:
                        stream.sendall(frame)
                        _finish_tls(stream, min(_LINGER, deadline.left / 2))
                else:
                    sock.sendall(frame)
                    sock.shutdown(socket.SHUT_WR)
                    _finish(sock, min(_LINGER, deadline.left / 2))
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(
                    f"{self.host}: certificate not accepted ({error.verify_message}); set ca_file if it is your own"
                ) from error
            except OSError as error:
                raise Unreachable(f"{self.host} port {self.port}: {error}") from error
            finally:
                sock.close()
        return remark


def _finish(sock: socket.socket, seconds: float) -> None:
    """See the other side close, or else its machine acknowledge every octet. Raises OSError if neither comes."""
    end = monotonic() + seconds
    try:
        while (left := end - monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(4096):
                return
    except TimeoutError:
        pass
    _acknowledged(sock.fileno(), seconds)


def _finish_tls(stream: ssl.SSLSocket, seconds: float) -> None:
    """The same under TLS, where both sides say good-bye."""
    descriptor = stream.fileno()
    stream.settimeout(seconds)
    try:
        stream.unwrap()
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return  # it closed without TLS's own good-bye, having read to the end
    except TimeoutError:
        _acknowledged(descriptor, seconds)
    except ssl.SSLError as error:
        if error.reason != "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
            raise
        _acknowledged(descriptor, seconds)
    except OSError as error:
        if error.errno:  # 0: the connection was closed, as above, in older versions of OpenSSL
            raise


def _acknowledged(descriptor: int, seconds: float) -> None:
    """Wait until the other machine has acknowledged every octet sent (TIOCOUTQ). Raises OSError."""
    answer = array.array("i", [0])
    end = monotonic() + seconds
    while True:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, answer)
        if not answer[0]:
            return
        if monotonic() > end:
            raise TimeoutError(f"{answer[0]:,} octets were not acknowledged")
        sleep(0.01)
