"""TLS and tokens, over the wire: a Sail server behind TLS, and a server that asks for a token."""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from spark_server_here import SITE, engines, needs_spark, told

from andon.run.cluster.analysis import analyze_on
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.choose import Cluster, Tls
from andon.run.cluster.executors.spark import Spark
from andon.run.cluster.executors.spark_address import TOKEN, TOKEN_FILE

pytestmark = needs_spark


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ca.pem``, ``cert.pem``, ``key.pem`` for 127.0.0.1, and ``other.pem``, an authority that had no part in it."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(_certificate("ca", authority, "ca", authority))
    (folder / "cert.pem").write_bytes(_certificate("ca", authority, "server", key))
    other = ec.generate_private_key(ec.SECP256R1())
    (folder / "other.pem").write_bytes(_certificate("other", other, "other", other))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


def _certificate(
    issuer: str, issuer_key: ec.EllipticCurvePrivateKey, subject: str, key: ec.EllipticCurvePrivateKey
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer == subject, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def behind_tls(plain: Spark, certificates: Path) -> Iterator[int]:
    """The port of a proxy that ends TLS in front of a Sail server, as an operator would put there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.set_alpn_protocols(["h2"])
    port = int(plain.address.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, context, port), daemon=True).start()
        yield listening.getsockname()[1]


def _accept(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_pass_on, args=(connection, context, port), daemon=True).start()


def _pass_on(connection: socket.socket, context: ssl.SSLContext, port: int) -> None:
    try:
        with (
            context.wrap_socket(connection, server_side=True) as outer,
            socket.create_connection(("127.0.0.1", port)) as inner,
        ):
            while True:
                ready = [outer] if outer.pending() else select.select([outer, inner], [], [], 60.0)[0]
                for one in ready:
                    if not (data := one.recv(1 << 16)):
                        return
                    (inner if one is outer else outer).sendall(data)
    except OSError:
        return  # a client that does not believe us


def test_a_job_over_tls(
    behind_tls: int,
    certificates: Path,
    spark_captures: list[Path],
    by_threads: tuple[list[str], dict[str, list[object]]],
    tmp_path: Path,
) -> None:
    tls = Tls(ca=certificates / "ca.pem")
    with Spark(Cluster("spark", f"sc://127.0.0.1:{behind_tls}/;use_ssl=true", tls)) as spark:
        assert spark.server_pid is None
        assert told(analyze_on(spark, tmp_path, spark_captures, SITE, engines())) == by_threads


@pytest.mark.parametrize("ca", ["other.pem", None])
def test_a_certificate_of_another_authority_is_refused(
    behind_tls: int, certificates: Path, ca: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("andon.run.cluster.executors.spark_server._TRIES", 1)
    tls = Tls() if ca is None else Tls(ca=certificates / ca)
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1.*(CERTIFICATE_VERIFY_FAILED|[Ss]sl|SSL)"):
        Spark(Cluster("spark", f"sc://127.0.0.1:{behind_tls}/;use_ssl=true", tls))


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.run.cluster.executors.spark_server._TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(ClusterError, match=rf"sc://127\.0\.0\.1:{port}: .*[Cc]onnect.*\(UNAVAILABLE\)"):
        Spark(Cluster("spark", f"sc://127.0.0.1:{port}"))


def test_files_that_are_not_there_are_named(certificates: Path) -> None:
    with pytest.raises(ClusterError, match=r"nothing\.pem: No such file"):
        Spark(Cluster("spark", "sc://h.example.org", Tls(ca=certificates / "nothing.pem")))


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("from_file", [True, False])
def test_the_token_is_sent_and_never_shown(
    certificates: Path, encrypted: bool, from_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import grpc

    monkeypatch.delenv(TOKEN, raising=False)
    if from_file:
        (tmp_path / "token").write_text("hush-hush\n")
        monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
    else:
        monkeypatch.setenv(TOKEN, "hush-hush")
    heard: list[str] = []

    class Guard(grpc.ServerInterceptor):  # type: ignore[misc]
        """Lets nobody in, and repeats what it was told."""

        def intercept_service(self, continuation: object, details: grpc.HandlerCallDetails) -> object:
            said = dict(details.invocation_metadata).get("authorization", "")
            heard.append(said)

            def refuse(request: object, context: grpc.ServicerContext) -> None:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, f"not with {said}")

            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.server(ThreadPoolExecutor(2), interceptors=[Guard()])
    if encrypted:
        pair = [(certificates / name).read_bytes() for name in ("key.pem", "cert.pem")]
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([tuple(pair)]))
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    server.start()
    try:
        tls = Tls(ca=certificates / "ca.pem") if encrypted else Tls()
        with pytest.raises(ClusterError, match=r"not with Bearer \*\*\* \(UNAUTHENTICATED\)") as refused:
            Spark(Cluster("spark", f"sc://127.0.0.1:{port}", tls))
    finally:
        server.stop(None)
    assert "Bearer hush-hush" in heard
    shown: BaseException | None = refused.value
    while shown is not None:
        assert "hush" not in f"{shown} {shown!r}"
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
