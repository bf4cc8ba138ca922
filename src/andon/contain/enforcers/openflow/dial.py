"""Connections to a switch: we call it, or it calls us; by its local socket, TCP, or TLS with certificates both ways."""

from __future__ import annotations

import socket
import ssl
from ipaddress import ip_address

from andon.contain.contract import Unreachable
from andon.contain.enforcers.openflow.settings import Endpoint, Settings


def dial(endpoint: Endpoint, settings: Settings, seconds: float) -> socket.socket:
    """A connection to ``endpoint``. Raises Unreachable."""
    try:
        if endpoint.kind == "unix":
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(seconds)
                sock.connect(endpoint.host)
            except BaseException:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((endpoint.host, endpoint.port), seconds)
        return _finished(sock, endpoint, settings, seconds, server=False)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{endpoint}: {_words(error)}") from error


def _finished(
    sock: socket.socket, endpoint: Endpoint, settings: Settings, seconds: float, *, server: bool
) -> socket.socket:
    try:
        sock.settimeout(seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if endpoint.kind == "tcp":
            return sock
        context = _context(settings, server)
        name = None if server else settings.server_name or None
        return context.wrap_socket(sock, server_side=server, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def _context(settings: Settings, server: bool) -> ssl.SSLContext:
    """Read anew for every connection, so that renewed certificates are taken up. A switch's certificate seldom bears
    its name, so only the authority is checked, unless ``server_name`` is set."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not server:
        context.check_hostname = bool(settings.server_name)
    context.verify_mode = ssl.CERT_REQUIRED
    if settings.ca_file is None or settings.certificate is None:
        raise ssl.SSLError("ssl: needs ca_file, certificate and private_key")
    try:
        context.load_verify_locations(settings.ca_file)
        context.load_cert_chain(settings.certificate, settings.private_key)
    except OSError as error:
        raise OSError(f"ca_file, certificate or private_key cannot be read ({_words(error)})") from error
    return context


class Listener:
    """Where a switch calls its controller. One connection is served at a time; others wait in the queue."""

    def __init__(self, endpoint: Endpoint, settings: Settings) -> None:
        """Raises Unreachable."""
        self._endpoint, self._settings = endpoint, settings
        self.refused = 0  # callers from other addresses than those of ``peers``
        try:
            if endpoint.kind == "unix":
                self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    self._sock.bind(endpoint.host)
                    self._sock.listen(4)
                except BaseException:
                    self._sock.close()
                    raise
            else:
                family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
                self._sock = socket.create_server((endpoint.host, endpoint.port), family=family, backlog=4)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"listen {endpoint}: {_words(error)}") from error

    def accept(self, seconds: float) -> socket.socket | None:
        """A switch that calls, within ``seconds``. Raises Unreachable for one that does not get through."""
        self._sock.settimeout(seconds)
        try:
            sock, address = self._sock.accept()
        except TimeoutError:
            return None
        except OSError as error:
            raise Unreachable(f"listen {self._endpoint}: {_words(error)}") from error
        if self._endpoint.kind == "unix":
            return sock
        caller = ip_address(str(address[0]).partition("%")[0])
        caller = getattr(caller, "ipv4_mapped", None) or caller
        peers = self._settings.peers
        if peers and not any(caller.version == net.version and caller in net for net in peers):
            self.refused += 1
            sock.close()
            return None
        try:
            return _finished(sock, self._endpoint, self._settings, 3.0, server=True)
        except OSError as error:
            raise Unreachable(f"{caller}: {_words(error)}") from error

    def close(self) -> None:
        self._sock.close()


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
