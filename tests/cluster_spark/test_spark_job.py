"""A job on Spark Connect (Sail) is the job of the threads runner, bit for bit, whatever is lost on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from spark_server_here import SITE, engines, needs_spark, told

from andon.run.cluster.analysis import Told, analyze_on
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.spark import Spark

pytestmark = needs_spark
Expected = tuple[list[str], dict[str, list[object]]]


class Watched:
    """An executor that is looked at after every answer."""

    name = "spark"

    def __init__(self, spark: Spark) -> None:
        self.spark, self.workers, self.answers = spark, spark.workers, 0

    def run(self, tasks: Sequence[str]) -> Iterator[tuple[int, str]]:
        for answer in self.spark.run(tasks):
            self.answers += 1
            self.after(self.answers)
            yield answer

    def after(self, answers: int) -> None:
        """Nothing, here."""

    def close(self) -> None:
        self.spark.close()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Killed(Watched):
    """Kills the server after an answer in the middle."""

    def after(self, answers: int) -> None:
        if answers == 2:
            kill(self.spark)


class Repeated(Watched):
    """Runs every task four times, neighbours at the same moment, and takes the answer that comes first or the one
    that comes last: what speculative execution and retries of an engine do."""

    def run(self, tasks: Sequence[str]) -> Iterator[tuple[int, str]]:
        answers: dict[int, str] = {}
        for number, answer in self.spark.run([task for task in tasks for _ in range(4)]):
            if number // 4 not in answers or number % 8 > 3:
                answers[number // 4] = answer
        yield from answers.items()


def kill(spark: Spark) -> None:
    """SIGKILL to the server."""
    pid = spark.server_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


class Stopped(Watched):
    """The driver does not go on after the second answer."""

    def after(self, answers: int) -> None:
        if answers == 2:
            raise KeyboardInterrupt


def test_a_job_and_the_same_job_again(
    plain: Spark, spark_captures: list[Path], by_threads: Expected, tmp_path: Path
) -> None:
    first, again = Told(), Told()
    assert len(by_threads[0]) > 5
    assert told(analyze_on(plain, tmp_path, spark_captures, SITE, engines(), told=first)) == by_threads
    assert told(analyze_on(plain, tmp_path, spark_captures, SITE, engines(), told=again)) == by_threads
    assert first.costs["summarise"].made == len(spark_captures) and first.again == 0
    assert again.again == len(spark_captures)
    assert all(cost.made == 0 for cost in (again.costs["summarise"], again.costs["merge"]))


def test_the_server_is_killed_in_mid_job(
    sail: Spark, spark_captures: list[Path], by_threads: Expected, tmp_path: Path
) -> None:
    before = sail.server_pid
    made = analyze_on(Killed(sail), tmp_path, spark_captures, SITE, engines())
    assert told(made) == by_threads
    assert sail.server_pid != before


def test_driver_and_server_gone_in_mid_job_the_next_does_what_is_missing(
    sail: Spark, spark_captures: list[Path], by_threads: Expected, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        analyze_on(Stopped(sail), tmp_path, spark_captures, SITE, engines())
    kill(sail)
    told_of_it = Told()
    with Spark(Cluster("spark", workers=1)) as other:
        assert (
            told(analyze_on(other, tmp_path, spark_captures, SITE, engines(), told=told_of_it)) == by_threads
        )
    assert told_of_it.again >= 2
    assert told_of_it.costs["summarise"].made == len(spark_captures) - told_of_it.again


def test_tasks_that_are_run_twice_and_more_at_the_same_moment_do_no_harm(
    plain: Spark, spark_captures: list[Path], by_threads: Expected, tmp_path: Path
) -> None:
    assert told(analyze_on(Repeated(plain), tmp_path, spark_captures, SITE, engines())) == by_threads
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"]


def test_what_a_worker_cannot_do_is_said(plain: Spark, spark_captures: list[Path], tmp_path: Path) -> None:
    from andon.run.cluster.job import write_job
    from andon.run.cluster.partition import Partition
    from andon.run.cluster.tree import Levels

    job = write_job(tmp_path, SITE, engines())
    (job.folder / "job.json").unlink()
    with pytest.raises(ClusterError, match="work folder must be the same on every machine"):
        Levels(job, plain).summarise([Partition("packets", str(spark_captures[0]), "0", 1)])
