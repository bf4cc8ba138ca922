"""What the tests of Spark Connect share: a Sail server, and captures with what the threads runner makes of them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from andon.records.contract import Site
from andon.run.batch import Analysis, analyze
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.spark import Spark
from andon.run.cluster.work import run_task
from andon.run.engines import AnyEngine, load_engines
from andon.simulate.internet import InternetConfig, simulate

needs_spark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("pyspark", "pysail", "grpc")),
    reason="pyspark-client and pysail are in an environment of their own: make test",
)
HERE = str(Path(__file__).parent)
SITE = Site(telescope=("198.18.0.0/18",))
ENGINES = ("darknet.census", "darknet.tools", "darknet.backscatter")


def engines() -> list[AnyEngine]:
    """Some that conclude quickly."""
    return load_engines(SITE, ENGINES)


def told(analysis: Analysis) -> tuple[list[str], dict[str, list[object]]]:
    """All that must be equal, bit for bit."""
    return (
        [finding.to_json() for finding in analysis.findings],
        {name: [table.to_pylist() for table in tables] for name, tables in analysis.tables.items()},
    )


@pytest.fixture(scope="session")
def spark_captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four of a telescope, an hour or so each."""
    folder = tmp_path_factory.mktemp("spark-captures")
    paths = []
    for seed in range(4):
        config = InternetConfig(seed=seed, packets=3000, telescope=SITE.telescope, contamination=0.1)
        paths.append(simulate(config, folder / str(seed)).capture)
    return paths


@pytest.fixture(scope="session")
def by_threads(spark_captures: list[Path]) -> tuple[list[str], dict[str, list[object]]]:
    return told(analyze(spark_captures, SITE, engines()))


@pytest.fixture(scope="session")
def plain() -> Iterator[Spark]:
    """An executor for tests that leave its server alive."""
    with Spark(Cluster("spark", workers=2)) as spark:
        yield spark


@pytest.fixture
def sail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spark]:
    """An executor of its own for a test that kills it."""
    with started(monkeypatch) as spark:
        yield spark


def started(monkeypatch: pytest.MonkeyPatch, function: object = run_task, workers: int = 2) -> Spark:
    """A Sail server whose workers find the tests' tasks."""
    monkeypatch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)
    return Spark(Cluster("spark", workers=workers), function)  # type: ignore[arg-type]
