"""The job of a task: engines that are ready are lent, to one task at a time, and not tied to a thread."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from andon.records.contract import Site
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.job import Job, borrowed, write_job
from andon.run.engines import load_engines

SITE = Site(telescope=("198.51.100.0/24",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_job(tmp_path, SITE, load_engines(SITE, ["darknet.census"])).folder


def test_tasks_at_the_same_time_have_engines_of_their_own_and_later_ones_have_theirs(folder: Path) -> None:
    with borrowed(folder) as one, borrowed(folder) as other:
        assert one is not other
        assert not {id(engine) for engine in one.engines.values()} & {
            id(engine) for engine in other.engines.values()
        }
    seen: list[Job] = []

    def task() -> None:
        with borrowed(folder) as job:
            seen.append(job)

    for _ in range(3):  # each in a thread that ends
        thread = Thread(target=task)
        thread.start()
        thread.join()
    assert len(seen) == 3 and all(job is one or job is other for job in seen)


def test_engines_of_a_task_that_failed_are_not_used_again(folder: Path) -> None:
    with suppress(ValueError), borrowed(folder) as failed:
        raise ValueError
    with borrowed(folder) as job:
        assert job is not failed


def test_a_worker_keeps_the_jobs_that_it_used_last(tmp_path: Path) -> None:
    folders = [
        write_job(
            tmp_path, Site(telescope=(f"198.51.{n}.0/24",)), load_engines(SITE, ["darknet.census"])
        ).folder
        for n in range(6)
    ]
    first = []
    for folder in folders:
        with borrowed(folder) as job:
            first.append(job)
    again = []
    for folder in reversed(folders):
        with borrowed(folder) as job:
            again.append(job)
    kept = [one is other for one, other in zip(first, reversed(again), strict=True)]
    assert kept == [False, False, True, True, True, True]


def test_a_folder_that_is_no_job_is_said_and_nothing_is_kept_of_it(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ClusterError, match="same path"), borrowed(tmp_path / "jobs" / "0"):
            pass
