"""Real schedulers and workers in processes of their own, certificates, and small captures to analyse on them."""

from __future__ import annotations

import datetime
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from andon.records.contract import Site
from andon.run.batch import Analysis
from andon.run.cluster.executors.choose import Tls
from andon.run.engines import AnyEngine, load_engines
from andon.simulate.internet import InternetConfig, simulate

SITE = Site(telescope=("198.18.0.0/16",))
_START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Case:
    """Captures, and the digest of what one process makes of them."""

    paths: list[Path]
    alone: str


def engines() -> list[AnyEngine]:
    """Engines that are quick to conclude; every job gets its own."""
    return load_engines(SITE, ["darknet.census", "darknet.backscatter"])


def captures(folder: Path, files: int, packets: int, seed: int = 1) -> list[Path]:
    """Captures of ten minutes each, one after another."""
    paths = []
    for number in range(files):
        start = _START + datetime.timedelta(minutes=10 * number)
        config = InternetConfig(
            seed=seed * 1000 + number, telescope=SITE.telescope, packets=packets, duration=600.0, start=start
        )
        paths.append(simulate(config, folder / f"{number:03d}").capture)
    return paths


def digest(analysis: Analysis) -> str:
    """Of findings and tables, to the bit."""
    made = hashlib.sha256()
    for finding in analysis.findings:
        made.update(finding.to_json().encode())
    for name in sorted(analysis.tables):
        made.update(name.encode())
        for table in analysis.tables[name]:
            made.update(repr(table.to_pylist()).encode())
    return made.hexdigest()


def wait_for(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Look until it is true. Raises AssertionError if it is not within so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Served:
    """An ``andon cluster ...`` in a process of its own; ``log``: what it said on stderr."""

    def __init__(self, folder: Path, name: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.log = folder / f"{name}.{time.monotonic_ns()}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "andon", "cluster", *arguments],
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
            )

    def says(self, text: str, seconds: float = 90.0, times: int = 1) -> None:
        """Wait until it has said so."""

        def said() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.log.read_text().count(text) >= times

        wait_for(said, seconds, f"{text!r} in {self.log.read_text()}")

    def kill(self) -> None:
        """SIGKILL; workers of it end by themselves."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def authority(folder: Path, name: str) -> Tls:
    """Certificates of an authority that was made for the test: one for all machines of the cluster."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, ca = _certificate(f"{name} authority", None, None)
    key, cert = _certificate(f"{name} node", ca_key, ca)
    tls = Tls(folder / "ca.pem", folder / "node.pem", folder / "node.key")
    assert tls.ca is not None and tls.cert is not None and tls.key is not None
    tls.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    tls.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    tls.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return tls


def _certificate(
    name: str, by: ec.EllipticCurvePrivateKey | None, issuer: x509.Certificate | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return key, made.sign(by or key, hashes.SHA256())


def options(tls: Tls) -> list[str]:
    """As the command line takes them."""
    return ["--tls-ca", str(tls.ca), "--tls-cert", str(tls.cert), "--tls-key", str(tls.key)]
