"""An executor by name, with what an operator says about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors import Executor

RUNNERS: Final = ("threads", "dask", "spark")


@dataclass(frozen=True)
class Tls:
    """Files in PEM: ``ca``, whose certificates are believed; ``cert`` and ``key``, this side's own."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def given(self) -> bool:
        """Was anything said?"""
        return any((self.ca, self.cert, self.key))


@dataclass(frozen=True)
class Cluster:
    """``address``: of a scheduler that runs (``tls://host:8786``, ``sc://host:15002/;use_ssl=true``); "": one is
    started on this machine for the job, with ``workers`` (0: one a core) of ``memory`` bytes each (0: no limit but
    the machine's)."""

    runner: str
    address: str = ""
    tls: Tls = Tls()
    workers: int = 0
    memory: int = 0


def executor(cluster: Cluster) -> Executor:
    """The executor asked for. Raises ClusterError if it cannot be had, and says what to do."""
    if cluster.runner == "dask":
        from andon.run.cluster.executors.dask import Dask

        return Dask(cluster)
    if cluster.runner == "spark":
        from andon.run.cluster.executors.spark import Spark

        return Spark(cluster)
    raise ClusterError(f"no runner is called {cluster.runner!r}; there are: {', '.join(RUNNERS)}")
