"""``[serve]`` of a running Andon: lists for firewalls, STIX objects and a DAEDALUS hub, each to who may have them."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import socket
import time
from pathlib import Path

import live_cases as live
import numpy as np
import pytest
from live_runs import start, wait_until

from andon.observe.live.any_log import AnyLog
from andon.records.contract import Site
from andon.records.kinds import ALERT, kind_of
from andon.run.live.clocks import Clocks
from andon.run.live.config import load
from andon.run.live.config_parts import ConfigError
from andon.run.live.serve import applications
from andon.share.hub import protocol as p
from andon.share.hub.client import HubClient
from andon.share.hub.members import member
from andon.share.hub.pull import Pull
from andon.share.hub.store import HubStore
from andon.share.hub.told import line_of
from andon.share.outbox import Secret
from andon.triage.screening import engine

CONFIG = """
engines = ["triage.screening"]
inside = ["198.51.100.0/24"]
[[source]]
name = "hub"
kind = "log"
path = "hub.ndjson"
settle = "1s"
[store]
path = "store"
commit = "1s"
history = false
[serve]
listen = "127.0.0.1:{port}"
[hub]
least_packets = 3
[taxii]
title = "Example CERT"
[[taxii.user]]
name = "portal"
token_file = "portal.token"
[contain]
mode = "manual"
[[enforcer]]
name = "perimeter"
kind = "edl"
folder = "edl"
[[enforcer.reader]]
name = "fw1"
token_file = "fw1.token"
"""
TOKEN = "t0ken-of-sixteen-characters"
OURS = "198.51.100.7"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def configured(folder: Path, text: str = CONFIG) -> Path:
    for name in ("portal.token", "fw1.token"):
        (folder / name).write_text(TOKEN + "\n")
    (folder / "andon.toml").write_text(text)
    return folder / "andon.toml"


def ask(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_one_port_serves_lists_objects_and_a_hub_whose_sightings_come_back_as_alerts(tmp_path: Path) -> None:
    port, store = free_port(), tmp_path / "store"
    config = configured(tmp_path, CONFIG.format(port=port))
    members = HubStore(store / "hub")
    (store / "hub" / "keys").mkdir()
    for name, prefix in (("city", "198.51.100.0/24"), ("uni", "203.0.113.0/24")):
        members.add_member(member(name, [prefix]), 1)
        (store / "hub" / "keys" / f"{name}.key").write_text(name * 8)
    members.close()
    said = (tmp_path / "said").open("wb")
    process = start(config, said, once=False)
    try:
        assert wait_until(lambda: listens(port) or process.poll() is not None, 180), (
            tmp_path / "said"
        ).read_text()[-2000:]
        basic = base64.b64encode(f"fw1:{TOKEN}".encode()).decode()
        lists = "/edl/perimeter/ip.txt"
        assert ask(port, lists)[0] == 401
        assert ask(port, lists, Authorization=f"Basic {basic}")[0] in (200, 503)  # nothing was applied yet
        assert ask(port, "/taxii2/")[0] == 401
        taxii = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/taxii+json;version=2.1"}
        status, body = ask(port, "/taxii2/", **taxii)
        assert status == 200 and json.loads(body)["title"] == "Example CERT"
        root = json.loads(body)["api_roots"][0].removeprefix(f"http://127.0.0.1:{port}")
        status, body = ask(port, f"{root}collections/", **taxii)
        assert status == 200 and {one["alias"] for one in json.loads(body)["collections"]} == {
            "green",
            "clear",
        }
        assert ask(port, "/hub/v1/cover")[0] == 401 and ask(port, "/elsewhere")[0] == 404

        def client(name: str) -> HubClient:
            return HubClient(
                f"http://127.0.0.1:{port}/hub", name, Secret(store / "hub" / "keys" / f"{name}.key")
            )

        hour = time.time_ns() // p.HOUR * p.HOUR - p.HOUR
        seen = [
            p.Sighting(OURS, "scan", hour, 80, (("tcp", 23, 80),)),
            p.Sighting("198.51.100.8", "scan", hour, 2),
        ]
        assert client("uni").report(p.report_of(seen))
        pull = Pull(client("city"), tmp_path / "cursor", tmp_path / "hub.ndjson")
        assert pull.round() == (1, 0), "the other one has less than least_packets"
        query = "SELECT s.product, s.host, s.rule FROM alerts a JOIN alert_series s ON s.id = a.series"
        assert wait_until(lambda: bool(live.rows(store, query)), 180), (tmp_path / "said").read_text()[-2000:]
        assert live.rows(store, query) == [("daedalus-hub", OURS, "scan")]
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, (tmp_path / "said").read_text()[-2000:]
        assert not listens(port)
    finally:
        process.kill()
        process.wait()
        said.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("least_packets = 3", "least_packet = 3"), ":16: hub: there is no setting 'least_packet'"),
        (("least_packets = 3", "least_packets = true"), ":16: hub: least_packets is a whole number"),
        (("least_packets = 3", "cover_v4 = 24"), ":16: hub: cover_v4 is 8 to 16"),
        (('title = "Example CERT"', "titel = 1"), ":17: taxii: there is no setting 'titel'"),
        (('listen = "127.0.0.1:1"', ""), "[hub] is served by [serve]"),
        (("127.0.0.1:1", "192.0.2.1:1"), ":14: a [hub] that others reach needs certificate"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_hub_is_said_with_its_line(
    tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    text = CONFIG.format(port=1).partition("[contain]")[0]
    assert change[0] in text
    path = configured(tmp_path, text.replace(*change))
    with pytest.raises(ConfigError) as raised:
        applications(load(path), path, {}, tmp_path / "store")
    assert says in str(raised.value), str(raised.value)


def test_a_log_without_a_line_yet_is_no_damage_and_holds_nobody_up_for_ever(tmp_path: Path) -> None:
    path, now = tmp_path / "hub.ndjson", [100.0]
    source = AnyLog("hub", path, idle=60.0, now=lambda: now[0])
    source.open(None)
    assert source.poll(0.0) == []
    path.touch()  # as `andon hub pull --out` begins
    now[0] += 59.0
    assert source.poll(0.0) == [] and source.events() == []
    now[0] += 1.0
    clocks = Clocks([engine(Site())], {"hub": source.kinds, "eve": ALERT})
    clocks.rows("eve", np.array([5, 9]))
    assert clocks.before("triage.screening") is None, "it waits for what may come"
    for _ in range(2):
        assert source.poll(0.0) == []
    (event,) = source.events()
    assert event == {"type": "idle", "source": "hub"}
    clocks.finish("hub")  # what the runner does then
    assert clocks.before("triage.screening") == 9
    heard = {"id": "5c", "source": OURS, "kind": "scan", "hour": "2026-01-01T00:00:00Z", "packets": 3}
    path.write_text(json.dumps(line_of(heard, 0)) + "\n")
    (piece,) = source.poll(0.0)
    assert piece.batch.num_rows == 1 and kind_of(piece.batch) == ALERT
