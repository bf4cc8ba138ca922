"""A family laid on the sample: which packets carry it, how many of whom, to which ports, how surely.

The search says which sources share a relation; here it is evaluated once more on every sampled packet, so that
whatever found it (a layer, the genetic search, yesterday) is judged by the same measure. Figures for the whole span
are scaled up from each source's sample; exact ones come from the runner's second read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.fingerprint.sample import COLUMNS, Family, Sample
from andon.records.expression import (
    Comparison,
    Expression,
    ExpressionError,
    chance_rate,
    compile_program,
    evaluate,
    parse,
    session_key,
)
from andon.records.expression.ast import fields_of
from andon.records.expression.evaluate import execute
from andon.records.expression.fields import FIELDS
from andon.records.expression.keyed import conjuncts
from andon.records.expression.program import compile_value
from andon.records.packet import IPV4, SYN, TCP

GLOBAL_BITS = 24.0  # evidence asked of a source of a carried family: among 10^6 sources 0.06 by chance
SESSION_BITS = 40.0
_Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class Measured:
    """A family and its figures. Arrays are parallel to ``family.sources``; ``rows`` are the indices of the sampled
    packets of these sources that carry the relation; ``others`` counts such packets of other sources (scaled up)."""

    family: Family
    hits: np.ndarray  # sampled packets with the relation
    sampled: np.ndarray  # sampled packets
    packets: np.ndarray  # with the relation, scaled up
    keys: np.ndarray  # of sessions; else empty
    rows: np.ndarray
    ports: Mapping[int, float]  # scaled packets per destination port
    others: float
    first: int
    last: int
    proven: Mapping[str, int]
    unproven: np.ndarray
    looked_at: int

    @property
    def excess(self) -> bool:
        """Whether far more sources sent a packet or two with the relation than chance explains."""
        by_chance = self.looked_at * 2.0**-self.family.bits
        return self.family.bits >= 6 and len(self.unproven) > 10 + 10 * by_chance

    @property
    def total(self) -> int:
        """Packets of the span that carry the family, estimated."""
        return int(self.packets.sum())

    def chance(self, packets: int) -> float:
        """How many of so many unrelated packets would satisfy the relation by chance."""
        return float(packets * 2.0**-self.family.bits)

    def precision(self) -> tuple[float, float, float]:
        """(share, low, high) of the packets that satisfy a global relation that come from the sources named: what a
        filter would catch of the family. 95 % Wilson interval on the sampled packets. For a session the share of the
        sampled packets of these sources."""
        if len(self.keys):
            good, every = float(self.hits.sum()), float(self.sampled.sum())
            return wilson(good / max(1.0, every), every)
        share = self.total / max(1.0, self.total + self.others)
        return wilson(share, float(len(self.rows)) / max(share, 1e-9))


def wilson(share: float, n: float) -> tuple[float, float, float]:
    """(share, low, high): the 95 % score interval of a share seen in n trials (Wilson, JASA 22, 1927).

    >>> [round(x, 3) for x in wilson(1.0, 100)]
    [1.0, 0.963, 1.0]
    """
    if n <= 0:
        return share, 0.0, 1.0
    z2 = _Z * _Z / n
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(max(0.0, share * (1 - share) / n + z2 / (4 * n)))
    return share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


class Packets:
    """The sampled packets as columns for evaluation, with the weight of each in the whole span."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.of_row = sample.of_row
        self.sizes = np.diff(sample.starts)
        self.columns: dict[str, np.ndarray] = {name: sample.columns[name] for name in COLUMNS}
        self.columns["src"] = sample.src[self.of_row]
        self.columns["layers"] = np.full(sample.rows, IPV4 | TCP, np.uint8)
        self.columns["tcp_flags"] = np.full(sample.rows, SYN, np.uint8)
        self.weight = sample.packets / np.maximum(1, self.sizes)

    def carried(self, relation: str, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(rows that carry a relation, their keys or empty): of a session relation the largest group of packets with
        one key of each source, and other groups that prove themselves (a scanner that was started again).
        ``among`` (bool per row): no other rows. Raises ExpressionError for a text that is no relation."""
        program = compile_program(parse(relation))
        if not program.key_bits:
            hit = evaluate(program, self.columns)
            return np.flatnonzero(hit if among is None else hit & among), np.empty(0, np.uint32)
        keys, valid = session_key(program, self.columns)
        rows = np.flatnonzero(valid if among is None else valid & among)
        pair = (self.of_row[rows].astype(np.uint64) << np.uint64(32)) | keys[rows].astype(np.uint64)
        groups, at, counts = np.unique(pair, return_inverse=True, return_counts=True)
        source = (groups >> np.uint64(32)).astype(np.int64)
        order = np.lexsort((groups, -counts, source))
        first = order[np.r_[True, np.diff(source[order]) != 0]] if len(order) else order
        largest = np.zeros(len(groups), np.bool_)
        largest[first] = True
        bits = -math.log2(chance_rate(program.expression))
        rows = rows[(largest | ((counts - 1) * bits >= SESSION_BITS))[at]]
        return rows, keys[rows]

    def measure(self, family: Family) -> Measured:
        """The figures of a family; every packet of its sources if its relation is not of the language (an order)."""
        try:
            rows, keys = self.carried(family.relation)
            fields = fields_of(parse(family.relation))
        except ExpressionError:
            rows, keys = np.arange(self.sample.rows), np.empty(0, np.uint32)
            fields = frozenset({"ip.dst"})
        of = self.of_row[rows]
        hits = np.bincount(of, minlength=len(self.sample.src))
        mine = np.zeros(len(self.sample.src), np.bool_)
        mine[family.sources] = True
        inside = mine[of]
        others = 0.0 if len(keys) else float((hits * self.weight)[~mine].sum())
        kept = rows[inside]
        key_of = np.zeros(len(self.sample.src), np.uint32)
        if len(keys):
            key_of[of[inside]] = _commonest(of[inside], keys[inside])
        sources = family.sources
        scaled = np.rint(hits[sources] * self.weight[sources]).astype(np.int64)
        ts = self.sample.columns["ts"][kept]
        return Measured(
            family=family,
            hits=hits[sources],
            sampled=self.sizes[sources],
            packets=scaled,
            keys=key_of[sources] if len(keys) else keys,
            rows=kept,
            ports=self._ports(kept),
            others=others,
            first=int(ts.min()) if len(ts) else 0,
            last=int(ts.max()) if len(ts) else 0,
            unproven=np.flatnonzero((hits > 0) & ~mine) if not len(keys) else np.empty(0, np.int64),
            looked_at=int(self.sizes[~mine].sum()),
            proven=dict(family.proven) or self._proven(fields, kept, within=bool(len(keys))),
        )

    def _ports(self, rows: np.ndarray) -> dict[int, float]:
        counts = np.bincount(
            self.columns["dst_port"][rows], self.weight[self.of_row[rows]], minlength=65536
        ).round(6)
        top = np.lexsort((np.arange(65536), -counts))[:50]
        return {int(port): float(counts[port]) for port in top if counts[port] > 0}

    def _proven(self, fields: frozenset[str] | set[str], rows: np.ndarray, within: bool) -> dict[str, int]:
        """For each field the bits that took both values; ``within``: among packets of one source."""
        proven: dict[str, int] = {}
        of = self.of_row[rows]
        begins = np.flatnonzero(np.r_[True, np.diff(of) != 0]) if len(rows) else np.empty(0, np.int64)
        for name in sorted(fields):
            values = self.columns[FIELDS[name].column][rows].astype(np.uint32)
            if not len(values):
                proven[name] = 0
            elif within:
                base = np.repeat(values[begins], np.diff(np.r_[begins, len(values)]))
                proven[name] = int(np.bitwise_or.reduce(values ^ base))
            else:
                proven[name] = int(np.bitwise_or.reduce(values ^ values[0]))
        return proven


def _commonest(source: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """For each row the key that most rows of its source have (the lowest of those)."""
    pair = (source.astype(np.uint64) << np.uint64(32)) | keys.astype(np.uint64)
    groups, counts = np.unique(pair, return_counts=True)
    of = (groups >> np.uint64(32)).astype(np.int64)
    order = np.lexsort((groups, -counts, of))
    first = order[np.r_[True, np.diff(of[order]) != 0]]
    found: np.ndarray = groups[first].astype(np.uint32)[np.searchsorted(of[first], source)]
    return found


def recognise(
    packets: Packets, relation: str, scope: str, least: int, among: np.ndarray | None = None
) -> tuple[Family, np.ndarray] | None:
    """(a relation known beforehand with its sources, the rows that carry it); None if fewer than ``least`` sources do.
    ``among`` (bool per row): only these rows are looked at.

    A source needs h r - log2 C(n, h) bits of evidence, 24 for a global relation and 40, with one packet less, for a
    session; packets in which the compared field repeats a value do not count again."""
    try:
        expression = parse(relation)
        rate = chance_rate(expression)
    except ExpressionError:
        return None
    if rate >= 2.0**-6:
        return None
    bits = -math.log2(rate)
    rows, _ = packets.carried(relation, among)
    count = len(packets.sample.src)
    distinct = _distinct(packets, expression, rows, count)
    spent = 1 if scope == "session" else 0
    sizes = packets.sizes if among is None else np.bincount(packets.of_row[among], minlength=count)
    n = np.maximum(sizes, 1)
    evidence = (distinct - spent) * bits - _log2_choose(n, np.minimum(distinct, n))
    sources = np.flatnonzero((distinct > spent) & (evidence >= (SESSION_BITS if spent else GLOBAL_BITS)))
    if len(sources) < least:
        return None
    mine = np.zeros(count, np.bool_)
    mine[sources] = True
    return Family(relation, scope, sources, bits, "carried", {}), rows[mine[packets.of_row[rows]]]


def _distinct(packets: Packets, expression: Expression, rows: np.ndarray, sources: int) -> np.ndarray:
    """For each source how many of the rows differ in what the relation compares (or, for a constant, in the packet)."""
    of = packets.of_row[rows].astype(np.uint64)
    part = next((p for p in conjuncts(expression) if isinstance(p, Comparison)), None)
    if part is not None and fields_of(part.right) and fields_of(part.left):
        value = execute(compile_value(part.left), packets.columns, values=True)[1][rows]
    else:
        c = packets.columns
        value = (c["dst"] ^ (c["tcp_seq"] * np.uint32(0x9E3779B1)) ^ c["src_port"].astype(np.uint32))[rows]
    pairs = np.unique((of << np.uint64(32)) | value.astype(np.uint64))
    return np.bincount((pairs >> np.uint64(32)).astype(np.int64), minlength=sources)


_LOG2_FACTORIAL = np.cumsum(np.r_[0.0, np.log2(np.arange(1, 4097))])


def _log2_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    n, k = np.minimum(n, 4096), np.minimum(k, 4096)
    return np.asarray(_LOG2_FACTORIAL[n] - _LOG2_FACTORIAL[k] - _LOG2_FACTORIAL[n - k])


def without_rows(sample: Sample, gone: np.ndarray) -> tuple[Sample, np.ndarray]:
    """(the sample without the rows marked, for each source left its index in the old one)."""
    keep = ~gone
    sizes = np.bincount(sample.of_row[keep], minlength=len(sample.src))
    left = np.flatnonzero(sizes)
    return Sample(
        src=sample.src[left],
        starts=np.r_[0, np.cumsum(sizes[left])].astype(np.int64),
        columns={name: array[keep] for name, array in sample.columns.items()},
        packets=sample.packets[left],
    ), left


def earliest(sample: Sample, rows: int) -> tuple[Sample, int]:
    """(the sample with at most about so many rows, how many of each source at most): the earliest of each."""
    sizes = np.diff(sample.starts)
    most = int(sizes.max(initial=0))
    if sample.rows <= rows:
        return sample, most
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(sizes, middle).sum()) <= rows:
            low = middle
        else:
            high = middle - 1
    rank = np.arange(sample.rows) - np.repeat(sample.starts[:-1], sizes)
    return without_rows(sample, rank >= low)[0], low


def marks(measured: Sequence[Measured], rows: int) -> np.ndarray:
    """uint64 for each sampled packet: bit n is set where it carries family n (of the first 64)."""
    out = np.zeros(rows, np.uint64)
    for number, one in enumerate(measured[:64]):
        out[one.rows] |= np.uint64(1 << number)
    return out


def evidence_of(family: Family, hits: np.ndarray) -> np.ndarray:
    """Whether so many packets with a family's relation, and no other's, prove it for a source (bool)."""
    if family.scope == "session":
        return np.asarray((hits - 1) * family.bits >= SESSION_BITS)
    return np.asarray(hits * family.bits >= GLOBAL_BITS)
