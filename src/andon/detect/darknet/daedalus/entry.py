"""Small steps on one entry (a row of ``state.ENTRY``, changed in place)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from andon.detect.darknet.daedalus.observation import Observation
from andon.detect.darknet.daedalus.state import PORTS
from andon.sketch.lowest import keep_lowest

_FREE = np.iinfo(np.uint64).max
_FACTS = (
    "began", "last", "packets", "since", "flags", "flavours", "ports", "other_ports", "sampled", "dsts", "seen",
    "looked_at", "hits", "family", "family_hits",
)  # fmt: skip


def key_port(row: Any) -> tuple[int, int]:
    """(protocol, port) in the deduplication key."""
    return int(row["proto"]), int(row["port"])


def ports(row: Any) -> dict[tuple[int, int], int]:
    """(protocol, port) -> packets, most first."""
    return {(int(p["proto"]), int(p["port"])): int(p["n"]) for p in row["ports"] if p["n"]}


def top_port(row: Any) -> tuple[int, int]:
    """The port with the most packets of the episode."""
    first = row["ports"][0]
    return int(first["proto"]), int(first["port"])


def pick(rows: Sequence[Any], seen: Observation) -> Any:
    """The entry that an observation belongs to: of the same top port, or the one told last. None if there is none."""
    if not rows:
        return None
    return max(rows, key=lambda row: (key_port(row) == seen.top_port, int(row["opened"]), int(row["last"])))


def set_address(row: Any, seen: Observation) -> None:
    row["hi"], row["lo"] = seen.hi, seen.lo


def add(row: Any, seen: Observation, ports: bool = True) -> None:
    """Add an observation; ``ports`` False leaves ports, headers and relations as they are."""
    row["began"] = seen.first if row["packets"] == 0 else min(int(row["began"]), seen.first)
    row["last"] = max(int(row["last"]), seen.last)
    row["packets"] += seen.packets
    row["since"] += seen.packets
    row["flags"] |= seen.flags
    row["flavours"] += seen.counts
    if not ports:
        return
    for hashed in seen.dsts:
        if hashed != _FREE:
            keep_lowest(row["dsts"], np.array([hashed], np.uint64), 1)
    _add_ports(row, seen)
    row["sampled"] |= seen.sampled
    free = np.flatnonzero(row["seen"]["ts"] == 0)[: len(seen.seen)]
    row["seen"][free] = seen.seen[: len(free)]
    row["looked_at"] += seen.looked_at
    row["hits"] += seen.hits.astype(np.uint32)
    if seen.family:
        if row["family"] == 0:
            row["family"] = seen.family
        if row["family"] == seen.family:
            row["family_hits"] += seen.family_hits


def _add_ports(row: Any, seen: Observation) -> None:
    counts = ports(row)
    for port, n in seen.ports.items():
        counts[port] = counts.get(port, 0) + n
    order = sorted(counts, key=lambda port: (-counts[port], port))
    row["ports"] = 0
    for at, port in enumerate(order[:PORTS]):
        row["ports"][at] = (port[1], port[0], counts[port])
    row["other_ports"] += sum(counts[port] for port in order[PORTS:])


def mark_shown(row: Any) -> None:
    """Note the ports that a reader of the alert knows of, now that it was told."""
    known = _shown(row)
    for port in [*ports(row), key_port(row)]:
        if port not in known:
            known.append(port)
    row["shown"] = 0
    for at, port in enumerate(known[-PORTS:]):
        row["shown"][at] = (port[1], port[0])


def _shown(row: Any) -> list[tuple[int, int]]:
    return [(int(p["proto"]), int(p["port"])) for p in row["shown"] if p["proto"]]


def port_shift(row: Any) -> int:
    """Packets to the top port, if that was never told; else 0."""
    top = top_port(row)
    return 0 if top == key_port(row) or top in _shown(row) else int(row["ports"][0]["n"])


def copy_facts(of: Any, to: Any) -> None:
    """What was seen, into another entry of the same source."""
    to["hi"], to["lo"] = of["hi"], of["lo"]
    for name in _FACTS:
        to[name] = of[name]


def clear_facts(row: Any) -> None:
    """Forget what was seen; key and number of the episode stay."""
    for name in _FACTS:
        row[name] = _FREE if name == "dsts" else 0
    row["sources"] = 1 if row["lo"] else 0
    row["shown"] = 0
