"""Who is registered with which prefixes, and whose an address is: the most specific prefix wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, collapse_addresses, ip_address
from typing import Any

from andon.share.hub.protocol import Network, member_name, network

ACTIVE, SUSPENDED, WITHDRAWN = "active", "suspended", "withdrawn"
_MOST = 1000  # prefixes of a member


@dataclass(frozen=True)
class Member:
    """``named``: others may be told that it was this member who saw their address. ``listed``: its prefixes may stand
    in the cover as they are; else the cover has wide blocks around them."""

    name: str
    prefixes: tuple[Network, ...]
    named: bool = False
    listed: bool = False
    state: str = ACTIVE

    def __post_init__(self) -> None:
        member_name(self.name)
        if not self.prefixes or len(self.prefixes) > _MOST:
            raise ValueError(f"{self.name}: a member has 1 to {_MOST:,} prefixes")


def member(name: str, prefixes: Iterable[str], named: bool = False, listed: bool = False) -> Member:
    """A new member. Raises ValueError.

    >>> member("city", ["198.51.100.0/24"]).state
    'active'
    """
    return Member(name, tuple(dict.fromkeys(network(text) for text in prefixes)), named, listed)


class Register:
    """The active and suspended members. Raises ValueError where two have the same prefix."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members: Mapping[str, Member] = {one.name: one for one in members if one.state != WITHDRAWN}
        self._tables: dict[tuple[int, int], dict[int, str]] = {}
        for one in self.members.values():
            for prefix in one.prefixes:
                table = self._tables.setdefault((prefix.version, prefix.prefixlen), {})
                bits = prefix.max_prefixlen - prefix.prefixlen
                held = table.setdefault(int(prefix.network_address) >> bits, one.name)
                if held != one.name:
                    raise ValueError(f"{prefix} is registered already")  # not by whom
        self._order = {
            version: sorted((length for v, length in self._tables if v == version), reverse=True)
            for version in (4, 6)
        }

    def owner(self, address: str) -> str:
        """The member whose address this is, or ""."""
        parsed: IPv4Address | IPv6Address = ip_address(address)
        number, width = int(parsed), parsed.max_prefixlen
        for length in self._order[parsed.version]:
            name = self._tables[parsed.version, length].get(number >> (width - length))
            if name is not None:
                return name
        return ""

    def cover(self, v4: int, v6: int) -> list[str]:
        """Prefixes that hold every registered one: those of listed members as they are, of others the block of
        length ``v4`` or ``v6`` around them."""
        blocks: list[Any] = []
        for one in self.members.values():
            for prefix in one.prefixes:
                wide = v4 if prefix.version == 4 else v6
                keep = one.listed or prefix.prefixlen <= wide
                blocks.append(prefix if keep else prefix.supernet(new_prefix=wide))
        made = [*collapse_addresses(b for b in blocks if b.version == 4)]
        return [str(block) for block in [*made, *collapse_addresses(b for b in blocks if b.version == 6)]]
