"""A family as a reader sees it: its sources, networks, packets and weights with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.portsets.analysis import SURE, Families
from andon.detect.darknet.portsets.carry import Family
from andon.detect.darknet.portsets.lineage import Seen
from andon.detect.darknet.portsets.places import Marks, name_hash
from andon.detect.darknet.portsets.scanners import Scanners
from andon.detect.darknet.portsets.starts import MOST_PACKETS

_Z = 1.96
_SHARE = 0.5  # of the sources of a family with a fingerprint or tool that names the family


@dataclass(frozen=True)
class Shown:
    """``codes`` with ``weights``, each with a 95 % interval over sources; ``rows``: its sources, ``sure`` with a
    posterior of 0.95 in this family alone; ``estimated``: sources to expect with those that cannot be told apart.
    ``packets`` of the sources to its ports. ``mark``: fingerprint or tool of ``mark_share`` of the sources."""

    codes: tuple[int, ...]
    weights: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rows: np.ndarray
    address: np.ndarray
    sent: np.ndarray  # int64, packets of each source to ports of the family
    sure: int
    estimated: float
    networks: int
    packets: int
    first: int
    last: int
    mark: str
    mark_share: float

    def seen(self) -> Seen:
        """For the lineage."""
        mark = name_hash(self.mark) if self.mark_share >= _SHARE else 0
        return Seen(self.codes, self.weights, self.address, len(self.rows), mark)


def shown(found: Families, k: int, marks: Marks, evidence: tuple[int, ...] = ()) -> Shown:
    """Family ``k`` of a span; with ``evidence`` also the sources that have all these codes."""
    rows = np.flatnonzero((found.member == k) | (found.mixed == k))
    if evidence:
        rows = np.union1d(rows, holders(found, evidence))
    codes = found.sets[k]
    weights = found.mixture.weights[k]
    return _made(
        found, codes, weights[weights > 0], rows, float(found.mixture.size[k].sum()) * found.one_in, marks
    )


def of_port(found: Families, code: int, marks: Marks) -> Shown:
    """The sources of a single port as if they were a family."""
    rows = holders(found, (code,))
    return _made(found, (code,), np.ones(1), rows, float(len(rows)), marks)


def holders(found: Families, codes: tuple[int, ...]) -> np.ndarray:
    """Sources, neither sweepers nor surveys, that scanned all these codes."""
    rows = found.scanners.holders(codes)
    usable: np.ndarray = rows[found.usable[rows]]
    return usable


def _made(
    found: Families,
    codes: tuple[int, ...],
    weights: np.ndarray,
    rows: np.ndarray,
    estimated: float,
    marks: Marks,
) -> Shown:
    some = found.scanners.take(rows)
    inside = np.isin(some.codes, codes)
    sent = np.zeros(len(some), np.int64)
    np.add.at(sent, some.owner[inside], some.counts[inside])
    low, high = intervals(some, codes, weights)
    number = marks.of(some.address)
    names, counts = np.unique(number[number >= 0], return_counts=True)
    top = int(np.argmax(counts)) if len(counts) else -1
    return Shown(
        codes=codes,
        weights=tuple(weights.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        rows=rows,
        address=some.address,
        sent=sent,
        sure=int(np.count_nonzero(found.posterior[rows] >= SURE)),
        estimated=estimated,
        networks=len(np.unique(some.networks())),
        packets=int(sent.sum()),
        first=int(some.first.min(initial=np.iinfo(np.int64).max)) if len(rows) else 0,
        last=int(some.last.max(initial=0)),
        mark=marks.names[int(names[top])] if top >= 0 else "",
        mark_share=float(counts[top] / len(rows)) if top >= 0 else 0.0,
    )


def intervals(some: Scanners, codes: tuple[int, ...], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of the weights: a ratio over sources, whose packets are not independent, linearised (Cochran,
    "Sampling techniques", 1977, section 6.3); 0 to 1 with fewer than three sources."""
    if len(some) < 3:
        return np.zeros(len(codes)), np.ones(len(codes))
    place = np.minimum(np.searchsorted(codes, some.codes), len(codes) - 1)
    inside = np.array(codes)[place] == some.codes
    table = np.zeros((len(some), len(codes)))
    table[some.owner[inside], place[inside]] = some.counts[inside]
    total = table.sum(axis=1, keepdims=True)
    table *= np.minimum(1.0, MOST_PACKETS / np.maximum(total, 1.0))
    n = table.sum(axis=1, keepdims=True)
    left = table - weights * n
    error = np.sqrt((left**2).sum(axis=0) * len(some) / (len(some) - 1)) / max(float(n.sum()), 1.0)
    return np.maximum(0.0, weights - _Z * error), np.minimum(1.0, weights + _Z * error)


def date(ns: int) -> str:
    """Day of a time, in UTC.

    >>> date(1_767_225_600_000_000_000)
    '2026-01-01'
    """
    return str(np.datetime64(ns, "ns").astype("datetime64[D]"))


def when(family: Family) -> str:
    """Since when a family is known."""
    return f"on {date(family.born)} or before" if family.since_start else f"since {date(family.born)}"
