"""The same jobs on Apache Spark: ``make nightly-spark`` starts a server and says where it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import spark_tasks
from spark_server_here import SITE, engines, needs_spark, told

from andon.run.cluster.analysis import Told, analyze_on
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.spark import Spark
from andon.run.cluster.executors.spark_address import TOKEN

ADDRESS = os.environ.get("ANDON_SPARK", "")
pytestmark = [needs_spark, pytest.mark.skipif(not ADDRESS, reason="no Apache Spark: make nightly-spark")]


@pytest.fixture(scope="module")
def apache() -> Iterator[Spark]:
    with Spark(Cluster("spark", ADDRESS)) as spark:
        yield spark


@pytest.fixture(scope="module")
def tasks() -> Iterator[Spark]:
    with Spark(Cluster("spark", ADDRESS), spark_tasks.task) as spark:
        yield spark


def made(count: int, runs: Path, **more: object) -> list[str]:
    return [json.dumps({"number": number, "runs": str(runs), **more}) for number in range(count)]


def test_a_job_and_the_same_job_again(
    apache: Spark,
    spark_captures: list[Path],
    by_threads: tuple[list[str], dict[str, list[object]]],
    tmp_path: Path,
) -> None:
    again = Told()
    assert told(analyze_on(apache, tmp_path, spark_captures, SITE, engines())) == by_threads
    assert told(analyze_on(apache, tmp_path, spark_captures, SITE, engines(), told=again)) == by_threads
    assert all(cost.made == 0 for cost in (again.costs["summarise"], again.costs["merge"]))


def test_spark_says_how_many_tasks_it_runs_at_once(apache: Spark) -> None:
    assert apache.workers >= 2 and apache.queues


def test_each_of_many_tasks_is_answered_once(tasks: Spark, tmp_path: Path) -> None:
    answers = list(tasks.run(made(200, tmp_path)))
    assert len(answers) == 200
    assert dict(answers) == {number: f"{number} done" for number in range(200)}


def test_workers_are_killed_with_their_tasks(tasks: Spark, tmp_path: Path) -> None:
    texts = made(8, tmp_path)
    for number in (2, 5):
        texts[number] = json.dumps({"number": number, "runs": str(tmp_path), "deaths": 2})
    assert dict(tasks.run(texts)) == {number: f"{number} done" for number in range(8)}
    assert len(list(tmp_path.glob("2.*"))) >= 3


def test_an_error_is_told_in_a_line(tasks: Spark, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"failed 3 times, last on .*OSError: nothing to read for 0$"):
        list(tasks.run(made(1, tmp_path, failures=99)))


def test_without_the_token_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.environ.get(TOKEN):
        pytest.skip("this server asks for no token")
    monkeypatch.setenv(TOKEN, "hush-hush")
    with pytest.raises(ClusterError, match="UNAUTHENTICATED") as refused:
        Spark(Cluster("spark", ADDRESS))
    assert "hush" not in str(refused.value)
