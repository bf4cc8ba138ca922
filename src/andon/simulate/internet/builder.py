"""What all senders are made with: the table of sessions under construction, ports, truth rows, header behaviour."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from . import session as s
from .addresses import Sources, Space
from .apportion import SECOND
from .config import InternetConfig
from .family import Ports
from .options import NUMBER
from .tools import Tool

# Kinds whose sources also send what an ordinary host behind the same address sends.
CONTAMINATED = ("tool", "botnet", "worm", "survey")


class Event(NamedTuple):
    """Something that happens at a time: ``src`` and ``dst`` are 0 where it concerns the whole family."""

    ts: int
    family: str
    event: str
    src: int
    dst: int
    detail: str


class Group(NamedTuple):
    """What is true of all sources of a family that use one stack."""

    family: str
    kind: str
    purpose: str
    expression: str
    organisation: str
    stack: str


class TruthRows:
    """One row per (source, family), laid down before a packet is sent; the row number is in every session."""

    def __init__(self) -> None:
        self.groups: dict[Group, int] = {}
        self.count = 0
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(
        self, src: np.ndarray, groups: Sequence[Group], which: np.ndarray, hosts: np.ndarray
    ) -> np.ndarray:
        """Rows for sources ``src``, of ``groups[which]``, with so many hosts behind each; returns row numbers."""
        numbers = np.array([self.groups.setdefault(g, len(self.groups)) for g in groups], np.int32)
        self._parts.append((src.astype(np.uint32), numbers[which], hosts.astype(np.uint8)))
        self.count += len(src)
        return np.arange(self.count - len(src), self.count)

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(source uint32, group number int32, hosts uint8), one per row."""
        if not self._parts:
            return np.zeros(0, np.uint32), np.zeros(0, np.int32), np.zeros(0, np.uint8)
        src, group, hosts = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        return src, group, hosts

    def kinds(self) -> np.ndarray:
        """Kind of every row (object)."""
        found: np.ndarray = np.array([g.kind for g in self.groups], object)[self.columns()[1]]
        return found


class PortPool:
    """Port lists, each stored once; weights are repetitions."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._known: dict[Ports, tuple[int, int]] = {}
        self._length = 0

    def add(self, ports: Sequence[int] | np.ndarray) -> tuple[int, int]:
        """(offset, length) of a list of ports."""
        part = np.asarray(ports, np.uint16)
        self._parts.append(part)
        self._length += len(part)
        return self._length - len(part), len(part)

    def weighted(self, ports: Ports) -> tuple[int, int]:
        """(offset, length) of a weighted set."""
        if ports not in self._known:
            self._known[ports] = self.add([p for p, w in ports for _ in range(w)])
        return self._known[ports]

    def array(self) -> np.ndarray:
        return np.concatenate(self._parts) if self._parts else np.zeros(1, np.uint16)


@dataclass
class Builder:
    """Collects sessions and truth rows while families are laid out one after the other."""

    config: InternetConfig
    space: Space
    sources: Sources
    pool: PortPool = field(default_factory=PortPool)
    chunks: list[np.ndarray] = field(default_factory=list)
    truth: TruthRows = field(default_factory=TruthRows)
    relations: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    by_family: dict[str, np.ndarray] = field(default_factory=dict)
    scans: int = 0

    def rng(self, name: str) -> np.random.Generator:
        """The random numbers of one family: adding another family does not disturb them."""
        return np.random.default_rng([self.config.seed, zlib.crc32(name.encode())])


def fill(rows: np.ndarray, tool: Tool, rng: np.random.Generator) -> None:
    """Set the header behaviour of ``rows`` from a tool, drawing what is constant per process."""
    n = len(rows)
    low, high = tool.sport_range
    rows["key"] = rng.integers(0, 2**64, n, dtype=np.uint64)
    rows["secret"] = rng.integers(0, 2**32, n, dtype=np.uint64)
    rows["kind"] = tool.kind
    rows["flags"] = tool.flags
    rows["relation"] = tool.relation
    rows["ttl_mode"] = tool.ttl_mode
    rows["hops"] = rng.integers(6, 25, n)
    rows["ttl"] = tool.ttl - rows["hops"]
    rows["window_mode"] = tool.window_mode
    rows["window"] = rng.integers(0, 65536, n) if tool.window is None else tool.window
    rows["options"] = NUMBER[tool.options]
    rows["id_mode"] = tool.id_mode
    rows["id_step"] = tool.id_step
    rows["id_state"] = 0 if tool.id_mode == s.FIXED else rng.integers(0, 65536, n)
    rows["seq_mode"] = tool.seq_mode
    rows["frag"] = tool.frag
    rows["swap"] = tool.swap
    rows["icmp_type"], rows["icmp_code"] = tool.icmp
    rows["dst_mode"] = tool.dst_mode
    rows["src_mode"] = s.SPOOFED if tool.spoofed else s.OWN_ADDRESS
    if tool.sport is None:
        rows["sport_mode"], rows["sport"], rows["sport_span"] = s.FIXED, rng.integers(low, high, n), 1
    else:
        rows["sport_mode"], rows["sport"], rows["sport_span"] = tool.sport, low, high - low
    rows["retries"] = tool.retries
    rows["wait"] = round(tool.wait * SECOND)


def calm_retries(rows: np.ndarray) -> None:
    """Stacks that have more to send than their retransmission timer allows do not retransmit here."""
    tries = rows["retries"].astype(np.int64) + 1
    busy = rows["n"] / tries * rows["wait"] * (2.0 ** (tries - 1) - 1)
    rows["retries"][busy > 0.5 * (rows["end"] - rows["start"])] = 0
