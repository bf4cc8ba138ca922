"""Where a Spark Connect server is, and by which right we speak to it.

``sc://HOST:PORT/;use_ssl=true`` is the form of all Spark Connect clients. Whoever can speak to such a server can run
any code on the cluster, and tasks and answers name files: so what is not loopback is encrypted, or refused. A token is
a secret and comes from the environment or from a file, not from an address, which others see in the list of
processes.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.addresses import is_loopback, joined, split_host
from andon.run.cluster.executors.choose import Tls
from andon.share.outbox.parcel import Unreachable
from andon.share.outbox.secret import Secret

PORT: Final = 15002
TOKEN: Final = "SPARK_CONNECT_AUTHENTICATE_TOKEN"
TOKEN_FILE: Final = "ANDON_SPARK_TOKEN_FILE"
_OURS = ("use_ssl", "token", "session_id")
_KEEPALIVE = [  # servers in Java hang up on those who ask more than every five minutes
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 60_000),
]


@dataclass(frozen=True)
class Remote:
    """``parameters``: others of the address, such as ``user_id`` or headers (``x-...``), as they are."""

    host: str
    port: int
    encrypted: bool
    parameters: Mapping[str, str]

    @property
    def loopback(self) -> bool:
        """Does nothing leave this machine?"""
        return is_loopback(self.host)

    @property
    def plain(self) -> str:
        """For people: the address without parameters.

        >>> Remote("::1", 15002, False, {}).plain
        'sc://[::1]:15002'
        """
        return joined("sc", self.host, self.port)


def remote_of(address: str, tls: Tls = Tls()) -> Remote:  # noqa: B008 - frozen
    """Take an address apart. Raises ClusterError for one that is none, that has a secret in it, or that would go over
    the network in the clear.

    >>> remote_of("sc://spark.example.org/;use_ssl=true").plain
    'sc://spark.example.org:15002'
    """
    form = "sc://HOST:PORT or sc://HOST:PORT/;use_ssl=true"
    if not address.startswith("sc://"):
        raise ClusterError(f"the address of a Spark Connect server begins with sc://: {form}")
    place, _, said = address.removeprefix("sc://").partition(";")
    if "@" in place or "?" in place:
        raise ClusterError(
            f"no names or passwords in an address: {form}; a token is in {TOKEN} or {TOKEN_FILE}"
        )
    host, port = split_host(place.removesuffix("/"), PORT)
    parameters = {}
    for one in said.split(";") if said else ():
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise ClusterError(f"parameters of an address are NAME=VALUE, with ; between: {form}")
        parameters[name] = urllib.parse.unquote(value)
    if "token" in parameters:
        raise ClusterError(
            f"a token does not belong into an address, which others can see: put it into the environment ({TOKEN}) or "
            f"into a file ({TOKEN_FILE}=FILE), and leave it out of --cluster"
        )
    if "session_id" in parameters:
        raise ClusterError("leave session_id out of the address: each job makes sessions of its own")
    if parameters.get("use_ssl", "false").lower() not in ("true", "false"):
        raise ClusterError("use_ssl is true or false")
    encrypted = parameters["use_ssl"].lower() == "true" if "use_ssl" in parameters else tls.given
    remote = Remote(
        host, port, encrypted, {name: value for name, value in parameters.items() if name not in _OURS}
    )
    if not encrypted and not remote.loopback:
        raise ClusterError(
            f"{remote.plain} is not this machine, and without TLS anybody on the way could read along and run code on "
            f"the cluster: add /;use_ssl=true to the address (with the certificate of its authority, if it is not a "
            "public one), or make an SSH tunnel to the server and give its end on this machine"
        )
    if (tls.cert is None) != (tls.key is None):
        raise ClusterError("a certificate and its key are given together")
    return remote


def token_secret(environment: Mapping[str, str] = os.environ) -> Secret | None:
    """Where the token is, if there is one: a file has precedence."""
    if file := environment.get(TOKEN_FILE):
        return Secret(file=Path(file))
    return Secret(variable=TOKEN) if environment.get(TOKEN) else None


def channel_builder(remote: Remote, tls: Tls, token: Secret | None) -> Any:
    """What Spark's client makes its connection with. Raises ClusterError for files that cannot be read."""
    import grpc  # type: ignore[import-untyped,unused-ignore]
    from pyspark.sql.connect.client import ChannelBuilder

    try:
        ca, cert, key = (None if path is None else path.read_bytes() for path in (tls.ca, tls.cert, tls.key))
        said = None if token is None else token.read()
    except OSError as error:
        raise ClusterError(f"{error.filename}: {error.strerror}") from None
    except Unreachable as error:
        raise ClusterError(f"token of the Spark server: {error}") from None

    class Builder(ChannelBuilder):  # type: ignore[misc,unused-ignore]
        """Not the library's own: it knows no authority but the system's, and takes tokens from the environment for
        servers that have none."""

        @property
        def host(self) -> str:
            return remote.host

        @property
        def token(self) -> str | None:
            return None  # the channel has it

        def toChannel(self) -> Any:
            target = remote.plain.removeprefix("sc://")
            if remote.loopback:
                self.setChannelOption("grpc.enable_http_proxy", 0)
            for name, value in _KEEPALIVE:
                self.setChannelOption(name, value)
            if remote.encrypted:
                credentials = grpc.ssl_channel_credentials(ca, key, cert)
            elif said is not None:
                credentials = grpc.local_channel_credentials()
            else:
                return self._insecure_channel(target)
            if said is not None:
                credentials = grpc.composite_channel_credentials(
                    credentials, grpc.access_token_call_credentials(said)
                )
            return self._secure_channel(target, credentials)

    return Builder(params={"user_agent": "andon", **remote.parameters})
