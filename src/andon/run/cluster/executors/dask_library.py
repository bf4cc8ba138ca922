"""Dask as we use it: the library if it is installed, our settings, certificates, and how long anything is waited for.

Dask's own settings (files, ``DASK_...`` variables) count wherever we have none. Ours are few:

- Tasks hold next to nothing in Dask's own store, so a worker neither spills nor pauses; one that comes near its
  memory limit is killed and started again. A worker that pauses above 80 % and whose memory does not shrink, which
  is what allocators do, would never run anything again.
- Web pages of schedulers and workers are served on loopback or not at all: they ask nobody for a password.
- A task is not blamed before ``ALLOWED_FAILURES`` workers have died with it; Dask counts every task that waited at
  a worker, running or not.
- A cluster of this machine does not take a worker away that is being started again, which Dask does when it is not
  there 15 seconds after it was lost.
- No profile is taken 100 times a second.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from andon.run.cluster.errors import ClusterError, Missing
from andon.run.cluster.executors.choose import Tls

if TYPE_CHECKING:
    from distributed.security import Security

ALLOWED_FAILURES: Final = 10
NOWHERE: Final = "127.0.0.1:0"  # where pages that nobody asked for are served
SETTINGS: Final = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
    "distributed.deploy.lost-worker-timeout": "30d",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.http.routes": ["distributed.http.health", "distributed.http.scheduler.prometheus"],
    "distributed.worker.http.routes": ["distributed.http.health", "distributed.http.worker.prometheus"],
}
_NUMERICAL = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
ONE_THREAD: Final = {f"{name}_NUM_THREADS": "1" for name in _NUMERICAL}


@dataclass(frozen=True)
class Patience:
    """Seconds: ``connect``, for a scheduler to answer at first; ``lost``, for one that was there to come back;
    ``workers``, for a worker when there is none; ``restart``, the same, before a cluster of this machine is started
    anew; ``look``, between looks at the cluster; ``quiet``, without a result before that is said.

    ``losses``: of the scheduler in a row, without a result between them. ``ahead``: tasks at the scheduler per thread
    of a worker. ``retries``: of a task that ends in an error which another worker may not meet."""

    connect: float = 30.0
    lost: float = 600.0
    workers: float = 600.0
    restart: float = 90.0
    look: float = 5.0
    quiet: float = 600.0
    losses: int = 10
    ahead: int = 4
    retries: int = 2


def library() -> Any:
    """The module ``distributed``. Raises Missing."""
    try:
        import distributed
    except ImportError as error:
        raise Missing("Dask's distributed scheduler", "dask") from error
    return distributed


@contextmanager
def our_settings(**more: Any) -> Iterator[None]:
    """Dask's settings with ours over them, as long as the block lasts: some are looked at late. Numerical libraries
    of processes that are started within use one thread each."""
    import dask.config

    before = {str(k): str(v) for k, v in dask.config.get("distributed.nanny.pre-spawn-environ").items()}
    environ = {**before, **ONE_THREAD, **_numba_cache()}
    with dask.config.set({**SETTINGS, "distributed.nanny.pre-spawn-environ": environ, **more}):
        yield


def _numba_cache() -> dict[str, str]:
    """The folder of compiled kernels that this process uses, for the workers it starts."""
    kept = os.environ.get("NUMBA_CACHE_DIR")
    return {"NUMBA_CACHE_DIR": kept} if kept else {}


@contextmanager
def quiet_library(level: int = logging.CRITICAL) -> Iterator[None]:
    """Below this level, what Dask logs is not shown: what matters of it is said by us. ``ANDON_DEBUG`` shows all."""
    handlers = [] if os.environ.get("ANDON_DEBUG") else list(logging.getLogger("distributed").handlers)
    hushed = _From(level)
    for handler in handlers:
        handler.addFilter(hushed)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(hushed)


class _From(logging.Filter):
    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._level


def silenced(level: int = logging.CRITICAL) -> int | bool:
    """The same for the processes of workers, as Dask's constructors take it."""
    return False if os.environ.get("ANDON_DEBUG") else level


def security(tls: Tls) -> Security | None:
    """Both sides show a certificate of the same authority; None without certificates. Raises ClusterError."""
    if not tls.given:
        return None
    from distributed.security import Security

    made = {"tls_ca_file": str(tls.ca)}
    for role in ("client", "scheduler", "worker"):
        made |= {f"tls_{role}_cert": str(tls.cert), f"tls_{role}_key": str(tls.key)}
    secured = Security(require_encryption=True, **made)
    try:
        secured.get_connection_args("client")
    except OSError as error:
        raise ClusterError(
            f"the certificates cannot be used ({error}): is {tls.key} the key of {tls.cert}, and {tls.ca} an authority?"
        ) from error
    return secured
