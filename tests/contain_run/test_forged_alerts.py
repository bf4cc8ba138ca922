"""``andon run`` hears that a host of ours is infected, from two products. Whether it is cut depends on who can have
said so: one sender to an open port can pose as both."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "alerts"))

import alert_papers
import alert_samples

from andon.records.case import Case
from andon.records.columns import plain_rows
from andon.run.live.config import load
from andon.run.live.service import Service
from andon.store.casebook import Casebook, CaseFilter
from andon.store.intents import IntentLog

TOKEN = "t0ken-of-sixteen-characters"
# ``idle``: listeners that hear of half an hour ago wait for more of it, and do not go by the clock.
CONFIG = """
engines = ["triage.screening"]
inside = ["10.0.0.0/8"]
[[source]]
name = "syslog-in"
kind = "syslog"
idle = "1min"
port = {udp}
[[source]]
name = "relay"
kind = "syslog"
idle = "1min"
transport = "tcp"
port = {tcp}
[[source]]
name = "papers"
kind = "syslog"
idle = "1min"
transport = "tls"
port = {tls}
certificate = "server.pem"
certificate_key = "server.key"
client_ca = "ca.pem"
[[source]]
name = "posts"
kind = "http-bulk"
idle = "1min"
address = "0.0.0.0"
port = {http}
token_file = "token"
[[assets]]
path = "assets.csv"
[store]
path = "store"
commit = "1s"
history = false
[engine."triage.screening"]
budget = 100000  # on its first day a site has a part of the looks only, for the hours so far
[triage]
every = "1s"
[contain]
mode = "auto"
policy = "policy.yaml"
[[enforcer]]
name = "firewalls"
kind = "edl"
folder = "lists"
"""
POLICY = """
rules:
  - {name: everything, because: two sensors agree, when: {}, then: {action: quarantine, ttl: 1h}}
"""


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as some:
        some.bind(("0.0.0.0", 0))
        return int(some.getsockname()[1])


def suricata(host: str, when: float, n: int = 0) -> bytes:
    made = alert_samples.eve(n)
    stamp = datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")
    made |= {"timestamp": stamp, "src_ip": host, "dest_ip": "198.51.100.9", "flow_id": n + 1}
    made["flow"] |= {"src_ip": host, "dest_ip": "198.51.100.9", "start": stamp}
    made["alert"] |= {
        "signature_id": 2016173, "severity": 1, "action": "allowed",
        "signature": "ET MALWARE Generic Stealer CnC Checkin (POST)", "category": "A Network Trojan was detected",
    }  # fmt: skip
    return json.dumps(made).encode()


def wazuh(host: str, when: float, n: int = 0) -> bytes:
    made = alert_samples.wazuh(3)
    stamp = datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    made |= {
        "timestamp": stamp,
        "id": f"{int(when)}.{host}.{n}",
        "agent": {"id": "007", "name": host, "ip": host},
    }
    return json.dumps(made).encode()


class Site:
    """A running Andon, and ways to send to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        alert_papers.make(folder)
        (folder / "token").write_text(TOKEN)
        (folder / "token").chmod(0o600)
        (folder / "policy.yaml").write_text(POLICY)
        rows = "\n".join(f"10.0.0.{n},pc{n},Desktop" for n in range(1, 240))
        (folder / "assets.csv").write_text(f"address,hostname,device\n{rows}\n")
        self.ports = {
            "udp": free_port(socket.SOCK_DGRAM), "tcp": free_port(), "tls": free_port(), "http": free_port(),
        }  # fmt: skip
        path = folder / "andon.toml"
        path.write_text(CONFIG.format(**self.ports))
        self.said: list[Any] = []
        self.service = Service(load(path), lambda *what: self.said.append(what), path)
        self.failed: list[BaseException] = []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        end = time.monotonic() + 120
        while self.service.status().state == "starting":
            assert time.monotonic() < end and not self.failed, self.failed
            time.sleep(0.02)

    def _run(self) -> None:
        try:
            self.service.run()
        except BaseException as error:
            self.failed.append(error)

    def close(self) -> None:
        self.service.stop()
        self.thread.join(120)
        assert not self.thread.is_alive() and not self.failed, self.failed

    def udp(self, *documents: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for one in documents:
                sender.sendto(b"<13>1 - - - - - - " + one, ("127.0.0.1", self.ports["udp"]))

    def tcp(self, *documents: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.ports["tcp"]), 20) as sender:
            sender.sendall(b"".join(b"<13>1 - - - - - - " + one + b"\n" for one in documents))

    def tls(self, *documents: bytes) -> None:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.load_cert_chain(self.folder / "client.pem", self.folder / "client.key")
        plain = socket.create_connection(("127.0.0.1", self.ports["tls"]), 20)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as sender:
            sender.sendall(b"".join(b"<13>1 - - - - - - " + one + b"\n" for one in documents))

    def http(self, *documents: bytes) -> None:
        body = b"".join(b'{"index":{}}\n' + one + b"\n" for one in documents)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['http']}/_bulk", body,
            {"Content-Type": "application/x-ndjson", "Authorization": f"Bearer {TOKEN}"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def cases(self) -> dict[str, Case]:
        """By address of the host."""
        with Casebook(self.folder / "store", read_only=True) as book:
            found = book.cases.page(CaseFilter(), limit=100)
        return {value: one for one in found for _, value in one.entities if value.startswith("10.")}

    def episodes(self, host: str) -> list[dict[str, Any]]:
        with Casebook(self.folder / "store", read_only=True) as book:
            return [row for row in plain_rows(book.episodes.page(limit=500)) if row["address"] == host]

    def intents(self) -> dict[str, Any]:
        log = IntentLog(self.folder / "store" / "contain", read_only=True)
        try:
            return {
                one.intent.case: one for one in log.intents().values() if one.intent.action == "quarantine"
            }
        finally:
            log.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        yield made
    finally:
        made.close()


FORGED, RELAYED, MIXED, PAPERS, POSTED, EXTENDED = (f"10.0.0.{n}" for n in (7, 8, 9, 10, 11, 12))
HOSTS = (FORGED, RELAYED, MIXED, PAPERS, POSTED, EXTENDED)


@pytest.fixture(scope="module")
def judged(site: Site) -> Site:
    """Everything was sent, and every case was judged."""
    now = time.time()
    then = now - 1500
    end = time.monotonic() + 240
    site.tls(wazuh(EXTENDED, then - 1500))  # real, of an earlier episode
    site.udp(suricata(FORGED, then), wazuh(FORGED, then + 1))
    site.udp(suricata(RELAYED, then))
    site.tcp(wazuh(RELAYED, then + 1))
    site.udp(suricata(MIXED, then))
    site.tls(wazuh(MIXED, then + 1))
    site.tls(suricata(PAPERS, then), wazuh(PAPERS, then + 1))
    site.http(suricata(POSTED, then), wazuh(POSTED, then + 1))
    for n in range(3):  # of the same series as what came with papers once
        site.udp(wazuh(EXTENDED, then + n, n + 1))
    site.udp(suricata(EXTENDED, then))
    while site.service.casebook.alerts.count() < 15:  # else those on the way would come too late
        assert time.monotonic() < end and not site.failed
        time.sleep(0.1)
    # What says that the ten minutes are over, to each of the listeners.
    over: tuple[Callable[..., None], ...] = (site.udp, site.tcp, site.tls, site.http)
    for send in over:
        send(suricata("10.0.0.200", now))
    while not (set(HOSTS) <= {host for host, case in site.cases().items() if case.id in site.intents()}):
        assert time.monotonic() < end and not site.failed, (
            site.cases().keys(),
            site.service.status(),
            site.said,
        )
        time.sleep(0.4)
    while any(site.intents()[site.cases()[host].id].state == "accepted" for host in HOSTS):
        assert time.monotonic() < end
        time.sleep(0.05)
    while len(site.episodes(EXTENDED)) < 3:
        assert time.monotonic() < end, [(row["product"], row["first"]) for row in site.episodes(EXTENDED)]
        time.sleep(0.2)
    return site


def state(site: Site, host: str) -> tuple[str, str]:
    found = site.intents()[site.cases()[host].id]
    return found.state, " ".join(found.reasons)


def test_one_sender_of_datagrams_who_poses_as_two_products_has_nobody_cut(judged: Site) -> None:
    where, why = state(judged, FORGED)
    assert where == "waiting", why
    assert "2 independent kinds of evidence are needed, there is 1 (alerts:suricata, alerts:wazuh)" in why
    assert "both kinds came through sources that anyone can send to: syslog-in" in why
    listed = judged.folder / "lists" / "host-ip.txt"
    assert FORGED not in listed.read_text().split()


def test_a_second_port_that_anyone_can_reach_is_no_second_witness(judged: Site) -> None:
    where, why = state(judged, RELAYED)
    assert (
        where == "waiting"
        and "both kinds came through sources that anyone can send to: relay, syslog-in" in why
    )


@pytest.mark.parametrize("host", [PAPERS, POSTED, MIXED], ids=["certificate", "token", "one of two"])
def test_what_known_senders_say_is_cut(judged: Site, host: str) -> None:
    where, why = state(judged, host)
    assert where in ("applied", "verified"), why
    assert host in (judged.folder / "lists" / "host-ip.txt").read_text().split()


def test_forged_alerts_of_a_series_that_once_came_with_papers_are_forged_all_the_same(judged: Site) -> None:
    with Casebook(judged.folder / "store", read_only=True) as book:
        rows = judged.episodes(EXTENDED)
        forgeable = book.alerts.origins.of_episodes(rows)
    earlier = {row["id"] for row in rows if row["first"] < (time.time() - 2400) * 1e9}
    assert len(rows) == 3 and len(earlier) == 1
    assert forgeable == {row["id"]: ("syslog-in",) for row in rows if row["id"] not in earlier}
