"""Which addresses of schedulers are taken: what is not loopback is encrypted, with certificates on both sides.

A scheduler's protocol ships code: whoever can talk to its port runs what they like on every worker. So there is no
switch that lets it go over a network in the clear.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from andon.run.cluster.errors import ClusterError

if TYPE_CHECKING:
    from andon.run.cluster.executors.choose import Tls

PORT: Final = 8786  # where Dask's schedulers listen
_HOW = "docs/cluster.md, Certificates, says how to make them with openssl"


def is_loopback(host: str) -> bool:
    """Does a host, by name or address, mean this machine and nothing else? Names are not looked up: but for
    ``localhost``, they are taken for other machines.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host.lower() in ("localhost", "localhost."):
        return True
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def split_host(netloc: str, port: int = PORT) -> tuple[str, int]:
    """(host, port) of ``host``, ``host:port``, ``[v6]:port``. Raises ClusterError.

    >>> split_host("[::1]:9000"), split_host("scheduler.example.org")
    (('::1', 9000), ('scheduler.example.org', 8786))
    """
    host, number = netloc, ""
    if netloc.startswith("["):
        host, bracket, rest = netloc[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ClusterError(f"address {netloc!r}: write [2001:db8::1]:{port}")
        number = rest[1:]
    elif netloc.count(":") == 1:
        host, _, number = netloc.partition(":")
    elif netloc.count(":") > 1:
        raise ClusterError(
            f"address {netloc!r}: an IPv6 address goes into brackets, with the port after them"
        )
    if not host or any(c.isspace() or not c.isprintable() or c in "/@?#" for c in host):
        raise ClusterError(f"address {netloc!r} has no host: write HOST:PORT, e.g. 192.0.2.7:{port}")
    if not number:
        return host, port
    if not (number.isascii() and number.isdigit() and 0 <= int(number) <= 65535):
        raise ClusterError(f"address {netloc!r}: {number!r} is not a port (0-65535)")
    return host, int(number)


def joined(scheme: str, host: str, port: int) -> str:
    """An address as Dask writes it."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def dask_address(text: str, tls: Tls) -> str:
    """The address of a Dask scheduler, whole: ``tls://HOST:PORT``, or ``tcp://`` on this machine.

    Without a scheme it is ``tls://`` if certificates are given, else ``tcp://``. Raises ClusterError for ``tcp://``
    to another machine, for ``tls://`` without certificates, and for what is no address; it says what to do.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = ("tls" if tls.given else "tcp"), text.strip()
    if scheme not in ("tcp", "tls"):
        raise ClusterError(
            f"address {text!r}: {scheme}:// is not taken; it is tls://HOST:{PORT} (or tcp:// on this machine)"
        )
    host, port = split_host(rest.rstrip("/"))
    if scheme == "tls":
        tls_files(tls, joined(scheme, host, port))
    elif tls.given:
        raise ClusterError(
            f"address {text!r} is not encrypted, but certificates are given: write tls://{rest.rstrip('/')}"
        )
    elif not is_loopback(host):
        raise ClusterError(
            f"{joined(scheme, host, port)} would go over the network in the clear, and whoever reaches a scheduler "
            f"runs code on its workers: start it with TLS and write {joined('tls', host, port)} with --tls-ca, "
            f"--tls-cert and --tls-key ({_HOW})"
        )
    return joined(scheme, host, port)


def tls_files(tls: Tls, what: str) -> None:
    """All three files are there and can be read; ``what`` needs them. Raises ClusterError."""
    named = {"--tls-ca": tls.ca, "--tls-cert": tls.cert, "--tls-key": tls.key}
    if missing := [name for name, path in named.items() if path is None]:
        raise ClusterError(f"{what} needs {', '.join(missing)} ({_HOW})")
    for name, path in named.items():
        assert path is not None
        try:
            with path.open("rb") as file:
                begins = file.read(1 << 20)
        except OSError as error:
            raise ClusterError(f"{name} {path}: {error.strerror or error}") from error
        if b"-----BEGIN " not in begins:
            raise ClusterError(f"{name} {path} is not a PEM file ({_HOW})")
