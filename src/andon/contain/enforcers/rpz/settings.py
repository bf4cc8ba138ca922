"""What ``[[enforcer]] kind = "rpz"`` says: the zone, who serves it, and what blocked names are answered."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from andon.contain import spelling
from andon.contain.enforcers.given import Address, Given, address_of

BIND, UNBOUND, POLLED = "bind", "unbound", "none"
NXDOMAIN, NODATA = "nxdomain", "nodata"
_CONTROL: Final = {BIND: "rndc", UNBOUND: "unbound-control"}
_PLACES: Final = ("/usr/sbin", "/usr/local/sbin", "/sbin")


@dataclass(frozen=True)
class Settings:
    """See docs/enforcer-rpz.md. ``control``: the daemon's control command with its options, before the verb."""

    zone: str
    file: Path
    server: str = POLLED
    control: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    blocked: str = NXDOMAIN
    garden: tuple[Address, ...] = ()
    subdomains: bool = True
    ttl: int = 5
    max_rules: int = 200_000
    probe: tuple[Address, int] | None = None
    settle: float = 0.2
    patience: float = 10.0

    @property
    def reload(self) -> tuple[str, ...]:
        verb = {BIND: "reload", UNBOUND: "auth_zone_reload"}.get(self.server)
        return (*self.control, verb, self.zone) if verb else ()


def read_settings(settings: Mapping[str, Any], base: Path) -> Settings:
    """Raises ValueError that names the setting."""
    given = Given(settings, base)
    try:
        zone = spelling.name(given.text("zone", "andon.rpz"))
    except spelling.Unreadable as error:
        raise ValueError(f"zone: {error}") from error
    server = given.one_of("server", POLLED, (BIND, UNBOUND, POLLED))
    control = given.texts("control", 32)
    if control and server == POLLED:
        raise ValueError("control is given, but server is none: bind or unbound")
    if not control and server != POLLED:
        control = (found(_CONTROL[server]),)
    try:
        garden = tuple(address_of(one) for one in given.texts("walled_garden", 16))
    except ValueError as error:
        raise ValueError(f"walled_garden: {error}") from error
    probe = given.text("probe", "")
    made = Settings(
        zone=zone,
        file=given.path("file"),
        server=server,
        control=control,
        check=given.texts("check", 32),
        blocked=given.one_of("blocked", NXDOMAIN, (NXDOMAIN, NODATA)),
        garden=garden,
        subdomains=given.flag("subdomains", True),
        ttl=given.number("ttl", 5, 0, 3600),
        max_rules=given.number("max_rules", 200_000, 1, 2_000_000),
        probe=_resolver(probe) if probe else None,
        settle=given.seconds("settle", 0.2, 0.0, 60.0),
        patience=given.seconds("patience", 10.0, 0.1, 60.0),
    )
    given.end()
    return made


def _resolver(text: str) -> tuple[Address, int]:
    """``ADDRESS``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``."""
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([0-9.]+))(?::([0-9]{1,5}))?", text)
    try:
        if match is None:
            return address_of(text), 53
        port = int(match[3] or 53)
        if not 0 < port < 65536:
            raise ValueError(f"{port} is no port")
        return address_of(match[1] or match[2]), port
    except ValueError as error:
        raise ValueError(f"probe is the address of a resolver: {error}") from error


def found(command: str) -> str:
    """Its path where one that is not in PATH (sbin) is meant."""
    here = shutil.which(command)
    return here or next((f"{place}/{command}" for place in _PLACES if Path(place, command).exists()), command)
