"""The delivering process is killed with SIGKILL again and again: every message arrives, and at most one per kill
arrives twice, with the same identity. A file takes each exactly once."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from outbox_servers import MailServer, SyslogServer, WebServer, free_port

from andon.share.outbox import Message
from andon.store.casebook import Casebook

MESSAGES = 150
KILLS = 6

WORKER = """
import json, sys, time
from andon.share.outbox import Delivery, make_sink
from andon.store.casebook import Casebook
book = Casebook(sys.argv[1])
delivery = Delivery(book, [make_sink(json.loads(sys.argv[2]))], time.time_ns)
print("go", flush=True)
while book.waiting_sinks():
    delivery.step(patience=0.1)
delivery.close(wait=True)
"""


def _mails(server: MailServer) -> list[str]:
    return [str(mail["Message-ID"]) for mail in server.mails]


def _requests(server: WebServer) -> list[str]:
    return [headers["Idempotency-Key"] for _, headers, _ in server.requests]


def _events(server: SyslogServer) -> list[str]:
    return [re.search(rb"externalId=(\w+)", message)[1].decode() for message in server.messages]  # type: ignore[index]


def _smtp(port: int, folder: Path) -> tuple[Any, dict[str, Any], Callable[[Any], list[str]]]:
    settings = {"host": "127.0.0.1", "port": port, "sender": "a@example.org", "to": ["b@example.org"]}
    return MailServer(port, delay=0.01), {"kind": "smtp", "security": "none", **settings}, _mails


def _webhook(port: int, folder: Path) -> tuple[Any, dict[str, Any], Callable[[Any], list[str]]]:
    (folder / "key").write_text("key")
    settings = {"kind": "webhook", "url": f"http://127.0.0.1:{port}/", "key_file": str(folder / "key")}
    return WebServer(port, delay=0.01), settings, _requests


def _cef(port: int, folder: Path) -> tuple[Any, dict[str, Any], Callable[[Any], list[str]]]:
    settings = {"kind": "cef", "host": "127.0.0.1", "port": port, "tls": False}
    return SyslogServer(port, delay=0.01), settings, _events


def _file(port: int, folder: Path) -> tuple[Any, dict[str, Any], Callable[[Any], list[str]]]:
    path = folder / "alerts.ndjson"
    server: AbstractContextManager[Path] = nullcontext(path)

    def arrived(_: Any) -> list[str]:
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line)["id"] for line in lines]

    return server, {"kind": "file", "path": str(path)}, arrived


@pytest.mark.parametrize(("protocol", "twice"), [(_smtp, 1), (_webhook, 1), (_cef, 1), (_file, 0)])
def test_a_killed_delivery_loses_nothing_and_repeats_at_most_one_message(
    protocol: Any, twice: int, tmp_path: Path
) -> None:
    server, settings, arrived = protocol(free_port(), tmp_path)
    chance = random.Random(protocol.__name__)
    with Casebook(tmp_path / "casebook.db") as book:
        book.migrate()
        sent = killed = 0

        def more() -> None:
            nonlocal sent
            numbers, sent = range(sent, sent + MESSAGES), sent + MESSAGES
            messages = [Message(f"a{n}", "out", "alert", f"Alert {n}", "T", {"n": n}) for n in numbers]
            book.record(messages=messages, clock=time.time_ns())

        more()
        with server as running:
            for _ in range(10 * KILLS):
                alive = killed < KILLS
                worker = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        WORKER,
                        str(tmp_path / "casebook.db"),
                        json.dumps({"name": "out", "digest_after": 0, **settings}),
                    ],
                    stdout=subprocess.PIPE,
                    env=os.environ,
                )
                assert worker.stdout is not None and worker.stdout.readline() == b"go\n"
                if alive:
                    wanted = len(arrived(running)) + chance.randint(1, 15)
                    end = time.monotonic() + 60
                    while len(arrived(running)) < wanted and time.monotonic() < end:
                        time.sleep(chance.uniform(0, 0.01))
                    worker.send_signal(signal.SIGKILL)
                worker.wait(timeout=300)
                worker.stdout.close()
                if not alive:
                    break
                if worker.returncode == -signal.SIGKILL:
                    killed += 1
                else:  # it was done before this process got round to the kill
                    more()
            end = time.monotonic() + 60
            while len(set(arrived(running))) < sent and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.2)  # what a killed worker had sent is still being read
            found = Counter(arrived(running))
        assert book.outbox_counts() == {("out", "delivered"): sent}
    assert killed == KILLS
    assert len(found) == sent
    assert max(found.values()) <= 1 + killed
    assert sum(found.values()) - sent <= killed * twice
