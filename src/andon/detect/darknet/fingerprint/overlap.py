"""Whose sources are whose: families against known tools, families against each other.

An address that carries two families in *different* packets runs two programs, or is several machines behind one
address. Two relations that hold in the same packets are one program with two marks. So an overlap counts only where
the packets that carry one but not the other, on either side, would prove each by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.measure import Measured, Packets, evidence_of, marks

SAME = 0.8  # of a family's sources named as a tool's: the family is that tool's mark
_CHANCE_MEETING = 0.2


@dataclass(frozen=True)
class Tools:
    """The table ``darknet.tools:sources``: packets by address for each tool."""

    packets: dict[str, dict[int, int]]

    @classmethod
    def of(cls, table: pa.Table | None) -> Tools:
        made: dict[str, dict[int, int]] = {}
        if table is not None:
            columns = (table.column(name).to_pylist() for name in ("src", "tool", "packets"))
            for address, tool, packets in zip(*columns, strict=True):
                made.setdefault(tool, {})[address] = packets
        return cls(made)

    def by_address(self) -> dict[int, int]:
        """Packets of any tool by address."""
        total: dict[int, int] = {}
        for sources in self.packets.values():
            for address, packets in sources.items():
                total[address] = total.get(address, 0) + packets
        return total


@dataclass(frozen=True)
class Shared:
    """How many sources of a family another fingerprint (a tool, or a family's relation) names too."""

    name: str
    sources: int
    share: float  # of the family's


@dataclass(frozen=True)
class Several:
    """Addresses that carry both of two fingerprints in different packets. Parallel arrays, by address; the packets
    are estimates of those that carry either."""

    names: tuple[str, str]
    addresses: np.ndarray
    packets: np.ndarray
    first: int
    last: int


def with_tools(one: Measured, packets: Packets, tools: Tools) -> list[Shared]:
    """Known tools that name sources of this family too, most first."""
    mine = packets.sample.src[one.family.sources].tolist()
    found = []
    for tool, sources in tools.packets.items():
        both = sum(address in sources for address in mine)
        if both:
            found.append(Shared(tool, both, both / len(mine)))
    return sorted(found, key=lambda s: (-s.sources, s.name))


def with_families(measured: Sequence[Measured]) -> list[list[Shared]]:
    """For each family those that share sources with it, most first."""
    found: list[list[Shared]] = [[] for _ in measured]
    for (i, a), (j, b) in combinations(enumerate(measured), 2):
        both = len(np.intersect1d(a.family.sources, b.family.sources, assume_unique=True))
        if both:
            found[i].append(Shared(b.family.relation, both, both / len(a.family.sources)))
            found[j].append(Shared(a.family.relation, both, both / len(b.family.sources)))
    return [sorted(shared, key=lambda s: (-s.sources, s.name)) for shared in found]


def several(
    measured: Sequence[Measured], known_as: Sequence[str], packets: Packets, tools: Tools
) -> list[Several]:
    """Pairs of fingerprints that addresses carry in different packets, most addresses first."""
    sample = packets.sample
    count = len(sample.src)
    word = marks(measured, sample.rows)
    scaled = [np.zeros(count) for _ in measured[:64]]
    only = [np.bincount(packets.of_row[one.rows], minlength=count) for one in measured[:64]]
    for number, one in enumerate(measured[:64]):
        scaled[number][one.family.sources] = one.packets
    made = []
    for i, j in combinations(range(len(only)), 2):
        a, b = measured[i], measured[j]
        shared = np.intersect1d(a.family.sources, b.family.sources, assume_unique=True)
        if not len(shared):
            continue
        pair = np.uint64(1 << i | 1 << j)
        together = np.bincount(packets.of_row[(word & pair) == pair], minlength=count)
        good = evidence_of(a.family, (only[i] - together)[shared])
        good &= evidence_of(b.family, (only[j] - together)[shared])
        at = shared[good]
        if len(at):
            total = np.rint((scaled[i] + scaled[j])[at]).astype(np.int64)
            made.append(_several((a.family.relation, b.family.relation), at, total, (a, b), packets))
    made += _beside_tools(measured, known_as, packets, tools)
    return sorted(made, key=lambda s: (-len(s.addresses), s.names))


def _beside_tools(
    measured: Sequence[Measured], known_as: Sequence[str], packets: Packets, tools: Tools
) -> list[Several]:
    """Sources of a family that are named as a tool's which is no family here, and send other packets as well."""
    made = []
    for tool, named in tools.packets.items():
        if tool in known_as:
            continue
        for one in measured:
            mine = one.family.sources
            is_named = np.array([int(a) in named for a in packets.sample.src[mine]], np.bool_)
            other_packets = one.hits * 10 <= one.sampled * 9
            at = mine[is_named & other_packets]
            # Where many of a family's sources are the tool's, it may be a trace of the tool in the same packets.
            if len(at) and float(is_named.mean()) <= _CHANCE_MEETING:
                total = one.packets[is_named & other_packets]
                made.append(_several((one.family.relation, tool), at, total, (one,), packets))
    return made


def _several(
    names: tuple[str, str],
    at: np.ndarray,
    total: np.ndarray,
    measured: Sequence[Measured],
    packets: Packets,
) -> Several:
    mine = np.zeros(len(packets.sample.src), np.bool_)
    mine[at] = True
    rows = np.unique(np.concatenate([one.rows for one in measured]))
    rows = rows[mine[packets.of_row[rows]]]
    ts = packets.sample.columns["ts"][rows]
    return Several(names, packets.sample.src[at], total, int(ts.min()), int(ts.max()))
