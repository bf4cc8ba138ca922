"""A hub that is killed between storing and answering: the member sends again, and each packet counts once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from andon.cli.hub import app as command
from andon.share.hub import protocol as p
from andon.share.hub.client import HubClient
from andon.share.hub.members import member
from andon.share.hub.store import HubStore
from andon.share.outbox import Secret, Unreachable, make_sink
from andon.share.outbox.hub import HubSink

HOUR = time.time_ns() // p.HOUR * p.HOUR - p.HOUR
# Dies just before the answer to the request of that number would go out.
HUB = """
import os, signal, sys
from pathlib import Path
import uvicorn
from andon.share.hub import app
from andon.share.hub.store import HubStore
fatal, taken = int(sys.argv[3]), HubStore.take
def take(self, name, report, now, count=[0]):
    made = taken(self, name, report, now)
    count[0] += 1
    if count[0] == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return made
HubStore.take = take
print("go", flush=True)
uvicorn.run(app.application(Path(sys.argv[1])), port=int(sys.argv[2]), log_level="critical", lifespan="off")
"""


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_hub_killed_before_its_answer_counts_nothing_twice_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    store = HubStore(folder)
    (folder / "keys").mkdir()
    for name, prefix in (("city", "198.51.100.0/24"), ("university", "203.0.113.0/24")):
        store.add_member(member(name, [prefix]), 1)
        (folder / "keys" / f"{name}.key").write_text(name)
    port = free_port()
    client = HubClient(f"http://127.0.0.1:{port}", "university", Secret(folder / "keys" / "university.key"))
    todo = [p.report_of([p.Sighting("198.51.100.7", "scan", HOUR, 2**n)]) for n in range(12)]
    killed, repeated = 0, 0
    for fatal in (1, 3, 5, 0):
        hub = subprocess.Popen(
            [sys.executable, "-c", HUB, str(folder), str(port), str(fatal)], stdout=subprocess.PIPE
        )
        assert hub.stdout is not None and hub.stdout.readline() == b"go\n"
        until = time.monotonic() + 120
        while todo and time.monotonic() < until:
            try:
                repeated += not client.report(todo[0], 60)
                todo.pop(0)
            except Unreachable:
                if hub.poll() == -signal.SIGKILL:
                    killed += 1
                    break
                time.sleep(0.02)
        if not todo:
            hub.terminate()
        hub.wait(timeout=60)
        hub.stdout.close()
    assert (todo, killed, repeated) == ([], 3, 3)
    ((seen,), _, _) = store.seen_of("city", 0, 10)
    total = store._store
    with total.read() as connection:
        assert connection.execute("SELECT packets FROM seen").fetchone()[0] == 2**12 - 1
    assert seen["observers"] == 1
    store.close()


def test_the_commands_from_a_new_hub_to_what_it_tells(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(command, list(words))
        assert done.exit_code == 0, done.output
        return done.stdout

    store = ["--store", str(tmp_path)]
    run("add-member", "city", "--prefix", "198.51.100.0/24", *store)
    said = run(
        "add-member", "uni", "--prefix", "203.0.113.0/24", "--prefix", "2001:db8::/32", "--named", *store
    )
    key = tmp_path / "hub" / "keys" / "uni.key"
    assert str(key) in said and key.stat().st_mode & 0o777 == 0o600 and len(key.read_text().strip()) == 64
    taken = CliRunner().invoke(command, ["add-member", "thief", "--prefix", "203.0.113.0/24", *store])
    assert taken.exit_code == 2 and not (tmp_path / "hub" / "keys" / "thief.key").exists()
    port = free_port()
    (tmp_path / "hub.toml").write_text("[hub]\nsightings = 77\n")
    words = ["serve", *store, "--listen", f"127.0.0.1:{port}", "--config", str(tmp_path / "hub.toml")]
    hub = subprocess.Popen([sys.executable, "-c", "from andon.cli.hub import app; app()", *words], env=os.environ,
                           stderr=subprocess.PIPE)  # fmt: skip
    try:
        assert hub.stderr is not None and b"listens" in hub.stderr.readline()
        access = {
            name: [
                "--url",
                f"http://127.0.0.1:{port}",
                "--member",
                name,
                "--key-file",
                str(tmp_path / "hub/keys" / (name + ".key")),
            ]
            for name in ("city", "uni")
        }
        findings = tmp_path / "findings.ndjson"
        attributes = {"alert_kind": "outbound-scan", "state": "new", "packets": 5}
        alert = {"kind": "own-host-alert", "last_seen": p.timestamp(HOUR + 5), "attributes": attributes}
        subjects = [
            {"type": "ipv4-addr", "value": text} for text in ("198.51.100.7", "203.0.113.1", "8.8.8.8")
        ]
        findings.write_text(
            "\n".join(json.dumps({**alert, "subject": subject}) for subject in subjects) + "\n\n"
        )
        until = time.monotonic() + 60
        while True:
            done = CliRunner().invoke(command, ["account", *access["uni"]])
            if done.exit_code == 0 or time.monotonic() > until:
                break
            time.sleep(0.05)
        report = ["report", str(findings), "--own", "203.0.113.0/24", *access["uni"]]
        assert run(*report).startswith("1 of 3 sightings reported in 1 report, 0 of which")
        assert run(*report).endswith("1 of which the hub had already\n")
        toml = tomllib.loads(run("cover", *access["uni"], "--toml"))
        assert toml["organisation"][0]["prefixes"] == ["198.0.0.0/8", "203.0.0.0/8", "2001::/20"]
        assert isinstance(make_sink(toml["sink"][0]), HubSink)
        cursor = ["--cursor", str(tmp_path / "cursor")]
        assert '"198.51.100.7"' in run("pull", *access["city"], *cursor)
        assert run("pull", *access["city"], *cursor) == ""
        assert '"sightings_limit": 77' in run("account", *access["uni"])
        assert '"share": 1.0' in run("account", *access["uni"])
        assert '"sightings": 1' in run("members", *store, "--format", "json")
        assert "203.0.113.0/24" in run("members", *store)
        run("remove-member", "uni", *store)
        gone = CliRunner().invoke(command, ["account", *access["uni"]])
        assert gone.exit_code == 1
    finally:
        hub.terminate()
        hub.wait(timeout=60)
        if hub.stderr is not None:
            hub.stderr.close()
    with pytest.raises(SystemExit):
        command(["serve", *store, "--listen", "0.0.0.0:1"])
