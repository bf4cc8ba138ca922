"""``andon run`` with listeners, killed while alerts are posted: what was acknowledged is there, and once."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alert_samples as made

from andon.records.kinds import kind_of
from andon.run.live.records import RecordFiles

COMMAND = [sys.executable, "-c", "from andon.cli import main; main()"]
KILLS = int(os.environ.get("ANDON_ALERT_KILLS", "2"))


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def write_config(folder: Path, sources: str) -> Path:
    path = folder / "andon.toml"
    path.write_text(
        f'engines = ["livenet.edges"]\n{sources}\n[store]\npath = "{folder / "store"}"\ncommit = "1s"\n'
        'history = false\ncheckpoint = "1s"\n'
    )
    return path


def start(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "run", "--config", str(config), "--log", "json"],
        stdout=subprocess.DEVNULL,
        stderr=(config.parent / "said.log").open("ab"),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def kept(store: Path) -> list[dict[str, Any]]:
    """Rows of alerts that a restart would find."""
    last = max(
        (int(path.stem) for path in (store / "journal").glob("*.arrow") if path.stem.isdigit()), default=0
    )
    files = RecordFiles.__new__(RecordFiles)  # without its recovery: the runner may be at work
    files.folder = store / "records"
    rows: list[dict[str, Any]] = []
    for _, batch in files.through(last):
        if kind_of(batch) == "alert":
            rows += batch.select(["uid", "rule", "host", "position"]).to_pylist()
    return rows


def wait_until(said: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < until
        time.sleep(0.02)


class Sender(threading.Thread):
    """Posts batches one after another, each until it hears 200, as shippers do."""

    def __init__(self, number: int, port: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.number, self.port, self.done = number, port, stop
        self.acknowledged: list[str] = []
        self.tries = 0

    def run(self) -> None:
        batch = 0
        while not self.done.is_set():
            alerts = [made.wazuh(k) | {"id": f"{self.number}.{batch}.{k}"} for k in range(7)]
            body = b"".join(b'{"index":{}}\n' + made.lines(one) for one in alerts)
            while not self._posted(body):
                time.sleep(0.02)
                if self.done.is_set():
                    return
            self.acknowledged += [one["id"] for one in alerts]
            batch += 1

    def _posted(self, body: bytes) -> bool:
        self.tries += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        try:
            connection.request("POST", "/_bulk", body, {"Content-Type": "application/x-ndjson"})
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def test_what_was_acknowledged_is_there_once_whatever_is_killed(tmp_path: Path) -> None:
    port, rng, over = free_port(), random.Random(3), threading.Event()
    config = write_config(tmp_path, f'[[source]]\nname = "web"\nkind = "http-bulk"\nport = {port}')
    senders = [Sender(n, port, over) for n in range(6)]
    for sender in senders:
        sender.start()
    for _ in range(KILLS):
        process = start(config)
        before = sum(len(sender.acknowledged) for sender in senders)
        more = 7 * rng.randrange(1, 12)  # somewhere in the middle of what is under way

        def acknowledged(enough: int = before + more, process: Any = process) -> bool:
            assert process.poll() is None, (tmp_path / "said.log").read_text()[-2000:]
            return sum(len(sender.acknowledged) for sender in senders) >= enough

        wait_until(acknowledged)
        time.sleep(rng.uniform(0.0, 0.9))  # of a commit
        process.kill()
        process.wait()
    process = start(config)
    before = sum(len(sender.acknowledged) for sender in senders)
    wait_until(lambda: sum(len(sender.acknowledged) for sender in senders) > before + 42)
    over.set()
    for sender in senders:
        sender.join()
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    held = Counter(row["uid"] for row in kept(tmp_path / "store"))
    sure = [uid for sender in senders for uid in sender.acknowledged]
    assert len(sure) > 150 and len(sure) == len(set(sure))
    assert not [uid for uid in sure if held[uid] == 0], "lost"
    assert not [uid for uid, count in held.items() if count > 1], "doubled"
    assert sum(sender.tries for sender in senders) > len(sure) // 7  # some were tried again


def test_syslog_under_the_runner_leaves_a_gap_and_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "alerts.json"
    log.write_bytes(made.lines(*map(made.wazuh, range(3))))
    config = write_config(
        tmp_path,
        f'[[source]]\nname = "sys"\nkind = "syslog"\ntransport = "tcp"\naddress = "127.0.0.1"\nport = {port}\n'
        f'[[source]]\nname = "file"\nkind = "log"\npath = "{log}"\n',
    )

    def send(first: int) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port)) as sender:
                for n in range(first, first + 20):
                    text = json.dumps(made.wazuh(n) | {"id": f"s{n}"})
                    sender.sendall(f"<13>Mar  1 08:00:00 manager wazuh: {text}\n".encode())
            return True
        except OSError:
            return False

    def there(enough: int) -> Callable[[], bool]:
        def found() -> bool:
            try:
                return len(kept(tmp_path / "store")) >= enough
            except (ValueError, OSError):
                return False

        return found

    process = start(config)
    wait_until(lambda: send(0))
    wait_until(there(23))
    process.kill()
    process.wait()
    with log.open("ab") as more:
        more.write(made.lines(*map(made.wazuh, range(3, 5))))
    process = start(config)
    wait_until(lambda: send(20))
    wait_until(there(45))
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    rows = kept(tmp_path / "store")
    assert Counter(row["uid"] for row in rows if row["uid"].startswith("s")) == {
        f"s{n}": 1 for n in range(40)
    }
    assert sorted(row["uid"] for row in rows if not row["uid"].startswith("s")) == [
        made.wazuh(n)["id"] for n in range(5)
    ]
    told = subprocess.run(
        [*COMMAND, "findings", "list", "--store", str(tmp_path / "store"), "--format", "json"],
        check=True, stdout=subprocess.PIPE,
    ).stdout.decode()  # fmt: skip
    gaps = [one for one in map(json.loads, told.splitlines()) if one["kind"] == "capture-gap"]
    assert [one["subject"]["value"] for one in gaps] == ["sys restart"]  # a file is read on from where it was
