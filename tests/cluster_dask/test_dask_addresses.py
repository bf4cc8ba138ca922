"""What is not loopback is encrypted, with certificates on both sides, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from dask_clusters import authority
from typer.testing import CliRunner

from andon.cli.cluster import app
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.addresses import dask_address, is_loopback
from andon.run.cluster.executors.choose import Cluster, Tls
from andon.run.cluster.executors.dask import Dask
from andon.run.cluster.executors.dask_serve import WorkerPlace, checked_worker


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.0.2.1", "10.0.0.1", "scheduler", "localhost.example.org", "", "1270.0.1"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_bare_address_on_this_machine_is_tcp() -> None:
    assert dask_address("127.0.0.1:9000", Tls()) == "tcp://127.0.0.1:9000"
    assert dask_address("tcp://[::1]", Tls()) == "tcp://[::1]:8786"


def test_tcp_to_another_machine_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ClusterError, match=r"in the clear.*tls://192\.0\.2\.1:8786 with --tls-ca"):
        Dask(Cluster("dask", "tcp://192.0.2.1:8786"))
    with pytest.raises(ClusterError, match="in the clear"):
        dask_address("scheduler.example.org", Tls())


def test_tls_needs_all_three_files_and_says_which(tmp_path: Path) -> None:
    tls = authority(tmp_path, "a")
    assert dask_address("192.0.2.1:9000", tls) == "tls://192.0.2.1:9000"
    with pytest.raises(ClusterError, match="needs --tls-cert, --tls-key"):
        dask_address("tls://192.0.2.1", Tls(ca=tls.ca))
    with pytest.raises(ClusterError, match="No such file"):
        dask_address("tls://192.0.2.1", Tls(tmp_path / "none", tls.cert, tls.key))
    (tmp_path / "odd").write_text("secret")
    with pytest.raises(ClusterError, match="is not a PEM file"):
        dask_address("tls://192.0.2.1", Tls(tls.ca, tls.cert, tmp_path / "odd"))
    with pytest.raises(ClusterError, match="is not encrypted, but certificates are given"):
        dask_address("tcp://127.0.0.1", tls)


def test_a_key_of_another_certificate_is_an_error_that_says_so(tmp_path: Path) -> None:
    one, other = authority(tmp_path / "a", "a"), authority(tmp_path / "b", "b")
    with pytest.raises(ClusterError, match="the key of"):
        Dask(Cluster("dask", "tls://127.0.0.1:1", Tls(one.ca, one.cert, other.key)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ws://127.0.0.1", "not taken"),
        ("inproc://x", "not taken"),
        ("tcp://", "no host"),
        ("tcp://127.0.0.1:99999", "not a port"),
        ("tcp://127.0.0.1:-1", "not a port"),
        ("tcp://::1", "brackets"),
        ("tcp://[::1", "write"),
        ("tcp://user@127.0.0.1", "no host"),
        ("tcp://127.0.0.1/x", "no host|not a port"),
    ],
)
def test_what_is_no_address_is_refused(text: str, why: str) -> None:
    with pytest.raises(ClusterError, match=why):
        dask_address(text, Tls())


def test_a_scheduler_for_the_network_needs_certificates() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        done = CliRunner().invoke(app, ["scheduler", "--host", host, "--port", "0"])
        assert done.exit_code == 2
        assert "needs --tls-ca, --tls-cert, --tls-key" in done.stderr


def test_a_worker_for_the_network_needs_certificates_too() -> None:
    with pytest.raises(ClusterError, match="needs TLS"):
        checked_worker(WorkerPlace("tcp://127.0.0.1:8786", host="192.0.2.1"))
    done = CliRunner().invoke(app, ["worker", "--cluster", "tcp://192.0.2.1:8786"])
    assert done.exit_code == 2 and "in the clear" in done.stderr


def test_a_work_folder_that_cannot_be_written_to_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="shared folder on every machine"):
        checked_worker(WorkerPlace("127.0.0.1", work=tmp_path / "not mounted"))
    checked_worker(WorkerPlace("127.0.0.1", work=tmp_path))
    assert list(tmp_path.iterdir()) == []
