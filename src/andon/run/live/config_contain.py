"""``[contain]``, ``[serve]`` and ``[share]`` of ``andon.toml``: what may be cut, what is served over HTTP, who is told
what."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from andon.run.live.config_parts import Duration, Table, checked_duration

CHAIN_KEY = 16  # bytes that a key must have at least


class ContainTable(Table):
    """``[contain]``: cases -> traffic that is cut. "dry-run": nothing is enforced; "manual": what people
    propose is; "auto": what cases want too."""

    mode: Literal["dry-run", "manual", "auto"] = "dry-run"
    policy: Path | None = None  # YAML; none: the built-in one
    places: Path | None = None  # CSV: host or address, switch, port, mac
    key_file: Path | None = None  # keys the chain of the log of intents
    sinks: tuple[str, ...] = ()  # who is told when something was cut, and of alarms
    act_within: Duration = "24h"  # cases in which nothing was seen for longer are left to people
    keep: Duration = "730d"  # events of the log; what is in force stays

    _durations = field_validator("act_within", "keep")(checked_duration)


class ServeTable(Table):
    """``[serve]``: over HTTP, lists for firewalls (/edl/NAME) and, where there is a ``[taxii]``, STIX objects
    (/taxii2), where there is a ``[hub]``, a DAEDALUS hub (/hub)."""

    listen: str = ""  # ADDRESS:PORT; empty: nothing is served
    certificate: Path | None = None  # PEM
    certificate_key: Path | None = None
    client_ca: Path | None = None

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return not self.listen or ip_address(self.place[0]).is_loopback

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key go together")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs certificate and certificate_key")
        host, _, port = self.listen.rpartition(":")
        if self.listen and (not host or not port.isdigit() or int(port) > 65_535):
            raise ValueError(f"listen: {self.listen!r} is not ADDRESS:PORT")
        if self.listen:
            try:
                ip_address(host.strip("[]"))
            except ValueError as error:
                raise ValueError(f"listen: {host!r} is not an address") from error
        return self


class ShareTable(Table):
    """``[share]``: what all sinks know of the site (docs/sharing.md). What a sink is sent, it says itself: ``findings``
    and ``kinds`` of its ``[[sink]]``."""

    organisation: Annotated[str, Field(min_length=1, max_length=200)] = "Andon"
    key_file: Path | None = None  # for pseudonyms (andon pseudonym key)
    markings: dict[str, Literal["clear", "green", "amber", "amber+strict", "red"]] = Field(
        default_factory=dict
    )  # kind of finding -> TLP
    warning_lists: tuple[Path, ...] = ()  # what is never called an indicator
