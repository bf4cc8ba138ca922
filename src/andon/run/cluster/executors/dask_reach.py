"""Is a Dask scheduler there, and will it have us? Asked of the socket, before the library tries for itself.

The library's client retries for its whole timeout whatever the reason, says little about it, and leaves pieces of
itself behind when it fails. Here the reason is known at the first try: no such name, nobody there, another authority.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING

from andon.run.cluster.executors.addresses import split_host

if TYPE_CHECKING:
    from distributed.security import Security

_PAUSE = 0.25


def reach(address: str, security: Security | None, timeout: float) -> None:
    """Returns when the scheduler greets us. What may pass (nobody listens yet) is tried again for ``timeout``
    seconds. Raises OSError, whose text says why."""
    host, port = split_host(address.partition("://")[2])
    deadline = time.monotonic() + timeout
    while True:
        left = max(0.1, deadline - time.monotonic())
        try:
            _greeted(host, port, security, left)
            return
        except ssl.SSLError as error:
            raise OSError(f"TLS: {error.reason or error}") from error
        except TimeoutError as error:
            raise OSError(
                "it does not greet us within the time given (does one side speak TLS and the other not?)"
            ) from error
        except OSError:
            if time.monotonic() + _PAUSE >= deadline:
                raise
            time.sleep(_PAUSE)


def _greeted(host: str, port: int, security: Security | None, timeout: float) -> None:
    """One try. A scheduler speaks first, once it has taken our certificate."""
    with socket.create_connection((host, port), timeout=timeout) as plain:
        if security is None:
            said = plain.recv(1)
        else:
            context: ssl.SSLContext = security.get_connection_args("client")["ssl_context"]
            # The authority is this cluster's own; certificates are not bound to names (docs/cluster.md).
            with context.wrap_socket(plain, server_hostname=host) as secured:
                said = secured.recv(1)
    if not said:
        raise ConnectionAbortedError("it hung up (is this a Dask scheduler, and does it speak TLS?)")
