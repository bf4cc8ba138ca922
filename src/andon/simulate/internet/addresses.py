"""Addresses on both sides: the telescope as one range of indices, and sources that are never given out twice."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

import numpy as np

# Not on the public Internet (RFC 6890), as (first, last) in whole /16.
_RESERVED = (("0.0.0.0", 8), ("10.0.0.0", 8), ("100.64.0.0", 10), ("127.0.0.0", 8), ("169.254.0.0", 16),
             ("172.16.0.0", 12), ("192.0.0.0", 16), ("192.168.0.0", 16), ("198.18.0.0", 15), ("198.51.0.0", 16),
             ("203.0.0.0", 16), ("224.0.0.0", 3))  # fmt: skip


class Space(NamedTuple):
    """The telescope's addresses, numbered 0 to ``size`` - 1: address = bases[i >> granule] | (i mod 2^granule)."""

    bases: np.ndarray
    granule: int
    size: int
    starts: np.ndarray  # first index of every block

    def all(self) -> np.ndarray:
        """All addresses in order of their index (uint32)."""
        index = np.arange(self.size, dtype=np.int64)
        found: np.ndarray = self.bases[index >> self.granule] | (index & ((1 << self.granule) - 1)).astype(
            np.uint32
        )
        return found


def space(blocks: tuple[ipaddress.IPv4Network, ...]) -> Space:
    """Number the addresses of ``blocks`` one after the other."""
    granule = min(32 - b.prefixlen for b in blocks)
    step = 1 << granule
    bases = np.concatenate(
        [
            np.arange(int(b.network_address), int(b.broadcast_address) + 1, step, dtype=np.int64)
            for b in blocks
        ]
    ).astype(np.uint32)
    sizes = [b.num_addresses for b in blocks]
    return Space(bases, granule, sum(sizes), np.cumsum([0, *sizes[:-1]]))


class Sources:
    """Draws public source addresses outside the telescope, each at most once.

    Hosts are not spread evenly over the Internet: half of the draws fall into 4,096 populated /16 of which the
    fuller ones are drawn more often, so that some networks hold many sources.
    """

    def __init__(self, rng: np.random.Generator, blocks: tuple[ipaddress.IPv4Network, ...]) -> None:
        self._rng = rng
        self._usable = np.ones(65536, bool)
        for address, length in _RESERVED:
            first = int(ipaddress.IPv4Address(address)) >> 16
            self._usable[first : first + (1 << max(16 - length, 0))] = False
        for block in blocks:
            first = int(block.network_address) >> 16
            self._usable[first : first + max(block.num_addresses >> 16, 1)] = False
        places = np.flatnonzero(self._usable)
        self._populated = rng.permutation(places)[:4096]
        share = 1.0 / np.arange(8, 8 + len(self._populated))
        self._share = np.cumsum(share / share.sum())
        self._places = places
        self._taken = np.zeros(0, np.uint32)

    def draw(self, count: int) -> np.ndarray:
        """``count`` new addresses (uint32), in no order."""
        got = np.zeros(0, np.uint32)
        while len(got) < count:
            want = (count - len(got)) * 5 // 4 + 16
            crowded = self._populated[np.searchsorted(self._share, self._rng.random(want) * self._share[-1])]
            spread = self._places[self._rng.integers(0, len(self._places), want)]
            high = np.where(self._rng.random(want) < 0.5, crowded, spread)
            fresh = ((high << 16) | self._rng.integers(1, 65535, want)).astype(np.uint32)
            fresh = np.unique(fresh)
            fresh = fresh[~_among(fresh, self._taken)]
            got = np.concatenate([got, self._rng.permutation(fresh[~_among(fresh, np.sort(got))])])
        got = got[:count]
        self._taken = np.sort(np.concatenate([self._taken, got]))
        return got

    def draw_block(self, count: int) -> np.ndarray:
        """``count`` new neighbouring addresses inside one /24."""
        while True:
            net = (int(self._rng.choice(self._places)) << 16) | (int(self._rng.integers(0, 256)) << 8)
            first = int(self._rng.integers(1, 256 - count))
            got = np.arange(net + first, net + first + count).astype(np.uint32)
            if not _among(got, self._taken).any():
                self._taken = np.sort(np.concatenate([self._taken, got]))
                return got


def _among(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Which ``values`` occur in ``ordered`` (sorted)."""
    if len(ordered) == 0:
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    found: np.ndarray = ordered[at] == values
    return found
