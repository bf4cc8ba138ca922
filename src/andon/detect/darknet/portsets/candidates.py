"""Sets of ports that stand out: exact sets and pairs of ports that many sources share, and what chance would give.

A small source sees only a part of its malware's ports, so exact sets alone would miss a family of many ports whose
sources send few packets: its parts are many and each is rare. Its *pairs* of ports still meet far too often.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from andon.detect.darknet.portsets.chance import Popularity, log_tail, protocol, protocols
from andon.detect.darknet.portsets.kernel import CODES, PORTS
from andon.detect.darknet.portsets.scanners import Scanners, distinct, set_hash

_LEAST = 3  # networks: what fewer have is not looked at
_MOST_PORTS = 1500  # codes whose pairs are counted, most networks first


@dataclass(frozen=True)
class Candidates:
    """Parallel over candidates: sets of ports (exact sets, pairs, single ports, as ``kind`` says), the /24 networks
    of sources with them, the number expected by chance and the log of the chance to see so many.

    ``tests``: how many there might have been, with those nobody had. A pair counts every source that has both."""

    sets: list[tuple[int, ...]]
    kind: np.ndarray  # EXACT, PAIR, SINGLE
    networks: np.ndarray  # int64
    expected: np.ndarray  # float64
    log_p: np.ndarray  # float64
    tests: float

    @cached_property
    def keys(self) -> np.ndarray:
        """uint64 that names each candidate in a memory."""
        salted = [
            set_hash(codes) ^ (int(kind) + 1) * 0x9E3779B97F4A7C15 % (1 << 64)
            for codes, kind in zip(self.sets, self.kind, strict=True)
        ]
        return np.array(salted, np.uint64)


EXACT, PAIR, SINGLE = range(3)


def candidates(scanners: Scanners, popularity: list[Popularity]) -> Candidates:
    """All sets, pairs and ports of at least three /24 networks. ``popularity`` by class of protocol."""
    networks = scanners.networks()
    exact, exact_networks = _exact(scanners, networks)
    of_code = distinct(scanners.codes, networks[scanners.owner], CODES)
    pairs, pair_networks = _pairs(scanners, networks, of_code)
    singles = np.flatnonzero(of_code >= _LEAST)
    sets = [*exact, *[(int(a), int(b)) for a, b in pairs], *[(int(code),) for code in singles]]
    chances = [
        popularity[protocol(codes)].sources[len(codes) - 1]
        * np.exp(popularity[protocol(codes)].of_set(codes))
        for codes in exact
    ]
    expected = np.concatenate(
        [np.array(chances, float), _expected(pairs, popularity), np.zeros(len(singles))]
    )
    counts = np.concatenate([exact_networks, pair_networks, of_code[singles]]).astype(np.int64)
    kind = np.repeat((EXACT, PAIR, SINGLE), (len(exact), len(pairs), len(singles)))
    ports = len(singles)
    return Candidates(
        sets,
        kind,
        counts,
        expected,
        np.where(kind == SINGLE, 0.0, log_tail(counts, expected)),
        ports * (ports - 1) / 2 + len(exact) + ports,
    )


def _exact(scanners: Scanners, networks: np.ndarray) -> tuple[list[tuple[int, ...]], np.ndarray]:
    several = np.flatnonzero((scanners.sizes >= 2) & ~scanners.sweeps)
    if not len(several):
        return [], np.zeros(0, np.int64)
    _, first, which = np.unique(scanners.set_hash()[several], return_index=True, return_inverse=True)
    count = distinct(which, networks[several], len(first))
    kept = np.flatnonzero(count >= _LEAST)
    begin = scanners.begin
    rows = several[first[kept]]
    return [tuple(scanners.codes[begin[i] : begin[i + 1]].tolist()) for i in rows.tolist()], count[kept]


def _pairs(scanners: Scanners, networks: np.ndarray, of_code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((n, 2) codes, networks) of pairs that sources of two to sixteen ports have."""
    frequent = np.flatnonzero(of_code >= _LEAST)
    frequent = np.sort(frequent[np.lexsort((frequent, -of_code[frequent]))][:_MOST_PORTS])
    place = np.full(CODES, -1, np.int64)
    place[frequent] = np.arange(len(frequent))
    at = place[scanners.codes]
    keep = at >= 0
    owner, at = scanners.owner[keep], at[keep]
    sizes = np.bincount(owner, minlength=len(scanners))
    sizes[scanners.sweeps] = 0
    begin = np.r_[0, np.cumsum(np.bincount(owner, minlength=len(scanners)))]
    keys, nets = [], []
    for d in range(2, PORTS + 1):
        rows = np.flatnonzero(sizes == d)
        if not len(rows):
            continue
        block = at[begin[rows][:, None] + np.arange(d)]
        for i, j in combinations(range(d), 2):
            keys.append(block[:, i] * len(frequent) + block[:, j])
            nets.append(networks[rows])
    if not keys:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64)
    # /24 networks have 24 bits and pairs of 1,500 ports 22: both fit into one word.
    both = np.unique(np.concatenate(keys) << 24 | np.concatenate(nets))
    found, count = np.unique(both >> 24, return_counts=True)
    kept = count >= _LEAST
    a, b = np.divmod(found[kept], len(frequent))
    return np.stack([frequent[a], frequent[b]], axis=1), count[kept]


def _expected(pairs: np.ndarray, popularity: list[Popularity]) -> np.ndarray:
    """Sources of all three classes that have both by chance."""
    total = np.zeros(len(pairs))
    for one in popularity:
        known = (one.group[pairs[:, 0]] >= 0) & (one.group[pairs[:, 1]] >= 0)
        if known.any():
            total[known] += one.of_pairs(pairs[known, 0], pairs[known, 1])
    return total


def popularities(scanners: Scanners) -> list[Popularity]:
    """Of the sources of TCP, of UDP and of both; sweepers are left out."""
    which = protocols(scanners)
    return [Popularity.of(scanners.only((which == n) & ~scanners.sweeps)) for n in range(3)]
