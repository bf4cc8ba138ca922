"""Whose address is it: registered prefixes as flat intervals, the most specific prefix winning.

Nearly every packet of a telescope comes from nobody's member, so that answer has to be cheap: one look at a
table of the 65,536 /16 blocks, and a binary search only where some prefix reaches into the block. An IPv6 packet
has 0 in its IPv4 column, so only rows with 0 there are asked whether they are IPv6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network

import numpy as np
from numba import njit

from andon.records import packet
from andon.records.contract import Organisation

NOBODY = -1
POSITIONS = 1 << 16  # a position in an organisation's address space is a fraction of this
_MAPPED = 0xFFFF << 32  # ::ffff:a.b.c.d, how an IPv4 address is written in 128 bits
_LOW = (1 << 64) - 1
_IPV4, _IPV6 = packet.IPV4, packet.IPV6
_16 = np.uint32(16)


@dataclass(frozen=True)
class Intervals:
    """Half-open pieces of an address space: from ``hi, lo`` on (128-bit addresses as two words; IPv4 in ``lo``) the
    owner is ``owner`` (index of an organisation, or NOBODY), up to the next piece."""

    hi: np.ndarray  # uint64
    lo: np.ndarray  # uint64
    owner: np.ndarray  # int32


class Members:
    """The registered prefixes.

    Raises ValueError, naming organisation and prefix, for what is no prefix, for one given twice, and for names that
    are empty or given twice.

    >>> ours = Members([Organisation("a", ("192.0.2.0/24", "2001:db8::/32")), Organisation("b", ("192.0.2.8/29",))])
    >>> ours.owner("192.0.2.9"), ours.owner("192.0.2.16"), ours.owner("2001:db8::1"), ours.owner("203.0.113.1")
    ('b', 'a', 'a', None)
    """

    def __init__(self, organisations: Sequence[Organisation]) -> None:
        self.organisations = tuple(organisations)
        networks = _networks(self.organisations)
        v4 = [(network, owner) for network, owner in networks if isinstance(network, IPv4Network)]
        v6 = [(network, owner) for network, owner in networks if isinstance(network, IPv6Network)]
        self.v4, self.v6 = _flat(v4, 32), _flat(v6, 128)
        self.starts4 = self.v4.lo.astype(np.uint32)
        self.blocks = np.zeros(1 << 16, np.bool_)
        for network, _ in v4:
            first, last = int(network.network_address) >> 16, int(network.broadcast_address) >> 16
            self.blocks[first : last + 1] = True
        self._spaces = [_Space([n for n, of in networks if of == k]) for k in range(len(self.organisations))]

    def owner(self, address: str) -> str | None:
        """Name of the organisation of an address, or None."""
        parsed = ip_address(address)
        value = int(parsed)
        piece = self.v4 if isinstance(parsed, IPv4Address) else self.v6
        index = find(piece.hi, piece.lo, piece.owner, np.uint64(value >> 64), np.uint64(value & _LOW))
        return None if index == NOBODY else self.organisations[index].name

    def sizes(self, organisation: int) -> tuple[int, int]:
        """Number of registered (IPv4, IPv6) addresses, nested prefixes of others included; at most 2^63."""
        space = self._spaces[organisation]
        v4, v6 = (sum(size for _, size in pieces) for pieces in (space.v4, space.v6))
        return v4, min(v6, 1 << 63)

    def position(self, organisation: int, address: int) -> int:
        """Where an address stands in the organisation's space: 0 to POSITIONS - 1, evenly."""
        return self._spaces[organisation].position(address)


class _Space:
    """The prefixes of one organisation, one behind the other: IPv4 and IPv6 apart, since they differ so in size."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        self.v4 = sorted((int(n.network_address), n.num_addresses) for n in networks if n.version == 4)
        self.v6 = sorted((int(n.network_address), n.num_addresses) for n in networks if n.version == 6)

    def position(self, address: int) -> int:
        mapped = address >> 32 == 0xFFFF
        pieces = self.v4 if mapped else self.v6
        value = address & 0xFFFFFFFF if mapped else address
        before = 0
        for start, size in pieces:
            if start <= value < start + size:
                before += value - start
                break
            before += size
        return min(POSITIONS - 1, before * POSITIONS // max(1, sum(size for _, size in pieces)))


def _networks(organisations: Sequence[Organisation]) -> list[tuple[IPv4Network | IPv6Network, int]]:
    found: list[tuple[IPv4Network | IPv6Network, int]] = []
    given: dict[IPv4Network | IPv6Network, str] = {}
    names: set[str] = set()
    for index, organisation in enumerate(organisations):
        if not organisation.name.strip() or organisation.name in names:
            raise ValueError(
                f"organisation {organisation.name!r}: every organisation needs a name of its own"
            )
        names.add(organisation.name)
        for text in organisation.prefixes:
            try:
                network = ip_network(text.strip())
            except ValueError as error:
                raise ValueError(f"organisation {organisation.name}: prefix {text!r}: {error}") from error
            if network in given:
                raise ValueError(
                    f"prefix {network} is registered twice: by {given[network]} and by {organisation.name}"
                )
            given[network] = organisation.name
            found.append((network, index))
    return found


def _flat(networks: Sequence[tuple[IPv4Network | IPv6Network, int]], bits: int) -> Intervals:
    """Nested prefixes as pieces that do not overlap. Prefixes either nest or are disjoint, so a stack will do."""
    pieces: list[tuple[int, int]] = [(0, NOBODY)]
    stack: list[tuple[int, int]] = []  # (end, owner)

    def begin(at: int, owner: int) -> None:
        if at >> bits:
            return
        if pieces[-1][0] == at:
            pieces.pop()
        pieces.append((at, owner))

    def close_until(at: int) -> None:
        while stack and stack[-1][0] <= at:
            end, _ = stack.pop()
            begin(end, stack[-1][1] if stack else NOBODY)

    for network, owner in sorted(
        networks, key=lambda item: (int(item[0].network_address), item[0].prefixlen)
    ):
        start = int(network.network_address)
        close_until(start)
        begin(start, owner)
        stack.append((start + network.num_addresses, owner))
    close_until(1 << bits)
    return Intervals(
        np.array([at >> 64 for at, _ in pieces], np.uint64),
        np.array([at & _LOW for at, _ in pieces], np.uint64),
        np.array([owner for _, owner in pieces], np.int32),
    )


def telescope_pieces(prefixes: Sequence[str]) -> tuple[Intervals, Intervals]:
    """(IPv4, IPv6) pieces of the telescope: owner 0 inside. Everything is inside if no prefix is given.

    Raises ValueError for what is no prefix.
    """
    if not prefixes:
        everything = Intervals(np.zeros(1, np.uint64), np.zeros(1, np.uint64), np.zeros(1, np.int32))
        return everything, everything
    parsed: list[IPv4Network | IPv6Network] = []
    for text in prefixes:
        try:
            parsed.append(ip_network(text.strip()))
        except ValueError as error:
            raise ValueError(f"telescope prefix {text!r}: {error}") from error
    every = dict.fromkeys(parsed)
    return (
        _flat([(n, 0) for n in every if isinstance(n, IPv4Network)], 32),
        _flat([(n, 0) for n in every if isinstance(n, IPv6Network)], 128),
    )


def mapped(address: int) -> int:
    """An IPv4 address in 128 bits."""
    return _MAPPED | address


@njit(cache=True, nogil=True)
def find(hi: np.ndarray, lo: np.ndarray, owner: np.ndarray, a_hi: np.uint64, a_lo: np.uint64) -> int:
    """Owner of the piece that a 128-bit address lies in."""
    low, high = 0, hi.shape[0]
    while high - low > 1:
        middle = (low + high) >> 1
        if hi[middle] < a_hi or (hi[middle] == a_hi and lo[middle] <= a_lo):
            low = middle
        else:
            high = middle
    return int(owner[low])


@njit(cache=True, nogil=True)
def find4(starts: np.ndarray, owner: np.ndarray, address: np.uint32) -> int:
    """The same for an IPv4 address; ``starts`` are uint32."""
    low, high = 0, starts.shape[0]
    while high - low > 1:
        middle = (low + high) >> 1
        if starts[middle] <= address:
            low = middle
        else:
            high = middle
    return int(owner[low])


@njit(cache=True, nogil=True)
def word(bytes16: np.ndarray, start: int) -> np.uint64:
    """Eight bytes of an IPv6 address, in network order, as a number."""
    value = np.uint64(0)
    for i in range(start, start + 8):
        value = (value << np.uint64(8)) | np.uint64(bytes16[i])
    return value


@njit(cache=True, nogil=True)
def from_members(
    src: np.ndarray,
    layers: np.ndarray,
    src6: np.ndarray,
    blocks: np.ndarray,
    starts4: np.ndarray,
    owner4: np.ndarray,
    hi6: np.ndarray,
    lo6: np.ndarray,
    owner6: np.ndarray,
    rows: np.ndarray,
    owners: np.ndarray,
) -> int:
    """Write the rows whose source is registered, and their owners; gives how many."""
    found = 0
    has6 = hi6.shape[0] > 1
    for i in range(src.shape[0]):
        address = src[i]
        owner = -1
        if address != 0:
            if blocks[address >> _16]:
                owner = find4(starts4, owner4, address)
        elif layers[i] & _IPV6:
            if has6:
                owner = find(hi6, lo6, owner6, word(src6[i], 0), word(src6[i], 8))
        elif blocks[0] and layers[i] & _IPV4:
            owner = find4(starts4, owner4, address)
        if owner >= 0:
            rows[found] = i
            owners[found] = owner
            found += 1
    return found
