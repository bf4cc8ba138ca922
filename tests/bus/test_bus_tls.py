"""The bus over TLS: a proxy before the broker that speaks nothing else, and asks for certificates."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus_broker import Broker
from bus_machines import pieces_of
from test_bus_broker import Sensor, packets

from andon.run.bus.client import Brokers
from andon.run.bus.forwarder import Forwarder
from andon.run.bus.source import KafkaSource

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "alerts"))

from alert_papers import make as papers


class Proxy:
    """TLS on a port of its own, plain text to the broker."""

    def __init__(self, to: str, context: ssl.SSLContext) -> None:
        self._to, self._context = to, context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        host, _, port = self._to.rpartition(":")
        try:
            with (
                self._context.wrap_socket(raw, server_side=True) as near,
                socket.create_connection((host, int(port))) as far,
            ):
                near.settimeout(0.01)
                far.settimeout(0.01)
                end = time.monotonic() + 120
                while time.monotonic() < end:
                    for one, other in ((near, far), (far, near)):
                        try:
                            data = one.recv(65_536)
                        except TimeoutError:
                            continue
                        if not data:
                            return
                        other.settimeout(10)
                        other.sendall(data)
                        other.settimeout(0.01)
        except OSError:
            return

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[Broker, Proxy, Path]]:
    folder = tmp_path / "papers"
    folder.mkdir()
    papers(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with Broker(andon=1) as broker:
        proxy = Proxy(broker.address, context)
        broker.do("called", "127.0.0.1", proxy.port)
        yield broker, proxy, folder
        proxy.close()


def over_tls(proxy: Proxy, **files: Path) -> Brokers:
    names = {"ca": "ssl.ca.location", "certificate": "ssl.certificate.location", "key": "ssl.key.location"}
    return Brokers(
        (f"127.0.0.1:{proxy.port}",),
        "andon",
        "ssl",
        tuple((names[name], path) for name, path in files.items()),
    )


def test_packets_go_over_tls_with_certificates_on_both_sides(
    tmp_path: Path, proxied: tuple[Broker, Proxy, Path]
) -> None:
    broker, proxy, folder = proxied
    brokers = over_tls(
        proxy, ca=folder / "ca.pem", certificate=folder / "client.pem", key=folder / "client.key"
    )
    with Sensor(tmp_path, broker) as sensor:
        sensor.forwarder = Forwarder(
            sensor.journal, None, tmp_path / "bus", brokers, "tokyo", lambda: {"tap": ("packet",)}
        )
        sensor.thread = threading.Thread(target=sensor.forwarder.run)
        sensor.commit(2)
        sensor.send()
    source = KafkaSource("bus", brokers, "g")
    source.open(None)
    assert packets(pieces_of(source, rows=200)) == list(range(200))
    source.close()


@pytest.mark.parametrize("papers_of", ["nobody", "a stranger"])
def test_without_the_right_certificates_nothing_is_sent_and_that_is_said(
    tmp_path: Path, proxied: tuple[Broker, Proxy, Path], papers_of: str
) -> None:
    broker, proxy, folder = proxied
    other = tmp_path / "other"
    other.mkdir()
    papers(other)
    if papers_of == "nobody":
        brokers = over_tls(proxy, ca=folder / "ca.pem")
    else:  # whose authority did not sign the broker's certificate
        brokers = over_tls(
            proxy, ca=other / "ca.pem", certificate=folder / "client.pem", key=folder / "client.key"
        )
    source = KafkaSource("bus", brokers, "g")
    source.open(None)
    end = time.monotonic() + 60
    while not (source.trouble and "ssl" in source.trouble.lower()) and time.monotonic() < end:
        assert source.poll(0.2) == []
    assert "ssl" in source.trouble.lower()
    source.close()
    with Sensor(tmp_path, broker) as sensor:
        sensor.forwarder = Forwarder(sensor.journal, None, tmp_path / "bus", brokers, "tokyo", dict)
        sensor.thread = threading.Thread(target=sensor.forwarder.run)
        sensor.commit(1)
        sensor.thread.start()
        end = time.monotonic() + 90
        while not sensor.forwarder.troubles.texts() and time.monotonic() < end:
            time.sleep(0.1)
        (text,) = sensor.forwarder.troubles.texts()
        assert "ssl" in text.lower() and sensor.forwarder.through == 0
