"""A cluster as an operator runs it, under TLS, whose scheduler is killed and started again."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dask_clusters import (
    SITE,
    Case,
    Served,
    authority,
    digest,
    engines,
    free_port,
    options,
    wait_for,
)
from typer.testing import CliRunner

from andon import __version__
from andon.cli.cluster import app
from andon.run.cluster.analysis import Told, analyze_on
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.dask import Dask
from andon.run.cluster.executors.dask_library import Patience

_SECONDS = 120.0  # that anything may take on a busy machine


class Site:
    """One scheduler, which can be killed and started again, and what runs beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tls = authority(folder / "tls", "ours")
        self.port = free_port()
        self.address = f"tls://127.0.0.1:{self.port}"
        self.started: list[Served] = []
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> Served:
        self.scheduler = self._start("scheduler", "--port", str(self.port))
        self.scheduler.says(f"scheduler at {self.address}")
        return self.scheduler

    def start_worker(self, *more: str, env: dict[str, str] | None = None) -> Served:
        worker = self._start("worker", "--cluster", self.address, "--processes", "1", *more, env=env)
        worker.says(" at tls://127.0.0.1:", _SECONDS)
        return worker

    def _start(self, *arguments: str, env: dict[str, str] | None = None) -> Served:
        self.started.append(
            Served(self.folder, arguments[0], arguments[0], *arguments[1:], *options(self.tls), env=env)
        )
        return self.started[-1]

    def executor(self, note: list[str], patience: Patience) -> Dask:
        return Dask(Cluster("dask", self.address, self.tls), note.append, patience)

    def status(self) -> tuple[int, dict[str, object]]:
        arguments = ["status", "--cluster", self.address, "--format", "json", *options(self.tls)]
        done = CliRunner().invoke(app, arguments)
        return done.exit_code, json.loads(done.stdout) if done.stdout else {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    for one in made.started:
        if one.process.poll() is None:
            one.process.terminate()
    for one in made.started:
        one.process.wait(60)


def test_certificates_of_another_authority_get_nowhere(site: Site, tmp_path: Path) -> None:
    strangers = authority(tmp_path / "strangers", "theirs")
    with pytest.raises(ClusterError, match=r"TLS: .*certificates of the same authority"):
        Dask(Cluster("dask", site.address, strangers), patience=Patience(connect=20.0))
    # Nor does who has none.
    with pytest.raises(ClusterError, match="no Dask scheduler"):
        Dask(Cluster("dask", f"tcp://127.0.0.1:{site.port}"), patience=Patience(connect=1.0))


def test_a_cluster_without_workers_is_waited_for_and_given_up(site: Site) -> None:
    note: list[str] = []
    with (
        site.executor(note, Patience(look=0.2, workers=0.5)) as executor,
        pytest.raises(ClusterError, match=r"no worker is there, for \d+ s: start workers"),
    ):
        dict(executor.run(["{}"]))


def test_a_scheduler_that_hangs_is_lost_too(site: Site) -> None:
    note: list[str] = []
    with site.executor(note, Patience(connect=8.0, look=0.2, lost=1.0)) as executor:
        os.kill(site.scheduler.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ClusterError, match="did not come back within 1 s"):
                dict(executor.run(["{}"]))
        finally:
            os.kill(site.scheduler.process.pid, signal.SIGCONT)
    assert any("is lost (it does not answer" in line for line in note)


def finished(work: Path) -> int:
    """Partitions whose manifest is there."""
    return len([path for path in work.glob("parts/*/*/*.json") if not path.name.startswith(".")])


def test_a_killed_scheduler_costs_nothing_that_was_finished(site: Site, case: Case, tmp_path: Path) -> None:
    paths = case.paths
    work = tmp_path / "work"
    work.mkdir()
    worker = site.start_worker("--memory", "4G", "--work", str(work), "--name", "wren")
    wait_for(lambda: site.status()[0] == 0, _SECONDS, "the scheduler knows its worker")
    exit_code, said = site.status()
    assert exit_code == 0
    one = said["workers"][0]  # type: ignore[index]
    assert (one["name"], one["memory_limit"], one["versions"]["andon"]) == ("wren", 4 * 10**9, __version__)

    # It stays away: the job ends, and says what to do.
    def kill(name: str, done: int, of: int) -> None:
        if name == "summarise" and done == 1:  # at once, before the others are done as well
            site.scheduler.kill()

    note: list[str] = []
    with (
        site.executor(note, Patience(look=0.3, lost=1.0, connect=5.0, ahead=1)) as executor,
        pytest.raises(ClusterError, match="the same command does the rest"),
    ):
        analyze_on(executor, work, paths, SITE, engines(), stage=kill)
    assert any("is lost" in line for line in note)
    worker.says("has lost its scheduler", _SECONDS)
    before = finished(work)
    assert 1 <= before < len(paths)

    # Submitted again it does what is missing; and this time the scheduler is back while the job waits.
    site.start_scheduler()
    worker.says(" at tls://127.0.0.1:", _SECONDS, times=2)
    told = Told()
    restarts: list[threading.Thread] = []

    def restart(name: str, done: int, of: int) -> None:
        if name == "summarise" and done == before + 1:
            site.scheduler.kill()
            restarts.append(threading.Thread(target=site.start_scheduler))
            restarts[0].start()

    note.clear()
    with site.executor(note, Patience(look=0.3, lost=_SECONDS)) as executor:
        result = analyze_on(executor, work, paths, SITE, engines(), stage=restart, told=told)
    restarts[0].join()
    assert digest(result) == case.alone
    assert [line.partition(" is ")[2][:4] for line in note if "scheduler" in line] == ["lost", "back"]
    # What lay there was not made again, nor what was answered before the second loss.
    assert before <= told.again <= len(paths) - 1
    assert finished(work) == len(paths)
    assert worker.stop() == 0
    wait_for(lambda: site.status()[0] == 1, _SECONDS, "a status without workers is a failure")

    _a_worker_of_another_version_is_refused(site, paths, tmp_path)
    assert site.scheduler.stop() == 0
    exit_code, _ = site.status()
    assert exit_code == 1


def _a_worker_of_another_version_is_refused(site: Site, paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text("import andon\nandon.__version__ = '0.0.9'\n")
    with site.executor([], Patience(look=0.3)) as executor:  # before there is any worker
        site.start_worker(env={"PYTHONPATH": str(tmp_path / "other")})
        with pytest.raises(ClusterError, match=r"0\.0\.9: install the same on all machines"):
            analyze_on(executor, tmp_path / "another work", paths, SITE, engines())
    with pytest.raises(ClusterError, match=r"1 of 1 workers have another andon.*0\.0\.9"):
        site.executor([], Patience())
