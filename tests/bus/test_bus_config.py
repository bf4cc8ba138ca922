"""What ``andon.toml`` may say of a bus, and what is refused, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.run.bus.client import Brokers, BusError
from andon.run.live.config import Config, load
from andon.run.live.config_parts import ConfigError
from andon.run.live.parts import kinds_by_name, source_of

HERE = 'brokers = ["127.0.0.1:9092"]\ntopic = "andon"\n'
THERE = 'brokers = ["k1.example.org:9093", "k2.example.org:9093"]\ntopic = "andon"\n'
TAP = '[[source]]\nname = "tap"\nkind = "folder"\npath = "captures"\n'


def read(folder: Path, text: str) -> Config:
    path = folder / "andon.toml"
    path.write_text(text)
    return load(path)


def reader(more: str) -> str:
    return f'[store]\npath = "s"\n[[source]]\nname = "bus"\nkind = "kafka"\n{more}'


def sender(more: str) -> str:
    return f'[store]\npath = "s"\n{TAP}[bus]\n{more}'


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (reader('topic = "andon"\n'), 3, "brokers"),
        (reader('brokers = ["127.0.0.1:9092"]\n'), 3, "topic"),
        (reader('brokers = ["127.0.0.1"]\ntopic = "a"\n'), 6, "HOST:PORT"),
        (reader(THERE + 'protocol = "plaintext"\n'), 3, 'set protocol = "ssl" or "sasl_ssl"'),
        (
            reader(THERE + 'protocol = "sasl_plaintext"\nuser = "a"\npassword_file = "p"\n'),
            3,
            "on this machine",
        ),
        (reader(THERE + 'user = "andon"\n'), 3, "password_file"),
        (reader(THERE + 'protocol = "ssl"\nuser = "andon"\npassword_env = "P"\n'), 3, "sasl_ssl"),
        (reader(THERE + 'user = "andon"\npassword_env = "P"\npassword_file = "p"\n'), 3, "not both"),
        (reader(HERE + "balance = true\n"), 3, "group"),
        (reader(HERE + 'balance = true\ngroup = "soc"\npartitions = [0]\n'), 3, "partitions"),
        (reader(HERE + 'sasl = "GSSAPI"\n'), 8, "sasl"),
        (reader(HERE + "linger = 5\n"), 8, "there is no such setting"),
        (reader(HERE + 'password = "secret"\n'), 8, "there is no such setting"),
        (sender(THERE + 'protocol = "plaintext"\n'), 7, 'set protocol = "ssl"'),
        (sender(HERE + 'message = "1 kB"\n'), 7, "from 20 kB"),
        (sender(HERE + 'sensor = "a b"\n'), 10, "sensor"),
        (sender(HERE + 'compression = "gzip"\n'), 10, "there is no such setting"),
        (sender(HERE) + reader(HERE).partition("\n")[2].partition("\n")[2], 12, "does not send"),
        (f'[store]\npath = "s"\n{TAP}topic = "andon"\n', 3, 'topic is a setting of kind "kafka"'),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    with pytest.raises(ConfigError, match=f"andon.toml:{line}: ") as found:
        read(tmp_path, text)
    assert why in str(found.value) and "secret" not in str(found.value)


def test_tls_is_what_is_spoken_unless_the_broker_is_here(tmp_path: Path) -> None:
    assert read(tmp_path, reader(HERE)).source[0].spoken == "plaintext"
    assert read(tmp_path, reader(THERE)).source[0].spoken == "ssl"
    assert read(tmp_path, reader(THERE + 'user = "a"\npassword_env = "P"\n')).source[0].spoken == "sasl_ssl"
    assert read(tmp_path, reader(HERE)).source[0].patience == "5min"


def test_secrets_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("from-a-file\nsecond line\n")
    (tmp_path / "ca.pem").write_text("x")
    table = read(
        tmp_path, reader(THERE + 'ca = "ca.pem"\nuser = "andon"\npassword_file = "password"\n')
    ).source[0]
    made = Brokers.of(table)
    settings = made.settings()
    assert settings["sasl.password"] == "from-a-file" and "from-a-file" not in repr(made)
    assert settings["ssl.ca.location"] == str(tmp_path / "ca.pem")
    assert settings["ssl.endpoint.identification.algorithm"] == "https"
    table = read(tmp_path, reader(THERE + 'user = "andon"\npassword_env = "ANDON_BUS_PASSWORD"\n')).source[0]
    with pytest.raises(BusError, match="ANDON_BUS_PASSWORD"):
        Brokers.of(table).settings()
    monkeypatch.setenv("ANDON_BUS_PASSWORD", "from-the-environment")
    assert Brokers.of(table).settings()["sasl.password"] == "from-the-environment"
    (tmp_path / "password").write_text("\n")
    with pytest.raises(BusError, match="first line is empty"):
        made.settings()


def test_a_certificate_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    table = read(tmp_path, reader(THERE + 'ca = "nowhere.pem"\n')).source[0]
    with pytest.raises(ValueError, match=r"nowhere\.pem: cannot be read"):
        source_of(table)


def test_members_are_waited_for_from_the_start_where_sensors_are_named(tmp_path: Path) -> None:
    named = source_of(read(tmp_path, reader(HERE + 'sensors = ["tokyo", "osaka"]\n')).source[0])
    kinds = kinds_by_name([named])
    assert kinds["bus"] == () and {"bus/tokyo", "bus/osaka"} < kinds.keys()


def test_a_topic_that_is_open_to_all_is_forgeable(tmp_path: Path) -> None:
    assert read(tmp_path, reader(THERE)).source[0].forgeable
    assert not read(tmp_path, reader(THERE + 'user = "a"\npassword_env = "P"\n')).source[0].forgeable
    assert not read(tmp_path, reader(HERE)).source[0].forgeable
