"""The table ``telescope``: the prefixes given, or those inferred, and what was seen in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.census.summary import Census
from andon.detect.darknet.census.telescope import Part, count_in, infer

_TIME = pa.timestamp("ns", tz="UTC")
_FIELDS: list[pa.Field[Any]] = [
    pa.field("cidr", pa.string(), nullable=False),
    pa.field("addresses", pa.int64(), nullable=False),
    pa.field("seen", pa.int64(), nullable=False),  # distinct destinations seen in it
    pa.field("given", pa.bool_(), nullable=False),
    pa.field("first", _TIME, nullable=False),  # observed times of the span, the same in every row
    pa.field("last", _TIME, nullable=False),
]
TELESCOPE = pa.schema(_FIELDS)


@dataclass(frozen=True)
class Prefixes:
    """``parts`` is empty if none were given and none could be inferred. ``inside`` counts packets whose
    source is in the telescope, which a telescope never sends."""

    parts: tuple[Part, ...]
    given: bool
    seen: int  # distinct IPv4 destinations
    stray: int  # those of them outside the parts
    inside: int
    table: pa.Table

    @property
    def addresses(self) -> int:
        return sum(part.network.num_addresses for part in self.parts)


def given_networks(prefixes: Sequence[str]) -> list[IPv4Network]:
    """IPv4 networks without overlap; IPv6 ones are left out. Raises ValueError naming a bad prefix."""
    networks = []
    for prefix in prefixes:
        try:
            network: IPv4Network | IPv6Network = ip_network(prefix.strip())
        except ValueError as error:
            raise ValueError(f"telescope prefix {prefix!r}: {error}") from error
        if isinstance(network, IPv4Network):
            networks.append(network)
    return sorted(collapse_addresses(networks))


def observed(
    summary: Census, sources: tuple[np.ndarray, np.ndarray, np.ndarray], given: Sequence[str]
) -> Prefixes:
    """Given or inferred prefixes of a day. ``sources`` as of ``Census.by_source``."""
    nets, bits, counts, packets = summary.destinations()
    seen = int(counts.sum()) << summary.nets.level
    if given:
        parts = [Part(network, count_in(network, nets, bits)) for network in given_networks(given)]
        stray = seen - sum(part.seen for part in parts)
    else:
        found = infer(nets, bits, counts, packets, sampled=summary.nets.level > 0)
        parts = _without_senders(found.parts, nets, packets, sources)
        stray = seen - sum(part.seen for part in parts)
    first, last = int(summary.times[0]), int(summary.times[1])
    rows = [(str(p.network), p.network.num_addresses, p.seen) for p in parts] or [("0.0.0.0/0", seen, seen)]
    table = pa.table(
        {
            "cidr": [row[0] for row in rows],
            "addresses": [row[1] for row in rows],
            "seen": [row[2] for row in rows],
            "given": [bool(given)] * len(rows),
            "first": pa.array([first] * len(rows), pa.int64()).cast(_TIME),
            "last": pa.array([last] * len(rows), pa.int64()).cast(_TIME),
        },
        schema=TELESCOPE,
    )
    return Prefixes(tuple(parts), bool(given), seen, stray, _sent_from(parts, sources), table)


def _without_senders(
    parts: Sequence[Part],
    nets: np.ndarray,
    packets: np.ndarray,
    sources: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> list[Part]:
    """Leave out single addresses that sent more than they received: live hosts in a two-way capture."""
    kept = []
    for part in parts:
        address = int(part.network.network_address)
        received = int(packets[np.searchsorted(nets, address >> 8)])
        if part.network.prefixlen < 32 or _sent_from([part], sources) <= received:
            kept.append(part)
    return kept or list(parts)


def _sent_from(parts: Sequence[Part], sources: tuple[np.ndarray, np.ndarray, np.ndarray]) -> int:
    address, packets, _ = sources
    sent = 0
    for part in parts:
        low = np.searchsorted(address, np.uint32(int(part.network.network_address)))
        high = np.searchsorted(address, np.uint32(int(part.network.broadcast_address)), side="right")
        sent += int(packets[low:high].sum())
    return sent
