"""Address orders: sources whose packets visit the telescope in the order of a known kind of walk.

New ZMap leaves no mark in the header, but it cannot hide the order in which it visits addresses (darknet notes 1.6;
Mazel & Strullu 2019, arXiv 1908.04193). The sample of a source keeps that order, since what it keeps is chosen by hash
and not by time. Each source (and each of its ports) is tested by itself: known orders first (`order_values`), then
ZMap's cyclic walk with any generator and constant strides of any length (`order_lattice`).

A source is reported with 40 bits of evidence after all that was tried has been paid for: the orders, the
multipliers (2^32) and the series of the sample. Not found: walks of groups other than modulo 2^32 + 15 (scans of
several ports at once, of few networks), other blocklists than none and ZMap's default, scans of which the sample
holds fewer than about 20 packets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.fingerprint.again import WHOLE, Turn
from andon.detect.darknet.fingerprint.order_cyclic import (
    NO_WALK,
    Walk,
    chain,
    interpret,
    phases,
    shortest,
    threads_seen,
    walked,
)
from andon.detect.darknet.fingerprint.order_lattice import CLEAR, LAST_TRY, evidence, phase_factor, search
from andon.detect.darknet.fingerprint.order_series import Series, series_of
from andon.detect.darknet.fingerprint.order_values import VALUES, WORD, Value, judge
from andon.detect.darknet.fingerprint.sample import Sample
from andon.sketch.cyclic import ORDER, P, elements, log3

BITS = 40.0
LEAST = 12  # packets of a series; fewer cannot give the bits
_MULTIPLIER_BITS = 33.0  # every multiplier is tried, forwards
_KINDS = 512  # known orders, directions, blocklists, parts of a series, two kinds of evidence
CYCLIC = f"order(ip.dst) == cyclic(modulus {P})"
STRIDE = f"order(ip.dst) == stride(modulus {WORD})"
# Lattices a span may try, so that the cost is bounded whatever the number of sources: about 35 microseconds each.
MOST_LATTICES = 300_000
_SOME = 30  # packets of a series for which more than the first tries are made
_MANY = 60  # packets of a series that is searched in parts, for scans that were started again


@dataclass(frozen=True)
class OrderFound:
    """One source that scans in an order. ``source``: index into ``Sample.src``; ``port``: or -1 for all of its ports;
    ``order``: text of the kind of order; ``bits``: evidence after correction; ``rows``: indices into the sample of the
    packets in order, by time; ``looked_at``: packets looked at; ``turns``: share of the order that was walked between
    the first and the last; ``down``: backwards. For a cyclic walk: ``walk``, ``threads`` that were seen, and whether
    ``blocklist``, ZMap's default one, is in use. For a stride: ``walk.multiplier``."""

    source: int
    port: int
    order: str
    bits: float
    rows: np.ndarray
    looked_at: int
    turns: float
    down: bool = False
    walk: Walk = NO_WALK
    threads: int = 1
    blocklist: bool = False

    @property
    def relation(self) -> str:
        """Text of this one scan: with its generator, where it has one."""
        if not self.walk.generator:
            return self.order
        return f"{self.order[:-1]}, generator {self.walk.generator})"


@dataclass(frozen=True)
class Orders:
    """``found``, strongest evidence first; ``series`` and ``sources`` that had enough packets to be judged;
    ``left_out`` in words."""

    found: tuple[OrderFound, ...]
    series: int
    sources: int
    left_out: tuple[str, ...] = ()


def order_families(sample: Sample, turn: Turn = WHOLE, most_lattices: int = MOST_LATTICES) -> Orders:
    """Every source of the sample that scans in an order, or every one whose ``turn`` it is. Deterministic; about
    0.2 ms of CPU for a source with enough packets, and never more than ``most_lattices`` lattices."""
    series = series_of(sample, LEAST, turn)
    if not len(series):
        return Orders((), 0, 0)
    needed = BITS + math.log2(len(series) * _KINDS)
    # A stride can look somewhat like counting: what is not clear is searched on.
    clear = CLEAR * np.array([math.lgamma(n) / math.log(2) for n in series.sizes])
    found, open_ = _known_orders(series, needed, clear)
    bare, blocking, stride = _Plan(False, series), _Plan(True, series), _Plan(None, series)
    rounds = (
        (bare, 0, 1), (blocking, 0, 1), (bare, 1, 2), (blocking, 1, 2), (stride, 0, 2),
        (bare, 2, 6), (blocking, 2, 6), (bare, 6, LAST_TRY), (blocking, 6, LAST_TRY),
    )  # fmt: skip
    budget, cut = most_lattices, 0
    for plan, first, last in rounds:
        which = np.flatnonzero(
            open_ & (series.sizes >= (_MANY if first >= 6 else _SOME if first >= 2 else LEAST))
        )
        # The largest first: what the budget cuts are those with least evidence to offer.
        which = which[np.argsort(-series.sizes[which], kind="stable")]
        allowed = budget // (last - first)
        cut += max(0, len(which) - allowed)
        which = np.sort(which[:allowed])
        budget -= len(which) * (last - first)
        made = plan.search(which, first, last, needed)
        found += made
        open_[[at for at, one in made if one.bits + needed - BITS >= clear[at]]] = False
    left_out = (f"address orders: {cut:,} searches of sources with few packets left out",) if cut else ()
    return Orders(_one_each(found), len(series), len(np.unique(series.source)), left_out)


Made = list[tuple[int, OrderFound]]


def _known_orders(series: Series, needed: float, clear: np.ndarray) -> tuple[Made, np.ndarray]:
    addresses, at = np.unique(series.dst, return_inverse=True)
    judged = [judge(series.t, value.of(addresses)[at], series.starts) for value in VALUES]
    bits = np.array([one[0] for one in judged])
    best = bits.max(axis=0)
    # Behind one /24 several of them are one order: of equals the first, the simplest, is named.
    which = np.argmax(bits >= 0.98 * best, axis=0)
    falls = np.array([one[1] for one in judged])[which, np.arange(len(series))]
    hit = best >= needed
    made = [
        (i, _of_value(series, i, VALUES[which[i]], bool(falls[i]), best[i] - needed + BITS))
        for i in np.flatnonzero(hit).tolist()
    ]
    return made, ~(hit & (best >= clear))


def _of_value(series: Series, i: int, value: Value, down: bool, bits: float) -> OrderFound:
    low, high = series.starts[i], series.starts[i + 1]
    turns = value.of(series.dst[low:high]).astype(np.float64) / WORD
    if down:
        turns = -turns % 1.0
    kept = chain(turns, True)
    return OrderFound(
        source=int(series.source[i]), port=int(series.port[i]), order=value.text, bits=float(bits),
        rows=series.rows[low:high][kept], looked_at=int(series.seen[i]), turns=walked(turns[kept]), down=down,
    )  # fmt: skip


class _Plan:
    """Lattices of one kind: cyclic without (False) or with (True) a blocklist, or a stride (None)."""

    def __init__(self, blocklist: bool | None, series: Series) -> None:
        self.blocklist, self.series = blocklist, series
        self.modulus = WORD if blocklist is None else ORDER
        self._values: np.ndarray | None = None

    @property
    def values(self) -> np.ndarray:
        if self._values is None:
            addresses, at = np.unique(self.series.dst, return_inverse=True)
            if self.blocklist is None:
                self._values = addresses.astype(np.uint64)[at]
            else:
                # Blocked addresses have no place in the walk: their index may be anything below the group's order.
                x = elements(addresses, self.blocklist) % np.uint64(P)
                self._values = log3(np.maximum(x, np.uint64(1)))[at]
        return self._values

    def search(self, which: np.ndarray, first: int, last: int, needed: float) -> Made:
        series = self.series
        if not len(which):
            return []
        values = self.values
        part = series.take(which)
        picked = np.concatenate([np.arange(series.starts[i], series.starts[i + 1]) for i in which])
        n = len(which)
        found, bits, window = np.zeros(n, np.uint64), np.zeros(n), np.zeros((n, 2), np.int64)
        needed += _MULTIPLIER_BITS
        search(
            part.t, values[picked], part.starts, np.uint64(self.modulus), self.blocklist is None, first, last,
            needed, found, bits, window,
        )  # fmt: skip
        return [
            (
                int(which[j]),
                self._found(int(which[j]), int(found[j]), window[j], float(bits[j]), needed),
            )
            for j in np.flatnonzero(bits >= needed)
        ]

    def _found(self, i: int, multiplier: int, window: np.ndarray, bits: float, needed: float) -> OrderFound:
        series, by_rank = self.series, self.blocklist is None
        low, high = int(series.starts[i]), int(series.starts[i + 1])
        factor = np.uint64(phase_factor(np.uint64(multiplier), np.uint64(self.modulus)))
        work = np.zeros(high - low)
        if evidence(series.t[low:high], self.values[low:high], factor, by_rank, work) < needed:
            # Only part of the series is this scan: it was begun anew before or after.
            low, high = low + int(window[0]), low + int(window[1])
        v = self.values[low:high]
        turns = phases(v, multiplier, self.modulus)
        kept = chain(turns, by_rank)
        multiplier = shortest(multiplier, v[kept], self.modulus)
        turns = phases(v, multiplier, self.modulus)
        kept = chain(turns, by_rank)
        walk, threads = Walk(multiplier, 1, 0), 1
        if not by_rank:
            walk = interpret(multiplier)
            threads = threads_seen(v[kept], turns[kept], walk)
        return OrderFound(
            source=int(series.source[i]), port=int(series.port[i]), order=STRIDE if by_rank else CYCLIC,
            bits=bits - needed + BITS, rows=series.rows[low:high][kept], looked_at=int(series.seen[i]),
            turns=walked(turns[kept]), walk=walk, threads=threads, blocklist=bool(self.blocklist),
        )  # fmt: skip


def _one_each(found: Made) -> tuple[OrderFound, ...]:
    """The surest order of each series, strongest first; all ports of a source together only where no port by itself
    shows an order."""
    best: dict[int, OrderFound] = {}
    for i, one in found:
        if i not in best or one.bits > best[i].bits:
            best[i] = one
    by_port = {one.source for one in best.values() if one.port >= 0}
    kept = [one for one in best.values() if one.port >= 0 or one.source not in by_port]
    return tuple(sorted(kept, key=lambda one: (-one.bits, one.source, one.port)))


def shared_scans(found: Sequence[OrderFound]) -> dict[str, list[OrderFound]]:
    """Scans that several sources divide among them (shards): the same generator and port."""
    groups: dict[str, list[OrderFound]] = {}
    for one in found:
        if one.walk.generator:
            groups.setdefault(one.relation, []).append(one)
    return {name: group for name, group in sorted(groups.items()) if len({one.source for one in group}) > 1}
