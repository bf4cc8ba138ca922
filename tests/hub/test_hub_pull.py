"""What others saw of our addresses counts: one member reports, another has a case of it; a kill loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from andon.cli import app
from andon.contain.propose import Material, grounds_of
from andon.observe.alerts import hub as reader
from andon.observe.jsonlines import Skipped
from andon.observe.logs.options import Options
from andon.observe.sensors import sniff
from andon.share.hub import protocol as p
from andon.share.hub import told
from andon.share.hub.app import application
from andon.share.hub.client import HubClient
from andon.share.hub.members import member
from andon.share.hub.pull import Pull
from andon.share.hub.store import HubStore
from andon.share.outbox import Secret
from andon.store.casebook import Casebook
from andon.store.errors import StoreError
from served import served

HOUR = time.time_ns() // p.HOUR * p.HOUR - p.HOUR
OURS = "198.51.100.7"
COMMAND = [sys.executable, "-c", "from andon.cli import main; main()", "hub", "pull"]


class Hub:
    """A hub with two members, over HTTP: ``uni`` saw, ``city`` is told."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self._keys = url, folder / "keys"

    def client(self, name: str) -> HubClient:
        return HubClient(self.url, name, Secret(self._keys / f"{name}.key"))

    def report(self, *sightings: p.Sighting) -> None:
        self.client("uni").report(p.report_of(sightings))

    def access(self) -> list[str]:
        return ["--url", self.url, "--member", "city", "--key-file", str(self._keys / "city.key")]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "store" / "hub"
    store = HubStore(folder)
    (folder / "keys").mkdir()
    for name, prefix in (("city", "198.51.100.0/24"), ("uni", "203.0.113.0/24")):
        store.add_member(member(name, [prefix], named=True), 1)
        (folder / "keys" / f"{name}.key").write_text(name * 8)
    with served(application(folder)) as url:
        yield Hub(url, folder)
    store.close()


def andon(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, (done.output, done.stderr, done.exception)
    return done.stdout


def rows(path: Path, skipped: Skipped | None = None) -> list[dict[str, Any]]:
    sensor = sniff(path, Options())
    assert sensor is not None
    found = sensor.read(path, skipped if skipped is not None else Skipped())
    return [
        row for batch in found for row in batch.set_column(0, "ts", batch["ts"].view("int64")).to_pylist()
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_report_of_one_member_is_a_case_of_another(tmp_path: Path, hub: Hub) -> None:
    hub.report(
        p.Sighting(OURS, "scan", HOUR, 80, (("tcp", 23, 76), ("tcp", 2323, 4)), "mirai"),
        p.Sighting("203.0.113.5", "scan", HOUR, 9),  # uni's own: nobody is told
    )
    file, book = tmp_path / "hub.ndjson", tmp_path / "soc"
    andon("hub", "pull", *hub.access(), "--cursor", tmp_path / "cursor", "--out", file)
    andon("hub", "pull", *hub.access(), "--cursor", tmp_path / "cursor", "--out", file)
    assert len(lines(file)) == 1
    andon("analyze", file, "--engine", "triage.screening", "--cases", book)
    with Casebook(book, read_only=True) as opened:
        (case,) = opened.cases.since(0)[0]
        table = opened.episodes.get([id for _, id in case.items])
    episodes = table.select(["id", "product", "title", "tier"]).to_pylist()
    assert OURS in {value for _, value in case.entities} and [kind for kind, _ in case.items] == ["episode"]
    (ground,) = grounds_of(case, Material((), episodes))
    assert ground.field == "alerts:daedalus-hub", "evidence of a kind of its own"


def test_a_sighting_is_an_alert_about_the_own_address(tmp_path: Path) -> None:
    now = HOUR + 2 * p.HOUR
    heard = {"id": "5c", "source": OURS, "kind": "scan", "hour": p.timestamp(HOUR), "packets": 80, "observers": 1,
             "ports": [["tcp", 23, 76]], "tools": [], "observed_by": ["uni"]}  # fmt: skip
    given = [
        heard,
        heard | {"tools": ["zmap"], "observers": 2},
        heard | {"tools": ["zmap", "mirai"], "ports": []},
        heard | {"source": "2001:db8::7", "kind": "backscatter", "ports": [["icmp6", 3, 9]]},
        heard | {"hour": p.timestamp(HOUR - 30 * p.HOUR), "kind": "misconfiguration"},
    ]
    file = tmp_path / "hub.ndjson"
    made = [told.line_of(one, now) for one in given]
    file.write_text(
        "".join(json.dumps(one) + "\n" for one in made) + '{"schema": "andon.hub-sighting/1"}\nx\n'
    )
    skipped = Skipped()
    found = rows(file, skipped)
    assert told.SCHEMA == reader.SCHEMA
    kept = [(row["host"], row["rule"], row["severity"], row["attack"], row["dst_port"]) for row in found]
    assert kept == [
        (OURS, "scan", 3, "T1595.001", 23),
        (OURS, "scan", 4, "T1595.001", 23),
        (OURS, "scan", 4, "T1595.001", -1),
        ("2001:db8::7", "backscatter", 2, "", -1),
        (OURS, "misconfiguration", 2, "", 23),
    ]
    assert {row["product"] for row in found} == {"daedalus-hub"} and found[1]["category"] == "zmap"
    times = [row["ts"] for row in found]
    assert times == [now] * 4 + [HOUR - 30 * p.HOUR], "what is old stays in its hour"
    assert (
        found[0]["uid"] == "5c" and found[0]["src"] == found[0]["address"] == OURS and found[0]["dst"] == ""
    )
    assert sum(skipped.reasons.values()) == 2


@pytest.mark.parametrize(
    "change",
    [{"source": "pc1"}, {"source": 7}, {"kind": "attack"}, {"packets": 0}, {"packets": True}, {"hour": "x"},
     {"ports": "tcp"}, {"ports": [["tcp", 70_000, 1]]}, {"ports": [["tcp", 1]]}, {"ports": [["tcp", 1, 1]] * 30},
     {"tools": [["x"]]}, {"tools": ["x" * 99]}, {"observed_by": ["A member"]}, {"observers": "2"}, {"id": "\n"},
     {"id": None}, {"hour": "9999-99-99T00:00:00Z"}],
)  # fmt: skip
def test_a_hub_that_tells_nonsense_puts_nothing_into_the_file(change: dict[str, Any]) -> None:
    heard = {"id": "5c", "source": OURS, "kind": "scan", "hour": p.timestamp(HOUR), "packets": 80, "x": "y"}
    made = told.line_of(heard, HOUR)
    assert made is not None and "x" not in made
    assert told.line_of(heard | change, HOUR) is None


def test_a_kill_between_the_page_and_the_cursor_repeats_nothing(tmp_path: Path, hub: Hub) -> None:
    hub.report(*(p.Sighting(f"198.51.100.{n}", "scan", HOUR, 5) for n in range(1, 30)))
    file, cursor = tmp_path / "hub.ndjson", tmp_path / "cursor"
    assert Pull(hub.client("city"), cursor, file).round() == (29, 0)
    cursor.unlink()  # as if it had been killed before it wrote this
    with file.open("ab") as out:
        out.write(b'{"schema": "andon.hub-sigh')  # and by a power cut
    assert Pull(hub.client("city"), cursor, file).round() == (0, 0)
    assert len(lines(file)) == 29
    hub.report(p.Sighting("198.51.100.3", "scan", HOUR, 500))  # it has grown
    assert Pull(hub.client("city"), cursor, file).round() == (1, 0)
    assert lines(file)[-1]["packets"] == 510 and len(lines(file)) == 30


def test_one_writer_at_a_time_and_a_full_disk_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hub.ndjson"
    with told.appending(file) as held:
        with pytest.raises(StoreError, match="another"), told.appending(file):
            pass
        held.add([{"id": "1"}])
        real = os.write

        def full(handle: int, data: bytes) -> int:
            if len(data) < 100:
                raise OSError(28, "No space left on device")
            return real(handle, data[:100])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StoreError, match="no room"):
            held.add([{"id": "2", "packets": 7, "text": "x" * 150}])
    assert lines(file) == [{"id": "1"}]


def test_follow_appends_what_is_new_until_it_is_told_to_stop(tmp_path: Path, hub: Hub) -> None:
    file, cursor = tmp_path / "hub.ndjson", tmp_path / "cursor"
    hub.report(p.Sighting(OURS, "scan", HOUR, 5))
    words = [*COMMAND, *hub.access(), "--cursor", str(cursor), "--out", str(file), "--follow", "10"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 60
        while not cursor.exists() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        assert [one["source"] for one in lines(file)] == [OURS]
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0 and said == b""
    finally:
        process.kill()
        process.wait()
    hub.report(p.Sighting(OURS, "scan", HOUR, 600))
    andon("hub", "pull", *hub.access(), "--cursor", cursor, "--out", file)
    assert [one["packets"] for one in lines(file)] == [5, 610]  # two digits that mean something


def test_follow_says_once_that_the_hub_is_away(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 32)
    words = [
        "--url",
        "http://127.0.0.1:9",
        "--member",
        "city",
        "--key-file",
        str(tmp_path / "key"),
        "--follow",
        "10",
    ]
    process = subprocess.Popen([*COMMAND, *words], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stderr.readline().rstrip().endswith("it is tried again")
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[1] == "" and process.returncode == 0
    finally:
        process.kill()
        process.wait()
    done = CliRunner().invoke(app, ["hub", "pull", *words[:-2]])
    assert done.exit_code == 1 and "127.0.0.1" in done.stderr


def test_a_member_disputes_and_leaves(tmp_path: Path, hub: Hub) -> None:
    hub.report(p.Sighting(OURS, "scan", HOUR, 80))
    (seen,) = [json.loads(line) for line in andon("hub", "pull", *hub.access()).splitlines()]
    andon("hub", "dispute", seen["id"], "--reason", "never routed", *hub.access())
    unknown = CliRunner().invoke(app, ["hub", "dispute", "0" * 32, "--reason", "x", *hub.access()])
    assert unknown.exit_code == 1 and "there is no such sighting of your addresses" in unknown.stderr
    listed = andon("hub", "members", "--store", tmp_path / "store", "--format", "json").splitlines()
    assert {row["member"]: row["disputed"] for row in map(json.loads, listed)} == {"city": 0, "uni": 1}
    assert CliRunner().invoke(app, ["hub", "leave", *hub.access()]).exit_code == 2
    andon("hub", "leave", "--yes", *hub.access())
    gone = CliRunner().invoke(app, ["hub", "pull", *hub.access()])
    assert gone.exit_code == 1 and not (tmp_path / "store" / "hub" / "keys" / "city.key").exists()
