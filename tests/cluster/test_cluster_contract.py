"""The contract between engines and runners: the same digests, whoever runs them.

Every built-in engine, those on request too, over the same inputs on one thread, on threads, live, as tasks of the
cluster runner in this process, on Dask and on Spark Connect (Sail): summaries, carries, findings and tables of every
span.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_everything import ON_REQUEST, everything, live, site_of
from cluster_inputs import Ran, cluster, made_by_stage, threads

from andon.records.contract import Site
from andon.run.cluster.executors import Executor
from andon.run.cluster.executors.choose import Cluster, executor
from andon.run.digests import differences
from andon.run.engines import _every


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contract")


@pytest.fixture(scope="module")
def paths(folder: Path) -> list[Path]:
    return everything(folder)


@pytest.fixture(scope="module")
def site(folder: Path, paths: list[Path]) -> Site:
    return site_of(folder)


@pytest.fixture(scope="module")
def one_thread(paths: list[Path], site: Site) -> Ran:
    return threads(paths, site, None, ON_REQUEST, number=1)


def test_no_engine_is_left_without_something_to_do(one_thread: Ran, site: Site) -> None:
    empty = {engine.name: engine.empty().to_bytes() for engine in _every(site)}
    read = {name for name, _, _ in one_thread.summaries}
    # Those that read nothing live on tables: they have to have concluded.
    assert {engine.name for engine in _every(site) if engine.reads} == read
    concluded = {name for name, _, _ in one_thread.digests}
    assert set(empty) <= concluded | {"darknet.asset"}
    told = {one.engine for one in one_thread.digests.values() if one.found or one.rows}
    assert {"darknet.fingerprint", "darknet.link", "intel.profile", "livenet.proxygraph"} <= told
    assert {"triage.screening", "darknet.ntd", "darknet.portsets", "darknet.sightings"} <= told
    assert len({start // (86_400 * 10**9) for _, _, start in one_thread.digests}) >= 2
    assert one_thread.analysis.late == 0


def test_threads(paths: list[Path], site: Site, one_thread: Ran) -> None:
    four = threads(paths, site, None, ON_REQUEST, number=4)
    assert differences(one_thread.recorder, four.recorder) == []
    assert one_thread.answer == four.answer


def test_live(paths: list[Path], site: Site, one_thread: Ran, tmp_path: Path) -> None:
    ran = live(tmp_path, paths, site)
    # A report counts live in the span it comes in, and so does whatever it is linked with.
    assert differences(one_thread.recorder, ran.recorder, but=("intel.profile",)) == []


def test_tasks_of_the_cluster_runner(paths: list[Path], site: Site, one_thread: Ran, tmp_path: Path) -> None:
    ran = cluster(tmp_path, paths, site, None, ON_REQUEST)
    assert differences(one_thread.recorder, ran.recorder) == []
    assert one_thread.answer == ran.answer
    # All but the asset list.
    assert made_by_stage(ran.told)["summarise"] == ran.told.partitions == len(paths) - 1


@pytest.fixture
def dask() -> Iterator[Executor]:
    pytest.importorskip("distributed", reason="andon[dask] is not installed")
    with executor(Cluster("dask", workers=2)) as made:
        yield made


@pytest.fixture
def spark() -> Iterator[Executor]:
    if importlib.util.find_spec("pyspark") is None or importlib.util.find_spec("pysail") is None:
        pytest.skip("andon[spark] is not installed")
    with executor(Cluster("spark", workers=2)) as made:
        yield made


@pytest.mark.parametrize("scheduler", ["dask", "spark"])
def test_schedulers(
    scheduler: str,
    paths: list[Path],
    site: Site,
    one_thread: Ran,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    on: Executor = request.getfixturevalue(scheduler)
    ran = cluster(tmp_path, paths, site, None, ON_REQUEST, executor=on)
    assert differences(one_thread.recorder, ran.recorder) == []
    assert one_thread.answer == ran.answer
