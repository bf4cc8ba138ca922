"""A simulated capture through a pipe: the same bytes as in a folder, read by others while it is made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from andon.simulate.internet import InternetConfig, simulate

ANDON = (sys.executable, "-m", "andon")
SMALL = ("--seed", "3", "--packets", "20000", "--duration", "2min", "--telescope", "198.18.0.0/20")


def piped(*words: str) -> subprocess.CompletedProcess[bytes]:
    command = [*ANDON, "simulate", "internet", *words, "--out", "-"]
    return subprocess.run(command, capture_output=True, check=False, timeout=300)


def test_the_pipe_carries_the_bytes_of_the_file_and_nothing_else(tmp_path: Path) -> None:
    done = piped(*SMALL)
    config = InternetConfig(
        seed=3, packets=20_000, duration=120.0, telescope=("198.18.0.0/20",), noise=0.3, contamination=0.05
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == simulate(config, tmp_path).capture.read_bytes()
    assert b"20,000 packets written" in done.stderr


def test_another_command_counts_what_comes_through_the_pipe() -> None:
    made = subprocess.Popen(
        [*ANDON, "simulate", "internet", "--rate", "100", "--duration", "90s", "--out", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    counted = subprocess.run(
        [*ANDON, "count", "-", "--format", "json"],
        stdin=made.stdout,
        capture_output=True,
        check=True,
        timeout=300,
    )
    made.communicate(timeout=60)
    assert made.returncode == 0
    figures = json.loads(counted.stdout)
    assert figures["packets"] == 9000
    assert figures["damage"] == []
    assert figures["stopped"] == "end of input"


def test_a_reader_that_ends_is_a_quiet_end() -> None:
    made = subprocess.Popen(
        [*ANDON, "simulate", "internet", "--packets", "300000", "--out", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert made.stdout is not None and made.stderr is not None
    assert len(made.stdout.read(1000)) == 1000
    made.stdout.close()
    assert made.stderr.read() == b""
    assert made.wait(timeout=60) == 0


def test_packets_and_rate_together_are_refused() -> None:
    done = piped("--packets", "5", "--rate", "10")
    assert done.returncode == 2
    assert b"not both" in done.stderr
    assert done.stdout == b""


def test_a_rate_without_packets_is_refused_in_words() -> None:
    done = piped("--rate", "0")
    assert done.returncode == 2
    assert b"packets must be between 1" in done.stderr


def test_a_full_disk_is_an_error_not_a_quiet_end() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [*ANDON, "simulate", "internet", *SMALL, "--out", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=300)
    assert done.returncode == 1
    assert b"No space left" in done.stderr
