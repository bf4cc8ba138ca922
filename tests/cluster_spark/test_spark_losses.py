"""Tasks on Sail: each answered once, whatever fails, is killed or is run twice."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import spark_tasks
from spark_server_here import HERE, needs_spark, started

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.spark import Spark
from andon.run.cluster.executors.spark_address import TOKEN

pytestmark = needs_spark


def tasks(count: int, runs: Path, **more: object) -> list[str]:
    return [json.dumps({"number": number, "runs": str(runs), **more}) for number in range(count)]


def expected(count: int) -> dict[int, str]:
    return {number: f"{number} done" for number in range(count)}


@pytest.fixture(scope="module")
def busy() -> Iterator[Spark]:
    """For tests that leave the server alive."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKEN, "hush-hush")  # for another server
        with started(patch, spark_tasks.task, workers=3) as spark:
            yield spark


def test_each_of_many_tasks_is_answered_once(busy: Spark, tmp_path: Path) -> None:
    answers = list(busy.run(tasks(1000, tmp_path)))
    assert len(answers) == 1000 and dict(answers) == expected(1000)
    assert len(list(tmp_path.iterdir())) == 1000
    assert list(busy.run([])) == []


def test_the_server_is_not_told_the_token_of_another(busy: Spark) -> None:
    environment = Path(f"/proc/{busy.server_pid}/environ").read_bytes().split(b"\0")
    assert [one for one in environment if one.startswith(b"SAIL_MODE=")] == [b"SAIL_MODE=local"]
    assert not [one for one in environment if b"hush" in one]


def test_no_more_tasks_run_at_once_than_there_are_workers(busy: Spark, tmp_path: Path) -> None:
    assert busy.workers == 3
    crowds = {int(answer) for _, answer in busy.run(tasks(40, tmp_path, crowd=True, seconds=0.05))}
    assert max(crowds) in (2, 3)


def test_answers_come_before_the_last_task_ends(busy: Spark, tmp_path: Path) -> None:
    runs, heard = tmp_path / "runs", tmp_path / "heard"
    runs.mkdir()
    made = tasks(6, runs)
    made[0] = json.dumps({"number": 0, "runs": str(runs), "until": str(heard)})  # of the others' answers
    answers: dict[int, str] = {}
    for number, answer in busy.run(made):
        answers[number] = answer
        if len(answers) == 5:
            heard.touch()
    assert answers == expected(6) and list(answers)[-1] == 0


def test_a_task_that_fails_is_tried_again_and_then_its_error_is_told(busy: Spark, tmp_path: Path) -> None:
    made = tasks(4, tmp_path)
    made[2] = json.dumps({"number": 2, "runs": str(tmp_path), "failures": 2})
    assert dict(busy.run(made)) == expected(4)
    made[1] = json.dumps({"number": 1, "runs": str(tmp_path), "failures": 99})
    with pytest.raises(ClusterError, match=r"failed 3 times, last on .*OSError: nothing to read for 1"):
        list(busy.run(made))


def test_a_job_that_is_dropped_leaves_its_server_idle(busy: Spark, tmp_path: Path) -> None:
    answers = busy.run(tasks(400, tmp_path, seconds=0.02))
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name == "andon-spark"]
    time.sleep(0.3)
    begun, end = 0, time.monotonic() + 60
    while (
        begun != len(list(tmp_path.iterdir())) and time.monotonic() < end
    ):  # what was being done is finished
        begun = len(list(tmp_path.iterdir()))
        time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) == begun < 400


def test_a_task_that_kills_the_server_and_passes_then(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = tasks(8, tmp_path)
    made[3] = json.dumps({"number": 3, "runs": str(tmp_path), "deaths": 1})
    with started(monkeypatch, spark_tasks.task) as spark:
        answers = list(spark.run(made))
    assert len(answers) == 8 and dict(answers) == expected(8)
    assert len(list(tmp_path.glob("3.*"))) == 2
    assert "Sail server of this job is gone: it was killed by signal 9; " in caplog.text
    assert "tasks are handed in again" in caplog.text


def test_a_server_that_is_killed_every_time_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("andon.run.cluster.executors.spark._LOSSES", 1)
    with started(monkeypatch, spark_tasks.task) as spark:
        with pytest.raises(ClusterError, match=r"lost 2 times in a row: .*killed by signal 9"):
            list(spark.run(tasks(1, tmp_path, deaths=99)))
        assert len(list(tmp_path.glob("0.*"))) == 2


def test_a_server_of_others_is_killed_and_comes_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    servers = [listening(port)]
    try:
        with Spark(Cluster("spark", f"sc://127.0.0.1:{port}", workers=2), spark_tasks.task) as spark:
            assert spark.server_pid is None
            answers = spark.run(tasks(60, tmp_path, seconds=0.02))
            first = next(answers)
            servers[0].kill()
            servers[0].wait()
            servers.append(listening(port))
            assert dict([first, *answers]) == expected(60)
    finally:
        for server in servers:
            server.kill()
            server.wait()


def listening(port: int) -> subprocess.Popen[bytes]:
    """A Sail server as an operator starts it, when it takes connections."""
    command = [sys.executable, "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", f"{port}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return server
        time.sleep(0.1)
    server.kill()
    raise AssertionError("the server does not listen")


def test_workers_without_the_code_are_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("def task(text: str) -> str:\n    return text\n")
    monkeypatch.syspath_prepend(tmp_path)  # of this process
    only_here = importlib.import_module("only_here")
    refused = pytest.raises(ClusterError, match="cannot import only_here: install the same andon")
    with started(monkeypatch, only_here.task) as spark, refused:
        list(spark.run(tasks(2, tmp_path)))


def test_the_server_ends_with_the_process_that_started_it() -> None:
    """Killed, so that it cannot say good-bye."""
    code = (
        "import os, signal, sys\n"
        "from andon.run.cluster.executors.spark_sail import Sail\n"
        "print(Sail().pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    made = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False, timeout=150)
    pid = int(made.stdout)
    assert made.returncode == -signal.SIGKILL
    for _ in range(300):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the server lives on")
