"""Where an address is: inside the organisation or not, and which network it shares with its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records import inside
from andon.records.domains import NAME, kinds_of_hosts
from andon.sketch.texts import text_keys

_OTHER: Final = 1 << 40  # peers that are no IPv4 network


class Inside:
    """The organisation's prefixes (CIDR); none: private and link-local addresses. Raises ValueError for a prefix that
    is none."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.given = bool(prefixes)
        self._inside = inside.Inside(prefixes)

    def find(self, addresses: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(whether each is inside, its peers: the /24 as a number, or a number of its own kind) of distinct texts."""
        # A pseudonym of an address is of one inside.
        within = self._inside.find(addresses) | np.array(pc.starts_with(addresses, "addr-"), bool)
        peer = np.full(len(addresses), _OTHER, np.int64)
        dotted = pc.match_substring_regex(addresses, inside.DOTTED).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(dotted)
        if len(rows):
            octets = pc.split_pattern(addresses.take(pa.array(rows)), ".").values.cast(pa.int64()).to_numpy()
            peer[rows] = octets.reshape(-1, 4) @ np.array([1 << 16, 1 << 8, 1, 0])
        others = np.flatnonzero(~dotted)
        if len(others):
            texts = addresses.take(pa.array(others)).to_pylist()
            peer[others] = [_peers_of(text) for text in texts]
        return within, peer

    @staticmethod
    def is_address(texts: pa.Array) -> np.ndarray:
        """Which texts are addresses."""
        made: np.ndarray = kinds_of_hosts(texts) != NAME
        return made


def _peers_of(text: str) -> int:
    """Of what is no dotted address: the /64 of an IPv6 address as a number."""
    try:
        address = ip_address(text.split("%", 1)[0])
    except ValueError:
        return _OTHER
    if address.version == 4:
        return _OTHER
    head = str(ip_network(f"{address}/64", strict=False))
    return _OTHER + 1 + (int(text_keys(pa.array([head]))[0]) & 0x7FFFFFFFFF)


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
