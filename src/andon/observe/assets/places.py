"""Addresses as people write them in lists: one, several, ranges, prefixes; full-width digits; IPv6."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

MOST: Final = 4096  # places in one cell
WIDEST: Final = 1 << 24  # addresses of one place: a list that claims more is no list of systems
_SEPARATORS: Final = re.compile(r"[\s,;、|]+")
_RANGE: Final = re.compile(r"\s*(?:[-~〜–—‐−]|\bto\b|から)\s*")
_DOTS: Final = str.maketrans({"．": ".", "。": ".", "，": ",", "；": ";", "／": "/"})


class Place(NamedTuple):
    """``first`` and ``last``: IPv4 numbers, both included, -1 for IPv6; ``text``: address, range or prefix."""

    first: int
    last: int
    text: str


class BadAddress(ValueError):
    """No address, or one that cannot be meant; the text says which."""


@lru_cache(maxsize=1 << 16)
def places(cell: str) -> tuple[Place, ...]:
    """Places named in a cell, in its order. Raises BadAddress for the first piece that is none.

    ``192.0.2.7/24`` (an interface with its mask) is the one address, ``192.0.2.0/24`` the prefix.

    >>> [place.text for place in places("１９２.0.2.1、192.0.2.8-192.0.2.9 198.51.100.0/24")]
    ['192.0.2.1', '192.0.2.8-192.0.2.9', '198.51.100.0/24']
    """
    text = unicodedata.normalize("NFKC", cell).translate(_DOTS).strip()
    pieces = [piece for piece in _SEPARATORS.split(_RANGE.sub("-", text)) if piece]
    if not pieces:
        raise BadAddress("no address")
    if len(pieces) > MOST:
        raise BadAddress(f"more than {MOST} addresses in one cell")
    return tuple(_place(piece) for piece in pieces)


def place(text: str) -> Place:
    """The one place that a text names. Raises BadAddress."""
    found = places(text)
    if len(found) != 1:
        raise BadAddress(f"{text[:60]!r} is more than one address")
    return found[0]


def _place(piece: str) -> Place:
    try:
        if "/" in piece:
            return _prefix(piece)
        if "-" in piece:
            return _range(piece)
        return _single(ip_address(piece.strip("[]").split("%")[0]))
    except BadAddress:
        raise
    except ValueError:
        raise BadAddress(f"{piece[:60]!r} is no address") from None


def _single(address: IPv4Address | IPv6Address) -> Place:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return Place(-1, -1, str(address))
        address = address.ipv4_mapped
    return Place(int(address), int(address), str(address))


def _prefix(piece: str) -> Place:
    network = ip_network(piece, strict=False)
    address = ip_address(piece.split("/", maxsplit=1)[0])
    if address != network.network_address:
        return _single(address)
    if not isinstance(network, IPv4Network):
        return Place(-1, -1, str(network) if network.prefixlen < 128 else str(address))
    if network.num_addresses > WIDEST:
        raise BadAddress(f"{piece[:60]!r} is wider than any list of systems")
    if network.prefixlen == 32:
        return _single(address)
    return Place(int(network.network_address), int(network.broadcast_address), str(network))


def _range(piece: str) -> Place:
    begin, _, end = piece.partition("-")
    if ":" in begin:
        raise BadAddress(f"{piece[:60]!r}: ranges of IPv6 are not read, write a prefix")
    first = IPv4Address(begin)
    # 192.0.2.10-20
    last = IPv4Address(end if "." in end else f"{begin.rsplit('.', 1)[0]}.{end}")
    if last < first:
        raise BadAddress(f"{piece[:60]!r} runs backwards")
    if int(last) - int(first) >= WIDEST:
        raise BadAddress(f"{piece[:60]!r} is wider than any list of systems")
    if first == last:
        return _single(first)
    return Place(int(first), int(last), f"{first}-{last}")
