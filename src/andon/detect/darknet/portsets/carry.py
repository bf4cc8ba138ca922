"""What is remembered between spans: families with their lineage, what their sources did, and which sets were met.

All of it is bounded: ``MOST_FAMILIES`` families (the least recent go), ``MOST_SOURCES`` sources (those with the lowest
keyed hashes, so that the same sources are remembered every day), ``MOST_MET`` sets (the least recent, then the rarest,
go), and nothing older than 60 days.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from andon.detect.darknet.portsets.kernel import CODES, PORTS
from andon.detect.darknet.portsets.recent import COLUMNS, Recent
from andon.sketch.state import StateError, pack, unpack

DAY = 86_400_000_000_000
KEPT = 60 * DAY
MOST_FAMILIES, MOST_SOURCES, MOST_MET = 512, 65_536, 65_536
NOBODY = 0  # no parent


@dataclass(frozen=True)
class Family:
    """A set of ports (codes, ascending) with weights, and where it comes from.

    ``born``: start of the first span that showed it, ``last`` of the last; ``spans``: how many did. ``since_start``: it
    was there when the record began, so it may be older. ``sources`` of the last span; ``fingerprint``: the relation or
    tool that most of its sources had, "" if none."""

    number: int
    codes: tuple[int, ...]
    weights: tuple[float, ...]
    born: int
    last: int
    spans: int
    sources: int
    parent: int = NOBODY
    since_start: bool = False
    fingerprint: int = 0  # hash of the relation or tool


@dataclass(frozen=True)
class Remembered:
    """The carry. ``address`` (uint32, ascending), ``label`` (family, or code of a source of one port, plus 2^62),
    ``since`` and ``seen`` (ns) of sources; ``met`` (uint64, ascending), ``met_last`` (ns) and ``met_most`` (networks)
    of sets. ``spans``: how many were concluded, ``began``: start of the first."""

    families: tuple[Family, ...] = ()
    address: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint32))
    label: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    since: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    seen: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    met: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    met_last: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    met_most: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    spans: int = 0
    began: int = 0
    next_number: int = 1
    forgotten: int = 0  # families that had to go for want of room
    recent: Recent = field(default_factory=Recent)

    def most(self, keys: np.ndarray) -> np.ndarray:
        """int64: most networks that each set (uint64 keys) had in a span of the last 60 days; 0 if never met."""
        out = np.zeros(len(keys), np.int64)
        if len(self.met):
            at = np.minimum(np.searchsorted(self.met, keys), len(self.met) - 1)
            known = self.met[at] == keys
            out[known] = self.met_most[at[known]]
        return out

    def to_bytes(self) -> bytes:
        f = self.families
        codes = np.full((len(f), PORTS), -1, np.int64)
        weights = np.zeros((len(f), PORTS))
        for i, one in enumerate(f):
            codes[i, : len(one.codes)] = one.codes
            weights[i, : len(one.weights)] = one.weights
        names = (
            "number",
            "born",
            "last",
            "spans",
            "sources",
            "parent",
            "since_start",
            "fingerprint",
        )
        numbers = np.array([[getattr(one, name) for name in names] for one in f], np.int64).reshape(
            -1, len(names)
        )
        arrays = {"codes": codes, "weights": weights, "numbers": numbers}
        arrays |= {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"recent_{name}": getattr(self.recent, name) for name in COLUMNS}
        return pack("port-sets", 1, arrays, {name: getattr(self, name) for name in _SCALARS})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("port-sets", 1, data)
        try:
            codes, weights, numbers = (arrays[name] for name in ("codes", "weights", "numbers"))
            if (
                codes.shape != weights.shape
                or codes.shape[1:] != (PORTS,)
                or numbers.shape != (len(codes), 8)
            ):
                raise StateError("port sets of another shape")
            if len(codes) and (codes.max() >= CODES or len({len(arrays[n]) for n in _ARRAYS[:4]}) != 1):
                raise StateError("port sets with ports that are none, or columns of unequal length")
            families = []
            for row, weight, n in zip(codes, weights, numbers.tolist(), strict=True):
                size = int((row >= 0).sum())
                families.append(
                    Family(
                        n[0], tuple(row[:size].tolist()), tuple(weight[:size].tolist()), n[1], n[2], n[3], n[4], n[5],
                        bool(n[6]), n[7],
                    )
                )  # fmt: skip
            recent = Recent(*(arrays[f"recent_{name}"] for name in COLUMNS))
            if len({len(column) for column in recent.columns()}) != 1:
                raise StateError("recent scans with columns of unequal length")
            columns = [arrays[name] for name in _ARRAYS]
            numbers_of = [scalars[name] for name in _SCALARS]
            return cls(
                tuple(families), columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6],
                numbers_of[0], numbers_of[1], numbers_of[2], numbers_of[3], recent,
            )  # fmt: skip
        except KeyError as error:
            raise StateError(f"damaged memory of port sets: no {error}") from error


_ARRAYS = ("address", "label", "since", "seen", "met", "met_last", "met_most")
_SCALARS = ("spans", "began", "next_number", "forgotten")


def with_met(
    before: Remembered, keys: np.ndarray, networks: np.ndarray, start: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(met, met_last, met_most) after a span in which these sets (unique uint64 keys) had so many networks."""
    every = np.union1d(before.met, keys)
    last, most = np.zeros(len(every), np.int64), np.zeros(len(every), np.int64)
    old, new = np.searchsorted(every, before.met), np.searchsorted(every, keys)
    last[old], most[old] = before.met_last, before.met_most
    last[new] = start
    most[new] = np.maximum(most[new], networks)
    order = np.lexsort((every, -most, -last))
    order = order[last[order] > start - KEPT][:MOST_MET]
    order.sort()
    return every[order], last[order], most[order]


def with_sources(
    before: Remembered,
    address: np.ndarray,
    label: np.ndarray,
    hashed: np.ndarray,
    start: int,
    salt_hash: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(address, label, since, seen) after a span with these sources (ascending), ``hashed`` by the key; ``salt_hash``
    are the hashes of those that were remembered. A source that stayed away for a week is forgotten."""
    every = np.union1d(before.address, address)
    old, new = np.searchsorted(every, before.address), np.searchsorted(every, address)
    labels, since, seen = (np.zeros(len(every), np.int64) for _ in range(3))
    hashes = np.zeros(len(every), np.uint64)
    labels[old], since[old], seen[old], hashes[old] = before.label, before.since, before.seen, salt_hash
    hashes[new] = hashed
    changed = np.ones(len(new), np.bool_)
    changed[:] = labels[new] != label
    since[new] = np.where(changed, start, since[new])
    labels[new], seen[new] = label, start
    order = np.flatnonzero(seen > start - 7 * DAY)
    if len(order) > MOST_SOURCES:
        order = np.sort(order[np.argsort(hashes[order], kind="stable")[:MOST_SOURCES]])
    return every[order], labels[order], since[order], seen[order]
