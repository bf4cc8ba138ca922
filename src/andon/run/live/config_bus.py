"""What ``andon.toml`` says about a Kafka bus: of a ``[[source]]`` of kind "kafka", and ``[bus]``, where a sensor
sends its journal (docs/bus.md)."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from andon.run.live.config_parts import Size, Table, size_in_bytes

PATHS: Final = ("ca", "certificate", "certificate_key", "certificate_password_file", "password_file")
_LOOPBACK: Final = ("localhost", "localhost.localdomain", "ip6-localhost")
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class BrokerFields(Table):
    """How a topic is reached. ``brokers`` are HOST:PORT; without ``protocol`` it is TLS, and plain text where every
    broker is this machine."""

    brokers: tuple[str, ...] = ()
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,249}$")] = ""
    protocol: Literal["", "plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = ""
    ca: Path | None = None  # PEM: who signed the brokers' certificates; none: the system's
    certificate: Path | None = None  # PEM, of this machine
    certificate_key: Path | None = None
    certificate_password_file: Path | None = None
    sasl: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    user: str = ""
    password_file: Path | None = None
    password_env: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""

    @field_validator("brokers")
    @classmethod
    def _brokers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            host, _, port = one.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) <= 65_535 or any(c in ",/ " for c in one):
                raise ValueError(f"{one!r} is not HOST:PORT")
        return value

    @property
    def spoken(self) -> str:
        """The protocol that is spoken."""
        if self.protocol:
            return self.protocol
        if self.user:
            return "sasl_ssl"
        return "plaintext" if self.brokers and all(map(is_loopback, self.brokers)) else "ssl"

    def check_brokers(self, what: str) -> None:
        """Raises ValueError for what cannot work, or would send packets over a network for everybody to read."""
        if not self.brokers:
            raise ValueError(f'{what} needs brokers = ["HOST:PORT", ...]')
        if not self.topic:
            raise ValueError(f'{what} needs topic = "NAME"')
        far = [one for one in self.brokers if not is_loopback(one)]
        if far and self.spoken in ("plaintext", "sasl_plaintext"):
            raise ValueError(
                f'protocol = "{self.spoken}" is for brokers on this machine, and {far[0]} is not: set protocol = '
                '"ssl" or "sasl_ssl" (and ca = "FILE" unless the system knows who signed its certificate)'
            )
        sasl = self.spoken.startswith("sasl_")
        if sasl and not (self.user and (self.password_file or self.password_env)):
            raise ValueError(
                f'protocol = "{self.spoken}" needs user, and password_file = "FILE" or password_env = "VARIABLE"'
            )
        if not sasl and (self.user or self.password_file or self.password_env):
            raise ValueError(f'user and password are of protocol = "sasl_ssl", not "{self.spoken}"')
        if self.password_file and self.password_env:
            raise ValueError("password_file or password_env, not both")
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key go together")


class KafkaFields(BrokerFields):
    """Of a ``[[source]]`` of kind "kafka"."""

    sensors: tuple[Name, ...] = ()  # that are heeded, and waited for from the start; empty: all
    partitions: tuple[Annotated[int, Field(ge=0, le=100_000)], ...] = ()  # empty: all
    group: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,249}$")] = ""  # of analysers; empty: andon-NAME
    balance: bool = False  # the group's analysers have a share of the partitions each
    start: Literal["earliest", "latest"] = "earliest"  # where nothing was read yet

    def check_kafka(self) -> None:
        """Raises ValueError."""
        self.check_brokers('a source of kind "kafka"')
        if self.balance and self.partitions:
            raise ValueError("balance shares all partitions out: leave partitions out, or balance")
        if self.balance and not self.group:
            raise ValueError('balance = true needs group = "NAME", the same on every analyser of the group')


# Settings that only a source of kind "kafka" has.
OF_KAFKA: Final = frozenset(KafkaFields.model_fields) - {"certificate", "certificate_key"}


class BusTable(BrokerFields):
    """``[bus]``: every segment of this machine's journal goes to a topic. ``analyse`` = false: it runs no engines
    itself."""

    sensor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""
    analyse: bool = True
    message: Size = 900_000  # bytes of a message, at most: below the topic's max.message.bytes
    buffer: Size = 32 << 20  # that may wait for the broker's answer

    _sizes = field_validator("message", "buffer", mode="before")(size_in_bytes)

    @property
    def name(self) -> str:
        """The sensor's name: of the machine if none is given."""
        return (
            self.sensor or "".join(c if c.isalnum() or c in "_.-" else "-" for c in socket.gethostname())[:64]
        )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self.check_brokers("[bus]")
        if not 20_000 <= self.message <= 16 << 20:
            raise ValueError("message: from 20 kB to 16 MB, and not above the topic's max.message.bytes")
        if self.buffer < 2 * self.message:
            raise ValueError("buffer: at least two messages")
        return self


def is_loopback(broker: str) -> bool:
    """Is HOST:PORT this machine?

    >>> is_loopback("127.0.0.1:9092"), is_loopback("[::1]:9092"), is_loopback("kafka.example.org:9092")
    (True, True, False)
    """
    host = broker.rpartition(":")[0].strip("[]").lower()
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK
