"""Which prefixes the telescope has, inferred from the destinations of its packets.

Method: the prefix cover of least description length (Rissanen, "Modeling by shortest data description",
Automatica 14, 1978) over the binary tree of IPv4 prefixes. A prefix costs the bits to name it and how many
of its addresses were seen; the n addresses seen of its N cost log2 C(N, n) bits. Bottom-up, each prefix is
either taken whole or left to its two halves, whichever is cheaper. So a /16 of which 30 % was seen costs
less as one /16 than as its parts or inside its /15, five disjoint /18 stay five, one destination is a /32,
and destinations spread over all of IPv4 are cheapest under prefixes so short that no telescope has them,
which is how a capture taken at a scanner is told from a telescope.

Where it fails: a scan of one provider's /12 captured at the scanner looks like a telescope of a /12; the
finding therefore says that the prefixes were inferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

import numpy as np

_NAME_BITS = 37.0  # 32 for the address, 5 for the length
_SHORTEST = 8  # the largest telescopes known are about a /8
_FINE = 1 << 20  # up to so many addresses seen the tree starts at /32, beyond at /24
_THINNEST = 2.0**-12  # least share of addresses seen in a prefix
_MUCH_THINNER = 64.0  # a part so much thinner than the main part is not of the telescope
_STRAYS = 2  # so few addresses in a part are strays, if the main part has at least ...
_MANY = 32
_SENSORS = 256  # at most so many scattered addresses may be sensors of their own ...
_SENSOR_PACKETS = 30  # ... if each gets so many packets on average


@dataclass(frozen=True)
class Part:
    """One prefix and how many of its addresses were seen."""

    network: IPv4Network
    seen: int


@dataclass(frozen=True)
class Inferred:
    """``parts`` is empty if the destinations show no telescope. ``seen`` counts all distinct destinations,
    ``stray`` those of them outside the parts."""

    parts: tuple[Part, ...]
    seen: int
    stray: int


def infer(
    nets: np.ndarray, bits: np.ndarray, counts: np.ndarray, packets: np.ndarray, sampled: bool = False
) -> Inferred:
    """Prefixes from destinations.

    ``nets``: distinct /24 numbers (address >> 8, int64, ascending); ``bits``: (n, 4) uint64, the addresses
    seen in each; ``counts``: how many those are; ``packets``: packets to each /24. ``sampled`` says that
    the /24s are only a sample of those seen, which by itself shows that the destinations are everywhere.

    >>> one = np.array([[1 << 7, 0, 0, 0]], np.uint64)
    >>> found = infer(np.array([0xC00002]), one, np.array([1]), np.array([40]))
    >>> str(found.parts[0].network), found.parts[0].seen
    ('192.0.2.7/32', 1)
    """
    # Multicast, broadcast, loopback and "this network" are nobody's telescope.
    first = nets >> 16
    real = (first < 224) & (first != 127) & (first != 0)
    seen = int(counts.sum())
    nets, bits, counts, packets = nets[real], bits[real], counts[real], packets[real]
    if not len(nets) or sampled:
        return Inferred((), seen, seen)
    pieces = _cover(nets, bits, counts)
    kept = _believable(pieces)
    if not kept and counts.sum() <= _SENSORS and packets.sum() >= _SENSOR_PACKETS * counts.sum():
        kept = [(address, 32, 1) for address in _addresses(nets, bits).tolist()]
    parts = _merged(kept, nets, bits)
    return Inferred(tuple(parts), seen, seen - sum(part.seen for part in parts))


def _choose_bits(total: float, seen: np.ndarray) -> np.ndarray:
    """log2 of the number of ways to choose ``seen`` of ``total`` (Stirling), in bits."""
    n = seen.astype(np.float64)
    rest = total - n
    inner = (n > 0) & (rest > 0)
    a, b = n[inner], rest[inner]
    out = np.zeros(len(n))
    out[inner] = np.maximum(
        a * np.log2(total / a) + b * np.log2(total / b) - 0.5 * np.log2(2 * np.pi * a * b / total), 0.0
    )
    return out


def _addresses(nets: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Addresses seen, ascending, as int64."""
    flags = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8), axis=1, bitorder="little")
    row, low = np.nonzero(flags)
    return (nets[row] << 8) | low


def _cover(nets: np.ndarray, bits: np.ndarray, counts: np.ndarray) -> list[tuple[int, int, int]]:
    """The cheapest cover: (prefix number, length, addresses seen) by address."""
    if counts.sum() <= _FINE:
        length, prefixes = 32, _addresses(nets, bits)
        seen = np.ones(len(prefixes), np.int64)
    else:
        length, prefixes, seen = 24, nets, counts
    levels: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # prefixes, seen, taken whole
    below = np.full(len(prefixes), np.inf)
    while True:
        total = 2.0 ** (32 - length)
        whole = _NAME_BITS + np.log2(total + 1) + _choose_bits(total, seen)
        taken = whole <= below
        best = np.where(taken, whole, below)
        levels.append((prefixes, seen, taken))
        if length == 0:
            break
        length -= 1
        half = prefixes >> 1
        start = np.flatnonzero(np.r_[True, half[1:] != half[:-1]])
        prefixes, seen = half[start], np.add.reduceat(seen, start)
        below = np.add.reduceat(best, start)
    cover: list[tuple[int, int, int]] = []
    open_prefixes = np.zeros(1, np.int64)  # not under a taken prefix yet
    for length, (prefixes, seen, taken) in enumerate(reversed(levels)):
        here = np.isin(prefixes, open_prefixes)
        chosen = here & taken
        numbers, reached = prefixes[chosen].tolist(), seen[chosen].tolist()
        cover.extend((number, length, count) for number, count in zip(numbers, reached, strict=True))
        going_on = prefixes[here & ~taken]
        open_prefixes = np.r_[going_on * 2, going_on * 2 + 1]
    return cover


def _believable(pieces: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The pieces that may be a telescope's, as (first address, length, seen): long, dense, not a stray."""
    dense = [
        (prefix << (32 - length), length, seen)
        for prefix, length, seen in pieces
        if length >= _SHORTEST and seen >= _THINNEST * 2.0 ** (32 - length)
    ]
    if 2 * sum(piece[2] for piece in dense) < sum(piece[2] for piece in pieces):
        return []
    _, main_length, most = max(dense, key=lambda piece: piece[2])
    density = most / 2.0 ** (32 - main_length)
    return [
        piece
        for piece in dense
        if piece[2] / 2.0 ** (32 - piece[1]) * _MUCH_THINNER >= density
        and not (most >= _MANY and piece[2] <= _STRAYS)
        and piece[2] >= most / 1000
    ]


def _merged(pieces: list[tuple[int, int, int]], nets: np.ndarray, bits: np.ndarray) -> list[Part]:
    networks = collapse_addresses(IPv4Network((first, length)) for first, length, _ in pieces)
    return [Part(network, count_in(network, nets, bits)) for network in sorted(networks)]


def count_in(network: IPv4Network, nets: np.ndarray, bits: np.ndarray) -> int:
    """How many addresses of a prefix were seen."""
    low, high = int(network.network_address), int(network.broadcast_address)
    start, end = np.searchsorted(nets, low >> 8), np.searchsorted(nets, high >> 8, side="right")
    if start == end:
        return 0
    if network.prefixlen <= 24:
        return int(np.bitwise_count(bits[start:end]).sum())
    addresses = _addresses(nets[start:end], bits[start:end])
    return int(((addresses >= low) & (addresses <= high)).sum())
