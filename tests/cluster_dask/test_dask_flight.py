"""Tasks on worker processes of this machine: each answered once, few at a time, and deaths blamed on the right one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask_tasks
import pytest
from dask_clusters import wait_for

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.dask import Dask


def task(path: str) -> str:
    return json.dumps({"task": "summarise", "partition": {"path": path}})


def kept(scheduler: Any) -> int:
    """Results in the memory of workers."""
    return sum(one.state == "memory" for one in scheduler.tasks.values())


def holds(scheduler: Any, worker: str) -> int:
    """Results in its memory."""
    there = scheduler.workers.get(worker)
    return 0 if there is None else len(there.has_what)


@pytest.fixture
def doing(executor: Dask) -> Iterator[Callable[[Callable[[str], str]], Dask]]:
    """The executor, with another function for its tasks, and one death enough to be suspect."""
    assert executor._local is not None
    before = executor._function, executor._local.scheduler.allowed_failures

    def changed(function: Callable[[str], str]) -> Dask:
        assert executor._local is not None
        executor._function, executor._local.scheduler.allowed_failures = function, 0
        return executor

    yield changed
    executor._function, executor._local.scheduler.allowed_failures = before


def test_every_task_is_answered_once_and_few_are_at_the_scheduler(
    doing: Callable[[Callable[[str], str]], Dask],
) -> None:
    executor = doing(dask_tasks.upper)
    assert executor.workers == 2
    assert executor._local is not None
    answers, most = [], 0
    for number, text in executor.run([f"a{n}" for n in range(300)]):
        answers.append((number, text))
        most = max(most, len(executor._local.scheduler.tasks))
    assert sorted(answers) == [(n, f"A{n}") for n in range(300)]
    # 32 under way, and some whose answers were fetched and that the scheduler has not forgotten yet.
    assert 16 <= most <= 100


def test_keys_say_what_a_task_is_about(doing: Callable[[Callable[[str], str]], Dask]) -> None:
    executor = doing(dask_tasks.slow)
    assert executor._local is not None
    running = executor.run([task(f"/caps/tele scope<{n}>.pcap") for n in range(8)])
    next(running)
    keys = [str(key) for key in executor._local.scheduler.tasks]
    running.close()
    assert any(key.startswith("summarise-tele_scope_") and ".pcap-0" in key for key in keys), keys


def test_what_nobody_waits_for_any_more_is_taken_back(
    doing: Callable[[Callable[[str], str]], Dask],
) -> None:
    executor = doing(dask_tasks.slow)
    running = executor.run([task(f"/caps/{n}.pcap") for n in range(30)])
    next(running)
    running.close()
    executor._function = dask_tasks.upper
    assert dict(executor.run(["b"])) == {0: "B"}


def test_an_error_on_every_worker_ends_the_job_and_names_the_file(
    doing: Callable[[Callable[[str], str]], Dask],
) -> None:
    texts = [task("/caps/good.pcap"), task("/caps/bad.pcap")]
    with pytest.raises(ClusterError, match=r"summarise of /caps/bad\.pcap: OSError: Stale file handle"):
        dict(doing(dask_tasks.raising).run(texts))


def test_who_was_near_a_death_ends_well_and_who_kills_is_named(
    doing: Callable[[Callable[[str], str]], Dask], tmp_path: Path, said: list[str]
) -> None:
    executor = doing(dask_tasks.deadly)
    good = [task(f"/caps/{n}.pcap") for n in range(6)]
    once = task(f"/once.{tmp_path / 'mark'}")
    answers = dict(executor.run([*good[:3], once, *good[3:]]))
    assert answers == {n: text.upper() for n, text in enumerate([*good[:3], once, *good[3:]])}
    assert (tmp_path / "mark").exists() and any("tried alone" in line for line in said)
    answered = []
    with pytest.raises(ClusterError) as caught:
        answered.extend(executor.run([*good[:3], task("/caps/killer.pcap"), *good[3:]]))
    assert "task summarise of /caps/killer.pcap kills its worker" in str(caught.value)
    assert "more of it, or fewer processes and threads" in str(caught.value)
    # The one to blame was found by itself: nobody else was.
    assert 3 not in dict(answered)
    assert dict(executor.run(good)) == {n: text.upper() for n, text in enumerate(good)}


def test_a_result_that_dies_with_its_worker_is_made_again_on_the_same_cluster(
    doing: Callable[[Callable[[str], str]], Dask], said: list[str]
) -> None:
    executor = doing(dask_tasks.lasting)
    assert executor._local is not None
    scheduler = executor._local.scheduler
    before, told = scheduler.id, len(said)
    running = executor.run([f"a{n}" for n in range(8)])
    answers = dict([next(running)])
    wait_for(lambda: kept(scheduler) >= 5, 60, "five results in memory")
    holder = max(executor._local.workers.values(), key=lambda one: holds(scheduler, one.worker_address))
    assert holds(scheduler, holder.worker_address) >= 2
    os.kill(holder.pid, signal.SIGKILL)
    # What was in its memory runs again, a second each: now is when nobody has these results.
    wait_for(lambda: kept(scheduler) < 5, 60, "those of the dead worker are gone")
    answers.update(running)
    assert answers == {n: f"A{n}" for n in range(8)}
    assert executor._local.scheduler.id == before and not any("is lost" in line for line in said[told:])


def test_no_port_of_a_cluster_of_this_machine_is_open_to_others_or_in_the_clear(
    doing: Callable[[Callable[[str], str]], Dask],
) -> None:
    import psutil

    executor = doing(dask_tasks.upper)
    assert executor._local is not None
    nannies = list(executor._local.workers.values())
    addresses = [executor._local.scheduler_address, *(one.worker_address for one in nannies)]
    assert all(address.startswith("tls://127.0.0.1:") for address in addresses)
    for process in (psutil.Process(one.pid) for one in nannies):
        for connection in process.net_connections():
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1")
