"""Where an address is: inside the organisation or not, and which network it shares with its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.domains import NAME, kinds_of_hosts
from andon.records.inside import PRIVATE
from andon.sketch.texts import text_keys

_DOTTED: Final = r"^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$"
_OTHER: Final = 1 << 40  # peers that are no IPv4 network


class Inside:
    """The organisation's prefixes (CIDR); none: private and link-local addresses. Raises ValueError for a prefix that
    is none."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.given = bool(prefixes)
        nets = [ip_network(prefix, strict=False) for prefix in (prefixes or PRIVATE)]
        four = sorted(
            (int(n.network_address), int(n.broadcast_address)) for n in nets if isinstance(n, IPv4Network)
        )
        self._low = np.array([low for low, _ in four], np.int64)
        self._high = (
            np.maximum.accumulate(np.array([high for _, high in four], np.int64)) if four else self._low
        )
        self._six = [n for n in nets if isinstance(n, IPv6Network)]

    def find(self, addresses: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(whether each is inside, its peers: the /24 as a number, or a number of its own kind) of distinct texts."""
        number = len(addresses)
        within, peer = np.zeros(number, np.bool_), np.full(number, _OTHER, np.int64)
        dotted = pc.match_substring_regex(addresses, _DOTTED).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(dotted)
        if len(rows):
            parts = pc.split_pattern(addresses.take(pa.array(rows)), ".")
            octets = parts.values.cast(pa.int64()).to_numpy().reshape(-1, 4)
            good = (octets <= 255).all(axis=1)
            value = octets @ np.array([1 << 24, 1 << 16, 1 << 8, 1])
            at = np.searchsorted(self._low, value, "right") - 1
            if len(self._low):
                within[rows] = good & (at >= 0) & (value <= self._high[np.maximum(at, 0)])
            peer[rows] = value >> 8
        others = np.flatnonzero(~dotted)
        if len(others):
            texts = addresses.take(pa.array(others)).to_pylist()
            # A pseudonym of an address is of one inside.
            for row, text in zip(others.tolist(), texts, strict=True):
                within[row], peer[row] = self._one(text)
        return within, peer

    @staticmethod
    def is_address(texts: pa.Array) -> np.ndarray:
        """Which texts are addresses."""
        made: np.ndarray = kinds_of_hosts(texts) != NAME
        return made

    def _one(self, text: str) -> tuple[bool, int]:
        try:
            address = ip_address(text.split("%", 1)[0])
        except ValueError:
            return text.startswith("addr-"), _OTHER
        if address.version == 4:
            return False, _OTHER
        head = str(ip_network(f"{address}/64", strict=False))
        kept = int(text_keys(pa.array([head]))[0]) & 0x7FFFFFFFFF
        return any(address in net for net in self._six), _OTHER + 1 + kept


_NO_HOST: Final = Inside(("0.0.0.0/8", "224.0.0.0/3", "ff00::/8", "::/128"))


def nowhere(addresses: pa.Array) -> np.ndarray:
    """Which of distinct texts are multicast, broadcast or unspecified addresses.

    >>> nowhere(pa.array(["239.255.255.250", "ff02::1", "203.0.113.1"])).tolist()
    [True, True, False]
    """
    return _NO_HOST.find(addresses)[0]


def peers_name(peer: int) -> str:
    """
    >>> peers_name(0x0A1403)
    '10.20.3.0/24'
    """
    if peer >= _OTHER:
        return "one IPv6 network" if peer > _OTHER else "terminals without an address"
    return f"{peer >> 16}.{peer >> 8 & 255}.{peer & 255}.0/24"
