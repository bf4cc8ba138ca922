"""What ``[[enforcer]] kind = "nft"`` says of the place where the rules stand.

Addresses of ``proxy``, ``sinkhole``, ``quarantine_page`` and ``mirror`` are given once per IP version; a version for
which there is none is dropped where it would have been redirected, so that no path stays open beside the redirection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from andon.contain.enforcers.given import Address, Given, Network, address_of

GATEWAY, HOST_MODE = "gateway", "host"
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}|/proc/[0-9]{1,10}/ns/net|/run/[A-Za-z0-9_./-]{1,200}")
_DEVICE: Final = re.compile(r"[A-Za-z0-9_.-]{1,15}")
# Words of the language of nft that cannot name a table.
_RESERVED: Final = frozenset(
    ("table", "chain", "rule", "set", "map", "element", "flush", "list", "add", "delete", "ip", "ip6", "inet", "arp",
     "bridge", "netdev", "fwd", "dup", "drop", "accept", "tcp", "udp", "meta", "ct", "jump", "type", "hook")
)  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    """Where redirected traffic goes. ``address`` None: this machine (redirect)."""

    address: Address | None
    port: int

    def target(self) -> str:
        """As nft has it behind ``dnat ... to``.

        >>> Endpoint(address_of("2001:db8::1"), 80).target()
        '[2001:db8::1]:80'
        """
        if self.address is None:
            return f":{self.port}"
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """See docs/enforcer-nft.md; by IP version where it says 4 and 6. ``ipv6``: whether the site has IPv6 at all."""

    table: str = "andon"
    mode: str = GATEWAY
    netns: str = ""
    library: str = "libnftables.so.1"
    priority: int = -90
    ipv6: bool = True
    match_mac: bool = False
    protect: tuple[Network, ...] = ()
    reach: tuple[Network, ...] = ()
    segments: tuple[Network, ...] = ()
    proxy: Mapping[int, Endpoint] | None = None
    page: Mapping[int, Endpoint] | None = None
    sinkhole: Mapping[int, Address] | None = None
    mirror: Mapping[int, Address] | None = None
    mirror_device: str = ""
    max_elements: int = 200_000
    max_per_intent: int = 4_096
    patience: float = 10.0


def read_settings(settings: Mapping[str, Any], base: Path) -> Settings:
    """Raises ValueError that names the setting."""
    given = Given(settings, base)
    table = given.text("table", "andon")
    if not _IDENTIFIER.fullmatch(table) or table in _RESERVED:
        raise ValueError(
            f"table is a name of small letters, digits and _ that nft does not reserve, not {table!r}"
        )
    netns = given.text("netns", "")
    if netns and (not _NAMESPACE.fullmatch(netns) or ".." in netns):
        raise ValueError(f"netns is the name of a network namespace or its path, not {netns!r}")
    device = given.text("mirror_device", "")
    if device and not _DEVICE.fullmatch(device):
        raise ValueError(f"mirror_device is the name of an interface, not {device!r}")
    made = Settings(
        table=table,
        mode=given.one_of("mode", GATEWAY, (GATEWAY, HOST_MODE)),
        netns=netns,
        library=given.text("library", "libnftables.so.1"),
        priority=given.number("priority", -90, -94, -1),
        ipv6=given.flag("ipv6", True),
        match_mac=given.flag("match_mac", False),
        protect=given.networks("protect"),
        reach=given.networks("quarantine_reach"),
        segments=given.networks("segments"),
        proxy=_endpoints(given, "proxy", 3128, local=True),
        page=_endpoints(given, "quarantine_page", 80, local=False),
        sinkhole=_addresses(given, "sinkhole"),
        mirror=_addresses(given, "mirror"),
        mirror_device=device,
        max_elements=given.number("max_elements", 200_000, 1, 2_000_000),
        max_per_intent=given.number("max_per_intent", 4_096, 1, 65_536),
        patience=given.seconds("patience", 10.0, 0.1, 60.0),
    )
    given.end()
    if made.mode == HOST_MODE and made.proxy and any(one.address is None for one in made.proxy.values()):
        raise ValueError(
            "proxy needs an address in host mode: a proxy on the host itself would be redirected to itself"
        )
    return made


def _addresses(given: Given, name: str) -> Mapping[int, Address] | None:
    found: dict[int, Address] = {}
    for text in given.texts(name, 2):
        try:
            address = address_of(text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if address.version in found:
            raise ValueError(f"{name} has two addresses of IPv{address.version}; it takes one")
        found[address.version] = address
    return found or None


def _endpoints(given: Given, name: str, port: int, local: bool) -> Mapping[int, Endpoint] | None:
    found: dict[int, Endpoint] = {}
    for text in given.texts(name, 2):
        try:
            made = _endpoint(text, port)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if made.address is None and not local:
            raise ValueError(f"{name} needs an address, not {text!r}")
        for version in (4, 6) if made.address is None else (made.address.version,):
            if version in found:
                raise ValueError(f"{name} is given twice for IPv{version}")
            found[version] = made
    return found or None


def _endpoint(text: str, port: int) -> Endpoint:
    """``ADDRESS``, ``ADDRESS:PORT``, ``[ADDRESS]:PORT`` or ``:PORT``."""
    match = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[0-9.]*))(?::(?P<port>[0-9]{1,5}))?", text)
    if match is None:
        return Endpoint(address_of(text), port)
    number = int(match["port"] or port)
    if not 0 < number < 65536:
        raise ValueError(f"{text!r} has no port from 1 to 65535")
    address = match["six"] or match["four"]
    if not address and not match["port"]:
        raise ValueError(f"{text!r} is neither an address nor a port")
    return Endpoint(address_of(address) if address else None, number)
