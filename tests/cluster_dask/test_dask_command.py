"""``andon analyze --runner`` as it is typed: the same answer as with threads, and what is said where it is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dask_clusters import captures
from typer.testing import CliRunner

from andon.cli import app


def andon(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from andon.cli import main; main()", *map(str, words)],
        capture_output=True, check=False, timeout=600, text=True,
    )  # fmt: skip


def test_two_workers_answer_as_threads_do_and_a_second_time_from_what_is_finished(tmp_path: Path) -> None:
    given = ["analyze", "--format", "json", "--engine", "darknet.purpose", *captures(tmp_path, 3, 1_000)]
    plain = andon(*given, "--digests", tmp_path / "threads.ndjson")
    assert plain.returncode == 0 and plain.stdout, plain.stderr
    for again in (False, True):
        on = andon(*given, "--runner", "dask", "--workers", "2:1GB", "--work", tmp_path / "work", "--digests",
                   tmp_path / "dask.ndjson")  # fmt: skip
        assert on.returncode == 0 and on.stdout == plain.stdout, on.stderr
        assert ("of them finished before" in on.stderr) is again
        assert (tmp_path / "dask.ndjson").read_bytes() == (tmp_path / "threads.ndjson").read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--runner", "dask"), 2, "needs --work DIR"),
        (("--runner", "slurm", "--work", "w"), 2, "it is threads, dask, spark"),
        (("--runner", "dask", "--work", "w", "--workers", "many"), 2, "write N or N:MEMORY"),
        (("--runner", "dask", "--work", "w", "--workers", "2:1MB"), 2, "a worker needs 200 MB"),
        (("--workers", "2"), 2, "go with --runner dask or spark"),
        (("--runner", "dask", "--work", "w", "--cluster", "tcp://192.0.2.1:8786"), 1, "tls"),
    ],
)
def test_what_cannot_be_is_said_at_once(words: tuple[str, ...], code: int, said: str, tmp_path: Path) -> None:
    (capture,) = captures(tmp_path, files=1, packets=10)
    given = [str(tmp_path / word) if word == "w" else word for word in words]
    done = CliRunner().invoke(app, ["analyze", str(capture), *given])
    assert done.exit_code == code and said.lower() in done.stderr.lower(), done.output
    assert not done.stdout


def test_nothing_is_started_for_files_that_are_not_there(tmp_path: Path) -> None:
    done = andon("analyze", tmp_path / "no.pcap", "--runner", "dask", "--work", tmp_path / "work")
    assert done.returncode == 1 and "No such file" in done.stderr and "CPU seconds" not in done.stderr
    assert not (tmp_path / "work").exists()
