"""A casebook to deliver from, a clock to turn, and certificates of an authority of our own."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from andon.store.casebook import Casebook


@dataclass
class Clock:
    """A clock that stands still until it is turned; 2026-01-01 12:00 UTC."""

    now: int = field(default=1_767_268_800_000_000_000)

    def __call__(self) -> int:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000_000)


@dataclass(frozen=True)
class Certificates:
    """``ca``: file of the authority; ``server``: a context for a server called localhost or 127.0.0.1."""

    ca: Path
    server: ssl.SSLContext


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Casebook]:
    with Casebook(tmp_path / "casebook.db") as made:
        made.migrate()
        yield made


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and a certificate for localhost, made with openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]

    def run(*command: str) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"]
    run(*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test authority", *ca)
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key"]
    run(*new, "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=localhost", *names, *signed)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return Certificates(folder / "ca.pem", context)
