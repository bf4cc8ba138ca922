"""Listeners: syslog by UDP, TCP and TLS, and alerts that are posted; real sockets, a real certificate."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import alert_papers
import alert_samples as made
import pytest

from andon.observe.live.bulk import BulkSource, bulk
from andon.observe.live.messages import Intake
from andon.observe.live.source import SourceError
from andon.observe.live.syslog import LONGEST, Connection, SyslogSource, frames
from andon.observe.logs.options import Options
from andon.records.kinds import kind_of

CEF = "<13>1 2026-03-01T08:00:00Z fw1 app - - - CEF:0|Acme|IPS|1|{0}|bad thing|7|src=10.0.0.1 dst=198.51.100.{0}"
NOW = 1_772_352_100_000_000_000


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA, and certificates of a server and of a client."""
    return alert_papers.make(tmp_path_factory.mktemp("papers"))


def gather(
    source: SyslogSource, enough: int, also: Callable[[], bool] = lambda: False
) -> list[dict[str, Any]]:
    """Rows of alerts, until there are so many."""
    rows: list[dict[str, Any]] = []
    until = time.monotonic() + 90
    while (len(rows) < enough or also()) and time.monotonic() < until:
        for piece in source.poll(0.05):
            if kind_of(piece.batch) == "alert":
                rows += piece.batch.to_pylist()
    return rows


@contextlib.contextmanager
def listening(transport: str, **more: Any) -> Iterator[SyslogSource]:
    source = SyslogSource("sys", transport, "127.0.0.1", 0, clock=lambda: NOW, **more)
    source.open(None)
    try:
        yield source
    finally:
        source.close()


def test_datagrams_of_any_format() -> None:
    with listening("udp") as source, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        messages = [
            CEF.format(7).encode(), b"<13>Feb 28 23:59:59 h LEEF:1.0|A|B|1|E7|src=10.0.0.2\tdst=192.0.2.9\n",
            b"<13>Mar  1 08:00:00 h wazuh: " + made.lines(made.wazuh(0)).strip(), made.lines(made.eve(2)).strip(),
            b"<13>Mar  1 08:00:00 h sshd[1]: Accepted", b"\xff\x00\xfe", b"",
        ]  # fmt: skip
        for message in messages:
            sender.sendto(message, ("127.0.0.1", source.port))
        rows = gather(source, 4)
        assert sorted(row["source"] for row in rows) == ["cef", "eve", "leef", "wazuh"]
        by = {row["source"]: row for row in rows}
        assert by["cef"]["rule"] == "7" and by["cef"]["host"] == "10.0.0.1"
        assert str(by["leef"]["ts"])[:10] == "2026-02-28"
        assert by["wazuh"]["rule"] == "5710" and by["eve"]["rule"] == "2034647"
        assert {row["position"] for row in rows} == {0, 1, 2, 3}


def test_senders_that_are_not_heeded_are_counted() -> None:
    with listening("udp", senders=("192.0.2.0/24",)) as source:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(CEF.format(1).encode(), ("127.0.0.1", source.port))
        assert source.poll(2.0) == []
        told = source._intake.events(last=True)
        assert [(event["type"], event["places"]) for event in told] == [("damage", 1)]


def test_what_the_kernel_drops_is_a_loss() -> None:
    with listening("udp", buffer=2048) as source, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for n in range(500):
            sender.sendto(CEF.format(n % 250).encode(), ("127.0.0.1", source.port))
        rows = [row for piece in source.poll(1.0) for row in piece.batch.to_pylist()]
        sender.sendto(
            CEF.format(1).encode(), ("127.0.0.1", source.port)
        )  # the kernel tells with the next one
        rows += gather(source, 1)
        lost = [event for event in source._intake.events(last=True) if event["type"] == "lost"]
        assert len(rows) < 501 and sum(event["rows"] for event in lost) == 501 - len(rows)


def test_a_stream_counts_octets_or_ends_at_line_feeds() -> None:
    some = [CEF.format(n) for n in range(9)]
    counted = "".join(f"{len(text)} {text}" for text in some[:3])
    lined = "".join(text + "\n" for text in some[3:6])
    data = (counted + lined + "\0".join(some[6:])).encode()
    for cut in (1, 7, 50, len(data)):
        connection, found = Connection(None, True, 0.0), []  # type: ignore[arg-type]
        for at in range(0, len(data), cut):
            connection.held += data[at : at + cut]
            found += frames(connection, pytest.fail)
        assert [text.decode() for text in found] == some[:8] and connection.held == some[8].encode()


def test_what_is_no_frame_is_bounded() -> None:
    told: list[str] = []
    connection = Connection(None, True, 0.0)  # type: ignore[arg-type]
    connection.held += b"<13>" + b"x" * (LONGEST + 1)
    assert frames(connection, told.append) == [] and len(connection.held) == 0
    connection.held += b"yy\n5 <13>z"
    assert frames(connection, told.append) == [b"<13>z"]
    connection.held += b"%d " % (LONGEST + 7) + b"q" * 100
    assert frames(connection, told.append) == [] and connection.gone == LONGEST + 7 - 100
    assert told == ["messages longer than 1 MiB"] * 2


def test_tcp_takes_many_senders_and_the_last_message_without_an_end() -> None:
    with listening("tcp") as source:

        def send(n: int) -> None:
            with socket.create_connection(("127.0.0.1", source.port)) as sender:
                text = "\n".join(CEF.format(k) for k in range(10 * n, 10 * n + 10))
                sender.sendall(text.encode())

        threads = [threading.Thread(target=send, args=(n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        rows = gather(source, 50)
        assert sorted(int(row["rule"]) for row in rows) == list(range(50))


def test_tls_with_and_without_the_senders_certificate(papers: Path) -> None:
    more = {
        "certificate": papers / "server.pem",
        "key": papers / "server.key",
        "client_ca": papers / "ca.pem",
    }
    with listening("tls", **more) as source:

        def send(with_paper: bool, out: list[str]) -> None:
            context = ssl.create_default_context(cafile=str(papers / "ca.pem"))
            if with_paper:
                context.load_cert_chain(papers / "client.pem", papers / "client.key")
            try:
                plain = socket.create_connection(("127.0.0.1", source.port))
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as sender:
                    for n in range(200):
                        text = CEF.format(n)
                        sender.sendall(f"{len(text)} {text}".encode())
                    sender.settimeout(60)
                    if not with_paper:
                        sender.recv(1)
                out.append("sent")
            except OSError as error:
                out.append(type(error).__name__)

        said: list[str] = []
        thread = threading.Thread(target=send, args=(True, said))
        thread.start()
        assert len(gather(source, 200)) == 200
        thread.join()
        refused: list[str] = []
        thread = threading.Thread(target=send, args=(False, refused))
        thread.start()
        assert gather(source, 0, thread.is_alive) == []
        thread.join()
        assert said == ["sent"] and refused != ["sent"]
        assert any("TLS" in event["file"] for event in source._intake.events(last=True))


def test_a_listener_that_hears_nothing_holds_nobody_up() -> None:
    now = [0.0]
    intake = Intake("s", Options(), lambda: NOW, 300.0, 3600.0, "messages", lambda: now[0])
    assert intake.quiet(NOW) is None and intake.events() == []
    now[0] = 61.0
    assert intake.events() == [{"type": "idle", "source": "s"}] and intake.events() == []
    intake.read([CEF.format(1).encode()])
    assert intake.promise == made.ns(0) - 300 * 10**9 and intake.quiet(NOW) == NOW - 300 * 10**9
    now[0] += 3599.0
    assert intake.events() == []
    now[0] += 1.0
    assert intake.events() == [{"type": "idle", "source": "s"}]


def test_a_port_that_is_taken_is_told() -> None:
    with listening("tcp") as source, pytest.raises(SourceError, match="cannot listen on 127"):
        SyslogSource("b", "tcp", "127.0.0.1", source.port).open(None)


# Posted


class Keeper:
    """What the pump does: takes pieces, and says that they are on disk."""

    def __init__(self, source: BulkSource) -> None:
        self.source, self.rows, self.batches = source, [], []
        self.position: dict[str, Any] = {}
        self.keeping, self._stop = True, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            for piece in self.source.poll(0.02):
                self.batches.append(piece.batch)
                self.rows += piece.batch.to_pylist()
                self.position = dict(piece.position)
            if self.keeping and self.position:
                self.source.kept(json.loads(json.dumps(self.position)))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.source.close()


@contextlib.contextmanager
def posting(position: dict[str, Any] | None = None, **more: Any) -> Iterator[tuple[BulkSource, Keeper]]:
    source = BulkSource("web", port=0, clock=lambda: NOW, **more)
    source.open(position)
    keeper = Keeper(source)
    try:
        yield source, keeper
    finally:
        keeper.stop()


def post(
    source: BulkSource, path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST"
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else None
    finally:
        connection.close()


def bulk_body(*documents: dict[str, Any]) -> bytes:
    return b"".join(b'{"create":{"_index":"alerts"}}\n' + made.lines(one) for one in documents)


def test_bulk_lines_and_the_collector() -> None:
    with posting() as (source, keeper):
        status, told = post(source, "/_bulk", bulk_body(made.wazuh(0), made.kibana(1)))
        assert (
            status == 200
            and told["errors"] is False
            and [one["create"]["status"] for one in told["items"]] == [201, 201]
        )
        assert post(source, "/wazuh/_bulk", bulk_body(made.wazuh(1)))[0] == 200
        status, told = post(source, "/", made.lines(made.eve(0), made.ocsf(0)))
        assert (status, told) == (200, {"accepted": 2})
        events = "".join(json.dumps({"time": 1, "event": one}) for one in (made.aminer(0), CEF.format(9)))
        assert post(source, "/services/collector/event", events.encode()) == (
            200,
            {"text": "Success", "code": 0},
        )
        fluent = json.dumps([{"date": 1.0, "log": json.dumps(made.wazuh(2))}]).encode()
        assert post(source, "/alerts", gzip.compress(fluent), {"Content-Encoding": "gzip"})[0] == 200
        found = sorted(row["source"] for row in keeper.rows)
        assert found == ["aminer", "cef", "ecs", "eve", "ocsf", "wazuh", "wazuh", "wazuh"]
        assert len({row["position"] for row in keeper.rows if row["source"] != "eve"}) >= 7


def test_the_endpoints_that_shippers_ask_first() -> None:
    with posting(token="x" * 20) as (source, _):
        assert post(source, "/", b"", method="GET")[1]["version"]["number"] == "8.0.0"
        assert post(source, "/services/collector/health", b"", method="GET")[0] == 200
        assert post(source, "/nowhere", b"{}")[0] in (404, 405)


def test_the_token_in_each_of_its_forms() -> None:
    token = "a-long-enough-token"
    with posting(token=token) as (source, keeper):
        body = made.lines(made.wazuh(0))
        wrong = ("", "Bearer x", "Bearer", f"Digest {token}", f"Bearer {token}x", "Basic ???", token)
        for shown in wrong:
            assert post(source, "/", body, {"Authorization": shown})[0] == 401
        assert keeper.rows == []
        basic = base64.b64encode(f"u:{token}".encode()).decode()
        for shown in (f"Bearer {token}", f"Splunk {token}", f"ApiKey {token}", f"Basic {basic}"):
            assert post(source, "/", body, {"Authorization": shown})[0] == 200
        assert len(keeper.rows) == 1  # the same body four times
    with pytest.raises(ValueError, match="token_file is missing"):
        BulkSource("web", "0.0.0.0")


def test_an_answer_waits_for_the_disk() -> None:
    with posting(patience=0.4) as (source, keeper):
        keeper.keeping = False
        status, _ = post(source, "/", made.lines(made.wazuh(0)))
        until = time.monotonic() + 60
        while not keeper.rows and time.monotonic() < until:
            time.sleep(0.02)
        assert status == 503 and len(keeper.rows) == 1
        keeper.keeping, source.patience = True, 60.0
        assert post(source, "/", made.lines(made.wazuh(0)))[0] == 200  # tried again: the one that waits
        assert post(source, "/", made.lines(made.wazuh(0)))[0] == 200  # again: the one that is done
        assert len(keeper.rows) == 1


def test_a_restart_knows_what_was_kept() -> None:
    with posting() as (source, keeper):
        for n in range(5):
            assert post(source, "/", made.lines(made.wazuh(n)), {"X-Request-Id": f"r{n}"})[0] == 200
        position = json.loads(json.dumps(keeper.position))
    with posting(position) as (source, keeper):
        for n in range(7):
            body = made.lines(made.wazuh(n % 5))
            assert post(source, "/", body, {"X-Request-Id": f"r{n}"})[0] == 200
        assert [row["uid"][-2:] for row in keeper.rows] == [".0", ".1"]  # r5 and r6 are others
        assert keeper.position["messages"] == 7


def test_too_much_is_refused_and_nothing_of_it_kept() -> None:
    with posting(body=20_000, waiting=30_000, patience=100.0) as (source, keeper):
        assert post(source, "/", b"x" * 20_001)[0] == 413
        bomb = gzip.compress(b" " * 5_000_000)
        assert post(source, "/", bomb, {"Content-Encoding": "gzip"})[0] == 413
        assert post(source, "/", b"\x1f\x8b broken", {"Content-Encoding": "gzip"})[0] == 400
        assert post(source, "/", b"{}", {"Content-Encoding": "br"})[0] == 415
        keeper.keeping = False
        said: list[int] = []
        threads = []
        for n in range(12):
            body = made.lines(*(made.wazuh(k) for k in range(9 * n, 9 * n + 9)))
            threads.append(threading.Thread(target=lambda b=body: said.append(post(source, "/", b)[0])))
            threads[-1].start()
        until = time.monotonic() + 90
        while said.count(429) < 6 and time.monotonic() < until:
            time.sleep(0.02)
        keeper.keeping = True
        for thread in threads:
            thread.join()
        assert set(said) == {200, 429} and len(keeper.rows) == 9 * said.count(200)


def test_https_with_the_senders_certificate(papers: Path) -> None:
    more = {
        "certificate": papers / "server.pem",
        "key": papers / "server.key",
        "client_ca": papers / "ca.pem",
    }
    with posting(**more) as (source, keeper):
        context = ssl.create_default_context(cafile=str(papers / "ca.pem"))
        with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
            refused = http.client.HTTPSConnection("127.0.0.1", source.port, context=context, timeout=120)
            refused.request("POST", "/", made.lines(made.wazuh(0)))
            refused.getresponse().read()
        context.load_cert_chain(papers / "client.pem", papers / "client.key")
        connection = http.client.HTTPSConnection("127.0.0.1", source.port, context=context, timeout=120)
        connection.request("POST", "/", made.lines(made.wazuh(0)))
        assert connection.getresponse().status == 200 and len(keeper.rows) == 1


def test_deletions_and_lines_without_an_action() -> None:
    documents, actions = bulk(
        b'{"delete":{"_id":"1"}}\n{"index":{}}\n{"a":1}\n\n{"a":2}\n{"create":{}}\n{"a":3}'
    )
    assert documents == [b'{"a":1}', b'{"a":2}', b'{"a":3}'] and actions == ["index", "index", "create"]
