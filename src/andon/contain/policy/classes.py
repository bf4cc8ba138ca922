"""What class of asset a host is of: the first class of the policy that one of its marks matches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, lru_cache
from typing import Final

from andon.contain.spelling import Unreadable, spans
from andon.contain.spelling.ranges import Spans
from andon.triage.threat import asset_value

UNKNOWN = "unknown"
CRITICAL = "critical"
# What `triage.threat.asset_value` says that a host is -> class. Only what an organisation cannot be without is
# critical, for what is critical nobody can cut off, and a word in a name is weak ground for that. Business records are
# on servers and on the notebooks of those who keep them: somebody agrees, and then it is done.
_ROLES: Final = {
    "directory or identity": CRITICAL, "control of machines": CRITICAL, "backups or secrets": CRITICAL,
    "the network itself": "network", "a work place": "workstation", "a device": "device",
    "a place for tests or guests": "",
}  # fmt: skip
_SERVER: Final = 0.7  # worth from which on another role is a server's


@dataclass(frozen=True)
class AssetClass:
    """``hosts``: patterns of host names (``dc*``, ``*.dc.example``), compared with the full name and with its first
    label. ``prefixes``: CIDR. ``devices``: words of the asset list's device class, product or operating system.
    ``assets``: numbers in the asset list. Letters' case counts nowhere."""

    name: str
    hosts: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()

    @cached_property
    def _spans(self) -> Spans:
        return Spans(span for prefix in self.prefixes for span in spans(prefix))

    @cached_property
    def _host(self) -> re.Pattern[str] | None:
        return re.compile("|".join(translate(one.casefold()) for one in self.hosts)) if self.hosts else None

    @cached_property
    def _device(self) -> re.Pattern[str] | None:
        words = "|".join(re.escape(one.casefold()) for one in self.devices)
        return re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])") if words else None

    @cached_property
    def _assets(self) -> frozenset[str]:
        return frozenset(one.casefold() for one in self.assets)

    def matches(
        self, addresses: Iterable[str], names: Iterable[str], devices: Iterable[str], assets: Iterable[str]
    ) -> str:
        """By what a host is of this class, in words; "" if it is not."""
        for one in assets:
            if one and one.casefold() in self._assets:
                return f"asset number {one}"
        for one in addresses:
            try:
                if self._spans and self._spans.touches(spans(one)):
                    return f"address {one}"
            except Unreadable:
                continue
        if self._host is not None:
            for one in names:
                full = one.strip().casefold().rstrip(".")[:255]
                if full and (self._host.match(full) or self._host.match(full.partition(".")[0])):
                    return f"name {one[:80]}"
        if self._device is not None:
            for one in devices:
                if self._device.search(one.casefold()[:500]):
                    return f"device {one[:80]}"
        return ""


@dataclass(frozen=True)
class Classes:
    """Classes in the order in which they are tried; ``otherwise``: of a host that none matches; ``roles``: whether such
    a host is looked at by triage's words for roles first."""

    classes: tuple[AssetClass, ...]
    otherwise: str = UNKNOWN
    roles: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(one.name for one in self.classes), self.otherwise, UNKNOWN]))

    def of(
        self,
        addresses: Sequence[str] = (),
        names: Sequence[str] = (),
        devices: Sequence[str] = (),
        assets: Sequence[str] = (),
    ) -> tuple[str, str]:
        """(class, by what).

        >>> Classes((AssetClass("server", hosts=("srv*",)),)).of(names=["srv7.corp.example"])
        ('server', 'name srv7.corp.example')
        """
        for one in self.classes:
            if said := one.matches(addresses, names, devices, assets):
                return one.name, said
        if self.roles and (names or devices):
            name, said = role_of(tuple(names), tuple(devices))
            if name in self.names and name:
                return name, said
        return self.otherwise, "no class of the policy matches"


@lru_cache(65_536)
def role_of(names: tuple[str, ...], devices: tuple[str, ...] = ()) -> tuple[str, str]:
    """(class, by what) of a host by triage's words for roles; ("", why) if they say nothing.

    >>> role_of(("build01.corp.example", "ci01"))[0], role_of(("vault2",))[0], role_of(("tokyo7",))[0]
    ('server', 'critical', '')
    """
    known = asset_value([{"hostname": one} for one in names] + [{"device": one} for one in devices])
    said = known.statement.partition(", by ")[0]
    return _ROLES.get(said, "server" if known.value >= _SERVER else ""), f"role: {known.statement}"
