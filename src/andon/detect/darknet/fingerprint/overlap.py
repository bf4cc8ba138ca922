"""Whose sources are whose: families against known tools, families against each other.

An address that carries two families in *different* packets runs two programs, or is several machines behind one
address. Two relations that hold in the same packets are one program with two marks. So an overlap counts only where
the packets that carry one but not the other, on either side, would prove each by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint.measure import Measured, Packets, evidence_of
from andon.records.expression import canonical, parse
from andon.records.expression.ast import fields_of
from andon.records.expression.keyed import conjuncts

SAME = 0.8  # of a family's sources named as a tool's: the family is that tool's mark
_CHANCE_MEETING = 0.2
_GUARDS = frozenset({"tcp.flags", "udp.dstport"})


@dataclass(frozen=True)
class Tools:
    """The table ``darknet.tools:sources``: for each tool its addresses (uint32, ascending) and their packets."""

    named: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, table: pa.Table | None) -> Tools:
        made: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        if table is not None and table.num_rows:
            address, packets = (table.column(name).to_numpy() for name in ("src", "packets"))
            coded = table.column("tool").combine_chunks().dictionary_encode()
            tool = coded.indices.to_numpy()
            for number, name in enumerate(coded.dictionary.to_pylist()):
                mine, at = np.unique(address[tool == number], return_inverse=True)
                made[name] = (mine, np.bincount(at, packets[tool == number]).astype(np.int64))
        return cls(made)

    def packets_of(self, addresses: np.ndarray) -> np.ndarray:
        """Packets of any tool (int64) of each of these addresses."""
        total = np.zeros(len(addresses), np.int64)
        for mine, packets in self.named.values():
            at = np.minimum(np.searchsorted(mine, addresses), len(mine) - 1)
            total += np.where(mine[at] == addresses, packets[at], 0)
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
    mine = packets.sample.src[one.family.sources]
    found = []
    for tool, (addresses, _) in tools.named.items():
        both = int(np.isin(mine, addresses).sum())
        if both:
            found.append(Shared(tool, both, both / len(mine)))
    return sorted(found, key=lambda s: (-s.sources, s.name))


def by_relation(one: Measured, relations: Mapping[str, str]) -> list[Shared]:
    """Known tools whose mark this family's relation is; ``relations`` by the tool's name, as ``tool_marks`` gives
    them."""
    count = len(one.family.sources)
    return [Shared(tool, count, 1.0) for tool, mark in relations.items() if mark == one.family.relation]


def tool_marks(relations: Mapping[str, str]) -> dict[str, str]:
    """Relations of tools (``Site.relations``) without the conditions that say which packets are meant, in canonical
    form.

    >>> tool_marks({"mirai": "(tcp.flags & 0x3f == 2) and (tcp.seq == ip.dst)"})
    {'mirai': 'tcp.seq == ip.dst'}
    """
    marks = {}
    for tool, text in sorted(relations.items()):
        parts = [part for part in conjuncts(parse(text)) if not fields_of(part) <= _GUARDS]
        if len(parts) == 1:
            marks[tool] = str(canonical(parts[0]))
    return marks


def with_families(measured: Sequence[Measured]) -> list[list[Shared]]:
    """For each family those that share sources with it, most first."""
    found: list[list[Shared]] = [[] for _ in measured]
    for (i, j), both in meetings(measured).items():
        a, b = measured[i], measured[j]
        found[i].append(Shared(b.family.relation, both, both / len(a.family.sources)))
        found[j].append(Shared(a.family.relation, both, both / len(b.family.sources)))
    return [sorted(shared, key=lambda s: (-s.sources, s.name)) for shared in found]


def meetings(measured: Sequence[Measured]) -> dict[tuple[int, int], int]:
    """How many sources two families share, for the pairs (i < j) that share any.

    By the sources that are in several families, not by all pairs: of thousands of families few meet.
    """
    count = len(measured)
    if count < 2:
        return {}
    source = np.concatenate([one.family.sources for one in measured])
    number = np.repeat(np.arange(count), [len(one.family.sources) for one in measured])
    order = np.lexsort((number, source))
    source, number = source[order], number[order]
    met: dict[tuple[int, int], int] = {}
    for apart in range(1, count):
        same = source[apart:] == source[:-apart]
        if not same.any():
            break
        codes = number[:-apart][same] * count + number[apart:][same]
        for code, both in zip(*np.unique(codes, return_counts=True), strict=True):
            pair = divmod(int(code), count)
            met[pair] = met.get(pair, 0) + int(both)
    return met


def several(
    measured: Sequence[Measured], known_as: Sequence[str], packets: Packets, tools: Tools
) -> list[Several]:
    """Pairs of fingerprints that addresses carry in different packets, most addresses first."""
    count = len(packets.sample.src)
    made = []
    for i, j in sorted(meetings(measured)):
        a, b = measured[i], measured[j]
        shared, at_a, at_b = np.intersect1d(
            a.family.sources, b.family.sources, assume_unique=True, return_indices=True
        )
        both = np.intersect1d(a.rows, b.rows, assume_unique=True)
        together = np.bincount(packets.of_row[both], minlength=count)[shared]
        good = evidence_of(a.family, a.hits[at_a] - together)
        good &= evidence_of(b.family, b.hits[at_b] - together)
        if good.any():
            total = a.packets[at_a][good] + b.packets[at_b][good]
            names = (a.family.relation, b.family.relation)
            made.append(_several(names, shared[good], total, (a, b), packets))
    made += _beside_tools(measured, known_as, packets, tools)
    return sorted(made, key=lambda s: (-len(s.addresses), s.names))


def _beside_tools(
    measured: Sequence[Measured], known_as: Sequence[str], packets: Packets, tools: Tools
) -> list[Several]:
    """Sources of a family that are named as a tool's which is no family here, and send other packets as well."""
    made = []
    for tool, (addresses, _) in tools.named.items():
        if tool in known_as:
            continue
        for one in measured:
            mine = one.family.sources
            is_named = np.isin(packets.sample.src[mine], addresses)
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
