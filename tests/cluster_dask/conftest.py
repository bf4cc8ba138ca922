"""What is costly is there once: a cluster of worker processes, captures, and what one process makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dask_clusters import SITE, Case, captures, digest, engines

from andon.run.batch import analyze
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.dask import Dask
from andon.run.cluster.executors.dask_library import Patience


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Captures, and the digest of what one process makes of them."""
    paths = captures(tmp_path_factory.mktemp("caps"), files=6, packets=1_000)
    return Case(paths, digest(analyze(paths, SITE, engines())))


@pytest.fixture(scope="session")
def said() -> list[str]:
    """What the executor says to its operator."""
    return []


@pytest.fixture(scope="session")
def executor(said: list[str]) -> Iterator[Dask]:
    """Two worker processes of this machine."""
    with Dask(Cluster("dask", workers=2), said.append, Patience(look=0.5)) as made:
        yield made
