"""What a ``[[enforcer]]`` table with ``kind = "openflow"`` may say, checked by hand so that errors name the setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from andon.contain.enforcers.openflow.oxm import mac_octets, mac_text

Network = IPv4Network | IPv6Network
_KNOWN: Final = frozenset((
    "connect", "listen", "peers", "ca_file", "certificate", "private_key", "server_name", "datapath", "ovsdb",
    "bridge", "fail_mode", "tables", "forward", "ports", "proxy_mac", "quarantine_mac", "sinkhole_mac", "steer",
    "protect", "dhcp", "covers", "quarantine_reaches_protected", "rules", "check",
))  # fmt: skip
_PORTS: Final = frozenset(("uplink", "proxy", "capture", "quarantine", "sinkhole"))


@dataclass(frozen=True)
class Endpoint:
    """``kind``: "unix", "tcp" or "ssl". ``host`` is a path for "unix"."""

    kind: str
    host: str
    port: int = 0

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.host}"
        return f"{self.kind}:{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True)
class Station:
    """Where packets are steered to: a port of the switch, and the MAC address that they are given (for those who
    only take what is sent to them)."""

    port: int
    mac: str = ""


@dataclass(frozen=True)
class Tables:
    """Numbers of the tables, in the order in which a packet meets them. ``forward``: the last one; NORMAL happens
    there if ``normal`` is set, else it belongs to the site and is left alone."""

    mirror: int = 0
    guard: int = 1
    contain: int = 2
    forward: int = 9
    normal: bool = True

    @property
    def ours(self) -> tuple[int, ...]:
        return (self.mirror, self.guard, self.contain, *((self.forward,) if self.normal else ()))


@dataclass(frozen=True)
class Settings:
    connect: Endpoint | None = None
    listen: Endpoint | None = None
    peers: tuple[Network, ...] = ()
    ca_file: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    server_name: str = ""
    datapath: int | None = None
    ovsdb: Endpoint | None = None
    bridge: str = ""
    fail_mode: str = ""
    tables: Tables = Tables()
    uplink: frozenset[int] = frozenset()
    capture: Station | None = None
    proxy: Station | None = None
    quarantine: Station | None = None
    sinkhole: Station | None = None
    steer: tuple[tuple[str, int], ...] = (("tcp", 80),)
    protect: tuple[Network, ...] = ()
    dhcp: tuple[str, ...] = ()
    covers: tuple[Network, ...] = ()
    quarantine_reaches_protected: bool = True
    rules: int = 2_000
    check: float = 1.0

    @property
    def target(self) -> str:
        """As ``ovs-ofctl`` calls the switch."""
        return str(self.connect) if self.connect else self.bridge or "SWITCH"

    @property
    def stations(self) -> Mapping[str, int]:
        named = {
            "capture": self.capture,
            "proxy": self.proxy,
            "quarantine": self.quarantine,
            "sinkhole": self.sinkhole,
        }
        return {name: station.port for name, station in named.items() if station}

    @property
    def station_macs(self) -> frozenset[str]:
        stations = (self.proxy, self.quarantine, self.sinkhole)
        return frozenset(station.mac for station in stations if station and station.mac)


def endpoint(given: object, base: Path, name: str, default_port: int = 6653) -> Endpoint:
    """``unix:PATH``, ``tcp:HOST[:PORT]``, ``ssl:HOST[:PORT]``. Raises ValueError.

    >>> str(endpoint("ssl:[2001:db8::1]", Path(), "connect"))
    'ssl:[2001:db8::1]:6653'
    """
    wrong = f"{name} is unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, not {given!r}"
    kind, colon, rest = given.partition(":") if isinstance(given, str) else ("", "", "")
    if not colon or not rest or kind not in ("unix", "tcp", "ssl"):
        raise ValueError(wrong)
    if kind == "unix":
        return Endpoint(kind, str(base / rest))
    host, port = rest, ""
    if rest.startswith("["):
        host, bracket, port = rest[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError(wrong)
        port = port[1:]
    elif rest.count(":") == 1:
        host, port = rest.split(":")
    number = default_port if not port else int(port) if port.isascii() and port.isdigit() else 0
    if not host or not 0 < number < 65536 or not all(c.isalnum() or c in ".-_:" for c in host):
        raise ValueError(wrong)
    return Endpoint(kind, host, number)


def read_settings(given: Mapping[str, Any], base: Path) -> Settings:
    """Raises ValueError that names the setting."""
    unknown = sorted(set(given) - _KNOWN)
    if unknown:
        raise ValueError(f"openflow knows no setting {unknown[0]!r}; it knows {', '.join(sorted(_KNOWN))}")
    if ("connect" in given) == ("listen" in given):
        raise ValueError("give either connect (we call the switch) or listen (the switch calls us)")
    connect = endpoint(given["connect"], base, "connect") if "connect" in given else None
    listen = endpoint(given["listen"], base, "listen") if "listen" in given else None
    paths = {
        name: base / _text(given, name) if name in given else None
        for name in ("ca_file", "certificate", "private_key")
    }
    if "ssl" in (connect.kind if connect else "", listen.kind if listen else "") and None in paths.values():
        raise ValueError("ssl: needs ca_file, certificate and private_key: both sides show who they are")
    peers = _networks(given, "peers")
    if listen and listen.kind == "tcp" and not peers and not _loopback(listen.host):
        raise ValueError(
            "listen on tcp: needs peers, the addresses that a switch may call from (or use ssl:)"
        )
    ports = given.get("ports", {})
    if not isinstance(ports, Mapping) or set(ports) - _PORTS:
        raise ValueError(f"ports is a table of {', '.join(sorted(_PORTS))}")
    uplink = ports.get("uplink", [])
    uplinks = [_port(one, "ports.uplink") for one in (uplink if isinstance(uplink, list) else [uplink])]
    stations = {name: _station(given, ports, name) for name in ("capture", "proxy", "quarantine", "sinkhole")}
    used = [*uplinks, *(station.port for station in stations.values() if station)]
    if len(set(used)) != len(used):
        raise ValueError("ports: one port has two uses")
    fail_mode = _text(given, "fail_mode", "")
    if fail_mode not in ("", "secure", "standalone"):
        raise ValueError(f"fail_mode is secure or standalone, not {fail_mode!r}")
    return Settings(
        connect=connect,
        listen=listen,
        peers=peers,
        ca_file=paths["ca_file"],
        certificate=paths["certificate"],
        private_key=paths["private_key"],
        server_name=_text(given, "server_name", ""),
        datapath=_datapath(given),
        ovsdb=endpoint(given["ovsdb"], base, "ovsdb", 6640) if "ovsdb" in given else None,
        bridge=_bridge(given, connect),
        fail_mode=fail_mode,
        tables=_tables(given),
        uplink=frozenset(uplinks),
        capture=stations["capture"],
        proxy=stations["proxy"],
        quarantine=stations["quarantine"],
        sinkhole=stations["sinkhole"],
        steer=_steer(given),
        protect=_networks(given, "protect"),
        dhcp=tuple(_address(one, "dhcp") for one in _texts(given, "dhcp")),
        covers=_networks(given, "covers"),
        quarantine_reaches_protected=_flag(given, "quarantine_reaches_protected", True),
        rules=_whole(given, "rules", 2_000, 1, 1_000_000),
        check=_seconds(given, "check", 1.0),
    )


def _text(given: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text, not {value!r}")
    return value


def _texts(given: Mapping[str, Any], name: str) -> list[str]:
    value = given.get(name, [])
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name} is a list of texts, not {value!r}")
    return list(value)


def _flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value!r}")
    return value


def _whole(given: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is a whole number from {least:,} to {most:,}, not {value!r}")
    return value


def _seconds(given: Mapping[str, Any], name: str, default: float) -> float:
    value = given.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.1 <= value <= 60:
        raise ValueError(f"{name} is a number of seconds from 0.1 to 60, not {value!r}")
    return float(value)


def _networks(given: Mapping[str, Any], name: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(one) for one in _texts(given, name))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _address(text: str, name: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 0xFFFFFF00:
        raise ValueError(f"{name} is the number of a port of the switch, not {value!r}")
    return value


def _station(given: Mapping[str, Any], ports: Mapping[str, Any], name: str) -> Station | None:
    mac = "" if name == "capture" else _text(given, f"{name}_mac", "")
    if name not in ports:
        if mac:
            raise ValueError(f"{name}_mac needs ports.{name}")
        return None
    try:
        octets = mac_text(mac_octets(mac)) if mac else ""
    except ValueError as error:
        raise ValueError(f"{name}_mac: {error}") from error
    if name != "capture" and not mac:
        raise ValueError(f"ports.{name} needs {name}_mac, or what is steered there is not taken")
    return Station(_port(ports[name], f"ports.{name}"), octets)


def _datapath(given: Mapping[str, Any]) -> int | None:
    if "datapath" not in given:
        return None
    text = _text(given, "datapath")
    try:
        number = int(text.replace(":", ""), 16)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        raise ValueError(f"datapath is a hexadecimal number of at most 16 digits, not {text!r}")
    return number


def _bridge(given: Mapping[str, Any], connect: Endpoint | None) -> str:
    name = _text(given, "bridge", "")
    if not name and connect and connect.kind == "unix" and connect.host.endswith(".mgmt"):
        name = Path(connect.host).name.removesuffix(".mgmt")
    if not all(c.isalnum() or c in "._-" for c in name):
        raise ValueError(f"bridge is the name of a bridge, not {name!r}")
    if "ovsdb" in given and not name:
        raise ValueError("ovsdb needs bridge, the name of the bridge to ask for")
    return name


def _tables(given: Mapping[str, Any]) -> Tables:
    named = given.get("tables", {})
    kinds = ("mirror", "guard", "contain", "forward")
    if not isinstance(named, Mapping) or set(named) - set(kinds):
        raise ValueError(f"tables is a table of {', '.join(kinds)}")
    forward = _text(given, "forward", "normal")
    if forward not in ("normal", "site"):
        raise ValueError(f"forward is normal or site (the last table is the site's own), not {forward!r}")
    defaults = Tables()
    numbers = [_whole(named, kind, getattr(defaults, kind), 0, 253) for kind in kinds]
    if numbers != sorted(set(numbers)):
        raise ValueError("tables: mirror, guard, contain and forward have rising numbers")
    mirror, guard, contain, last = numbers
    return Tables(mirror, guard, contain, last, forward == "normal")


def _steer(given: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    if "steer" not in given:
        return (("tcp", 80),)
    found = []
    for one in _texts(given, "steer"):
        kind, _, port = one.partition("/")
        if kind not in ("tcp", "udp") or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
            raise ValueError(f"steer has entries such as tcp/80, not {one!r}")
        found.append((kind, int(port)))
    return tuple(found)
