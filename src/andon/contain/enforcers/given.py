"""The table of one enforcer in the configuration, read setting by setting; what is left over at the end is an error.

>>> given = Given({"netns": "gw"}, Path())
>>> given.text("netns", ""), given.number("max_elements", 10, 1, 99)
('gw', 10)
>>> given.end()
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_of(text: str) -> Address:
    """An address without a zone and without a second spelling (IPv4 mapped into IPv6 becomes IPv4).

    ``ipaddress`` takes any text behind a ``%``; here there is none, so that what comes out can stand in a command.
    Raises ValueError.
    """
    if "%" in text:
        raise ValueError(f"{text!r} has a zone")
    found = ipaddress.ip_address(text)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped


def network_of(text: str) -> Network:
    """A prefix, or one address as a prefix of full length. Bits behind the mask are an error. Raises ValueError."""
    if "%" in text:
        raise ValueError(f"{text!r} has a zone")
    return ipaddress.ip_network(text, strict=True)


class Given:
    """``settings``: as the file had them; ``base``: the folder that paths are relative to. Every reader raises
    ValueError that names the setting."""

    def __init__(self, settings: Mapping[str, Any], base: Path) -> None:
        self._settings = settings
        self._base = base
        self._known: set[str] = set()

    def _get(self, name: str, default: Any) -> Any:
        self._known.add(name)
        return self._settings.get(name, default)

    def text(self, name: str, default: str) -> str:
        value = self._get(name, default)
        if not isinstance(value, str) or len(value) > 4096 or not value.isprintable():
            raise ValueError(f"{name} is a text, not {value!r}")
        return value

    def one_of(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")
        return value

    def number(self, name: str, default: int, least: int, most: int) -> int:
        value = self._get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{name} is a whole number from {least} to {most}, not {value!r}")
        return value

    def seconds(self, name: str, default: float, least: float, most: float) -> float:
        value = self._get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{name} is a number of seconds from {least} to {most}, not {value!r}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false, not {value!r}")
        return value

    def texts(self, name: str, most: int = 1024) -> tuple[str, ...]:
        value = self._get(name, [])
        if not isinstance(value, list | tuple) or len(value) > most:
            raise ValueError(f"{name} is a list of at most {most} texts")
        if not all(isinstance(one, str) and one and one.isprintable() and len(one) <= 4096 for one in value):
            raise ValueError(f"{name} is a list of texts")
        return tuple(value)

    def networks(self, name: str) -> tuple[Network, ...]:
        try:
            return tuple(network_of(one) for one in self.texts(name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def path(self, name: str) -> Path:
        value = self.text(name, "")
        if not value:
            raise ValueError(f"{name} is missing; it is a path")
        return self._base / value

    def end(self) -> None:
        """Raises ValueError if a setting was given that nobody asked for."""
        for name in self._settings:
            if name not in self._known:
                raise ValueError(f"there is no setting {name!r}; there are {', '.join(sorted(self._known))}")
