"""How the bus speaks to brokers: settings of librdkafka from those of ``andon.toml``; confluent-kafka if it is there.

A password is read when a client is made and goes nowhere else: what librdkafka logs, and what is said of an error, does
not contain it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from andon.run.live.config_bus import BrokerFields

_MISSING: Final = "a Kafka bus needs confluent-kafka: pip install 'andon[kafka]'"
_QUIET: Final = logging.getLogger("andon.bus.librdkafka")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False  # troubles are said by the runner, once; librdkafka repeats itself every second


class BusError(ValueError):
    """The bus cannot be used as it is configured; the text says what to do."""


@dataclass(frozen=True)
class Brokers:
    """Where the topic is, and how to get in. ``password`` is kept out of ``repr``."""

    addresses: tuple[str, ...]
    topic: str
    protocol: str
    files: tuple[tuple[str, Path], ...] = ()  # of TLS: librdkafka's name of the setting, and the file
    sasl: str = ""
    user: str = ""
    password_file: Path | None = None
    password_env: str = ""
    key_password_file: Path | None = None

    @classmethod
    def of(cls, table: BrokerFields) -> Brokers:
        files = {
            "ssl.ca.location": table.ca,
            "ssl.certificate.location": table.certificate,
            "ssl.key.location": table.certificate_key,
        }
        return cls(
            table.brokers, table.topic, table.spoken,
            tuple((name, path) for name, path in files.items() if path is not None),
            table.sasl, table.user, table.password_file, table.password_env, table.certificate_password_file,
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """Settings of librdkafka. Raises BusError: a file that is not there, a variable that is not set."""
        made: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.addresses),
            "security.protocol": self.protocol,
            "client.id": "andon",
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 5000,
            "socket.keepalive.enable": True,
            "allow.auto.create.topics": False,
            "logger": _QUIET,
        }
        if self.protocol.endswith("ssl"):
            for name, path in self.files:
                if not os.access(path, os.R_OK):
                    raise BusError(f"{path}: cannot be read ({name})")
                made[name] = str(path)
            if self.key_password_file is not None:
                made["ssl.key.password"] = _first_line(self.key_password_file)
            made["ssl.endpoint.identification.algorithm"] = "https"
        if self.protocol.startswith("sasl"):
            made |= {
                "sasl.mechanism": self.sasl,
                "sasl.username": self.user,
                "sasl.password": self._password(),
            }
        return made

    def _password(self) -> str:
        if self.password_file is not None:
            return _first_line(self.password_file)
        found = os.environ.get(self.password_env, "")
        if not found:
            raise BusError(f"the environment has no {self.password_env}, which password_env names")
        return found


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(4096).split(b"\n", 1)[0].strip().decode("utf-8", "replace")
    except OSError as error:
        raise BusError(f"{path}: {error.strerror or error}") from error
    if not text:
        raise BusError(f"{path}: its first line is empty, and should be a password")
    return text


def consumer(group: str, buffer: int) -> dict[str, Any]:
    """Settings of a consumer that takes its positions from us; ``buffer``: bytes that are fetched ahead."""
    return {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # nothing is passed over without a word
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 1_000,
        "isolation.level": "read_committed",
        "check.crcs": True,
        "queued.max.messages.kbytes": max(1024, buffer >> 10),
        "queued.min.messages": 1000,
        "fetch.message.max.bytes": min(4 << 20, buffer),
        "fetch.max.bytes": min(16 << 20, buffer),
        "fetch.queue.backoff.ms": 50,
        "fetch.wait.max.ms": 100,
        "topic.metadata.refresh.interval.ms": 30_000,
        "statistics.interval.ms": 2_000,
    }


def kafka() -> Any:
    """The module ``confluent_kafka``. Raises BusError where it is not installed."""
    try:
        import confluent_kafka
    except ImportError as error:
        raise BusError(_MISSING) from error
    return confluent_kafka


def made(kind: str, settings: dict[str, Any]) -> Any:
    """A Producer or Consumer. Raises BusError for settings that librdkafka refuses (a certificate that does not
    read)."""
    module = kafka()
    try:
        return getattr(module, kind)(settings)
    except module.KafkaException as error:
        raise BusError(f"the Kafka client cannot be set up: {_words(error)}") from error


def _words(error: Exception) -> str:
    inner = error.args[0] if error.args else error
    return str(inner.str()) if hasattr(inner, "str") else str(inner)


words = _words
