"""``[[source]]`` of listeners: what is asked for, and what a mistake is told as."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.observe.live.bulk import BulkSource
from andon.observe.live.syslog import SyslogSource
from andon.records.contract import Site
from andon.run.live.config import Config, ConfigError, load
from andon.run.live.parts import kinds_of, sources_of


def config(folder: Path, source: str) -> tuple[Config, Path]:
    path = folder / "andon.toml"
    path.write_text(f'[[source]]\nname = "a"\n{source}\n[store]\npath = "store"\n')
    return load(path), path


def made(folder: Path, source: str, site: Site | None = None) -> SyslogSource | BulkSource:
    found, path = config(folder, source)
    (one,) = sources_of(found, site or Site(), path)
    assert isinstance(one, SyslogSource | BulkSource)
    return one


def test_ports_and_addresses_are_those_of_the_protocol(tmp_path: Path) -> None:
    for transport, port in (("udp", 514), ("tcp", 601)):
        source = made(tmp_path, f'kind = "syslog"\ntransport = "{transport}"')
        assert (source.address, source.port, source.can_wait) == ("0.0.0.0", port, transport == "tcp")
    source = made(tmp_path, 'kind = "http-bulk"')
    assert (source.address, source.port) == ("127.0.0.1", 8088)
    assert kinds_of(source) == ("alert", "contact", "flow")
    assert made(tmp_path, 'kind = "syslog"\nport = 5514\naddress = "127.0.0.1"').port == 5514


def test_files_lie_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    source = made(
        tmp_path,
        'kind = "http-bulk"\naddress = "0.0.0.0"\ntoken_file = "token"\nbody = "1 MB"\nwaiting = "2 MB"',
    )
    assert isinstance(source, BulkSource)
    assert source.allowed("Bearer 0123456789abcdef") and not source.allowed("Bearer 0123456789abcdeg")
    assert (source.body, source.waiting) == (10**6, 2 * 10**6)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('kind = "http-bulk"\naddress = "0.0.0.0"', "needs token_file"),
        ('kind = "http-bulk"\ntoken_file = "missing"', "missing: No such file"),
        ('kind = "http-bulk"\ntoken_file = "short"', "16 characters or more"),
        ('kind = "syslog"\ntransport = "tls"', "needs certificate and certificate_key"),
        ('kind = "syslog"\ntransport = "tls"\ncertificate = "short"', "go together"),
        ('kind = "syslog"\ntransport = "tls"\ncertificate = "short"\ncertificate_key = "short"', "source a"),
        ('kind = "syslog"\nclient_ca = "ca.pem"', "client_ca needs"),
        ('kind = "syslog"\nsenders = ["nowhere"]', "nowhere"),
        ('kind = "syslog"\ntransport = "sctp"', "transport"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, source: str, told: str) -> None:
    (tmp_path / "short").write_text("short\n")
    with pytest.raises(ConfigError, match=told) as error:
        made(tmp_path, source)
    assert str(error.value).startswith(f"{tmp_path / 'andon.toml'}:")


def test_a_listener_knows_what_is_inside(tmp_path: Path) -> None:
    source = made(tmp_path, 'kind = "syslog"\naddress = "127.0.0.1"', Site(inside=("198.51.100.0/24",)))
    line = b"CEF:0|A|B|1|7|t|5|rt=1772352000000 src=198.51.100.3 dst=10.0.0.1"
    (batch,) = source._intake.read([line])
    assert batch.column("host").to_pylist() == ["198.51.100.3"]
