"""The whole of `andon run` as a process: a pipe, status and metrics, and alerts that are told once."""

from __future__ import annotations

import http.server
import json
import os
import random
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from live_files import HEADER, SECOND, frame, record
from live_runs import COMMAND, metrics, wait_until
from typer.testing import CliRunner

from andon.cli import app
from andon.run.live.status import read_status
from andon.store.history import History

T = 1_700_000_000  # s: some time ago
HOSTS, PACKETS = 30, 12


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def status_of(store: Path) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["status", "--store", str(store), "--format", "json"])
    return result.exit_code, json.loads(result.output) if result.output.startswith("{") else {}


def test_a_pipe_is_read_as_it_comes_and_status_and_metrics_say_so(tmp_path: Path) -> None:
    port, store = free_port(), tmp_path / "store"
    config = tmp_path / "andon.toml"
    config.write_text(
        f'[telescope]\nprefixes = ["192.0.2.0/24"]\n[[source]]\nname = "pipe"\nkind = "stdin"\n'
        f'[store]\npath = "store"\nhistory_every = "1s"\n[metrics]\nlisten = "127.0.0.1:{port}"\n'
    )
    assert status_of(store)[0] == 1  # nothing has run here yet
    process = subprocess.Popen(
        [*COMMAND, "run", "--config", str(config)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    try:
        # Nothing has come, not even the capture's header, and yet it runs.
        assert wait_until(lambda: (read_status(store) or {}).get("state") == "running", 120)
        process.stdin.write(HEADER + b"".join(record((T + n) * SECOND) for n in range(70)))
        process.stdin.flush()
        assert wait_until(lambda: status_of(store)[1].get("received") == 70)
        code, status = status_of(store)
        assert (code, status["alive"], status["sources"]) == (0, True, {"pipe": 70})
        shown = CliRunner().invoke(app, ["status", "--store", str(store)]).output
        assert "70 received" in shown
        wanted = (
            'andon_source_packets_total{source="pipe"} 70.0',
            'andon_engine_cpu_seconds_total{engine="darknet.census",step="summarise"}',
            "andon_journaled_total",
        )

        assert wait_until(lambda: all(one in metrics(port) for one in wanted)), metrics(port)
        process.stdin.write(b"".join(record((T + 100 + n) * SECOND) for n in range(30)))
        process.stdin.close()
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert "\x1b" not in said  # no colours and no board in a pipe
    assert History(store / "history").next_row == 100
    code, status = status_of(store)
    assert (code, status["state"], status["received"]) == (1, "stopped", 100)


def test_what_is_no_capture_on_a_pipe_is_said_in_a_sentence(tmp_path: Path) -> None:
    config = tmp_path / "andon.toml"
    config.write_text('[[source]]\nname = "pipe"\nkind = "stdin"\n[store]\npath = "store"\n')
    done = subprocess.run(
        [*COMMAND, "run", "--config", str(config)],
        input=b"no capture\n" * 9,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"source pipe" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_status_of_a_process_that_is_gone_or_is_another_one_by_now_is_not_alive(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"pid": os.getpid()}))
    found = read_status(tmp_path)
    assert found is not None
    assert found["alive"]
    os.utime(tmp_path / "status.json", (T, T))
    found = read_status(tmp_path)
    assert found is not None
    assert not found["alive"]
    (tmp_path / "status.json").write_text("{half")
    assert read_status(tmp_path) is None


class Hook(http.server.ThreadingHTTPServer):
    """Remembers the idempotency key of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.keys: list[str] = []


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Hook)
        self.server.keys.append(self.headers["Idempotency-Key"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def infected(folder: Path) -> None:
    """Own hosts that scan the telescope one after another, in captures of ten hosts each, and an hour of others."""
    folder.mkdir()
    rng = random.Random(1)
    records: list[tuple[int, bytes]] = []
    for host in range(HOSTS):
        for n in range(PACKETS):
            target = f"192.0.2.{rng.randrange(256)}"
            at = (T + 20 * host) * SECOND + n * SECOND // 2
            data = frame(f"203.0.113.{host}", target, int.from_bytes(socket.inet_aton(target), "big"))
            records.append((at, data))
    end = T + 20 * HOSTS + 60
    records += [(at * SECOND + 1, frame("198.51.100.1", seq=rng.getrandbits(32))) for at in range(T, end)]
    records.sort()
    for n in range(3):
        part = records[len(records) * n // 3 : len(records) * (n + 1) // 3]
        (folder / f"{n}.pcap").write_bytes(HEADER + b"".join(record(*one) for one in part))


def _enough(log: Path, wanted: int) -> bool:
    return log.exists() and len(log.read_bytes().splitlines()) >= wanted


def killed_after(command: list[str], condition: Callable[[], bool]) -> bool:
    """Was it still running when the condition came true?"""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: condition() or process.poll() is not None, 60)
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def test_alerts_reach_file_and_webhook_once_though_the_runner_is_killed(tmp_path: Path, hook: Hook) -> None:
    infected(tmp_path / "caps")
    config = tmp_path / "andon.toml"
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef")
    config.write_text(
        '[telescope]\nprefixes = ["192.0.2.0/24"]\n[[source]]\nname = "sensor"\nkind = "folder"\npath = "caps"\n'
        'settle = "1s"\n[[organisation]]\nname = "Example"\nprefixes = ["203.0.113.0/24"]\nsinks = ["log", "hook"]\n'
        '[[sink]]\nname = "log"\nkind = "file"\npath = "alerts.ndjson"\n[[sink]]\nname = "hook"\nkind = "webhook"\n'
        f'url = "http://127.0.0.1:{hook.server_port}/"\nkey_file = "key"\ndigest_after = 0\n'
        '[store]\npath = "store"\ncommit_rows = 50\ncheckpoint = "1s"\nhistory_every = "1s"\nretention = "3650d"\n'
    )
    log = tmp_path / "alerts.ndjson"

    def lines() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    command = [*COMMAND, "run", "--config", str(config), "--once", "--log", "json"]
    kills = [killed_after(command, partial(_enough, log, heard)) for heard in (1, 12)]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    told = Counter(json.loads(line)["id"] for line in lines())
    assert any(kills)
    assert len(told) == HOSTS
    assert set(told.values()) == {1}
    assert len(set(hook.keys)) == HOSTS
    assert (
        len(hook.keys) <= HOSTS + 2
    )  # a kill between the answer and its note repeats one, under the same key
    with_addresses = {f"203.0.113.{host}" for host in range(HOSTS)}
    assert all(any(address in line for line in lines()) for address in with_addresses)
