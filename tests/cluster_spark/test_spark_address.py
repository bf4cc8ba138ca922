"""Addresses of Spark Connect servers: encrypted unless they are loopback, and no secrets in them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.choose import Cluster, Tls
from andon.run.cluster.executors.spark import Spark
from andon.run.cluster.executors.spark_address import TOKEN, TOKEN_FILE, remote_of, token_secret
from andon.run.cluster.executors.spark_sail import Sail
from andon.run.cluster.executors.spark_server import Server, readable


@pytest.mark.parametrize(
    ("address", "host", "port", "encrypted"),
    [
        ("sc://localhost", "localhost", 15002, False),
        ("sc://127.0.0.1:50051", "127.0.0.1", 50051, False),
        ("sc://[::1]:7/", "::1", 7, False),
        ("sc://spark.example.org/;use_ssl=true", "spark.example.org", 15002, True),
        ("sc://192.0.2.7:443/;use_ssl=True;user_id=a%20b", "192.0.2.7", 443, True),
        ("sc://127.0.0.1:443/;use_ssl=true", "127.0.0.1", 443, True),
    ],
)
def test_addresses(address: str, host: str, port: int, encrypted: bool) -> None:
    remote = remote_of(address)
    assert (remote.host, remote.port, remote.encrypted) == (host, port, encrypted)


def test_other_parameters_are_kept() -> None:
    remote = remote_of("sc://w.example.org:443/;use_ssl=true;x-databricks-cluster-id=0123-456;user_id=a%20b")
    assert remote.parameters == {"x-databricks-cluster-id": "0123-456", "user_id": "a b"}
    assert remote.plain == "sc://w.example.org:443"


def test_certificates_mean_tls() -> None:
    tls = Tls(ca=Path("ca.pem"))
    assert remote_of("sc://spark.example.org", tls).encrypted
    assert remote_of("sc://localhost", tls).encrypted
    assert not remote_of("sc://localhost/;use_ssl=false", tls).encrypted
    with pytest.raises(ClusterError, match="add /;use_ssl=true"):
        remote_of("sc://spark.example.org/;use_ssl=false", tls)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sc://192.0.2.7:15002", "add /;use_ssl=true"),
        ("sc://spark.example.org/;use_ssl=false", "add /;use_ssl=true"),
        ("sc://0.0.0.0:15002", "add /;use_ssl=true"),
        ("sc://localhost.example.org", "add /;use_ssl=true"),
        ("sc://127.0.0.1.example.org", "add /;use_ssl=true"),
        ("spark://192.0.2.7:7077", "begins with sc://"),
        ("https://192.0.2.7", "begins with sc://"),
        ("sc://", "has no host"),
        ("sc://host:port", "is not a port"),
        ("sc://host:99999", "is not a port"),
        ("sc://host/path;use_ssl=true", "not the address|has no host"),
        ("sc://host/;use_ssl", "NAME=VALUE"),
        ("sc://host/;use_ssl=yes", "true or false"),
        ("sc://host/;use_ssl=true;session_id=1", "leave session_id out"),
    ],
)
def test_what_is_refused_says_what_to_do(address: str, said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        remote_of(address)


@pytest.mark.parametrize(
    "address",
    [
        "sc://h.example.org/;use_ssl=true;token=hush-hush",
        "sc://localhost/;token=hush-hush",
        "sc://me:hush-hush@h.example.org/;use_ssl=true",
        "sc://hush-hush@h.example.org:1/;use_ssl=true",
        "sc://h.example.org?token=hush-hush",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ClusterError, match=TOKEN) as refused:
        remote_of(address)
    assert "hush" not in str(refused.value)


def test_half_a_certificate_is_refused() -> None:
    with pytest.raises(ClusterError, match="together"):
        remote_of("sc://h.example.org", Tls(cert=Path("cert.pem")))


def test_tokens_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert token_secret({}) is None
    environment = {TOKEN: "from-environment", TOKEN_FILE: str(tmp_path / "token")}
    secret = token_secret(environment)
    assert secret is not None and secret.read(environment) == "from-file"
    secret = token_secret({TOKEN: "from-environment"})
    assert secret is not None and secret.read({TOKEN: "from-environment"}) == "from-environment"


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"install Sail, which needs no Java: pip install 'andon\[sail\]'"):
        Sail()
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(
        ClusterError, match=r"Spark Connect's client is not installed: pip install 'andon\[spark\]'"
    ):
        Spark(Cluster("spark"))


def test_what_a_server_says_is_told_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "hush-hush")
    server = Server(Cluster("spark", "sc://h.example.org/;use_ssl=true"))
    said = readable(RuntimeError("no entry with Bearer hush-hush\n\nJVM stacktrace:\nhush-hush"), server)
    assert said == "sc://h.example.org:15002: no entry with Bearer ***"
